"""A person is taken out of the store: nothing of them is left in any file of the data directory, in a later backup, or in memory; what others
have stays, the audit log holds, and a server that dies in between goes on where it was."""
import contextlib
import http.client
import json
import os
import sqlite3

import pytest
from support.harness import wait_for
from support.social import human

CANARY = "CANARY7f3a"
DIED = 137


def canary(what):
    return f"{CANARY}{what}"


def hits(data, wanted=CANARY):
    """Where in which file of the directory the text stands, whatever the case."""
    found = []
    for where, _, names in os.walk(data):
        for name in names:
            content = open(os.path.join(where, name), "rb").read().lower()
            at = content.find(wanted.lower().encode())
            if at >= 0:
                found.append(f"{name}@{at}: {content[max(0, at - 60):at + 60]!r}")
    return found


@contextlib.contextmanager
def server_at_rest(server):
    store = sqlite3.connect(f"file:{server.data}/guild.db?mode=ro", uri=True)
    try:
        yield store
    finally:
        store.close()


def erased(server, id):
    def look():
        reply = server.get(f"/v1/users/{id}/erase").ok(200)
        return reply if reply["state"] == "done" else None
    return wait_for(look, "the erasure", timeout=60)


def live(server, person, other, rounds=1):
    """Everything a person can leave behind, each with its own text."""
    left = {}
    for i in range(rounds):
        chat = person.chat(canary(f"chat {i} " + "x" * (i * 37 % 900)))
        left["execution"], left["session"] = chat.ok(200)["execution_id"], chat.body["session_id"]
        person.chat(canary(f"again {i}"), session_id=left["session"]).ok(200)
        left["post"] = person.post("/v1/posts", {"content": canary(f"post {i} #{CANARY}tag{i % 7} ") + "y" * (i * 53 % 700)},
                                   headers={"Idempotency-Key": canary(f"key{i}")}).ok(201)["id"]
        person.post(f"/v1/posts/{left['post']}/replies", {"content": canary(f"own reply {i}")}).ok(201)
        person.post("/v1/direct-messages", {"to_user_id": other.id, "content": canary(f"sent {i} ") + "z" * (i * 71 % 500)},
                    headers={"Idempotency-Key": f"dm{i}"}).ok(201)
        mine = other.post("/v1/posts", {"content": f"of the other {i} #kept"}).ok(201)["id"]
        person.put(f"/v1/posts/{mine}/reactions/%F0%9F%91%8D").ok(200, 201)
        person.post(f"/v1/posts/{mine}/replies", {"content": canary(f"reply {i}")}).ok(201)
        other.post("/v1/direct-messages", {"to_user_id": person.id, "content": f"kept by the other {i}"}).ok(201)
        other.post(f"/v1/posts/{left['post']}/replies", {"content": f"others reply {i}"}).ok(201)
    left["others"] = mine
    person.patch(f"/v1/sessions/{left['session']}", {"title": canary("title")}).ok(200)
    person.post("/v1/channels", {"name": f"{CANARY.lower()}-room", "description": canary("about")}).ok(201)
    shared = person.post("/v1/channels", {"name": "shared", "description": canary("shared"), "display_name": canary("shown")}).ok(201)
    other.put(f"/v1/channels/{shared['id']}/members/me").ok(200, 201, 204)
    left["channel"] = shared["id"]
    agent = person.post("/v1/agents", {"name": canary("agent"), "handle": f"{CANARY.lower()}-bot", "system_prompt": canary("prompt"),
                                       "description": canary("described")}).ok(201)
    left["agent"] = agent["id"]
    person.chat(canary("to my agent"), agent=agent["id"])
    person.post("/v1/tokens", {"label": canary("label")}).ok(201)
    person.post("/v1/events", {"type": "x.note", "topics": ["somewhere"], "data": {"text": canary("event")}}).ok(202)
    return left


@pytest.fixture
def person(server):
    return human(server, canary("name"))


@pytest.fixture
def other(server):
    return human(server, "Otto")


class TestErase:
    def test_nothing_is_left_anywhere(self, server, person, other):
        """T18: in no file of the directory, and in no later backup."""
        left = live(server, person, other, rounds=30)
        assert hits(server.data)
        done = server.cli("user", "erase", person.id, "--yes")
        assert done.returncode == 0, done.stderr
        assert hits(server.data) == []
        assert server.cli("backup", "after.db").returncode == 0
        assert hits(server.data) == []
        assert server.cli("verify", str(server.data / "backups" / "after.db")).returncode == 0

        report = server.cli("audit", "verify")
        assert report.returncode == 0 and "erased" in report.stdout
        for path in ("/v1/executions/" + left["execution"], "/v1/sessions/" + left["session"], "/v1/posts/" + left["post"]):
            assert server.get(path).status == 404, path
        assert server.get(f"/v1/agents/{left['agent']}").ok(200)["lifecycle"] == "archived"
        assert CANARY not in json.dumps([server.items("/v1/users"), server.items("/v1/agents"), server.items("/v1/audit"),
                                         server.items("/v1/channels"), server.get("/v1/trending").ok(200)])
        assert server.get("/v1/me", headers={}).status == 200 and person.get("/v1/me").status == 401
        # What is somebody else's stands.
        assert other.get(f"/v1/posts/{left['others']}").ok(200)["reply_count"] == 0
        with server_at_rest(server) as store:
            assert store.execute("SELECT count(*) FROM direct_message WHERE content LIKE 'kept by the other%'").fetchone()[0] == 30
        assert other.get(f"/v1/channels/{left['channel']}").ok(200)["description"] == ""
        assert other.get("/v1/trending").ok(200)["items"][0]["topic"] == "#kept"

    def test_export_says_it_all_first(self, server, person, other, tmp_path):
        left = live(server, person, other, rounds=3)
        file = tmp_path / "mine.jsonl"
        done = server.cli("user", "export", "me", str(file), env={"GUILD_TOKEN": person.token})
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert lines[-1] == {"type": "end", "lines": len(lines) - 1}
        kinds = {line["type"] for line in lines}
        assert kinds == {"user", "token", "agent", "session", "execution", "post", "reaction", "direct_message", "channel", "audit_entry", "end"}
        assert {line["id"] for line in lines if line["type"] == "execution"} >= {left["execution"]}
        assert sum(line["type"] == "post" for line in lines) == 9 and sum(line["type"] == "direct_message" for line in lines) == 6
        assert sum(line["type"] == "reaction" for line in lines) == 3
        said = [line["message"] for line in lines if line["type"] == "execution"]
        assert all(CANARY in text for text in said) and len(said) == 6
        assert server.cli("user", "export", "me", str(file), env={"GUILD_TOKEN": person.token}).returncode == 1
        # An admin's look is in the audit log; others see no such thing.
        assert server.get(f"/v1/users/{person.id}/export").status == 200
        reads = [entry["change"] for entry in server.items("/v1/audit?action=read") if entry["principal"]["id"] != person.id]
        assert [read for read in reads if read.get("principal_id") == person.id]
        assert other.get(f"/v1/users/{person.id}/export").status == 404

    def test_who_may(self, server, person, other):
        admin = human(server, "Adam", "admin")
        assert other.post(f"/v1/users/{person.id}/erase").status == 404
        assert other.get(f"/v1/users/{person.id}/erase").status == 404
        assert server.get(f"/v1/users/{person.id}/erase").status == 404
        me = server.get("/v1/me").ok(200)["id"]
        assert admin.post(f"/v1/users/{me}/erase").status == 403
        assert server.post(f"/v1/users/{me}/erase").status == 409
        assert server.anonymous().post(f"/v1/users/{person.id}/erase").status == 401
        assert admin.post("/v1/users/nobody/erase").status == 404
        first = admin.post(f"/v1/users/{other.id}/erase", headers={"Idempotency-Key": "once"})
        assert first.ok(202)["user_id"] == other.id
        assert admin.post(f"/v1/users/{other.id}/erase", headers={"Idempotency-Key": "once"}).text == first.text
        assert other.get("/v1/me").status == 401
        again = admin.post(f"/v1/users/{other.id}/erase").ok(202)
        assert again["user_id"] == other.id
        assert erased(server, other.id)["ended_at"]
        # Whoever asked by themselves is gone from the entry too; that somebody was erased stays.
        assert person.post("/v1/users/me/erase").ok(202)["state"] == "running"
        wait_for(lambda: person.get("/v1/me").status == 401, "the token to end")
        erased(server, person.id)
        assert hits(server.data) == []
        entries = [entry for entry in server.items("/v1/audit?action=erase") if entry["change"]]
        assert {entry["change"]["principal_id"] for entry in entries} == {person.id, other.id}

    def test_what_an_admin_said(self, server):
        admin, agent = human(server, canary("admin"), "admin"), server.agent("Asks", "supervised")["id"]
        admin.put("/v1/policy/send_email", {"level": 3, "reason": canary("reason")}).ok(200)
        asked = server.post(f"/v1/agents/{agent}/enforce", {"action": "send_email", "arguments": {"to": "x"}}).ok(202)
        admin.post(f"/v1/approvals/{asked['approval_id']}/reject", {"note": canary("note")}).ok(200)
        admin.post(f"/v1/agents/{agent}/enforce", {"action": "send_email", "arguments": {"to": canary("argument")}}).ok(202)
        server.post(f"/v1/users/{admin.id}/erase").ok(202)
        erased(server, admin.id)
        assert hits(server.data) == []
        states = [approval["status"] for approval in server.items("/v1/approvals")]
        assert sorted(states) == ["cancelled", "rejected"]

    def test_a_run_under_way_ends_first(self, make_server_with_provider, provider):
        server = make_server_with_provider()
        provider.script({"deltas": [canary("delta")] * 3, "hold_after": 2})
        person = human(server, canary("name"))
        other = human(server, "Otto")
        with other.ws() as socket:
            assert socket.ask({"type": "subscribe", "topics": ["global"]})["type"] == "ok"
            person.post("/v1/posts", {"content": canary("seen")}).ok(201)
            socket.until("event")
        with person.stream(canary("long")) as stream:
            stream.next()
            server.post(f"/v1/users/{person.id}/erase").ok(202)
            erased(server, person.id)
        assert hits(server.data) == []
        assert CANARY not in json.dumps([str(e.data) for e in later_events(other)])
        server.restart()
        assert CANARY not in server.log()


def later_events(client):
    """What catching up from the beginning gives."""
    from support.harness import Stream
    client.post("/v1/posts", {"content": "the end"}).ok(201)
    with Stream(*client.open("GET", "/v1/events?topics=global&after=0")) as stream:
        seen = []
        for event in stream:
            seen.append(event)
            if "the end" in json.dumps(event.data):
                return seen


@pytest.mark.failpoints
class TestDeath:
    @pytest.mark.parametrize("point", ["erase=exit@2", "erase=exit@9", "before_commit=exit@7", "after_commit=exit@12", "scrub=exit@1"])
    def test_it_goes_on_after_a_death(self, make_server, point):
        server = make_server()
        person, other = human(server, canary("name")), human(server, "Otto")
        live(server, person, other, rounds=4)
        server.restart(GUILD_FAILPOINT=point)
        server.exit_wanted.add(DIED)
        try:
            server.post(f"/v1/users/{person.id}/erase")
        except (OSError, http.client.HTTPException):
            pass
        wait_for(lambda: server.process.poll() == DIED, "its death")
        server.restart(GUILD_FAILPOINT="")
        erased(server, person.id)
        assert hits(server.data) == []
        assert server.cli("audit", "verify").returncode == 0
        assert server.cli("verify").returncode == 0
