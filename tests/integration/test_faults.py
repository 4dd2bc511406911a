"""A running server without descriptors, with a clock that jumps, with a provider that hangs, with sockets that fail: it goes on, acknowledges
nothing it cannot keep, says what is wrong, and recovers by itself."""
import http.client
import json
import os
import resource
import socket

import pytest
from support.harness import HOST, REPLY_S, Reply, wait_for

DAY_S = 86400


class Kept:
    """One connection that stays open."""

    def __init__(self, server):
        self.server = server
        self.connection = http.client.HTTPConnection(HOST, server.port, timeout=REPLY_S)

    def request(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {self.server.token}", "Content-Type": "application/json"}
        self.connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = self.connection.getresponse()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read().decode())

    def metric(self, name):
        lines = self.request("GET", "/metrics").text.splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(name + " "))


def problems(client):
    return [problem["what"] for problem in client.request("GET", "/readyz").body["problems"]]


def refused(port):
    """Whether a newcomer is turned away; what was opened, when not."""
    newcomer = socket.create_connection((HOST, port), timeout=REPLY_S)
    try:
        newcomer.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if newcomer.recv(1) != b"":
            return newcomer
    except ConnectionError:
        pass
    newcomer.close()
    return None


class TestDescriptors:
    """T41"""

    def test_newcomers_are_turned_away_and_nobody_else(self, server):
        kept = Kept(server)
        assert kept.request("GET", "/readyz").body["problems"] == []
        session = server.chat("before").ok(200)["session_id"]
        used = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        before = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (used + 4, before[1]))
        newcomers, turned_away = [], 0
        while turned_away < 5:  # in a row: a connection or a file of the server's own that closes leaves room for one more
            newcomer = refused(server.port)
            newcomers += [newcomer] if newcomer else []
            turned_away = 0 if newcomer else turned_away + 1
            assert len(newcomers) < 20
        answer = wait_for(lambda: (reply := kept.request("GET", "/readyz")).status == 503 and reply, "its word that there are none")
        assert answer.body["status"] == "degraded"
        assert problems(kept) == ["descriptors"]
        assert kept.metric("guild_listeners_short") >= 1
        failures = kept.metric("guild_accept_failures_total")
        # Who is here goes on, and what is acknowledged is kept.
        for number in range(5):
            assert kept.request("POST", "/v1/posts", {"content": f"kept {number}"}).status == 201
        reply = kept.request("POST", "/v1/chat", {"message": "hello", "session_id": session})
        assert reply.status == 200 and reply.body["success"]
        # A loop that spins on accept would count while nobody comes.
        assert kept.metric("guild_accept_failures_total") == failures
        for newcomer in newcomers:
            newcomer.close()
        wait_for(lambda: kept.request("GET", "/readyz").status == 200, "recovery without a newcomer")
        assert problems(kept) == [] and kept.metric("guild_listeners_short") == 0
        assert server.chat("after", session_id=session).ok(200)["success"]
        assert len(server.items("/v1/feed")) == 5
        server.restart(kill=True)
        assert len(server.items("/v1/feed")) == 5
        assert server.cli("audit", "verify").returncode == 0

    def test_a_provider_cannot_be_reached_without_one(self, make_server_with_provider):
        server = make_server_with_provider()
        kept = Kept(server)
        kept.request("GET", "/readyz")
        before = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)

        def without_one():
            used = {int(name) for name in os.listdir(f"/proc/{server.process.pid}/fd")}
            free = min(set(range(len(used) + 1)) - used)  # the number that the next one would get, if no other closes meanwhile
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (free, before[1]))
            reply = kept.request("POST", "/v1/chat", {"message": "hello"})
            return reply if reply.status != 200 else None
        reply = wait_for(without_one, "a chat without a descriptor")
        assert reply.status == 502 and reply.code == "provider_failed"
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, before)
        wait_for(lambda: kept.request("GET", "/readyz").status == 200, "recovery")
        assert kept.request("POST", "/v1/chat", {"message": "hello"}).status == 200
        assert [row["status"] for row in server.items("/v1/executions")][:2] == ["completed", "failed"]


class Clock:
    def __init__(self, folder):
        self.path = folder / "clock"

    def jumps(self, seconds):
        new = self.path.with_suffix(".new")
        new.write_text(str(seconds))
        new.rename(self.path)

    def is_right(self):
        self.path.unlink()


@pytest.mark.failpoints
class TestClock:
    @pytest.fixture
    def clock(self, tmp_path):
        return Clock(tmp_path)

    def test_times_in_the_store_never_go_back(self, make_server, clock):
        server = make_server(env={"GUILD_CLOCK_FILE": str(clock.path)})
        kept = Kept(server)
        session = server.chat("at first").ok(200)["session_id"]
        for number, jump in enumerate((-DAY_S, 3600, -3600, 100 * DAY_S, 0, -DAY_S, 100 * DAY_S + 60)):
            clock.jumps(jump)
            server.post("/v1/posts", {"content": f"post {number}"}).ok(201)
            assert server.chat(f"chat {number}", session_id=session).ok(200)["success"]
            behind = kept.metric("guild_clock_behind_seconds")
            assert (behind > 0) == (jump < 0 or jump == 0), jump
            assert problems(kept) == (["clock"] if behind > 0 else [])
            assert kept.request("GET", "/readyz").status == 200
        posts = server.items("/v1/feed")
        assert [post["content"] for post in posts] == [f"post {number}" for number in range(6, -1, -1)]
        times = [post["created_at"] for post in posts]
        assert times == sorted(times, reverse=True)
        said = [message["content"] for message in server.messages(session) if message["role"] == "user"]
        assert said == ["at first"] + [f"chat {number}" for number in range(7)]
        assert server.cli("audit", "verify").returncode == 0

    def test_what_waits_waits_by_another_clock(self, make_server_with_provider, provider, clock):
        """Neither a run nor its time-outs care how late it is said to be."""
        server = make_server_with_provider(env={"GUILD_CLOCK_FILE": str(clock.path), "GUILD_EXECUTION_IDLE_TIMEOUT": "30",
                                                "GUILD_EXECUTION_TOTAL_TIMEOUT": "60"})
        with server.stream('script:{"deltas":["a","b"],"hold_after":1}') as stream:
            stream.until("streaming:update")
            clock.jumps(DAY_S)
            assert server.get("/v1/me").status == 200
            clock.jumps(-DAY_S)
            assert server.get("/v1/me").status == 200
            provider.release()
            assert stream.collect()[-1].event == "streaming:complete"
        row = server.items("/v1/executions")[0]
        assert row["status"] == "completed"
        clock.is_right()
        wait_for(lambda: problems(server) == [], "the clock to have come back")


class TestProvider:
    def test_one_that_hangs_is_told_and_forgotten(self, make_server_with_provider, provider):
        """Each run that waits in vain ends, and is said to have; others are served meanwhile; the next good answer ends the alarm."""
        server = make_server_with_provider(env={"GUILD_EXECUTION_FIRST_BYTE_TIMEOUT": "0.3"})
        assert problems(server) == []
        provider.script(*[{"hang": True}] * 3)
        for number in range(3):
            reply = server.chat(f"in vain {number}")
            assert (reply.status, reply.code) == (504, "provider_timeout")
            server.post("/v1/posts", {"content": f"meanwhile {number}"}).ok(201)
        assert problems(server) == ["provider"]
        assert server.get("/readyz").status == 200
        assert server.metrics()["guild_provider_failing"] == 3
        assert [row["status"] for row in server.items("/v1/executions")] == ["timed_out"] * 3
        assert server.metrics()["guild_executions_running"] == 0
        assert server.chat("now").ok(200)["success"]
        assert problems(server) == [] and server.metrics()["guild_provider_failing"] == 0
        assert len(server.items("/v1/feed")) == 3


class Sockets:
    def __init__(self, folder):
        self.path = folder / "sockets"

    def fail(self, plan):
        new = self.path.with_suffix(".new")
        new.write_text(plan)
        new.rename(self.path)

    def work(self):
        self.path.unlink()


@pytest.mark.failpoints
class TestSockets:
    """The sweep (tests/fault/socket_sweep) does it call by call, in one thread; here threads and loops are real."""

    @pytest.mark.parametrize("plan", ["read=drip,write=drip", "write=short", "read=interrupt@7", "accept=aborted@2", "write=delay@3"])
    def test_slow_ones_change_nothing(self, make_server, tmp_path, plan):
        sockets = Sockets(tmp_path)
        server = make_server(env={"GUILD_SOCKET_FAULT_FILE": str(sockets.path)})
        sockets.fail(plan)
        session = None
        for number in range(3):
            reply = self.asked(lambda: server.chat(f"hello {number}", **({"session_id": session} if session else {})))
            session = reply.ok(200)["session_id"] if reply else session
        sockets.work()
        assert server.post("/v1/posts", {"content": "after"}).status == 201
        assert all(row["status"] == "completed" for row in server.items("/v1/executions"))

    @pytest.mark.parametrize("plan", ["write=cut@4+", "read=reset@4+", "write=cut#900", "accept=aborted@3+"])
    def test_cut_ones_lose_nothing(self, make_server, tmp_path, plan):
        """What was cut is asked again under its key, and is there once."""
        sockets = Sockets(tmp_path)
        server = make_server(env={"GUILD_SOCKET_FAULT_FILE": str(sockets.path)})
        open_before = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        sockets.fail(plan)
        answers = []
        for number in range(6):
            answers.append(self.asked(lambda: self.post(server, number)))
        assert None in answers
        sockets.work()
        wait_for(lambda: self.asked(lambda: server.get("/readyz").status) == 200, "the server to be ready again")
        again = [self.post(server, number).ok(201)["id"] for number in range(6)]
        assert len(set(again)) == 6
        assert all(answer is None or answer.ok(201)["id"] == id for answer, id in zip(answers, again))
        assert sorted(post["content"] for post in server.items("/v1/feed")) == [f"post {number}" for number in range(6)]
        wait_for(lambda: len(os.listdir(f"/proc/{server.process.pid}/fd")) <= open_before, "all descriptors to be closed")

    @staticmethod
    def post(server, number):
        return server.post("/v1/posts", {"content": f"post {number}"}, headers={"Idempotency-Key": f"key-{number}"})

    @staticmethod
    def asked(ask):
        try:
            return ask()
        except (OSError, http.client.HTTPException, ValueError):
            return None
