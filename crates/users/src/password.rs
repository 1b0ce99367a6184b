//! Passwords: argon2id, on the bounded pool for CPU-heavy work.

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use roost_world::World;

use crate::Error;

/// The longest password that is hashed, in bytes. Longer ones are refused, not cut.
pub const MAX_PASSWORD_BYTES: usize = 512;

/// What hashing a password costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
}

impl Default for HashCost {
    /// What OWASP recommends as the minimum for argon2id with one lane.
    fn default() -> Self {
        Self { memory_kib: Params::DEFAULT_M_COST, passes: Params::DEFAULT_T_COST }
    }
}

impl HashCost {
    /// So cheap that it protects nothing: for tests and conformance runs that create hundreds of accounts.
    pub const CHEAPEST: Self = Self { memory_kib: Params::MIN_M_COST, passes: Params::MIN_T_COST };
}

/// Hashes and verifies passwords.
#[derive(Clone, Debug)]
pub(crate) struct Hasher {
    world: World,
    argon2: Argon2<'static>,
    /// Verified in place of the hash of an account that does not exist, so that the answer takes as long.
    decoy: String,
}

impl Hasher {
    /// A hasher for new passwords of the given cost; old hashes carry their own.
    pub(crate) async fn new(cost: HashCost, world: World) -> Result<Self, Error> {
        let params = Params::new(cost.memory_kib, cost.passes, 1, None).map_err(|_| Error::Hashing)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut hasher = Self { decoy: String::new(), argon2, world };
        hasher.decoy = hasher.hash(hasher.world.random_text(16)).await?;
        Ok(hasher)
    }

    /// The PHC string of a new password.
    pub(crate) async fn hash(&self, password: String) -> Result<String, Error> {
        let argon2 = self.argon2.clone();
        let salt = self.world.random_bytes::<16>();
        let hash = self.world.cpu(move || {
            let hash: Result<PasswordHash, _> = argon2.hash_password_with_salt(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string())
        });
        hash.await.and_then(Result::ok).ok_or(Error::Hashing)
    }

    /// Whether `password` is the one behind `stored`. With nothing stored it takes as long and says no.
    pub(crate) async fn verify(&self, password: String, stored: Option<String>) -> Result<bool, Error> {
        if password.len() > MAX_PASSWORD_BYTES {
            return Ok(false);
        }
        let known = stored.is_some();
        let hash = stored.unwrap_or_else(|| self.decoy.clone());
        let argon2 = self.argon2.clone();
        // The cost is the one written in the hash, not the hasher's own.
        let matches = self.world.cpu(move || argon2.verify_password(password.as_bytes(), hash.as_str()).is_ok());
        Ok(matches.await.ok_or(Error::Hashing)? && known)
    }
}
