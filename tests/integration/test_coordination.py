"""Runs that wait for their turn: limits of agents and workspaces, priorities, runs after runs, runs that work for runs."""
import json
from concurrent.futures import ThreadPoolExecutor

import guild
import pytest
from support.harness import wait_for

HELD = "script:" + json.dumps({"deltas": ["a", "b"], "hold_after": 1})
FAILS = "script:" + json.dumps({"status": 500})
NOBODY = "0190a5b0-0000-7000-8000-000000000000"


def limited(server, runs=1, name="One at a time", **members):
    return server.agent(name, "autonomous", max_concurrent_runs=runs, **members)["id"]


def held(server, provider, agent, **members):
    """A run that has begun and waits in the middle of its answer."""
    finished = len(provider.log())
    stream = server.stream(HELD, agent=agent, **members)
    provider.wait(requests=finished + 1, deltas=1)
    return stream


def id_of(stream):
    return stream.headers["x-execution-id"]


def status_of(server, stream):
    return server.execution(id_of(stream))["status"]


def asked(provider):
    """What was sent to the model, in order."""
    return [entry["body"]["messages"][-1]["content"] for entry in provider.log()]


def queued(server):
    return [run["id"] for run in server.items("/v1/executions?status=queued&limit=100")]


class TestLimits:
    def test_no_more_run_than_the_agent_may(self, server_with_provider, provider):
        """AC-176"""
        server = server_with_provider
        agent = limited(server, 2)
        streams = [server.stream(HELD, agent=agent) for _ in range(5)]
        provider.wait(requests=2)
        assert sorted(status_of(server, s) for s in streams) == ["queued"] * 3 + ["running"] * 2
        assert sorted(queued(server)) == sorted(id_of(s) for s in streams[2:])
        assert server.metrics()["guild_executions_queued"] == 3 and len(provider.log()) == 2
        assert server.chat("others do not wait").ok(200)["success"] is True

        def all_over():
            provider.release()
            now = [run["status"] for run in server.items(f"/v1/executions?agent={agent}&limit=100")]  # of one instant
            assert now.count("running") <= 2
            return now == ["completed"] * 5
        wait_for(all_over, "their turns")
        assert [s.collect()[-1].data["content"] for s in streams] == ["ab"] * 5
        assert queued(server) == [] and server.metrics()["guild_executions_queued"] == 0
        assert server.chat("free again", agent=agent).ok(200)["success"] is True

    def test_no_more_run_than_the_workspace_may(self, make_server_with_provider, provider):
        """AC-176"""
        server = make_server_with_provider(env={"GUILD_EXECUTION_WORKSPACE_RUNS": "2"})
        agents = [limited(server, 1, f"Agent {n}") for n in range(3)]
        first = held(server, provider, agents[0])
        second = server.stream("behind the first", agent=agents[0], priority="urgent")
        third = held(server, provider, agents[1])
        fourth = server.stream("for the third place", agent=agents[2], priority="low")
        assert [status_of(server, s) for s in (first, second, third, fourth)] == ["running", "queued", "running", "queued"]
        server.post(f"/v1/executions/{id_of(third)}/cancel").ok(202)
        # Urgent as it is, the second one's agent is busy: the free place is the fourth's.
        assert fourth.collect()[-1].data["content"] == "echo: for the third place"
        assert status_of(server, second) == "queued"
        provider.release()
        assert second.collect()[-1].data["content"] == "echo: behind the first"
        first.collect()

    def test_a_greater_limit_counts_at_once(self, server_with_provider, provider):
        """AC-176"""
        server = server_with_provider
        agent = limited(server)
        first = held(server, provider, agent)
        waiting = [server.stream(HELD, agent=agent) for _ in range(3)]
        server.patch(f"/v1/agents/{agent}", {"max_concurrent_runs": 3}).ok(200)
        provider.wait(requests=3)
        assert [status_of(server, s) for s in waiting] == ["running", "running", "queued"]
        server.patch(f"/v1/agents/{agent}", {"max_concurrent_runs": 0}).ok(200)
        provider.wait(requests=4)
        server.patch(f"/v1/agents/{agent}", {"max_concurrent_runs": 1}).ok(200)
        late = server.stream("late", agent=agent)
        assert status_of(server, late) == "queued"
        provider.release()
        assert late.collect()[-1].data["content"] == "echo: late"
        for stream in [first, *waiting]:
            stream.close()

    def test_a_waiting_run_is_cancelled(self, server_with_provider, provider):
        """AC-175"""
        server = server_with_provider
        agent = limited(server)
        first = held(server, provider, agent)
        second, third = server.stream("second", agent=agent), server.stream("third", agent=agent)
        server.post(f"/v1/executions/{id_of(second)}/cancel").ok(202)
        assert second.collect()[-1].data["code"] == "cancelled"
        assert status_of(server, first) == "running" and status_of(server, third) == "queued"
        provider.release()
        assert third.collect()[-1].data["content"] == "echo: third"
        assert asked(provider) == [HELD, "third"]
        first.close()

    def test_a_paused_agent_blocks_what_waits(self, server_with_provider, provider):
        """AC-175: decided again when the turn comes; the next one is not held up."""
        server = server_with_provider
        agent = limited(server)
        first = held(server, provider, agent)
        second = server.stream("second", agent=agent)
        server.post(f"/v1/agents/{agent}/pause").ok(200)
        provider.release()
        assert second.collect()[-1].data["code"] == "agent_not_active"
        assert status_of(server, second) == "failed" and asked(provider) == [HELD]
        first.close()

    def test_session_order_and_places(self, server_with_provider, provider):
        """AC-179: what waits in a session comes in its order, whatever its priority."""
        server = server_with_provider
        agent = limited(server)
        first = held(server, provider, agent)
        session = first.headers["x-session-id"]
        rest = [server.stream("one", session_id=session, priority="low"), server.stream("two", session_id=session, priority="urgent"),
                server.stream("another session", agent=agent)]
        provider.release()
        assert all(s.collect()[-1].event == "streaming:complete" for s in rest)
        assert asked(provider) == [HELD, "another session", "one", "two"]
        first.close()


class TestPriorities:
    def test_the_highest_first_then_the_oldest(self, server_with_provider, provider):
        """AC-179"""
        server = server_with_provider
        agent = limited(server)
        first = held(server, provider, agent)
        words = ["low", "high", "medium", "urgent", "high", "LOW", "Urgent"]
        streams = [server.stream(f"{n} {word}", agent=agent, priority=word) for n, word in enumerate(words)]
        assert server.execution(id_of(streams[0]))["metadata"]["priority"] == "low"
        provider.release()
        assert all(s.collect()[-1].event == "streaming:complete" for s in streams)
        assert asked(provider)[1:] == ["3 urgent", "6 Urgent", "1 high", "4 high", "2 medium", "0 low", "5 LOW"]
        first.close()

    def test_waiting_raises(self, server_with_provider, provider):
        """AC-179: half a minute counts as one step, so that nobody waits for ever."""
        server = server_with_provider
        agent = limited(server)
        first = held(server, provider, agent)
        old = server.stream("old and low", agent=agent, priority="low")
        new = server.stream("new and high", agent=agent, priority="high")
        with server.store() as store:
            store.execute("UPDATE run_queue SET queued_at = queued_at - 61000000 WHERE priority = 1")
        provider.release()
        assert old.collect()[-1].data["content"] == "echo: old and low"
        new.collect()
        assert asked(provider)[1:] == ["old and low", "new and high"]
        first.close()

    @pytest.mark.parametrize("body, status, code", [
        ({"priority": "panic"}, 422, "invalid"), ({"after": "x"}, 422, "invalid"), ({"after": ["x"]}, 422, "dependency_unknown"),
        ({"after": [7]}, 422, "dependency_unknown"), ({"after": [NOBODY]}, 422, "dependency_unknown"),
        ({"after": [NOBODY] * 17}, 422, "invalid"), ({"parent_execution_id": "x"}, 422, "invalid"),
        ({"parent_execution_id": NOBODY}, 422, "invalid")])
    def test_what_is_refused(self, shared_server, body, status, code):
        reply = shared_server.post("/v1/chat", {"message": "x", **body})
        assert (reply.status, reply.code) == (status, code), reply.text
        assert reply.body["errors"][0]["pointer"] == "/" + next(iter(body))


class TestAfter:
    def test_in_the_order_asked_for(self, server_with_provider, provider):
        """AC-179"""
        server = server_with_provider
        first = held(server, provider, None)
        second = server.stream("second", after=[id_of(first)])
        third = server.stream("third", after=[id_of(first), id_of(second), id_of(first)])
        assert [status_of(server, s) for s in (second, third)] == ["queued", "queued"]
        assert server.execution(id_of(third))["metadata"]["after"] == [id_of(first), id_of(second)]
        provider.release()
        assert third.collect()[-1].data["content"] == "echo: third"
        assert asked(provider) == [HELD, "second", "third"]
        done = server.chat("done already", after=[id_of(second)]).ok(200)
        assert done["success"] is True and first.collect() and second.collect()

    def test_what_did_not_complete(self, server_with_provider, provider):
        """AC-177, AC-175: all that wait for it end, one after the other."""
        server = server_with_provider
        first = held(server, provider, None)
        second = server.stream("second", after=[id_of(first)])
        third = server.stream("third", after=[id_of(second)])
        beside = server.stream("beside", session_id=third.headers["x-session-id"])
        server.post(f"/v1/executions/{id_of(first)}/cancel").ok(202)
        for stream in (second, third):
            assert stream.collect()[-1].data["code"] == "dependency_failed"
            run = server.execution(id_of(stream))
            assert (run["status"], run["error_code"]) == ("cancelled", "dependency_failed")
        assert beside.collect()[-1].data["content"] == "echo: beside"
        failed = server.chat(FAILS)
        late = server.chat("late", after=[failed.body["execution_id"]])
        assert late.status == 409 and late.code == "dependency_failed"
        assert server.execution(late.body["execution_id"])["status"] == "cancelled"
        assert [a for a in asked(provider) if a in ("second", "third", "late")] == []

    def test_whose_runs(self, server_with_provider, provider):
        server = server_with_provider
        first = held(server, provider, None)
        stranger = server.second_user()
        refused = stranger.chat("x", after=[id_of(first)])
        assert (refused.status, refused.code) == (422, "dependency_unknown")
        refused = stranger.chat("x", parent_execution_id=id_of(first))
        assert refused.status == 422
        provider.release()
        first.collect()

    def test_at_most_so_many_wait_for_one(self, server_with_provider, provider):
        server = server_with_provider
        first = held(server, provider, None)
        with ThreadPoolExecutor(8) as pool:
            streams = list(pool.map(lambda n: server.stream(f"n{n}", after=[id_of(first)]), range(64)))
        assert server.chat("one too many", after=[id_of(first)]).status == 503
        provider.release()
        assert all(s.collect()[-1].event == "streaming:complete" for s in streams)
        first.collect()

    def test_over_websocket(self, server_with_provider, provider):
        server = server_with_provider
        first = held(server, provider, None)
        with server.ws() as socket:
            answer = socket.ask({"type": "chat", "message": "over ws", "after": [id_of(first)], "priority": "high"})
            assert answer["queued"] is True
            metadata = server.execution(answer["execution_id"])["metadata"]
            assert (metadata["priority"], metadata["after"]) == ("high", [id_of(first)])
            wrong = socket.ask({"type": "chat", "message": "x", "after": [NOBODY]})
            assert wrong["code"] == "dependency_unknown"
            assert socket.ask({"type": "chat", "message": "x", "priority": "panic"})["code"] == "invalid"
            child = socket.ask({"type": "chat", "message": "child", "parent_execution_id": id_of(first)})
            assert server.execution(child["execution_id"])["metadata"]["depth"] == 1
            provider.release()
            last = [m for m in socket.until(lambda m: m["type"] == "streaming:complete" and m["content"] == "echo: over ws")]
        assert last and first.collect()


class TestKilled:
    @pytest.mark.parametrize("kill", [True, False])
    def test_the_queue_goes_on(self, make_server_with_provider, provider, kill):
        """AC-179, AC-175: in order, each once; what had begun is interrupted, and what waited for it ends."""
        server = make_server_with_provider(env={"GUILD_SERVER_DRAIN": "0.2"})
        agent = limited(server)
        first = held(server, provider, agent)
        waiting = [server.stream(word, agent=agent, priority=word) for word in ("low", "medium", "high")]
        lost = server.stream("lost", after=[id_of(first)])
        chained = server.stream("chained", after=[id_of(waiting[0])])
        server.restart(kill=kill)
        statuses = [server.ended(id_of(s), "completed", "interrupted", "cancelled")["status"] for s in (first, *waiting, lost, chained)]
        assert statuses == ["interrupted", "completed", "completed", "completed", "cancelled", "completed"]
        assert server.execution(id_of(lost))["error_code"] == "dependency_failed"
        assert asked(provider) == [HELD, "high", "medium", "low", "chained"]
        assert server.metrics()["guild_executions_queued"] == 0
        assert server.chat("on", agent=agent).ok(200)["success"] is True
        with server.store() as store:
            assert store.execute("SELECT count(*) FROM run_queue").fetchone() == (0,)
            assert store.execute("SELECT count(*) FROM run_after").fetchone() == (0,)


class TestDelegation:
    def test_depth(self, server_with_provider, provider):
        """Five below one another, no more; said in the run's metadata, and in the order of the decision."""
        server = server_with_provider
        chain = [held(server, provider, None)]
        for depth in range(1, 6):
            chain.append(held(server, provider, None, parent_execution_id=id_of(chain[-1])))
            metadata = server.execution(id_of(chain[-1]))["metadata"]
            assert (metadata["parent_execution_id"], metadata["depth"]) == (id_of(chain[-2]), depth)
        refused = server.chat("too deep", parent_execution_id=id_of(chain[-1]))
        assert (refused.status, refused.code) == (403, "recursion_limit")
        assert refused.body["audit_id"] and refused.body["execution_id"] is None and "blocked" in refused.body["error"]
        student = server.agent("Student", "student")["id"]
        refused = server.chat("too deep", agent=student, parent_execution_id=id_of(chain[-1]))
        assert refused.code == "governance_blocked", "maturity comes before depth"
        provider.release()
        over = [s.collect()[-1].data["content"] for s in chain]
        assert over == ["ab"] * 6
        refused = server.chat("its parent is over", parent_execution_id=id_of(chain[0]))
        assert refused.status == 422 and refused.body["errors"][0]["pointer"] == "/parent_execution_id"

    def test_nobody_waits_for_who_waits_for_him(self, server_with_provider, provider):
        """AC-177"""
        server = server_with_provider
        agent = limited(server)
        parent = held(server, provider, agent)
        inner = {"agent": agent, "parent_execution_id": id_of(parent)}
        assert server.chat("in its parent's place", **inner).ok(200)["response"] == "echo: in its parent's place"
        refused = server.chat("x", after=[id_of(parent)], **inner)
        assert (refused.status, refused.code) == (422, "dependency_cycle") and refused.body["errors"][0]["pointer"] == "/after"
        refused = server.chat("x", session_id=parent.headers["x-session-id"], **inner)
        assert (refused.status, refused.code) == (422, "dependency_cycle")
        busy = server.chat("x", session_id=parent.headers["x-session-id"], on_busy="reject", **inner)
        assert busy.code == "session_busy"
        outside = server.stream("outside", agent=agent)
        assert status_of(server, outside) == "queued"
        provider.release()
        outside.collect()
        parent.collect()


class TestTwoWriters:
    """Of one row: who is second hears how it stands now, and has changed nothing."""

    @pytest.fixture(scope="class")
    def session(self, shared_server):
        return shared_server.post("/v1/sessions", {"title": "first"}).ok(201)

    def writers(self, server, session):
        agent = server.agent("Written twice", "intern")
        return [("PATCH", f"/v1/agents/{agent['id']}", {"description": "{}"}), ("PATCH", f"/v1/sessions/{session['id']}", {"title": "{}"}),
                ("PUT", f"/v1/sessions/{session['id']}/agent", {"agent": agent["id"]})]

    def test_the_second_is_told_the_revision(self, shared_server, session):
        for method, path, body in self.writers(shared_server, session):
            thing = shared_server.get(path.removesuffix("/agent")).ok(200)
            with ThreadPoolExecutor(4) as pool:
                replies = list(pool.map(lambda n: shared_server.request(
                    method, path, {k: v.format(n) for k, v in body.items()}, headers={"If-Match": f'"{thing["revision"]}"'}), range(4)))
            assert sorted(r.status for r in replies) == [200, 409, 409, 409], path
            now = shared_server.get(path.removesuffix("/agent")).ok(200)
            assert now["revision"] == thing["revision"] + 1
            assert {(r.code, r.body["revision"]) for r in replies if r.status == 409} == {("conflict", now["revision"])}
            assert [r.body for r in replies if r.status == 200] == [now]
            again = shared_server.request(method, path, body, headers={"If-Match": str(now["revision"])})
            assert again.status == 200 and again.body["revision"] == now["revision"] + 1
            wrong = shared_server.request(method, path, body, headers={"If-Match": "new"})
            assert wrong.status == 422 and wrong.body["errors"][0]["pointer"] == "If-Match"
            assert shared_server.request(method, path, body, headers={"If-Match": "*"}).status == 200


class TestOtherDoors:
    def test_command_line(self, server_with_provider, provider):
        server = server_with_provider
        first, second = held(server, provider, None), server.chat("done").ok(200)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(server.cli, "chat", "--after", f"{id_of(first)}, {second['execution_id']}", "--priority", "urgent", "after you")
            run = wait_for(lambda: server.items("/v1/executions?status=queued"), "the run to wait")[0]
            assert run["metadata"]["priority"] == "urgent" and run["metadata"]["after"] == [id_of(first), second["execution_id"]]
            provider.release()
            done = waiting.result(30)
        assert done.returncode == 0 and "echo: after you" in done.stdout
        refused = server.cli("chat", "--after", NOBODY, "x")
        assert refused.returncode != 0 and "wait for" in refused.stderr
        assert server.cli("chat", "--priority", "panic", "x").returncode != 0
        first.collect()

    def test_python(self, tmp_path):
        db = guild.open(str(tmp_path / "data"))
        try:
            first = guild.execute_agent_chat_sync(None, "hello", "ada", db=db)
            second = guild.execute_agent_chat_sync(None, "again", "ada", db=db, after=[first.execution_id], priority="high")
            assert second.success and db.ok("GET", f"/v1/executions/{second.execution_id}")["metadata"]["priority"] == "high"
            lost = guild.execute_agent_chat_sync(None, "again", "ada", db=db, after=[NOBODY])
            assert (lost.success, lost.code) == (False, "dependency_unknown")
            lost = guild.execute_agent_chat_sync(None, "again", "ada", db=db, parent_execution_id=first.execution_id)
            assert (lost.success, lost.code) == (False, "invalid")
        finally:
            db.close()
