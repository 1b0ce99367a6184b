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
from synapse import event_auth  # noqa: E402
from synapse.api.room_versions import KNOWN_ROOM_VERSIONS, StateResolutionVersions  # noqa: E402
from synapse.crypto.event_signing import (  # noqa: E402
    check_event_content_hash,
    compute_content_hash,
    compute_event_reference_hash,
    compute_event_signature,
)
from synapse.events.utils import prune_event, validate_canonicaljson  # noqa: E402
from synapse.federation.federation_base import event_from_pdu_json  # noqa: E402
from synapse.state import v1 as state_v1, v2 as state_v2  # noqa: E402
from synapse.storage.databases.main.event_federation import StateDifference  # noqa: E402
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


def finish(coroutine):
    """Runs a coroutine that never really waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("waits for something")


class Clock:
    async def sleep(self, _):
        pass


class Room:
    """The events of a room, in place of Synapse's database."""

    def __init__(self, version, events):
        self.version = version_of(version)
        self.events = {}
        for text in events:
            event = event_of(text, version)
            self.events[event.event_id] = event
        # What lies between the states, as the specification defines it and the caller has worked it out.
        self.difference = set()
        self.subgraph = None

    async def get_events(self, event_ids, *_, **__):
        return {event_id: self.events[event_id] for event_id in event_ids if event_id in self.events}

    async def get_auth_chain_difference(self, room_id, state_sets, conflicted_state, *_):
        return StateDifference(
            auth_difference=set(self.difference),
            conflicted_subgraph=None if conflicted_state is None else set(self.subgraph),
        )

    def allowed(self, event_id, state):
        event = self.events[event_id]
        finish(event_auth.check_state_independent_auth_rules(self, event))
        event_auth.check_state_dependent_auth_rules(event, [self.events[event_id] for _, _, event_id in state])

    def resolve(self, states, auth_difference, conflicted_subgraph):
        self.difference, self.subgraph = set(auth_difference), set(conflicted_subgraph)
        room_id = next(iter(self.events.values())).room_id
        states = [{(kind, key): event_id for kind, key, event_id in state} for state in states]
        if self.version.state_res == StateResolutionVersions.V1:
            resolution = state_v1.resolve_events_with_store(
                room_id, self.version, states, event_map=None, state_map_factory=self.get_events
            )
        else:
            resolution = state_v2.resolve_events_with_store(
                Clock(), room_id, self.version, states, event_map=None, state_res_store=self
            )
        return [[kind, key, event_id] for (kind, key), event_id in finish(resolution).items()]


@operation
def room(version, events, tried, merges):
    """Which events Synapse allows on some states (nothing, or why not), and what some states resolve to."""
    the_room = Room(version, events)
    allowed = []
    for case in tried:
        try:
            the_room.allowed(case["event"], case["state"])
            allowed.append(None)
        except Exception as error:
            allowed.append(f"{type(error).__name__}: {error}")
    return {"allowed": allowed, "resolved": [the_room.resolve(**merge) for merge in merges]}


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
