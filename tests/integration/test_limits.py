"""The rate limit over every door, and what it leaves in the audit log: a flood of refusals cannot fill the disk."""
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
