//! Filters that clients store, known by what they say: the same definition gets the same id.

use roost_store::{UserNo, filters};
use sha2::{Digest, Sha256};

use crate::{Error, Users};

impl Users {
    /// Stores a filter's definition (canonical JSON that has been checked) for a user; its id.
    pub async fn put_filter(&self, user: UserNo, definition: String) -> Result<String, Error> {
        let hash: [u8; 32] = Sha256::digest(definition.as_bytes()).into();
        let known = self.0.store.read(move |read| Ok::<_, Error>(filters::find(read, user, &hash)?)).await?;
        if let Some(known) = known {
            return Ok(known.to_string());
        }
        let write = self.0.store.write(move |tx| Ok::<_, Error>(filters::put(tx, user, &hash, &definition)?));
        Ok(write.await?.to_string())
    }

    /// The definition of a user's filter as JSON.
    pub async fn filter(&self, user: UserNo, filter_id: &str) -> Result<Option<String>, Error> {
        let Ok(filter_no) = filter_id.parse::<i64>() else { return Ok(None) };
        self.0.store.read(move |read| Ok(filters::get(read, user, filter_no)?)).await
    }
}
