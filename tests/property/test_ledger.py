"""Money under random work: runs that complete, break off, are cancelled or turned down, messages that wait, budgets that change, and kill -9 in
between. Whatever happened, the ledger adds up: balances, spending and the runs themselves say the same, and nothing stays reserved."""
import json
import pathlib
import shutil
import tempfile

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from support.harness import Server, wait_for
from support.provider import Provider

CATALOGUE = """provider,model,in,out,cached,context,max_output,quality,capabilities,source,date
openai,test-model,3000000,7000000,1000000,8192,50,50,chat,https://example.com,2026-01-01
"""
ENDED = ("completed", "failed", "cancelled", "timed_out", "interrupted")


class Ledger(RuleBasedStateMachine):
    provider = None

    @initialize()
    def begin(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="guild_ledger_"))
        (self.directory / "models.csv").write_text(CATALOGUE)
        self.provider.reset()
        self.server = Server(self.directory / "data", env={
            "GUILD_PROVIDERS_CATALOGUE": str(self.directory / "models.csv"), "GUILD_OPENAI_BASE_URL": self.provider.base_url,
            "GUILD_OPENAI_MODEL": "test-model", "OPENAI_API_KEY": "key-of-the-tests-0001", "GUILD_STORE_TOKEN_BATCH": "0.001"})
        self.agent = self.server.agent("Payer", "autonomous")["id"]
        self.budget(10**9, "warn")
        self.streams, self.limit = [], None

    def budget(self, limit, mode):
        for scope in ("workspace", f"agent:{self.agent}"):
            self.server.put(f"/v1/budgets/{scope}", {"limit_micro": limit, "mode": mode}).ok(200)

    def say(self, behaviour, **members):
        return self.server.chat("script:" + json.dumps(behaviour), agent=self.agent, **members)

    @rule(prompt=st.integers(0, 500), made=st.integers(0, 50), cached=st.integers(0, 600))
    def completes(self, prompt, made, cached):
        usage = {"prompt_tokens": prompt, "completion_tokens": made, "prompt_tokens_details": {"cached_tokens": cached}}
        reply = self.say({"deltas": ["a"], "usage": usage})
        if reply.status == 200:
            cached = min(cached, prompt)
            assert reply.body["cost_micro"] == 3 * (prompt - cached) + cached + 7 * made
        else:
            assert reply.code == "budget_exceeded" and self.limit is not None

    @rule(behaviour=st.sampled_from([{"deltas": ["ab", "cd"], "usage": None}, {"deltas": ["abcd"] * 3, "cut_after": 2}, {"status": 400},
                                     {"deltas": ["x"], "no_done": True}, {"deltas": ["x"] * 3, "in_band_error_after": 1}]))
    def ends_somehow(self, behaviour):
        assert self.say(behaviour).status in (200, 402, 502)

    @rule(session=st.booleans())
    def begins(self, session):
        """A run that is held, or in the session of the last one a message that waits behind it."""
        members = {"session_id": self.streams[-1][1]} if session and self.streams else {}
        stream = self.server.stream("script:" + json.dumps({"deltas": ["abcd"] * 2, "hold_after": 1}), agent=self.agent, **members)
        if stream.status != 200:
            stream.close()
            return
        session_id = members.get("session_id") or stream.next().data["session_id"]
        self.streams.append((stream, session_id))

    @rule(which=st.integers(0, 7))
    def cancels(self, which):
        rows = [row for row in self.server.items("/v1/executions") if row["status"] not in ENDED]
        if rows:
            row = rows[which % len(rows)]
            self.server.post(f"/v1/executions/{row['id']}/cancel").ok()
            self.server.ended(row["id"])

    @rule(limit=st.sampled_from([None, 0, 500, 5000]))
    def limits(self, limit):
        self.limit = limit
        self.budget(limit, "hard")

    @rule()
    def dies(self):
        self.server.restart(kill=True)
        self.streams.clear()

    @rule()
    def adds_up(self):
        """At any time, with runs under way."""
        done = self.server.cli("verify", "--json")
        assert done.returncode == 0, done.stdout

    def teardown(self):
        if not hasattr(self, "server"):
            return
        try:
            self.settle()
        finally:
            for stream, _ in self.streams:
                stream.close()
            self.server.finish()
            shutil.rmtree(self.directory)

    def settle(self):
        def over():
            self.provider.release()
            return all(row["status"] in ENDED for row in self.server.items("/v1/executions"))
        wait_for(over, "the end of all runs", timeout=30)
        self.adds_up()
        cost = sum(row["cost_micro"] for row in self.server.items("/v1/executions"))
        assert self.server.get("/v1/spend").ok(200)["total"]["cost_micro"] == cost
        assert {(row["settled_micro"], row["reserved_micro"]) for row in self.server.items("/v1/budgets")} == {(cost, 0)}


def test_the_ledger_adds_up():
    """W: no drift over random runs, cancels and crashes; more examples in make check."""
    with Provider() as provider:
        Ledger.provider = provider
        run_state_machine_as_test(Ledger, settings=settings(max_examples=max(3, settings.default.max_examples // 40), stateful_step_count=12,
                                                            deadline=None, print_blob=True))
