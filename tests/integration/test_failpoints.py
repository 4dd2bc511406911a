"""A server that dies or fails at named points of the store (builds with -Dfailpoints=true): what was acknowledged stands, what was not is
settled, the audit chain is whole."""
import http.client
import re

import pytest
from support.harness import wait_for

pytestmark = pytest.mark.failpoints
LOST = (OSError, http.client.HTTPException, ValueError, AssertionError)
DIED = 137


def try_chat(client, message, **members):
    """The result, or None when the server was gone before it answered."""
    try:
        return client.chat(message, **members)
    except LOST:
        return None


def listens(server):
    """It answers, or has died on the way there."""
    if server.process.poll() is not None:
        return True
    try:
        return server.anonymous().get("/readyz").status == 200
    except LOST:
        return False


def check_whole(server, acknowledged):
    """What has to hold after any start."""
    assert server.cli("audit", "verify").returncode == 0
    for row in server.items("/v1/executions?limit=100"):
        assert server.ended(row["id"])["status"] in ("completed", "failed", "cancelled", "interrupted", "timed_out")
    for result in acknowledged:
        row = server.execution(result["execution_id"])
        assert row["status"] == "completed"
        events = server.events(row["id"]).collect()
        assert events[-1].data["content"] == result["response"]
        stored = [m for m in server.messages(result["session_id"]) if m["id"] == result["message_id"]]
        assert [m["content"] for m in stored] == [result["response"]]


class TestCrashPoints:
    @pytest.mark.parametrize("point", ["begin", "before_commit", "after_commit"])
    @pytest.mark.parametrize("passing", [1, 2, 3, 5, 8])
    def test_dying_at_a_commit(self, server, point, passing):
        session = server.chat("m").ok(200)["session_id"]
        assert server.stop() == 0
        server.extra["GUILD_FAILPOINT"] = f"{point}=exit@{passing}"
        server.spawn()
        wait_for(lambda: listens(server), "the start, or its end")
        acknowledged = []
        for i in range(40):
            if server.process.poll() is not None:
                break
            reply = try_chat(server, f"m{i}", session_id=session)
            if reply is not None and reply.status == 200:
                acknowledged.append(reply.body)
        assert server.process.wait(30) == DIED
        del server.extra["GUILD_FAILPOINT"]
        server.start()
        check_whole(server, acknowledged)
        users = [m["content"] for m in server.messages(session) if m["role"] == "user"]
        assert len(users) == len(set(users)), "a message was stored twice"
        assert server.chat("and on", session_id=session).ok(200)["success"] is True

    def test_dying_at_the_first_start(self, make_server):
        """Whatever was begun is finished by the next start: one operator, one default agent."""
        for passing in (1, 2, 3):
            server = make_server(start=False, env={"GUILD_FAILPOINT": f"before_commit=exit@{passing}"})
            server.spawn()
            try:
                wait_for(lambda: listens(server), "the start, or its end")
                if server.process.poll() is None:
                    server.token = (server.data / "admin.token").read_text().strip()
                    try_chat(server, "hello")
                code = server.process.wait(30)
            finally:
                server.process.kill()
            assert code == DIED
            del server.extra["GUILD_FAILPOINT"]
            server.start()
            users = [row for row in server.items("/v1/users") if row["role"] == "operator"]
            assert len(users) == 1
            assert [row["is_system"] for row in server.items("/v1/agents")] == [True]
            assert server.chat("hello").ok(200)["success"] is True
            assert server.cli("audit", "verify").returncode == 0


class TestFaults:
    @pytest.mark.parametrize("point", ["begin", "before_commit", "after_commit"])
    @pytest.mark.parametrize("passing", [1, 2, 3, 4, 6])
    def test_one_failing_commit(self, make_server, point, passing):
        """The request it belongs to is told so or tried again; nothing else notices."""
        server = make_server()
        server.restart(GUILD_FAILPOINT=f"{point}=err@{passing}")
        replies = [server.chat(f"m{i}") for i in range(6)]
        for reply in replies:
            assert reply.status == 200 or (reply.status == 503 and reply.code == "store_unavailable"), reply.text
        good = [reply.body for reply in replies if reply.status == 200]
        assert len(good) >= 5
        if point != "after_commit":  # there a run may stand that nobody was told of; the next start settles it
            check_whole(server, good)
        server.restart(kill=True, GUILD_FAILPOINT="")
        check_whole(server, good)

    @staticmethod
    def answers_at_all(server):
        """It may be degraded before anybody asked it to write: it does so by itself."""
        try:
            return server.anonymous().get("/readyz").status in (200, 503)
        except LOST:
            return False

    def test_commits_that_go_on_failing(self, server):
        """T41: 503 with no word of why, degraded while it lasts; reading still works."""
        agents = server.items("/v1/agents")
        assert server.stop() == 0
        server.extra["GUILD_FAILPOINT"] = "before_commit=err"
        server.spawn()
        wait_for(lambda: self.answers_at_all(server) or server.process.poll() is not None, "an answer, or the end of the start")
        if server.process.poll() is not None:
            assert re.search(r"guild: .+", server.log()), "a start that fails says why"
        else:
            replies = [server.chat("hello") for _ in range(3)]
            assert {(r.status, r.code) for r in replies} == {(503, "store_unavailable")}
            assert server.items("/v1/agents") == agents
            assert server.stop() == 0
        del server.extra["GUILD_FAILPOINT"]
        server.start()
        assert server.items("/v1/executions") == []
        assert server.chat("hello").ok(200)["success"] is True
