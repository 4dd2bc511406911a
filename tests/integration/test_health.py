"""What the server says of itself: health, figures, its own description, and the audit log."""
import json
import re

import pytest
from support.harness import wait_for

ENTRY = ["seq", "id", "time", "workspace_id", "principal", "agent_id", "agent_name", "action", "decision", "rule_id", "session_id",
         "execution_id", "start", "end", "duration_ms", "outcome", "code", "error_message", "change", "hash", "prev_hash"]


class TestHealth:
    def test_everybody_may_ask_and_admins_learn_more(self, shared_server):
        """T38"""
        plain = shared_server.anonymous().get("/healthz").ok(200)
        assert set(plain) == {"status", "version"} and plain["status"] == "ok" and re.fullmatch(r"\d+\.\d+\.\d+", plain["version"])
        assert shared_server.second_user("member").get("/healthz").ok(200) == plain
        more = shared_server.get("/healthz").ok(200)
        assert more["store"] == "ok" and more["loops"] == 2 and more["uptime_s"] >= 0 and more["connections"] >= 1
        assert more["executions_running"] == 0 and more["governance"]["mode"] == "enforce"
        assert shared_server.anonymous().get("/readyz").ok(200) == plain

    def test_running_executions_are_counted(self, server_with_provider, provider):
        with server_with_provider.stream('script:{"deltas":["a"],"hold_after":1}') as stream:
            stream.until("streaming:update")
            assert server_with_provider.get("/healthz").ok(200)["executions_running"] == 1
            provider.release()
            stream.collect()
        wait_for(lambda: server_with_provider.get("/healthz").ok(200)["executions_running"] == 0, "the run to be over")


class TestMetrics:
    def test_admins_alone_read_them(self, shared_server):
        """T38"""
        assert shared_server.anonymous().get("/metrics").status == 401
        assert shared_server.second_user("member").get("/metrics").status == 403
        reply = shared_server.get("/metrics")
        assert reply.status == 200 and reply.headers["content-type"].startswith("text/plain; version=0.0.4")

    def test_every_figure_is_described(self, shared_server):
        text = shared_server.get("/metrics").text
        kinds = dict(re.findall(r"^# TYPE (\S+) (counter|gauge|histogram)$", text, re.M))
        helped = set(re.findall(r"^# HELP (\S+) \S", text, re.M))
        names = {re.sub(r"_(bucket|sum|count)$", "", name) if re.sub(r"_(bucket|sum|count)$", "", name) in kinds else name
                 for name in re.findall(r"^([a-z_]+)(?:\{[^}]*\})? [0-9.e+-]+$", text, re.M)}
        assert names == set(kinds) == helped and len(names) > 20
        assert text.endswith("\n") and all(name.startswith("guild_") for name in names)

    def test_work_shows(self, server):
        before = server.metrics()
        server.chat("hello").ok(200)
        after = server.metrics()
        for name in ("guild_executions_started_total", "guild_executions_completed_total", "guild_http_requests_total"):
            assert after[name] > before[name], name
        assert after["guild_decisions_allowed_total"] > before["guild_decisions_allowed_total"]
        assert after["guild_allocations"] > 0


def resolve(document, schema):
    while "$ref" in schema:
        at = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            at = at[part]
        schema = at
    return schema


def fits(document, schema, value, where):
    """Whether value is as schema says, members of objects both ways."""
    schema = resolve(document, schema)
    if "anyOf" in schema:
        if value is None:
            return
        schema = resolve(document, schema["anyOf"][0])
    kinds = schema.get("type")
    if kinds is None:
        return
    kinds = [kinds] if isinstance(kinds, str) else kinds
    python = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "object": dict, "array": list, "null": type(None)}
    assert any(isinstance(value, python[kind]) and (kind in ("boolean",) or not isinstance(value, bool)) for kind in kinds), (where, value, kinds)
    if isinstance(value, dict) and "properties" in schema:
        assert set(value) <= set(schema["properties"]), (where, set(value) - set(schema["properties"]))
        assert set(schema["required"]) <= set(value), (where, set(schema["required"]) - set(value))
        for name, member in value.items():
            fits(document, schema["properties"][name], member, f"{where}.{name}")
    if isinstance(value, list) and "items" in schema:
        for item in value:
            fits(document, schema["items"], item, where + "[]")


class TestOpenapi:
    def test_it_describes_every_row_and_no_other(self, shared_server):
        """T38"""
        document = shared_server.anonymous().get("/openapi.json").ok(200)
        assert document["openapi"] == "3.1.0"
        operations = [(method, path, op) for path, methods in document["paths"].items() for method, op in methods.items()]
        assert len({op["operationId"] for _, _, op in operations}) == len(operations) > 30
        for method, path, op in operations:
            reply = shared_server.anonymous().request(method.upper(), re.sub(r"\{[^}]*\}", "x", path))
            is_open = {} in op["security"]
            assert reply.status != 404 and (reply.status == 401) == (not is_open), (method, path, reply.status)
        for path in ("/v1/nothing", "/v2/chat", "/healthz/x", "/debug"):
            assert shared_server.get(path).status == 404

    def test_replies_are_as_described(self, server):
        """T4"""
        document = server.get("/openapi.json").ok(200)
        agent = server.agent("Described", "intern")
        run = server.chat("hello").ok(200)
        user = server.second_user("member")
        server.post("/v1/tokens", {"user_id": user.id}).ok(201)
        session = run["session_id"]
        calls = [("get", "/v1/me", "/v1/me"), ("get", "/v1/agents", "/v1/agents"), ("get", "/v1/agents/{id}", f"/v1/agents/{agent['id']}"),
                 ("get", "/v1/executions", "/v1/executions"), ("get", "/v1/executions/{id}", f"/v1/executions/{run['execution_id']}"),
                 ("get", "/v1/sessions", "/v1/sessions"), ("get", "/v1/sessions/{id}", f"/v1/sessions/{session}"),
                 ("get", "/v1/sessions/{id}/messages", f"/v1/sessions/{session}/messages"), ("get", "/v1/policy", "/v1/policy"),
                 ("get", "/v1/users", "/v1/users"), ("get", "/v1/tokens", "/v1/tokens"), ("get", "/v1/audit", "/v1/audit"),
                 ("get", "/v1/audit/verify", "/v1/audit/verify"), ("get", "/healthz", "/healthz"), ("get", "/readyz", "/readyz"),
                 ("get", "/v1/keys", "/v1/keys")]
        for method, path, target in calls:
            reply = server.request(method.upper(), target)
            described = document["paths"][path][method]["responses"][str(reply.status)]
            fits(document, described["content"]["application/json"]["schema"], reply.ok(200), f"{method} {path}")
        fits(document, {"$ref": "#/components/schemas/run"}, run, "run")
        decided = server.post(f"/v1/agents/{agent['id']}/decide", {"action": "delete"})
        fits(document, {"$ref": "#/components/schemas/decision"}, decided.ok(200), "decision")
        fits(document, {"$ref": "#/components/schemas/problem"}, server.get("/v1/agents?limit=0").body, "problem")


class TestAudit:
    def test_entries_have_their_members_in_order_and_form_a_chain(self, server):
        """AC-164"""
        run = server.chat("hello").ok(200)
        entries = server.items("/v1/audit?limit=3")
        assert all(list(entry) == ENTRY for entry in entries)
        assert [e["seq"] for e in entries] == list(range(entries[0]["seq"], 0, -1)), "newest first, without a gap"
        for newer, older in zip(entries, entries[1:]):
            assert newer["prev_hash"] == older["hash"] and newer["time"] >= older["time"]
        assert entries[-1]["prev_hash"] == "0" * 64
        mine = [e for e in entries if e["execution_id"] == run["execution_id"]]
        assert [e["outcome"] for e in mine] == ["completed", "started"] and mine[0]["duration_ms"] >= 1

    def test_filters_narrow(self, server):
        """AC-9"""
        student = server.agent("Stu")
        server.chat("hello", agent="stu")
        server.chat("hello")
        refused = server.items(f"/v1/audit?agent={student['id']}&outcome=failed")
        assert len(refused) == 1 and refused[0]["code"] == "governance_blocked" and refused[0]["duration_ms"] >= 1
        assert server.items("/v1/audit?agent=stu&outcome=failed") == refused
        assert {e["action"] for e in server.items("/v1/audit?action=create")} == {"create"}
        when = refused[0]["time"]
        at_or_after = server.items(f"/v1/audit?since={when}&action=chat")
        before = server.items(f"/v1/audit?until={when}&action=chat")
        assert all(e["time"] >= when for e in at_or_after) and all(e["time"] <= when for e in before)
        assert {e["seq"] for e in at_or_after} & {e["seq"] for e in before} == {refused[0]["seq"]}
        assert server.items("/v1/audit?agent=no-such-agent") == []
        for query in ("outcome=well", "since=yesterday", "limit=0", "limit=101", "colour=red"):
            assert server.get(f"/v1/audit?{query}").status == 422, query
        assert server.get("/v1/audit?cursor=%21").status == 400

    def test_cursors_fit_their_own_list_only(self, server):
        """T26"""
        for _ in range(3):
            server.chat("hello").ok(200)
        cursor = server.get("/v1/audit?limit=2").ok(200)["next_cursor"]
        assert server.get(f"/v1/audit?limit=2&cursor={cursor}").status == 200
        assert server.get(f"/v1/audit?limit=2&action=chat&cursor={cursor}").status == 400
        assert server.get(f"/v1/agents?cursor={cursor}").status == 400
        flipped = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
        assert server.get(f"/v1/audit?cursor={flipped}").status == 400

    def test_members_read_their_own(self, server):
        """T2, T4"""
        ada, bob = server.second_user("member"), server.second_user("member")
        run = ada.chat("hello").ok(200)
        bob.chat("hello").ok(200)
        own = ada.items("/v1/audit")
        assert {e["execution_id"] for e in own} == {run["execution_id"]} and {e["principal"]["id"] for e in own} == {ada.id}
        assert ada.items(f"/v1/audit?principal={bob.id}") == []
        assert {e["principal"]["id"] for e in server.items(f"/v1/audit?principal={bob.id}")} == {bob.id}
        assert server.second_user("viewer").get("/v1/audit").status == 403
        assert ada.get("/v1/audit/verify").status == 403 and server.anonymous().get("/v1/audit").status == 401

    def test_an_admins_reading_is_written_first(self, server):
        """T4"""
        first = server.get("/v1/audit").ok(200)["items"][0]
        assert (first["action"], first["outcome"], first["change"]) == ("read", "completed", {"path": "/v1/audit"})
        second = server.get("/v1/audit").ok(200)["items"][0]
        assert second["seq"] == first["seq"] + 1
        member = server.second_user("member")
        member.chat("hello").ok(200)
        newest = server.get("/v1/audit").ok(200)["items"][0]["seq"]
        member.get("/v1/audit").ok(200)
        assert server.get("/v1/audit").ok(200)["items"][0]["seq"] == newest + 1, "reading one's own is not written"

    @pytest.mark.parametrize("damage, reason", [
        ("UPDATE log SET entry = replace(entry, 'create', 'delete') WHERE seq = 2", "content"),
        ("UPDATE log SET time_at = time_at + 1 WHERE seq = 2", "chain"),
        ("DELETE FROM log WHERE seq = 2", "gap")])
    def test_tampering_is_found(self, server, damage, reason):
        """T28"""
        server.chat("hello").ok(200)
        report = server.get("/v1/audit/verify").ok(200)
        assert report["ok"] is True and report["entries"] == report["head"]["seq"] and "first_bad" not in report
        server.stop()
        with server.store() as db:
            assert db.execute(damage).rowcount == 1
        db.close()
        server.start()
        report = server.get("/v1/audit/verify").ok(200)
        assert report["ok"] is False and report["first_bad"] in (2, 3) and reason in report["reason"], json.dumps(report)
