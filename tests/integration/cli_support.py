"""A scripted server that answers the command line, and a terminal to run it in."""
import contextlib
import errno
import fcntl
import http.server
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time

BINARY = os.environ["GUILD_BINARY"]
ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
TOKEN = "guild_" + "x" * 43


class Stub:
    """Answers each request with the function registered for its method and path (without query); keeps what was asked."""

    def __init__(self):
        self.routes, self.seen = {}, []
        self.changed = threading.Condition()
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                path, _, query = self.path.partition("?")
                with stub.changed:
                    stub.seen.append({"method": self.command, "path": path, "query": query, "headers": dict(self.headers),
                                      "body": json.loads(body) if body else None})
                    stub.changed.notify_all()
                answer = stub.routes.get((self.command, path))
                if answer is None:
                    return self.reply(404, {"code": "not_found", "status": 404, "detail": "There is no such thing."})
                answer(self)

            do_GET = do_POST = do_DELETE = handle_one

            def reply(self, status, value, content_type=None):
                body = value if isinstance(value, bytes) else json.dumps(value).encode()
                kind = content_type or ("application/problem+json" if status >= 400 else "application/json")
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def stream(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(b"retry: 1000\n\n")
                self.close_connection = True

            def event(self, kind, data):
                self.wfile.write(f"id: x:1:{data.get('seq', 0)}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode())

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def on(self, method, path, status=200, value=None, content_type=None):
        self.routes[method, path] = lambda handler: handler.reply(status, value, content_type)

    def list(self, path, items):
        """A list that pages as the server's do: the cursor is the number of the next item."""
        def answer(handler):
            query = dict(part.split("=") for part in handler.path.partition("?")[2].split("&"))
            start, limit = int(query.get("cursor", 0)), int(query["limit"])
            more = start + limit < len(items)
            handler.reply(200, {"items": items[start:start + limit], "next_cursor": str(start + limit) if more else None,
                                "has_more": more})
        self.routes["GET", path] = answer

    def chat(self, *deltas, session="s-1", execution="e-1", end="complete", wait=None):
        """POST /v1/chat streams; with wait (an Event) it holds before the end."""
        def answer(handler):
            handler.stream()
            handler.event("streaming:start", {"id": "m", "seq": 1, "execution_id": execution, "session_id": session,
                                              "agent_name": "Chat Assistant"})
            for number, delta in enumerate(deltas, 2):
                handler.event("streaming:update", {"id": "m", "seq": number, "delta": delta, "complete": False})
            if wait is not None:
                wait.wait(20)
            if end == "complete":
                handler.event("streaming:complete", {"id": "m", "seq": 99, "content": "".join(deltas), "complete": True})
            elif end:
                with contextlib.suppress(OSError):
                    handler.event("streaming:error", {"id": "m", "seq": 99, "code": end, "error": f"It was {end}."})
        self.routes["POST", "/v1/chat"] = answer

    def wait_seen(self, method, path, count=1, timeout=10):
        def those():
            return [request for request in self.seen if (request["method"], request["path"]) == (method, path)]
        with self.changed:
            assert self.changed.wait_for(lambda: len(those()) >= count, timeout), f"{method} {path} never came: {self.seen}"
            return those()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


def environment(**more):
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith("GUILD_") and name.lower() not in ("no_color", "http_proxy", "no_proxy", "all_proxy")}
    return {**kept, "TERM": "xterm", **more}


def guild(*arguments, url=None, token=TOKEN, stdin=b"", cwd=None, **env):
    """Runs one command line with no terminal anywhere."""
    given = {**({"GUILD_URL": url} if url else {}), **({"GUILD_TOKEN": token} if token else {}), **env}
    done = subprocess.run([BINARY, *arguments], input=stdin, capture_output=True, env=environment(**given), timeout=60, cwd=cwd)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Terminal:
    """The command line in a terminal of its own."""

    def __init__(self, *arguments, columns=80, rows=24, url=None, token=TOKEN, **env):
        given = {**({"GUILD_URL": url} if url else {}), **({"GUILD_TOKEN": token} if token else {}), **env}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execve(BINARY, [BINARY, *arguments], environment(**given))
        self.raw = ""
        self.status = None

    @property
    def text(self):
        return ESCAPES.sub("", self.raw.replace("\r\n", "\n"))

    def read_some(self, deadline):
        ready, _, _ = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            piece = os.read(self.fd, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            piece = b""
        self.raw += piece.decode("utf-8", "replace")
        return bool(piece)

    def expect(self, pattern, timeout=20):
        """Reads until pattern stands in what came since the last match."""
        start = getattr(self, "seen", 0)
        deadline = time.monotonic() + timeout
        while True:
            match = re.compile(pattern).search(self.text, start)
            if match:
                self.seen = match.end()
                return match
            assert self.read_some(deadline), f"{pattern!r} never came after {self.text[start:]!r}"

    def send(self, text):
        os.write(self.fd, text.encode())

    def end(self, timeout=20):
        """Reads to the end and gives the exit code."""
        deadline = time.monotonic() + timeout
        while self.read_some(deadline):
            pass
        return self.wait(deadline)

    def wait(self, deadline):
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
                break
            assert time.monotonic() < deadline, f"it does not end after {self.text!r}"
            select.select([], [], [], 0.005)
        return self.status

    def close(self):
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.wait(time.monotonic() + 10)
        os.close(self.fd)


@contextlib.contextmanager
def terminal(*arguments, **options):
    made = Terminal(*arguments, **options)
    try:
        yield made
    finally:
        made.close()
