"""HTTP and JSON: no body makes an internal error, and how bytes are cut into packets changes no answer."""
import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

text = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)
scalars = st.one_of(st.none(), st.booleans(), st.integers(-2**70, 2**70), st.floats(), text)
values = st.recursive(scalars, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(text, inner, max_size=4)), max_leaves=12)

MEMBERS = ["message", "agent", "session_id", "stream", "history", "on_busy", "strict", "name", "handle", "maturity", "category", "kind",
           "model", "capabilities", "configuration", "max_concurrent_runs", "auto_reply", "title", "role", "label", "expires_at", "user_id",
           "provider", "key", "action", "arguments", "require_approval", "reason", "disabled", "topics", "type", "data", "description"]
ROUTES = [("POST", "/v1/chat"), ("POST", "/v1/agents"), ("POST", "/v1/agents/chat-assistant/decide"), ("PATCH", "/v1/agents/chat-assistant"),
          ("POST", "/v1/sessions"), ("POST", "/v1/users"), ("POST", "/v1/tokens"), ("POST", "/v1/keys"), ("POST", "/v1/events"),
          ("POST", "/v1/agents/chat-assistant/promote")]


def is_json(data):
    """Python writes and reads NaN and the infinities; JSON has none."""
    def refuse(constant):
        raise ValueError(constant)
    try:
        json.loads(data, parse_constant=refuse)
    except ValueError:
        return False
    return True


@pytest.fixture(scope="module")
def clients(shared_server):
    return shared_server.second_user("member"), shared_server.second_user("viewer")


class TestJsonInvariant:
    @given(route=st.sampled_from(ROUTES), body=st.one_of(values, st.dictionaries(st.sampled_from(MEMBERS), values, max_size=6)))
    def test_invariant_no_body_is_an_internal_error(self, clients, route, body):
        """T22: whatever is sent is answered by the client's fault or done."""
        member, _ = clients
        method, path = route
        data = json.dumps(body).encode()
        reply = member.request(method, path, data)
        assert reply.status < 500 or reply.code == "no_llm_provider", reply.text
        if reply.status >= 400:
            assert reply.headers["content-type"] == "application/problem+json" and reply.body["status"] == reply.status
        if not is_json(data):
            assert reply.status in (400, 403)

    @given(data=st.one_of(st.binary(max_size=200), st.text(alphabet='{}[]",:\\ \n0123456789eE+-.truefalsn\u00e4\ud55c', max_size=80)))
    def test_invariant_no_bytes_are_an_internal_error(self, clients, data):
        member, _ = clients
        data = data if isinstance(data, bytes) else data.encode()
        reply = member.post("/v1/agents/chat-assistant/decide", data)
        assert reply.status in (200, 400, 422), reply.text
        try:
            parsed = json.loads(data)
        except (ValueError, UnicodeDecodeError, RecursionError):
            parsed = None
        if parsed is None:
            assert reply.status in (400, 422)

    @given(message=st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=300))
    def test_invariant_text_comes_back_as_it_was(self, shared_server, message):
        """What is stored is what was said, code point by code point."""
        result = shared_server.chat(message).ok(200)
        stored = shared_server.messages(result["session_id"])
        assert stored[0]["content"] == message and stored[1]["content"] == result["response"]

    @given(path=st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126, blacklist_characters="#"), max_size=12), max_size=5))
    def test_invariant_no_path_is_an_internal_error(self, clients, path):
        _, viewer = clients
        assert viewer.get("/" + "/".join(path)).status < 500
        assert viewer.get("/v1/agents/" + "/".join(path)).status < 500

    @given(query=st.dictionaries(st.sampled_from(["limit", "cursor", "agent", "status", "since", "until", "user", "session", "include", "after"]),
                                 st.text(st.characters(min_codepoint=33, max_codepoint=126, blacklist_characters="#"), max_size=24), max_size=4))
    def test_invariant_no_query_is_an_internal_error(self, clients, query):
        """T26, T27"""
        _, viewer = clients
        for path in ("/v1/agents", "/v1/executions", "/v1/sessions", "/v1/policy", "/v1/tokens"):
            reply = viewer.get(path + "?" + "&".join(f"{k}={v}" for k, v in query.items()))
            assert reply.status in (200, 400, 403, 404, 422), reply.text


def request(server, method="GET", path="/v1/me", body=None, chunks=None, fields=b""):
    lines = f"{method} {path} HTTP/1.1\r\nHost: x\r\nX-Request-Id: fixed\r\nAuthorization: Bearer {server.token}\r\n".encode() + fields
    if chunks is not None:
        lines += b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        return lines + b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks if c) + b"0\r\n\r\n"
    if body is not None:
        return lines + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    return lines + b"\r\n"


DECIDE = "/v1/agents/chat-assistant/decide"
TEMPLATES = [
    lambda s: request(s),
    lambda s: request(s, path="/nope"),
    lambda s: request(s, "POST", DECIDE, b'{"action":"delete"}'),
    lambda s: request(s, "POST", DECIDE, chunks=[b'{"act', b'ion":"del', b'ete"}']),
    lambda s: request(s, "POST", DECIDE, b'{"action":'),
    lambda s: request(s, "POST", DECIDE, b'{"action":"x","y":"\xe6\x97\xa5"}'),
    lambda s: request(s, "DELETE", "/v1/me"),
    lambda s: request(s, "HEAD", "/v1/policy?limit=3"),
    lambda s: request(s, "GET", "/v1/policy?limit=3"),
]
LAST = [
    lambda s: request(s, fields=b"Content-Length : 0\r\n"),
    lambda s: b"GET / HTTP/1.1\nHost: x\n\n",
    lambda s: request(s, "POST", DECIDE, chunks=[b"{}"]).replace(b"\r\n2\r\n", b"\r\nzz\r\n"),
    lambda s: request(s, fields=b"Connection: close\r\n"),
]
# What differs from one time to the next.
VARIABLE = re.compile(rb"(RateLimit-Remaining|RateLimit-Reset): \d+|X-Request-Id: [^\r]+|urn:guild:request:[A-Za-z0-9_.-]+", re.I)


def answers(server, data, cuts):
    """All that comes back for the bytes, sent in these pieces."""
    at, got = 0, b""
    with server.raw() as connection:
        for cut in [*sorted(cuts), len(data)]:
            if cut > at:
                try:
                    connection.send(data[at:cut])
                except OSError:
                    break
                at = cut
        assert connection.closed(10), "the connection was not closed at the end"
        got = connection.got
    return VARIABLE.sub(b"", got)


class TestSplitInvariant:
    @settings(suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def test_invariant_packets_do_not_matter(self, shared_server, data):
        """T23: a pipeline of requests, cut anywhere, gets the same bytes back."""
        chosen = data.draw(st.lists(st.sampled_from(TEMPLATES), max_size=4))
        wire = b"".join(make(shared_server) for make in chosen) + data.draw(st.sampled_from(LAST))(shared_server)
        cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=12))
        assert answers(shared_server, wire, cuts) == answers(shared_server, wire, [])

    def test_invariant_every_single_cut(self, shared_server):
        """Each of the places where a request with a chunked body can be cut in two."""
        wire = request(shared_server, "POST", DECIDE, chunks=[b'{"action"', b':"delete"}'], fields=b"Connection: close\r\n")
        whole = answers(shared_server, wire, [])
        assert b"HTTP/1.1 200" in whole
        for cut in range(1, len(wire)):
            assert answers(shared_server, wire, [cut]) == whole, cut

    @settings(max_examples=30)
    @given(garbage=st.binary(min_size=1, max_size=300))
    def test_invariant_garbage_ends_the_connection_only(self, shared_server, garbage):
        with shared_server.raw() as connection:
            try:
                connection.send(garbage + b"\r\n\r\n\r\n\r\n")
                reply = connection.reply()
            except (OSError, AssertionError, ValueError):
                reply = None
            assert reply is None or reply.status in (400, 404, 405, 408, 426, 431, 501)
        assert shared_server.get("/healthz").status == 200
