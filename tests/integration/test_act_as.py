"""A program's users: a token with the scope act_as names them, and each has what is theirs."""
import json
import threading

import pytest
from support.harness import Socket


class As:
    """A client that names an end user with each request."""

    def __init__(self, client, user):
        self.client, self.name = client, {"X-Guild-User": user}

    def request(self, method, path, body=None, headers=None):
        return self.client.request(method, path, body, headers={**self.name, **(headers or {})})

    def get(self, path):
        return self.request("GET", path)

    def post(self, path, body=None, **options):
        return self.request("POST", path, body, **options)


@pytest.fixture
def gateway(server):
    """A token that is good for chats of others and nothing else."""
    made = server.post("/v1/tokens", {"scopes": ["act_as", "chat", "social:write", "social:read", "messages", "events:read"]}).ok(201)
    client = server.client(made["token"])
    client.id = made["id"]
    return client


class TestUsers:
    def test_made_on_first_use(self, server, gateway):
        """One row for each workspace and name, a member, with the token's scopes less what members do not have."""
        me = As(gateway, "customer-7").get("/v1/me").ok(200)
        assert (me["name"], me["role"], me["kind"]) == ("customer-7", "member", "human")
        assert me["scopes"] == ["chat", "social:read", "social:write", "messages", "events:read"]
        assert As(gateway, "customer-7").get("/v1/me").ok(200)["id"] == me["id"]
        assert As(gateway, "customer-8").get("/v1/me").ok(200)["id"] != me["id"]
        server.restart()
        assert As(gateway, "customer-7").get("/v1/me").ok(200)["id"] == me["id"]
        operator = server.get("/v1/me").ok(200)["id"]
        entry = next(row for row in server.items("/v1/audit?action=create") if (row["change"] or {}).get("new", {}).get("principal_id") == me["id"])
        assert entry["principal"]["id"] == operator

    def test_first_requests_at_once(self, server, gateway):
        replies = [None] * 8

        def first(i):
            replies[i] = As(gateway, "crowd").get("/v1/me").ok(200)["id"]
        threads = [threading.Thread(target=first, args=(i,)) for i in range(len(replies))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(replies)) == 1
        assert len([row for row in server.items("/v1/users?limit=100") if row["name"] == "crowd"]) == 1

    def test_of_two_workspaces(self, server):
        made = server.post("/v1/workspaces", {"name": "Other"}).ok(201)
        here, there = As(server, "same").get("/v1/me").ok(200), As(server.client(made["token"]), "same").get("/v1/me").ok(200)
        assert here["id"] != there["id"] and here["workspace_id"] != there["workspace_id"]

    def test_what_is_theirs(self, server, gateway):
        """Runs, sessions and posts belong to them; others, of the same token too, find nothing."""
        ada, bob = As(gateway, "ada"), As(gateway, "bob")
        run = ada.post("/v1/chat", {"message": "hello", "stream": False}).ok(200)
        me = ada.get("/v1/me").ok(200)["id"]
        assert ada.get(f"/v1/executions/{run['execution_id']}").ok(200)["user_id"] == me
        assert [row["user_id"] for row in ada.get("/v1/sessions").ok(200)["items"]] == [me]
        post = ada.post("/v1/posts", {"content": "hello"}).ok(201)
        assert (post["author"]["id"], post["author"]["name"]) == (me, "ada")
        for other in (bob, gateway):
            assert other.get(f"/v1/executions/{run['execution_id']}").status == 404
            assert other.get(f"/v1/sessions/{run['session_id']}").status == 404

    def test_audited_with_both(self, server, gateway):
        ada, operator = As(gateway, "ada"), server.get("/v1/me").ok(200)["id"]
        ada.post("/v1/chat", {"message": "hello", "stream": False}).ok(200)
        ada.post("/v1/sessions", {}).ok(201)
        me = ada.get("/v1/me").ok(200)["id"]
        rows = [row for row in server.items(f"/v1/audit?principal={me}&limit=100")]
        assert len(rows) >= 3
        assert {json.dumps(row["principal"], sort_keys=True) for row in rows} == {
            json.dumps({"id": me, "name": "ada", "via": operator}, sort_keys=True)}
        assert server.get("/v1/audit/verify").ok(200)["ok"] is True
        server.chat("mine").ok(200)
        assert "via" not in server.get(f"/v1/audit?principal={operator}&limit=1").ok(200)["items"][0]["principal"]


class TestRefusals:
    def test_without_the_scope(self, server):
        """T9: a member's token is that member's."""
        member = server.second_user()
        reply = As(member, "somebody").get("/v1/me")
        assert (reply.status, reply.code) == (403, "permission_denied") and "act_as" in reply.body["detail"]
        assert "somebody" not in server.get("/v1/users?limit=100").text
        assert As(member, member.id).get("/v1/me").ok(200)["id"] == member.id
        assert member.post("/v1/tokens", {"scopes": ["act_as"]}).status == 422

    def test_nobody_rises(self, server, gateway):
        """T4: names reach nobody who has a token or rules; what is the gateway's own, an end user has not."""
        for name in (server.get("/v1/me").ok(200)["id"], server.second_user("admin").id):
            assert As(gateway, name).post("/v1/sessions", {}).status in (201, 400)
        assert As(gateway, server.second_user("admin").id).get("/v1/me").status == 400
        user = As(server, "riser").get("/v1/me").ok(200)["id"]
        assert As(server, "riser").get("/v1/users").status == 403
        assert As(server, "riser").post("/v1/tokens", {}).status == 403
        server.patch(f"/v1/users/{user}", {"role": "admin"}).ok(200)
        assert As(server, "riser").get("/v1/me").status == 403
        server.patch(f"/v1/users/{user}", {"role": "viewer"}).ok(200)
        assert As(server, "riser").post("/v1/sessions", {}).status == 403
        server.patch(f"/v1/users/{user}", {"disabled": True}).ok(200)
        assert "disabled" in As(server, "riser").get("/v1/me").body["detail"]

    @pytest.mark.parametrize("name", ["two words", "tab\there", "x" * 256, "00000000-0000-7000-8000-00000000000\x7f"])
    def test_what_is_no_name(self, server, name):
        assert As(server, name).get("/v1/me").status == 400

    def test_refused_first(self, server, gateway):
        """A request that its route refuses makes nobody."""
        assert As(gateway, "never").get("/v1/users").status == 403
        assert As(gateway, "never").post("/v1/chat", {"nothing": 1}).status == 422
        assert "never" not in server.get("/v1/users?limit=100").text

    def test_twice(self, server):
        with server.raw() as raw:
            raw.send(f"GET /v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
                     "X-Guild-User: a\r\nX-Guild-User: b\r\n\r\n".encode())
            assert raw.reply()[0] == 400


class TestDoors:
    def test_a_socket(self, server, gateway):
        """The end user's own topic, and nobody else's; it ends with the token, with the user, and with whoever the token is of."""
        with Socket(gateway.url, gateway.token, headers=[("X-Guild-User", "walker")]) as socket:
            me = As(gateway, "walker").get("/v1/me").ok(200)["id"]
            assert socket.ask({"type": "subscribe", "topics": [f"user:{me}"]})["type"] == "ok"
            assert socket.ask({"type": "subscribe", "topics": [f"user:{server.get('/v1/me').ok(200)['id']}"]})["code"] == "not_found"
            assert socket.ask({"type": "chat", "message": "hello"})["type"] == "ok"
            socket.until(lambda m: m["type"] == "streaming:complete")
            server.patch(f"/v1/users/{me}", {"disabled": True}).ok(200)
            assert socket.close_code() == 4001
        admin = server.second_user("admin")
        with Socket(admin.url, admin.token, headers=[("X-Guild-User", "runner")]) as socket:
            server.patch(f"/v1/users/{admin.id}", {"disabled": True}).ok(200)
            assert socket.close_code() == 4001
        with Socket(gateway.url, gateway.token, headers=[("X-Guild-User", "jumper")]) as socket:
            server.delete(f"/v1/tokens/{gateway.id}").ok(204)
            assert socket.close_code() == 4001

    def test_a_stream(self, gateway):
        connection, response = gateway.open("POST", "/v1/chat", {"message": "hello", "stream": True}, {"X-Guild-User": "streamer"})
        text = response.read().decode()
        connection.close()
        assert "streaming:complete" in text

    def test_keys_of_idempotency_are_the_user_s(self, gateway):
        first, again, other = (As(gateway, name).post("/v1/sessions", {}, headers={"Idempotency-Key": "k"}).ok(201)["id"]
                               for name in ("ann", "ann", "ben"))
        assert first == again != other
