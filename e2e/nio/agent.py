"""One client of the end-to-end test: matrix-nio as an application would use it, told by lines of JSON on standard input
what to do. Each answer is a line of JSON on standard output."""

import asyncio
import json
import random
import sys
import time
import traceback

import nio


class Refused(Exception):
    """The SDK answered with one of its error responses."""


def good(response, kind):
    if not isinstance(response, kind):
        raise Refused(str(response))
    return response


def message(event):
    return {"id": event.event_id, "sender": event.sender, "body": event.body}


class Timeline:
    """What syncs and pages have brought of one room, oldest first."""

    def __init__(self):
        self.events = []
        self.known = set()
        self.begun = False
        # Where to page back from; nothing once the beginning is reached.
        self.prev_batch = None
        self.live = []
        self.pages = 0


class Agent:
    def __init__(self):
        self.url = None
        self.client = None
        self.syncing = None
        self.timelines = {}
        self.floods = {}
        self.background = set()

    async def open(self, url):
        self.url = url

    def connect(self, username):
        config = nio.AsyncClientConfig(max_timeout_retry_wait_time=1, request_timeout=20)
        self.client = nio.AsyncClient(self.url, username, config=config)

    async def register(self, username, password):
        self.connect(username)
        answer = good(await self.client.register(username, password), nio.RegisterResponse)
        return {"user": answer.user_id, "device": answer.device_id, "token": answer.access_token}

    async def login(self, username, password):
        self.connect(username)
        answer = good(await self.client.login(password), nio.LoginResponse)
        return {"user": answer.user_id, "device": answer.device_id, "token": answer.access_token}

    async def start(self, limit):
        first = asyncio.Event()

        async def synced(response):
            await self.take(response)
            first.set()

        self.client.add_response_callback(synced, nio.SyncResponse)
        sync_filter = {"room": {"timeline": {"limit": limit}, "state": {"lazy_load_members": True}}}
        self.syncing = asyncio.create_task(self.client.sync_forever(timeout=15_000, sync_filter=sync_filter))
        waiting = asyncio.create_task(first.wait())
        done, _ = await asyncio.wait({self.syncing, waiting}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        if waiting not in done:
            waiting.cancel()
            if self.syncing in done:
                self.syncing.result()
            raise Refused("the first sync takes too long")

    async def take(self, response):
        for room, info in response.rooms.join.items():
            timeline = self.timelines.setdefault(room, Timeline())
            part = info.timeline
            timeline.live += [message(event) for event in part.events if isinstance(event, nio.RoomMessageText)]
            if not timeline.begun:
                timeline.begun = True
                timeline.prev_batch = part.prev_batch
                missing = []
            else:
                missing = await self.fill(room, timeline, part.prev_batch) if part.limited else []
            for event in missing + part.events:
                if event.event_id in timeline.known:
                    raise Refused(f"{event.event_id} came twice")
                timeline.known.add(event.event_id)
                timeline.events.append(event)

    async def fill(self, room, timeline, token):
        """The events between what is known and a part of the timeline that begins after a gap."""
        missing = []
        for _ in range(500):
            page = good(await self.client.room_messages(room, start=token, limit=50), nio.RoomMessagesResponse)
            for event in page.chunk:
                if event.event_id in timeline.known:
                    return missing[::-1]
                missing.append(event)
            token = page.end
            if not token:
                return missing[::-1]
        raise Refused("paging back does not come to an end")

    async def createRoom(self, options):
        return good(await self.client.room_create(**options), nio.RoomCreateResponse).room_id

    async def invite(self, room, user):
        good(await self.client.room_invite(room, user), nio.RoomInviteResponse)

    async def join(self, room):
        good(await self.client.join(room), nio.JoinResponse)

    async def membership(self, room, user=None):
        self.alive()
        user = user or self.client.user_id
        if room in self.client.rooms and user in self.client.rooms[room].users:
            return "join"
        if room in self.client.invited_rooms and user == self.client.user_id:
            return "invite"
        return None

    async def send(self, room, body):
        content = {"msgtype": "m.text", "body": body}
        return good(await self.client.room_send(room, "m.room.message", content), nio.RoomSendResponse).event_id

    async def typing(self, room, typing):
        good(await self.client.room_typing(room, typing, timeout=20_000), nio.RoomTypingResponse)

    async def isTyping(self, room, user):
        self.alive()
        return user in self.client.rooms[room].typing_users

    async def receipt(self, room, event):
        good(await self.client.update_receipt_marker(room, event), nio.UpdateReceiptMarkerResponse)

    async def readUpTo(self, room, user):
        self.alive()
        room = self.client.rooms[room]
        receipts = [room.read_receipts.get(user), room.threaded_read_receipts.get(user, {}).get("main")]
        newest = max((receipt for receipt in receipts if receipt), key=lambda receipt: receipt.timestamp, default=None)
        return newest.event_id if newest else None

    async def live(self, room):
        self.alive()
        return self.timelines[room].live if room in self.timelines else []

    async def history(self, room, page):
        """The whole history: pages back from the oldest event of the first sync to the room's beginning."""
        self.alive()
        timeline = self.timelines[room]
        while timeline.prev_batch:
            timeline.pages += 1
            if timeline.pages > 500:
                raise Refused("paging back does not come to an end")
            answer = await self.client.room_messages(room, start=timeline.prev_batch, limit=page)
            answer = good(answer, nio.RoomMessagesResponse)
            for event in answer.chunk:
                if event.event_id in timeline.known:
                    raise Refused(f"{event.event_id} came twice while paging back")
                timeline.known.add(event.event_id)
                timeline.events.insert(0, event)
            timeline.prev_batch = answer.end
        return {
            "pages": timeline.pages,
            "first": timeline.events[0].source["type"] if timeline.events else None,
            "messages": [message(event) for event in timeline.events if isinstance(event, nio.RoomMessageText)],
        }

    async def whoami(self):
        answer = good(await self.client.whoami(), nio.WhoamiResponse)
        return {"user_id": answer.user_id, "device_id": answer.device_id}

    async def flood(self, room, name, lanes, count, pauseMs):
        state = self.floods[name] = {"sent": [], "done": False, "failure": None}

        async def lane(number):
            for index in range(count):
                entry = {"lane": number, "index": index, "body": f"{name} {number} {index}", "sent": now()}
                content = {"msgtype": "m.text", "body": entry["body"]}
                # The SDK itself repeats what a broken connection has left open, with the same transaction id.
                transaction = f"{name}-{number}-{index}"
                answer = await self.client.room_send(room, "m.room.message", content, tx_id=transaction)
                entry["id"] = good(answer, nio.RoomSendResponse).event_id
                entry["acknowledged"] = now()
                state["sent"].append(entry)
                await asyncio.sleep(random.random() * pauseMs / 1000)

        async def all_lanes():
            try:
                await asyncio.gather(*(lane(number) for number in range(lanes)))
                state["done"] = True
            except Exception as error:  # reported with the next question
                state["failure"] = repr(error)

        task = asyncio.create_task(all_lanes())
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    async def flooded(self, name):
        state = self.floods[name]
        if state["failure"]:
            raise Refused(state["failure"])
        return {"sent": state["sent"], "done": state["done"]}

    async def quit(self):
        if self.syncing:
            self.syncing.cancel()
        if self.client:
            await self.client.close()

    def alive(self):
        """A sync loop that has ended is a failure of whatever is asked next."""
        if self.syncing and self.syncing.done():
            self.syncing.result()
            raise Refused("the sync loop has ended")


def now():
    return int(time.time() * 1000)


async def main():
    agent = Agent()
    lines = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    tasks = set()

    async def serve(request):
        number, command = request.pop("id"), request.pop("command")
        try:
            answer = {"id": number, "value": await getattr(agent, command)(**request)}
        except Exception:
            answer = {"id": number, "error": traceback.format_exc()}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()

    while line := await lines.readline():
        task = asyncio.create_task(serve(json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


asyncio.run(main())
