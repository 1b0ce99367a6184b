//! Associations: binding a proved address to a user, and unbinding it.
//!
//! Spec: <https://spec.matrix.org/v1.19/identity-service-api/#establishing-associations>

use std::{collections::BTreeSet, sync::Arc};

use roost_matrix::ids::{OwnedUserId, ServerName, UserId};
use roost_store::{
    Store, Tx,
    identity_associations::{self, Association},
    identity_invites::{self, Pending},
    identity_peppers,
};
use serde_json::{Value, json};

use crate::{
    Error, Identity, ThirdPartyId, Validated,
    invites::{self, Parcel},
    lookup::hash,
    sessions::{check_opaque, proved},
};

/// How long an association is said to be good for: a hundred years, in milliseconds.
const LIFETIME: u64 = 100 * 365 * 24 * 60 * 60 * 1000;

/// How often a bind is begun anew when invitations arrive in its midst.
const TRIES: usize = 5;

/// The most invitations of an address that are delivered when it is bound.
const MAX_INVITES: i64 = 1000;

/// What a try to bind came to.
enum Outcome {
    Bound,
    /// Other invitations are waiting than those that were signed.
    Changed,
}

impl Identity {
    /// Binds the address that a session has proved to a user, whoever had it before, and answers the signed association.
    /// The user's homeserver is told when invitations are waiting for the address. The specification lets whoever owns an
    /// address bind it to any user.
    pub async fn bind(&self, sid: &str, client_secret: &str, user: &UserId) -> Result<Value, Error> {
        check_opaque(sid, client_secret)?;
        let (sid, secret, user) = (sid.to_owned(), client_secret.to_owned(), user.to_owned());
        for _ in 0..TRIES {
            let now = self.0.world.now_ms();
            let (read_sid, read_secret) = (sid.clone(), secret.clone());
            let read = self.0.store.read(move |read| {
                let validated = proved(read, &read_sid, &read_secret, now)?;
                let pending = identity_invites::pending(read, &validated.medium, &validated.address, MAX_INVITES)?;
                Ok::<_, Error>((validated, pending))
            });
            let (validated, pending) = read.await?;
            let signed = self.sign(&association_json(&validated, &user, now))?;
            let association = Association {
                medium: validated.medium.clone(),
                address: validated.address.clone(),
                user_id: user.clone(),
                bound_at: now,
            };
            let parcels = invites::parcels(self, &association, &signed, &pending)?;
            match self.write_bind(&sid, &secret, association, pending, parcels).await? {
                Outcome::Bound => {
                    metrics::counter!("roost_identity_binds_total").increment(1);
                    return Ok(signed);
                }
                Outcome::Changed => {}
            }
        }
        Err(Error::Store(roost_store::Error::Gone))
    }

    async fn write_bind(
        &self,
        sid: &str,
        secret: &str,
        association: Association,
        pending: Vec<Pending>,
        parcels: Vec<Parcel>,
    ) -> Result<Outcome, Error> {
        let (sid, secret) = (sid.to_owned(), secret.to_owned());
        let tokens: BTreeSet<String> = pending.into_iter().map(|invite| invite.token).collect();
        let (tokens, parcels, now) = (Arc::new(tokens), Arc::new(parcels), association.bound_at);
        let (delivers, known) = (!parcels.is_empty(), Arc::clone(&tokens));
        let write = self.0.store.write(move |tx| {
            // The session may have ended meanwhile.
            proved(tx, &sid, &secret, now)?;
            let Association { medium, address, user_id, .. } = &association;
            let pending = identity_invites::pending(tx, medium, address, MAX_INVITES)?;
            if pending.len() != known.len() || pending.iter().any(|invite| !known.contains(&invite.token)) {
                return Ok::<_, Error>(Outcome::Changed);
            }
            identity_peppers::lock(tx)?;
            let peppers = identity_peppers::in_use(tx)?;
            identity_associations::put(tx, &association, &peppers, hash)?;
            for token in &*tokens {
                identity_invites::bound(tx, token, user_id, now)?;
            }
            for parcel in &*parcels {
                identity_invites::queue(tx, &parcel.id, &parcel.server, &parcel.body, now)?;
            }
            Ok(Outcome::Bound)
        });
        let outcome = write.await?;
        if delivers {
            self.0.parcels.notify_one();
        }
        Ok(outcome)
    }

    /// Unbinds an address that a session has proved.
    pub async fn unbind(&self, sid: &str, client_secret: &str, user: &UserId, id: &ThirdPartyId) -> Result<(), Error> {
        let validated = self.validated(sid, client_secret).await?;
        if validated.medium != id.medium().as_str() || validated.address != id.address() {
            return Err(Error::Forbidden("this session has proved another address"));
        }
        self.remove(id, Some(user)).await.map(drop)
    }

    /// Unbinds an address as the homeserver of its user wants, which has proved to be `origin`.
    pub async fn unbind_for(&self, origin: &ServerName, user: &UserId, id: &ThirdPartyId) -> Result<(), Error> {
        if user.server_name() != origin {
            return Err(Error::Forbidden("a homeserver can unbind the addresses of its own users only"));
        }
        self.remove(id, Some(user)).await.map(drop)
    }

    /// Unbinds an address, from `user` or from whoever has it. Whom it belonged to; `None` when there was nothing to unbind.
    pub async fn remove(&self, id: &ThirdPartyId, user: Option<&UserId>) -> Result<Option<OwnedUserId>, Error> {
        remove(&self.0.store, id, user).await
    }

    /// A user's addresses and since when they are bound, for whoever runs the server: others can not ask for that.
    pub async fn addresses_of(&self, user: &UserId) -> Result<Vec<Association>, Error> {
        let user = user.to_owned();
        self.0.store.read(move |read| Ok(identity_associations::of_user(read, &user)?)).await
    }

    /// Removes all that is kept about an address: association, sessions, invitations. Whether there was anything.
    pub async fn purge_address(&self, id: &ThirdPartyId) -> Result<bool, Error> {
        let was_bound = self.remove(id, None).await?.is_some();
        let (medium, address) = (id.medium().as_str(), id.address().to_owned());
        let write = self.0.store.write(move |tx| {
            let sessions = roost_store::identity_sessions::delete_of(tx, medium, &address)?;
            let invites = identity_invites::delete_of(tx, medium, &address)?;
            Ok::<_, Error>(sessions + invites)
        });
        Ok(write.await? > 0 || was_bound)
    }

    /// Removes all that is kept about a user: associations, account, access tokens, accepted terms. How many associations
    /// there were, and whether there was an account.
    pub async fn purge_user(&self, user: &UserId) -> Result<(usize, bool), Error> {
        let mut removed = 0;
        for association in self.addresses_of(user).await? {
            let id = ThirdPartyId::named(&association.medium, &association.address)?;
            removed += usize::from(self.remove(&id, Some(user)).await?.is_some());
        }
        Ok((removed, self.delete_account(user).await?))
    }
}

async fn remove(store: &Store, id: &ThirdPartyId, user: Option<&UserId>) -> Result<Option<OwnedUserId>, Error> {
    let (medium, address) = (id.medium().as_str(), id.address().to_owned());
    let user = user.map(ToOwned::to_owned);
    let find = move |tx: &Tx<'_>| {
        let found = identity_associations::get(tx, medium, &address)?;
        Ok::<_, Error>(found.filter(|found| user.as_ref().is_none_or(|user| *user == found.user_id)))
    };
    let write = store.write(move |tx| {
        if find(tx)?.is_none() {
            return Ok(None);
        }
        identity_peppers::lock(tx)?;
        // Read again under the lock: another node may have changed it.
        let Some(association) = find(tx)? else { return Ok(None) };
        let peppers = identity_peppers::in_use(tx)?;
        identity_associations::delete(tx, &association, &peppers, hash)?;
        Ok::<_, Error>(Some(association.user_id))
    });
    let removed = write.await?;
    if removed.is_some() {
        metrics::counter!("roost_identity_unbinds_total").increment(1);
    }
    Ok(removed)
}

fn association_json(validated: &Validated, user: &UserId, now: u64) -> Value {
    json!({
        "address": validated.address,
        "medium": validated.medium,
        "mxid": user,
        "not_before": now,
        "not_after": now.saturating_add(LIFETIME),
        "ts": now,
    })
}
