#!/usr/bin/python3
"""A scripted model provider that speaks OpenAI chat completions over HTTP/1.1 (standard library only).

    tests/support/provider.py [PORT]      listens on 127.0.0.1, prints the port on its first line, runs until killed
                                          or until its standard input ends (--stdin)
        --tls CERTIFICATE KEY             speaks HTTPS with that certificate (PEM files), the control paths too

POST /v1/chat/completions   answers by the next behaviour of the script; without one, echoes word by word
GET  /v1/models             the models of the script, default one: "test-model"

POST /_script   a JSON list of behaviours for the following requests, in order; added to what is left
GET  /_log      all requests so far: [{method, path, headers, body, raw, deltas, finished, aborted}]
POST /_wait     {"requests": n, "finished": n, "aborted": n, "deltas": n, "timeout_s": s}: answers when all hold (408 if not)
POST /_release  lets every held answer go on
POST /_reset    forgets script and log, and releases

A user message that starts with "script:" and goes on with JSON is its own behaviour.

Behaviour, all members optional:
  deltas [text]          pieces of the answer             first_delay_ms, delay_ms   before the first, before each other
  usage {..} or null     last chunk; default: counted     finish_reason, model       as said in the chunks
  cut_after k            close after k deltas, mid-body   reset true                 the same with a reset
  no_done, no_finish     leave out [DONE], finish_reason  after_finish [text]        deltas behind the finish
  status n, retry_after, body text, headers {}            an error reply, or any other
  garbage_after k, garbage n                              n (default 1) chunks that are no JSON
  in_band_error_after k                                   an error object in the stream, then the end of the body
  endless true           repeats the deltas for ever      hang true                  never answers
  hold_after k           waits for /_release              linger true                keeps the body open after [DONE]
  content_type text      crlf, cr true: line ends         comments true              keep-alive comments between events
  split n                bytes a write                    non_stream true            one JSON body
  reasoning true         reasoning pieces before          raw text                   this body (Latin-1) and nothing else
  models [name], models_status n                          for /v1/models from now on; not queued when alone
"""
import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.request


class Gone(Exception):
    """The client has closed its side."""


class Reader(asyncio.StreamReader):
    """A reader that says at once when the peer has gone, whatever is being waited for."""

    def __init__(self):
        super().__init__(limit=1 << 24)
        self.gone = asyncio.Event()

    def feed_eof(self):
        super().feed_eof()
        self.gone.set()

    def set_exception(self, exc):
        super().set_exception(exc)
        self.gone.set()


class State:
    def __init__(self):
        self.changed = asyncio.Condition()
        self.reset()

    def reset(self):
        self.script, self.log = [], []
        self.models, self.models_status = ["test-model"], 200
        self.release = asyncio.Event()

    async def tell(self):
        async with self.changed:
            self.changed.notify_all()

    def counts(self):
        return {
            "requests": len(self.log),
            "finished": sum(e["finished"] for e in self.log),
            "aborted": sum(e["aborted"] for e in self.log),
            "deltas": sum(e["deltas"] for e in self.log),
        }


class Answer:
    """One reply: framing, line ends and splitting in one place."""

    def __init__(self, state, entry, behaviour, reader, writer):
        self.state, self.entry, self.behaviour = state, entry, behaviour
        self.reader, self.writer = reader, writer
        self.chunked = False

    async def wait(self, what):
        """Waits for an awaitable, or for the client to go."""
        task, gone = asyncio.ensure_future(what), asyncio.ensure_future(self.reader.gone.wait())
        try:
            await asyncio.wait([task, gone], return_when=asyncio.FIRST_COMPLETED)
            if self.reader.gone.is_set():
                raise Gone
        finally:
            task.cancel()
            gone.cancel()

    async def pause(self, ms):
        if ms:
            await self.wait(asyncio.sleep(ms / 1000))

    def head(self, status, content_type, length=None):
        lines = [f"HTTP/1.1 {status} Scripted", f"Content-Type: {content_type}", "Server: scripted"]
        if "retry_after" in self.behaviour:
            lines.append(f"Retry-After: {self.behaviour['retry_after']}")
        lines += [f"{name}: {value}" for name, value in self.behaviour.get("headers", {}).items()]
        if length is None:
            self.chunked = True
            lines.append("Transfer-Encoding: chunked")
        else:
            lines.append(f"Content-Length: {length}")
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def put(self, data):
        step = self.behaviour.get("split") or len(data) or 1
        for at in range(0, len(data), step):
            if self.reader.gone.is_set() or self.writer.transport.is_closing():
                raise Gone
            piece = data[at:at + step]
            self.writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if self.chunked else piece)
            try:
                await self.writer.drain()
            except ConnectionError as error:
                raise Gone from error
            if step < len(data):
                await asyncio.sleep(0)

    async def event(self, data):
        end = "\r\n" if self.behaviour.get("crlf") else "\r" if self.behaviour.get("cr") else "\n"
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
        if self.behaviour.get("comments"):
            await self.put(f": keep-alive{end}{end}".encode())
        await self.put(f"data: {text}{end}{end}".encode())

    async def whole(self, status, content_type, text):
        data = text.encode()
        self.head(status, content_type, len(data))
        await self.put(data)

    async def end(self):
        if self.chunked:
            self.writer.write(b"0\r\n\r\n")
            await self.writer.drain()


def last_user(body):
    for message in reversed(body.get("messages", []) if isinstance(body, dict) else []):
        if message.get("role") == "user":
            return message.get("content") or ""
    return ""


def words(text):
    out = []
    for word in text.split(" "):
        out.append(word if not out else " " + word)
    return out


def choose(state, body):
    text = last_user(body)
    if text.startswith("script:"):
        return json.loads(text[len("script:"):])
    if state.script:
        return state.script.pop(0)
    return {"deltas": words("echo: " + text)}


async def cut(answer):
    if answer.behaviour.get("reset"):
        answer.writer.transport.abort()
    else:
        answer.writer.close()
    answer.entry["finished"] = True
    raise ConnectionAbortedError


async def stream_marks(answer, k):
    """What the script wants to happen after k deltas. True ends the body."""
    b = answer.behaviour
    if b.get("hold_after") == k:
        await answer.wait(answer.state.release.wait())
    if b.get("garbage_after") == k:
        for _ in range(b.get("garbage", 1)):
            await answer.event('{"choices": [garbage')
    if b.get("cut_after") == k:
        await cut(answer)
    if b.get("in_band_error_after") == k:
        await answer.event({"error": {"message": "scripted failure", "type": "server_error", "code": None}})
        return True
    return False


async def stream_answer(answer, body):
    b = answer.behaviour
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": b.get("model", body.get("model")),
            "system_fingerprint": None, "x_unknown": {"list": [1, 2.5, None]}}

    def chunk(delta, finish=None):
        return {**base, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}

    await answer.pause(b.get("first_delay_ms"))
    answer.head(200, b.get("content_type", "text/event-stream; charset=utf-8"))
    await answer.event(chunk({"role": "assistant", "content": ""}))
    if b.get("reasoning"):
        await answer.event(chunk({"reasoning_content": "let me think"}))
        await answer.event({**base, "choices": []})
    deltas = b.get("deltas", [])
    if await stream_marks(answer, 0):
        return
    while True:
        for k, text in enumerate(deltas or (["spam "] if b.get("endless") else [])):
            if k:
                await answer.pause(b.get("delay_ms"))
            await answer.event(chunk({"content": text}))
            answer.entry["deltas"] += 1
            if await stream_marks(answer, k + 1):
                return
        if not b.get("endless"):
            break
        await asyncio.sleep(0)
    if not b.get("no_finish"):
        await answer.event(chunk({}, b.get("finish_reason", "stop")))
    for text in b.get("after_finish", []):
        await answer.event(chunk({"content": text}))
    asked = (body.get("stream_options") or {}).get("include_usage")
    usage = b.get("usage", {"prompt_tokens": 7, "completion_tokens": len(deltas), "total_tokens": 7 + len(deltas)})
    if asked and usage:
        await answer.event({**base, "choices": [], "usage": usage})
    if not b.get("no_done"):
        await answer.event("[DONE]")
    if b.get("linger"):
        await answer.wait(answer.state.release.wait())


async def whole_answer(answer, body):
    b = answer.behaviour
    usage = b.get("usage", {"prompt_tokens": 7, "completion_tokens": len(b.get("deltas", [])), "total_tokens": 7})
    text = json.dumps({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": b.get("model", body.get("model")),
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "".join(b.get("deltas", []))},
                     "finish_reason": b.get("finish_reason", "stop")}],
        "usage": usage})
    await answer.pause(b.get("first_delay_ms"))
    await answer.whole(200, b.get("content_type", "application/json"), text)


async def chat(answer, body):
    b = answer.behaviour
    if b.get("hang"):
        await answer.wait(asyncio.Event().wait())
    elif "status" in b or "body" in b:
        await answer.pause(b.get("first_delay_ms"))
        text = b.get("body", json.dumps({"error": {"message": "scripted status", "type": "scripted"}}))
        await answer.whole(b.get("status", 200), b.get("content_type", "application/json"), text)
    elif "raw" in b:
        answer.head(200, b.get("content_type", "text/event-stream"))
        await answer.put(b["raw"].encode("latin-1"))
    elif b.get("non_stream") or not (isinstance(body, dict) and body.get("stream")):
        await whole_answer(answer, body if isinstance(body, dict) else {})
    else:
        await stream_answer(answer, body)
    await answer.end()


async def wait_for(state, want):
    deadline = time.monotonic() + want.get("timeout_s", 10)
    names = [name for name in ("requests", "finished", "aborted", "deltas") if name in want]
    async with state.changed:
        while any(state.counts()[name] < want[name] for name in names):
            left = deadline - time.monotonic()
            if left <= 0:
                return 408
            try:
                await asyncio.wait_for(state.changed.wait(), min(left, 0.02))
            except asyncio.TimeoutError:
                pass
    return 200


async def control(state, method, path, body):
    if path == "/_script":
        for behaviour in body if isinstance(body, list) else [body]:
            state.models = behaviour.get("models", state.models)
            state.models_status = behaviour.get("models_status", state.models_status)
            if set(behaviour) - {"models", "models_status"} or not behaviour:
                state.script.append(behaviour)
    elif path == "/_wait":
        return await wait_for(state, body or {}), state.counts()
    elif path == "/_release":
        state.release.set()
        state.release = asyncio.Event()
    elif path == "/_reset":
        state.release.set()
        state.reset()
    elif path == "/_log":
        return 200, state.log
    else:
        return 404, {"error": {"message": f"no {method} {path}"}}
    return 200, {}


async def read_request(reader, writer):
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ", 2)
    headers = {}
    for line in lines[1:]:
        if line:
            name, value = line.split(":", 1)
            headers[name.strip().lower()] = value.strip()
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    try:
        body = json.loads(raw) if raw else None
    except ValueError:
        body = None
    return method, path, headers, raw, body


async def one(state, reader, writer):
    method, path, headers, raw, body = await read_request(reader, writer)
    entry = {"method": method, "path": path, "headers": headers, "body": body, "raw": raw.decode("latin-1"),
             "deltas": 0, "finished": False, "aborted": False}
    answer = Answer(state, entry, {}, reader, writer)
    if path.startswith("/_"):
        status, value = await control(state, method, path, body)
        await answer.whole(status, "application/json", json.dumps(value))
        return
    state.log.append(entry)
    await state.tell()
    try:
        if (method, path) == ("GET", "/v1/models"):
            listed = {"object": "list", "data": [{"id": name, "object": "model"} for name in state.models]}
            await answer.whole(state.models_status, "application/json", json.dumps(listed))
        elif (method, path) == ("POST", "/v1/chat/completions"):
            answer.behaviour = choose(state, body)
            await chat(answer, body)
        else:
            await answer.whole(404, "application/json", '{"error":{"message":"no such path"}}')
        entry["finished"] = True
    except Gone:
        entry["aborted"] = True
        raise
    finally:
        await state.tell()


async def connection(state, reader, writer):
    writer.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        while True:
            await one(state, reader, writer)
    except (Gone, ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def main(port, until_stdin_ends, tls):
    loop = asyncio.get_running_loop()
    state = State()

    def protocol():
        reader = Reader()
        return asyncio.StreamReaderProtocol(reader, lambda r, w: connection(state, r, w))

    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
    server = await loop.create_server(protocol, "127.0.0.1", port, ssl=context)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    if until_stdin_ends:
        await loop.run_in_executor(None, sys.stdin.buffer.read)
        os._exit(0)
    await server.serve_forever()


class Provider:
    """The provider as a child process, for tests written in Python. tls: the files of a certificate and its key, for HTTPS."""

    def __init__(self, tls=None, host="127.0.0.1"):
        arguments = ["--stdin", *(["--tls", *map(str, tls)] if tls else [])]
        self.process = subprocess.Popen(["/usr/bin/python3", os.path.abspath(__file__), *arguments], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        self.url = f"{'https' if tls else 'http'}://{host}:{self.port}"
        self.base_url = self.url + "/v1"

    def call(self, path, value=None):
        data = None if value is None else json.dumps(value).encode()
        request = urllib.request.Request(self.url + path, data=data, method="GET" if value is None else "POST")
        # The tests' own way in: whether the certificate is believed is what the server under test has to judge.
        unchecked = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), unchecked)
        with opener.open(request, timeout=60) as reply:
            return json.load(reply)

    def script(self, *behaviours):
        return self.call("/_script", list(behaviours))

    def log(self):
        return self.call("/_log")

    def wait(self, **want):
        """Returns when so many requests, finished or aborted answers, or deltas have been seen; raises HTTPError 408."""
        return self.call("/_wait", want)

    def release(self):
        return self.call("/_release", {})

    def reset(self):
        return self.call("/_reset", {})

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


if __name__ == "__main__":
    arguments = [a for a in sys.argv[1:] if a != "--stdin"]
    files = None
    if "--tls" in arguments:
        at = arguments.index("--tls")
        files = arguments[at + 1:at + 3]
        del arguments[at:at + 3]
    try:
        asyncio.run(main(int(arguments[0]) if arguments else 0, "--stdin" in sys.argv, files))
    except KeyboardInterrupt:
        pass
