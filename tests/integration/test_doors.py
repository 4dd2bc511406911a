"""Doors pushed at: requests that two parsers might read differently, frames by hand, names that deceive, tokens that end, and who may what."""
import json
import os
import re
import resource
import struct
import time

import pytest
from support.harness import HOST, Stream, wait_for

OK = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
NOBODY = "00000000-0000-7000-8000-000000000000"


def post(path, fields, body=b""):
    return b"POST " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n" + fields + b"\r\n" + body


class TestSmuggling:
    """T23: whatever is not read in one way only is refused, and nothing behind it is answered."""
    CHUNKED = b"Transfer-Encoding: chunked\r\n"
    PROBES = {
        "leading zero": post(b"/healthz", b"Content-Length: 05\r\n", b"hello"),
        "two numbers": post(b"/healthz", b"Content-Length: 5 5\r\n", b"hello"),
        "fraction": post(b"/healthz", b"Content-Length: 5.0\r\n", b"hello"),
        "tab before the length": post(b"/healthz", b"Content-Length:\t5\r\n", b"hello"),
        "lengths that differ in case of name": post(b"/healthz", b"Content-Length: 5\r\ncontent-length: 0\r\n", b"hello"),
        "chunked, then a length": post(b"/healthz", CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n"),
        "another spelling": post(b"/healthz", b"Transfer-Encoding: Chunked\r\n", b"0\r\n\r\n"),
        "no coding": post(b"/healthz", b"Transfer-Encoding:\r\n", b"0\r\n\r\n"),
        "coding with a parameter": post(b"/healthz", b"Transfer-Encoding: chunked;a=b\r\n", b"0\r\n\r\n"),
        "tab behind the name": post(b"/healthz", b"Transfer-Encoding\t: chunked\r\n", b"0\r\n\r\n"),
        "underscore": post(b"/healthz", b"Transfer_Encoding: chunked\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        "folded coding": post(b"/healthz", b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n"),
        "chunked in HTTP/1.0": b"POST /healthz HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "CR CR LF": b"GET /healthz HTTP/1.1\r\nHost: x\r\r\n\r\n",
        "LF CR LF": b"GET /healthz HTTP/1.1\r\nHost: x\n\r\n\r\n",
        "NUL in a name": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX\x00: a\r\n\r\n",
        "byte over 127 in a name": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\xc3\xa9: a\r\n\r\n",
        "quotes in a name": b'GET /healthz HTTP/1.1\r\nHost: x\r\n"a": b\r\n\r\n',
        "hosts as a list": b"GET /healthz HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "host with a path": b"GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "host with a user": b"GET /healthz HTTP/1.1\r\nHost: a@b\r\n\r\n",
        "host with a wrong port": b"GET /healthz HTTP/1.1\r\nHost: a:99999\r\n\r\n",
        "empty host": b"GET /healthz HTTP/1.1\r\nHost: \r\n\r\n",
        "line before the first field": b"GET /healthz HTTP/1.1\r\n Host: x\r\nHost: x\r\n\r\n",
        "fragment": b"GET /healthz#a HTTP/1.1\r\nHost: x\r\n\r\n",
        "backslash": b"GET /\\healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "network path with credentials": b"GET http://a@b/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "space behind the version": b"GET /healthz HTTP/1.1 \r\nHost: x\r\n\r\n",
        "version with two digits": b"GET /healthz HTTP/1.10\r\nHost: x\r\n\r\n",
        "space before the method": b" GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "control byte in the target": b"GET /health\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
        "a method without end": b"G" * 8000 + b" / HTTP/1.1\r\nHost: x\r\n\r\n",
    }
    BODIES = {
        "LF behind the size": b"5\nhello\r\n0\r\n\r\n", "LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        "CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n", "space before the size": b" 5\r\nhello\r\n0\r\n\r\n",
        "underscore in the size": b"1_0\r\nhello\r\n0\r\n\r\n", "negative size": b"-5\r\nhello\r\n0\r\n\r\n",
        "size that wraps round": b"10000000000000005\r\nhello\r\n0\r\n\r\n", "no end behind the last": b"5\r\nhello\r\n0\r\nGET",
        "trailer without name": b"5\r\nhello\r\n0\r\n: a\r\n\r\n", "folded trailer": b"5\r\nhello\r\n0\r\nA: b\r\n c\r\n\r\n",
    }

    def refused(self, server, data):
        with server.raw() as connection:
            connection.send(data + OK)
            reply = connection.reply()
            assert reply is not None and reply.status in (400, 413, 431, 501), reply
            assert reply.headers["connection"] == "close" and reply.body["code"] and server.token not in reply.text
            assert connection.reply() is None and connection.ended, "what stood behind it was answered"

    @pytest.mark.parametrize("name", PROBES)
    def test_heads(self, shared_server, name):
        self.refused(shared_server, self.PROBES[name])

    @pytest.mark.parametrize("name", BODIES)
    def test_bodies(self, shared_server, name):
        sign_in = b"Authorization: Bearer " + shared_server.token.encode() + b"\r\nContent-Type: application/json\r\n"
        self.refused(shared_server, post(b"/v1/chat", sign_in + self.CHUNKED, self.BODIES[name]))

    def test_a_body_in_a_get_is_read_as_such(self, shared_server):
        """A request inside a body is never taken for one."""
        with shared_server.raw() as connection:
            connection.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(OK) + OK)
            assert connection.reply().status == 400
            assert connection.quiet(0.2)
            connection.send(OK)
            assert connection.reply().status == 200

    def test_a_trailer_changes_nothing(self, shared_server):
        sign_in = b"Authorization: Bearer " + shared_server.token.encode() + b"\r\nContent-Type: application/json\r\n"
        with shared_server.raw() as connection:
            connection.send(post(b"/v1/chat", sign_in + self.CHUNKED,
                                 b'13\r\n{"message":"hello"}\r\n0\r\nContent-Length: 40\r\nHost: y\r\n\r\n') + OK)
            assert [connection.reply().status for _ in range(2)] == [200, 200]

    def test_many_small_chunks_with_long_extensions(self, shared_server):
        sign_in = b"Authorization: Bearer " + shared_server.token.encode() + b"\r\nContent-Type: application/json\r\n"
        self.refused(shared_server, post(b"/v1/chat", sign_in + self.CHUNKED, (b"1;" + b"a" * 1000 + b"\r\n \r\n") * 8))


class TestBytes:
    """T22: text is UTF-8 or refused, wherever it stands."""

    @pytest.mark.parametrize("path", [
        "/v1/agents/%ff", "/v1/agents/%c0%80", "/v1/agents/%ed%a0%80", "/v1/agents/%f5%80%80%80", "/v1/agents/%00", "/v1/agents/a%", "/v1/agents/%2",
        "/v1/agents?maturity=%ff", "/v1/agents?%ff=1", "/v1/agents?limit=%00", "/v1/agents?limit=%zz"])
    def test_percent_encoding(self, shared_server, path):
        reply = shared_server.get(path)
        assert reply.status in (400, 422) and reply.body["code"] in ("malformed", "invalid"), reply.text

    @pytest.mark.parametrize("body", [
        b'{"message":"\xc0\xaf"}', b'{"message":"\xed\xa0\x80"}', b'{"message":"\xf4\x90\x80\x80"}', b'{"message":"\\udc00"}',
            b'{"message":"\\ud800\\u0041"}',
        b'{"message":"\\u12"}', b'{"message":"a\x00b"}', b'{"m\xff":"a"}', b'{"message":"a",}', b'{message:"a"}', b"{'message':'a'}",
            b'{"message":NaN}',
        b'{"message":01}', b'{"message":+1}', b'{"message":1.}', b'{"message":"a"}\x00', b"\xff\xfe{\x00}\x00", b'{"message":"\\u0000"}',
            b'{"a":' * 64 + b"{}" + b"}" * 64,
        b"[" * 500000, b'{"\\u006dessage":"a","message":"b"}', b'{"message":' + b"9" * 100000 + b"}"])
    def test_json(self, shared_server, body):
        started = time.monotonic()
        for path in ("/v1/chat", "/v1/agents", "/v1/events"):
            reply = shared_server.post(path, body)
            assert reply.status == 400 and reply.code == "malformed", reply.text
        assert time.monotonic() - started < 5

    def test_many_values(self, shared_server):
        """A body full of tiny values costs what its bytes cost."""
        for body in (b'{"data":[' + b"0," * 500000 + b"0]}", b'{"data":{' + b",".join(b'"%d":0' % i for i in range(100000)) + b"}}"):
            reply = shared_server.post("/v1/events", body)
            assert reply.status in (413, 422), reply.text
        assert shared_server.get("/v1/me").status == 200

    def test_messages_of_any_characters_come_back_as_they_were(self, shared_server):
        text = "a\u0001b\u202ec\U0001f600\u0301\ufeff\ud7ff\ue000 \u2028"
        run = shared_server.chat(text).ok(200)
        assert shared_server.messages(run["session_id"])[0]["content"] == text


class TestNames:
    """T25: what is shown as a name can be seen, stands in one line and keeps its direction."""
    BAD = ["\u202egnp", "a\u2066b", "a\u200eb", "a\u061cb", "a\u0085b", "a\u009b31m", "a\u2028b", "\u200b\u200d", "\u3000", "\u2800", "a\nb",
           "a\x1b[2J"]
    GOOD = ["Ада", "\u05d0\u05d1", "名前", "👩‍🔬", "e\u0301", "a" * 200, "😀" * 200]

    @pytest.mark.parametrize("name", BAD)
    def test_refused(self, shared_server, name):
        for path, body in (("/v1/agents", {"name": name}), ("/v1/users", {"name": name, "role": "member"}),
                           ("/v1/agents", {"name": "x", "category": name}), ("/v1/tokens", {"label": "x" + name + "x"}),
                           ("/v1/agents", {"name": "x", "capabilities": [name]}), ("/v1/agents", {"name": "x", "model": {"model": name}})):
            if path == "/v1/tokens" and not any(c in name for c in "\u202e\u2066\n\x1b"):
                continue
            assert shared_server.post(path, body).status == 422, (path, body)

    @pytest.mark.parametrize("name", GOOD)
    def test_taken(self, shared_server, name):
        """Lengths are counted in characters."""
        assert shared_server.post("/v1/agents", {"name": name}).ok(201)["name"] == name
        assert shared_server.post("/v1/users", {"name": name, "role": "viewer"}).ok(201)["name"] == name
        assert shared_server.post("/v1/agents", {"name": "😀" * 201}).status == 422

    @pytest.mark.parametrize("handle", ["аdmin", "admin\u200d", "Admin", "ad min", "@admin", "a" * 65, "", "ａdmin", "admın", "a/b", "a.b"])
    def test_handles_are_plain(self, shared_server, handle):
        assert shared_server.post("/v1/agents", {"name": "x", "handle": handle}).status == 422

    def test_many_of_one_name(self, shared_server):
        handles = {shared_server.post("/v1/agents", {"name": "Twin"}).ok(201)["handle"] for _ in range(12)}
        assert len(handles) == 12 and all(re.fullmatch(r"twin(-\d+)?", handle) for handle in handles)


# ---- WebSocket frames by hand (RFC 6455) ----

def frame(opcode, payload=b"", fin=True, masked=True, bits=0, length=None):
    """length: what the head says instead, as (short form, bytes of the long one)."""
    short, more = length if length else ((len(payload), b"") if len(payload) < 126 else
                                         (126, struct.pack(">H", len(payload))) if len(payload) < 65536 else (127, struct.pack(">Q", len(payload))))
    mask = b"\x11\x22\x33\x44" if masked else b""
    data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload)) if masked else payload
    return bytes([(0x80 if fin else 0) | bits | opcode, (0x80 if masked else 0) | short]) + more + mask + data


TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
SPLIT = "κόσμε😀".encode()
PINGED = frame(TEXT, b'{"type":"ping"}')


def handshake(server, connection, fields=b"", origin=None, glued=b""):
    sign_in = b"Authorization: Bearer " + server.token.encode() + b"\r\n"
    connection.send(b"GET /v1/ws HTTP/1.1\r\nHost: " + f"{HOST}:{server.port}".encode() + b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + sign_in + fields +
                    (b"Origin: " + origin + b"\r\n" if origin else b"") + b"\r\n" + glued)
    return connection.reply(head=True)


def frames_of(connection, wanted):
    """(opcode, payload) of the server's frames, until wanted(opcode, payload) or the end."""
    got = []
    while True:
        while len(connection.got) < 2 or len(connection.got) < 2 + (2 if connection.got[1] == 126 else 8 if connection.got[1] == 127 else 0):
            if not connection.more():
                return got
        opcode, length, at = connection.got[0] & 15, connection.got[1], 2
        assert connection.got[0] & 0x70 == 0 and length & 0x80 == 0, "reserved bits, or a masked frame of a server"
        if length >= 126:
            size = 2 if length == 126 else 8
            length, at = int.from_bytes(connection.got[2:2 + size], "big"), 2 + size
        while len(connection.got) < at + length:
            if not connection.more():
                return got
        got.append((opcode, connection.got[at:at + length]))
        connection.got = connection.got[at + length:]
        if wanted(*got[-1]):
            return got


def close_code(connection):
    last = frames_of(connection, lambda opcode, _: opcode == CLOSE)
    assert last and last[-1][0] == CLOSE, f"no close frame among {last}"
    return int.from_bytes(last[-1][1][:2], "big") if last[-1][1] else None


class TestFrames:
    """T24"""
    BROKEN = {
        "reserved bit 1": (frame(TEXT, b"{}", bits=0x40), 1002), "reserved bit 3": (frame(TEXT, b"{}", bits=0x10), 1002),
        "reserved opcode": (frame(3, b""), 1002), "reserved control": (frame(11, b""), 1002), "not masked": (frame(TEXT, b"{}", masked=False), 1002),
        "fragmented ping": (frame(PING, b"", fin=False), 1002), "long ping": (frame(PING, b"a" * 126), 1002),
        "ping in the long form": (frame(PING, b"a", length=(126, b"\x00\x01")), 1002),
        "length in a longer form": (frame(TEXT, b"{}", length=(126, b"\x00\x02")), 1002),
        "length in the longest form": (frame(TEXT, b"{}", length=(127, struct.pack(">Q", 2))), 1002),
        "length with the top bit": (frame(TEXT, b"", length=(127, b"\xff" * 8)), 1002),
        "continuation of nothing": (frame(0, b"a"), 1002), "message inside a message": (frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), 1002),
        "too big": (frame(TEXT, b"", length=(127, struct.pack(">Q", 1 << 40))), 1009),
        "too big in pieces": ((frame(TEXT, b" " * 60000, fin=False) + frame(0, b" " * 60000, fin=False) * 40), 1009),
        "too many pieces": (frame(TEXT, b"", fin=False) + frame(0, b"", fin=False) * 65536, 1009),
        "binary": (frame(BINARY, b"{}"), 1003), "not UTF-8": (frame(TEXT, b"\xff"), 1007), "surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
        "not UTF-8 in the second piece": (frame(TEXT, SPLIT[:3], fin=False) + frame(0, b"\xff"), 1007),
        "cut character": (frame(TEXT, SPLIT[:-1]), 1007), "not UTF-8, told before the end": (frame(TEXT, b"\xff" + b"a" * 60000, length=(126,
            b"\xea\x61"))[:20], 1007),
        "half a code": (frame(CLOSE, b"\x03"), 1002), "reason that is not UTF-8": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
        "ping flood": (frame(PING, b"a") * 300, 4029), "pong flood": (frame(PONG) * 300, 4029),
    }

    @pytest.mark.parametrize("name", BROKEN)
    def test_broken(self, shared_server, name):
        data, code = self.BROKEN[name]
        with shared_server.raw() as connection:
            assert handshake(shared_server, connection).status == 101
            try:
                connection.send(data)
            except OSError:
                pass
            assert close_code(connection) == code
            assert connection.closed()

    @pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
    def test_codes_that_must_not_be_sent(self, shared_server, code):
        with shared_server.raw() as connection:
            handshake(shared_server, connection)
            connection.send(frame(CLOSE, struct.pack(">H", code)))
            assert close_code(connection) == 1002

    @pytest.mark.parametrize("code", [None, 1000, 1001, 1003, 1007, 1011, 3000, 4999])
    def test_codes_come_back(self, shared_server, code):
        with shared_server.raw() as connection:
            handshake(shared_server, connection)
            connection.send(frame(CLOSE, b"" if code is None else struct.pack(">H", code) + "wörd".encode()))
            assert close_code(connection) == code
            assert connection.closed()

    def test_pieces_with_controls_between(self, shared_server):
        with shared_server.raw() as connection:
            handshake(shared_server, connection)
            text = json.dumps({"type": "ping", "ref": "κόσμε😀"}, ensure_ascii=False).encode()
            at = text.index("😀".encode()) + 2
            connection.send(frame(TEXT, text[:at], fin=False) + frame(PING, b"now") + frame(0, b"", fin=False) + frame(0, text[at:]))
            got = frames_of(connection, lambda opcode, _: opcode == TEXT)
            assert (PONG, b"now") in got and json.loads(got[-1][1]) == {"type": "pong", "ref": "κόσμε😀"}

    def test_a_frame_glued_to_the_handshake(self, shared_server):
        with shared_server.raw() as connection:
            assert handshake(shared_server, connection, glued=PINGED * 3).status == 101
            for _ in range(3):
                assert frames_of(connection, lambda *_: True)[0][0] == TEXT

    def test_byte_by_byte(self, shared_server):
        with shared_server.raw() as connection:
            handshake(shared_server, connection)
            for byte in PINGED:
                connection.send(bytes([byte]))
            assert frames_of(connection, lambda opcode, _: True)[0][0] == TEXT

    def test_after_close_nothing_is_heard(self, shared_server):
        with shared_server.raw() as connection:
            handshake(shared_server, connection)
            connection.send(frame(CLOSE, b"\x03\xe8") + PINGED)
            assert [opcode for opcode, _ in frames_of(connection, lambda *_: False)] == [CLOSE]

    @pytest.mark.parametrize("fields, status", [
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 400), (b"Content-Length: 2\r\nContent-Type: application/json\r\n", 400)])
    def test_handshakes_with_too_much(self, shared_server, fields, status):
        with shared_server.raw() as connection:
            reply = handshake(shared_server, connection, fields, glued=b"{}")
            assert reply.status == status

    @pytest.mark.parametrize("origin, good", [
        (None, True), (b"http://evil.example", False), (b"null", False), (b"file://", False), (b"http://127.0.0.1", False),
            (b"http://127.0.0.1.evil.example", False),
        (b"https://127.0.0.1:1", False), (b"chrome-extension://abc", False), (b"own", True)])
    def test_origins(self, shared_server, origin, good):
        """T10"""
        with shared_server.raw() as connection:
            own = f"http://{HOST}:{shared_server.port}".encode()
            assert handshake(shared_server, connection, origin=own if origin == b"own" else origin).status == (101 if good else 403)

    def test_two_origins(self, shared_server):
        with shared_server.raw() as connection:
            own = f"http://{HOST}:{shared_server.port}".encode()
            assert handshake(shared_server, connection, b"Origin: http://evil.example\r\n", origin=own).status == 403


# ---- tokens that end ----

class TestEnds:
    """T14: what a token opened ends with it."""

    def token(self, server, user, **members):
        made = server.post("/v1/tokens", {"user_id": user.id, **members}).ok(201)
        return made, server.client(made["token"])

    def open_events(self, client):
        from support.harness import Stream
        return Stream(*client.open("GET", "/v1/events?topics=room"))

    def test_streams_end_with_the_time_of_their_token(self, shared_server):
        user = shared_server.second_user()
        _, client = self.token(shared_server, user, expires_in_s=1)
        started = time.monotonic()
        with self.open_events(client) as stream:
            assert stream.status == 200 and stream.next() is None
        assert 0.5 < time.monotonic() - started < 10
        assert client.get("/v1/me").status == 401

    def test_a_run_s_stream_ends_and_the_run_goes_on(self, server_with_provider, provider):
        server = server_with_provider
        user = server.second_user()
        made, client = self.token(server, user)
        with client.stream('script:{"deltas":["a","b"],"hold_after":1}') as stream:
            stream.until("streaming:update")
            execution = stream.headers["x-execution-id"]
            assert user.delete(f"/v1/tokens/{made['id']}").status == 204
            assert [event for event in stream] == []
        provider.release()
        assert user.ended(execution)["status"] == "completed"

    def test_a_body_on_its_way_is_refused(self, shared_server):
        user = shared_server.second_user()
        made, client = self.token(shared_server, user)
        body = b'{"message":"too late"}'
        with shared_server.raw() as connection:
            connection.send(post(b"/v1/chat", b"Authorization: Bearer " + client.token.encode() + b"\r\nContent-Type: application/json\r\n"
                                 b"Content-Length: %d\r\n" % len(body), body[:5]))
            assert user.get("/v1/me").status == 200
            assert user.delete(f"/v1/tokens/{made['id']}").status == 204
            assert connection.quiet(0.1)
            connection.send(body[5:])
            assert connection.reply().status == 401
        assert user.items("/v1/executions") == []

    @pytest.mark.parametrize("change", [{"role": "viewer"}, {"disabled": True}])
    def test_sockets_end_with_the_role_they_signed_in_with(self, shared_server, change):
        user = shared_server.second_user("member")
        with user.ws() as socket, self.open_events(user) as stream:
            shared_server.patch(f"/v1/users/{user.id}", change).ok(200)
            assert socket.close_code() == 4001
            assert stream.next() is None

    def test_a_token_in_a_url_is_refused_for_streams_and_sockets_too(self, shared_server):
        """T12"""
        for path in ("/v1/events?topics=room&token=", "/v1/ws?access_token=", "/v1/executions?api_key="):
            reply = shared_server.anonymous().get(path + shared_server.token)
            assert reply.status == 400 and shared_server.token not in reply.text


# ---- who may what ----

def operations(server):
    paths = server.anonymous().get("/openapi.json").ok(200)["paths"]
    return [(method.upper(), path, op) for path, item in paths.items() for method, op in item.items()]


def target_of(path):
    return re.sub(r"\{[^}]+\}", NOBODY, path)


class TestWho:
    @pytest.fixture(scope="class")
    def external(self, shared_server):
        agent = shared_server.agent("External", "autonomous", kind="external")
        made = shared_server.post(f"/v1/agents/{agent['id']}/tokens", {}).ok(201)
        return agent, shared_server.client(made["token"])

    def test_an_agent_calls_its_own_rows_only(self, shared_server, external):
        """T4, T5: never policy, maturity, keys, tokens or people, however mature it is."""
        _, client = external
        rows = operations(shared_server)
        social = ("/v1/posts", "/v1/feed", "/v1/trending", "/v1/channels", "/v1/direct-messages", "/v1/blocks", "/v1/agents/{id}/rate-limit",
                  "/v1/agents/{id}/readiness", "/v1/agents/{id}/reputation")
        others = {path for _, path, op in rows if op["x-agents"] and not path.startswith(social)}
        assert others == {"/v1/me", "/v1/ws", "/v1/events", "/v1/agents/{id}/decide", "/v1/agents/{id}/enforce",
                          "/v1/approvals", "/v1/approvals/{id}"}
        for method, path, op in rows:
            if op["x-agents"] or {} in op["security"]:
                continue
            reply = client.request(method, target_of(path), None if method in ("GET", "DELETE") else {})
            assert (reply.status, reply.code) == (403, "permission_denied"), (method, path, reply.text)

    def test_an_agent_is_itself(self, shared_server, external):
        """T9"""
        agent, client = external
        assert client.get("/v1/me").ok(200)["role"] == "agent"
        assert client.post(f"/v1/agents/{agent['id']}/decide", {"action": "delete"}).ok(200)["agent_maturity"] == "autonomous"
        other = shared_server.agent("Another one")
        for id in (other["id"], other["handle"], "chat-assistant", "no-such-agent", NOBODY):
            assert client.post(f"/v1/agents/{id}/decide", {"action": "search"}).status == 403
        client.post("/v1/events", {"type": "x.a", "topics": ["room"]}).ok(202)
        for topic in (f"agent:{other['id']}", f"execution:{NOBODY}", "post:x"):
            assert client.post("/v1/events", {"type": "x.a", "topics": [topic]}).status == 404
        with client.ws() as socket:
            assert socket.ask({"type": "subscribe", "topics": [f"agent:{agent['id']}"]})["type"] == "ok"
            assert socket.ask({"type": "publish", "topics": ["room"], "event": {"type": "x.a"}})["type"] == "ok"
            for message in ({"type": "chat", "message": "x"}, {"type": "cancel", "execution_id": NOBODY}):
                assert socket.ask(message)["code"] == "permission_denied"
            me = shared_server.get("/v1/me").ok(200)["id"]
            assert socket.ask({"type": "subscribe", "topics": [f"user:{me}"]})["code"] == "not_found"

    def test_a_paused_agent_listens_no_more(self, shared_server):
        agent = shared_server.agent("Paused", "intern", kind="external")
        client = shared_server.client(shared_server.post(f"/v1/agents/{agent['id']}/tokens", {}).ok(201)["token"])
        shared_server.post(f"/v1/agents/{agent['id']}/pause").ok(200)
        assert client.get("/v1/events?topics=room").status == 403
        with client.ws() as socket:
            assert socket.ask({"type": "subscribe", "topics": ["room"]})["code"] == "agent_not_active"

    def test_a_viewer_reads(self, shared_server):
        viewer = shared_server.second_user("viewer")
        for method, path, op in operations(shared_server):
            if method == "GET" or op.get("x-role") == "viewer" or {} in op["security"]:
                continue
            reply = viewer.request(method, target_of(path), None if method == "DELETE" else {})
            assert (reply.status, reply.code) == (403, "permission_denied"), (method, path, reply.text)
        assert {(method, path) for method, path, op in operations(shared_server) if method != "GET" and op.get("x-role") == "viewer"} == {
            ("POST", "/v1/tokens"), ("POST", "/v1/tokens/{id}/rotate"), ("DELETE", "/v1/tokens/{id}"), ("POST", "/v1/agents/{id}/decide"),
            ("POST", "/v1/users/{id}/erase"), ("POST", "/v1/auth/logout")}
        assert viewer.post("/v1/tokens", {"user_id": shared_server.get("/v1/me").ok(200)["id"]}).status == 403

    def test_a_member_s_agents(self, shared_server):
        """T3, T4: students that only their owner and admins change; private parts for these alone."""
        owner, other = shared_server.second_user(), shared_server.second_user()
        agent = owner.post("/v1/agents", {"name": "Mine", "system_prompt": "secret words", "configuration": {"a": 1}}).ok(201)
        path = f"/v1/agents/{agent['id']}"
        assert agent["maturity"] == "student" and agent["owner_id"] == owner.id and agent["is_system"] is False
        for maturity in ("intern", "supervised", "AUTONOMOUS"):
            assert owner.post("/v1/agents", {"name": "x", "maturity": maturity}).status == 403
        for member in ("maturity", "lifecycle", "owner_id", "is_system", "confidence", "revision", "id", "created_at", "kind", "handle", "budget"):
            assert owner.patch(path, {member: "x"}).body["errors"][0]["pointer"] == f"/{member}"
        for verb in ("promote", "demote"):
            assert owner.post(f"{path}/{verb}", {"reason": "x"}).status == 403
        for verb in ("pause", "resume", "stop", "archive", "tokens"):
            assert other.post(f"{path}/{verb}").status == 403
        assert other.patch(path, {"description": "theirs"}).status == 403
        seen = other.get(path).ok(200)
        assert seen["system_prompt"] is None and seen["configuration"] is None and "secret words" not in other.get("/v1/agents?limit=100").text
        assert "secret words" not in other.get(f"/v1/resolve?agent={agent['id']}").text
        assert owner.get(path).ok(200)["system_prompt"] == "secret words"

    def test_nobody_rules_upward(self, shared_server):
        admin, operator = shared_server.second_user("admin"), shared_server.get("/v1/me").ok(200)["id"]
        for body in ({"name": "x"}, {"disabled": True}, {"role": "viewer"}):
            assert admin.patch(f"/v1/users/{operator}", body).status == 403
        assert admin.post("/v1/tokens", {"user_id": operator}).status == 403
        assert admin.get(f"/v1/tokens?user={operator}").status == 403
        assert admin.patch(f"/v1/users/{admin.id}", {"role": "member"}).status == 403
        token = shared_server.items("/v1/tokens")[0]["id"]
        assert admin.delete(f"/v1/tokens/{token}").status == 404 and shared_server.get("/v1/me").status == 200

    def test_an_admin_s_reading_of_others_runs_is_in_the_log(self, shared_server):
        admin, user = shared_server.second_user("admin"), shared_server.second_user()
        run = user.chat("mine").ok(200)["execution_id"]

        def entries():
            return shared_server.items(f"/v1/audit?limit=100&principal={admin.id}")
        reads = [lambda: admin.get(f"/v1/executions/{run}").ok(200), lambda: admin.get(f"/v1/executions?user={user.id}").ok(200),
                 lambda: admin.events(run).collect(), lambda: admin.get("/v1/executions").ok(200)]
        for read in reads:
            before = len(entries())
            assert read()
            new = entries()[:1]
            assert len(entries()) == before + 1 and new[0]["action"] == "read" and new[0]["outcome"] == "completed" and "read" in new[0]["change"]
        own = admin.chat("my own").ok(200)["execution_id"]
        before = len(entries())
        admin.get(f"/v1/executions/{own}").ok(200)
        user.get(f"/v1/executions/{run}").ok(200)
        assert len(entries()) == before

    def test_an_admin_who_watches_others_runs_is_in_the_log_before_the_answer(self, shared_server):
        admin, user = shared_server.second_user("admin"), shared_server.second_user()
        runs = [user.chat(text).ok(200)["execution_id"] for text in ("one", "two")]
        own = admin.chat("mine").ok(200)["execution_id"]

        def entries():
            return shared_server.items(f"/v1/audit?limit=100&principal={admin.id}")

        def expect(before, ids):
            new = entries()
            assert len(new) == before + 1 and (new[0]["action"], new[0]["outcome"]) == ("read", "completed")
            assert new[0]["change"] == {"execution_ids": ids, "read": "events"}
        with admin.ws() as socket:
            before = len(entries())
            assert socket.ask({"type": "resume", "execution_id": runs[0], "after": 0})["type"] == "ok"
            expect(before, runs[:1])
            topics = [f"execution:{run}" for run in (*runs, own)]
            assert socket.ask({"type": "subscribe", "topics": topics})["type"] == "ok"
            expect(before + 1, runs)
            with Stream(*admin.open("GET", "/v1/events?topics=" + ",".join(topics))) as stream:
                assert stream.status == 200
            expect(before + 2, runs)
            assert socket.ask({"type": "resume", "execution_id": own, "after": 0})["type"] == "ok"
            assert socket.ask({"type": "subscribe", "topics": [topics[2]]})["type"] == "ok"
            unknown = runs[0][:-2] + ("00" if runs[0][-2:] != "00" else "11")
            assert socket.ask({"type": "resume", "execution_id": unknown, "after": 0})["code"] == "not_found"
        with user.ws() as socket:
            assert socket.ask({"type": "resume", "execution_id": runs[0], "after": 0})["type"] == "ok"
            assert socket.ask({"type": "resume", "execution_id": own, "after": 0})["code"] == "not_found"
        assert len(entries()) == before + 3

    @pytest.mark.parametrize("value, status", [('"1"', 200), ("1", 200), ("*", 200), ('"0"', 409), ('"99"', 409), ('W/"1"', 422), ("", 422), ("one",
        422), ('"', 422),
                                               ("-1", 422), ('"1", "2"', 422), ("18446744073709551616", 422)])
    def test_if_match(self, shared_server, value, status):
        agent = shared_server.agent(f"Match {os.urandom(4).hex()}")
        assert shared_server.patch(f"/v1/agents/{agent['id']}", {"description": "x"}, headers={"If-Match": value}).status == status

    @pytest.mark.parametrize("url", [
        "https://127.0.0.1/v1", "https://127.0.0.1./v1", "https://[::1]/v1", "https://[::ffff:10.0.0.1]/v1", "https://169.254.169.254/latest",
            "https://2130706433/",
        "https://0x7f.1/", "https://localhost/", "https://a.internal/", "http://api.openai.com/v1", "https://u:p@api.openai.com/",
            "gopher://x.example/",
        "https://api.openai.com\r\nX: y/", "https://[fe80::1%25eth0]/", "//x.example/", ""])
    def test_where_keys_may_be_sent(self, shared_server, url):
        """T15, T17"""
        body = {"provider": "elsewhere", "key": "sk-0123456789ab", "base_url": url}
        for role in ("member", "admin"):
            user = shared_server.second_user(role)
            reply = user.post("/v1/keys", body)
            assert reply.status == (422 if url else 201), reply.text
            if not url:
                assert reply.body["base_url"] is None

    def test_a_key_that_must_not_reach_this_machine_does_not(self, server_with_provider, provider):
        """T15: the name was public when the key came; where it leads is judged when it is used."""
        server = server_with_provider
        assert server.post("/v1/keys", {"provider": "openai", "key": "sk-operators-0123", "base_url": provider.base_url}).ok(201)
        assert server.chat("hello").ok(200)["success"] is True
        assert server.stop() == 0
        with server.store() as store:
            store.execute("UPDATE provider_key SET guarded = 1")
        server.start()
        provider.reset()
        reply = server.chat("hello")
        assert (reply.status, reply.code) == (502, "provider_failed") and provider.log() == []


# ---- the process ----

class TestProcess:
    def test_it_leaves_nothing_to_others(self, server):
        """T16, T42: no core, no file for others."""
        with open(f"/proc/{server.pid}/limits", encoding="ascii") as limits:
            core = [line for line in limits if line.startswith("Max core file size")][0].split()
        assert core[4:6] == ["0", "0"]
        with open(f"/proc/{server.pid}/status", encoding="ascii") as status:
            assert [line.split()[1] for line in status if line.startswith("Umask:")] == ["0077"]

    def test_no_descriptors_left(self, server):
        """T41: it does not spin, keeps what stands, and comes back."""
        kept = server.raw()
        kept.send(OK)
        assert kept.reply().status == 200
        used = len(os.listdir(f"/proc/{server.pid}/fd"))
        before = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (used + 3, before[1]))
        crowd = [server.raw() for _ in range(40)]
        wait_for(lambda: any(connection.closed(0.05) for connection in crowd), "somebody to be turned away")

        def cpu():
            with open(f"/proc/{server.pid}/stat", encoding="ascii") as stat:
                return sum(int(field) for field in stat.read().rsplit(")", 1)[1].split()[11:13]) / os.sysconf("SC_CLK_TCK")
        spent = cpu()
        kept.send(OK)
        assert kept.reply().status == 200
        assert kept.quiet(0.5) and cpu() - spent < 0.3
        for connection in crowd:
            connection.close()
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, before)
        wait_for(lambda: self.answers(server), "answers to new connections")
        kept.close()

    def answers(self, server):
        try:
            return server.get("/healthz").status == 200
        except OSError:
            return False

    def test_log_lines_stay_lines(self, make_server):
        """T33"""
        server = make_server(env={"GUILD_LOG_LEVEL": "debug"})
        evil = "a\r\n{\"level\":\"error\",\"event\":\"forged\"}\x1b[31m\u2028"
        server.chat(evil)
        server.get("/v1/agents/" + "%0d%0a%7b%22event%22%3a%22forged%22%7d")
        server.post("/v1/users", {"name": evil, "role": "member"})
        server.post("/v1/keys", {"provider": "openai\n", "key": evil})
        with server.raw() as connection:
            connection.send(b"GET /%0a HTTP/1.1\r\nHost: x\r\nX-Request-Id: \x7f\r\n\r\n")
            connection.reply()
        lines = [line for line in server.log().splitlines() if line.startswith("{")]
        assert lines and all(json.loads(line)["event"] != "forged" for line in lines) and "\x1b" not in server.log()

    def test_the_command_line_shows_and_obeys_nothing(self, server_with_provider, provider):
        """T34: what the server, a user or a model says is text."""
        server, evil = server_with_provider, "\x1b]0;owned\x07\x1b[2J\u202eabc\x9b31m\x85"
        provider.script({"deltas": [evil, "\x1b", "[31m\r"]})
        chat = server.cli("chat", evil + "hello")
        session = server.items("/v1/sessions")[0]
        server.patch(f"/v1/sessions/{session['id']}", {"title": evil + "title"}).ok(200)
        outputs = [chat] + [server.cli(*words) for words in (("session", "list"), ("session", "show", session["id"]), ("execution", "list"),
                                                             ("agent", "show", "no" + evil), ("token", "add", "--label", "x" + evil))]
        assert chat.returncode == 0 and "abc" in chat.stdout
        for done in outputs:
            for bad in "\x1b\x07\x9b\x85\u202e\r":
                assert bad not in done.stdout + done.stderr, (done.args, done.stdout, done.stderr)

    def test_keys_are_not_taken_from_the_command_line(self, server):
        key = "sk-on-the-command-line-0123456789"
        done = server.cli("key", "add", "openai", key)
        assert done.returncode == 2 and server.items("/v1/keys") == []
        assert server.cli("key", "add", "openai", input=key + "\n").returncode == 0
        assert len(server.items("/v1/keys")) == 1 and key not in server.cli("key", "list").stdout
