//! Invitations that answer an `m.room.third_party_invite`: the invited user's server shows a block signed by a key that
//! the room's event names.

use serde::Deserialize;

use super::{Denied, Raw, StateView};
use crate::{
    base64,
    event::Pdu,
    signing::{self, PublicKey},
};

#[derive(Deserialize)]
struct ThirdPartyInvite<'a> {
    #[serde(borrow, default)]
    signed: Raw<'a>,
}

#[derive(Deserialize)]
struct Signed<'a> {
    #[serde(borrow, default)]
    mxid: Raw<'a>,
    #[serde(borrow, default)]
    token: Raw<'a>,
}

#[derive(Deserialize, Default)]
struct Keys<'a> {
    #[serde(borrow, default)]
    public_key: Raw<'a>,
    #[serde(borrow, default)]
    public_keys: Raw<'a>,
}

/// The rule "if `content` has a `third_party_invite` property", from its second step on.
pub(super) fn check(pdu: &Pdu, target: &str, invite: Raw<'_>, state: &dyn StateView) -> Result<(), Denied> {
    let invite = invite.read::<ThirdPartyInvite<'_>>().ok_or(Denied::ThirdPartyUnsigned)?;
    let signed = invite.signed.read::<Signed<'_>>().ok_or(Denied::ThirdPartyUnsigned)?;
    let (Some(mxid), Some(token)) = (signed.mxid.string(), signed.token.string()) else {
        return Err(Denied::ThirdPartyUnsigned);
    };
    if mxid != target {
        return Err(Denied::ThirdPartyForAnother);
    }
    let event = state.get("m.room.third_party_invite", &token).ok_or(Denied::ThirdPartyUnknown)?;
    if event.sender() != pdu.sender() {
        return Err(Denied::ThirdPartyByAnother);
    }

    let keys = public_keys(event.content());
    let block = invite.signed.text().unwrap_or_default();
    if signing::signed_by_any(block.as_bytes(), &keys) { Ok(()) } else { Err(Denied::ThirdPartySignature) }
}

/// `public_key` and those of `public_keys`; what is no Ed25519 key is passed over.
fn public_keys(content: &str) -> Vec<PublicKey> {
    let content = serde_json::from_str::<Keys<'_>>(content).unwrap_or_default();
    let more = content.public_keys.read::<Vec<Raw<'_>>>().unwrap_or_default();
    let more = more.into_iter().filter_map(|entry| Some(entry.read::<Keys<'_>>()?.public_key));
    std::iter::once(content.public_key).chain(more).filter_map(|key| decode(&key.string()?)).collect()
}

/// A key in either alphabet.
fn decode(text: &str) -> Option<PublicKey> {
    let bytes = base64::decode_exact(text).ok().or_else(|| base64::decode_url(text).ok()?.try_into().ok())?;
    PublicKey::from_bytes(&bytes).ok()
}
