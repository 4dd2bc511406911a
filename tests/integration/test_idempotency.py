"""Idempotency-Key and client_id: what is sent twice is done once, whatever happens between the two, and the answer is the first one's."""
import http.client
import itertools
import threading

import pytest
from support.harness import wait_for

KEYS = itertools.count(1)
LOST = (OSError, http.client.HTTPException, ValueError)


def fresh():
    return f"key-{next(KEYS)}"


def keyed(key):
    return {"Idempotency-Key": key}


def log_end(server):
    """Everything that changes something writes a row of the log."""
    with server.store() as store:
        return store.execute("SELECT coalesce(max(seq), 0) FROM log").fetchone()[0]


def rows(server):
    with server.store() as store:
        return store.execute("SELECT count(*) FROM idempotency").fetchone()[0]


# ---- every route ----

def external(server):
    return server.agent(f"Ext {fresh()}", "autonomous", kind="external")["id"]


def message_to_me(server):
    """A direct message that the operator can mark as read."""
    user = server.second_user("member")
    return user.post("/v1/direct-messages", {"to_user_id": server.get("/v1/me").body["id"], "content": "m"}).ok(201)["id"]


def lifecycle(verb, before=()):
    def make(server):
        agent = server.agent(f"Life {fresh()}", "student")["id"]
        for first in before:
            server.post(f"/v1/agents/{agent}/{first}").ok()
        return f"/v1/agents/{agent}/{verb}", None
    return make


def when_idle(server, path):
    """Only one at a time is made."""
    return wait_for(lambda: server.get(path).ok(200)["state"] != "running", f"the end of {path}")


def decision(verb):
    """Of what an admin asked for, so that the operator may decide."""
    def make(server):
        agent, admin = server.agent(f"Asks {fresh()}", "supervised")["id"], server.second_user("admin")
        asked = admin.post(f"/v1/agents/{agent}/enforce", {"action": "send_email"}).ok(202)
        return f"/v1/approvals/{asked['approval_id']}/{verb}", {"note": "n"}
    return make


def review(verb):
    def make(server):
        agent, member = server.agent(f"Reviewed {fresh()}", "intern")["id"], server.second_user()
        given = member.post(f"/v1/agents/{agent}/feedback", {"rating": 5}).ok(201)
        return f"/v1/feedback/{given['id']}/{verb}", {"note": "n"}
    return make


# How to call each POST of openapi.json that takes a key: path and body.
CALLS = {
    "/v1/chat": lambda s: ("/v1/chat", {"message": "hello", "stream": False}),
    "/v1/agents/{id}/chat": lambda s: (f"/v1/agents/{s.agent(f'C {fresh()}', 'supervised')['id']}/chat", {"message": "hi", "stream": False}),
    "/v1/executions/{id}/cancel": None,  # TestCancel
    "/v1/events": None,                  # TestPublish
    "/v1/agents": lambda s: ("/v1/agents", {"name": f"Made {fresh()}"}),
    "/v1/agents/{id}/pause": lifecycle("pause"),
    "/v1/agents/{id}/resume": lifecycle("resume", ["pause"]),
    "/v1/agents/{id}/stop": lifecycle("stop"),
    "/v1/agents/{id}/archive": lifecycle("archive"),
    "/v1/agents/{id}/promote": lambda s: (f"/v1/agents/{s.agent(f'P {fresh()}', 'student')['id']}/promote",
                                           {"override": True, "reason": "good"}),
    "/v1/agents/{id}/demote": lambda s: (f"/v1/agents/{s.agent(f'D {fresh()}', 'autonomous')['id']}/demote", {"reason": "bad"}),
    "/v1/agents/{id}/tokens": lambda s: (f"/v1/agents/{external(s)}/tokens", {}),
    "/v1/agents/{id}/enforce": lambda s: (f"/v1/agents/{s.agent(f'E {fresh()}', 'supervised')['id']}/enforce", {"action": "send_email"}),
    "/v1/agents/{id}/feedback": lambda s: (f"/v1/agents/{s.agent(f'F {fresh()}', 'student')['id']}/feedback", {"thumbs": "up"}),
    "/v1/feedback/{id}/accept": review("accept"),
    "/v1/feedback/{id}/reject": review("reject"),
    "/v1/approvals/{id}/approve": decision("approve"),
    "/v1/approvals/{id}/reject": decision("reject"),
    "/v1/emergency": lambda s: ("/v1/emergency", {"minutes": 0, "reason": "over"}),
    "/v1/kill-switch": lambda s: ("/v1/kill-switch", {"on": False, "reason": "go on"}),
    "/v1/sessions": lambda s: ("/v1/sessions", {"title": "t"}),
    "/v1/users": lambda s: ("/v1/users", {"name": f"u{fresh()}", "role": "member"}),
    "/v1/users/{id}/erase": None,        # test_erase.py: its end writes a row later
    "/v1/tokens": lambda s: ("/v1/tokens", {"label": "l"}),
    "/v1/workspaces": lambda s: ("/v1/workspaces", {"name": f"w{fresh()}"}),
    "/v1/tokens/{id}/rotate": lambda s: (f"/v1/tokens/{s.post('/v1/tokens', {}).ok(201)['id']}/rotate", {}),
    "/v1/keys": None,                    # TestSecrets: a user with a key of their own has no built-in answers
    "/v1/posts": lambda s: ("/v1/posts", {"content": "a post"}),
    "/v1/posts/{id}/replies": lambda s: (f"/v1/posts/{s.post('/v1/posts', {'content': 'p'}).ok(201)['id']}/replies", {"content": "a reply"}),
    "/v1/channels": lambda s: ("/v1/channels", {"name": f"c{fresh()}"}),
    "/v1/direct-messages": lambda s: ("/v1/direct-messages", {"to_user_id": s.second_user("member").id, "content": "hello"}),
    "/v1/backup": lambda s: when_idle(s, "/v1/backup") and ("/v1/backup", {"name": f"b{fresh()}"}),
    "/v1/verify": lambda s: when_idle(s, "/v1/verify") and ("/v1/verify", None),
    "/v1/direct-messages/read": lambda s: message_to_me(s) and ("/v1/direct-messages/read", {}),
    "/v1/direct-messages/{id}/read": lambda s: (f"/v1/direct-messages/{message_to_me(s)}/read", None),
}


def keyed_routes(server):
    paths = server.get("/openapi.json").ok(200)["paths"]
    return {path for path, operations in paths.items() for parameter in operations.get("post", {}).get("parameters", [])
            if parameter["name"] == "Idempotency-Key"}


class TestEveryRoute:
    def test_no_route_is_left_out(self, shared_server):
        """A POST that is added has to be added here."""
        assert keyed_routes(shared_server) == set(CALLS)
        assert not [m for path in shared_server.get("/openapi.json").body["paths"].values() for m, operation in path.items() if m != "post"
                    and any(p["name"] == "Idempotency-Key" for p in operation["parameters"])]

    @pytest.mark.parametrize("route", [route for route, call in CALLS.items() if call])
    def test_twice_is_once(self, shared_server, route):
        server = shared_server
        path, body = CALLS[route](server)
        key = fresh()
        first = server.post(path, body, headers=keyed(key))
        first.ok()
        assert "idempotency-replayed" not in first.headers
        end = log_end(server)
        second = server.post(path, body, headers=keyed(key))
        assert log_end(server) == end
        assert (second.status, second.headers["idempotency-replayed"]) == (first.status, "true")
        assert second.headers.get("content-type") == first.headers.get("content-type")
        if not route.startswith("/v1/tokens") and not route.endswith("/tokens") and route != "/v1/workspaces":
            assert second.text == first.text
        if body is not None:
            other = server.post(path, {**body, **({"message": "else"} if "message" in body else {"label": "else"} if route.endswith("tokens") else
                                                  {"unknown": 1})}, headers=keyed(key))
            assert other.status == 422
        assert log_end(server) == end

    @pytest.mark.parametrize("route", [route for route, call in CALLS.items() if call])
    def test_without_a_key_or_with_another_it_is_done(self, shared_server, route):
        path, body = CALLS[route](shared_server)
        count = rows(shared_server)
        shared_server.post(path, body).ok()
        assert rows(shared_server) == count
        assert shared_server.post(path, body, headers=keyed(fresh())).status < 500


class TestKeys:
    @pytest.mark.parametrize("key", ["a", "x" * 255, "0-_.~!#$%&'()*+,/:;<=>?@[]^`{|}", '"quoted"'])
    def test_good_ones(self, shared_server, key):
        first = shared_server.post("/v1/posts", {"content": "k"}, headers=keyed(key)).ok(201)
        assert shared_server.post("/v1/posts", {"content": "k"}, headers=keyed(key)).ok(201) == first

    def test_quotes_are_not_part_of_it(self, shared_server):
        first = shared_server.post("/v1/posts", {"content": "q"}, headers=keyed('"same-key"')).ok(201)
        assert shared_server.post("/v1/posts", {"content": "q"}, headers=keyed("same-key")).ok(201) == first

    @pytest.mark.parametrize("key", ["", "x" * 256, "with space", "tab\there", "\u00e9", '""', '"a\\"b"'])
    def test_bad_ones(self, shared_server, key):
        end = log_end(shared_server)
        reply = shared_server.post("/v1/posts", {"content": "k"}, headers={"Idempotency-Key": key.encode("latin-1")})
        assert (reply.status, reply.code) == (400, "malformed")
        assert "Idempotency-Key" in reply.body["detail"]
        assert log_end(shared_server) == end

    def test_two_keys_are_none(self, shared_server):
        with shared_server.raw() as raw:
            raw.send(f"POST /v1/posts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {shared_server.token}\r\nContent-Type: application/json\r\n"
                     "Idempotency-Key: a\r\nIdempotency-Key: a\r\nContent-Length: 15\r\n\r\n{\"content\":\"x\"}".encode())
            assert raw.reply()[0] == 400

    def test_other_body_names_the_header(self, shared_server):
        key = fresh()
        shared_server.post("/v1/posts", {"content": "one"}, headers=keyed(key)).ok(201)
        reply = shared_server.post("/v1/posts", {"content": "two"}, headers=keyed(key))
        assert (reply.status, reply.body["errors"][0]["pointer"]) == (422, "Idempotency-Key")
        assert "Idempotency-Key" in reply.body["detail"]

    def test_scope_is_principal_and_route(self, shared_server):
        """Another user, and another route, with the same key: each does its own."""
        key, other = fresh(), shared_server.second_user("member")
        ids = {shared_server.post("/v1/posts", {"content": "s"}, headers=keyed(key)).ok(201)["id"],
               other.post("/v1/posts", {"content": "s"}, headers=keyed(key)).ok(201)["id"],
               shared_server.post("/v1/channels", {"name": f"c{fresh()}"}, headers=keyed(key)).ok(201)["id"]}
        assert len(ids) == 3

    def test_another_thing_of_the_same_route_is_another_request(self, shared_server):
        one, two = (shared_server.agent(f"S {fresh()}", "student")["id"] for _ in range(2))
        key = fresh()
        shared_server.post(f"/v1/agents/{one}/pause", headers=keyed(key)).ok()
        assert shared_server.post(f"/v1/agents/{two}/pause", headers=keyed(key)).status == 422
        assert shared_server.get(f"/v1/agents/{two}").body["lifecycle"] == "active"

    def test_it_means_nothing_where_nothing_is_made(self, shared_server):
        agent = shared_server.agent(f"G {fresh()}", "student")["id"]
        for send in (lambda: shared_server.get("/v1/me", headers=keyed("not a key")),
                     lambda: shared_server.patch(f"/v1/agents/{agent}", {"description": "d"}, headers=keyed("not a key")),
                     lambda: shared_server.post(f"/v1/agents/{agent}/decide", {"action": "chat"}, headers=keyed("not a key"))):
            reply = send()
            assert reply.status in (200, 428)
            assert "idempotency-replayed" not in reply.headers

    def test_the_answer_outlives_what_it_tells_of(self, shared_server):
        """A replay says what was said, whatever became of it."""
        key = fresh()
        first = shared_server.post("/v1/posts", {"content": "soon gone"}, headers=keyed(key)).ok(201)
        shared_server.delete(f"/v1/posts/{first['id']}").ok()
        assert shared_server.post("/v1/posts", {"content": "soon gone"}, headers=keyed(key)).ok(201) == first


class TestRefusals:
    def test_what_stored_nothing_may_be_tried_again(self, shared_server):
        key, name = fresh(), f"later-{fresh()}"
        body = {"message": "m", "agent": name, "strict": True, "stream": False}
        assert shared_server.post("/v1/chat", body, headers=keyed(key)).status == 404
        shared_server.agent(name, "supervised")
        assert shared_server.post("/v1/chat", body, headers=keyed(key)).status in (200, 404)

    def test_a_governance_refusal_is_an_answer(self, shared_server):
        agent = shared_server.agent(f"R {fresh()}", "autonomous")["id"]
        shared_server.post(f"/v1/agents/{agent}/pause").ok()
        key, body = fresh(), {"message": "m", "stream": False}
        first = shared_server.post(f"/v1/agents/{agent}/chat", body, headers=keyed(key))
        assert (first.status, first.code) == (403, "agent_not_active")
        shared_server.post(f"/v1/agents/{agent}/resume").ok()
        second = shared_server.post(f"/v1/agents/{agent}/chat", body, headers=keyed(key))
        assert (second.status, second.text, second.headers["idempotency-replayed"]) == (403, first.text, "true")
        assert second.headers["content-type"] == "application/problem+json"
        assert shared_server.post(f"/v1/agents/{agent}/chat", body, headers=keyed(fresh())).status == 200


class TestSecrets:
    def test_a_provider_key(self, server):
        user, key = server.second_user("member"), fresh()
        body = {"provider": "openai", "key": "sk-of-the-tests-0123456789-abcdef"}
        first = user.post("/v1/keys", body, headers=keyed(key))
        first.ok()
        second = user.post("/v1/keys", body, headers=keyed(key))
        assert (second.status, second.text) == (first.status, first.text)
        assert len(user.items("/v1/keys")) == 1
        assert user.post("/v1/keys", {**body, "key": body["key"] + "0"}, headers=keyed(key)).status == 422
        for file in server.data.iterdir():
            assert not file.is_file() or body["key"].encode() not in file.read_bytes(), file

    def test_a_token_is_kept_nowhere(self, server):
        """T16: shown once means that a replay does not show it either, and that no file has it."""
        key = fresh()
        first = server.post("/v1/tokens", {"label": "l"}, headers=keyed(key)).ok(201)
        second = server.post("/v1/tokens", {"label": "l"}, headers=keyed(key)).ok(201)
        assert (second["id"], second["token"], second["replayed"]) == (first["id"], None, True)
        secret = first["token"].encode()
        for file in server.data.iterdir():
            if file.is_file() and file.name != "admin.token":
                assert secret not in file.read_bytes(), file


def together(count, call):
    """The replies of calls that begin at the same time."""
    replies, gate = [None] * count, threading.Barrier(count)

    def run(i):
        gate.wait()
        replies[i] = call(i)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return replies


class TestTogether:
    def test_parallel_duplicates(self, shared_server):
        """One does it; the others hear the same, or that it is under way, and then the same."""
        for _ in range(5):
            key, text = fresh(), f"together {fresh()}"
            replies = together(8, lambda i: shared_server.post("/v1/posts", {"content": text}, headers=keyed(key)))
            assert {r.status for r in replies} <= {201, 409}
            for reply in replies:
                if reply.status == 409:
                    assert (reply.code, int(reply.headers["retry-after"])) == ("conflict", 1)
            assert len({r.text for r in replies if r.status == 201}) == 1
            assert shared_server.post("/v1/posts", {"content": text}, headers=keyed(key)).ok(201)
            assert len([p for p in shared_server.get("/v1/feed?limit=100").body["items"] if p["content"] == text]) == 1

    def test_parallel_chats(self, shared_server):
        key = fresh()
        replies = together(6, lambda i: shared_server.post("/v1/chat", {"message": f"only once {key}", "stream": False}, headers=keyed(key)))
        assert {r.status for r in replies} <= {200, 409}
        again = shared_server.post("/v1/chat", {"message": f"only once {key}", "stream": False}, headers=keyed(key)).ok(200)
        assert {r.text for r in replies if r.status == 200} <= {shared_server.post(
            "/v1/chat", {"message": f"only once {key}", "stream": False}, headers=keyed(key)).text}
        found = [e for e in shared_server.items("/v1/executions?limit=100") if e["input_summary"] == f"only once {key}"]
        assert [e["id"] for e in found] == [again["execution_id"]]


def raw_stream(client, key, message, **members):
    connection, response = client.open("POST", "/v1/chat", {"message": message, "stream": True, **members}, keyed(key))
    text = response.read()
    connection.close()
    return response, b"".join(line + b"\n" for line in text.split(b"\n") if line != b":")


class TestStreams:
    def test_a_finished_one_again(self, shared_server):
        """The same bytes from the first event to the result."""
        key = fresh()
        first, text = raw_stream(shared_server, key, "please tell me something")
        second, again = raw_stream(shared_server, key, "please tell me something")
        assert text == again
        assert text.count(b"event: result") == 1
        assert second.getheader("Idempotency-Replayed") == "true"
        assert second.getheader("X-Execution-Id") == first.getheader("X-Execution-Id")
        assert second.getheader("X-Session-Id") == first.getheader("X-Session-Id")

    def test_after_a_restart(self, server):
        key, whole = fresh(), fresh()
        _, text = raw_stream(server, key, "hello")
        answer = server.post("/v1/chat", {"message": "m", "stream": False}, headers=keyed(whole))
        post = server.post("/v1/posts", {"content": "p"}, headers=keyed(key))
        server.restart(kill=True)
        assert raw_stream(server, key, "hello")[1] == text
        assert server.post("/v1/chat", {"message": "m", "stream": False}, headers=keyed(whole)).text == answer.text
        assert server.post("/v1/posts", {"content": "p"}, headers=keyed(key)).text == post.text

    def test_a_running_one_is_attached(self, make_server_with_provider, provider):
        """Two connections, one run; whole answers are told to wait."""
        server, key = make_server_with_provider(), fresh()
        provider.script({"deltas": ["one ", "two ", "three"], "hold_after": 2})
        with server.stream("m", headers=keyed(key)) as first:
            head = first.until(lambda e: e.event == "streaming:update" and e.data["delta"] == "two ")
            with server.stream("m", headers=keyed(key)) as second:
                assert second.headers["idempotency-replayed"] == "true"
                assert second.until(lambda e: e.seq == head[-1].seq) == head
                provider.release()
                assert list(second) == list(first)
                assert second.result == first.result
                assert second.result["response"] == "one two three"
        assert len(server.items("/v1/executions")) == 1

    def test_a_whole_answer_waits_for_its_run(self, make_server_with_provider, provider):
        server, key, body = make_server_with_provider(), fresh(), {"message": "m", "stream": False}
        provider.script({"deltas": ["one ", "two"], "hold_after": 1})
        replies = []
        first = threading.Thread(target=lambda: replies.append(server.post("/v1/chat", body, headers=keyed(key))))
        first.start()
        provider.wait(deltas=1)
        busy = server.post("/v1/chat", body, headers=keyed(key))
        assert (busy.status, busy.code, busy.headers["retry-after"]) == (409, "conflict", "1")
        provider.release()
        first.join()
        assert server.post("/v1/chat", body, headers=keyed(key)).text == replies[0].text
        assert replies[0].ok(200)["response"] == "one two"

    def test_a_failed_run_is_an_answer(self, make_server_with_provider, provider):
        server, key, body = make_server_with_provider(), fresh(), {"message": "m", "stream": False}
        provider.script({"deltas": ["half"], "cut_after": 1})
        first = server.post("/v1/chat", body, headers=keyed(key))
        second = server.post("/v1/chat", body, headers=keyed(key))
        assert (first.status, second.status) == (502, 502)
        assert {**second.body, "instance": None} == {**first.body, "instance": None}


class TestCancel:
    def test_once(self, make_server_with_provider, provider):
        server, key = make_server_with_provider(), fresh()
        provider.script({"deltas": ["x"], "hold_after": 1})
        with server.stream("m") as stream:
            started = stream.until("streaming:update")[0]
            path = f"/v1/executions/{started.data['execution_id']}/cancel"
            first = server.post(path, headers=keyed(key))
            assert first.status == 202
            server.ended(started.data["execution_id"], "cancelled")
            second = server.post(path, headers=keyed(key))
            assert (second.status, second.text, second.headers["idempotency-replayed"]) == (202, first.text, "true")
            assert server.post(path, headers=keyed(fresh())).status == 409


class TestWebSocket:
    def test_a_chat_again(self, shared_server):
        """The same run, streamed again from its first event, whichever connection asks."""
        message = {"type": "chat", "message": "hello there", "client_id": fresh()}
        with shared_server.ws() as one, shared_server.ws() as two:
            first = one.ask(message)
            stream = one.streaming()
            two.drain()
            second = two.ask(message)
            assert (second["execution_id"], second["session_id"], second["replayed"]) == (first["execution_id"], first["session_id"], True)
            assert two.streaming() == stream
            again = one.ask(message)
            assert again["execution_id"] == first["execution_id"]
            assert one.streaming() == stream
            other = one.ask({**message, "message": "else"})
            assert (other["type"], other["code"]) == ("error", "invalid")
            assert "client_id" in other["detail"]
            assert one.ask({**message, "client_id": fresh()})["execution_id"] != first["execution_id"]

    def test_a_chat_without_stream(self, shared_server):
        message = {"type": "chat", "message": "hello", "stream": False, "client_id": "\u00e4 " + fresh()}
        with shared_server.ws() as socket:
            first = socket.ask(message)
            result = socket.until("result")[-1]
            second = socket.ask(message)
            again = socket.until("result")[-1]
            assert second["execution_id"] == first["execution_id"]
            assert {**again, "ref": None} == {**result, "ref": None}

    def test_a_running_chat_after_the_connection_was_lost(self, make_server_with_provider, provider):
        server = make_server_with_provider()
        provider.script({"deltas": ["one ", "two"], "hold_after": 1})
        message = {"type": "chat", "message": "m", "client_id": "c"}
        with server.ws() as one:
            first = one.ask(message)
            one.until("streaming:update")
            one.kill()
        with server.ws() as two:
            assert two.ask(message)["execution_id"] == first["execution_id"]
            provider.release()
            stream = two.streaming()
            assert [m["seq"] for m in stream] == list(range(1, len(stream) + 1))
            assert stream[-1]["content"] == "one two"
        assert len(server.items("/v1/executions")) == 1

    def test_after_kill(self, server):
        message = {"type": "chat", "message": "hello", "client_id": "c"}
        with server.ws() as socket:
            first, stream = socket.ask(message), socket.streaming()
        server.restart(kill=True)
        with server.ws() as socket:
            assert socket.ask(message)["execution_id"] == first["execution_id"]
            assert socket.streaming() == stream

    def test_publish(self, shared_server):
        message = {"type": "publish", "topics": ["idem.ws"], "event": {"type": "x.once", "data": 1}, "client_id": fresh()}
        with shared_server.ws() as socket:
            socket.ask({"type": "subscribe", "topics": ["idem.ws"]})
            assert socket.ask(message) == {"type": "ok", "ref": "r2"}
            assert socket.ask(message) == {"type": "ok", "ref": "r3", "replayed": True}
            assert socket.ask({**message, "event": {"type": "x.once", "data": 2}})["code"] == "invalid"
            socket.ask({**message, "event": {"type": "x.once", "data": 3}, "client_id": None})
            got = socket.until(lambda m: m["type"] == "event" and m["event"]["data"] == 3)
            assert [m["event"]["data"] for m in got if m["type"] == "event"] == [1, 3]

    @pytest.mark.parametrize("client_id", ["", "x" * 129, 1, ["a"]])
    def test_bad_ones(self, shared_server, client_id):
        with shared_server.ws() as socket:
            answer = socket.ask({"type": "chat", "message": "m", "client_id": client_id})
            assert (answer["type"], answer["code"]) == ("error", "invalid")
            assert "/client_id" in answer["detail"]

    def test_a_refused_chat_may_be_sent_again(self, shared_server):
        name = f"W{fresh()}"
        agent = shared_server.agent(name, "autonomous")["id"]
        shared_server.post(f"/v1/agents/{agent}/pause").ok()
        message = {"type": "chat", "message": "m", "agent_id": agent, "client_id": fresh()}
        with shared_server.ws() as socket:
            assert socket.ask(message)["code"] == "agent_not_active"
            shared_server.post(f"/v1/agents/{agent}/resume").ok()
            assert socket.ask(message)["type"] == "ok"


class TestPublish:
    def test_once_on_the_bus(self, server):
        topic, key = "idem.topic", fresh()
        body = {"type": "x.once", "topics": [topic], "data": {"n": 1}}
        with server.ws() as socket:
            assert socket.ask({"type": "subscribe", "topics": [topic]})["type"] == "ok"
            first = server.post("/v1/events", body, headers=keyed(key))
            first.ok()
            second = server.post("/v1/events", body, headers=keyed(key))
            assert (second.status, second.text, second.headers["idempotency-replayed"]) == (first.status, first.text, "true")
            assert server.post("/v1/events", {**body, "data": {"n": 2}}, headers=keyed(key)).status == 422
            server.post("/v1/events", {**body, "data": {"n": 3}}).ok()
            got = socket.until(lambda m: m["type"] == "event" and m["event"]["data"] == {"n": 3})
            assert [m["event"]["data"]["n"] for m in got if m["type"] == "event"] == [1, 3]

    def test_a_refused_one_may_be_tried_again(self, server):
        key, user = fresh(), server.second_user("member")
        body = {"type": "x.once", "topics": ["channel:later"], "data": 1}
        assert user.post("/v1/events", body, headers=keyed(key)).status in (403, 404, 422)
        user.post("/v1/channels", {"name": "later"}).ok(201)
        assert user.post("/v1/events", body, headers=keyed(key)).status == 202


def listens(server):
    try:
        return server.anonymous().get("/readyz").status == 200
    except LOST:
        return False


@pytest.mark.failpoints
class TestCrash:
    """The process ends between the work and its answer."""

    @pytest.mark.parametrize("passing", range(1, 9))
    def test_one_effect_whenever_it_dies(self, server, passing):
        """Sent again after any death, each thing is there once, and who had heard an answer hears the same."""
        server.stop()
        server.extra["GUILD_FAILPOINT"] = f"after_commit=exit@{passing}"
        server.spawn()
        sent = {fresh(): n for n in range(6)}

        def send(key, n):
            if n % 2:
                return server.post("/v1/posts", {"content": f"crash {n}"}, headers=keyed(key))
            return server.post("/v1/chat", {"message": f"crash {n}", "stream": False}, headers=keyed(key))
        wait_for(lambda: server.process.poll() is not None or listens(server), "the start, or its end")
        heard = {}
        for key, n in sent.items():
            try:
                heard[key] = send(key, n)
            except LOST:
                break
        assert server.process.wait(30) == 137
        server.extra.pop("GUILD_FAILPOINT")
        server.start()
        again = {key: send(key, n) for key, n in sent.items()}
        for key, n in sent.items():
            assert again[key].status in ((201,) if n % 2 else (200, 503)), again[key].text
            if key in heard:
                assert again[key].text == heard[key].text
        posts = [p["content"] for p in server.items("/v1/feed?limit=100")]
        runs = [e["input_summary"] for e in server.items("/v1/executions?limit=100")]
        assert sorted(posts) == [f"crash {n}" for n in range(6) if n % 2]
        assert sorted(runs) == [f"crash {n}" for n in range(6) if not n % 2]
        assert server.cli("audit", "verify").returncode == 0


class TestLibrary:
    @pytest.fixture(params=["inside", "elsewhere"])
    def db(self, request, tmp_path, shared_server):
        import guild
        with guild.open(tmp_path / "data") if request.param == "inside" else guild.open(shared_server.url, shared_server.token) as db:
            yield db

    def test_calls_and_chats(self, db):
        import guild
        key, other = fresh(), fresh()
        first = db.ok("POST", "/v1/posts", {"content": "once"}, idempotency_key=key)
        assert db.ok("POST", "/v1/posts", {"content": "once"}, idempotency_key=key) == first
        assert db.request("POST", "/v1/posts", {"content": "else"}, idempotency_key=key).status == 422
        told = [guild.execute_agent_chat_sync(None, "hello", None, db=db, idempotency_key=other) for _ in range(2)]
        assert told[0] == told[1] and told[0].success
        events = [[], []]
        for heard in events:
            guild.execute_agent_chat_sync(None, "hello", None, stream=True, on_event=heard.append, db=db, idempotency_key=other + "s")
        assert events[0] == events[1] and events[0]

    @pytest.mark.parametrize("key", ["", "a b", "x" * 256, "a\r\nX-Other: b"])
    def test_bad_keys(self, db, key):
        import guild
        with pytest.raises(guild.GuildError):
            db.request("POST", "/v1/posts", {"content": "p"}, idempotency_key=key)
