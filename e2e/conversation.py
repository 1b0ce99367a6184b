"""What the two say to each other, and what must hold of it."""

import random
import time
import urllib.parse

from checks import eventually, expect
from clients import Failure, Plain

PASSWORD = "a password for the end-to-end test"
LANES = 3
PAGE = 20


def hold(checks, place, client, options):
    with checks.check("a message that is lost, doubled or out of order would be noticed"):
        notices()
    url = place.start()
    alice, bob = client("js", "alice-js"), client("nio", "bob-nio")
    stamp = f"{int(time.time()):x}"
    names = {"alice": f"alice{stamp}", "bob": f"bob{stamp}"}
    for one in (alice, bob):
        one.open(url=url)
    who = register(checks, place, alice, bob, names)
    plain = Plain(url, who["alice"]["token"])
    talk = Talk(checks, plain, alice, bob, who)
    talk.meet()
    talk.converse()
    talk.notice_each_other()
    talk.look_back(client, url, names)
    talk.second_room()
    if place.can_be_killed:
        for number in range(1, options.kills + 1):
            talk.survive(place, number, options.messages)
        talk.still_there(place)
        with checks.check("the server ends cleanly within 5 seconds when asked to"):
            status, taken = place.end()
            expect(status == 0, f"exit status {status}")
            expect(taken <= 5, f"it took {taken:.1f} s")
    else:
        talk.flood_without_killing(options.messages)


def register(checks, place, alice, bob, names):
    who = {}
    if place.registration_token:
        with checks.check("registration with a wrong token is refused"):
            try:
                alice.register(username=names["alice"], password=PASSWORD, token="not-the-token")
            except Failure as refused:
                expect("401" in str(refused), str(refused))
            else:
                raise AssertionError("it was accepted")
        with checks.check("matrix-js-sdk registers with a registration token"):
            who["alice"] = alice.register(username=names["alice"], password=PASSWORD, token=place.registration_token)
        # The other SDK knows no way through a flow that is the token alone.
        place.open_registration()
    else:
        with checks.check("matrix-js-sdk registers"):
            who["alice"] = alice.register(username=names["alice"], password=PASSWORD)
    with checks.check("matrix-nio registers where registration is open"):
        who["bob"] = bob.register(username=names["bob"], password=PASSWORD)
    with checks.check("a name that is taken can not be registered again"):
        try:
            bob.register(username=names["alice"], password=PASSWORD)
        except Failure as refused:
            expect("M_USER_IN_USE" in str(refused), str(refused))
        else:
            raise AssertionError("it was accepted")
    # That attempt made the SDK forget who it is.
    bob.login(username=names["bob"], password=PASSWORD)
    for one in (alice, bob):
        one.start(limit=8)
    return who


class Talk:
    def __init__(self, checks, plain, alice, bob, who):
        self.checks = checks
        self.plain = plain
        self.alice = alice
        self.bob = bob
        self.alice_id = who["alice"]["user"]
        self.bob_id = who["bob"]["user"]
        self.devices = {one: one.whoami()["device_id"] for one in (alice, bob)}
        self.room = None
        self.said = []

    def meet(self):
        with self.checks.check("matrix-js-sdk creates a room and invites"):
            self.room = self.alice.createRoom(options={"preset": "private_chat", "name": "The Perch"})
            self.alice.invite(room=self.room, user=self.bob_id)
        with self.checks.check("matrix-nio sees the invitation and joins"):
            eventually("the invitation", lambda: self.bob.membership(room=self.room) == "invite")
            self.bob.join(room=self.room)
            eventually("the own membership", lambda: self.bob.membership(room=self.room) == "join")
        with self.checks.check("matrix-js-sdk sees that the invited user has joined"):
            see = lambda: self.alice.membership(room=self.room, user=self.bob_id) == "join"  # noqa: E731
            eventually("the other's membership", see)

    def say(self, one, body, room=None):
        event = one.send(room=room or self.room, body=body)
        self.said.append((event, body))
        return event

    def has(self, one, event, room=None):
        return any(message["id"] == event for message in one.live(room=room or self.room))

    def converse(self):
        with self.checks.check("both talk and hear each other, in order"):
            for turn in range(10):
                speaker, listener = (self.alice, self.bob) if turn % 2 == 0 else (self.bob, self.alice)
                event = self.say(speaker, f"turn {turn} of {speaker.name}")
                eventually(f"turn {turn}", lambda: self.has(listener, event))
            for one in (self.alice, self.bob):
                eventually("the own last message", lambda: self.has(one, self.said[-1][0]))
                heard = [(message["id"], message["body"]) for message in one.live(room=self.room)]
                expect(heard == self.said, f"{one.name} heard {heard} in place of {self.said}")

    def notice_each_other(self):
        pairs = [(self.alice, self.alice_id, self.bob), (self.bob, self.bob_id, self.alice)]
        for typist, user, watcher in pairs:
            with self.checks.check(f"{watcher.name} sees {typist.name} begin and stop typing"):
                typist.typing(room=self.room, typing=True)
                eventually("typing", lambda: watcher.isTyping(room=self.room, user=user))
                typist.typing(room=self.room, typing=False)
                eventually("no typing", lambda: not watcher.isTyping(room=self.room, user=user))
        for reader, user, watcher in pairs:
            with self.checks.check(f"{watcher.name} sees how far {reader.name} has read"):
                event = self.said[-1][0] if reader is self.bob else self.say(self.bob, "read this")
                eventually("the message to be read", lambda: self.has(reader, event) and self.has(watcher, event))
                reader.receipt(room=self.room, event=event)
                eventually("the receipt", lambda: watcher.readUpTo(room=self.room, user=user) == event)

    def look_back(self, client, url, names):
        """New devices of both, which find little in their first sync and page back to the beginning."""
        for number in range(70):
            self.say(self.alice if number % 3 else self.bob, f"something to look back on, {number}")
        for kind, name, sdk in (("js", "alice", "matrix-js-sdk"), ("nio", "bob", "matrix-nio")):
            with self.checks.check(f"{sdk} pages back through the history on a new device"):
                later = client(kind, f"{name}-{kind}-later")
                later.open(url=url)
                later.login(username=names[name], password=PASSWORD)
                later.start(limit=8)
                eventually("the room", lambda: later.membership(room=self.room) == "join")
                history = later.history(room=self.room, page=PAGE)
                seen = [(message["id"], message["body"]) for message in history["messages"]]
                expect(seen == self.said, f"{len(seen)} messages in place of {len(self.said)}: {seen}")
                expect(history["first"] == "m.room.create", f"it begins with {history['first']}")
                expect(history["pages"] >= 3, f"{history['pages']} pages are too few to prove anything")
                later.close()
        with self.checks.check("/messages gives the same history forwards and backwards"):
            for backwards in (True, False):
                found = [(message["id"], message["body"]) for message in self.plain.messages(self.room, backwards)]
                expect(found == self.said, f"{len(found)} messages in place of {len(self.said)}")

    def second_room(self):
        with self.checks.check("matrix-nio creates a room and matrix-js-sdk joins it"):
            room = self.bob.createRoom(options={"name": "The other one", "invite": [self.alice_id]})
            eventually("the invitation", lambda: self.alice.membership(room=room) == "invite")
            self.alice.join(room=room)
            eventually("the own membership", lambda: self.alice.membership(room=room) == "join")
            event = self.bob.send(room=room, body="welcome")
            eventually("the welcome", lambda: self.has(self.alice, event, room))

    def flood(self, name, count):
        for one in (self.alice, self.bob):
            one.flood(room=self.room, name=f"{name} {one.name}", lanes=LANES, count=count, pauseMs=6)

    def flooded(self, name):
        return [one.flooded(name=f"{name} {one.name}") for one in (self.alice, self.bob)]

    def survive(self, place, number, count):
        checks, name = self.checks, f"kill {number}"
        self.flood(name, count)
        # Somewhere in the middle, at another place each time.
        threshold = LANES * count * random.uniform(0.2, 0.8)
        with checks.check(f"{name}: killed in the midst of sends, the server starts again on the same data"):
            midst = lambda: sum(len(flood["sent"]) for flood in self.flooded(name)) >= threshold  # noqa: E731
            eventually("enough sends", midst, timeout=60)
            place.kill()
            expect(not any(flood["done"] for flood in self.flooded(name)), "a sender was done before the kill")
            # The clients meet a server that is not there.
            time.sleep(random.uniform(0.1, 0.5))
            place.start()
        with checks.check(f"{name}: the senders go on and come to their end"):
            everybody = lambda: all(flood["done"] for flood in self.flooded(name))  # noqa: E731
            eventually("the end of the sends", everybody, timeout=120)
        sent = [entry for flood in self.flooded(name) for entry in flood["sent"]]
        self.once_and_in_order(name, sent, 2 * LANES * count)
        with checks.check(f"{name}: both SDKs go on syncing without another login"):
            for speaker, listener in ((self.alice, self.bob), (self.bob, self.alice)):
                event = speaker.send(room=self.room, body=f"still there after {name}?")
                eventually("a message after the kill", lambda: self.has(listener, event), timeout=60)
                expect(speaker.whoami()["device_id"] == self.devices[speaker], "the device is another one")

    def flood_without_killing(self, count):
        self.flood("flood", count)
        with self.checks.check("six senders at once come to their end"):
            everybody = lambda: all(flood["done"] for flood in self.flooded("flood"))  # noqa: E731
            eventually("the end of the sends", everybody, timeout=600)
        sent = [entry for flood in self.flooded("flood") for entry in flood["sent"]]
        self.once_and_in_order("flood", sent, 2 * LANES * count)

    def once_and_in_order(self, name, sent, count):
        """Every acknowledged message is there once and in order, wherever one looks."""
        of_this = lambda messages: [one for one in messages if one["body"].startswith(f"{name} ")]  # noqa: E731
        with self.checks.check(f"{name}: every message is acknowledged, each with an id of its own"):
            expect(len(sent) == count, f"{len(sent)} of {count}")
            expect(len({entry["id"] for entry in sent}) == count, "an event id was given twice")
        forwards = of_this(self.plain.messages(self.room, backwards=False))
        with self.checks.check(f"{name}: /messages has every acknowledged message once and in order"):
            verify(sent, forwards)
            expect(forwards == of_this(self.plain.messages(self.room, backwards=True)), "backwards it is another history")
        for one in (self.alice, self.bob):
            with self.checks.check(f"{name}: {one.name} has every acknowledged message once and in order"):
                last = forwards[-1]["id"]
                eventually("the last message", lambda: self.has(one, last), timeout=60)
                history = of_this(one.history(room=self.room, page=PAGE)["messages"])
                expect(history == forwards, f"its history differs: {differences(history, forwards)}")
                lived = of_this(one.live(room=self.room))
                expect(subsequence(lived, forwards), f"what it heard live differs: {differences(lived, forwards)}")

    def still_there(self, place):
        with self.checks.check("what was said before the first kill is still there, once and in order"):
            found = [(message["id"], message["body"]) for message in self.plain.messages(self.room, backwards=False)]
            expect(found[: len(self.said)] == self.said, "the beginning of the history is another one")
        with self.checks.check("members and receipts have survived"):
            room = urllib.parse.quote(self.room, safe="")
            joined = self.plain("GET", f"/v3/rooms/{room}/joined_members")["joined"]
            expect(sorted(joined) == sorted([self.alice_id, self.bob_id]), f"{joined}")
            sync = self.plain("GET", "/v3/sync", timeout=0)
            ephemeral = sync["rooms"]["join"][self.room]["ephemeral"]["events"]
            receipts = [event["content"] for event in ephemeral if event["type"] == "m.receipt"]
            readers = {user for content in receipts for kinds in content.values() for user in kinds.get("m.read", {})}
            expect(readers == {self.alice_id, self.bob_id}, f"{receipts}")


def verify(sent, found):
    """`found` holds the messages of `sent`, each once, in an order that nobody can contradict."""
    position = {}
    for index, message in enumerate(found):
        expect(message["body"] not in position, f"{message['body']!r} is there twice")
        position[message["body"]] = index
    for entry in sent:
        index = position.get(entry["body"])
        expect(index is not None, f"{entry['body']!r} was acknowledged and is not there")
        expect(found[index]["id"] == entry["id"], f"{entry['body']!r} has another id than the acknowledged one")
    expect(len(found) == len(sent), f"{len(found)} messages in place of {len(sent)}")
    # From here on every message found is one of those sent.
    by_body = {entry["body"]: entry for entry in sent}
    # What was acknowledged before something else was sent comes before it. The clocks count whole milliseconds.
    latest = None
    for message in found:
        entry = by_body[message["body"]]
        if latest and entry["acknowledged"] + 1 < latest["sent"]:
            raise AssertionError(f"{entry['body']!r} was acknowledged before {latest['body']!r} was sent, and stands after it")
        if latest is None or entry["sent"] > latest["sent"]:
            latest = entry


def notices():
    """Tries `verify` on histories that are wrong: a check that can not fail proves nothing."""
    sent = [
        {"body": "first", "id": "$1", "sent": 0, "acknowledged": 10},
        {"body": "second", "id": "$2", "sent": 20, "acknowledged": 30},
        {"body": "meanwhile", "id": "$3", "sent": 5, "acknowledged": 25},
    ]
    first, second, meanwhile = ({"body": entry["body"], "id": entry["id"]} for entry in sent)
    for right in ([first, second, meanwhile], [first, meanwhile, second], [meanwhile, first, second]):
        verify(sent, right)
    lost, doubled, reordered = [first, second], [first, meanwhile, second, first], [second, first, meanwhile]
    unknown, renamed = [first, meanwhile, second, {"body": "x", "id": "$4"}], [first, meanwhile, {**second, "id": "$5"}]
    for wrong in (lost, doubled, reordered, unknown, renamed):
        try:
            verify(sent, wrong)
        except AssertionError:
            continue
        raise RuntimeError(f"accepted: {wrong}")


def subsequence(part, whole):
    rest = iter(whole)
    return all(one in rest for one in part)


def differences(found, wanted):
    found_ids, wanted_ids = [one["id"] for one in found], [one["id"] for one in wanted]
    missing = [one["body"] for one in wanted if one["id"] not in set(found_ids)]
    extra = [one["body"] for one in found if one["id"] not in set(wanted_ids)]
    twice = sorted({one["body"] for one in found if found_ids.count(one["id"]) > 1})
    return f"{len(found)} messages in place of {len(wanted)}; missing {missing[:5]}, not expected {extra[:5]}, twice {twice[:5]}"
