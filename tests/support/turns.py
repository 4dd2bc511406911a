"""Runs that wait for their turn: a model of who may begin, and a machine that holds a server against it.

The agents are programs of the test's own, so each run begins visibly (chat_request) and ends when the test says so. Two sockets do all of it: the
user's, which starts and cancels runs and hears their results, and one of each program. The server has one loop, so that what follows from one
end (dependants that are cancelled) comes in the model's order.
"""
import contextlib
import time
from collections import deque

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

PRIORITIES = ["low", "medium", "high", "urgent"]
FINAL = ("completed", "failed", "cancelled")
LEGAL = {("queued", "running"), ("queued", "cancelled"), ("running", "completed"), ("running", "failed"), ("running", "cancelled")}

# What a provider may do with a run, and where that is an answer.
outcomes_ = st.sampled_from([
    {}, {"deltas": []}, {"deltas": ["a", "b"]}, {"usage": None}, {"usage": {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}},
    {"non_stream": True}, {"status": 500}, {"status": 429}, {"status": 401}, {"cut_after": 1}, {"reset": True, "cut_after": 1}, {"no_done": True},
    {"garbage_after": 1}, {"in_band_error_after": 1}])
SOUND = [{}, {"deltas": []}, {"deltas": ["a", "b"]}, {"usage": None}]


class Run:
    """One run, as the model sees it."""

    def __init__(self, id, agent, session, rank, after, child):
        self.id, self.agent, self.session, self.rank, self.after, self.child = id, agent, session, rank, after, child
        self.needs, self.above, self.seen = list(after), None, ["queued"]

    def __repr__(self):
        return f"<{self.number} {self.status}>"


class Schedule:
    """Who begins when. A run is {agent, session, rank, after, child, status, ready}; its number says when it came."""

    def __init__(self, agents):
        self.limits, self.runs, self.doomed = [0] * agents, [], deque()

    def counted(self, agent, status):
        return sum(r.agent == agent and r.status == status for r in self.runs)

    def full(self, agent):
        return 0 < self.limits[agent] <= self.counted(agent, "running")

    def room(self, run):
        others = any(r.ready and r.agent == run.agent for r in self.runs)
        return run.child or not (self.full(run.agent) or others)

    def open_in(self, session, status):
        return [r for r in self.runs if r.session == session and r.status == status]

    def add(self, run):
        behind = self.open_in(run.session, "running") + self.open_in(run.session, "queued")
        fails = any(d.status in ("failed", "cancelled") for d in run.after)
        run.after = [d for d in run.after if d.status != "completed"]
        run.number, run.ready, run.status = len(self.runs), False, "queued"
        self.runs.append(run)
        if not behind:
            self.consider(run)
        if fails:
            self.end(run, "cancelled")

    def consider(self, run):
        if run.status == "queued" and not run.after:
            begins = not run.ready and self.room(run)
            run.status, run.ready = ("running", False) if begins else ("queued", True)

    def head(self, session):
        waiting = self.open_in(session, "queued")
        if waiting and not self.open_in(session, "running"):
            self.consider(waiting[0])

    def fill(self):
        while ready := [r for r in self.runs if r.ready and not self.full(r.agent)]:
            first = min(ready, key=lambda r: (-r.rank, r.number))
            first.status, first.ready = "running", False

    def end(self, run, status):
        run.status, run.ready = status, False
        for other in [r for r in self.runs if r.status == "queued" and run in r.after]:
            if status == "completed":
                other.after.remove(run)
                self.head(other.session)
            else:
                self.doomed.append(other)
        self.head(run.session)
        self.fill()
        while self.doomed:
            other = self.doomed.popleft()
            if other.status == "queued":
                self.end(other, "cancelled")


class Floor(RuleBasedStateMachine):
    """Some agents with limits, some sessions, and runs that depend on each other; `place` is the running server with its two agents."""

    place = None
    runs = Bundle("runs")

    @initialize(limits=st.lists(st.integers(0, 2), min_size=2, max_size=2))
    def begin(self, limits):
        self.model, self.sessions, self.at = Schedule(len(limits)), [], {}
        for agent, limit in enumerate(limits):
            self.place.lift(agent)
            self.place.limit(agent, limit)
        self.model.limits = list(limits)

    def chat(self, agent, rank, after=(), session=None, parent=None):
        """The run, or the code of its refusal."""
        answer = self.place.chat(agent, rank, [r.id for r in after], session and session["id"], parent and parent.id)
        if answer["type"] == "error":
            return answer["code"]
        session = session or {"id": answer["session_id"]}
        run = Run(answer["execution_id"], agent, session["id"], rank, list(dict.fromkeys(after)), parent is not None)
        self.model.add(run)
        self.at[run.id] = run
        self.sessions.append(session)
        return run

    @rule(target=runs, agent=st.integers(0, 1), rank=st.integers(0, 3), again=st.booleans(), data=st.data())
    def somebody_asks(self, agent, rank, again, data):
        if len(self.model.runs) > 14:
            return multiple()
        after = data.draw(st.lists(st.sampled_from(self.model.runs), max_size=3)) if self.model.runs else []
        session = data.draw(st.sampled_from(self.sessions)) if again and self.sessions else None
        return self.chat(agent, rank, after, session)

    @rule(target=runs, agent=st.integers(0, 1), above=runs)
    def a_run_asks(self, agent, above):
        depth, before = self.depth(above) + 1, above.status
        made = self.chat(agent, 1, parent=above) if len(self.model.runs) <= 14 else None
        if made is None:
            return multiple()
        if isinstance(made, str):
            wanted = "invalid" if before != "running" else "recursion_limit" if depth > 5 else None
            assert made == wanted, (made, before, depth)
            return multiple()
        made.above = above
        return made

    def depth(self, run):
        return 1 + self.depth(run.above) if run.above else 0

    @rule(run=runs, good=st.booleans())
    def a_run_ends(self, run, good):
        if run.status == "running":
            self.place.end(run.agent, run.id, good)
            self.model.end(run, "completed" if good else "failed")

    @rule(run=consumes(runs))
    def somebody_cancels(self, run):
        answer = self.place.cancel(run.id)
        assert (answer["type"] == "ok") is (run.status not in FINAL), (answer, run.status)
        if run.status not in FINAL:
            self.model.end(run, "cancelled")

    @rule(run=runs)
    def who_would_wait_for_himself(self, run):
        """A run's own delegate may neither come after it nor behind it."""
        if run.status == "running" and self.depth(run) < 5:
            assert self.place.chat(run.agent, 1, [run.id], None, run.id)["code"] == "dependency_cycle"
            assert self.place.chat(run.agent, 1, [], run.session, run.id)["code"] == "dependency_cycle"

    @invariant()
    def all_is_as_the_model_says(self):
        if not hasattr(self, "model"):
            return
        wanted = {run.id: run.status for run in self.model.runs}
        self.place.hear(lambda now: all(now.get(id, "queued") == status for id, status in wanted.items()), wanted)
        for run in self.model.runs:
            now = self.place.now.get(run.id, "queued")
            if now != run.seen[-1]:
                run.seen.append(now)
            steps = set(zip(run.seen, run.seen[1:]))
            assert steps <= LEGAL | {("queued", "completed"), ("queued", "failed")}, run.seen
            if now in ("running", "completed", "failed"):
                assert all(d.status == "completed" for d in run.needs), "AC-179"
        for agent, limit in enumerate(self.model.limits):
            outside = [r for r in self.model.runs if r.agent == agent and r.status == "running" and not r.child]
            assert limit == 0 or len(outside) <= limit, "AC-176"

    def teardown(self):
        if hasattr(self, "model"):
            for run in self.model.runs:
                if run.status not in FINAL:
                    assert self.place.cancel(run.id)["type"] == "ok"
                    self.model.end(run, "cancelled")
            self.all_is_as_the_model_says()
            self.place.check_over([run.id for run in self.model.runs])


class Place:
    """A server, a user's socket, and two programs that are agents."""

    def __init__(self, server, stack):
        self.server, self.now, self.ended, self.begun = server, {}, {}, set()
        self.agents = [server.agent(f"Floor {n}", "autonomous", kind="external")["id"] for n in range(2)]
        self.user = stack.enter_context(server.ws())
        self.programs = []
        for agent in self.agents:
            token = server.post(f"/v1/agents/{agent}/tokens", {}).ok(201)["token"]
            self.programs.append(stack.enter_context(server.client(token).ws()))
        self.refs, self.limits = {}, [0, 0]

    def lift(self, agent):
        """Runs that it failed have cost it confidence, and at last its level."""
        path = f"/v1/agents/{self.agents[agent]}"
        while self.server.get(path).ok(200)["maturity"] != "autonomous":
            self.server.post(f"{path}/promote", {"override": True, "reason": "a test"}).ok(200)

    def limit(self, agent, most):
        if self.limits[agent] != most:
            self.server.patch(f"/v1/agents/{self.agents[agent]}", {"max_concurrent_runs": most}).ok(200)
            self.limits[agent] = most

    def chat(self, agent, rank, after, session, parent):
        message = {"type": "chat", "agent_id": self.agents[agent], "message": "x", "stream": False, "priority": PRIORITIES[rank]}
        message.update({"after": after} if after else {}, **({"session_id": session} if session else {}),
                       **({"parent_execution_id": parent} if parent else {}))
        answer = self.user.ask(message)
        if answer["type"] == "ok":
            self.refs[answer["ref"]] = answer["execution_id"]
        return answer

    def cancel(self, run):
        return self.user.ask({"type": "cancel", "execution_id": run})

    def end(self, agent, run, good):
        program = self.programs[agent]
        if good:
            program.send({"type": "chat_delta", "execution_id": run, "delta": "done"})
        answer = program.ask({"type": "chat_end", "execution_id": run, **({} if good else {"error": "no"})})
        assert answer["type"] == "ok", answer

    def take(self, message):
        if message["type"] == "chat_request":
            run = message["execution_id"]
            assert run not in self.begun, f"{run} began twice"
            self.begun.add(run)
            self.now.setdefault(run, "running")
        elif message["type"] == "result":
            run = self.refs.pop(message["ref"])
            code = message.get("code")
            self.now[run] = "completed" if message["success"] else "cancelled" if code in ("cancelled", "dependency_failed") else "failed"
            self.ended[run] = message

    def hear(self, enough, wanted):
        """Takes what comes until enough(now); then whatever had been sent by then, which has to leave it so."""
        until = time.monotonic() + 30
        while time.monotonic() < until:
            for socket in (self.user, *self.programs):
                for message in socket.drain():
                    self.take(message)
            if enough(self.now):
                return
            time.sleep(0.005)  # a socket may say so much in a second
        raise AssertionError({run: (status, self.now.get(run, "queued")) for run, status in wanted.items()})

    def check_over(self, runs):
        """What the API says of them in the end."""
        if not runs:
            return
        for row in self.server.get(f"/v1/executions?limit={len(runs)}").ok(200)["items"]:
            assert row["id"] in runs and row["status"] == self.now[row["id"]]
            result = self.ended[row["id"]]
            assert row["duration_ms"] >= 1 and row["end_time"] >= row["started_at"]
            assert (row["error_code"], bool(row["error_message"])) == ((None, False) if result["success"] else (result["code"], True))
        for run in runs:
            self.now.pop(run, None)
            self.ended.pop(run, None)


@contextlib.contextmanager
def floor(make_server):
    with contextlib.ExitStack() as stack:
        yield Place(make_server(env={"GUILD_SERVER_LOOPS": "1", "GUILD_HTTP_RATE": "0"}), stack)
