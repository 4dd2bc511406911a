"""Posts, replies and deletions over real sockets: who may, what is kept, who sees it, what is counted."""
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

WORDS = {"status": "status", "insight": "insight", "question": "question", "alert": "alert", "task": "task",
         "command": "task", "response": "status", "announcement": "alert"}


def external(server, name, maturity, **members):
    """An agent, and a client that acts as it."""
    agent = server.agent(name, maturity, kind="external", **members)
    token = server.post(f"/v1/agents/{agent['id']}/tokens", {}).ok(201)["token"]
    return agent, server.client(token)


def post(client, content, **members):
    return client.post("/v1/posts", {"content": content, **members}).ok(201)


def reply(client, parent, content, **members):
    return client.post(f"/v1/posts/{parent['id']}/replies", {"content": content, **members}).ok(201)


def listen(socket, *topics):
    answer = socket.ask({"type": "subscribe", "topics": list(topics)})
    assert answer["type"] == "ok", answer
    return socket


def next_event(socket, type):
    return socket.until(lambda m: m["type"] == "event" and m["event"]["type"] == type)[-1]


def own_entry(server, action, change):
    """The newest audit entry of that action whose change has these members."""
    for entry in server.items(f"/v1/audit?limit=100&action={action}"):
        if entry["change"] and all(entry["change"].get(name) == value for name, value in change.items()):
            return entry
    raise AssertionError(f"no entry of {action} with {change}")


class TestPosting:
    @pytest.mark.parametrize("maturity", ["intern", "supervised", "autonomous"])
    def test_agents_from_intern_on_post(self, shared_server, maturity):
        """AC-64, AC-72, AC-74, AC-131"""
        agent, client = external(shared_server, f"Posting {maturity}", maturity, category="news")
        made = post(client, "All is well.")
        assert re.fullmatch(r"[0-9a-f-]{36}", made["id"])
        assert (made["content"], made["visibility"], made["channel_id"]) == ("All is well.", "public", None)
        assert made["author"] == {"kind": "agent", "id": agent["id"], "name": agent["name"], "handle": agent["handle"],
                                  "maturity": maturity, "category": "news"}
        assert shared_server.get(f"/v1/posts/{made['id']}").ok(200) == made
        for forged in ({"maturity": "autonomous"}, {"author": {"maturity": "autonomous"}}, {"workspace_id": "x"}):
            refused = client.post("/v1/posts", {"content": "x", **forged})
            assert (refused.status, refused.body["errors"][0]["pointer"]) == (422, "/" + next(iter(forged)))

    def test_a_human_posts_without_maturity(self, shared_server):
        """AC-65, AC-72"""
        user = shared_server.second_user("member", "Hana")
        made = post(user, "Hello.")
        assert made["author"] == {"kind": "human", "id": user.id, "name": "Hana", "handle": None, "maturity": None, "category": None}
        assert shared_server.second_user("viewer").post("/v1/posts", {"content": "x"}).status == 403

    def test_types(self, shared_server):
        """AC-66"""
        for word, kept in WORDS.items():
            made = post(shared_server, "x", type=word.upper())
            assert (made["type"], made["requested_type"]) == (kept, word)
        refused = shared_server.post("/v1/posts", {"content": "x", "type": "shout"})
        assert refused.status == 422 and refused.body["errors"][0]["pointer"] == "/type"
        assert all(word in refused.body["detail"] for word in WORDS)

    def test_students_and_agents_that_are_gone_are_refused(self, shared_server):
        """AC-67, AC-129, AC-130"""
        parent = post(shared_server, "to be read")
        _, student = external(shared_server, "Reading student", "student")
        for path in ("/v1/posts", f"/v1/posts/{parent['id']}/replies"):
            refused = student.post(path, {"content": "x"})
            assert (refused.status, refused.code) == (403, "governance_blocked")
            assert "student" in refused.body["detail"] and "intern" in refused.body["detail"]
            assert refused.body["audit_id"] and int(refused.headers["ratelimit-limit"]) > 0
        assert student.get(f"/v1/posts/{parent['id']}").ok(200) == parent
        agent, client = external(shared_server, "Resting agent", "autonomous")
        shared_server.post(f"/v1/agents/{agent['id']}/pause").ok(200)
        refused = client.post("/v1/posts", {"content": "x"})
        assert (refused.status, refused.code) == (403, "agent_not_active")
        assert shared_server.get(f"/v1/posts/{parent['id']}").ok(200)["reply_count"] == 0

    def test_auto_generated(self, shared_server):
        """AC-73, AC-145"""
        _, client = external(shared_server, "Milestones", "autonomous")
        assert post(client, "a" * 280, auto_generated=True)["auto_generated"] is True
        assert post(client, "by hand")["auto_generated"] is False
        refused = client.post("/v1/posts", {"content": "again", "auto_generated": True})
        assert refused.code == "rate_limited" and 1 <= int(refused.headers["retry-after"]) <= 300
        post(client, "fire", auto_generated=True, type="alert")
        assert client.post("/v1/posts", {"content": "a" * 281, "auto_generated": True, "type": "alert"}).status == 422
        user = shared_server.second_user()
        assert user.post("/v1/posts", {"content": "x", "auto_generated": True}).code == "permission_denied"

    def test_mentions(self, shared_server):
        """AC-71, AC-76"""
        agent, client = external(shared_server, "Mentioned", "autonomous")
        user = shared_server.second_user("member", "Named")
        listed = [{"kind": "user", "id": user.id}, {"kind": "episode", "id": "episode-1"}, {"kind": "task", "id": "T-7"}]
        made = post(user, f"@{agent['handle']} and @nobody-here", mentions=listed)
        assert [(m["kind"], m["id"]) for m in made["mentions"]] == [
            ("user", user.id), ("episode", "episode-1"), ("task", "T-7"), ("agent", agent["id"])]
        assert made["mentions"][-1]["text"] == f"@{agent['handle']}"
        _, other = external(shared_server, "Mentioning", "autonomous")
        for author in (client, other):
            assert post(author, "for you", mentions=[listed[0]])["mentions"][0]["id"] == user.id
            assert post(author, f"@{agent['handle']}")["mentions"][0]["id"] == agent["id"]
        refused = user.post("/v1/posts", {"content": "x", "mentions": [{"kind": "agent", "id": "no-such"}]})
        assert refused.status == 422 and refused.body["errors"][0]["pointer"].startswith("/mentions/0")


class TestRedaction:
    def test_before_it_is_kept(self, make_server):
        """AC-68, AC-140"""
        server = make_server()
        secrets = ["ann@example.org", "078-05-1120", "4111 1111 1111 1111", "+49 30 901820"]
        text = f"Write to {secrets[0]}, SSN {secrets[1]}, card {secrets[2]}, call {secrets[3]} #contact"
        parent = post(server, text)
        answer = reply(server, parent, text)
        for made in (parent, answer):
            assert made["hashtags"] == ["#contact"] and made["content"].count("[REDACTED_") == 4
            assert len(made["redacted"]) == 4
            action = "post" if made is parent else "reply"
            assert own_entry(server, action, {"post_id": made["id"]})["change"]["redacted"] == made["redacted"]
        assert server.get(f"/v1/posts/{parent['id']}/replies").ok(200)["items"] == [answer]
        server.stop()
        kept = b"".join(path.read_bytes() for path in server.data.iterdir() if path.is_file())
        assert not any(secret.encode() in kept for secret in secrets)

    def test_skipping_is_an_admins_right(self, shared_server):
        """AC-70"""
        text = "ann@example.org"
        user, admin = shared_server.second_user(), shared_server.second_user("admin")
        _, agent = external(shared_server, "Skipping", "autonomous")
        for client in (user, agent):
            assert client.post("/v1/posts", {"content": text, "skip_redaction": True}).code == "permission_denied"
        made = post(admin, text, skip_redaction=True)
        assert (made["content"], made["redacted"]) == (text, [])
        entry = own_entry(shared_server, "post", {"post_id": made["id"], "skip_redaction": True})
        assert entry["principal"]["id"] == admin.id


class TestDelivery:
    def test_events(self, shared_server):
        """AC-75, AC-85, AC-139"""
        agent, client = external(shared_server, "Broadcaster", "autonomous", category="r&d")
        user = shared_server.second_user()
        with user.ws() as socket:
            listen(socket, "global", f"agent:{agent['id']}", "alerts", "category:r_d")
            made = post(client, "asked", type="question")
            event = next_event(socket, "agent_post")
            assert event["event"]["data"] == made
            assert sorted(event["topics"]) == sorted(["global", f"agent:{agent['id']}", "category:r_d"])
            parent = post(user, "What is up?")
            assert next_event(socket, "agent_post")["event"]["data"] == parent
            answer = reply(client, parent, "All of it.")
            event = next_event(socket, "reply_added")
            assert event["event"]["data"] == answer and answer["reply_to"] == parent["id"]
            assert f"post:{parent['id']}" in event["topics"]
            client.delete(f"/v1/posts/{answer['id']}").ok(204)
            event = next_event(socket, "post_deleted")
            assert event["event"]["data"] == {"id": answer["id"], "reply_to": parent["id"], "channel_id": None}
            assert f"post:{parent['id']}" in event["topics"]
            shared_server.delete(f"/v1/posts/{parent['id']}").ok(204)
            event = next_event(socket, "post_deleted")
            assert event["event"]["data"] == {"id": parent["id"], "reply_to": None, "channel_id": None}

    def test_directed_posts_reach_two_only(self, shared_server):
        """AC-93, AC-95"""
        sender, to, other = (shared_server.second_user() for _ in range(3))
        with to.ws() as near, other.ws() as far, shared_server.ws() as admin:
            for socket in (near, far, admin):
                listen(socket, "global")
            made = post(sender, "between us", visibility="directed", mentions=[{"kind": "user", "id": to.id}])
            answer = reply(to, made, "heard")
            assert next_event(near, "agent_post")["event"]["data"] == made
            for socket in (far, admin):
                assert not [m for m in socket.drain() if m["type"] == "event" and m["event"]["type"] in ("agent_post", "reply_added")]
        for client, status in ((sender, 200), (to, 200), (other, 404), (shared_server, 404)):
            assert client.get(f"/v1/posts/{made['id']}").status == status
            assert client.get(f"/v1/posts/{answer['id']}").status == status
            assert client.get(f"/v1/posts/{made['id']}/replies").status == status

    def test_private_channels(self, shared_server):
        """AC-104, AC-106"""
        member, outsider = shared_server.second_user(), shared_server.second_user()
        room = member.post("/v1/channels", {"name": "posts-private", "private": True}).ok(201)
        made = post(member, "inside", channel_id="posts-private")
        assert (made["visibility"], made["channel_id"]) == ("channel", room["id"])
        for client in (outsider, shared_server):
            assert client.get(f"/v1/posts/{made['id']}").status == 404
            assert client.post("/v1/posts", {"content": "x", "channel_id": room["id"]}).status == 404
            assert client.post(f"/v1/posts/{made['id']}/replies", {"content": "x"}).status == 404
        assert member.post("/v1/posts", {"content": "x", "channel_id": room["id"], "visibility": "public"}).status == 422


class TestLimits:
    def test_13_at_once(self, shared_server):
        """AC-134, AC-153"""
        agent, client = external(shared_server, "Thirteen", "supervised")
        with ThreadPoolExecutor(13) as pool:
            replies = list(pool.map(lambda n: client.post("/v1/posts", {"content": f"post {n}"}), range(13)))
        assert sorted(r.status for r in replies) == [201] * 12 + [429]
        refused = next(r for r in replies if r.status == 429)
        assert refused.code == "rate_limited" and "12 posts" in refused.body["detail"]
        assert 3500 <= int(refused.headers["retry-after"]) <= 3600
        state = shared_server.get(f"/v1/agents/{agent['id']}/rate-limit").ok(200)["posts"]
        assert (state["used"], state["remaining"]) == (12, 0)

    def test_each_level_has_its_own(self, shared_server):
        """AC-132, AC-133"""
        _, intern = external(shared_server, "One an hour", "intern")
        _, second = external(shared_server, "One an hour too", "intern")
        _, free = external(shared_server, "As many as it likes", "autonomous")
        first = intern.post("/v1/posts", {"content": "x"})
        assert first.status == 201
        assert (first.headers["ratelimit-limit"], first.headers["ratelimit-remaining"]) == ("1", "0")
        assert 3500 <= int(first.headers["ratelimit-reset"]) <= 3600
        parent = first.body
        assert intern.post(f"/v1/posts/{parent['id']}/replies", {"content": "x"}).status == 429, "replies count too"
        assert second.post("/v1/posts", {"content": "x"}).status == 201
        assert [free.post("/v1/posts", {"content": "x"}).status for _ in range(20)] == [201] * 20


class TestReplies:
    def test_with_their_parent(self, shared_server):
        """AC-135, AC-136, AC-137, AC-138"""
        users = [shared_server.second_user() for _ in range(3)]
        parent = post(shared_server, "Who is there?", type="question")
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda n: reply(users[n % 3], parent, f"me {n}"), range(24)))
        assert all(r["reply_to"] == parent["id"] and r["visibility"] == "public" for r in made)
        assert shared_server.get(f"/v1/posts/{parent['id']}").ok(200)["reply_count"] == 24
        listed = shared_server.items(f"/v1/posts/{parent['id']}/replies?limit=10")
        assert [r["id"] for r in listed] == sorted(r["id"] for r in made)
        assert [r["created_at"] for r in listed] == sorted(r["created_at"] for r in listed)
        assert shared_server.post(f"/v1/posts/{made[0]['author']['id']}/replies", {"content": "x"}).status == 404

    def test_deletion(self, shared_server):
        """AC-136"""
        user = shared_server.second_user()
        parent = post(user, "mine")
        first, second = (reply(shared_server, parent, n) for n in "ab")
        assert user.delete(f"/v1/posts/{first['id']}").code == "permission_denied"
        shared_server.delete(f"/v1/posts/{first['id']}").ok(204)
        assert shared_server.get(f"/v1/posts/{parent['id']}").ok(200)["reply_count"] == 1
        user.delete(f"/v1/posts/{parent['id']}").ok(204)
        assert [user.get(f"/v1/posts/{parent['id']}").status, user.delete(f"/v1/posts/{parent['id']}").status] == [404, 404]
        assert shared_server.items(f"/v1/posts/{parent['id']}/replies") == [second]
        assert shared_server.post(f"/v1/posts/{parent['id']}/replies", {"content": "x"}).status == 404

    def test_all_is_there_after_a_crash(self, make_server):
        """AC-135, AC-153"""
        server = make_server()
        parent = post(server, "before #crash")
        answer = reply(server, parent, "also")
        server.restart(kill=True)
        assert server.get(f"/v1/posts/{parent['id']}").ok(200) == {**parent, "reply_count": 1}
        assert server.items(f"/v1/posts/{parent['id']}/replies") == [answer]
        assert post(server, "after")["id"] > answer["id"]
