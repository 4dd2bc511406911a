"""Money: what runs cost however they end, budgets that warn and budgets that refuse, alerts, spending, the catalogue. AC-57 in full."""
import concurrent.futures
import json
import signal
import sqlite3
from datetime import datetime, timezone

import guild
import pytest

from support.harness import wait_for

# One micro-unit a token of input, two of output: what a run costs can be counted by hand.
CATALOGUE = """provider,model,in,out,cached,context,max_output,quality,capabilities,source,date
openai,test-model,1000000,2000000,500000,8192,100,50,chat,https://example.com,2026-01-01
"""
HI = "hi"                   # an estimated 5 tokens: a quarter of each character, rounded up, and 4
PROMPT = 5 + 18             # with Chat Assistant's instructions
RESERVE = PROMPT + 2 * 100  # with an answer as long as the model makes it
OWN = 5 + 2 * 100           # of an agent without instructions
USAGE = {"prompt_tokens": 20, "completion_tokens": 30, "total_tokens": 50}
COST = 20 + 2 * 30


@pytest.fixture
def priced(make_server_with_provider, tmp_path):
    """A server whose only model has a price."""
    def make(text=CATALOGUE, env=None, **options):
        file = tmp_path / "models.csv"
        file.write_text(text)
        return make_server_with_provider(env={"GUILD_PROVIDERS_CATALOGUE": str(file), **(env or {})}, **options)
    return make


@pytest.fixture
def server(priced):
    return priced()


def month():
    return datetime.now(timezone.utc).strftime("%Y-%m")


def budget(server, scope="workspace"):
    return next(row for row in server.items("/v1/budgets") if row["scope"] == scope)


def put(server, scope, limit, mode="warn", **more):
    return server.put(f"/v1/budgets/{scope}", {"limit_micro": limit, "mode": mode, **more})


def spent(server):
    return server.get("/v1/spend").ok(200)["total"]["cost_micro"]


def sound(server):
    done = server.cli("verify", "--json")
    assert done.returncode == 0, done.stdout
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["ledger"]["state"] == "good"


class TestCosts:
    def test_a_completed_run_costs_the_same_wherever_it_is_told(self, server, provider):
        provider.script({"deltas": ["one ", "two"], "usage": USAGE})
        with server.stream(HI) as stream:
            events = list(stream)
        complete = next(event.data for event in events if event.event == "streaming:complete")
        result = next(event.data for event in events if event.event == "result")
        run = server.execution(result["execution_id"])
        for told in (complete, result, run):
            assert (told["cost_micro"], told["cost_unknown"]) == (COST, False)
        entry = next(row for row in server.items("/v1/audit") if row["execution_id"] == run["id"] and row["outcome"] == "completed")
        assert entry["change"] == {"cost_micro": COST, "cost_unknown": False}
        spend = server.get("/v1/spend").ok(200)
        sums = {"cost_micro": COST, "cost_unknown_micro": 0, "runs": 1, "tokens_in": 20, "tokens_out": 30}
        assert spend["total"] == sums and spend["month"] == month() and spend["time_zone"] == "UTC"
        assert spend["days"] == [{"day": run["started_at"][:10], **sums}]
        assert spend["agents"] == [{"agent_id": run["agent_id"], "name": run["agent_name"], **sums}]
        assert [row["user_id"] for row in spend["users"]] == [run["user_id"]]
        assert spend["models"] == [{"provider": "openai", "model": "test-model", **sums}]
        sound(server)

    def test_cached_input_is_cheaper(self, server, provider):
        provider.script({"usage": {**USAGE, "prompt_tokens_details": {"cached_tokens": 12}}})
        assert server.chat(HI).ok(200)["cost_micro"] == 8 + 6 + 60

    def test_no_more_tokens_are_asked_for_than_the_model_makes(self, server, provider):
        server.chat(HI).ok(200)
        assert provider.log()[0]["body"]["max_tokens"] == 100

    def test_runs_that_do_not_complete_are_billed_for_what_was_used(self, server, provider):
        agent = put(server, "workspace", 10**9).ok(200)
        assert agent["left_micro"] == 10**9
        provider.script({"deltas": ["abcd"] * 3, "cut_after": 2}, {"deltas": ["abcd"] * 9, "hold_after": 2}, {"status": 500}, {"status": 500},
                        {"status": 500}, {"status": 500})
        assert server.chat(HI).status == 502  # two deltas of a token each had come
        assert spent(server) == PROMPT + 2 * 2
        with server.stream(HI) as stream:
            first = stream.next()
            provider.wait(deltas=4)
            wait_for(lambda: server.get(f"/v1/executions/{first.data['execution_id']}").ok(200)["status"] == "running", "the run")
            server.post(f"/v1/executions/{first.data['execution_id']}/cancel").ok()
            stream.collect()
        row = server.ended(first.data["execution_id"], "cancelled")
        assert row["cost_micro"] == PROMPT + 2 * row["tokens"]["out"] and row["tokens"]["estimated"]
        before = spent(server)
        assert server.chat(HI).status == 502  # turned down: nobody is paid
        assert spent(server) == before == budget(server)["settled_micro"]
        assert budget(server)["reserved_micro"] == 0
        provider.release()
        sound(server)

    def test_a_crash_is_settled_by_what_was_durable(self, server, provider):
        put(server, "workspace", 10**9).ok(200)
        provider.script({"deltas": ["abcd"] * 4, "hold_after": 3})
        with server.stream(HI) as stream:
            run = stream.next().data["execution_id"]
            provider.wait(deltas=3)
            wait_for(lambda: budget(server)["reserved_micro"] == RESERVE, "the reservation")
            wait_for(lambda: server.metrics()["guild_writer_jobs_total"] >= 4, "the tokens to be durable")
            server.restart(kill=True)
        row = server.ended(run, "interrupted")
        assert row["cost_micro"] == PROMPT + 2 * row["tokens"]["out"] > 0
        assert (budget(server)["settled_micro"], budget(server)["reserved_micro"]) == (row["cost_micro"], 0)
        assert spent(server) == row["cost_micro"]
        provider.release()
        sound(server)

    def test_a_message_cancelled_while_it_waits_costs_nothing(self, server, provider):
        put(server, "workspace", 10**9).ok(200)
        provider.script({"hold_after": 0}, {})
        with server.stream(HI) as first:
            begun = first.next().data
            waiting = server.stream(HI, session_id=begun["session_id"])
            wait_for(lambda: budget(server)["reserved_micro"] > RESERVE, "both reservations")
            queued = next(row for row in server.items("/v1/executions") if row["status"] == "queued")
            server.post(f"/v1/executions/{queued['id']}/cancel").ok()
            waiting.collect()
            waiting.close()
            assert server.ended(queued["id"], "cancelled")["cost_micro"] == 0
            assert budget(server)["reserved_micro"] == RESERVE
            provider.release()
            first.collect()
        sound(server)

    def test_what_has_no_price_is_counted_at_the_pessimistic_one(self, priced, provider):
        server = priced(CATALOGUE.replace("test-model", "another"), env={"GUILD_BUDGETS_UNKNOWN_PRICE_IN": "3000000",
                                                                        "GUILD_BUDGETS_UNKNOWN_PRICE_OUT": "7000000"})
        provider.script({"usage": USAGE})
        result = server.chat(HI).ok(200)
        assert (result["cost_micro"], result["cost_unknown"]) == (3 * 20 + 7 * 30, True)
        assert server.execution(result["execution_id"])["cost_unknown"] is True
        total = server.get("/v1/spend").ok(200)["total"]
        assert total["cost_unknown_micro"] == total["cost_micro"] == 270

    def test_the_builtin_responder_is_free(self, make_server):
        server = make_server()
        result = server.chat(HI).ok(200)
        assert (result["cost_micro"], result["cost_unknown"]) == (0, False)
        assert server.get("/v1/spend").ok(200)["days"] == []


class TestBudgets:
    def test_hard_refuses_before_the_provider_is_asked(self, server, provider):
        agent = server.agent("Payer", "autonomous")
        assert put(server, f"agent:{agent['handle']}", OWN - 1, "hard").ok(200)["limit_micro"] == OWN - 1
        reply = server.chat(HI, agent=agent["id"])
        assert (reply.status, reply.code, reply.body["execution_id"]) == (402, "budget_exceeded", None)
        assert "blocked" in reply.body["error"] and reply.body["rule_id"].startswith("budget_exceeded:")
        entry = next(row for row in server.items("/v1/audit") if row["id"] == reply.body["audit_id"])
        assert (entry["outcome"], entry["code"]) == ("failed", "budget_exceeded")
        assert server.items(f"/v1/executions?agent={agent['id']}") == [] and provider.log() == []
        # With room for one run it goes, and counts from the moment it is recorded.
        put(server, f"agent:{agent['id']}", OWN, "hard").ok(200)
        provider.script({"hold_after": 0, "usage": USAGE})
        with server.stream(HI, agent=agent["id"]) as stream:
            stream.next()
            decision = server.post(f"/v1/agents/{agent['id']}/decide", {"action": "chat"}).ok(200)
            assert (decision["allowed"], decision["status_code"]) == (False, "budget_exceeded")
            assert server.chat(HI, agent=agent["id"]).status == 402
            assert server.chat(HI).status == 200  # others are not touched
            provider.release()
            stream.collect()
        assert server.get(f"/v1/agents/{agent['id']}").ok(200)["budget"] == {
            "limit_micro": OWN, "mode": "hard", "month": month(), "settled_micro": COST, "reserved_micro": 0}
        decision = server.post(f"/v1/agents/{agent['id']}/decide", {"action": "chat"}).ok(200)
        assert decision["allowed"]  # something is left, though not enough for the next run
        assert server.chat(HI, agent=agent["id"]).code == "budget_exceeded"
        sound(server)

    def test_order_of_the_decision(self, server):
        agent = server.agent("Ordered", "student")
        put(server, f"agent:{agent['id']}", 0, "hard").ok(200)
        assert server.chat(HI, agent=agent["id"]).code == "governance_blocked"  # maturity comes first
        server.post(f"/v1/agents/{agent['id']}/promote", {"override": True, "reason": "test"}).ok()
        assert server.chat(HI, agent=agent["id"]).code == "budget_exceeded"
        assert server.post(f"/v1/agents/{agent['id']}/enforce", {"action": "chat", "arguments": {}}).code == "budget_exceeded"
        server.post(f"/v1/agents/{agent['id']}/pause").ok()
        assert server.chat(HI, agent=agent["id"]).code == "agent_not_active"  # and the lifecycle before both

    def test_parallel_runs_do_not_overshoot(self, server, provider):
        put(server, "workspace", 3 * RESERVE + RESERVE // 2, "hard").ok(200)
        provider.script(*[{"hold_after": 0, "usage": USAGE}] * 12)
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            replies = [pool.submit(server.chat, HI) for _ in range(12)]
            provider.wait(requests=3)
            wait_for(lambda: sum(reply.done() for reply in replies) == 9, "nine refusals")
            assert budget(server)["reserved_micro"] == 3 * RESERVE
            provider.release()
            statuses = sorted(reply.result().status for reply in replies)
        assert statuses == [200] * 3 + [402] * 9
        assert (budget(server)["settled_micro"], budget(server)["reserved_micro"]) == (3 * COST, 0)
        assert len(provider.log()) == 3
        sound(server)

    def test_each_scope_counts_its_own(self, server, provider):
        member = server.second_user()
        put(server, f"user:{member.id}", RESERVE, "hard").ok(200)
        provider.script(*[{"usage": USAGE}] * 3)
        assert member.chat(HI).status == 200
        assert member.chat(HI).code == "budget_exceeded"
        assert server.chat(HI).status == 200
        put(server, f"user:{member.id}", None, "hard").ok(200)
        assert member.chat(HI).status == 200
        assert budget(server, f"user:{member.id}")["settled_micro"] == 2 * COST
        assert budget(server, f"user:{member.id}")["limit_micro"] is None

    def test_limits_survive_a_restart(self, server, provider):
        put(server, "workspace", COST, "hard", time_zone="+05:30").ok(200)
        assert server.chat(HI).code == "budget_exceeded"
        put(server, "workspace", RESERVE, "hard").ok(200)
        provider.script({"usage": USAGE})
        assert server.chat(HI).status == 200
        server.restart(kill=True)
        row = budget(server)
        assert (row["settled_micro"], row["time_zone"], row["revision"]) == (COST, "+05:30", 2)
        assert server.chat(HI).code == "budget_exceeded"
        assert server.get("/v1/spend").ok(200)["time_zone"] == "+05:30"

    def test_changes_are_audited_with_old_and_new(self, server):
        put(server, "workspace", 100).ok(200)
        put(server, "workspace", 200, "hard").ok(200)
        changes = [row["change"] for row in server.items("/v1/audit?action=configure")]
        assert changes[0] == {"budget": "workspace", "new": {"limit_micro": 200, "mode": "hard", "time_zone": "UTC"},
                              "old": {"limit_micro": 100, "mode": "warn", "time_zone": "UTC"}}
        assert changes[1]["old"] is None

    def test_refused_input_and_people(self, server):
        member, agent = server.second_user(), server.agent("Other")
        assert put(member, "workspace", 1).status == 403
        for scope, status in (("nonsense", 422), ("user:nobody", 404), ("agent:nobody", 404)):
            assert put(server, scope, 1).status == status
        for body, pointer in (({"limit_micro": -1}, "/limit_micro"), ({"limit_micro": 10**15 + 1}, "/limit_micro"), ({"mode": "soft"}, "/mode"),
                              ({"time_zone": "Mars/Olympus"}, "/time_zone"), ({"limit": 1}, "/limit")):
            reply = server.put("/v1/budgets/workspace", body)
            assert (reply.status, reply.body["errors"][0]["pointer"]) == (422, pointer)
        assert server.put(f"/v1/budgets/agent:{agent['id']}", {"time_zone": "UTC"}).status == 422
        for query in ("tz=Mars/Olympus", "month=2026-13", "month=26-1", "by=day"):
            assert server.get(f"/v1/spend?{query}").status == 422
        put(server, "workspace", 5).ok(200)
        put(server, f"user:{member.id}", 5).ok(200)
        put(server, f"agent:{agent['id']}", 5).ok(200)
        assert len(server.items("/v1/budgets?limit=1")) == 3
        assert [row["scope"] for row in member.items("/v1/budgets")] == [f"user:{member.id}"]
        assert member.get(f"/v1/agents/{agent['id']}").ok(200)["budget"] is None

    def test_members_see_their_own_spending_alone(self, server, provider):
        member = server.second_user()
        provider.script(*[{"usage": USAGE}] * 3)
        for who in (server, member, member):
            who.chat(HI).ok(200)
        assert (spent(server), spent(member)) == (3 * COST, 2 * COST)
        assert [row["user_id"] for row in member.get("/v1/spend").ok(200)["users"]] == [member.id]


class TestWarnings:
    def test_each_threshold_is_told_once_to_those_concerned(self, server, provider):
        member, other, admin = server.second_user(), server.second_user(), server.second_user("admin")
        put(server, f"user:{member.id}", 5 * COST).ok(200)
        provider.script(*[{"usage": USAGE}] * 7)
        with member.ws() as mine, other.ws() as others, admin.ws() as admins:
            for _ in range(6):
                assert member.chat(HI).status == 200  # 120 % in the end: a warning never blocks
            told = []
            while len(told) < 2:  # 80 % after four, 100 % (and with it 90 %) after five
                event = mine.until(lambda message: message.get("type") == "event" and message["event"]["type"] == "budget_alert")[-1]
                told.append(event["event"]["data"])
            assert [(row["threshold"], row["passed"]) for row in told] == [(80, [80]), (100, [90, 100])]
            assert told[0] == {"scope": f"user:{member.id}", "id": member.id, "passed": [80], "threshold": 80, "mode": "warn", "month": month(),
                               "limit_micro": 5 * COST, "settled_micro": 4 * COST}
            admins.until(lambda message: message.get("type") == "event" and message["event"]["data"].get("threshold") == 100)
            assert not [row for row in others.drain() if row.get("type") == "event" and row["event"]["type"] == "budget_alert"]
        assert budget(server, f"user:{member.id}")["alerts"] == [80, 90, 100]
        server.restart(kill=True)
        assert server.client(member.token).chat(HI).status == 200
        assert len(server.items("/v1/audit?action=budget_alert")) == 2

    @pytest.mark.failpoints
    def test_a_check_that_cannot_be_made(self, priced, provider):
        """AC-57: under warn the run passes, under hard it is refused."""
        server = priced(env={"GUILD_FAILPOINT": "budget=err"})
        put(server, "workspace", 10**9).ok(200)
        assert server.chat(HI).status == 200
        put(server, "workspace", 10**9, "hard").ok(200)
        assert server.chat(HI).code == "budget_exceeded"
        put(server, "workspace", None, "hard").ok(200)
        assert server.chat(HI).status == 200
        assert len(provider.log()) == 2


class TestCatalogue:
    def test_it_is_listed_page_by_page(self, make_server):
        server = make_server()
        models = server.items("/v1/catalogue?limit=20")
        assert len(models) >= 60 and len({row["provider"] for row in models}) >= 8
        assert len({(row["provider"], row["model"]) for row in models}) == len(models)
        assert server.second_user("viewer").get("/v1/catalogue?limit=1").status == 200

    def test_a_wrong_file_stops_the_start_and_says_where(self, priced):
        server = priced(CATALOGUE + "openai,other,1\n", start=False)
        code, said = server.fails_to_start()
        assert code != 0 and "models.csv:3: a line has eleven members, this one has fewer" in said

    def test_sighup_takes_a_new_one_over_and_leaves_a_wrong_one(self, server, provider, tmp_path):
        file = tmp_path / "models.csv"
        provider.script(*[{"usage": USAGE}] * 2)

        def reload(text, message):
            before = len(server.log_lines(message))
            file.write_text(text)
            server.process.send_signal(signal.SIGHUP)
            wait_for(lambda: len(server.log_lines(message)) > before, message)

        reload("nonsense\n", "catalogue_refused")
        assert len(server.items("/v1/catalogue")) == 1
        reload(CATALOGUE.replace("1000000,2000000", "9000000,9000000"), "reloaded")
        wait_for(lambda: server.items("/v1/catalogue")[0]["price_in_micro"] == 9000000, "the new prices")
        assert server.chat(HI).ok(200)["cost_micro"] == 9 * 50


class TestVerification:
    @pytest.mark.parametrize("damage", [
        "UPDATE balance SET settled = settled + 1", "UPDATE balance SET reserved = 1 WHERE kind = 2", "DELETE FROM balance WHERE kind = 3",
        "UPDATE spend SET cost = cost - 1", "DELETE FROM spend"])
    def test_verify_finds_money_that_is_not_in_the_ledger(self, server, provider, damage):
        provider.script({"usage": USAGE})
        server.chat(HI).ok(200)
        server.stop()
        store = sqlite3.connect(server.data / "guild.db")
        with store:
            assert store.execute(damage).rowcount > 0
        store.close()
        done = server.cli("verify", "--data", str(server.data))
        assert done.returncode == 1 and "the ledger's rows add up to" in done.stdout + done.stderr


class TestPython:
    def test_calls(self, server, provider):
        provider.script({"usage": USAGE})
        server.chat(HI).ok(200)
        with guild.open(server.url, server.token) as db:
            made = db.set_budget("workspace", 10**6, "hard", time_zone="+01:00")
            assert (made.scope, made.limit_micro, made.mode, made.time_zone) == ("workspace", 10**6, "hard", "+01:00")
            assert [row.scope for row in db.budgets()] == ["workspace"]
            assert db.spend(tz="UTC", month=month()).total.cost_micro == db.spend().total.cost_micro == COST
            assert db.set_budget("workspace", None).limit_micro is None
            with pytest.raises(guild.InvalidError):
                db.set_budget("workspace", -1)


class TestCommandLine:
    def test_verbs(self, server, provider):
        provider.script({"usage": {"prompt_tokens": 1_000_000, "completion_tokens": 250_000}})
        assert "There are no budgets." in server.cli("budget", "list").stdout
        done = server.cli("budget", "set", "workspace", "12.50", "--hard", "--time-zone", "-03:00")
        assert done.stdout == "The budget is 12.50 a month; 0.00 of this month's is spent.\n"
        server.chat(HI).ok(200)
        rows = server.cli("budget", "list").stdout.splitlines()
        assert rows[1].split()[-4:] == ["12.50", "1.50", "0.00", "hard"]
        lines = server.cli("spend", "--by", "model").stdout.splitlines()
        assert lines[1].split() == ["1.50", "1", "1000000", "250000", "openai/test-model"]
        assert lines[-1].endswith("(-03:00)") and "total of" in lines[-1]
        for by in ("day", "agent", "user"):
            assert server.cli("spend", "--by", by, "--tz", "UTC").stdout.splitlines()[1].split()[0] == "1.50"
        assert json.loads(server.cli("spend", "--json").stdout)["total"]["cost_micro"] == 1_500_000
        assert "test-model" in server.cli("model", "list").stdout
        assert server.cli("budget", "set", "workspace", "--none").stdout == "There is no limit any more; 1.50 is spent this month.\n"
        for wrong in (("budget", "set", "workspace"), ("budget", "set", "workspace", "1.1234567"), ("budget", "set", "workspace", "-1"),
                      ("budget", "set", "workspace", "1", "--none"), ("spend", "--by", "moon")):
            assert server.cli(*wrong).returncode == 2
