//! The keys that associations and invitations are signed with.
//!
//! Spec: <https://spec.matrix.org/v1.19/identity-service-api/#key-management>

use std::sync::{Arc, PoisonError, RwLock};

use roost_matrix::{base64, ids, signing::KeyPair};
use roost_store::{
    Store,
    identity_keys::{self, IdentityKey},
};
use roost_world::World;

use crate::{Error, Identity};

/// The key that signs, and all whose signatures are still good.
pub(crate) struct Keys {
    pub(crate) current: KeyPair,
    pub(crate) public: Vec<PublicKey>,
}

/// A long-term key, as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// Its id, such as `ed25519:abc`.
    pub key_id: String,
    /// The key in unpadded Base64.
    pub public_key: String,
    /// When it was made.
    pub created_at: u64,
    /// When another one took over; what it has signed stays good.
    pub retired_at: Option<u64>,
}

/// The keys in memory; replaced as a whole when they change.
pub(crate) struct Ring(RwLock<Arc<Keys>>);

impl Ring {
    /// Reads the keys; makes one on the first start.
    pub(crate) async fn open(store: &Store, world: &World) -> Result<Self, Error> {
        let new = make(world);
        store.write(move |tx| Ok::<_, Error>(identity_keys::first(tx, &new)?)).await?;
        Ok(Self(RwLock::new(Arc::new(load(store).await?))))
    }

    pub(crate) fn get(&self) -> Arc<Keys> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, keys: Keys) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }
}

async fn load(store: &Store) -> Result<Keys, Error> {
    let all = store.read(|read| Ok::<_, Error>(identity_keys::list(read)?)).await?;
    let current = all.iter().rev().find(|key| key.retired_at.is_none());
    let current = current.ok_or(Error::Unusable("the identity server has no key to sign with"))?;
    let version = current.key_id.strip_prefix("ed25519:").filter(|version| ids::is_key_version(version));
    let version = version.ok_or(Error::Unusable("the identity server's key has no valid id"))?;
    let public = all.iter().map(|key| PublicKey {
        key_id: key.key_id.clone(),
        public_key: key.public_key.clone(),
        created_at: key.created_at,
        retired_at: key.retired_at,
    });
    Ok(Keys { current: KeyPair::from_seed(current.seed, version), public: public.collect() })
}

/// A new long-term key.
fn make(world: &World) -> IdentityKey {
    let (seed, public_key) = legible(world);
    let key_id = format!("ed25519:i_{}", world.random_text(6));
    IdentityKey { key_id, seed, public_key, created_at: world.now_ms(), retired_at: None }
}

/// A key pair's seed and its public half in Base64. Keys travel in queries and come in both alphabets of Base64, and not
/// everybody minds that: of these the text is the same in both, and needs no escaping.
pub(crate) fn legible(world: &World) -> ([u8; 32], String) {
    loop {
        let seed = world.random_bytes();
        let public_key = base64::encode(&KeyPair::from_seed(seed, "0").public_key());
        if !public_key.contains(['+', '/']) {
            return (seed, public_key);
        }
    }
}

impl Identity {
    /// The long-term keys, oldest first.
    #[must_use]
    pub fn keys(&self) -> Vec<PublicKey> {
        self.0.ring.get().public.clone()
    }

    /// The long-term key of that id.
    #[must_use]
    pub fn key(&self, key_id: &str) -> Option<PublicKey> {
        self.0.ring.get().public.iter().find(|key| key.key_id == key_id).cloned()
    }

    /// Whether this is one of the long-term keys, in either alphabet of Base64.
    #[must_use]
    pub fn is_key(&self, public_key: &str) -> bool {
        // 44 characters are 32 bytes with their padding.
        let Ok(wanted) = base64::decode_any(public_key.get(..44).unwrap_or(public_key)) else { return false };
        public_key.len() <= 44
            && self.0.ring.get().public.iter().any(|key| base64::decode(&key.public_key).is_ok_and(|key| key == wanted))
    }

    /// Whether this is the ephemeral key of an invitation, by the very text that was handed out.
    pub async fn is_ephemeral_key(&self, public_key: &str) -> Result<bool, Error> {
        let public_key = public_key.to_owned();
        self.0.store.read(move |read| Ok(roost_store::identity_invites::has_key(read, &public_key)?)).await
    }

    /// Makes a new long-term key, which signs from now on. The ones before stay good for what they have signed.
    pub async fn rotate_key(&self) -> Result<PublicKey, Error> {
        let new = make(&self.0.world);
        let key_id = new.key_id.clone();
        self.0.store.write(move |tx| Ok::<_, Error>(identity_keys::rotate(tx, &new)?)).await?;
        self.0.ring.set(load(&self.0.store).await?);
        self.key(&key_id).ok_or(Error::Unusable("the new key has vanished"))
    }
}
