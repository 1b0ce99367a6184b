"""Synapse's own event code as a second opinion, over a pipe.

Reads one JSON object a line from standard input: {"op": NAME, ...arguments}. Answers each with one line: {"ok": RESULT} or
{"error": TEXT}. Run with a Python that has `matrix-synapse` installed; crates/matrix/tests/it/oracle.rs drives it.

An operation is a function decorated with @operation; its keyword arguments are the request's members. Events and other JSON
under test come as text, so that Synapse's own parser reads them.
"""

import json
import os
import sys

# The folder of this script must not shadow modules.
sys.path[:] = [path for path in sys.path if path not in ("", os.path.dirname(os.path.abspath(__file__)))]

from canonicaljson import encode_canonical_json  # noqa: E402
from signedjson.key import decode_signing_key_base64, decode_verify_key_base64  # noqa: E402
from signedjson.sign import sign_json, verify_signed_json  # noqa: E402
from synapse.api.room_versions import KNOWN_ROOM_VERSIONS  # noqa: E402
from synapse.crypto.event_signing import (  # noqa: E402
    check_event_content_hash,
    compute_content_hash,
    compute_event_reference_hash,
    compute_event_signature,
)
from synapse.events.utils import prune_event, validate_canonicaljson  # noqa: E402
from synapse.federation.federation_base import event_from_pdu_json  # noqa: E402
from unpaddedbase64 import encode_base64  # noqa: E402
import hashlib  # noqa: E402

OPERATIONS = {}


def operation(function):
    OPERATIONS[function.__name__] = function
    return function


def canonical(value):
    return encode_canonical_json(value).decode("utf-8")


def version_of(name):
    return KNOWN_ROOM_VERSIONS[name]


def event_of(text, version):
    return event_from_pdu_json(json.loads(text), version_of(version))


@operation
def canonical_json(text, strict):
    """The canonical form of a text; `strict` as room versions 6 and later ask."""
    value = json.loads(text)
    if strict:
        validate_canonicaljson(value)
    return canonical(value)


@operation
def describe_event(text, version):
    """What follows from an event's bytes alone."""
    event = event_of(text, version)
    _, content_hash = compute_content_hash(event.get_pdu_json(), hashlib.sha256)
    _, reference_hash = compute_event_reference_hash(event)
    try:
        hash_matches = check_event_content_hash(event)
    except Exception:
        hash_matches = False
    pruned = dict(prune_event(event).get_pdu_json())
    pruned.pop("unsigned", None)
    return {
        "event_id": event.event_id,
        "room_id": event.room_id,
        "content_hash": encode_base64(content_hash),
        "reference_hash": encode_base64(reference_hash),
        "content_hash_matches": hash_matches,
        "redacted": canonical(pruned),
        "prev_events": list(event.prev_event_ids()),
        "auth_events": list(event.auth_event_ids()),
    }


@operation
def sign_event(text, version, server, key_version, seed):
    """The signature of an event."""
    key = decode_signing_key_base64("ed25519", key_version, seed)
    signatures = compute_event_signature(version_of(version), json.loads(text), server, key)
    return signatures[server]["ed25519:" + key_version]


@operation
def sign_object(text, entity, key_version, seed):
    """A signed JSON object in canonical form."""
    key = decode_signing_key_base64("ed25519", key_version, seed)
    return canonical(sign_json(json.loads(text), entity, key))


@operation
def verify_object(text, entity, key_id, public_key):
    """Whether a JSON object is signed by an entity."""
    algorithm, _, version = key_id.partition(":")
    key = decode_verify_key_base64(algorithm, version, public_key)
    try:
        verify_signed_json(json.loads(text), entity, key)
    except Exception:
        return False
    return True


def main():
    # What Synapse prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"ok": OPERATIONS[request.pop("op")](**request)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
