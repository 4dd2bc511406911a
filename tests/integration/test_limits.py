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
