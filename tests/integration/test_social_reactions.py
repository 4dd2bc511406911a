"""Reactions over real sockets: once for each actor and emoji, taken back, told where the post is, there after a crash."""
from urllib.parse import quote

from support.harness import wait_for

THUMB, HEART, FLAG, FAMILY = "👍", "❤️", "🇩🇪", "👩‍👩‍👧‍👦"


def path(post, emoji=None):
    return f"/v1/posts/{post['id']}/reactions" + (f"/{quote(emoji, safe='')}" if emoji else "")


def post_by(client, content="something", **members):
    return client.post("/v1/posts", {"content": content, **members}).ok(201)


def counts(client, post):
    return [(item["emoji"], item["count"], item["mine"]) for item in client.get(path(post)).ok(200)["items"]]


class TestCounting:
    def test_each_actor_and_emoji_once(self, shared_server):
        """AC-107, AC-108, AC-109, AC-113"""
        one, two = shared_server.second_user(), shared_server.second_user()
        post = post_by(one)
        assert [one.put(path(post, THUMB)).status for _ in range(3)] == [201, 200, 200]
        assert two.put(path(post, THUMB)).status == 201
        assert two.put(path(post, FAMILY)).status == 201
        assert counts(two, post) == [(THUMB, 2, True), (FAMILY, 1, True)]
        assert counts(one, post) == [(THUMB, 2, True), (FAMILY, 1, False)]
        shown = one.get(f"/v1/posts/{post['id']}").ok(200)["reactions"]
        assert shown == one.get(path(post)).ok(200)["items"]
        assert {actor["id"] for actor in shown[0]["actors"]} == {one.id, two.id}

    def test_remove_and_list(self, shared_server):
        """AC-110, AC-111"""
        user = shared_server.second_user()
        post = post_by(user)
        assert user.get(path(post)).ok(200) == {"items": [], "next_cursor": None, "has_more": False}
        for emoji in (FLAG, HEART, THUMB):
            assert user.put(path(post, emoji)).status == 201
        assert shared_server.put(path(post, FLAG)).status == 201
        assert [c[0] for c in counts(user, post)] == [FLAG] + sorted([HEART, THUMB])
        for _ in range(2):
            assert user.delete(path(post, HEART)).status == 204
        assert counts(user, post) == [(FLAG, 2, True), (THUMB, 1, True)]

    def test_not_one_emoji(self, shared_server):
        post = post_by(shared_server)
        for wrong in ("a", "👍👍", "thumbs_up", "🇩", "1", "👍 ", "\u202e"):
            reply = shared_server.put(path(post, wrong))
            assert (reply.status, reply.code) == (422, "invalid"), wrong
            assert "UTS #51" in reply.text
        assert counts(shared_server, post) == []


class TestWhoAndWhere:
    def test_unknown_and_hidden_posts(self, shared_server):
        """AC-112"""
        owner, other = shared_server.second_user(), shared_server.second_user()
        assert other.put("/v1/posts/00000000-0000-7000-8000-000000000000/reactions/" + quote(THUMB)).status == 404
        channel = owner.post("/v1/channels", {"name": "reactions-here", "private": True}).ok(201)
        post = post_by(owner, channel_id=channel["id"])
        for reply in (other.put(path(post, THUMB)), other.delete(path(post, THUMB)), other.get(path(post))):
            assert (reply.status, reply.code) == (404, "not_found")
        owner.put(f"/v1/channels/{channel['id']}/members/{other.id}").ok(200)
        assert other.put(path(post, THUMB)).status == 201
        owner.delete(f"/v1/channels/{channel['id']}/members/{other.id}").ok(204)
        assert other.get(path(post)).status == 404 and counts(owner, post) == [(THUMB, 1, False)]

    def test_events(self, shared_server):
        """AC-112: on post:<id> and global; only when something changed."""
        user = shared_server.second_user()
        post = post_by(user)
        with user.ws() as near, shared_server.ws() as far:
            assert near.ask({"type": "subscribe", "topics": [f"post:{post['id']}"]})["type"] == "ok"
            assert far.ask({"type": "subscribe", "topics": ["global"]})["type"] == "ok"
            for _ in range(2):
                user.put(path(post, THUMB)).ok(200, 201)
            for _ in range(2):
                user.delete(path(post, THUMB)).ok(204)
            for socket in (near, far):
                events = [m["event"] for m in socket.drain() if m["type"] == "event"]
                events = [e for e in events if e["data"].get("post_id") == post["id"]]
                assert [e["type"] for e in events] == ["reaction_added", "reaction_removed"]
                assert [e["data"]["count"] for e in events] == [1, 0]
                assert events[0]["data"]["actor"]["id"] == user.id and events[0]["data"]["emoji"] == THUMB

    def test_a_private_channels_reactions_stay_there(self, shared_server):
        owner, other = shared_server.second_user(), shared_server.second_user()
        channel = owner.post("/v1/channels", {"name": "quiet-reactions", "private": True}).ok(201)
        post = post_by(owner, channel_id=channel["id"])
        with other.ws() as socket, owner.ws() as mine:
            assert socket.ask({"type": "subscribe", "topics": [f"post:{post['id']}"]})["code"] == "not_found"
            assert socket.ask({"type": "subscribe", "topics": ["global"]})["type"] == "ok"
            assert mine.ask({"type": "subscribe", "topics": [f"channel:{channel['id']}"]})["type"] == "ok"
            owner.put(path(post, THUMB)).ok(201)
            mine.until(lambda m: m["type"] == "event" and m["event"]["type"] == "reaction_added")
            assert post["id"] not in str(socket.drain())

    def test_agents_are_governed_and_limited(self, make_server):
        server = make_server(env={"GUILD_SOCIAL_REACTIONS_INTERN": "2"})
        clients = {}
        for level in ("student", "intern"):
            agent = server.agent(f"Reacting {level}", level, kind="external")
            clients[level] = server.client(server.post(f"/v1/agents/{agent['id']}/tokens", {}).ok(201)["token"])
        post = post_by(server)
        refused = clients["student"].put(path(post, THUMB))
        assert (refused.status, refused.code) == (403, "governance_blocked") and refused.body["audit_id"]
        intern = clients["intern"]
        assert [intern.put(path(post, e)).status for e in (THUMB, HEART, HEART, FLAG)] == [201, 201, 200, 429]
        limited = intern.put(path(post, FLAG))
        assert limited.code == "rate_limited" and 3000 < int(limited.headers["retry-after"]) <= 3600
        assert limited.headers["ratelimit-limit"] == "2" and limited.headers["ratelimit-remaining"] == "0"


def test_survives_a_crash(make_server):
    """AC-114"""
    server = make_server()
    user = server.second_user()
    post = post_by(user)
    user.put(path(post, THUMB)).ok(201)
    server.put(path(post, THUMB)).ok(201)
    server.put(path(post, HEART)).ok(201)
    before = user.get(f"/v1/posts/{post['id']}").ok(200)
    server.restart(kill=True)
    user = server.client(user.token)
    assert user.get(f"/v1/posts/{post['id']}").ok(200) == before
    assert counts(user, post) == [(THUMB, 2, True), (HEART, 1, False)]
    assert user.put(path(post, THUMB)).status == 200


def test_a_deleted_post_has_none(shared_server):
    user = shared_server.second_user()
    post = post_by(user)
    user.put(path(post, THUMB)).ok(201)
    user.delete(f"/v1/posts/{post['id']}").ok(204)
    wait_for(lambda: user.get(path(post)).status == 404, "the end of it")
    assert user.put(path(post, THUMB)).status == 404
