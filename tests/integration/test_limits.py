"""The rate limit over every door, and what it leaves in the audit log: a flood of refusals cannot fill the disk."""
from concurrent.futures import ThreadPoolExecutor

from support.harness import wait_for

RATE = {"GUILD_HTTP_RATE": "20", "GUILD_HTTP_RATE_BURST": "20"}


def counted(server, user_id):
    """What the audit log says of that user's requests turned away; None while it says nothing, or while we are turned away ourselves."""
    page = server.get(f"/v1/audit?outcome=failed&principal={user_id}&limit=100")
    if page.status == 429:
        return None
    return [item for item in page.ok(200)["items"] if "rate_limited" in str(item)] or None


class TestFlood:
    def test_a_flood_is_a_few_counted_entries(self, make_server):
        server = make_server(env=RATE)
        user = server.second_user("member")
        user_id = user.get("/v1/me").ok(200)["id"]
        answers = [user.get("/v1/executions").status for _ in range(300)]
        assert set(answers) == {200, 429} and answers.count(429) >= 200
        entries = wait_for(lambda: counted(server, user_id), "the counted entry", timeout=20)
        assert 1 <= len(entries) <= 6
        assert all(entry["outcome"] == "failed" for entry in entries)

    def test_messages_of_a_socket_count_too(self, make_server):
        server = make_server(env=RATE)
        with server.ws() as socket:
            for number in range(60):
                socket.send({"type": "ping", "ref": number})
            answers = [socket.recv() for _ in range(60)]
        assert [a.get("code") for a in answers].count("rate_limited") >= 20
        assert [a["type"] for a in answers[:10]] == ["pong"] * 10


class TestSignIn:
    def test_too_many_that_fail_are_turned_away_unseen(self, make_server):
        """T13, T14: over requests and sockets alike; a good token has to wait with its address."""
        server = make_server(env={"GUILD_HTTP_SIGN_IN_RATE": "2"})
        bad = server.client("guild_" + "x" * 43)
        statuses = []
        for _ in range(20):
            reply = bad.get("/v1/me")
            statuses.append(reply.status)
            if reply.status == 429:
                assert reply.code == "rate_limited" and int(reply.headers["retry-after"]) >= 1
        assert statuses[:4] == [401] * 4 and statuses.count(429) >= 10
        wait_for(lambda: server.get("/v1/me").status == 200, "the operator's turn", timeout=20)
        codes = []
        for _ in range(12):
            with server.ws(token=None) as socket:
                answer = socket.ask({"type": "auth", "token": bad.token})
                codes.append((answer["code"], socket.close_code(10)))
        assert set(codes) == {("unauthenticated", 4001), ("rate_limited", 4029)}

        def good_after_bad():
            bad.get("/v1/me")
            with server.ws(token=None) as socket:
                return socket.ask({"type": "auth", "token": server.token}).get("code") == "rate_limited"
        wait_for(good_after_bad, "a good token that has to wait")

    def test_those_that_succeed_do_not_count(self, make_server):
        server = make_server(env={"GUILD_HTTP_SIGN_IN_RATE": "1"})
        assert {server.get("/v1/me").status for _ in range(50)} == {200}
        for _ in range(10):
            with server.ws() as socket:
                assert socket.ask({"type": "ping"})["type"] == "pong"


class TestQuotas:
    def test_a_chat_makes_no_session_beyond_the_quota(self, make_server):
        server = make_server(env={"GUILD_QUOTA_SESSIONS": "3"})
        user = server.second_user("member")
        sessions = [user.chat("hello").ok(200)["session_id"] for _ in range(3)]
        refused = user.chat("hello")
        assert (refused.status, refused.code) == (409, "session_quota_reached") and "quota.sessions" in refused.text
        assert user.chat("go on", session_id=sessions[0]).ok(200)["success"]
        with user.ws() as socket:
            assert socket.ask({"type": "chat", "message": "hello"})["code"] == "session_quota_reached"
        assert user.post("/v1/sessions", {}).code == "session_quota_reached"
        assert {run["session_id"] for run in user.items("/v1/executions")} == set(sessions)
        server.restart()
        user.port = server.port
        assert user.chat("hello").code == "session_quota_reached", "what is in the store counts"
        user.delete(f"/v1/sessions/{sessions[1]}").ok(204)
        assert user.chat("hello").ok(200)["session_id"] not in sessions
        assert user.chat("hello").code == "session_quota_reached"
        assert server.chat("hello").ok(200)["success"], "another user has an own quota"

    def test_many_at_once_do_not_pass_it_together(self, make_server):
        server = make_server(env={"GUILD_QUOTA_SESSIONS": "5", "GUILD_QUOTA_AGENTS": "5", "GUILD_QUOTA_TOKENS": "5"})
        user = server.second_user("member")
        with ThreadPoolExecutor(16) as pool:
            chats = list(pool.map(lambda _: user.chat("hello").status, range(40)))
            agents = list(pool.map(lambda _: user.post("/v1/agents", {"name": "a"}).status, range(40)))
            tokens = list(pool.map(lambda _: user.post("/v1/tokens").status, range(40)))
        assert sorted(chats) == [200] * 5 + [409] * 35
        assert sorted(agents) == [201] * 5 + [409] * 35
        assert sorted(tokens) == [201] * 4 + [409] * 36, "one is the token that asks"
        assert len(user.items("/v1/sessions")) == 5 and len(user.items("/v1/tokens")) == 5

    def test_zero_is_no_limit(self, make_server):
        server = make_server(env={"GUILD_QUOTA_SESSIONS": "0", "GUILD_QUOTA_AGENTS": "0"})
        for _ in range(3):
            server.post("/v1/sessions", {}).ok(201)
            server.post("/v1/agents", {"name": "a"}).ok(201)
