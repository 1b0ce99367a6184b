"""The client programs, each a process that an SDK runs in, and a plain HTTP client to check on both."""

import itertools
import json
import pathlib
import queue
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent


class Failure(Exception):
    """What an SDK or the server answered in place of a success."""


class Client:
    """One SDK in a process of its own. Commands are methods: `alice.send(room=…, body=…)`."""

    def __init__(self, kind, name, work, run):
        if kind == "js":
            command = ["node", str(work / "js" / "agent.mjs")]
        else:
            command = [str(work / "nio" / "bin" / "python"), "-B", str(HERE / "nio" / "agent.py")]
        self.name = name
        self.log = open(run / f"{name}.log", "w")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        self.numbers = itertools.count()
        self.waiting = {}
        self.lock = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            with self.lock:
                waiting = self.waiting.pop(answer["id"], None)
            if waiting:
                waiting.put(answer)
        with self.lock:
            for waiting in self.waiting.values():
                waiting.put({"error": "the client program has ended"})
            self.waiting.clear()

    def __getattr__(self, command):
        if command.startswith("_"):
            raise AttributeError(command)
        return lambda timeout=90, **arguments: self._call(command, timeout, arguments)

    def _call(self, command, timeout, arguments):
        number = next(self.numbers)
        answer = queue.Queue()
        with self.lock:
            self.waiting[number] = answer
        try:
            self.process.stdin.write(json.dumps({"id": number, "command": command, **arguments}) + "\n")
            self.process.stdin.flush()
            answer = answer.get(timeout=timeout)
        except queue.Empty:
            raise Failure(f"{self.name} {command}: no answer within {timeout} s") from None
        except OSError:
            raise Failure(f"{self.name} {command}: the client program has ended") from None
        if "error" in answer:
            raise Failure(f"{self.name} {command}: {answer['error'].strip()}")
        return answer["value"]

    def close(self):
        if self.log.closed:
            return
        try:
            self._call("quit", 5, {})
        except Failure:
            pass
        try:
            self.process.stdin.close()
            self.process.wait(timeout=5)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self.log.close()


class Plain:
    """The Client-Server API without any SDK."""

    def __init__(self, url, token=None):
        self.url = url
        self.token = token

    def __call__(self, method, path, body=None, **query):
        url = f"{self.url}/_matrix/client{path}"
        if query:
            url += "?" + urllib.parse.urlencode(query)
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, method=method, data=data)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            text = refused.read().decode(errors="replace")
            raise Failure(f"{method} {path}: {refused.code} {text}") from None

    def messages(self, room, backwards, limit=37):
        """All messages of a room, oldest first, page by page."""
        path = f"/v3/rooms/{urllib.parse.quote(room, safe='')}/messages"
        events, token = [], None
        for _ in range(1000):
            where = {"from": token} if token else {}
            page = self("GET", path, dir="b" if backwards else "f", limit=limit, **where)
            events += page["chunk"]
            token = page.get("end")
            if not token:
                break
        else:
            raise Failure(f"{path} does not come to an end")
        if backwards:
            events.reverse()
        return [
            {"id": event["event_id"], "sender": event["sender"], "body": event["content"]["body"]}
            for event in events
            if event["type"] == "m.room.message"
        ]
