//! <https://spec.matrix.org/v1.19/client-server-api/#capabilities-negotiation>

use roost_testkit::Server;

#[tokio::test]
async fn the_room_versions_and_what_can_be_changed_are_told() {
    let server = Server::with(|config| config.top.default_room_version = "11".to_owned()).await;
    let alice = server.register("alice").await;
    let (status, body) = alice.get("/_matrix/client/v3/capabilities").await;
    assert_eq!(status, 200);
    let capabilities = &body["capabilities"];
    assert_eq!(capabilities["m.room_versions"]["default"], "11");
    let available = capabilities["m.room_versions"]["available"].as_object().unwrap();
    assert_eq!(available.len(), 12);
    assert!(available.values().all(|stability| stability == "stable"));
    for (name, enabled) in [
        ("m.change_password", true),
        ("m.set_displayname", true),
        ("m.set_avatar_url", true),
        ("m.profile_fields", true),
        ("m.3pid_changes", false),
        ("m.get_login_token", false),
    ] {
        assert_eq!(capabilities[name]["enabled"], enabled, "{name}");
    }
}
