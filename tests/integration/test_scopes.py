"""What a token may be used for: a part of what its owner's role permits, over every door, until it ends."""
import json
import re

import pytest
from support.harness import wait_for

NOBODY = "00000000-0000-7000-8000-000000000000"
SCOPES = ["chat", "act_as", "agents:read", "agents:write", "social:read", "social:write", "messages", "memory:read", "memory:write",
          "approvals:read", "approvals:decide", "policy:read", "policy:write", "keys:write", "budgets:write", "audit:read", "events:read",
          "events:publish", "admin"]
OF_ADMINS = {"act_as", "approvals:decide", "policy:write", "budgets:write", "admin"}
OF_MEMBERS = OF_ADMINS | {"agents:write", "social:write", "memory:write", "keys:write", "audit:read", "events:publish"}


def narrowed(server, *scopes, who=None, **terms):
    """A token of who's (the operator's) with those scopes only."""
    return server.client((who or server).post("/v1/tokens", {"scopes": list(scopes), **terms}).ok(201)["token"])


def operations(server):
    return [(method.upper(), path, row) for path, rows in server.get("/openapi.json").ok(200)["paths"].items() for method, row in rows.items()]


def call(client, method, path):
    """With nothing that exists, so that what the token may not do is told before anything else is looked at."""
    target = re.sub(r"\{[^}]+\}", NOBODY, path)
    return client.request(method, target, {} if method in ("POST", "PUT", "PATCH") else None)


class TestRoutes:
    def test_every_route_names_its_scope(self, shared_server):
        """T4: a row without one is refused at start; each is one of the known words, open ones and no others need none."""
        for method, path, row in operations(shared_server):
            assert row["x-scope"] in [*SCOPES, "open", "signed_in", "whole"], (method, path)
            assert (row["x-scope"] == "open") == ({} in row["security"]), (method, path)

    def test_every_route_wants_it(self, shared_server):
        """T4: a token that has all other scopes is refused by name, whatever its owner's role."""
        lacking = {scope: narrowed(shared_server, *[other for other in SCOPES if other != scope]) for scope in SCOPES}
        for method, path, row in operations(shared_server):
            scope = row["x-scope"]
            if scope in ("open", "signed_in"):
                continue
            reply = call(lacking.get(scope, lacking["act_as"]), method, path)
            assert (reply.status, reply.code) == (403, "permission_denied"), (method, path, reply.text)
            assert (f"the scope {scope}." if scope in SCOPES else "all scopes of your role") in reply.body["detail"], (method, path)

    def test_no_route_wants_more(self, shared_server):
        """With its one scope a token gets past the door."""
        having = {scope: narrowed(shared_server, scope) for scope in SCOPES}
        for method, path, row in operations(shared_server):
            if row["x-scope"] not in having or path in ("/v1/backup", "/v1/verify", "/v1/audit/export", "/v1/audit/verify"):
                continue
            reply = call(having[row["x-scope"]], method, path) if path != "/v1/events" else having["events:read"].get("/v1/events?topics=%20")
            assert "scope" not in reply.text or reply.status != 403, (method, path, reply.text)
            assert reply.status != 401

    def test_what_any_token_may(self, shared_server):
        client = narrowed(shared_server, "messages")
        me = client.get("/v1/me").ok(200)
        assert me["scopes"] == ["messages"] and me["role"] == "operator" and me["expires_at"] is None
        assert client.get("/healthz").ok(200) and "store" not in client.get("/healthz").body
        assert shared_server.get("/v1/me").ok(200)["scopes"] == SCOPES

    def test_an_admin_without_admin_is_a_member(self, shared_server):
        """It sees its own things only, also where it may look."""
        user = shared_server.second_user()
        session = user.post("/v1/sessions", {"title": "mine"}).ok(201)["id"]
        assert shared_server.get(f"/v1/sessions/{session}").status == 200
        client = narrowed(shared_server, *[scope for scope in SCOPES if scope != "admin"])
        assert client.get(f"/v1/sessions/{session}").status == 404
        assert session not in [row["id"] for row in client.items("/v1/sessions?limit=100")]
        agent = user.agent("Of a user")
        assert client.post(f"/v1/agents/{agent['id']}/pause").status == 403
        assert client.post("/v1/agents", {"name": "x", "maturity": "autonomous"}).status == 403


class TestMaking:
    @pytest.mark.parametrize("role, without", [("viewer", OF_MEMBERS), ("member", OF_ADMINS), ("admin", set())])
    def test_a_subset_of_the_role_s(self, shared_server, role, without):
        user = shared_server.second_user(role)
        assert user.get("/v1/me").ok(200)["scopes"] == [scope for scope in SCOPES if scope not in without]
        for scope in without:
            reply = user.post("/v1/tokens", {"scopes": ["chat", scope]})
            assert (reply.status, reply.body["errors"][0]["pointer"]) == (422, "/scopes"), reply.text
            assert scope in reply.body["detail"] and role in reply.body["detail"]
            assert shared_server.post("/v1/tokens", {"scopes": [scope], "user_id": user.id}).status == 422
        made = user.post("/v1/tokens", {"scopes": ["CHAT", "social:read"]}).ok(201)
        assert made["scopes"] == ["chat", "social:read"]
        assert [row["scopes"] for row in user.items("/v1/tokens") if row["id"] == made["id"]] == [["chat", "social:read"]]

    @pytest.mark.parametrize("scopes", [[], ["nothing"], ["chat", 7], "chat", ["chat "]])
    def test_what_is_no_scope(self, shared_server, scopes):
        reply = shared_server.post("/v1/tokens", {"scopes": scopes})
        assert (reply.status, reply.body["errors"][0]["pointer"]) == (422, "/scopes")

    def test_an_agent_s(self, shared_server):
        agent = shared_server.agent("Narrow", "autonomous", kind="external")["id"]
        client = shared_server.client(shared_server.post(f"/v1/agents/{agent}/tokens", {"scopes": ["social:read"]}).ok(201)["token"])
        assert client.get("/v1/feed").status == 200
        assert "social:write" in client.post("/v1/posts", {"content": "x"}).body["detail"]
        for scope in ("admin", "agents:write", "approvals:decide", "policy:write", "keys:write", "act_as"):
            assert shared_server.post(f"/v1/agents/{agent}/tokens", {"scopes": [scope]}).status == 422

    def test_none_makes_others(self, shared_server):
        """Whoever gets hold of a narrowed token gets nothing that outlives it, and cannot end what its owner has."""
        client = narrowed(shared_server, *SCOPES[:-1])
        other = shared_server.post("/v1/tokens", {}).ok(201)["id"]
        agent = shared_server.agent("Ext of all", kind="external")["id"]
        for reply in (client.post("/v1/tokens", {"scopes": ["chat"]}), client.get("/v1/tokens"), client.delete(f"/v1/tokens/{other}"),
                      client.post(f"/v1/tokens/{other}/rotate"), client.post(f"/v1/agents/{agent}/tokens")):
            assert reply.status == 403 and "all scopes of your role" in reply.body["detail"]

    def test_kept_and_told(self, server):
        """They survive a restart, and the audit log says them."""
        client = narrowed(server, "social:read")
        made = [row for row in server.items("/v1/audit?action=grant") if row["change"]["new"].get("scopes") == ["social:read"]]
        assert len(made) == 1
        server.restart()
        assert client.get("/v1/feed").status == 200 and client.get("/v1/agents").status == 403


class TestSockets:
    MESSAGES = {"subscribe": ("events:read", {"topics": ["room"]}), "publish": ("events:publish", {"topics": ["room"], "event": {"type": "x.a"}}),
                "chat": ("chat", {"message": "hello"}), "cancel": ("chat", {"execution_id": NOBODY}),
                "resume": ("chat", {"execution_id": NOBODY, "after": 0}), "decide": ("policy:read", {"agent_id": NOBODY, "action": "search"}),
                "enforce": ("chat", {"agent_id": NOBODY, "action": "search", "arguments": {}})}

    def test_each_message_wants_its_scope(self, shared_server):
        lacking = {scope: narrowed(shared_server, *[other for other in SCOPES if other != scope])
                   for scope in ("chat", "events:read", "events:publish", "policy:read")}
        for kind, (scope, members) in self.MESSAGES.items():
            with lacking[scope].ws() as socket:
                answer = socket.ask({"type": kind, **members})
                assert answer["code"] == "permission_denied" and f"scope {scope}." in answer["detail"], answer
            with narrowed(shared_server, scope).ws() as socket:
                assert "scope" not in socket.ask({"type": kind, **members}).get("detail", "")

    def test_without_listening_nothing_is_told(self, shared_server):
        """A token that may chat gets its streams, and no events."""
        user = shared_server.second_user()
        client = narrowed(shared_server, "chat", who=user)
        with client.ws() as socket:
            user.post("/v1/direct-messages", {"to_user_id": user.id, "content": "to myself"})
            shared_server.post("/v1/direct-messages", {"to_user_id": user.id, "content": "hello"}).ok(201)
            assert socket.ask({"type": "chat", "message": "hello"})["type"] == "ok"
            frames = socket.until(lambda m: m["type"] == "streaming:complete")
            assert frames and {frame["type"] for frame in frames} == {"streaming:start", "streaming:update", "streaming:complete"}

    def test_a_narrower_token_counts_at_once(self, shared_server):
        user = shared_server.second_user()
        with user.ws() as socket:
            assert socket.ask({"type": "subscribe", "topics": ["room-n"]})["type"] == "ok"
            narrow = narrowed(shared_server, "events:publish", who=user)
            assert socket.ask({"type": "auth.refresh", "token": narrow.token})["type"] == "ok"
            assert socket.ask({"type": "publish", "topics": ["room-n"], "event": {"type": "x.a"}})["type"] == "ok"
            assert socket.ask({"type": "stats"})["type"] == "ok"
            assert not [m for m in socket.drain() if m["type"] == "event"]


class TestEnds:
    def test_expiry(self, shared_server):
        """AC-169: what a token has open ends with it."""
        client = narrowed(shared_server, "chat", "events:read", expires_in_s=1)
        with client.ws() as socket:
            connection, response = client.open("GET", "/v1/events?topics=room")
            assert response.status == 200
            assert socket.close_code() == 4001
            while response.read1(4096):
                pass
            connection.close()
        assert client.get("/v1/me").status == 401

    def test_rotation(self, shared_server):
        """The new one has the same scopes and as much time; the old one and what it has open end."""
        user = shared_server.second_user()
        old = user.post("/v1/tokens", {"scopes": ["chat", "events:read"], "label": "robot", "expires_in_s": 1000}).ok(201)
        client = shared_server.client(old["token"])
        with client.ws() as socket:
            new = client.post(f"/v1/tokens/{old['id']}/rotate").ok(201)
            assert socket.close_code() == 4001
        assert client.get("/v1/me").status == 401
        assert (new["scopes"], new["label"]) == (old["scopes"], "robot") and new["expires_at"] > old["expires_at"]
        renewed = shared_server.client(new["token"])
        assert renewed.get("/v1/me").ok(200)["scopes"] == ["chat", "events:read"]
        assert [row["id"] for row in user.items("/v1/tokens") if row["label"] == "robot"] == [new["id"]]
        assert user.post(f"/v1/tokens/{old['id']}/rotate").status == 409
        assert shared_server.second_user().post(f"/v1/tokens/{new['id']}/rotate").status == 404
        assert renewed.post(f"/v1/tokens/{new['id']}/rotate", {"expires_in_s": 0}).status == 422
        shortened = renewed.post(f"/v1/tokens/{new['id']}/rotate", {"expires_in_s": 5}).ok(201)
        assert shortened["expires_at"] < old["expires_at"]

    def test_revocation_closes_streams(self, shared_server):
        """T14"""
        token = shared_server.post("/v1/tokens", {"scopes": ["events:read"]}).ok(201)
        client = shared_server.client(token["token"])
        connection, response = client.open("GET", "/v1/events?topics=room")
        assert response.status == 200
        with client.ws() as socket:
            shared_server.delete(f"/v1/tokens/{token['id']}").ok(204)
            assert socket.close_code() == 4001
        while response.read1(4096):
            pass
        connection.close()


class TestCommandLine:
    def test_token_create(self, shared_server):
        made = shared_server.cli("token", "create", "--scope", "social:read, chat", "--json")
        assert made.returncode == 0, made.stderr
        token = json.loads(made.stdout)
        assert token["scopes"] == ["chat", "social:read"]
        env = {"GUILD_TOKEN": token["token"]}
        assert shared_server.cli("feed", env=env).returncode == 0
        refused = shared_server.cli("agent", "list", env=env)
        assert refused.returncode == 4 and "agents:read" in refused.stderr
        assert shared_server.cli("token", "create", "--scope", "everything").returncode != 0
        rotated = shared_server.cli("token", "rotate", token["id"], "--expires-in", "1h")
        assert rotated.returncode == 0
        assert wait_for(lambda: shared_server.client(token["token"]).get("/v1/me").status == 401, "the old one's end")
        assert shared_server.client(rotated.stdout.strip()).get("/v1/me").ok(200)["expires_at"]
