//! What holds for any bytes. The fuzz targets (`crates/matrix/fuzz`) include this file.

use roost_matrix::{
    canonical_json::{self, Integers},
    event::{ClientForm, Pdu},
    room_version::RoomVersion,
};

/// The canonical form is JSON, its own canonical form, and within the depth limit.
pub(crate) fn canonical_json(bytes: &[u8]) {
    for integers in [Integers::Strict, Integers::Lenient] {
        if let Ok(canonical) = canonical_json::canonicalize(bytes, integers) {
            assert!(serde_json::from_slice::<serde_json::Value>(&canonical).is_ok());
            assert_eq!(canonical_json::canonicalize(&canonical, integers).as_ref(), Ok(&canonical));
            assert_eq!(canonical_json::check_depth(bytes), Ok(()));
        }
    }
}

/// An event read is the event read back, its redaction keeps its hash, and its client form is JSON.
pub(crate) fn pdu(bytes: &[u8]) {
    for version in RoomVersion::ALL {
        let Ok(pdu) = Pdu::parse(bytes, version.rules()) else { continue };
        assert_eq!(Pdu::parse(pdu.json(), version.rules()).as_ref(), Ok(&pdu));
        let stored =
            Pdu::from_stored(pdu.json(), pdu.event_id().to_owned(), version.rules()).expect("it was written here");
        assert_eq!(stored, pdu);
        let redacted = pdu.redacted();
        assert_eq!(redacted.reference_hash(), pdu.reference_hash());
        assert_eq!(redacted.redacted(), redacted);
        let mut out = Vec::new();
        pdu.write_client(&mut out, ClientForm::WithRoomId, None);
        assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
    }
}
