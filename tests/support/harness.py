"""A running server for tests, and clients of it: HTTP, event streams, WebSockets, bare sockets (standard library and websockets).

    server = Server(directory)             starts `guild serve` on a free port, waits until it answers
    server.post("/v1/agents", {"name": "Ada"}).body["id"]
    with server.stream("hello") as events: ...
    server.second_user("member").chat("hello")

Everything that waits has a time limit; nothing sleeps for a fixed time where it can look.
"""
import asyncio
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import select
import signal
import socket
import sqlite3
import subprocess
import time
from typing import NamedTuple
from urllib.parse import quote

import websockets

HOST = "127.0.0.1"
START_S, STOP_S, REPLY_S = 30, 30, 30
REPORT = re.compile(r"ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:|check failed: ")


def wait_for(look, what, timeout=15, every=0.01):
    """The first true value of look(); AssertionError with what was waited for."""
    deadline = time.monotonic() + timeout
    while True:
        value = look()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain for {what}")
        time.sleep(every)


def free_port():
    """A port that nobody has: of the 6,000 from GUILD_TEST_PORTS on when runs stand side by side, else of the system's choice."""
    base = int(os.environ.get("GUILD_TEST_PORTS", "0"))
    while True:
        with socket.socket() as probe:
            with contextlib.suppress(OSError):
                probe.bind((HOST, base + random.randrange(6000) if base else 0))
                return probe.getsockname()[1]


class Reply(NamedTuple):
    status: int
    headers: dict  # names in lower case
    text: str

    @property
    def body(self):
        return json.loads(self.text)

    @property
    def code(self):
        return self.body["code"]

    def ok(self, *statuses):
        """The body of a reply that has to be a good one (or one of those statuses)."""
        assert self.status in (statuses or (200, 201, 202, 204)), f"{self.status}: {self.text}"
        return json.loads(self.text) if self.text else None


class Event(NamedTuple):
    id: str
    event: str
    data: dict

    @property
    def seq(self):
        return int(self.id.rsplit(":", 1)[1])

    @property
    def epoch(self):
        return int(self.id.rsplit(":", 2)[1])


class Stream:
    """An event stream: iterate it, or take events one by one. The reply is in status, headers and (if it is no stream) reply."""

    def __init__(self, connection, response):
        self.connection, self.response = connection, response
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.is_stream = self.headers.get("content-type", "").startswith("text/event-stream")
        self.comments, self.retry, self.result = [], None, None
        self.reply = None
        if not self.is_stream:
            self.reply = Reply(self.status, self.headers, response.read().decode())
            connection.close()

    def next(self):
        """The next event, None at the end."""
        fields, seen = {"id": "", "event": "message", "data": []}, False
        while True:
            line = self.response.readline()
            if not line:
                return None
            line = line.decode().rstrip("\n")
            if line == "":
                if seen:
                    event = Event(fields["id"], fields["event"], json.loads("\n".join(fields["data"])))
                    if event.event == "result":
                        self.result = event.data
                    return event
                continue
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "":
                self.comments.append(value)
            elif name == "data":
                fields["data"].append(value)
                seen = True
            elif name == "retry":
                self.retry = int(value)
            else:
                fields[name] = value

    def __iter__(self):
        assert self.is_stream, f"{self.status}: {self.reply.text}"
        while (event := self.next()) is not None:
            yield event

    def until(self, wanted):
        """Events up to the first of that type, or of which wanted(event) holds."""
        events = []
        for event in self:
            events.append(event)
            if wanted(event) if callable(wanted) else event.event == wanted:
                return events
        raise AssertionError(f"the stream ended after {[e.event for e in events]}")

    def collect(self):
        """All streaming:* events to the end."""
        return [event for event in self if event.event.startswith("streaming:")]

    def close(self):
        with contextlib.suppress(OSError):
            self.response.close()
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Socket:
    """A WebSocket with its own event loop, used by plain calls."""

    def __init__(self, url, token, subprotocols=("guild.v1",), headers=()):
        self.loop = asyncio.new_event_loop()
        extra = list(headers) + ([("Authorization", f"Bearer {token}")] if token else [])
        self.refs = 0
        self.kept = []
        try:
            self.ws = self.run(self.connect(url.replace("http", "ws", 1) + "/v1/ws", extra_headers=extra, subprotocols=subprotocols,
                                            ping_interval=None, max_size=1 << 24, open_timeout=REPLY_S, close_timeout=2,
                                            compression=None))
        except BaseException:
            self.loop.close()
            raise

    @staticmethod
    async def connect(url, **options):
        """Inside the loop that the connection is to belong to."""
        return await websockets.connect(url, **options)

    def run(self, awaitable, timeout=REPLY_S):
        async def limited():
            return await asyncio.wait_for(awaitable, timeout)
        return self.loop.run_until_complete(limited())

    def send(self, message):
        self.run(self.ws.send(message if isinstance(message, (str, bytes)) else json.dumps(message)))

    def recv(self, timeout=REPLY_S):
        """The next message: kept ones first. asyncio.TimeoutError."""
        return self.kept.pop(0) if self.kept else json.loads(self.run(self.ws.recv(), timeout))

    def ask(self, message):
        """The answer to a message, by its ref; what else comes is kept for recv."""
        self.refs += 1
        ref = f"r{self.refs}"
        self.send({**message, "ref": ref})
        passed = []
        while True:
            got = json.loads(self.run(self.ws.recv()))
            if got.get("ref") == ref:
                self.kept += passed
                return got
            passed.append(got)

    def until(self, wanted, timeout=REPLY_S):
        """Messages up to the first of that type, or of which wanted(message) holds."""
        messages = []
        while True:
            try:
                message = self.recv(timeout)
            except asyncio.TimeoutError:
                raise AssertionError(f"no such message among {messages}") from None
            messages.append(message)
            if wanted(message) if callable(wanted) else message["type"] == wanted:
                return messages

    def drain(self):
        """Everything that the server had sent before it answered a ping."""
        self.ask({"type": "ping"})
        messages, self.kept = self.kept, []
        return messages

    def streaming(self):
        """A run's streaming:* messages up to its last."""
        messages = self.until(lambda m: m["type"] in ("streaming:complete", "streaming:error"))
        return [m for m in messages if m["type"].startswith("streaming:")]

    def close_code(self, timeout=REPLY_S):
        """Reads until the server closes: its code."""
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                self.run(self.ws.recv(), timeout)
        return self.ws.close_code

    def kill(self):
        """The connection is gone without a word."""
        self.ws.transport.abort()
        with contextlib.suppress(Exception):
            self.run(self.ws.wait_closed(), 2)

    def close(self):
        if not self.loop.is_closed():
            with contextlib.suppress(Exception):
                self.run(self.ws.close(), 5)
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_until_complete(asyncio.sleep(0))
            self.loop.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Raw:
    """A bare connection, for bytes no client would send."""

    def __init__(self, port, timeout=REPLY_S):
        self.socket = socket.create_connection((HOST, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.got = b""
        self.ended = False

    def send(self, *pieces):
        for piece in pieces:
            self.socket.sendall(piece)

    def more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self.ended = not data
        self.got += data
        return not self.ended

    def reply(self, head=False):
        """The next reply; None when the connection ended first."""
        while b"\r\n\r\n" not in self.got:
            if not self.more():
                return None
        text, self.got = self.got.split(b"\r\n\r\n", 1)
        lines = text.decode().split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = {}
        for line in lines[1:]:
            name, value = line.split(":", 1)
            headers[name.lower()] = value.strip()
        if status == 100:
            return self.reply(head)
        if head or status in (204, 304):
            return Reply(status, headers, "")
        if headers.get("transfer-encoding") == "chunked":
            return Reply(status, headers, self.chunked().decode())
        length = int(headers.get("content-length", "0"))
        while len(self.got) < length:
            assert self.more(), "cut in the middle of a body"
        body, self.got = self.got[:length], self.got[length:]
        return Reply(status, headers, body.decode())

    def chunked(self):
        body = b""
        while True:
            while b"\r\n" not in self.got:
                assert self.more(), "cut in the middle of a chunk"
            line, self.got = self.got.split(b"\r\n", 1)
            size = int(line, 16)
            while len(self.got) < size + 2:
                assert self.more(), "cut in the middle of a chunk"
            body, self.got = body + self.got[:size], self.got[size + 2:]
            if size == 0:
                return body

    def closed(self, timeout=10):
        """Whether the server closes within that time; what it still sends is read."""
        self.socket.settimeout(timeout)
        try:
            while self.more():
                pass
        except (TimeoutError, socket.timeout):
            return False
        return True

    def quiet(self, seconds):
        """Whether nothing can be read for so long."""
        return not select.select([self.socket], [], [], seconds)[0]

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Client:
    """Somebody with a token."""

    def __init__(self, port, token, id=None, role=None):
        self.port, self.token, self.id, self.role = port, token, id, role

    @property
    def url(self):
        return f"http://{HOST}:{self.port}"

    def open(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(HOST, self.port, timeout=REPLY_S)
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        data = body
        if body is not None and not isinstance(body, bytes):
            data = json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        connection.request(method, path, data, {name: value for name, value in sent.items() if value is not None})
        return connection, connection.getresponse()

    def request(self, method, path, body=None, headers=None):
        connection, response = self.open(method, path, body, headers)
        with contextlib.closing(connection):
            text = response.read().decode()
            return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, text)

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.request("POST", path, body, **options)

    def put(self, path, body=None, **options):
        return self.request("PUT", path, body, **options)

    def patch(self, path, body=None, **options):
        return self.request("PATCH", path, body, **options)

    def delete(self, path, **options):
        return self.request("DELETE", path, **options)

    def items(self, path):
        """All items of a list, page by page."""
        items, cursor, mark = [], "", "&" if "?" in path else "?"
        while True:
            page = self.get(path + cursor).ok(200)
            items += page["items"]
            if not page["has_more"]:
                return items
            cursor = f"{mark}cursor={quote(page['next_cursor'], safe='')}"

    def chat(self, message, **members):
        return self.post("/v1/chat", {"message": message, "stream": False, **members})

    def stream(self, message, headers=None, **members):
        return Stream(*self.open("POST", "/v1/chat", {"message": message, "stream": True, **members}, headers))

    def events(self, execution_id, after=None, last_event_id=None):
        query = "" if after is None else f"?after={after}"
        return Stream(*self.open("GET", f"/v1/executions/{execution_id}/events{query}",
                                 headers={"Last-Event-ID": last_event_id} if last_event_id else None))

    def execution(self, execution_id):
        return self.get(f"/v1/executions/{execution_id}").ok(200)

    def ended(self, execution_id, *statuses):
        """The execution, once it is over (in one of those states)."""
        def look():
            row = self.execution(execution_id)
            return row if row["status"] not in ("queued", "running") else None
        row = wait_for(look, f"the end of {execution_id}", timeout=30)
        assert not statuses or row["status"] in statuses, row
        return row

    def messages(self, session_id):
        return self.items(f"/v1/sessions/{session_id}/messages?limit=100")

    def agent(self, name, maturity=None, **members):
        """Makes an agent; the name is its handle too."""
        body = {"name": name, "handle": re.sub(r"[^a-z0-9_-]", "-", name.lower()), **members}
        if maturity:
            body["maturity"] = maturity
        return self.post("/v1/agents", body).ok(201)

    def ws(self, token=True, **options):
        return Socket(self.url, self.token if token is True else token, **options)

    def raw(self):
        return Raw(self.port)


class Server(Client):
    """`guild serve` on a free port with a data directory of its own."""

    def __init__(self, data, env=None, config=None, arguments=(), start=True):
        super().__init__(free_port(), None)
        self.data = pathlib.Path(data)
        self.extra, self.config, self.arguments = dict(env or {}), config, list(arguments)
        self.process = None
        self.exit_wanted = {0, -signal.SIGKILL}  # how it may have ended when the test is over
        self.log_file = self.data.parent / (self.data.name + ".log")
        self.log_file.touch()
        if config is not None:
            self.config_file = self.data.parent / (self.data.name + ".conf")
            self.config_file.write_text(config)
        if start:
            self.start()

    @property
    def pid(self):
        return self.process.pid

    @property
    def env(self):
        """The environment of the process: nothing of ours but what the test said, and no proxies."""
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith("GUILD_") and not name.lower().endswith("_proxy") and not name.startswith("OPENAI_")}
        # All tests sign in from one address, many of them in vain: only those about that rate set it.
        kept.update(GUILD_LOG_FORM="json", GUILD_SERVER_LOOPS="2", GUILD_HTTP_SIGN_IN_RATE="0")
        kept.update({name: str(value) for name, value in self.extra.items()})
        return kept

    @property
    def command(self):
        config = ["--config", str(self.config_file)] if self.config is not None else []
        return [os.environ["GUILD_BINARY"], "serve", "--listen", f"{HOST}:{self.port}", "--data", str(self.data), *config, *self.arguments]

    def spawn(self):
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env,
                                            cwd=self.data.parent)

    def start(self):
        self.spawn()
        return self.start_wait()

    def start_wait(self):
        wait_for(self.answers, "the server's first answer", timeout=START_S)
        self.token = (self.data / "admin.token").read_text().strip()
        return self

    def answers(self):
        assert self.process.poll() is None, f"guild serve ended with {self.process.returncode}:\n{self.log()}"
        try:
            return Client(self.port, None).get("/readyz").status == 200
        except OSError:
            return False

    def fails_to_start(self, timeout=START_S, user=None):
        """Starts it, expecting it to give up: (exit code, what it said). user: as that user's id, where this is root."""
        done = subprocess.run(self.command, stdin=subprocess.DEVNULL, capture_output=True, env=self.env, cwd=self.data.parent,
                              timeout=timeout, check=False, user=user)
        said = (done.stdout + done.stderr).decode()
        assert not REPORT.search(said), said
        return done.returncode, said

    def stop(self, sig=signal.SIGTERM, timeout=STOP_S):
        """Its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        code = self.process.wait(timeout)
        assert not REPORT.search(self.log()), self.log()
        return code

    def kill9(self):
        self.process.kill()
        self.process.wait(STOP_S)

    def restart(self, kill=False, **env):
        if self.process.poll() is None:
            if kill:
                self.kill9()
            else:
                assert self.stop() == 0, self.log()
        self.extra.update(env)
        return self.start()

    def finish(self):
        """The end of the test: it must still run, stop cleanly and have reported nothing."""
        if self.process is None:
            return
        died = self.process.poll()
        if died in self.exit_wanted:
            assert not REPORT.search(self.log()), self.log()
            return
        try:
            code = self.stop()
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(f"the server did not stop in {STOP_S} s:\n{self.log()[-4000:]}") from None
        assert died is None and code == 0, f"the server ended with {code if died is None else died}:\n{self.log()[-4000:]}"

    def log(self):
        return self.log_file.read_text(errors="replace")

    def log_lines(self, message=None):
        """Structured lines, of that message."""
        rows = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [row for row in rows if message is None or message in row.values()]

    def client(self, token):
        return Client(self.port, token)

    def anonymous(self):
        return Client(self.port, None)

    def second_user(self, role="member", name=None):
        """Another principal with a token of its own."""
        user = self.post("/v1/users", {"name": name or f"{role} {os.urandom(3).hex()}", "role": role}).ok(201)
        token = self.post("/v1/tokens", {"user_id": user["id"]}).ok(201)
        return Client(self.port, token["token"], user["id"], role)

    def cli(self, *arguments, input=None, env=None):
        """A verb of the command line against this server."""
        whole = {**self.env, "GUILD_URL": self.url, "GUILD_TOKEN": self.token or "", "NO_COLOR": "1", **(env or {})}
        done = subprocess.run([os.environ["GUILD_BINARY"], *arguments], input=input, capture_output=True, text=True, env=whole,
                              cwd=self.data.parent, timeout=60, check=False)
        assert not REPORT.search(done.stderr), done.stderr
        return done

    def metrics(self):
        """Samples by name with labels."""
        rows = [line for line in self.get("/metrics").text.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, value in (row.rsplit(" ", 1) for row in rows)}

    def store(self):
        """The database file of a stopped server, to look at or to damage."""
        return sqlite3.connect(self.data / "guild.db", isolation_level=None)
