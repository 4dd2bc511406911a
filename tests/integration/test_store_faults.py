"""A running server whose disk fills up, turns read-only or fails (builds with -Dfailpoints=true): nothing is acknowledged that is not kept, the
server says what is wrong, goes on reading, and recovers by itself."""
import pytest
from support.harness import wait_for

pytestmark = pytest.mark.failpoints
FAULTS = ["write=full", "write=readonly,truncate=readonly,sync=readonly,open=readonly", "write=short", "sync=io", "lock=io@1+,write=io"]


class Disk:
    """The plan of a server's shim, as a file that comes and goes."""

    def __init__(self, folder):
        self.path = folder / "faults"

    def fails(self, plan):
        new = self.path.with_suffix(".new")
        new.write_text(plan)
        new.rename(self.path)

    def works(self):
        self.path.unlink()

    @property
    def env(self):
        return {"GUILD_VFS_FAULT_FILE": str(self.path)}


@pytest.fixture
def disk(tmp_path):
    return Disk(tmp_path)


def ready(server):
    """Asked without signing in: that needs no store."""
    reply = server.anonymous().get("/readyz")
    return reply.status, reply.body["status"]


def posts(server):
    return [row["content"] for row in server.items("/v1/feed")]


@pytest.mark.parametrize("plan", FAULTS)
def test_nothing_is_acknowledged_that_is_not_kept(make_server, disk, plan):
    server = make_server(env=disk.env)
    session = server.chat("before").ok(200)["session_id"]
    server.post("/v1/posts", {"content": "before"}).ok(201)
    assert ready(server) == (200, "ok")
    disk.fails(plan)
    for number in range(3):
        replies = [server.post("/v1/posts", {"content": f"lost {number}"}), server.chat(f"lost {number}", session_id=session),
                   server.post("/v1/agents", {"name": f"Lost {number}"})]
        assert {(reply.status, reply.code) for reply in replies} == {(503, "store_unavailable")}
        assert all("full" not in reply.text and "sqlite" not in reply.text.lower() for reply in replies)
    assert ready(server) == (503, "degraded")
    assert server.get("/healthz").ok(200)["store"] == "degraded"
    assert server.metrics()["guild_store_degraded"] == 1
    if "lock" not in plan:
        assert posts(server) == ["before"]
    disk.works()
    wait_for(lambda: ready(server) == (200, "ok"), "recovery without a request that writes")
    assert posts(server) == ["before"]
    assert [m["content"] for m in server.messages(session) if m["role"] == "user"] == ["before"]
    server.chat("after", session_id=session).ok(200)
    server.post("/v1/posts", {"content": "after"}).ok(201)
    assert len(server.items("/v1/agents")) == 1
    server.restart(kill=True)
    assert posts(server) == ["after", "before"]
    assert [m["content"] for m in server.messages(session) if m["role"] == "user"] == ["before", "after"]
    assert server.cli("audit", "verify").returncode == 0


@pytest.mark.parametrize("plan", ["write=full", "sync=io"])
def test_a_run_that_had_begun_ends_when_the_disk_is_back(make_server_with_provider, provider, disk, plan):
    """Its end is not told before it is kept."""
    server = make_server_with_provider(env=disk.env)
    with server.stream('script:{"deltas":["a","b"],"hold_after":1}') as stream:
        stream.until("streaming:update")
        run = server.items("/v1/executions")[0]["id"]
        disk.fails(plan)
        provider.release()
        wait_for(lambda: ready(server) == (503, "degraded"), "the end of the run to be refused by the disk")
        assert server.execution(run)["status"] == "running"
        disk.works()
        ends = [event.data["content"] for event in stream.collect() if event.event == "streaming:complete"]
        assert ends == ["ab"]
    assert ready(server) == (200, "ok")
    assert server.execution(run)["status"] == "completed"
    assert server.cli("audit", "verify").returncode == 0


def test_a_disk_that_is_full_from_the_start(make_server, disk):
    """The start says why, and a later one is as if nothing had been."""
    disk.fails("write=full")
    server = make_server(start=False, env=disk.env)
    server.spawn()
    assert server.process.wait(30) != 0
    assert "full" in server.log() and "guild.db" in server.log()
    disk.works()
    server.start()
    assert server.chat("hello").ok(200)["success"] is True
