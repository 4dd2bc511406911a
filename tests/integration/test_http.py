"""HTTP itself: problem documents, limits, malformed and smuggled requests, slow clients, pipelining, and who may call what."""
import json
import os
import re
import threading

import pytest
from support.harness import Raw, wait_for

HOST = b"Host: 127.0.0.1\r\n"
PROBLEM = {"type", "title", "status", "detail", "instance", "code"}


def head(server, method="GET", path="/healthz", fields=b"", token=True):
    sign_in = b"Authorization: Bearer " + server.token.encode() + b"\r\n" if token else b""
    return f"{method} {path} HTTP/1.1\r\n".encode() + HOST + sign_in + fields + b"\r\n"


def chat_bytes(server, body=b'{"message":"hello"}', fields=b""):
    return head(server, "POST", "/v1/chat", b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body) + fields) + body


class TestProblems:
    CASES = [
        ("GET", "/v1/agents/none-of-that-name", None, 404, "agent_not_found"),
        ("GET", "/no/such/path", None, 404, "not_found"),
        ("GET", "/v1/executions/00000000-0000-7000-8000-000000000000", None, 404, "not_found"),
        ("DELETE", "/v1/chat", None, 405, "method_not_allowed"),
        ("GET", "/v1/agents?limit=0", None, 422, "invalid"),
        ("GET", "/v1/agents?limit=101", None, 422, "invalid"),
        ("GET", "/v1/agents?limit=ten", None, 422, "invalid"),
        ("GET", "/v1/agents?colour=red", None, 422, "invalid"),
        ("GET", "/v1/agents?cursor=%21%21", None, 400, "invalid_cursor"),
        ("POST", "/v1/agents", {"name": "  "}, 422, "invalid"),
        ("POST", "/v1/agents", {"name": "x" * 201}, 422, "invalid"),
        ("POST", "/v1/agents", {"name": 7}, 422, "invalid"),
        ("POST", "/v1/agents", {}, 422, "invalid"),
        ("POST", "/v1/agents", {"name": "x", "handle": "Not A Handle"}, 422, "invalid"),
        ("POST", "/v1/agents", {"name": "x", "maturity": "grown-up"}, 422, "invalid"),
        ("POST", "/v1/chat", {"message": ""}, 422, "invalid"),
        ("POST", "/v1/chat", {"message": "x", "session_id": "none"}, 404, "session_not_found"),
        ("POST", "/v1/chat", {"message": "x", "on_busy": "panic"}, 422, "invalid"),
        ("POST", "/v1/agents/chat-assistant/decide", {"action": "x" * 129}, 422, "invalid"),
    ]

    @pytest.mark.parametrize("method, path, body, status, code", CASES)
    def test_errors_are_problem_documents(self, shared_server, method, path, body, status, code):
        reply = shared_server.request(method, path, body)
        assert (reply.status, reply.code) == (status, code), reply.text
        assert reply.headers["content-type"] == "application/problem+json"
        assert PROBLEM <= set(reply.body) and reply.body["status"] == status and reply.body["title"] and reply.body["detail"]
        if status == 405:
            assert "POST" in reply.headers["allow"]

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"message":"a"}x', b'{"message":"a","message":"b"}', b'{"message":"\xff"}',
                                      b'{"message":"\\ud800"}', b'{"message":1e999999}', b"\xef\xbb\xbf{}", b'{"message":"a\n"}',
                                      b'{"a":' * 65 + b"1" + b"}" * 65, b"[" * 100000])
    def test_broken_json_is_refused(self, shared_server, body):
        """T22"""
        reply = shared_server.post("/v1/chat", body)
        assert reply.status in (400, 422) and set(reply.body) >= PROBLEM
        if body not in (b"[]", b"null", b""):
            assert reply.status == 400, reply.text

    @pytest.mark.parametrize("path, member", [("/v1/chat", "mesage"), ("/v1/agents", "confidence"), ("/v1/agents", "owner_id"),
                                              ("/v1/agents", "created_at"), ("/v1/users", "is_admin"), ("/v1/tokens", "role")])
    def test_unknown_members_are_named(self, shared_server, path, member):
        """T3"""
        reply = shared_server.post(path, {"message": "x", "name": "x", member: "x"})
        assert reply.status == 422
        pointers = [error["pointer"] for error in reply.body["errors"]]
        if path == "/v1/chat":
            assert pointers in (["/mesage"], ["/name"])
        else:
            assert pointers in ([f"/{member}"], ["/message"])
        only = shared_server.post(path, {"message" if path == "/v1/chat" else "name": "x", member: "x"})
        assert only.status == 422 and ([e["pointer"] for e in only.body["errors"]] in ([f"/{member}"], ["/name"]))

    def test_a_token_is_needed(self, shared_server):
        for token in (None, "", "x", "guild_" + "0" * 60, shared_server.token[:-1], shared_server.token + "x"):
            reply = shared_server.client(token).get("/v1/me")
            assert reply.status == 401 and reply.code == "unauthenticated" and "www-authenticate" in reply.headers
        assert shared_server.get("/v1/me").ok(200)["role"] == "operator"

    def test_another_scheme_is_no_token(self, shared_server):
        for value in (f"Basic {shared_server.token}", shared_server.token, f"Bearer{shared_server.token}"):
            assert shared_server.anonymous().get("/v1/me", headers={"Authorization": value}).status == 401
        assert shared_server.anonymous().get("/v1/me", headers={"Authorization": f"bearer {shared_server.token}"}).status == 200

    @pytest.mark.parametrize("name", ["token", "access_token", "api_key", "TOKEN", "to%6ben"])
    def test_a_token_in_the_url_is_refused(self, server, name):
        """T12"""
        for client in (server, server.anonymous()):
            reply = client.get(f"/v1/me?{name}={server.token}")
            assert reply.status == 400 and server.token not in reply.text
        assert server.token not in "".join(line for line in server.log().splitlines() if line.startswith("{"))

    def test_a_role_that_may_not(self, shared_server):
        """T4"""
        viewer = shared_server.second_user("viewer")
        reply = viewer.chat("hello")
        assert reply.status == 403 and reply.code == "permission_denied"
        member = shared_server.second_user("member")
        assert member.post("/v1/agents", {"name": "Big", "maturity": "autonomous"}).status == 403
        assert member.post("/v1/agents/chat-assistant/promote", {"reason": "because"}).status == 403
        assert member.get("/v1/users").status == 403

    def test_media_types(self, shared_server):
        """T11"""
        body = b'{"message":"hello","stream":false}'
        for kind in (None, "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "application/jsonx"):
            connection = Raw(shared_server.port)
            line = f"Content-Type: {kind}\r\n".encode() if kind else b""
            connection.send(head(shared_server, "POST", "/v1/chat", line + b"Content-Length: %d\r\n" % len(body)) + body)
            assert connection.reply().status == 415
            connection.close()
        assert shared_server.post("/v1/chat", body, headers={"Content-Encoding": "gzip"}).status == 415
        for kind in ("application/json", "Application/JSON; charset=UTF-8"):
            assert shared_server.post("/v1/chat", body, headers={"Content-Type": kind}).status == 200

    def test_request_ids_come_back(self, shared_server):
        given = shared_server.get("/v1/me", headers={"X-Request-Id": "my-id_1.2"})
        assert given.headers["x-request-id"] == "my-id_1.2"
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        assert shared_server.get("/v1/me", headers={"traceparent": trace}).headers["traceparent"] == trace
        made = shared_server.get("/v1/me", headers={"X-Request-Id": "not an id"})
        assert re.fullmatch(r"[A-Za-z0-9_.-]{1,63}", made.headers["x-request-id"])
        assert "traceparent" not in shared_server.get("/v1/me", headers={"traceparent": trace.upper()}).headers


class TestLimits:
    def test_a_body_over_the_limit(self, shared_server):
        """413, with a length and without one; what fits exactly is read."""
        limit = 1 << 20
        exact = json.dumps({"message": "hello", "x": ""})
        body = json.dumps({"message": "hello", "x": "y" * (limit - len(exact))}).encode()
        assert len(body) == limit
        assert shared_server.post("/v1/chat", body).status == 422
        with shared_server.raw() as connection:
            connection.send(head(shared_server, "POST", "/v1/chat", b"Content-Type: application/json\r\nContent-Length: 1048577\r\n"))
            assert connection.reply().status == 413 and connection.closed()
        with shared_server.raw() as connection:
            connection.send(head(shared_server, "POST", "/v1/chat", b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"))
            with pytest.raises(OSError):
                for _ in range(40):
                    connection.send(b"8000\r\n" + b" " * 0x8000 + b"\r\n")
                connection.send(b"0\r\n\r\n")
                raise OSError("all of it was taken")
            reply = connection.reply()
            assert reply is None or reply.status == 413

    @pytest.mark.parametrize("fields", [b"X-Long: " + b"a" * 17000 + b"\r\n", b"".join(b"X-%d: a\r\n" % i for i in range(70))])
    def test_a_head_over_the_limit(self, shared_server, fields):
        with shared_server.raw() as connection:
            connection.send(head(shared_server, fields=fields))
            reply = connection.reply()
            assert reply.status == 431 and reply.code == "header_too_large" and connection.closed()

    def test_a_target_over_the_limit(self, shared_server):
        with shared_server.raw() as connection:
            connection.send(head(shared_server, path="/v1/agents?x=" + "a" * 5000))
            assert connection.reply().status in (400, 414, 431)

    def test_requests_per_second(self, make_server):
        server = make_server(env={"GUILD_HTTP_RATE": "1", "GUILD_HTTP_RATE_BURST": "5"})
        replies = [server.get("/v1/me") for _ in range(8)]
        assert [r.status for r in replies[:5]] == [200] * 5
        refused = [r for r in replies if r.status == 429]
        assert refused and refused[0].code == "rate_limited" and int(refused[0].headers["retry-after"]) >= 1
        assert replies[0].headers["ratelimit-limit"] and replies[0].headers["ratelimit-remaining"] == "4"
        assert server.get("/healthz").status == 200

    def test_connections_in_all(self, make_server):
        """T36: over the cap new ones are refused, those that stand go on, and room is used again."""
        server = make_server(env={"GUILD_HTTP_CONNECTIONS": "8"})
        kept = [server.raw() for _ in range(8)]
        for connection in kept:
            connection.send(head(server))
        answered = [c for c in kept if (reply := c.reply()) and reply.status == 200]
        assert len(answered) >= 6
        extra = [server.raw() for _ in range(8)]
        refused = 0
        for connection in extra:
            try:
                connection.send(head(server))
                reply = connection.reply()
            except OSError:
                reply = None
            refused += reply is None or reply.status == 503
        assert refused >= 6
        answered[0].send(head(server))
        assert answered[0].reply().status == 200
        for connection in kept + extra:
            connection.close()

        def again():
            try:
                return server.get("/healthz").status == 200
            except OSError:
                return False
        wait_for(again, "room for a new connection")


class TestMalformed:
    """T23: what two parsers might read differently gets one answer, 400, and the connection ends."""
    SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    PROBES = {
        "two lengths": b"POST /v1/chat HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "same length twice": b"POST /v1/chat HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "list of lengths": b"POST /v1/chat HTTP/1.1\r\n" + HOST + b"Content-Length: 5, 5\r\n\r\nhello",
        "length and chunked": b"POST /v1/chat HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "space before colon": b"POST /v1/chat HTTP/1.1\r\n" + HOST + b"Content-Length : 5\r\n\r\nhello",
        "plus sign": b"POST /v1/chat HTTP/1.1\r\n" + HOST + b"Content-Length: +5\r\n\r\nhello",
        "minus sign": b"POST /v1/chat HTTP/1.1\r\n" + HOST + b"Content-Length: -5\r\n\r\nhello",
        "hex length": b"POST /v1/chat HTTP/1.1\r\n" + HOST + b"Content-Length: 0x5\r\n\r\nhello",
        "empty length": b"POST /v1/chat HTTP/1.1\r\n" + HOST + b"Content-Length:\r\n\r\n",
        "huge length": b"POST /v1/chat HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999999\r\n\r\n",
        "bare LF": b"GET /healthz HTTP/1.1\nHost: x\n\n",
        "bare LF in a field": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\nY: b\r\n\r\n",
        "bare CR": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\rY: b\r\n\r\n",
        "folded line": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n",
        "NUL": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n",
        "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
        "two hosts": b"GET /healthz HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
        "bad host": b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n",
        "no colon": b"GET /healthz HTTP/1.1\r\n" + HOST + b"Whatever\r\n\r\n",
        "empty name": b"GET /healthz HTTP/1.1\r\n" + HOST + b": a\r\n\r\n",
        "HTTP/2.0": b"GET /healthz HTTP/2.0\r\n" + HOST + b"\r\n",
        "HTTP/1.2": b"GET /healthz HTTP/1.2\r\n" + HOST + b"\r\n",
        "http/1.1": b"GET /healthz http/1.1\r\n" + HOST + b"\r\n",
        "HTTP/0.9": b"GET /healthz\r\n\r\n",
        "two spaces": b"GET  /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
        "tab": b"GET\t/healthz HTTP/1.1\r\n" + HOST + b"\r\n",
        "absolute target": b"GET http://127.0.0.1/healthz HTTP/1.1\r\n" + HOST + b"\r\n",
        "authority target": b"CONNECT 127.0.0.1:80 HTTP/1.1\r\n" + HOST + b"\r\n",
        "asterisk": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
        "byte over 127 in the target": b"GET /health\xff HTTP/1.1\r\n" + HOST + b"\r\n",
        "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n",
        "lower method": b"get /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    }
    CODINGS = [b"xchunked", b"chunked, chunked", b"gzip, chunked", b"chunked, identity", b"identity", b"\x0bchunked", b'"chunked"', b"chunke",
               b"gzip"]
    CHUNKS = {
        "bad size": b"zz\r\nhello\r\n0\r\n\r\n", "sign": b"+5\r\nhello\r\n0\r\n\r\n", "hex prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
        "bare LF": b"5\nhello\n0\n\n", "huge size": b"fffffffffffffffff\r\nhello", "too long": b"5\r\nhello!\r\n0\r\n\r\n",
        "no CRLF behind": b"5\r\nhelloX0\r\n\r\n", "space": b"5 \x00\r\nhello\r\n0\r\n\r\n", "empty size": b"\r\nhello\r\n0\r\n\r\n",
    }

    def refused(self, server, data, statuses):
        with server.raw() as connection:
            connection.send(data + self.SMUGGLED)
            reply = connection.reply()
            assert reply is not None and reply.status in statuses, reply
            assert reply.headers.get("connection") == "close"
            assert connection.reply() is None, "something behind the refused request was answered"
            assert connection.ended

    @pytest.mark.parametrize("name", PROBES)
    def test_heads(self, shared_server, name):
        statuses = (400, 501, 405) if name in ("lower method", "authority target", "asterisk") else (400,)
        if name == "lower method":
            with shared_server.raw() as connection:
                connection.send(self.PROBES[name])
                assert connection.reply().status in statuses
            return
        self.refused(shared_server, self.PROBES[name], statuses)

    @pytest.mark.parametrize("coding", CODINGS)
    def test_transfer_codings(self, shared_server, coding):
        data = b"POST /v1/chat HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n"
        self.refused(shared_server, data, (400, 501))

    def test_two_transfer_encodings(self, shared_server):
        data = b"POST /v1/chat HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"
        self.refused(shared_server, data, (400, 501))

    @pytest.mark.parametrize("name", CHUNKS)
    def test_chunks(self, shared_server, name):
        data = head(shared_server, "POST", "/v1/chat", b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n") + self.CHUNKS[name]
        self.refused(shared_server, data, (400, 413) if name == "huge size" else (400,))

    def test_control_bytes_never_come_back_in_a_head(self, shared_server):
        reply = shared_server.get("/v1/agents/a%0d%0aX-Evil:%201")
        assert reply.status == 404 and "x-evil" not in reply.headers

    @pytest.mark.parametrize("path", ["/v1/agents/%ff", "/v1/agents/%c0%af", "/v1/agents/%zz", "/v1/agents/%0", "/v1//agents", "//", "/v1/agents/"])
    def test_odd_paths(self, shared_server, path):
        assert shared_server.get(path).status in (400, 404)


class TestConnections:
    def test_requests_in_a_row(self, shared_server):
        """A connection is kept, and each request gets its own answer in order."""
        with shared_server.raw() as connection:
            for path, status in (("/healthz", 200), ("/v1/me", 200), ("/nope", 404), ("/v1/me", 200)):
                connection.send(head(shared_server, path=path))
                assert connection.reply().status == status

    def test_pipelined_requests_are_answered_in_order(self, shared_server):
        ids = [f"id-{i}" for i in range(50)]
        data = b"".join(head(shared_server, path="/v1/me" if i % 3 else "/v1/agents", fields=b"X-Request-Id: %s\r\n" % id.encode())
                        for i, id in enumerate(ids))
        with shared_server.raw() as connection:
            connection.send(data)
            assert [connection.reply().headers["x-request-id"] for _ in ids] == ids

    def test_pipelined_bodies(self, shared_server):
        """A run, then what came behind it in the same packet."""
        with shared_server.raw() as connection:
            connection.send(chat_bytes(shared_server) + chat_bytes(shared_server, b'{"message":""}') + head(shared_server))
            assert [connection.reply().status for _ in range(3)] == [200, 422, 200]

    def test_byte_by_byte(self, shared_server):
        with shared_server.raw() as connection:
            for byte in chat_bytes(shared_server):
                connection.send(bytes([byte]))
            assert connection.reply().body["success"] is True

    def test_head_has_no_body(self, shared_server):
        with shared_server.raw() as connection:
            connection.send(head(shared_server, "HEAD", "/v1/me") + head(shared_server, "GET", "/v1/me"))
            first, second = connection.reply(head=True), connection.reply()
        assert first.status == second.status == 200
        assert first.headers["content-length"] == second.headers["content-length"] and first.headers["content-type"] == "application/json"
        assert second.body["role"] == "operator"

    def test_options_lists_methods(self, shared_server):
        reply = shared_server.request("OPTIONS", "/v1/agents")
        assert reply.status == 204 and {"GET", "POST", "HEAD", "OPTIONS"} == set(reply.headers["allow"].split(", "))

    @pytest.mark.parametrize("sizes", [[1] * 19, [19], [3, 7, 9], [10, 9]])
    def test_chunked_bodies(self, shared_server, sizes):
        body, at, chunks = b'{"message":"hello"}', 0, b""
        for size in sizes:
            chunks += b"%x;name=value\r\n%s\r\n" % (size, body[at:at + size])
            at += size
        assert at == len(body)
        with shared_server.raw() as connection:
            connection.send(head(shared_server, "POST", "/v1/chat", b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"))
            connection.send(chunks + b"0\r\nX-Trailer: ignored\r\n\r\n" + head(shared_server))
            assert connection.reply().body["success"] is True
            assert connection.reply().status == 200

    def test_expect_continue(self, shared_server):
        body = b'{"message":"hello"}'
        with shared_server.raw() as connection:
            connection.send(head(shared_server, "POST", "/v1/chat",
                                 b"Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n" % len(body)))
            while b"\r\n\r\n" not in connection.got:
                assert connection.more()
            assert connection.got == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.send(body)
            assert connection.reply().status == 200
        with shared_server.raw() as connection:
            connection.send(head(shared_server, "POST", "/v1/chat", b"Content-Type: application/json\r\nExpect: 100-continue\r\n"
                                 b"Content-Length: 5\r\n", token=False))
            assert connection.reply().status == 401

    def test_connection_close_and_old_clients(self, shared_server):
        with shared_server.raw() as connection:
            connection.send(head(shared_server, fields=b"Connection: close\r\n"))
            assert connection.reply().headers["connection"] == "close" and connection.closed()
        with shared_server.raw() as connection:
            connection.send(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert connection.reply().status == 200 and connection.closed()
        with shared_server.raw() as connection:
            connection.send(b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2)
            assert [connection.reply().status for _ in range(2)] == [200, 200]


class TestSlowClients:
    """T20: deadlines are for the whole, not for each read."""

    @pytest.fixture(scope="class")
    def impatient(self, make_shared_server):
        return make_shared_server(env={"GUILD_HTTP_HEAD_TIMEOUT": "0.3", "GUILD_HTTP_BODY_RATE": "1m", "GUILD_HTTP_IDLE_TIMEOUT": "1"})

    def trickle(self, connection, data, stop):
        """A byte now and then, so that no single read would ever time out."""
        for byte in data:
            if stop.wait(0.05):
                return
            try:
                connection.send(bytes([byte]))
            except OSError:
                return

    def slow(self, server, first, data):
        stop = threading.Event()
        with server.raw() as connection:
            connection.send(first)
            sender = threading.Thread(target=self.trickle, args=(connection, data, stop))
            sender.start()
            try:
                reply = connection.reply()
                assert reply is None or reply.status == 408
                assert connection.closed(5)
            finally:
                stop.set()
                sender.join()

    def test_slow_head(self, impatient):
        self.slow(impatient, b"GET /healthz HTTP/1.1\r\n", b"X-Slow: " + b"a" * 200)

    def test_slow_body(self, impatient):
        first = head(impatient, "POST", "/v1/chat", b"Content-Type: application/json\r\nContent-Length: 200\r\n")
        self.slow(impatient, first, b"{" + b" " * 198)

    def test_slow_chunks(self, impatient):
        first = head(impatient, "POST", "/v1/chat", b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n")
        self.slow(impatient, first, b"1\r\n \r\n" * 40)

    def test_nothing_at_all(self, impatient):
        with impatient.raw() as connection:
            assert connection.closed(5) and connection.got == b""

    def test_idle_after_an_answer(self, impatient):
        with impatient.raw() as connection:
            connection.send(head(impatient))
            assert connection.reply().status == 200
            assert connection.closed(8)

    def test_slow_handshake(self, make_server):
        """T20: a WebSocket that does not sign in is closed."""
        server = make_server(env={"GUILD_HTTP_SIGN_IN_TIMEOUT": "1"})
        with server.ws(token=None) as socket:
            assert socket.close_code(10) == 4001


# ---- who may call what ----

OPEN = {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/openapi.json"), ("GET", "/v1/ws"), ("POST", "/v1/auth/login")}
ROLES = ("viewer", "member", "admin")


def operations(server):
    """(method, path template) of every row the server says it has."""
    paths = server.anonymous().get("/openapi.json").ok(200)["paths"]
    return [(method.upper(), path) for path, item in paths.items() for method in item if method in ("get", "post", "put", "patch", "delete")]


def filled(path, id="00000000-0000-7000-8000-000000000000"):
    return re.sub(r"\{[^}]+\}", id, path)


class TestRoles:
    """T4, T38: the matrix of all routes and all roles, from what the server says of itself."""

    @pytest.fixture(scope="class")
    def users(self, shared_server):
        return {role: shared_server.second_user(role) for role in ROLES}

    def test_the_inventory(self, shared_server):
        rows = operations(shared_server)
        assert len(rows) >= 35 and {("POST", "/v1/chat"), ("GET", "/v1/audit"), ("GET", "/v1/ws"), ("GET", "/metrics")} <= set(rows)
        document = shared_server.get("/openapi.json").ok(200)
        assert document["openapi"].startswith("3.1")
        for path, item in document["paths"].items():
            for operation in item.values():
                assert operation["summary"] and operation["responses"], path

    def test_without_a_token_all_but_the_open_ones_are_401(self, shared_server):
        for method, path in operations(shared_server):
            reply = shared_server.anonymous().request(method, filled(path), {} if method != "GET" else None)
            if (method, path) in OPEN:
                assert reply.status in (200, 426, 400, 422), (method, path, reply.status)
            else:
                assert reply.status == 401, (method, path, reply.status)
                assert shared_server.token not in reply.text

    def test_open_ones_say_little(self, shared_server):
        """T38"""
        for path in ("/healthz", "/readyz"):
            assert set(shared_server.anonymous().get(path).ok(200)) == {"status", "version"}
            assert shared_server.get(path).status == 200

    @pytest.mark.parametrize("role", ROLES)
    def test_no_role_meets_an_internal_error(self, shared_server, users, role):
        for method, path in operations(shared_server):
            if path in ("/v1/events", "/v1/ws"):
                continue
            for body in ([None] if method == "GET" else [None, {}, {"name": "x"}, [], "x"]):
                reply = users[role].request(method, filled(path), body)
                assert reply.status < 500, (role, method, path, body, reply.text)
                assert reply.status != 401, (role, method, path)
                if reply.status >= 400:
                    assert PROBLEM <= set(reply.body), (method, path, reply.text)

    def test_rank_only_adds(self, shared_server, users):
        """What a lower role may call, a higher one may."""
        for method, path in operations(shared_server):
            if path in ("/v1/events", "/v1/ws", "/v1/auth/logout"):
                continue
            allowed = [users[role].request(method, filled(path), None if method == "GET" else {"x": 1}).status != 403 for role in ROLES]
            assert allowed == sorted(allowed), (method, path, dict(zip(ROLES, allowed)))

    @pytest.mark.parametrize("method, path, body", [
        ("GET", "/metrics", None), ("GET", "/v1/users", None), ("POST", "/v1/users", {"name": "x"}),
        ("POST", "/v1/agents/chat-assistant/promote", {"reason": "x"}), ("POST", "/v1/agents/chat-assistant/pause", None),
        ("PATCH", "/v1/agents/chat-assistant", {"name": "Mine"})])
    def test_what_only_admins_may(self, shared_server, users, method, path, body):
        for role in ("viewer", "member"):
            assert users[role].request(method, path, body).status in (403, 404), (role, method, path)

    def test_a_user_cannot_raise_itself(self, shared_server, users):
        """T3, T4"""
        member = users["member"]
        assert member.patch(f"/v1/users/{member.id}", {"role": "admin"}).status == 403
        assert users["admin"].post("/v1/users", {"name": "x", "role": "operator"}).status in (403, 422)
        assert member.get("/v1/me").ok(200)["role"] == "member"

    def test_a_revoked_token_is_nothing(self, shared_server):
        user = shared_server.second_user()
        token = user.post("/v1/tokens", {"label": "second"}).ok(201)
        second = shared_server.client(token["token"])
        assert second.get("/v1/me").ok(200)["id"] == user.id
        assert user.delete(f"/v1/tokens/{token['id']}").status == 204
        assert second.get("/v1/me").status == 401
        assert token["token"] not in json.dumps(user.items("/v1/tokens"))

    def test_a_disabled_user_is_nobody(self, shared_server):
        user = shared_server.second_user()
        shared_server.patch(f"/v1/users/{user.id}", {"disabled": True}).ok(200)
        assert user.get("/v1/me").status == 401


class TestOthersIds:
    """T2: an id of somebody else is answered as one that does not exist."""

    @pytest.fixture(scope="class")
    def owned(self, shared_server):
        owner, other = shared_server.second_user(), shared_server.second_user()
        run = owner.chat("mine").ok(200)
        key = owner.post("/v1/keys", {"provider": "openai", "key": "sk-" + os.urandom(12).hex()}).ok(201)
        token = owner.items("/v1/tokens")[0]
        return owner, other, {"execution": run["execution_id"], "session": run["session_id"], "key": key["id"], "token": token["id"]}

    ROWS = [("GET", "/v1/executions/{execution}"), ("POST", "/v1/executions/{execution}/cancel"),
            ("GET", "/v1/executions/{execution}/events"), ("GET", "/v1/sessions/{session}"), ("PATCH", "/v1/sessions/{session}"),
            ("GET", "/v1/sessions/{session}/messages"), ("PUT", "/v1/sessions/{session}/agent"), ("DELETE", "/v1/sessions/{session}"),
            ("DELETE", "/v1/keys/{key}"), ("DELETE", "/v1/tokens/{token}"), ("GET", "/v1/resolve?session_id={session}")]
    BODIES = {"PATCH": {"title": "yours"}, "PUT": {"agent": "chat-assistant"}}

    @pytest.mark.parametrize("method, path", ROWS)
    def test_another_member(self, owned, method, path):
        owner, other, ids = owned
        theirs = other.request(method, path.format(**ids), self.BODIES.get(method))
        changed = {name: id[:-2] + ("00" if id[-2:] != "00" else "11") for name, id in ids.items()}
        unknown = other.request(method, path.format(**changed), self.BODIES.get(method))
        assert theirs.status == unknown.status == 404, theirs.text
        assert theirs.code == unknown.code and theirs.body["detail"] == unknown.body["detail"]

    def test_nothing_happened_to_them(self, owned):
        owner, _, ids = owned
        assert owner.get(f"/v1/executions/{ids['execution']}").ok(200)["status"] == "completed"
        assert owner.get(f"/v1/sessions/{ids['session']}").ok(200)["title"] == "mine"
        assert [key["id"] for key in owner.items("/v1/keys")] == [ids["key"]]
        assert owner.get("/v1/me").status == 200

    def test_lists_show_one_s_own(self, owned):
        owner, other, ids = owned
        for path in ("/v1/executions", "/v1/sessions", "/v1/keys"):
            assert other.items(path) == []
            assert len(owner.items(path)) == 1
        assert other.items(f"/v1/executions?user={owner.id}") == []
        assert other.items(f"/v1/executions?session={ids['session']}") == []

    @pytest.mark.parametrize("id", ["", "no-such", "..", "%2e%2e", "00000000-0000-7000-8000-000000000000", "-1", "' OR 1=1 --", "%00", "🦉",
                                    "a" * 3000])
    def test_ids_that_are_none(self, shared_server, id):
        """T27: and what is no id at all."""
        from urllib.parse import quote
        for path in ("/v1/executions/", "/v1/sessions/", "/v1/agents/"):
            assert shared_server.get(path + (id if "%" in id else quote(id, safe=""))).status in (400, 404)
