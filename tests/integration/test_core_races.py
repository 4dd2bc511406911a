"""Races of the core: one session from several sides, ends that cross, stopping and dying while runs wait, a store that fails."""
import http.client
import json
import os
import signal
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.harness import wait_for


def rows(server, sql, *values):
    with sqlite3.connect(f"file:{server.data}/guild.db?mode=ro", uri=True) as store:
        return store.execute(sql, values).fetchall()


def check_store(server):
    """What holds in the store whenever no run is open: nothing is lost, nothing is twice."""
    assert rows(server, "SELECT id FROM turn WHERE status <= 2") == []
    assert rows(server, "SELECT id, open_count FROM session WHERE open_count <> 0") == []
    assert rows(server, "SELECT s.id, s.message_count FROM session s WHERE s.message_count <> (SELECT coalesce(sum(CASE WHEN rolled_back = 1 "
                        "THEN 0 ELSE 1 + has_answer END), 0) FROM turn t WHERE t.session = s.id)") == []
    count, first, last = rows(server, "SELECT count(*), min(seq), max(seq) FROM log")[0]
    assert (first, count) == (1, last)
    assert rows(server, "SELECT t.id FROM turn t WHERE (SELECT count(*) FROM log l WHERE l.execution = t.id AND l.outcome = 1) <> 1 "
                        "OR (SELECT count(*) FROM log l WHERE l.execution = t.id AND l.outcome > 1) <> 1") == []
    verify = subprocess.run([os.environ["GUILD_BINARY"], "audit", "verify", "--data", str(server.data)], capture_output=True, text=True,
                            check=False, timeout=60)
    assert verify.returncode == 0, verify.stdout + verify.stderr


def check_stream(client, execution_id):
    """The numbered events of a run that is over: no gap, one end."""
    with client.events(execution_id, after=0) as stream:
        events = stream.collect()
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    ends = [e.event for e in events if e.event in ("streaming:complete", "streaming:error")]
    assert ends == [events[-1].event], ends
    return events


def held(client, provider, **members):
    """A run that the provider holds after its first delta: (execution id, session id, the open stream)."""
    provider.script({"deltas": ["a", "b"], "hold_after": 1})
    stream = client.stream("first", **members)
    stream.until("streaming:update")
    return stream.headers["x-execution-id"], stream.headers["x-session-id"], stream


def enqueue(client, session_id, message="next", **members):
    stream = client.stream(message, session_id=session_id, **members)
    assert stream.is_stream, stream.reply
    return stream.headers["x-execution-id"], stream


@pytest.mark.parametrize("loops", [1, 2, 4])
def test_ends_cross_in_one_session(make_server_with_provider, provider, loops):
    """Cancel, interrupt, rollback and enqueue from many connections at once: each run ends once, and the session stays usable."""
    server = make_server_with_provider(env={"GUILD_SERVER_LOOPS": loops, "GUILD_HTTP_RATE": 0})
    session = server.chat("hello").ok(200)["session_id"]
    seen = []

    def work(number):
        for step in range(12):
            busy = ("enqueue", "interrupt", "rollback", "enqueue", "reject")[(number + step) % 5]
            script = json.dumps({"deltas": ["x "] * 4, "delay_ms": (number * 7 + step) % 5})
            with server.stream(f"script:{script}", session_id=session, on_busy=busy) as stream:
                if not stream.is_stream:
                    assert stream.status in (409, 429), stream.reply
                    continue
                execution = stream.headers["x-execution-id"]
                seen.append(execution)
                if (number + step) % 3 == 0:
                    assert server.post(f"/v1/executions/{execution}/cancel").status in (202, 409)
                if (number + step) % 4:
                    stream.collect()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    for execution in seen:
        server.ended(execution)
        check_stream(server, execution)
    server.chat("still there?", session_id=session).ok(200)
    check_store(server)


def test_cancelling_one_that_gets_its_turn(server_with_provider, provider):
    """A queued run is cancelled while its session is being read for it."""
    server = server_with_provider
    for _ in range(25):
        first, session, stream = held(server, provider)
        second, queued = enqueue(server, session)
        third, last = enqueue(server, session)
        with ThreadPoolExecutor(2) as pool:
            crossing = [pool.submit(server.post, f"/v1/executions/{first}/cancel"),
                        pool.submit(server.post, f"/v1/executions/{second}/cancel")]
            assert {reply.result().status for reply in crossing} <= {202, 409}
        for one in (stream, queued, last):
            one.close()
        assert server.ended(first)["status"] == "cancelled"
        assert server.ended(second)["status"] in ("cancelled", "completed")
        server.ended(third, "completed")
    check_store(server)


def test_one_behind_many_that_were_cancelled_gets_its_turn(make_server_with_provider, provider):
    server = make_server_with_provider(env={"GUILD_HTTP_RATE": 0})
    first, session, stream = held(server, provider)
    waiting, queued = enqueue(server, session)
    for _ in range(140):
        execution, other = enqueue(server, session)
        other.close()
        server.post(f"/v1/executions/{execution}/cancel").ok(202)
        server.ended(execution, "cancelled")
    provider.release()
    for one in (stream, queued):
        one.collect()
        one.close()
    server.ended(first, "completed")
    server.ended(waiting, "completed")
    check_store(server)


def test_a_cursor_behind_the_end_ends(server_with_provider, provider):
    execution, _, stream = held(server_with_provider, provider)
    with server_with_provider.events(execution, after=1000) as far:
        provider.release()
        assert far.collect() == []
    stream.close()


def test_stopping_leaves_what_waits_for_the_next_start(make_server_with_provider, provider):
    server = make_server_with_provider(env={"GUILD_SERVER_DRAIN": 1})
    first, session, stream = held(server, provider)
    second, queued = enqueue(server, session, "second")
    third, last = enqueue(server, session, "third")
    assert server.stop(signal.SIGTERM, timeout=10) == 0
    for one in (stream, queued, last):
        one.close()
    assert [row[0] for row in rows(server, "SELECT status FROM turn ORDER BY id")] == [7, 1, 1]
    provider.release()
    server.start()
    server.ended(second, "completed")
    server.ended(third, "completed")
    assert server.execution(first)["status"] == "interrupted"
    asked = [r["body"]["messages"][-1]["content"] for r in provider.log() if r["path"].endswith("completions")]
    assert asked[-2:] == ["second", "third"]
    for execution in (first, second, third):
        check_stream(server, execution)
    check_store(server)


def test_messages_of_a_session_keep_their_order_over_all_loops(make_server):
    """AC-35: messages a millisecond apart and less, over kept connections of all loops."""
    server = make_server(env={"GUILD_SERVER_LOOPS": 4, "GUILD_HTTP_RATE": 0})
    session = server.chat("0").ok(200)["session_id"]
    connections = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=30) for _ in range(16)]
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    for number in range(1, 300):
        connection = connections[number * 7 % 16]
        connection.request("POST", "/v1/chat", json.dumps({"message": str(number), "session_id": session}), headers)
        reply = connection.getresponse()
        assert reply.status == 200 and reply.read()
    seen, cursor = [], ""
    while cursor is not None:
        page = server.get(f"/v1/sessions/{session}/messages?limit=100{cursor}").ok(200)
        seen += [m["content"] for m in page["items"] if m["role"] == "user"]
        cursor = f"&cursor={page['next_cursor']}" if page["has_more"] else None
    assert seen == [str(number) for number in range(300)]
    times = [row[0] for row in rows(server, "SELECT started_at FROM turn ORDER BY id")]
    assert times == sorted(times)


def test_killed_again_and_again(make_server_with_provider, provider):
    server = make_server_with_provider(env={"GUILD_HTTP_RATE": 0})
    executions = []
    for cycle in range(int(os.environ.get("GUILD_KILL_CYCLES", "6"))):
        sessions = []
        streams = []
        for number in range(6):
            script = json.dumps({"deltas": ["word "] * 40, "delay_ms": 1 + number})
            session = {"session_id": sessions[0]} if number % 3 == 2 else {}
            stream = server.stream(f"script:{script}", **session)
            assert stream.is_stream, stream.reply
            sessions.append(stream.headers["x-session-id"])
            executions.append(stream.headers["x-execution-id"])
            streams.append(stream)
        streams[cycle % 2].until(lambda e, seen=1 + 3 * cycle % 36: e.seq >= seen)
        server.restart(kill=True)
        for stream in streams:
            stream.close()
        for execution in executions[-6:]:
            server.ended(execution)
    for execution in executions:
        check_stream(server, execution)
    check_store(server)


failpoints = pytest.mark.failpoints


@failpoints
def test_a_run_that_cannot_be_recorded_is_not_begun(make_server_with_provider, provider):
    """AC-45, AC-54: nothing runs unaudited; the answer says so without a path."""
    server = make_server_with_provider()
    server.restart(GUILD_FAILPOINT="before_commit=err@1")
    reply = server.chat("hello")
    assert (reply.status, reply.code) == (503, "store_unavailable")
    assert "guild.db" not in reply.text and str(server.data) not in reply.text
    assert [r for r in provider.log() if r["path"].endswith("completions")] == []
    assert rows(server, "SELECT count(*) FROM turn") == [(0,)]
    server.chat("again").ok(200)
    check_store(server)


@failpoints
def test_the_end_of_a_run_is_tried_again(make_server_with_provider, provider):
    """AC-34: a fault that passes delays the end and changes nothing else."""
    server = make_server_with_provider(env={"GUILD_STORE_TOKEN_BATCH": 10})
    server.restart(GUILD_FAILPOINT="before_commit=err@2,before_commit=err@3,before_commit=err@4")
    done = server.chat("hello").ok(200)
    assert done["success"] and done["response"] == "echo: hello"
    server.ended(done["execution_id"], "completed")
    server.chat("again", session_id=done["session_id"]).ok(200)
    check_stream(server, done["execution_id"])
    check_store(server)


@failpoints
def test_an_end_taken_for_a_failure_still_hands_the_turn_on(make_server_with_provider, provider):
    """The commit of the end is on disk, and its job hears that it failed: tried again, it changes nothing, and who is next begins."""
    server = make_server_with_provider(env={"GUILD_STORE_TOKEN_BATCH": 10})
    server.restart(GUILD_FAILPOINT="after_commit=err@3")
    first, session, stream = held(server, provider)
    second, queued = enqueue(server, session)
    provider.release()
    assert stream.collect()[-1].event == "streaming:complete"
    assert queued.collect()[-1].event == "streaming:complete"
    server.ended(first, "completed")
    server.ended(second, "completed")
    stream.close()
    queued.close()
    check_store(server)


@failpoints
def test_an_end_that_cannot_be_written_is_never_complete(make_server_with_provider, provider):
    """AC-34: streaming:error store_unavailable; recovery settles it."""
    server = make_server_with_provider(env={"GUILD_STORE_TOKEN_BATCH": 10, "GUILD_EXECUTION_TOTAL_TIMEOUT": 1,
                                             "GUILD_EXECUTION_KEEP_FINISHED": 0})
    server.restart(GUILD_FAILPOINT=",".join(f"before_commit=err@{n}" for n in range(2, 17)))
    with server.stream("hello") as stream:
        events = stream.collect()
    execution = stream.headers["x-execution-id"]
    assert (events[-1].event, events[-1].data["code"]) == ("streaming:error", "store_unavailable")
    assert [e.event for e in events].count("streaming:complete") == 0

    def nobody_has_it():
        with server.events(execution, after=0) as late:
            return late.collect() == []
    wait_for(nobody_has_it, "the stream to leave the memory, and a viewer of it to end")
    server.restart(GUILD_FAILPOINT="")
    assert server.execution(execution)["status"] == "interrupted"
    check_stream(server, execution)
    check_store(server)


@failpoints
@pytest.mark.parametrize("point", ["before_commit=exit@2", "after_commit=exit@1", "after_commit=exit@2", "begin=exit@2"])
def test_dying_around_a_commit(make_server_with_provider, provider, point):
    server = make_server_with_provider(env={"GUILD_STORE_TOKEN_BATCH": 10})
    server.restart(GUILD_FAILPOINT=point)
    with pytest.raises((OSError, Exception)):
        server.chat("hello")
    wait_for(lambda: server.process.poll() is not None, "the server's death")
    server.restart(GUILD_FAILPOINT="")
    (execution,) = server.items("/v1/executions")
    wanted = "completed" if point == "after_commit=exit@2" else "interrupted"
    assert execution["status"] == wanted
    check_stream(server, execution["id"])
    server.chat("again", session_id=execution["session_id"]).ok(200)
    check_store(server)


def test_another_program_looks_at_the_database(server):
    """Who opens and closes the database meanwhile takes nothing of it away, whether it dies behind that or goes on."""
    before = server.agent("Before")
    reader = subprocess.run(["/usr/bin/python3", "-c", "import sqlite3, sys; s = sqlite3.connect(sys.argv[1]); s.execute('PRAGMA user_version');"
                             "s.execute('SELECT count(*) FROM agent').fetchall(); s.close()", str(server.data / "guild.db")], check=False)
    assert reader.returncode == 0
    assert (server.data / "guild.db-wal").exists() and (server.data / "guild.db-shm").exists()
    after = server.agent("After")
    server.restart(kill=True)
    for agent in (before, after):
        assert server.get(f"/v1/agents/{agent['id']}").ok(200)["name"] == agent["name"]
