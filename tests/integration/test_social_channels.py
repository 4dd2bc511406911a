"""Channels over real sockets: made once, joined and left, private ones there for their members alone, by every door."""
from support.harness import wait_for


def subscribe(socket, *topics):
    return socket.ask({"type": "subscribe", "topics": list(topics)})


def events_of(messages):
    return [m["event"]["type"] for m in messages if m["type"] == "event"]


def external(server, name, maturity):
    """A client that acts as an agent of that level."""
    agent = server.agent(name, maturity, kind="external")
    token = server.post(f"/v1/agents/{agent['id']}/tokens", {}).ok(201)["token"]
    return agent, server.client(token)


class TestCreation:
    def test_create_and_again(self, shared_server):
        """AC-99, AC-100, AC-105"""
        _, intern = external(shared_server, "Channel intern", "intern")
        user = shared_server.second_user()
        with user.ws() as socket:
            assert subscribe(socket, "global")["type"] == "ok"
            made = intern.post("/v1/channels", {"name": "#Made-Once", "type": "engineering"}).ok(201)
            assert (made["name"], made["display_name"], made["type"]) == ("made-once", "made-once", "engineering")
            assert (made["private"], made["member_count"]) == (False, 1)
            event = socket.until(lambda m: m["type"] == "event" and m["event"]["type"] == "channel_created")[-1]
            assert event["event"]["data"] == made
            assert user.post("/v1/channels", {"name": "made-ONCE"}).ok(200)["id"] == made["id"]
            assert "channel_created" not in events_of(socket.drain())
        assert user.get("/v1/channels/made-once").ok(200) == made

    def test_list(self, make_server):
        """AC-101"""
        server = make_server()
        assert server.get("/v1/channels").ok(200) == {"items": [], "next_cursor": None, "has_more": False}
        names = [f"c{n:02}" for n in range(25)]
        for name in reversed(names):
            server.post("/v1/channels", {"name": name}).ok(201)
        seen, cursor = [], ""
        while cursor is not None:
            page = server.get("/v1/channels?limit=7" + (f"&cursor={cursor}" if cursor else "")).ok(200)
            seen += [item["name"] for item in page["items"]]
            cursor = page["next_cursor"]
        assert seen == names
        assert server.second_user().get("/v1/channels?mine=true").ok(200)["items"] == []

    def test_a_student_is_refused(self, shared_server):
        _, student = external(shared_server, "Channel student", "student")
        refused = student.post("/v1/channels", {"name": "students"})
        assert (refused.status, refused.code) == (403, "governance_blocked") and refused.body["audit_id"]
        assert student.get("/v1/channels").status == 200


class TestMembers:
    def test_join_and_leave(self, shared_server):
        """AC-102, AC-103"""
        user = shared_server.second_user()
        channel = shared_server.post("/v1/channels", {"name": "come-and-go"}).ok(201)
        with user.ws() as socket:
            assert subscribe(socket, f"channel:{channel['id']}")["type"] == "ok"
            for _ in range(2):
                assert user.put("/v1/channels/come-and-go/members/me").ok(200)["member_count"] == 2
            members = user.items(f"/v1/channels/{channel['id']}/members")
            assert user.id in [member["actor"]["id"] for member in members] and len(members) == 2
            for _ in range(2):
                assert user.delete("/v1/channels/come-and-go/members/me").status == 204
            assert events_of(socket.drain()) == ["channel_joined", "channel_left"]
        assert shared_server.get("/v1/channels/come-and-go").ok(200)["member_count"] == 1

    def test_survives_a_restart(self, make_server):
        server = make_server()
        user, other = server.second_user(), server.second_user()
        channel = user.post("/v1/channels", {"name": "kept", "display_name": "Kept one", "private": True}).ok(201)
        server.restart(kill=True)
        user, other = (server.client(c.token) for c in (user, other))
        assert user.get("/v1/channels/kept").ok(200) == channel
        assert other.get("/v1/channels/kept").status == 404
        assert user.post("/v1/channels", {"name": "kept"}).ok(200)["id"] == channel["id"]


class TestPrivate:
    def test_nobody_else_sees_it(self, shared_server):
        """AC-105, AC-106"""
        owner, other = shared_server.second_user(), shared_server.second_user()
        with other.ws() as socket:
            assert subscribe(socket, "global")["type"] == "ok"
            channel = owner.post("/v1/channels", {"name": "hidden", "display_name": "The hidden", "private": True}).ok(201)
            assert channel["private"] and channel["display_name"] == "The hidden"
            for name in ("hidden", channel["id"]):
                for client in (other, shared_server):
                    assert client.get(f"/v1/channels/{name}").status == 404
                    assert client.get(f"/v1/channels/{name}/members").status == 404
                assert other.put(f"/v1/channels/{name}/members/me").status == 404
                assert subscribe(socket, f"channel:{name}")["code"] == "not_found"
            taken = other.post("/v1/channels", {"name": "hidden"})
            assert (taken.status, taken.code) == (409, "conflict")
            assert channel["id"] not in taken.text and "The hidden" not in taken.text
            assert "hidden" not in [c["name"] for c in other.items("/v1/channels?limit=100")]
            assert socket.drain() == []

    def test_who_leaves_hears_no_more(self, shared_server):
        owner, other = shared_server.second_user(), shared_server.second_user()
        channel = owner.post("/v1/channels", {"name": "by-invitation", "private": True}).ok(201)
        topic = f"channel:{channel['id']}"
        owner.put(f"/v1/channels/{channel['id']}/members/{other.id}").ok(200)
        agent = shared_server.agent("Invited")
        with other.ws() as socket, owner.ws() as mine:
            assert subscribe(socket, topic)["type"] == "ok" and subscribe(mine, topic)["type"] == "ok"
            owner.put(f"/v1/channels/{channel['id']}/members/{agent['id']}").ok(200)
            socket.until(lambda m: m["type"] == "event" and m["event"]["type"] == "channel_joined")
            assert other.delete(f"/v1/channels/{channel['id']}/members/{agent['id']}").status == 403
            owner.delete(f"/v1/channels/{channel['id']}/members/{other.id}").ok(204)
            owner.delete(f"/v1/channels/{channel['id']}/members/{agent['id']}").ok(204)
            mine.until(lambda m: m["type"] == "event" and m["event"]["data"]["actor"]["id"] == agent["id"]
                       and m["event"]["type"] == "channel_left")
            assert events_of(socket.drain()) == []
        audit = wait_for(lambda: [e for e in shared_server.items("/v1/audit?limit=100") if e["action"] == "channel_leave"], "the entry")
        assert audit[0]["outcome"] == "changed"
