"""Every row of /openapi.json against live replies, both ways: no member that is not described, none missing, order, types, times."""
import json
import re

import pytest
from support.harness import wait_for

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
PYTHON = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "object": dict, "array": list, "null": type(None)}
NOBODY = "00000000-0000-7000-8000-000000000000"


class Document:
    """The description, and what was compared with it."""

    def __init__(self, server):
        self.tree = server.anonymous().get("/openapi.json").ok(200)
        self.compared = set()

    @property
    def operations(self):
        return {(method.upper(), path): op for path, item in self.tree["paths"].items() for method, op in item.items()}

    def resolved(self, schema):
        while "$ref" in schema:
            at = self.tree
            for part in schema["$ref"].removeprefix("#/").split("/"):
                at = at[part]
            schema = at
        return schema

    def fits(self, schema, value, where):
        schema = self.resolved(schema)
        if "anyOf" in schema:
            if value is None:
                return
            schema = self.resolved(schema["anyOf"][0])
        if "type" not in schema:
            return
        kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        good = any(isinstance(value, PYTHON[kind]) and (kind == "boolean" or not isinstance(value, bool)) for kind in kinds)
        assert good, f"{where} is {value!r}, described as {kinds}"
        if schema.get("format") == "date-time" and value is not None:
            assert TIME.fullmatch(value), f"{where} is {value!r}"
        if isinstance(value, dict) and "properties" in schema:
            described = list(schema["properties"])
            assert set(value) <= set(described), f"{where} has {set(value) - set(described)}, which is not described"
            assert set(schema["required"]) <= set(value), f"{where} lacks {set(schema['required']) - set(value)}"
            assert list(value) == [name for name in described if name in value], f"{where}: order is {list(value)}"
            for name, member in value.items():
                self.fits(schema["properties"][name], member, f"{where}.{name}")
        if isinstance(value, list) and "items" in schema:
            for item in value:
                self.fits(schema["items"], item, where + "[]")

    def component(self, name, value):
        self.fits({"$ref": f"#/components/schemas/{name}"}, value, name)

    def reply(self, client, method, path, body=None, **ids):
        """Asks, and compares the good answer with what is described for its status."""
        target = path
        for name, id in ids.items():
            target = target.replace("{" + name + "}", id)
        query = ids.get("query", "")
        reply = client.request(method, target + query, body)
        assert reply.status < 300, f"{method} {target}: {reply.text}"
        described = self.operations[method, path]["responses"]
        assert str(reply.status) in described, f"{method} {path} answers {reply.status}, described are {list(described)}"
        content = described[str(reply.status)].get("content")
        self.compared.add((method, path))
        if content is None:
            assert reply.text == "", f"{method} {path} has a body"
            return None
        kind = reply.headers["content-type"].split(";")[0]
        assert kind in content, f"{method} {path} answers {kind}, described are {list(content)}"
        if kind == "application/json":
            self.fits(content[kind]["schema"], reply.body, f"{method} {path}")
            return reply.body
        return reply.text


def compare_agents(document, server, user):
    made = document.reply(user, "POST", "/v1/agents", {"name": "Schema", "kind": "external", "model": {"provider": "openai", "model": "x"},
                                                       "configuration": {"a": 1}, "capabilities": ["read"], "system_prompt": "x"})
    id = made["id"]
    for client in (user, server, server.second_user("viewer")):
        document.reply(client, "GET", "/v1/agents/{id}", id=id)
        document.reply(client, "GET", "/v1/agents/{id}/rate-limit", id=id)
        listed = document.reply(client, "GET", "/v1/agents", query="?limit=1")
        assert listed["has_more"] and listed["next_cursor"]
    document.reply(user, "PATCH", "/v1/agents/{id}", {"description": "changed", "model": None}, id=id)
    for verb in ("pause", "resume", "stop", "resume"):
        document.reply(user, "POST", f"/v1/agents/{{id}}/{verb}", id=id)
    for verb, more in (("promote", {"override": True}), ("demote", {"incident": True})):
        document.reply(server, "POST", f"/v1/agents/{{id}}/{verb}", {"reason": "a test", **more}, id=id)
    unready = server.post(f"/v1/agents/{id}/promote")
    assert (unready.status, unready.code) == (409, "not_ready")
    document.component("problem", unready.body)
    given = document.reply(user, "POST", "/v1/agents/{id}/feedback", {"thumbs": "up", "rating": 5, "correction": "c"}, id=id)
    document.reply(user, "GET", "/v1/feedback/{id}", id=given["id"])
    document.reply(server, "POST", "/v1/feedback/{id}/accept", {"note": "seen"}, id=given["id"])
    document.reply(server, "POST", "/v1/feedback/{id}/reject", id=given["id"])
    for what in ("readiness", "reputation"):
        document.reply(user, "GET", f"/v1/agents/{{id}}/{what}", id=id)
    document.reply(server, "GET", "/v1/feedback", query="?status=accepted&limit=1")
    document.reply(user, "POST", "/v1/agents/{id}/tokens", {"label": "program"}, id=id)
    for action in ("search", "chat", "delete"):
        document.reply(user, "POST", "/v1/agents/{id}/decide", {"action": action, "require_approval": action == "search"}, id=id)
    for query in ("", "?agent=" + id, "?agent=nobody-of-that-name"):
        document.reply(user, "GET", "/v1/resolve", query=query)
    document.reply(user, "POST", "/v1/agents/{id}/archive", id=id)


def compare_people(document, server, user):
    made = document.reply(server, "POST", "/v1/users", {"name": "Eve", "role": "viewer"})
    document.reply(server, "GET", "/v1/users/{id}", id=made["id"])
    for change in ({"name": "Eva"}, {"disabled": True}, {"disabled": False}):
        document.reply(server, "PATCH", "/v1/users/{id}", change, id=made["id"])
    document.reply(server, "PATCH", "/v1/users/{id}", {"specialty": ["support"]}, id=made["id"])
    document.reply(server, "DELETE", "/v1/users/{id}", id=made["id"])
    document.reply(server, "GET", "/v1/users")
    document.reply(server, "POST", "/v1/users/{id}/erase", id=made["id"])
    document.reply(server, "GET", "/v1/users/{id}/erase", id=made["id"])
    document.reply(user, "GET", "/v1/me")
    document.reply(user, "POST", "/v1/auth/login", {"token": user.token})
    document.reply(user, "POST", "/v1/auth/logout")
    token = document.reply(user, "POST", "/v1/tokens", {"expires_in_s": 60})
    document.reply(user, "POST", "/v1/tokens", None)
    document.reply(user, "GET", "/v1/tokens")
    token = document.reply(user, "POST", "/v1/tokens/{id}/rotate", {"expires_in_s": 90}, id=token["id"])
    document.reply(user, "DELETE", "/v1/tokens/{id}", id=token["id"])
    made = document.reply(server, "POST", "/v1/workspaces", {"name": "Compared"})
    document.reply(server, "GET", "/v1/workspaces")
    document.reply(server, "PATCH", "/v1/workspaces/{id}", {"default_agent": "chat-assistant"}, id=made["id"])
    key = document.reply(user, "POST", "/v1/keys", {"provider": "elsewhere", "key": "sk-0123456789abcdef", "base_url": "https://llm.example.org/v1"})
    document.reply(user, "GET", "/v1/keys")
    document.reply(user, "DELETE", "/v1/keys/{id}", id=key["id"])


def compare_runs(document, server, user, provider):
    run = document.reply(user, "POST", "/v1/chat", {"message": "hello"})
    document.reply(user, "POST", "/v1/agents/{id}/chat", {"message": "hello"}, id="chat-assistant")
    provider.script({"deltas": ["a"], "cut_after": 1})
    failed = user.chat("fail")
    assert failed.status == 502
    document.component("run_problem", failed.body)
    student = server.agent("Schema student")
    refused = user.chat("refused", agent=student["id"])
    assert refused.status == 403
    document.component("run_problem", refused.body)
    with user.stream('script:{"deltas":["a","b"]}') as stream:
        assert [event.event for event in stream][-1] == "result"
        document.component("run", stream.result)
    document.compared.add(("POST", "/v1/chat"))
    with user.stream('script:{"deltas":["a"],"hold_after":1}') as stream:
        stream.until("streaming:update")
        execution = stream.headers["x-execution-id"]
        document.reply(user, "GET", "/v1/executions/{id}", id=execution)
        document.reply(user, "POST", "/v1/executions/{id}/cancel", id=execution)
        list(stream)
        document.component("run", stream.result)
    for id in (execution, run["execution_id"], failed.body["execution_id"]):
        document.reply(user, "GET", "/v1/executions/{id}", id=id)
        assert document.reply(user, "GET", "/v1/executions/{id}/events", id=id).startswith("retry: 1000\n\n")
    for query in ("", "?include=refused&limit=3", "?status=failed"):
        assert document.reply(user, "GET", "/v1/executions", query=query)["items"]
    return run["session_id"]


def compare_sessions(document, user, session):
    made = document.reply(user, "POST", "/v1/sessions", {"title": "new", "agent": "chat-assistant"})
    document.reply(user, "POST", "/v1/sessions", None)
    document.reply(user, "GET", "/v1/sessions")
    document.reply(user, "GET", "/v1/sessions/{id}", id=session)
    document.reply(user, "PATCH", "/v1/sessions/{id}", {"title": "another"}, id=session)
    document.reply(user, "PUT", "/v1/sessions/{id}/agent", {"agent": "chat-assistant"}, id=session)
    assert len(document.reply(user, "GET", "/v1/sessions/{id}/messages", id=session)["items"]) == 2
    document.reply(user, "DELETE", "/v1/sessions/{id}", id=made["id"])


def compare_channels(document, server, user):
    made = document.reply(user, "POST", "/v1/channels", {"name": "schema", "type": "support", "private": True})
    assert document.reply(user, "POST", "/v1/channels", {"name": "schema"})["id"] == made["id"]
    document.reply(user, "GET", "/v1/channels/{id}", id=made["id"])
    document.reply(user, "GET", "/v1/channels")
    agent = server.agent("Schema member")
    for member in ("me", agent["id"]):
        document.reply(user, "PUT", "/v1/channels/{id}/members/{member}", id=made["id"], member=member)
    assert len(document.reply(user, "GET", "/v1/channels/{id}/members", id=made["id"])["items"]) == 2
    document.reply(user, "DELETE", "/v1/channels/{id}/members/{member}", id=made["id"], member="me")


def compare_posts(document, server, user):
    agent = server.agent("Schema posts")
    made = document.reply(user, "POST", "/v1/posts", {
        "content": "#one @schema-posts ann@example.org", "mentions": [{"kind": "task", "id": "T-1"}]})
    assert len(made["mentions"]) == 2 and made["redacted"] and agent["id"] in str(made["mentions"])
    document.reply(server, "POST", "/v1/posts/{id}/replies", {"content": "heard", "type": "insight"}, id=made["id"])
    thumb, flag = "%F0%9F%91%8D", "%F0%9F%87%A9%F0%9F%87%AA"
    for emoji in (thumb, thumb, flag):
        document.reply(user, "PUT", "/v1/posts/{id}/reactions/{emoji}", id=made["id"], emoji=emoji)
    document.reply(user, "DELETE", "/v1/posts/{id}/reactions/{emoji}", id=made["id"], emoji=flag)
    assert len(document.reply(server, "GET", "/v1/posts/{id}/reactions", id=made["id"])["items"]) == 1
    assert document.reply(user, "GET", "/v1/posts/{id}", id=made["id"])["reactions"]
    assert len(document.reply(user, "GET", "/v1/posts/{id}/replies", id=made["id"])["items"]) == 1
    document.reply(user, "DELETE", "/v1/posts/{id}", id=made["id"])


def compare_messages(document, server, user):
    agent, other = server.agent("Schema friend"), server.second_user()
    ids = [document.reply(user, "POST", "/v1/direct-messages", {**to, "content": "hello"})["id"]
           for to in ({"to_agent_id": agent["handle"]}, {"to_user_id": other.id}, {"to_user_id": other.id})]
    assert document.reply(other, "GET", "/v1/direct-messages", query="?limit=1")["unread"] == 2
    document.reply(user, "GET", "/v1/direct-messages", query="?sent=true")
    document.reply(other, "POST", "/v1/direct-messages/{id}/read", id=ids[1])
    assert document.reply(other, "POST", "/v1/direct-messages/read", {"with": user.id})["marked"] == 1
    document.reply(other, "DELETE", "/v1/direct-messages/{id}", id=ids[1])
    document.reply(user, "PUT", "/v1/blocks/{id}", id=agent["id"])
    assert len(document.reply(user, "GET", "/v1/blocks")["items"]) == 1
    document.reply(user, "DELETE", "/v1/blocks/{id}", id=agent["id"])


def compare_feed(document, server, user):
    for _ in range(2):
        server.post("/v1/posts", {"content": "to be listed #schema"}).ok(201)
    for query in ("?limit=1", "?page=1&per_page=1", "?hashtag=schema"):
        assert document.reply(user, "GET", "/v1/feed", query=query)["items"]
    assert document.reply(user, "GET", "/v1/trending")["items"]


def compare_approvals(document, server, user):
    agent = server.post("/v1/agents", {"name": "Asks first", "maturity": "supervised"}).ok(201)["id"]
    admin = server.second_user("admin")
    for verb, number in (("approve", 1), ("reject", 2)):
        asked = {"action": "send_email", "arguments": {"n": number}}
        approval = document.reply(server, "POST", "/v1/agents/{id}/enforce", asked, id=agent)["approval_id"]
        document.reply(server, "GET", "/v1/approvals/{id}", id=approval)
        document.reply(admin, "POST", f"/v1/approvals/{{id}}/{verb}", {"note": "x"}, id=approval)
    document.reply(server, "POST", "/v1/agents/{id}/enforce", {"action": "read"}, id=agent)
    document.reply(server, "GET", "/v1/approvals")


def compare_policy(document, server):
    document.reply(server, "PUT", "/v1/policy/{action}", {"level": 4}, action="launch")
    document.reply(server, "PUT", "/v1/policy/{action}", {"level": None, "reason": "x"}, action="launch")
    assert len(document.reply(server, "GET", "/v1/policy/history")["items"]) == 2
    for on in (True, False):
        document.reply(server, "POST", "/v1/emergency", {"minutes": int(on), "reason": "x"})
        document.reply(server, "POST", "/v1/kill-switch", {"on": on, "reason": "x"})
        document.reply(server, "GET", "/v1/emergency")
        document.reply(server, "GET", "/v1/kill-switch")


def compare_money(document, server, user):
    agent = server.agent("Schema money")["id"]
    for scope, body in ((f"agent:{agent}", {"limit_micro": 5, "mode": "hard"}), ("workspace", {"time_zone": "+01:00"})):
        document.reply(server, "PUT", "/v1/budgets/{scope}", body, scope=scope)
    assert len(document.reply(server, "GET", "/v1/budgets")["items"]) == 2
    assert document.reply(server, "GET", "/v1/agents/{id}", id=agent)["budget"]
    # What was asked of the scripted provider has no price there, and costs the pessimistic one.
    spend = document.reply(user, "GET", "/v1/spend")
    assert spend["days"] and spend["agents"] and spend["users"] and spend["models"]
    assert document.reply(user, "GET", "/v1/catalogue", query="?limit=2")["has_more"]


def compare_proofs(document, server):
    wait_for(lambda: document.reply(server, "GET", "/v1/audit/checkpoint")["checkpoint"], "a checkpoint")
    document.reply(server, "GET", "/v1/audit/consistency", query="?from=1")
    first = server.items("/v1/audit?limit=100")[-1]["id"]
    wait_for(lambda: server.get(f"/v1/audit/{first}/proof").status == 200, "a checkpoint over it")
    document.reply(server, "GET", "/v1/audit/{id}/proof", id=first)
    assert server.get("/v1/audit/export").text.endswith("}}\n")
    document.compared.add(("GET", "/v1/audit/export"))
    assert '"type":"end"' in server.get("/v1/users/me/export").text.splitlines()[-1]
    document.compared.add(("GET", "/v1/users/{id}/export"))


def compare_server(document, server, user):
    for client in (server, user, server.anonymous()):
        document.reply(client, "GET", "/healthz")
        document.reply(client, "GET", "/readyz")
    assert "# TYPE guild_" in document.reply(server, "GET", "/metrics")
    document.reply(server.anonymous(), "GET", "/openapi.json")
    for client in (server, user):
        assert document.reply(client, "GET", "/v1/audit", query="?limit=100")["items"]
    document.reply(server, "GET", "/v1/audit/verify")
    compare_proofs(document, server)
    document.reply(server, "GET", "/v1/verify")
    for path in ("/v1/backup", "/v1/verify"):
        document.reply(server, "POST", path)
        wait_for(lambda path=path: document.reply(server, "GET", path)["state"] == "done", f"the end of {path}")
    assert document.reply(user, "GET", "/v1/policy", query="?limit=2")["has_more"]
    document.reply(user, "POST", "/v1/events", {"type": "x.test", "topics": ["room"], "data": {"a": [1]}})


def compare_events(document, server, user):
    """The events of both doors, a durable one and one that is not."""
    agent = server.agent("Schema events")
    topics = ["room", f"agent:{agent['id']}"]
    with user.ws() as socket:
        assert socket.ask({"type": "subscribe", "topics": topics})["type"] == "ok"
        user.post("/v1/events", {"type": "x.test", "topics": ["room"]})
        server.post(f"/v1/agents/{agent['id']}/pause").ok(200)
        got = [m for m in socket.until(lambda m: m.get("event", {}).get("type") == "agent_changed") if m["type"] == "event"]
        assert len(got) >= 2
        for message in got:
            document.component("event", message)
    document.compared |= {("GET", "/v1/ws"), ("GET", "/v1/events")}


def test_every_row(make_server_with_provider, provider):
    """T4, T38: all of them, so that a row without a comparison fails here."""
    server = make_server_with_provider(env={"GUILD_AUDIT_CHECKPOINT_EVERY": "0.1"})
    document, user = Document(server), server.second_user("member")
    compare_agents(document, server, user)
    compare_people(document, server, user)
    session = compare_runs(document, server, user, provider)
    compare_sessions(document, user, session)
    compare_channels(document, server, user)
    compare_posts(document, server, user)
    compare_messages(document, server, user)
    compare_feed(document, server, user)
    compare_approvals(document, server, user)
    compare_policy(document, server)
    compare_money(document, server, user)
    compare_server(document, server, user)
    compare_events(document, server, user)
    missing = set(document.operations) - document.compared
    assert not missing, f"no live reply was compared for {missing}"


@pytest.mark.parametrize("method, path, body, status", [
    ("GET", "/nothing", None, 404), ("DELETE", "/v1/chat", None, 405), ("POST", "/v1/chat", b"{", 400), ("POST", "/v1/chat", {"a": 1}, 422),
    ("GET", "/v1/agents?limit=0", None, 422), ("GET", "/v1/agents?cursor=x", None, 400), ("GET", "/v1/ws", None, 426),
    ("GET", "/v1/executions/x", None, 404), ("GET", "/v1/sessions/x", None, 404), ("GET", "/v1/agents/x", None, 404),
    ("POST", "/v1/chat", {"message": "x", "session_id": NOBODY}, 404), ("POST", "/v1/agents", {"name": "x", "handle": "chat-assistant"}, 409),
    ("POST", "/v1/agents/chat-assistant/resume", None, 200), ("PATCH", "/v1/agents/chat-assistant", {"name": ""}, 422)])
def test_problems(shared_server, method, path, body, status):
    reply = shared_server.request(method, path, body)
    assert reply.status == status, reply.text
    if status >= 400:
        Document(shared_server).component("run_problem" if "success" in reply.body else "problem", reply.body)
        assert reply.body["status"] == status and reply.headers["content-type"] == "application/problem+json"


def test_revision_conflicts(shared_server):
    agent = shared_server.agent("Conflict")
    reply = shared_server.patch(f"/v1/agents/{agent['id']}", {"description": "x"}, headers={"If-Match": '"7"'})
    assert reply.status == 409 and reply.body["revision"] == agent["revision"]
    Document(shared_server).component("problem", reply.body)


def test_bodies_and_queries_are_those_of_the_rows(shared_server):
    """What the description forbids is refused: an undescribed member of each body, an undescribed parameter of each query."""
    document = Document(shared_server)
    for (method, path), op in document.operations.items():
        target = re.sub(r"\{[^}]+\}", NOBODY, path)
        if path != "/v1/ws":
            reply = shared_server.request(method, target + "?undescribed=1", None if method in ("GET", "DELETE") else {})
            assert reply.status == 422 and reply.body["errors"][0]["pointer"] == "undescribed", (method, path, reply.text)
        if "requestBody" in op:
            schema = op["requestBody"]["content"]["application/json"]["schema"]
            assert schema["additionalProperties"] is False
            reply = shared_server.request(method, target, {"undescribed": 1})
            assert reply.status == 422 and reply.body["errors"][0]["pointer"] == "/undescribed", (method, path, reply.text)
            for name in schema["required"]:
                rest = {other: "x" for other in schema["required"] if other != name}
                reply = shared_server.request(method, target, rest)
                assert reply.status == 422 and reply.body["errors"], (method, path, name, reply.text)


def test_lists_have_their_bounds(shared_server):
    """T26: 1 to 100 everywhere, and cursors that were tampered with or made for another list are refused."""
    document = Document(shared_server)
    for name in ("Bound one", "Bound two"):
        shared_server.agent(name)
        shared_server.chat("hello").ok(200)
        shared_server.second_user()
        shared_server.post("/v1/tokens", {}).ok(201)
        shared_server.post("/v1/keys", {"provider": name.split()[1], "key": "sk-0123456789ab"}).ok(201)
        writer = shared_server.second_user()
        writer.post("/v1/direct-messages", {"to_user_id": shared_server.get("/v1/me").ok(200)["id"], "content": name}).ok(201)
        shared_server.put(f"/v1/blocks/{writer.id}").ok(200)
        channel = shared_server.post("/v1/channels", {"name": name.split()[1]}).ok(200, 201)["id"]
        shared_server.put(f"/v1/channels/{channel}/members/" + shared_server.second_user().id).ok(200)
    shared_server.post("/v1/posts", {"content": "before"}).ok(201)
    shared_server.post("/v1/workspaces", {"name": "Bound workspace"}).ok(201)
    post = shared_server.post("/v1/posts", {"content": "x"}).ok(201)["id"]
    for _ in range(2):
        shared_server.post(f"/v1/posts/{post}/replies", {"content": "x"}).ok(201)
    for level in (3, 4):
        shared_server.put("/v1/policy/bound", {"level": level}).ok(200)
    asks = shared_server.post("/v1/agents", {"name": "Bound asks", "maturity": "supervised"}).ok(201)["id"]
    for number in range(2):
        shared_server.post(f"/v1/agents/{asks}/enforce", {"action": "send_email", "arguments": {"n": number}}).ok(202)
        shared_server.post(f"/v1/agents/{asks}/feedback", {"rating": 3}).ok(201)
    for scope in ("workspace", f"agent:{asks}"):
        shared_server.put(f"/v1/budgets/{scope}", {"limit_micro": 10**9}).ok(200)
    ids = {"/v1/channels/{id}/members": channel, "/v1/posts/{id}/replies": post}
    session = shared_server.items("/v1/sessions")[0]["id"]
    lists = [path for (method, path), op in document.operations.items() if any(p["name"] == "cursor" for p in op["parameters"])]
    assert len(lists) >= 9
    cursors = {}
    for path in lists:
        target = path.replace("{id}", ids.get(path, session))
        for limit in ("0", "101", "-1", "", "1.5", "1e1", "9" * 30, "%31%00"):
            assert shared_server.get(f"{target}?limit={limit}").status in (400, 422), (path, limit)
        for limit in (1, 100):
            page = shared_server.get(f"{target}?limit={limit}").ok(200)
            assert len(page["items"]) <= limit and page["has_more"] == (page["next_cursor"] is not None)
        cursors[path] = shared_server.get(f"{target}?limit=1").ok(200)["next_cursor"]
        assert cursors[path], path
    for path, cursor in cursors.items():
        target = path.replace("{id}", ids.get(path, session))
        for at in range(0, len(cursor), 5):
            other = cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1:]
            assert shared_server.get(f"{target}?limit=1&cursor={other}").status == 400, (path, at)
        for foreign in set(cursors.values()) - {cursor}:
            assert shared_server.get(f"{target}?limit=1&cursor={foreign}").status == 400, path
        assert shared_server.get(f"{target}?limit=1&cursor={cursor}").status == 200


def test_times_and_words_of_filters(shared_server):
    for query in ("since=yesterday", "until=2026-13-01T00:00:00Z", "status=finished", "include=everything", "since=2026-01-01"):
        assert shared_server.get(f"/v1/executions?{query}").status == 422, query
    assert json.loads(shared_server.get("/v1/executions?status=COMPLETED").text)["has_more"] in (True, False)
