//! The keys above all sections.

use super::schema::section;

section! {
    /// The homeserver itself.
    Top in "" {
        /// The name in every user and room id of this server. It can not be changed later. It may carry a port
        /// (`localhost:8448`), and then other servers connect there without looking anything up.
        server_name: String = "localhost".to_owned();
        /// The version of new rooms, "1" to "12".
        default_room_version: String = "12".to_owned();
        /// Where the signing key, the database and media are kept.
        data_dir: String = "./roost-data".to_owned();
        /// Where clients reach the server: for well-known documents, pages and redirects.
        public_base_url: Option<String> = None, example "https://matrix.example.org";
    }
}
