//! Invitations of addresses that nobody has bound.
//!
//! Spec: <https://spec.matrix.org/v1.19/identity-service-api/#invitation-storage>

use roost_matrix::{
    base64,
    ids::{OwnedServerName, OwnedUserId, RoomId, UserId},
    signing::{self, KeyPair},
};
use roost_store::{
    identity_associations::{self, Association},
    identity_invites::{self, Delivery, Invite, Pending},
};
use serde_json::{Map, Value, json};

use crate::{Account, Error, Identity, Medium, ThirdPartyId, keys::legible};

/// The most invitations in one request to a homeserver.
const AT_ONCE: usize = 50;

/// The longest token and private key that are looked at, in bytes.
const MAX_TOKEN: usize = 255;

/// What an invitation says beside the address, for the mail. Nothing of it is kept but room and sender.
#[derive(Clone, Debug, Default)]
pub struct InviteDetails {
    /// The room's alias.
    pub room_alias: Option<String>,
    /// The room's avatar.
    pub room_avatar_url: Option<String>,
    /// The room's join rule.
    pub room_join_rules: Option<String>,
    /// The room's name.
    pub room_name: Option<String>,
    /// The room's type, such as `m.space`.
    pub room_type: Option<String>,
    /// The inviter's name.
    pub sender_display_name: Option<String>,
    /// The inviter's avatar.
    pub sender_avatar_url: Option<String>,
}

/// An invitation that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its token.
    pub token: String,
    /// The server's long-term key.
    pub public_key: String,
    /// The key that was made for it.
    pub ephemeral_key: String,
    /// The address, so that only who knows it can recognise it.
    pub display_name: String,
}

/// What a homeserver is to be told.
pub(crate) struct Parcel {
    pub(crate) id: String,
    pub(crate) server: OwnedServerName,
    pub(crate) body: String,
}

impl Identity {
    /// Stores an invitation and sends a mail with it.
    pub async fn store_invite(
        &self,
        account: &Account,
        id: &ThirdPartyId,
        room_id: &RoomId,
        sender: &UserId,
        details: &InviteDetails,
    ) -> Result<Stored, Error> {
        if id.medium() != Medium::Email {
            return Err(Error::InviteMedium);
        }
        if account.user_id != *sender {
            return Err(Error::Forbidden("the sender of an invitation is whoever the access token belongs to"));
        }
        let token = self.0.world.random_text(64);
        let (seed, ephemeral_key) = legible(&self.0.world);
        let now = self.0.world.now_ms();
        let write = {
            let (id, room_id, sender) = (id.clone(), room_id.to_owned(), sender.to_owned());
            let (token, public_key) = (token.clone(), ephemeral_key.clone());
            self.0.store.write(move |tx| {
                let (medium, address) = (id.medium().as_str(), id.address());
                if let Some(bound) = identity_associations::get(tx, medium, address)? {
                    return Err(Error::InUse(bound.user_id));
                }
                let invite = Invite {
                    token: &token,
                    medium,
                    address,
                    room_id: &room_id,
                    sender: &sender,
                    public_key: &public_key,
                };
                identity_invites::insert(tx, &invite, now)?;
                Ok(())
            })
        };
        write.await?;
        let private_key = base64::encode(&seed);
        let sent = self.mail_invite(id, room_id, sender, details, &token, &private_key).await;
        if let Err(error) = sent {
            // Nobody would ever hear of it.
            let token = token.clone();
            self.0.store.write(move |tx| Ok::<_, Error>(identity_invites::delete(tx, &token)?)).await?;
            return Err(error);
        }
        let public_key = self.0.ring.get();
        let current = public_key.public.iter().find(|key| key.key_id == public_key.current.key_id());
        let public_key = current.ok_or(Error::Unusable("the identity server has no key to sign with"))?;
        Ok(Stored { token, public_key: public_key.public_key.clone(), ephemeral_key, display_name: id.redacted() })
    }

    /// Signs that a user accepts an invitation, with the key that came with its mail.
    ///
    /// Spec: <https://spec.matrix.org/v1.19/identity-service-api/#ephemeral-invitation-signing>
    pub async fn sign_invite(&self, user: &UserId, token: &str, private_key: &str) -> Result<Value, Error> {
        let wrong = Error::InvalidParam("private_key is not an ed25519 key in unpadded Base64");
        if token.len() > MAX_TOKEN || private_key.len() > MAX_TOKEN {
            return Err(if token.len() > MAX_TOKEN { Error::UnknownInvite } else { wrong });
        }
        let Some(seed) = base64::decode_any(private_key).ok().and_then(|seed| seed.try_into().ok()) else {
            return Err(wrong);
        };
        let sender = self.sender(token).await?;
        let signed = json!({ "mxid": user, "sender": sender, "token": token });
        self.sign_with(&signed, &KeyPair::from_seed(seed, "0"))
    }

    async fn sender(&self, token: &str) -> Result<OwnedUserId, Error> {
        let token = token.to_owned();
        let read = self.0.store.read(move |read| Ok::<_, Error>(identity_invites::sender(read, &token)?));
        read.await?.ok_or(Error::UnknownInvite)
    }

    /// What homeservers are still to be told, oldest first, at most 1000.
    pub async fn deliveries(&self) -> Result<Vec<Delivery>, Error> {
        self.0.store.read(|read| Ok(identity_invites::waiting(read, 1000)?)).await
    }

    /// Signs a JSON object with the long-term key.
    pub(crate) fn sign(&self, object: &Value) -> Result<Value, Error> {
        self.sign_with(object, &self.0.ring.get().current)
    }

    fn sign_with(&self, object: &Value, key: &KeyPair) -> Result<Value, Error> {
        let unfit = |_| Error::InvalidParam("this can not be signed");
        let signed = signing::sign_json(object.to_string().as_bytes(), self.0.options.server_name.as_str(), key);
        serde_json::from_slice(&signed.map_err(unfit)?).map_err(|_| Error::Unusable("what was signed is not JSON"))
    }
}

/// What the homeserver of a user is to be told who has bound an address: the invitations that wait for it, each signed, and
/// the whole signed once more. Nothing when none are waiting.
pub(crate) fn parcels(
    identity: &Identity,
    association: &Association,
    signed: &Value,
    pending: &[Pending],
) -> Result<Vec<Parcel>, Error> {
    let Association { medium, address, user_id, .. } = association;
    let mut parcels = Vec::new();
    for invites in pending.chunks(AT_ONCE) {
        let invites: Vec<Value> = invites
            .iter()
            .map(|invite| {
                let signed = identity.sign(&json!({ "mxid": user_id, "token": invite.token }))?;
                Ok(json!({
                    "medium": medium,
                    "address": address,
                    "mxid": user_id,
                    "room_id": invite.room_id,
                    "sender": invite.sender,
                    "signed": signed,
                }))
            })
            .collect::<Result<_, Error>>()?;
        let mut body: Map<String, Value> = signed.as_object().cloned().unwrap_or_default();
        body.remove("signatures");
        body.insert("invites".to_owned(), invites.into());
        let body = identity.sign(&Value::Object(body))?;
        let id = identity.0.world.random_text(24);
        parcels.push(Parcel { id, server: user_id.server_name().to_owned(), body: body.to_string() });
    }
    Ok(parcels)
}
