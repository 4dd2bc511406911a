"""Two workspaces in one server: whatever is in one is not there for the other, over every door."""
import itertools
import json
import os
import re

import pytest

NOBODY = "00000000-0000-7000-8000-000000000000"
NUMBERS = itertools.count(1)


def workspace(server, **members):
    """A new one, as its first admin."""
    made = server.post("/v1/workspaces", {"name": f"W {os.urandom(4).hex()}", **members}).ok(201)
    client = server.client(made["token"])
    client.id, client.role, client.workspace = made["principal_id"], "admin", made["id"]
    return client


def user_of(admin, server, role="member"):
    user = admin.post("/v1/users", {"name": f"{role} {next(NUMBERS)}", "role": role}).ok(201)
    client = server.client(admin.post("/v1/tokens", {"user_id": user["id"]}).ok(201)["token"])
    client.id, client.role = user["id"], role
    return client


def fill(admin, user):
    """One of everything, by kind."""
    agent = admin.agent(f"Agent {next(NUMBERS)}", "supervised", category="support")
    chat = user.chat("a question", agent=agent["id"]).ok(200)
    asked = admin.post(f"/v1/agents/{agent['id']}/enforce", {"action": "send_email", "arguments": {"to": "x"}}).ok(202)
    channel = user.post("/v1/channels", {"name": f"c{next(NUMBERS)}"}).ok(201)
    post = user.post("/v1/posts", {"content": "hello #automation"}).ok(201)
    user.put(f"/v1/posts/{post['id']}/reactions/%F0%9F%91%8D").ok(201)
    message = admin.post("/v1/direct-messages", {"to_user_id": user.id, "content": "hello"}).ok(201)
    token = user.post("/v1/tokens", {"label": "more"}).ok(201)
    key = admin.post("/v1/keys", {"provider": "openai", "key": "sk-of-the-tests-0123456789-abcdef"}).ok(201)
    admin.delete(f"/v1/keys/{key['id']}").ok(204)
    entry = admin.get("/v1/audit?limit=1").ok(200)["items"][0]
    return {"agent": agent["id"], "handle": agent["handle"], "execution": chat["execution_id"], "session": chat["session_id"],
            "approval": asked["approval_id"], "channel": channel["id"], "channel_name": channel["name"], "post": post["id"],
            "message": message["id"], "user": user.id, "token": token["id"], "entry": entry["id"]}


@pytest.fixture(scope="module")
def world(module_server):
    """The server, an admin and a member of another workspace than the operator's, and what is in the operator's."""
    user = user_of(module_server, module_server)
    things = fill(module_server, user)
    other = workspace(module_server)
    return module_server, user, things, other, user_of(other, module_server)


@pytest.fixture(scope="module")
def module_server(make_shared_server):
    return make_shared_server(env={"GUILD_AUDIT_CHECKPOINT_EVERY": "0.1"})


def kinds_of(path):
    """What the {id}s of a path may name."""
    for prefix, kinds in {"/v1/agents/": ["agent", "handle"], "/v1/executions/": ["execution"], "/v1/sessions/": ["session"],
                          "/v1/approvals/": ["approval"], "/v1/channels/": ["channel", "channel_name"], "/v1/posts/": ["post"],
                          "/v1/direct-messages/": ["message"], "/v1/users/": ["user"], "/v1/tokens/": ["token"], "/v1/audit/": ["entry"],
                          "/v1/blocks/": ["user", "agent", "handle"]}.items():
        if path.startswith(prefix):
            return kinds
    return []


# Bodies that get past the check of members, so that the thing itself is looked for.
BODIES = {"decide": {"action": "search"}, "enforce": {"action": "search", "arguments": {}},
          "promote": {"override": True, "reason": "r"}, "demote": {"reason": "r"},
          "chat": {"message": "m", "strict": True, "stream": False}, "replies": {"content": "c"}, "agent": {"agent_id": NOBODY}}


def body_of(method, path):
    return BODIES.get(path.rsplit("/", 1)[1], {}) if method in ("POST", "PUT", "PATCH") else None


def told(reply, id):
    """What a refusal says, without what belongs to that one request, and without the id that was asked for."""
    body = json.loads(reply.text.replace(id, "ID")) if reply.text else {}
    return reply.status, {name: value for name, value in body.items() if name not in ("instance", "audit_id", "request_id")}


class TestLooksLikeNothing:
    def test_by_id_over_every_route(self, world):
        """T2: another workspace's thing gets the answer that an unknown one gets, from its admin and from a member."""
        server, _, things, admin, member = world
        walked = 0
        for path, rows in server.get("/openapi.json").ok(200)["paths"].items():
            for method, kind in itertools.product(rows, kinds_of(path)):
                if "{" not in path:
                    continue
                method = method.upper()
                for client in (admin, member):
                    ids = things[kind], NOBODY if things[kind].count("-") == 4 else "no-such-thing"
                    targets = [re.sub(r"\{[^}]+\}", id, path, count=1).replace("{member}", "me").replace("{emoji}", "%F0%9F%91%8D")
                               for id in ids]
                    theirs, nothing = [client.request(method, target, body_of(method, path)) for target in targets]
                    assert told(theirs, ids[0]) == told(nothing, ids[1]), (method, path, kind, client.role)
                    assert 400 <= theirs.status < 500, (method, path, kind, theirs.status)
                    walked += 1
        assert walked > 100

    def test_nothing_was_changed(self, world):
        """After all these tries everything is where it was."""
        server, user, things, _, _ = world
        assert server.get(f"/v1/agents/{things['agent']}").ok(200)["lifecycle"] == "active"
        assert server.get(f"/v1/approvals/{things['approval']}").ok(200)["status"] == "pending"
        assert server.get(f"/v1/users/{things['user']}").ok(200)["disabled_at"] is None
        assert user.get(f"/v1/sessions/{things['session']}").status == 200
        assert user.get(f"/v1/posts/{things['post']}").ok(200)["reactions"][0]["count"] == 1
        assert things["token"] in [row["id"] for row in user.items("/v1/tokens")]

    @pytest.mark.parametrize("path", ["/v1/agents", "/v1/executions", "/v1/executions?include=refused", "/v1/sessions", "/v1/approvals",
                                      "/v1/channels", "/v1/feed", "/v1/trending", "/v1/users", "/v1/tokens", "/v1/keys", "/v1/direct-messages",
                                      "/v1/audit", "/v1/blocks"])
    def test_lists(self, world, path):
        server, _, things, admin, member = world
        assert server.get(path).status == 200
        for client in (admin, member):
            text = client.get(path).text
            for name, id in things.items():
                assert f'"{id}"' not in text, (path, name)
            assert "automation" not in text

    def test_in_bodies(self, world):
        """References to things of another workspace: the answer for unknown ones."""
        _, _, things, admin, _ = world
        for path, member, kind, more in (("/v1/direct-messages", "to_user_id", "user", {"content": "x", "message_type": "note"}),
                                         ("/v1/direct-messages", "to_agent_id", "agent", {"content": "x"}),
                                         ("/v1/posts", "channel_id", "channel", {"content": "x"}),
                                         ("/v1/sessions", "agent_id", "agent", {}),
                                         ("/v1/chat", "session_id", "session", {"message": "x", "stream": False}),
                                         ("/v1/tokens", "user_id", "user", {})):
            theirs, nothing = (admin.post(path, {**more, member: id}) for id in (things[kind], NOBODY))
            assert theirs.status >= 400 and told(theirs, things[kind]) == told(nothing, NOBODY), (path, member)
        run = admin.chat("x", agent=things["agent"]).ok(200)
        assert run["resolution_path"][0] == "explicit_agent_id_not_found" and run["agent_name"] == "Chat Assistant"

    def test_the_log_s_hashes_stand_and_its_content_is_withheld(self, world):
        server, _, _, admin, _ = world
        ours, theirs = (client.agent(f"Logged {next(NUMBERS)}")["id"] for client in (server, admin))
        export = admin.get("/v1/audit/export").text
        assert ours not in export and theirs in export and '"withheld":true' in export
        assert ours in server.get("/v1/audit/export").text

    def test_over_a_socket(self, world):
        server, _, things, admin, _ = world
        home = server.get("/v1/me").ok(200)["workspace_id"]
        with admin.ws() as socket:
            for topic in (f"execution:{things['execution']}", f"agent:{things['agent']}", f"user:{things['user']}", f"post:{things['post']}",
                          f"channel:{things['channel']}", f"channel:{things['channel_name']}", f"workspace:{home}"):
                assert socket.ask({"type": "subscribe", "topics": [topic]})["code"] == "not_found", topic
            for message in ({"type": "cancel", "execution_id": things["execution"]},
                            {"type": "resume", "execution_id": things["execution"], "after": 0},
                            {"type": "chat", "message": "x", "session_id": things["session"]},
                            {"type": "enforce", "agent_id": things["agent"], "action": "search", "arguments": {}}):
                answer = socket.ask(message)
                assert answer["type"] == "error" and answer["code"].endswith("not_found"), answer


class TestEvents:
    TOPICS = ["global", "alerts", "category:support", "room", "agent.x"]

    def test_none_leaks(self, world):
        """T1: the same names, other events: live, by catch-up, over WebSocket and SSE."""
        server, user, things, admin, _ = world
        mine = admin.agent(f"Poster {next(NUMBERS)}", "autonomous", category="support", kind="external")
        with admin.ws() as theirs, server.ws() as ours:
            connection, response = admin.open("GET", "/v1/events?topics=" + ",".join(self.TOPICS))
            assert response.status == 200
            for socket in (theirs, ours):
                assert socket.ask({"type": "subscribe", "topics": self.TOPICS})["type"] == "ok"
            user.post("/v1/posts", {"content": "an alert of ours", "type": "alert"}).ok(201)
            user.post("/v1/posts", {"content": "a question of ours", "type": "question"}).ok(201)
            for topic in self.TOPICS:
                server.post("/v1/events", {"type": "x.ours", "topics": [topic]}).ok(202)
            server.post(f"/v1/agents/{things['agent']}/pause").ok(200)
            server.post(f"/v1/agents/{things['agent']}/resume").ok(200)
            admin.post("/v1/events", {"type": "x.theirs", "topics": self.TOPICS}).ok(202)
            heard = theirs.until(lambda m: m["type"] == "event" and m["event"]["type"] == "x.theirs")
            assert [m["event"]["type"] for m in heard if m["type"] == "event" and m["event"]["type"] != "agent_changed"] == ["x.theirs"]
            assert f"{things['agent']}" not in json.dumps(heard)
            assert len([m for m in ours.drain() if m["type"] == "event" and m["event"]["type"] == "x.ours"]) == len(self.TOPICS)
            text = b""
            while b"x.theirs" not in text:
                text += response.read1(4096)
            assert b"ours" not in text
            connection.close()
        with admin.ws() as again:
            assert again.ask({"type": "subscribe", "topics": self.TOPICS, "after": 0})["type"] == "ok"
            caught = again.until(lambda m: m["type"] == "recovered")
            assert not [m for m in caught if m["type"] == "event" and "ours" in json.dumps(m)], caught
        assert mine["id"]

    def test_streams_are_one_s_own(self, world):
        server, _, _, admin, member = world
        with admin.ws() as theirs, server.ws() as ours:
            member.chat("hello").ok(200)
            server.chat("hello").ok(200)
            assert not theirs.drain() and not [m for m in ours.drain() if m["type"].startswith("streaming")]


class TestMaking:
    def test_a_workspace_works(self, server):
        """AC-72: its people chat, post and meet; names and handles are its own; it survives a restart."""
        admin = workspace(server, admin="grace")
        me = admin.get("/v1/me").ok(200)
        assert (me["name"], me["role"], me["workspace_id"]) == ("grace", "admin", admin.workspace)
        user = user_of(admin, server)
        assert user.chat("hello").ok(200)["agent_name"] == "Chat Assistant"
        for client in (server, admin):
            client.post("/v1/agents", {"name": "Twin", "handle": "twin", "maturity": "intern"}).ok(201)
            client.post("/v1/channels", {"name": "general-talk"}).ok(201)
            client.post("/v1/posts", {"content": "hello @twin #tag"}).ok(201)
        assert admin.get("/v1/agents/twin").ok(200)["id"] != server.get("/v1/agents/twin").ok(200)["id"]
        assert admin.get("/v1/trending").ok(200)["items"][0]["count"] == 1
        server.restart()
        assert [row["handle"] for row in admin.items("/v1/agents")] == ["chat-assistant", "twin"]
        assert user.chat("again").ok(200)["success"]
        assert [row["action"] for row in admin.items("/v1/audit?action=stream_chat") + admin.items("/v1/audit?action=chat")].count("chat") >= 2

    def test_its_default_agent(self, server):
        admin = workspace(server)
        agent = admin.agent("Front desk", "intern")
        path = f"/v1/workspaces/{admin.workspace}"
        assert admin.patch(path, {"default_agent": agent["handle"]}).ok(200)["default_agent_id"] == agent["id"]
        for _ in range(2):
            run = admin.chat("hello").ok(200)
            assert (run["agent_id"], run["resolution_path"][-1]) == (agent["id"], "workspace_default")
            server.restart()
        assert server.chat("hello").ok(200)["agent_name"] == "Chat Assistant"
        assert admin.patch(path, {"default_agent": ""}).ok(200)["default_agent_id"] is None
        assert admin.chat("hello").ok(200)["agent_name"] == "Chat Assistant"
        theirs = server.agent("Of the first one")
        for wrong in (theirs["id"], theirs["handle"], NOBODY):
            reply = admin.patch(path, {"default_agent": wrong})
            assert (reply.status, reply.body["errors"][0]["pointer"]) == (422, "/default_agent")
        changed = admin.items("/v1/audit?action=configure")
        assert changed[-1]["change"]["new"]["default_agent_id"] is None or changed[0]["change"]["new"]["default_agent_id"] is None

    def test_who_may(self, server):
        """T4: operators make them; admins change their own."""
        admin, other = workspace(server), workspace(server)
        assert admin.post("/v1/workspaces", {"name": "x"}).status == 403
        assert user_of(server, server, "admin").post("/v1/workspaces", {"name": "x"}).status == 403
        for id in (other.workspace, NOBODY, server.get("/v1/me").ok(200)["workspace_id"]):
            assert admin.patch(f"/v1/workspaces/{id}", {"name": "taken over"}).status == 404
        assert [row["id"] for row in admin.items("/v1/workspaces")] == [admin.workspace]
        assert len(server.items("/v1/workspaces?limit=2")) == 3
        assert user_of(admin, server).get("/v1/workspaces").status == 403
        assert admin.patch(f"/v1/workspaces/{admin.workspace}", {"name": "Renamed"}).ok(200)["name"] == "Renamed"
        assert server.patch(f"/v1/workspaces/{other.workspace}", {"name": "Renamed"}).status == 409
        assert server.post("/v1/workspaces", {"name": "Renamed"}).status == 409
        for name in ("", "  ", "a\nb"):
            assert server.post("/v1/workspaces", {"name": name}).body["errors"][0]["pointer"] == "/name"

    def test_an_operator_helps_those_who_lost_their_token(self, server):
        admin = workspace(server)
        new = server.post("/v1/users", {"name": "rescue", "role": "admin", "workspace_id": admin.workspace}).ok(201)
        assert new["workspace_id"] == admin.workspace
        token = server.post("/v1/tokens", {"user_id": new["id"]}).ok(201)
        rescued = server.client(token["token"])
        assert rescued.get("/v1/me").ok(200)["workspace_id"] == admin.workspace
        assert {"create", "grant"} <= {row["action"] for row in rescued.items("/v1/audit")}
        server.patch(f"/v1/users/{new['id']}", {"disabled": True}).ok(200)
        assert rescued.get("/v1/me").status == 401
        home = server.get("/v1/me").ok(200)["workspace_id"]
        for client, id in ((admin, home), (admin, NOBODY), (server, NOBODY)):
            reply = client.post("/v1/users", {"name": "x", "role": "viewer", "workspace_id": id})
            assert (reply.status, reply.body["errors"][0]["pointer"]) == (422, "/workspace_id")

    def test_a_token_shown_once(self, server):
        """T16"""
        first, second = (server.post("/v1/workspaces", {"name": "Once"}, headers={"Idempotency-Key": "k"}).ok(201) for _ in range(2))
        assert (second["id"], second["token"], second["replayed"]) == (first["id"], None, True)
        assert server.client(first["token"]).get("/v1/me").status == 200

    def test_command_line(self, server):
        made = server.cli("workspace", "add", "From the shell", "--admin", "ann")
        assert made.returncode == 0, made.stderr
        env = {"GUILD_TOKEN": made.stdout.strip()}
        listed = json.loads(server.cli("workspace", "list", "--json", env=env).stdout)
        rows = listed["items"] if isinstance(listed, dict) else listed
        assert [row["name"] for row in rows] == ["From the shell"]
        assert "From the shell" in server.cli("workspace", "list").stdout
        assert server.cli("workspace", "set", rows[0]["id"], "--default-agent", "chat-assistant", env=env).returncode == 0
        assert server.cli("workspace", "add", "Another", env=env).returncode == 4
        assert server.cli("user", "add", "bob", "--role", "member", "--workspace", rows[0]["id"]).returncode == 0
        assert "bob" in server.cli("user", "list", env=env).stdout
