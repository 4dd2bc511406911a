"""Group Y of docs/acceptance.md, and group C over a bare WebSocket: sign-in, topics, delivery, streams, resume and catch-up.

Nothing here waits for a fixed time: that something did not come is shown by an answer that would have come after it.
"""
import json
import time

import pytest
import websockets
from hypothesis import given, settings, strategies as st
from support.harness import Stream, wait_for

REFUSED = ("malformed", "invalid", "unauthenticated")


def user_topic(client):
    return f"user:{client.get('/v1/me').ok(200)['id']}"


def script(**behaviour):
    return "script:" + json.dumps(behaviour)


def say(socket, topic, number, topics=None):
    return socket.ask({"type": "publish", "topics": topics or [topic], "event": {"type": "x.test", "data": number}})


def join(socket, *topics, **more):
    answer = socket.ask({"type": "subscribe", "topics": list(topics), **more})
    assert answer["type"] == "ok", answer
    return answer


def data_of(messages):
    return [m["event"]["data"] for m in messages if m["type"] == "event"]


def streams_of(messages):
    return [m for m in messages if m["type"].startswith("streaming:")]


def change(server, agent, times):
    """So many durable events on agent:<id> and workspace:<id>."""
    for i in range(times):
        server.post(f"/v1/agents/{agent['id']}/{'pause' if i % 2 == 0 else 'resume'}").ok(200)


def revisions(messages):
    return [m["event"]["data"]["revision"] for m in messages if m["type"] == "event" and m["event"]["type"] == "agent_changed"]


def broken_handshake(server, token):
    with pytest.raises(websockets.InvalidStatusCode) as refused:
        server.ws(token)
    return refused.value.status_code


class TestSignIn:
    def test_a_bad_token_is_refused_at_the_handshake(self, shared_server):
        """AC-169"""
        for token in ("x", "guild_" + "0" * 43, shared_server.token[:-1], shared_server.token + "x"):
            assert broken_handshake(shared_server, token) == 401

    def test_a_bad_first_message_ends_the_connection(self, shared_server):
        """AC-169"""
        with shared_server.ws(None) as socket:
            answer = socket.ask({"type": "auth", "token": "guild_" + "0" * 43})
            assert (answer["type"], answer["code"]) == ("error", "unauthenticated")
            assert socket.close_code() == 4001

    def test_nothing_is_reachable_without_a_token(self, shared_server):
        """AC-169"""
        topic = user_topic(shared_server)
        with shared_server.ws(None) as stranger, shared_server.ws() as member:
            for message in ({"type": "subscribe", "topics": [topic, "room"]}, {"type": "unsubscribe", "topics": ["room"]},
                            {"type": "publish", "topics": ["room"], "event": {"type": "x.a"}}, {"type": "chat", "message": "hello"},
                            {"type": "cancel", "execution_id": "x"}, {"type": "resume", "execution_id": "x", "after": 0},
                            {"type": "stats"}, {"type": "nothing"}, {"type": "auth.refresh", "token": shared_server.token}):
                answer = stranger.ask(message)
                assert (answer["type"], answer["code"]) == ("error", "unauthenticated"), message
            say(member, None, 1, [topic, "room"])
            assert stranger.drain() == []

    def test_the_first_message_signs_in(self, shared_server):
        """AC-169, AC-170"""
        user = shared_server.second_user("member")
        with user.ws(None) as socket:
            answer = socket.ask({"type": "auth", "token": user.token})
            assert answer["type"] == "ok"
            assert answer["principal"]["id"] == user.id and answer["principal"]["role"] == "member"
            assert f"user:{user.id}" in socket.ask({"type": "stats"})["topics"]

    def test_silence_before_sign_in_ends_the_connection(self, make_server):
        """T20"""
        server = make_server(env={"GUILD_HTTP_SIGN_IN_TIMEOUT": "1"})
        with server.ws(None) as silent, server.ws() as signed_in:
            assert silent.close_code(10) == 4001
            assert signed_in.ask({"type": "ping"})["type"] == "pong"

    def test_revocation_closes_open_sockets(self, shared_server):
        """AC-169"""
        user = shared_server.second_user("member")
        second = shared_server.post("/v1/tokens", {"user_id": user.id}).ok(201)
        other = shared_server.client(second["token"])
        with other.ws() as revoked, user.ws() as kept:
            shared_server.delete(f"/v1/tokens/{second['id']}").ok(204)
            assert revoked.close_code() == 4001
            assert kept.ask({"type": "ping"})["type"] == "pong"
        assert broken_handshake(shared_server, second["token"]) == 401

    def test_a_change_of_role_ends_tokens_and_sockets(self, shared_server):
        """T14"""
        user, other = shared_server.second_user("member"), shared_server.second_user("member")
        second = shared_server.client(user.post("/v1/tokens").ok(201)["token"])
        with user.ws() as first, second.ws() as another, other.ws() as kept:
            with Stream(*user.open("GET", "/v1/events?topics=global")) as stream:
                shared_server.patch(f"/v1/users/{user.id}", {"role": "admin"}).ok(200)
                assert first.close_code() == another.close_code() == 4001
                assert stream.collect() == []
            assert kept.ask({"type": "ping"})["type"] == "pong"
        for client in (user, second):
            assert client.get("/v1/me").status == 401 and broken_handshake(shared_server, client.token) == 401
        entry = shared_server.items(f"/v1/audit?limit=100&principal={shared_server.get('/v1/me').ok(200)['id']}&action=update")[0]
        assert entry["change"] == {"new": {**entry["change"]["old"], "role": "admin"}, "old": entry["change"]["old"],
                                   "principal_id": user.id, "tokens_revoked": True}
        fresh = shared_server.client(shared_server.post("/v1/tokens", {"user_id": user.id}).ok(201)["token"])
        with fresh.ws() as socket:
            assert socket.ask({"type": "ping"})["type"] == "pong"
            shared_server.patch(f"/v1/users/{user.id}", {"role": "admin", "name": "Ada"}).ok(200)
            assert socket.ask({"type": "ping"})["type"] == "pong", "the same role is no change"
        assert fresh.get("/v1/me").ok(200)["role"] == "admin"

    def test_expiry_closes_open_sockets(self, shared_server):
        """AC-169"""
        user = shared_server.second_user("member")
        token = shared_server.post("/v1/tokens", {"user_id": user.id, "expires_in_s": 1}).ok(201)["token"]
        with shared_server.ws(token) as socket:
            assert socket.close_code(10) == 4001
        assert broken_handshake(shared_server, token) == 401

    def test_a_newer_token_keeps_the_socket(self, shared_server):
        user = shared_server.second_user("member")
        newer = shared_server.post("/v1/tokens", {"user_id": user.id}).ok(201)
        stranger = shared_server.second_user("member")
        first = shared_server.post("/v1/tokens", {"user_id": user.id}).ok(201)
        with shared_server.ws(first["token"]) as socket:
            assert socket.ask({"type": "auth.refresh", "token": "nothing"})["code"] == "unauthenticated"
            assert socket.ask({"type": "auth.refresh", "token": stranger.token})["code"] == "permission_denied"
            assert socket.ask({"type": "auth.refresh", "token": newer["token"]})["principal"]["id"] == user.id
            shared_server.delete(f"/v1/tokens/{first['id']}").ok(204)
            assert socket.ask({"type": "ping"})["type"] == "pong"
            shared_server.delete(f"/v1/tokens/{newer['id']}").ok(204)
            assert socket.close_code() == 4001

    def test_foreign_origins_are_refused(self, shared_server):
        """T10"""
        for origin, good in ((shared_server.url, True), ("http://evil.example", False), ("null", False)):
            if good:
                with shared_server.ws(headers=[("Origin", origin)]) as socket:
                    assert socket.ask({"type": "ping"})["type"] == "pong"
                continue
            with pytest.raises(websockets.InvalidStatusCode) as refused:
                shared_server.ws(headers=[("Origin", origin)])
            assert refused.value.status_code == 403

    def test_the_subprotocol_is_chosen_when_offered(self, shared_server):
        with shared_server.ws() as ours, shared_server.ws(subprotocols=None) as none:
            assert ours.ws.subprotocol == "guild.v1" and none.ws.subprotocol is None


class TestTopics:
    def test_own_topics_come_unasked_on_every_socket(self, shared_server):
        """AC-170"""
        user = shared_server.second_user("member")
        topic = f"user:{user.id}"
        workspace = f"workspace:{user.get('/v1/me').ok(200)['workspace_id']}"
        with user.ws() as one, user.ws() as two, user.ws() as three:
            for socket in (one, two, three):
                assert set(socket.ask({"type": "stats"})["topics"]) == {topic, workspace}
            assert say(one, topic, "to all of mine")["type"] == "ok"
            for socket in (one, two, three):
                event = socket.recv()
                assert event["topics"] == [topic] and event["event"]["data"] == "to all of mine"

    def test_only_the_addressed_user_is_told(self, shared_server):
        """AC-172"""
        ada, bob = shared_server.second_user("member"), shared_server.second_user("member")
        with ada.ws() as one, ada.ws() as two, bob.ws() as other, shared_server.ws() as admin:
            say(one, f"user:{ada.id}", "personal")
            assert data_of([one.recv()]) == data_of([two.recv()]) == ["personal"]
            assert other.drain() == [] and admin.drain() == []

    def test_plain_topics_are_apart(self, shared_server):
        """AC-172"""
        with shared_server.ws() as red, shared_server.ws() as blue, shared_server.ws() as both:
            join(red, "red")
            join(blue, "blue")
            join(both, "red", "blue")
            say(red, "red", 1)
            say(red, "blue", 2)
            say(red, None, 3, ["red", "blue"])
            assert data_of(red.drain()) == [1, 3]
            assert data_of(blue.drain()) == [2, 3]
            assert data_of(both.drain()) == [1, 2, 3], "one copy of each, however many topics match"
            red.ask({"type": "unsubscribe", "topics": ["red"]})
            say(blue, "red", 4)
            assert red.drain() == [] and data_of(both.drain()) == [4]

    def test_what_is_anothers_looks_like_what_is_not_there(self, shared_server):
        """T1, AC-172"""
        ada, bob = shared_server.second_user("member"), shared_server.second_user("member")
        run = ada.chat("hello").ok(200)
        nobody = "00000000-0000-7000-8000-000000000000"
        agent = shared_server.agent("Topical")["id"]
        with bob.ws() as socket:
            answers = []
            for topic in (f"user:{ada.id}", f"execution:{run['execution_id']}", f"user:{nobody}", f"execution:{nobody}", f"agent:{nobody}",
                          f"workspace:{nobody}", f"channel:{nobody}", "post:1", f"agent:{ada.id}", f"user:{agent}"):
                for message in ({"type": "subscribe", "topics": [topic]}, {"type": "subscribe", "topics": ["room", topic]}):
                    answer = socket.ask(message)
                    answers.append((answer["type"], answer["code"], answer["detail"]))
            assert len(set(answers)) == 1 and answers[0][1] == "not_found"
            assert socket.ask({"type": "resume", "execution_id": run["execution_id"], "after": 0})["code"] == "not_found"
            assert socket.ask({"type": "cancel", "execution_id": run["execution_id"]})["code"] == "not_found"
            assert "room" not in socket.ask({"type": "stats"})["topics"], "all topics of a message or none"
            join(socket, f"agent:{agent}", "global", "alerts", "category:finance", f"user:{bob.id}")
        with ada.ws() as owner, shared_server.ws() as admin:
            join(owner, f"execution:{run['execution_id']}")
            join(admin, f"execution:{run['execution_id']}")
            assert admin.ask({"type": "subscribe", "topics": [f"user:{ada.id}"]})["code"] == "not_found"

    def test_clients_publish_their_own_kind_only(self, shared_server):
        """T9"""
        user = shared_server.second_user("member")
        viewer = shared_server.second_user("viewer")
        other = user_topic(shared_server)
        agent = shared_server.agent("Target")["id"]
        with user.ws() as socket, shared_server.ws() as target, viewer.ws() as reader:
            for topic in (other, f"agent:{agent}", "channel:x", "workspace:x", "execution:x", "post:x", "category:"):
                assert say(socket, topic, 0)["code"] == "not_found", topic
            for kind in ("agent_changed", "x.", "x", "streaming:complete", "X.a", "x.a b", "x." + "a" * 127):
                assert socket.ask({"type": "publish", "topics": ["room"], "event": {"type": kind}})["code"] == "invalid", kind
            forged = socket.ask({"type": "publish", "topics": ["room"], "event": {"type": "x.a", "source": "/server"}})
            assert forged["code"] == "invalid" and "/source" in forged["detail"]
            assert say(reader, "room", 0)["code"] == "permission_denied"
            assert target.drain() == []
            join(target, "room")
            assert say(socket, "room", {"n": 1})["type"] == "ok"
            event = target.recv()["event"]
            assert event["source"] == f"/users/{user.id}" and event["type"] == "x.test" and event["specversion"] == "1.0"
            assert event["time"].endswith("Z") and event["data"] == {"n": 1} and "id" not in event

    def test_a_connection_has_so_many_topics(self, shared_server):
        with shared_server.ws() as socket:
            for i in range(4):
                answer = socket.ask({"type": "subscribe", "topics": [f"many-{i}-{k}" for k in range(256)]})
                assert answer["type"] == ("ok" if i < 3 else "error"), answer
            assert len(socket.ask({"type": "stats"})["topics"]) == 3 * 256 + 2
            assert answer["code"] == "overloaded"


class TestConnections:
    def test_a_disconnect_cleans_up_and_one_may_come_back(self, shared_server):
        """AC-171"""
        user = shared_server.second_user("member")
        before = shared_server.metrics()["guild_websockets"]
        gone = [user.ws() for _ in range(4)]
        for socket in gone:
            join(socket, "lounge")
        wait_for(lambda: shared_server.metrics()["guild_websockets"] == before + 4, "four sockets")
        gone[0].close()
        for socket in gone[1:]:
            socket.kill()
        wait_for(lambda: shared_server.metrics()["guild_websockets"] == before, "the sockets to be gone")
        with user.ws() as again, shared_server.ws() as other:
            say(other, "lounge", "to nobody")
            assert again.drain() == [], "subscriptions end with their connection"
            join(again, "lounge")
            say(other, "lounge", "back")
            assert data_of(again.drain()) == ["back"]
        for socket in gone[1:]:
            socket.close()

    def test_nobody_there_is_fine(self, shared_server):
        """AC-171"""
        with shared_server.ws() as socket:
            assert say(socket, "never-heard-of", 1)["type"] == "ok"
            assert socket.ask({"type": "unsubscribe", "topics": ["never-heard-of"]})["type"] == "ok"
            assert say(socket, "user:00000000-0000-7000-8000-000000000000", 1)["code"] == "not_found"

    def test_failing_sockets_disturb_nobody(self, shared_server):
        """AC-174"""
        user = shared_server.second_user("member")
        sockets = [user.ws() for _ in range(3)]
        try:
            with shared_server.ws() as speaker:
                for socket in sockets:
                    join(socket, "fragile")
                sockets[0].kill()
                assert say(speaker, "fragile", 1)["type"] == "ok"
                assert data_of(sockets[1].drain()) == data_of(sockets[2].drain()) == [1]
                sockets[1].kill()
                sockets[2].kill()
                assert say(speaker, "fragile", 2)["type"] == "ok"
                assert user.chat("still there?").ok(200)["success"] is True
        finally:
            for socket in sockets:
                socket.close()

    def test_stats_count_what_came_and_went(self, shared_server):
        """AC-174"""
        with shared_server.ws() as socket:
            first = socket.ask({"type": "stats"})
            assert (first["sent"], first["received"]) == (0, 1) and len(first["topics"]) == 2
            join(socket, "counted")
            for i in range(5):
                say(socket, "counted", i)
            socket.drain()
            socket.send("{")
            socket.recv()
            last = socket.ask({"type": "stats"})
            # stats, subscribe, 5 publishes, ping, the broken one, stats; 5 events more than answers
            assert last["received"] == 10 and last["sent"] == 14
            assert sorted(set(last["topics"]) - set(first["topics"])) == ["counted"]


class TestMessages:
    def test_order_is_kept(self, shared_server):
        """AC-173"""
        with shared_server.ws() as speaker, shared_server.ws() as one, shared_server.ws() as two:
            join(one, "ordered")
            join(two, "ordered")
            for i in range(400):
                speaker.send({"type": "publish", "topics": ["ordered"], "event": {"type": "x.n", "data": i}})
            speaker.drain()
            for socket in (one, two):
                assert [m["event"]["data"] for m in socket.until(lambda m: m["event"]["data"] == 399)] == list(range(400))

    @settings(max_examples=25)
    @given(data=st.recursive(st.none() | st.booleans() | st.integers(-2**63, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) |
                             st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0")),
                             lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(
                                 st.characters(blacklist_categories=("Cs",), blacklist_characters="\0")), inner, max_size=4)))
    def test_any_content_arrives_as_it_was(self, shared_server, data):
        """AC-173"""
        with shared_server.ws() as socket:
            join(socket, "any-content")
            assert say(socket, "any-content", data)["type"] == "ok"
            assert data_of([socket.recv()]) == [data]

    def test_large_messages_survive(self, shared_server):
        """AC-173"""
        text = "größer 👩‍🚀 " * 10000
        with shared_server.ws() as speaker, shared_server.ws() as listener:
            join(listener, "large")
            assert say(speaker, "large", text)["type"] == "ok"
            assert data_of([listener.recv()]) == [text]
            assert say(speaker, "large", "x" * 300000)["code"] == "too_large"
            speaker.send("x" * ((1 << 20) + 1))
            assert speaker.close_code() == 1009

    @pytest.mark.parametrize("text", ["", "{", "nonsense", "[1,]", '{"type":"ping"} x', '{"type":"ping","type":"ping"}', '{"type":"\\ud800"}',
                                      "[" * 100, '{"type":1e999}', '{"type":"p\ting"}', "[]", "null", "7", '"ping"', "{}", '{"type":7}',
                                      '{"type":"nothing"}', '{"type":"ping","extra":1}', '{"type":"ping","ref":{}}',
                                      '{"type":"ping","ref":1.5}'])
    def test_malformed_messages_get_an_error_and_the_socket_stays(self, shared_server, text):
        """AC-173, T22"""
        with shared_server.ws() as socket:
            socket.send(text)
            answer = socket.recv()
            assert answer["type"] == "error" and answer["code"] in REFUSED and answer["detail"]
            assert socket.ask({"type": "ping"})["type"] == "pong"

    def test_broken_frames_end_the_connection(self, shared_server):
        """AC-173, T24"""
        with shared_server.ws() as binary, shared_server.ws() as broken:
            binary.send(b"binary")
            assert binary.close_code() == 1003
            broken.run(broken.ws.write_frame(True, 1, b"\xff\xfe"))
            assert broken.close_code() == 1007

    @pytest.mark.parametrize("message, member", [
        ({"type": "subscribe"}, "/topics"), ({"type": "subscribe", "topics": "room"}, "/topics"), ({"type": "subscribe", "topics": []}, "/topics"),
        ({"type": "subscribe", "topics": ["a b"]}, "/topics"), ({"type": "subscribe", "topics": [7]}, "/topics"),
        ({"type": "subscribe", "topics": ["a" * 256]}, "/topics"), ({"type": "subscribe", "topics": ["room"], "after": -1}, "/after"),
        ({"type": "subscribe", "topics": ["room"], "after": {"epoch": 1}}, "/after"),
        ({"type": "subscribe", "topics": ["room"], "after": "7"}, "/after"), ({"type": "chat"}, "/message"),
        ({"type": "chat", "message": ""}, "/message"), ({"type": "chat", "message": "x", "mesage": "x"}, "/mesage"),
        ({"type": "chat", "message": "x", "on_busy": "panic"}, "/on_busy"),
        ({"type": "chat", "message": "x", "history": [{"role": "system", "content": "x"}]}, "/history"),
        ({"type": "resume", "execution_id": "x"}, "/after"), ({"type": "resume", "execution_id": "x", "after": "a:b"}, "/after"),
        ({"type": "publish", "topics": ["room"], "event": 7}, "/event"), ({"type": "publish", "topics": ["room"], "event": {}}, "/event/type"),
        ({"type": "auth", "token": ""}, "/token")])
    def test_the_wrong_member_is_named(self, shared_server, message, member):
        """T3"""
        with shared_server.ws() as socket:
            answer = socket.ask(message)
            assert (answer["type"], answer["code"]) == ("error", "invalid"), answer
            assert member in answer["detail"]

    def test_refs_come_back_as_they_were(self, shared_server):
        """AC-90"""
        with shared_server.ws() as socket:
            for ref in ("a", "", "ref with \"quotes\" and ümläute", "x" * 128, 0, -7, 2**63 - 1, None):
                socket.send({"type": "ping", "ref": ref})
                assert socket.recv() == {"type": "pong", "ref": ref}
            socket.send({"type": "ping", "ref": "x" * 129})
            assert socket.recv()["code"] == "invalid"

    def test_a_flood_is_told_to_wait(self, shared_server):
        """T36"""
        async def flood(ws):
            for _ in range(4000):
                await ws.send('{"type":"ping"}')
            return [json.loads(await ws.recv()) for _ in range(4000)]
        with shared_server.ws() as socket:
            answers = socket.run(flood(socket.ws))
            codes = {a.get("code", a["type"]) for a in answers}
            assert codes == {"pong", "rate_limited"}
            wait_for(lambda: socket.ask({"type": "ping"})["type"] == "pong", "the bucket to fill again")


class TestStreams:
    def test_a_run_is_told_from_start_to_complete(self, server_with_provider):
        """AC-21, AC-22, AC-23, AC-24"""
        with server_with_provider.ws() as socket:
            answer = socket.ask({"type": "chat", "message": script(deltas=["Hel", "lo"])})
            assert answer["type"] == "ok" and answer["queued"] is False
            start, one, two, complete = messages = socket.streaming()
            assert [m["type"] for m in messages] == ["streaming:start", "streaming:update", "streaming:update", "streaming:complete"]
            assert [m["seq"] for m in messages] == [1, 2, 3, 4]
            assert {m["id"] for m in messages} == {start["id"]} and start["execution_id"] == answer["execution_id"]
            assert start["session_id"] == answer["session_id"] and start["provider"] == "openai" and start["model"] == "test-model"
            assert (one["delta"], two["delta"]) == ("Hel", "lo") and one["complete"] is False and two["complete"] is False
            assert complete["content"] == "Hello" and complete["complete"] is True and complete["finish_reason"] == "stop"
            assert complete["metadata"]["execution_id"] == answer["execution_id"]
            assert socket.drain() == [], "nothing after the terminal one"
            stored = server_with_provider.messages(answer["session_id"])[-1]
            assert stored["id"] == start["id"] and stored["content"] == "Hello"

    def test_without_stream_only_the_result_comes(self, server_with_provider):
        """AC-25"""
        with server_with_provider.ws() as socket, server_with_provider.ws() as other:
            answer = socket.ask({"type": "chat", "message": "hello", "stream": False})
            result = socket.recv()
            assert result["type"] == "result" and result["ref"] == f"r{socket.refs}"
            assert result["success"] is True and result["response"] == "echo: hello"
            assert result["execution_id"] == answer["execution_id"] and result["tokens"]["out"] > 0
            assert streams_of(socket.drain()) == [] and streams_of(other.drain()) == []

    def test_all_sockets_of_the_user_see_the_same_and_others_nothing(self, server_with_provider):
        """AC-26, AC-172"""
        user = server_with_provider.second_user("member")
        with user.ws() as one, user.ws() as two, server_with_provider.ws() as admin:
            one.send({"type": "chat", "message": script(deltas=["a", "b", "c"])})
            first, second = one.streaming(), two.streaming()
            assert first == second and len(first) == 5
            assert admin.drain() == []

    @settings(max_examples=15)
    @given(deltas=st.lists(st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1, max_size=20),
                           min_size=1, max_size=8))
    def test_deltas_make_up_the_content(self, server_with_provider, deltas):
        """AC-27"""
        with server_with_provider.ws() as socket:
            socket.send({"type": "chat", "message": script(deltas=deltas)})
            messages = socket.streaming()
            assert [m["delta"] for m in messages[1:-1]] == deltas
            assert messages[-1]["content"] == "".join(deltas)
            assert [m["seq"] for m in messages] == list(range(1, len(deltas) + 3))

    def test_a_run_needs_no_listener(self, server_with_provider, provider):
        """AC-28"""
        with server_with_provider.ws() as socket:
            answer = socket.ask({"type": "chat", "message": script(deltas=["a", "b"], hold_after=1)})
            provider.wait(deltas=1)
            socket.kill()
        provider.release()
        assert server_with_provider.ended(answer["execution_id"])["status"] == "completed"
        assert server_with_provider.messages(answer["session_id"])[-1]["content"] == "ab"

    def test_a_socket_that_dies_takes_nobody_along(self, server_with_provider, provider):
        """AC-29"""
        with server_with_provider.ws() as dying, server_with_provider.ws() as living:
            answer = dying.ask({"type": "chat", "message": script(deltas=["a", "b", "c"], hold_after=2)})
            living.until(lambda m: m.get("seq") == 3)
            dying.kill()
            provider.release()
            rest = living.streaming()
            assert [m["seq"] for m in rest] == [4, 5] and rest[-1]["content"] == "abc"
        assert server_with_provider.execution(answer["execution_id"])["status"] == "completed"

    def test_a_failure_after_the_start_is_told(self, server_with_provider):
        """AC-30"""
        with server_with_provider.ws() as socket:
            answer = socket.ask({"type": "chat", "message": script(deltas=["a", "b"], cut_after=1)})
            messages = socket.streaming()
            assert [m["type"] for m in messages] == ["streaming:start", "streaming:update", "streaming:error"]
            error = messages[-1]
            assert error["code"] == "provider_failed" and error["truncated"] is True and error["seq"] == 3
            assert "Agent chat execution failed" in error["error"] and "127.0.0.1" not in error["error"]
            assert socket.drain() == []
        assert server_with_provider.execution(answer["execution_id"])["partial_response"] == "a"

    def test_a_refusal_answers_and_streams_nothing(self, server_with_provider, provider):
        """AC-2, AC-3, AC-8"""
        agent = server_with_provider.agent("Stu")
        with server_with_provider.ws() as socket:
            answer = socket.ask({"type": "chat", "message": "hello", "agent_id": agent["id"]})
            assert (answer["type"], answer["code"]) == ("error", "governance_blocked")
            assert "blocked" in answer["detail"] and "Stu" in answer["detail"] and answer["audit_id"]
            assert socket.drain() == []
            assert socket.ask({"type": "chat", "message": "x", "agent_id": "no-such", "strict": True})["code"] == "agent_not_found"
            assert socket.ask({"type": "chat", "message": "x", "session_id": "no-such"})["code"] == "session_not_found"
        assert provider.log() == []

    def test_viewers_do_not_chat(self, shared_server):
        """T4"""
        with shared_server.second_user("viewer").ws() as socket:
            assert socket.ask({"type": "chat", "message": "hello"})["code"] == "permission_denied"

    def test_cancel_ends_the_run(self, server_with_provider, provider):
        with server_with_provider.ws() as socket:
            answer = socket.ask({"type": "chat", "message": script(deltas=["a", "b"], hold_after=1)})
            socket.until(lambda m: m.get("seq") == 2)
            assert socket.ask({"type": "cancel", "execution_id": answer["execution_id"]})["type"] == "ok"
            last = socket.streaming()[-1]
            assert (last["type"], last["code"]) == ("streaming:error", "cancelled")
            assert socket.ask({"type": "cancel", "execution_id": answer["execution_id"]})["code"] == "conflict"
            provider.wait(aborted=1)
        assert server_with_provider.ended(answer["execution_id"])["status"] == "cancelled"

    def test_a_second_message_waits_for_the_first(self, server_with_provider, provider):
        with server_with_provider.ws() as socket:
            first = socket.ask({"type": "chat", "message": script(deltas=["a", "b"], hold_after=1)})
            socket.until(lambda m: m.get("seq") == 2)
            second = socket.ask({"type": "chat", "message": "next", "session_id": first["session_id"]})
            assert second["type"] == "ok" and second["queued"] is True
            busy = socket.ask({"type": "chat", "message": "now", "session_id": first["session_id"], "on_busy": "reject"})
            assert busy["code"] == "session_busy"
            provider.release()
            assert socket.streaming()[-1]["content"] == "ab"
            assert socket.streaming()[-1]["content"] == "echo: next"


class TestResume:
    def test_every_cut_is_continued_without_loss_or_repetition(self, server_with_provider):
        """AC-173"""
        with server_with_provider.ws() as socket, server_with_provider.ws() as late:
            answer = socket.ask({"type": "chat", "message": script(deltas=["a", "b", "c", "d"])})
            whole = socket.streaming()
            late.drain()
            for after in range(len(whole)):
                for cursor in (after, f"1:{after}", str(after)):
                    assert late.ask({"type": "resume", "execution_id": answer["execution_id"], "after": cursor})["type"] == "ok"
                    assert late.streaming() == whole[after:]
            assert late.drain() == []

    def test_a_late_socket_gets_a_running_stream_only_when_it_asks(self, server_with_provider, provider):
        """AC-26, AC-173"""
        with server_with_provider.ws() as socket:
            answer = socket.ask({"type": "chat", "message": script(deltas=["a", "b", "c", "d"], hold_after=2)})
            socket.until(lambda m: m.get("seq") == 3)
            with server_with_provider.ws() as late, server_with_provider.ws() as silent:
                assert late.ask({"type": "resume", "execution_id": answer["execution_id"], "after": 1})["type"] == "ok"
                assert [m["seq"] for m in late.until(lambda m: m.get("seq") == 3)] == [2, 3]
                provider.release()
                rest = socket.streaming()
                assert [m["seq"] for m in rest] == [4, 5, 6]
                assert late.streaming() == rest
                assert silent.drain() == [], "a stream is not begun in its middle"

    def test_asking_again_starts_again(self, server_with_provider, provider):
        with server_with_provider.ws() as socket:
            answer = socket.ask({"type": "chat", "message": script(deltas=["a", "b", "c"], hold_after=1)})
            socket.until(lambda m: m.get("seq") == 2)
            for _ in range(3):
                socket.ask({"type": "resume", "execution_id": answer["execution_id"], "after": 0})
                assert [m["seq"] for m in socket.until(lambda m: m.get("seq") == 2)] == [1, 2]
            provider.release()
            assert [m["seq"] for m in socket.streaming()] == [3, 4, 5]
            assert socket.drain() == []

    def test_the_stream_outlives_the_process(self, server_with_provider):
        """AC-35"""
        server = server_with_provider
        with server.ws() as socket:
            answer = socket.ask({"type": "chat", "message": script(deltas=["a", "b", "c"])})
            whole = socket.streaming()
        server.restart()
        with server.ws() as socket:
            socket.ask({"type": "resume", "execution_id": answer["execution_id"], "after": 2})
            assert socket.streaming() == whole[2:]

    def test_a_long_stream_is_paced_by_its_reader(self, server_with_provider):
        """T21"""
        deltas = [f"{i:04d} " * 20 for i in range(1500)]
        with server_with_provider.ws() as socket, server_with_provider.ws() as slow:
            socket.ask({"type": "chat", "message": script(deltas=deltas)})
            execution = socket.until("streaming:start")[-1]["execution_id"]
            whole = socket.streaming()
            assert whole[-1]["content"] == "".join(deltas)
            slow.drain()
            for _ in range(8):
                slow.send({"type": "resume", "execution_id": execution, "after": 0})
            got = [m for m in slow.until(lambda m: m["type"] == "streaming:complete") if m["type"].startswith("streaming:")]
            last = [m["seq"] for m in got]
            assert last[-1502:] == list(range(1, 1503)), "the last resume stands"


class TestCatchUp:
    def test_missed_events_come_first(self, server):
        """AC-173"""
        agent = server.agent("Changing", "intern")
        with server.ws() as socket:
            begin = join(socket, f"agent:{agent['id']}")
            change(server, agent, 2)
            seen = revisions(socket.until(lambda m: m.get("event", {}).get("data", {}).get("revision") == 3))
        change(server, agent, 6)
        with server.ws() as socket:
            join(socket, f"agent:{agent['id']}", after={"epoch": begin["epoch"], "offset": begin["offset"]})
            change(server, agent, 2)
            messages = socket.until(lambda m: m.get("event", {}).get("data", {}).get("revision") == 11)
            assert seen == [2, 3] and revisions(messages) == list(range(2, 12))
            offsets = [m["offset"] for m in messages if m["type"] == "event"]
            assert offsets == sorted(set(offsets)) and {m["epoch"] for m in messages if m["type"] == "event"} == {begin["epoch"]}
            recovered = [m for m in messages if m["type"] == "recovered"]
            assert len(recovered) == 1 and 8 <= recovered[0]["count"] <= 10
            assert socket.drain() == []

    def test_the_store_answers_for_a_process_before(self, server):
        """AC-35, AC-173"""
        agent = server.agent("Lasting", "intern")
        with server.ws() as socket:
            begin = join(socket, f"agent:{agent['id']}")
        change(server, agent, 9)
        server.restart()
        with server.ws() as socket:
            answer = join(socket, f"agent:{agent['id']}", after=begin["offset"])
            assert answer["epoch"] == begin["epoch"] and answer["offset"] >= begin["offset"] + 9
            messages = socket.until("recovered")
            assert revisions(messages) == list(range(2, 11)) and messages[-1]["count"] == 9

    def test_overlapping_topics_give_one_copy(self, server):
        """AC-173"""
        agent = server.agent("Twice", "intern")
        workspace = f"workspace:{server.get('/v1/me').ok(200)['workspace_id']}"
        with server.ws() as socket:
            change(server, agent, 3)
            live = revisions(socket.until(lambda m: m.get("event", {}).get("data", {}).get("revision") == 4))
            assert live == [2, 3, 4], "workspace: comes unasked"
            join(socket, f"agent:{agent['id']}", workspace, after=0)
            messages = socket.until("recovered")
            mine = [m for m in messages if m.get("event", {}).get("data", {}).get("id") == agent["id"]]
            assert revisions(mine) == [1], "what came live is not repeated"

    def test_another_epoch_is_a_gap(self, server):
        """T29"""
        agent = server.agent("Restored", "intern")
        change(server, agent, 2)
        with server.ws() as socket:
            answer = join(socket, f"agent:{agent['id']}", after={"epoch": 1, "offset": 1})
            gap, recovered = socket.recv(), socket.recv()
            assert (gap["type"], gap["from"], gap["to"]) == ("gap", 1, answer["offset"])
            assert (recovered["type"], recovered["count"], recovered["offset"]) == ("recovered", 0, answer["offset"])


def listen(client, topics, after=None, last=None):
    query = f"/v1/events?topics={','.join(topics)}" + ("" if after is None else f"&after={after}")
    return Stream(*client.open("GET", query, headers={"Last-Event-ID": last} if last else None))


class TestEventStream:
    def test_events_come_and_go_on_where_they_ended(self, server):
        """AC-173"""
        agent = server.agent("Streamed", "intern")
        topics = [f"agent:{agent['id']}"]
        with listen(server, topics, after=0) as stream:
            first = stream.until("recovered")
            assert [e.data["event"]["data"]["revision"] for e in first if e.event == "event"] == [1]
            change(server, agent, 4)
            events = stream.until(lambda e: e.data["event"]["data"]["revision"] == 5)
        change(server, agent, 2)
        with listen(server, topics, last=events[-1].id) as stream:
            again = stream.until("recovered")
            assert [e.data["event"]["data"]["revision"] for e in again if e.event == "event"] == [6, 7]
            assert again[0].data["epoch"] == events[0].data["epoch"]

    def test_publishing_over_http_reaches_both_doors(self, shared_server):
        with listen(shared_server, ["http-room"]) as stream, shared_server.ws() as socket:
            join(socket, "http-room")
            shared_server.post("/v1/events", {"type": "x.hi", "topics": ["http-room"], "data": [1]}).ok(202)
            event = stream.next()
            assert event.event == "event" and event.data["event"]["data"] == [1] and event.id == ""
            assert data_of([socket.recv()]) == [[1]]
        assert shared_server.post("/v1/events", {"type": "post", "topics": ["http-room"]}).status == 422
        assert shared_server.post("/v1/events", {"type": "x.hi", "topics": ["post:1"]}).status == 404

    def test_access_is_that_of_the_socket(self, shared_server):
        """T1"""
        user = shared_server.second_user("member")
        run = shared_server.chat("hello").ok(200)
        for topic in (user_topic(shared_server), f"execution:{run['execution_id']}", "post:1", "channel:1"):
            with listen(user, ["room", topic]) as stream:
                assert (stream.status, stream.reply.code) == (404, "not_found")
        for query in ("topics=", "topics=a%20b", "after=1", "topics=a&after=x", "topics=a&after=0:1"):
            assert shared_server.get(f"/v1/events?{query}").status in (400, 422), query
        with listen(shared_server, ["room"], last="no-cursor") as stream:
            assert stream.status == 400
        assert shared_server.anonymous().get("/v1/events?topics=room").status == 401

    def test_revocation_ends_the_stream(self, shared_server):
        """T14"""
        user = shared_server.second_user("member")
        token = shared_server.post("/v1/tokens", {"user_id": user.id}).ok(201)
        with listen(shared_server.client(token["token"]), ["room"]) as stream:
            assert stream.status == 200
            shared_server.delete(f"/v1/tokens/{token['id']}").ok(204)
            assert stream.next() is None


class TestStopping:
    def test_streams_without_end_do_not_hold_up_the_stop(self, server):
        with listen(server, ["room"]) as stream:
            assert stream.status == 200
            began = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - began < 5
            assert stream.next() is None and stream.retry == 1000

    def test_sockets_are_told_to_come_back(self, server):
        with server.ws() as socket:
            socket.ask({"type": "ping"})
            began = time.monotonic()
            assert server.stop() == 0
            assert socket.close_code() == 1001
            assert time.monotonic() - began < 10
