"""The action table as admins change it, emergencies, the kill switch: in force for the very next decision, and in the audit log."""
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import guild
from support import social
from support.harness import wait_for
from support.social import human

REASON = "a test of it"


def agent(server, name, maturity):
    return social.agent(server, name, maturity)


def put(who, action, level, reason=REASON, version=None):
    headers = {} if version is None else {"If-Match": f'"{version}"'}
    return who.put(f"/v1/policy/{action}", {"level": level, **({"reason": reason} if reason else {})}, headers=headers)


def table(who):
    """Every entry by name; version and hash, which no change moved meanwhile."""
    entries, cursor, versions = {}, "", set()
    while True:
        page = who.get("/v1/policy?limit=100" + (f"&cursor={cursor}" if cursor else "")).ok(200)
        versions.add((page["version"], page["hash"]))
        entries.update({e["action"]: e for e in page["items"]})
        cursor = page["next_cursor"]
        if not cursor:
            assert len(versions) == 1
            return entries, *versions.pop()


def may(who, of, action):
    return who.post(f"/v1/agents/{of.id}/decide", {"action": action}).ok(200)


def enforce(of, action, **members):
    return of.post(f"/v1/agents/{of.id}/enforce", {"action": action, **members})


def changes(server, action):
    wanted = {"configure": ("hash", "mode"), "grant": ("emergency_until",), "revoke": ("emergency_until",), "shutdown": ("stopped",),
              "approve": ("status",)}
    return [e for e in server.items(f"/v1/audit?limit=100&action={action}") if e["change"] and set(wanted[action]) & set(e["change"]["new"])]


def refused(reply, status, code):
    assert (reply.status, reply.code) == (status, code), reply.text
    return reply.body


def hash_of(entries, unknown=2):
    lines = [f"{name} {e['level']}" for name, e in sorted(entries.items())]
    return hashlib.sha256("\n".join([f"unknown {unknown}", *lines, ""]).encode()).hexdigest()


class TestTable:
    def test_a_change_is_a_version_that_decides_at_once(self, server):
        """The level that decides is that of the table as it stands; who changed it, from what and to what is on record."""
        ann = agent(server, "Ann", "intern")
        before, version, old_hash = table(server)
        assert (version, old_hash) == (1, hash_of(before)) and not any(e["overridden"] for e in before.values())
        refused(enforce(ann, "send_email"), 403, "governance_blocked")
        now = put(server, "sendEmail", 2).ok(200)
        assert now == {"action": "send_email", "level": 2, "required_maturity": "intern", "default_level": 3, "overridden": True,
                       "version": 2, "hash": now["hash"]}
        decision = enforce(ann, "send_email").ok(200)["decision"]
        assert decision["policy_version"] == 2 and decision["action_complexity"] == 2
        after, version, new_hash = table(server)
        assert after == {**before, "send_email": {k: now[k] for k in before["send_email"]}}
        assert (version, new_hash) == (2, now["hash"]) and new_hash == hash_of(after) != old_hash
        (entry,) = changes(server, "configure")
        assert entry["change"] == {"action": "send_email", "reason": REASON, "new": {"hash": new_hash, "level": 2, "version": 2},
                                   "old": {"hash": old_hash, "level": 3, "version": 1}}
        (row,) = server.items("/v1/policy/history")
        me = server.get("/v1/me").ok(200)["id"]
        assert row == {"version": 2, "action": "send_email", "old_level": 3, "level": 2, "overridden": True, "old_hash": old_hash,
                       "hash": new_hash, "reason": REASON, "changed_by": me, "changed_at": row["changed_at"]}
        assert put(server, "send_email", None).ok(200)["hash"] == old_hash
        assert table(server) == (before, 3, old_hash)
        refused(enforce(ann, "send_email"), 403, "governance_blocked")

    def test_what_is_in_force_already_is_no_version(self, server):
        assert put(server, "chat", 2).ok(200)["version"] == 1
        assert put(server, "chat", None).ok(200)["version"] == 1
        assert put(server, "chat", 1).ok(200)["version"] == 2
        assert put(server, "chat", 1).ok(200)["version"] == 2
        assert put(server, "chat", 2).ok(200)["overridden"] is False, "what the default says is none"
        assert [r["version"] for r in server.items("/v1/policy/history")] == [3, 2]

    def test_actions_outside_the_defaults(self, server):
        """They are entries like others: exact, and as words of longer names."""
        bea = agent(server, "Bea", "intern")
        assert may(server, bea, "launch_rocket")["action_complexity"] == 2
        new = put(server, "launchRocket", 4).ok(200)
        assert (new["action"], new["default_level"], new["overridden"]) == ("launch_rocket", None, True)
        assert may(server, bea, "launch_rocket")["rule_id"] == "maturity:launch_rocket:4"
        assert may(server, bea, "pleaseLaunchRocketNow")["rule_id"] == "maturity:launch_rocket:4"
        long = "_".join("abcdefghijklmnop")
        put(server, long, 3).ok(200)
        assert may(server, bea, f"x_{long}_y")["action_complexity"] == 3
        assert [r["old_level"] for r in server.items("/v1/policy/history")] == [2, 2]
        names = [e["action"] for e in server.items("/v1/policy?limit=100")]
        assert names[-2:] == ["launch_rocket", long] and names[0] == "search"
        gone = put(server, "launch_rocket", None).ok(200)
        assert (gone["level"], gone["overridden"]) == (2, False)
        assert "launch_rocket" not in table(server)[0]

    def test_bad_input(self, server):
        for body, pointer in (({}, "/level"), ({"level": 0}, "/level"), ({"level": 5}, "/level"), ({"level": "2"}, "/level"),
                              ({"level": 2.5}, "/level"), ({"level": 2, "reason": " "}, "/reason"), ({"level": 2, "x": 1}, "/x")):
            reply = refused(server.put("/v1/policy/chat", body), 422, "invalid")
            assert reply["errors"][0]["pointer"] == pointer, body
        for action in ("x" * 65, "---", "caf%C3%A9", "a%3Bb", "x" * 200):
            assert refused(put(server, action, 2), 422, "invalid")["errors"][0]["pointer"] == "action"
        assert refused(put(server, "chat", 3, version="x"), 422, "invalid")["errors"][0]["pointer"] == "If-Match"
        assert table(server)[1] == 1 and server.items("/v1/policy/history") == []

    def test_two_writers_one_version(self, server):
        """If-Match: of writers that began with the same version one wins; the others are told which it is now."""
        with ThreadPoolExecutor(6) as pool:
            replies = list(pool.map(lambda level: put(server, "react", level % 3 + 1 if level % 3 != 1 else 4, version=1), range(6)))
        assert sorted(r.status for r in replies) == [200] + [409] * 5
        for reply in replies:
            if reply.status == 409:
                assert refused(reply, 409, "conflict")["version"] == 2
        assert put(server, "react", None, version=2).ok(200)["version"] == 3
        assert [r["version"] for r in server.items("/v1/policy/history")] == [3, 2]

    def test_who_may(self, server):
        """Nobody but a human admin; an agent's token never, whatever its maturity."""
        ada = human(server, "Ada", "admin")
        put(ada, "chat", 1).ok(200)
        bot = agent(server, "Bot", "autonomous")
        for who in (human(server, "Mo", "member"), human(server, "Vi", "viewer"), bot):
            refused(put(who, "chat", 4), 403, "permission_denied")
        refused(bot.get("/v1/policy"), 403, "permission_denied")
        assert table(human(server, "Vi2", "viewer"))[1] == 2
        assert server.anonymous().put("/v1/policy/chat", {"level": 4}).status == 401

    def test_each_workspace_has_its_own(self, server):
        """An admin of one changes nothing for the agents of another: neither table nor exceptions."""
        made = server.post("/v1/workspaces", {"name": "Elsewhere"}).ok(201)
        there = server.client(made["token"])
        ann = agent(server, "Ann", "intern")
        bob = there.agent("Bob", "intern")["id"]
        put(there, "delete", 1).ok(200)
        kill_switch(server, True).ok(200)
        assert there.post(f"/v1/agents/{bob}/enforce", {"action": "delete"}).ok(200)["decision"]["policy_version"] == 2
        refused(enforce(ann, "read"), 403, "agent_not_active")
        kill_switch(server, False).ok(200)
        refused(enforce(ann, "delete"), 403, "governance_blocked")
        assert table(server)[1] == 1 and server.items("/v1/policy/history") == [] and len(there.items("/v1/policy/history")) == 1
        server.restart(kill=True)
        assert there.post(f"/v1/agents/{bob}/enforce", {"action": "delete"}).ok(200)["proceed"]
        assert table(server)[1] == 1 and table(there)[1] == 2

    def test_there_is_room_for_so_many(self, server):
        for i in range(256):
            put(server, f"thing_{i}", 3).ok(200)
        refused(put(server, "one_more", 3), 409, "conflict")
        put(server, "thing_7", None).ok(200)
        assert put(server, "one_more", 3).ok(200)["version"] == 259
        assert len(server.items("/v1/policy/history?limit=100")) == 258

    def test_it_survives_kill_9_and_other_defaults_are_a_version(self, make_server):
        server = make_server()
        put(server, "post", 4).ok(200)
        put(server, "zap", 1).ok(200)
        before = table(server)
        server.restart(kill=True)
        assert table(server) == before
        server.restart(GUILD_GOVERNANCE_UNKNOWN_LEVEL="3")
        entries, version, digest = table(server)
        assert entries == before[0] and version == 4 and digest == hash_of(entries, unknown=3) != before[2]
        row = server.items("/v1/policy/history")[0]
        assert (row["version"], row["action"], row["changed_by"], row["hash"]) == (4, None, None, digest) and "unknown_level" in row["reason"]
        server.restart(GUILD_GOVERNANCE_UNKNOWN_LEVEL="3")
        assert table(server)[1] == 4

    def test_guilds_own_commands_follow(self, server):
        """A post, a reaction and a chat are decided by the same table, on every loop."""
        tom = agent(server, "Tom", "intern")
        first = tom.post("/v1/posts", {"content": "hello"}).ok(201)
        put(server, "react", 3).ok(200)
        for _ in range(4):
            refused(tom.put(f"/v1/posts/{first['id']}/reactions/%F0%9F%91%8D"), 403, "governance_blocked")
        put(server, "react", 1).ok(200)
        for _ in range(4):
            tom.put(f"/v1/posts/{first['id']}/reactions/%F0%9F%91%8D").ok(200, 201)
        put(server, "chat", 3).ok(200)
        reply = refused(server.chat("hello", agent=tom.id), 403, "governance_blocked")
        assert "blocked" in reply["detail"] and reply["execution_id"] is None
        put(server, "chat", None).ok(200)
        run = server.chat("hello", agent="chat-assistant").ok(200)
        assert server.execution(run["execution_id"])["metadata"]["governance_check"]["policy_version"] == 5


class TestApprovals:
    def test_those_of_an_older_table_end(self, server):
        """What was asked for, or approved, under another table fits nothing any more; who waits hears so."""
        sue = agent(server, "Sue", "supervised")
        pending = enforce(sue, "send_email", arguments={"to": "a"}).ok(202)["approval_id"]
        approved = enforce(sue, "send_email", arguments={"to": "b"}).ok(202)["approval_id"]
        server.post(f"/v1/approvals/{approved}/approve").ok(200)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(lambda: sue.get(f"/v1/approvals/{pending}?wait_ms=20000"))
            put(server, "deploy", 3).ok(200)
            assert waiting.result().ok(200)["status"] == "cancelled"
        refused(enforce(sue, "send_email", arguments={"to": "b"}, approval_id=approved), 409, "approval_mismatch")
        refused(server.post(f"/v1/approvals/{pending}/approve"), 409, "approval_mismatch")
        wait_for(lambda: server.get(f"/v1/approvals/{approved}").ok(200)["status"] == "cancelled", "the approved one to end")
        again = enforce(sue, "send_email", arguments={"to": "b"}).ok(202)["approval_id"]
        assert again != approved
        server.post(f"/v1/approvals/{again}/approve").ok(200)
        enforce(sue, "send_email", arguments={"to": "b"}, approval_id=again).ok(200)
        ends = [e for e in changes(server, "approve") if e["change"]["new"] == {"status": "cancelled"}]
        assert {e["change"]["approval_id"] for e in ends} == {pending, approved}

    def test_those_of_an_archived_agent_end(self, server):
        sid = agent(server, "Sid", "supervised")
        pending = enforce(sid, "send_email").ok(202)["approval_id"]
        server.post(f"/v1/agents/{sid.id}/pause").ok(200)
        assert server.get(f"/v1/approvals/{pending}").ok(200)["status"] == "pending", "a paused one may go on"
        server.post(f"/v1/agents/{sid.id}/archive").ok(200)
        wait_for(lambda: server.get(f"/v1/approvals/{pending}").ok(200)["status"] == "cancelled", "its approval to end")


def emergency(who, minutes, reason=REASON):
    return who.post("/v1/emergency", {"minutes": minutes, "reason": reason})


def kill_switch(who, on, reason=REASON):
    return who.post("/v1/kill-switch", {"on": on, "reason": reason})


def governance(server):
    health, ready = server.get("/healthz").ok(200), server.get("/readyz").ok(200)
    assert health["governance"] == ready["governance"]
    return health["governance"]


class TestEmergency:
    def test_it_skips_maturity_alone(self, server):
        """While it is declared no action is refused for maturity; lifecycle, approvals and roles hold; then all is as before."""
        stu, sue = agent(server, "Stu", "student"), agent(server, "Sue", "supervised")
        refused(enforce(stu, "delete"), 403, "governance_blocked")
        on = emergency(server, 60).ok(200)
        assert on["on"] and on["reason"] == REASON and on["declared_by"] == server.get("/v1/me").ok(200)["id"] and on["until"] > on["since"]
        decision = enforce(stu, "delete").ok(200)["decision"]
        assert decision["exception"] == "emergency" and decision["rule_id"] == "emergency:delete:4" and "emergency" in decision["reason"]
        assert may(server, stu, "read")["exception"] is None, "that it may anyway"
        assert enforce(sue, "send_email").ok(202)["decision"]["status_code"] == "approval_required"
        channel = server.post("/v1/channels", {"name": "flood"}).ok(200, 201)["id"]
        stu.put(f"/v1/channels/{channel}/members/me").ok(200)
        (joined,) = server.items(f"/v1/audit?limit=100&agent={stu.id}&action=channel_join")
        assert joined["rule_id"] == "emergency:channel_join:2" and joined["outcome"] == "changed"
        server.post(f"/v1/agents/{stu.id}/pause").ok(200)
        refused(enforce(stu, "delete"), 403, "agent_not_active")
        server.post(f"/v1/agents/{stu.id}/resume").ok(200)
        refused(put(stu, "chat", 1), 403, "permission_denied")
        assert server.metrics()["guild_emergencies"] == 1 and governance(server)["emergency"] == on
        off = emergency(server, 0, "enough").ok(200)
        assert not off["on"] and off["until"] is None
        refused(enforce(stu, "delete"), 403, "governance_blocked")
        assert server.metrics()["guild_emergencies"] == 0 and governance(server)["emergency"]["on"] is False
        end, begin = changes(server, "grant")
        assert begin["change"]["reason"] == REASON and begin["change"]["new"]["emergency_until"] == on["until"]
        assert end["change"] == {"new": {"emergency_until": None}, "old": {"emergency_until": on["until"]}, "reason": "enough"}

    def test_who_may_and_how_long(self, server):
        for body, pointer in (({"minutes": 61, "reason": "x"}, "/minutes"), ({"minutes": -1, "reason": "x"}, "/minutes"),
                              ({"minutes": 5}, "/reason"), ({"minutes": 5, "reason": " "}, "/reason"), ({"reason": "x"}, "/minutes")):
            assert refused(server.post("/v1/emergency", body), 422, "invalid")["errors"][0]["pointer"] == pointer
        for who in (human(server, "Ada", "admin"), human(server, "Mo", "member"), agent(server, "Bot", "autonomous")):
            refused(emergency(who, 5), 403, "permission_denied")
        assert server.get("/v1/emergency").ok(200)["on"] is False

    def test_it_survives_a_death_with_its_end(self, server):
        stu = agent(server, "Stu", "student")
        on = emergency(server, 30).ok(200)
        server.restart(kill=True)
        assert server.get("/v1/emergency").ok(200) == on
        enforce(stu, "delete").ok(200)


def held(client, provider, message="hello", **members):
    """A run that its provider holds after two deltas: its id and stream."""
    provider.script({"deltas": list("abcd"), "hold_after": 2})
    stream = client.stream(message, **members)
    stream.until(lambda e: e.seq == 3)
    return stream.headers["x-execution-id"], stream


def session_of(server, execution):
    return server.execution(execution)["session_id"]


class TestKillSwitch:
    def test_all_agents_of_the_workspace_stop(self, server_with_provider, provider):
        """Decisions refuse, runs end, what waited ends too; each agent's own state is as it was when it is off again."""
        server = server_with_provider
        bot, lazy = agent(server, "Bot", "autonomous"), agent(server, "Lazy", "autonomous")
        hosted = server.agent("Hosted", "autonomous")
        server.post(f"/v1/agents/{lazy.id}/pause").ok(200)
        runs = [held(server, provider, agent=who) for who in ("chat-assistant", hosted["id"])]
        waiting = server.stream("and then", session_id=session_of(server, runs[0][0]))
        queued = waiting.headers["x-execution-id"]
        assert server.execution(queued)["status"] == "queued"
        on = kill_switch(server, True).ok(200)
        assert on["on"] and on["reason"] == REASON
        for execution, stream in runs:
            assert server.ended(execution, "cancelled")["error_code"] == "cancelled"
            assert stream.collect()[-1].data["code"] == "cancelled"
        assert server.ended(queued, "cancelled", "failed")["started_at"]
        provider.wait(aborted=2)
        asked = len(provider.log())
        for who in (bot, server):
            reply = refused(who.post(f"/v1/agents/{bot.id}/enforce", {"action": "read"}), 403, "agent_not_active")
            assert "blocked" in reply["detail"] and "all agents of its workspace are stopped" in reply["detail"]
        refused(bot.post("/v1/posts", {"content": "still here"}), 403, "agent_not_active")
        refused(server.chat("hello"), 403, "agent_not_active")
        assert len(provider.log()) == asked
        assert server.metrics()["guild_kill_switches"] == 1 and governance(server)["kill_switch"] == on
        assert server.get(f"/v1/agents/{bot.id}").ok(200)["lifecycle"] == "active"
        server.restart(kill=True)
        refused(enforce(bot, "read"), 403, "agent_not_active")
        assert server.get("/v1/kill-switch").ok(200) == on and server.metrics()["guild_kill_switches"] == 1
        assert kill_switch(server, False, "all clear").ok(200) == {"on": False, "since": None, "reason": None, "stopped_by": None}
        enforce(bot, "read").ok(200)
        refused(enforce(lazy, "read"), 403, "agent_not_active")
        assert [e["change"] for e in changes(server, "shutdown")] == [
            {"new": {"stopped": False}, "old": {"stopped": True}, "reason": "all clear"},
            {"new": {"stopped": True}, "old": {"stopped": False}, "reason": REASON}]

    def test_who_may(self, server):
        bot = agent(server, "Bot", "autonomous")
        for who in (human(server, "Mo", "member"), bot):
            refused(kill_switch(who, True), 403, "permission_denied")
        kill_switch(human(server, "Ada", "admin"), True).ok(200)
        refused(kill_switch(bot, False), 403, "permission_denied")
        refused(enforce(bot, "read"), 403, "agent_not_active")

    def test_a_run_that_waits_begins_for_nobody_who_is_stopped(self, server_with_provider, provider):
        """Killed between the switch and the ends of runs: what waited in the store is refused at the next start."""
        server = server_with_provider
        execution, stream = held(server, provider)
        queued = server.stream("and then", session_id=session_of(server, execution)).headers["x-execution-id"]
        server.kill9()
        stream.close()
        store = server.store()
        store.execute("UPDATE policy_state SET stopped_since = 1, stopped_reason = 'by hand'")
        store.commit()
        store.close()
        provider.reset()
        server.start()
        assert server.ended(queued, "failed")["error_code"] == "agent_not_active"
        kill_switch(server, False).ok(200)
        server.chat("hello").ok(200)
        assert len(provider.log()) == 1


class TestPause:
    def test_with_its_runs(self, server_with_provider, provider):
        """The next decision of a paused agent is a refusal; its runs end when that is asked for, those of others never."""
        server = server_with_provider
        ann, ben = server.agent("Ann", "autonomous")["id"], server.agent("Ben", "autonomous")["id"]
        (anns, _), (bens, other) = held(server, provider, agent=ann), held(server, provider, agent=ben)
        server.post(f"/v1/agents/{ann}/pause").ok(200)
        refused(server.post(f"/v1/agents/{ann}/enforce", {"action": "read"}), 403, "agent_not_active")
        assert server.execution(anns)["status"] == "running"
        server.post(f"/v1/agents/{ann}/pause?cancel=true").ok(200)
        server.ended(anns, "cancelled")
        assert server.execution(bens)["status"] == "running"
        server.post(f"/v1/agents/{ben}/stop?cancel=true").ok(200)
        server.ended(bens, "cancelled")
        assert other.collect()[-1].data["code"] == "cancelled"
        assert server.post(f"/v1/agents/{ann}/resume?cancel=true").status == 422
        assert server.post(f"/v1/agents/{ann}/pause?cancel=maybe").status == 422


class TestModeOff:
    def test_maturity_and_approvals_are_not_looked_at(self, make_server):
        server = make_server(env={"GUILD_GOVERNANCE_MODE": "off"})
        stu, sue = agent(server, "Stu", "student"), agent(server, "Sue", "supervised")
        decision = enforce(stu, "delete").ok(200)["decision"]
        assert (decision["exception"], decision["rule_id"]) == ("mode_off", "mode_off:delete:4")
        assert enforce(sue, "send_email").ok(200)["decision"]["exception"] == "mode_off"
        enforce(sue, "send_email", require_approval=True).ok(202)
        server.post(f"/v1/agents/{stu.id}/pause").ok(200)
        refused(enforce(stu, "read"), 403, "agent_not_active")
        kill_switch(server, True).ok(200)
        refused(enforce(sue, "read"), 403, "agent_not_active")
        kill_switch(server, False).ok(200)
        refused(put(sue, "chat", 1), 403, "permission_denied")
        assert governance(server)["mode"] == "off" and server.metrics()["guild_governance_off"] == 1
        server.restart(GUILD_GOVERNANCE_MODE="enforce")
        refused(enforce(agent(server, "Stu2", "student"), "delete"), 403, "governance_blocked")
        assert [e["change"]["new"] for e in changes(server, "configure")] == [{"mode": "enforce"}, {"mode": "off"}]


def test_reasons_go_with_the_person_who_gave_them(server):
    """Erased, an admin leaves changes behind, and what is in force, but no words."""
    word = "CANARYreason"
    ada = human(server, "Ada", "admin")
    for i in range(3):
        put(ada, f"thing_{i}", 3, reason=f"{word} {i}").ok(200)
    put(server, "thing_0", 4).ok(200)
    kill_switch(ada, True, word).ok(200)
    server.post(f"/v1/users/{ada.id}/erase").ok(202)
    wait_for(lambda: server.get(f"/v1/users/{ada.id}/erase").ok(200)["state"] == "done", "the erasure", timeout=60)
    assert [r["reason"] for r in server.items("/v1/policy/history")] == [REASON, None, None, None]
    assert (server.get("/v1/kill-switch").ok(200)["on"], server.get("/v1/kill-switch").body["reason"]) == (True, "")
    server.restart()
    assert server.get("/v1/kill-switch").ok(200)["on"] and table(server)[1] == 5
    for file in server.data.iterdir():
        assert not file.is_file() or word.encode() not in file.read_bytes(), file


class TestOtherDoors:
    def test_command_line(self, server):
        assert "Agents may act" in server.cli("stop-all", "--status").stdout
        assert "is the default one" in server.cli("policy", "history").stdout
        done = server.cli("policy", "set", "send_email", "2", "--reason", "busy week")
        assert done.stdout == "send_email needs level 2 (intern) by version 2 of the table.\n", done.stderr
        assert "busy week" in server.cli("policy", "history").stdout
        row = next(r for r in server.cli("policy", "list", "--limit", "300").stdout.splitlines() if r.startswith("send_email"))
        assert row.split() == ["send_email", "2", "intern", "3", "true"]
        server.cli("policy", "set", "send_email", "default")
        assert server.cli("policy", "set", "send_email", "5").returncode == 2
        assert server.cli("emergency", "on", "--minutes", "5").returncode == 2
        assert server.cli("emergency", "on", "--minutes", "61", "--reason", "x").returncode == 2
        assert "declared until" in server.cli("emergency", "on", "--minutes", "5", "--reason", "flood").stdout
        assert "flood" in server.cli("emergency", "status").stdout and "flood" in server.cli("status").stdout
        assert "No emergency" in server.cli("emergency", "off").stdout
        assert "All agents" in server.cli("stop-all", "--reason", "drill").stdout and "drill" in server.cli("status").stdout
        assert "may act" in server.cli("stop-all", "--off").stdout
        made = server.agent("Cli agent", "autonomous")["id"]
        assert "paused" in server.cli("agent", "pause", made, "--cancel").stdout
        assert [r["version"] for r in server.items("/v1/policy/history")] == [3, 2]

    def test_python(self, server):
        made = server.agent("Py", "intern")["id"]
        with guild.open(server.url, token=server.token) as db:
            assert db.policy_set("send_email", 2, "python").version == 2
            assert db.enforce(made, "send_email").proceed
            assert len(db.policy()) > 100 and [c.reason for c in db.policy_history()] == ["python"]
            assert db.policy_set("send_email", None).overridden is False
            assert db.emergency(5, "python").on and not db.emergency(0, "python").on
            assert db.stop_all("python").on
            with pytest.raises(guild.GuildError):
                db.enforce(made, "read")
            assert not db.stop_all("python", on=False).on
