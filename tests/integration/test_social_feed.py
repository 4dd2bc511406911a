"""Feeds and trends over real sockets: pages by cursor and by number, filters, what a viewer sees, what is named most."""
import base64
import threading

import pytest


def posted(client, content, **members):
    return client.post("/v1/posts", {"content": content, **members}).ok(201)


def pages(client, query="", limit=7, between=lambda: None):
    """All items by cursor."""
    found, cursor = [], ""
    while True:
        page = client.get(f"/v1/feed?limit={limit}{query}" + (f"&cursor={cursor}" if cursor else "")).ok(200)
        assert page["has_more"] == (page["next_cursor"] is not None) and len(page["items"]) <= limit
        found += page["items"]
        if not page["has_more"]:
            return found
        assert len(page["items"]) == limit
        cursor = page["next_cursor"]
        between()


def ids(items):
    return [item["id"] for item in items]


def contents(client, query=""):
    return [item["content"] for item in pages(client, query, 100)]


@pytest.fixture(scope="module")
def town(shared_server):
    """A server with thirty posts of two users, in public and in channels."""
    server = shared_server
    server.alice, server.bob = server.second_user(), server.second_user()
    server.open_id = server.alice.post("/v1/channels", {"name": "open"}).ok(201)["id"]
    server.closed_id = server.alice.post("/v1/channels", {"name": "closed", "private": True}).ok(201)["id"]
    server.made = []
    for n in range(30):
        author = (server.alice, server.bob)[n % 2]
        where = {"channel_id": server.open_id} if author is server.alice and n % 3 == 0 else {}
        kind = ("status", "insight", "question", "command", "alert")[n % 5]
        server.made.insert(0, posted(author, f"post {n} #n{n % 4}", type=kind, **where))
    return server


class TestPages:
    def test_by_number(self, town):
        """AC-121"""
        seen = []
        for number in range(1, 6):
            page = town.alice.get(f"/v1/feed?page={number}&per_page=8").ok(200)
            assert list(page) == ["items", "page", "per_page", "total"]
            assert (page["page"], page["per_page"], page["total"]) == (number, 8, 30)
            seen += ids(page["items"])
        assert seen == ids(town.made)
        # Bob does not belong to the channel.
        assert town.bob.get("/v1/feed?page=1").ok(200)["total"] == len(pages(town.bob)) == 30 - 5
        assert town.alice.get("/v1/feed?page=1&type=alert").ok(200)["total"] == 6

    def test_by_cursor(self, town):
        """AC-122"""
        for limit in (1, 7, 30, 100):
            assert ids(pages(town.alice, limit=limit)) == ids(town.made)

    def test_posts_meanwhile_change_nothing_behind_the_cursor(self, make_server):
        """AC-123, AC-124"""
        server = make_server()
        user = server.second_user()
        made = [posted(user, f"before {n}")["id"] for n in range(20)][::-1]
        writers = [threading.Thread(target=lambda: [posted(server, "meanwhile") for _ in range(15)]) for _ in range(3)]
        for writer in writers:
            writer.start()
        found = ids(pages(user, limit=3, between=lambda: posted(user, "between")))
        for writer in writers:
            writer.join()
        assert len(set(found)) == len(found)
        assert [id for id in found if id in made] == made
        everything = pages(user, limit=4)
        assert ids(everything) == sorted(ids(everything), reverse=True)
        assert [item["created_at"] for item in everything] == sorted((item["created_at"] for item in everything), reverse=True)

    def test_not_both_forms(self, town):
        for query in ("limit=5&page=1", "cursor=x&per_page=5", "limit=5&per_page=5"):
            reply = town.alice.get(f"/v1/feed?{query}")
            assert (reply.status, reply.code) == (422, "invalid"), query

    def test_bounds(self, town):
        """AC-127"""
        for query in ("limit=0", "limit=101", "limit=-1", "limit=x", "per_page=0", "per_page=101", "page=0", "page=-1", "page=3000&per_page=50",
                      "page=99999999999999999999"):
            assert town.alice.get(f"/v1/feed?{query}").status == 422, query

    def test_cursors_belong_to_filter_and_reader(self, town):
        """AC-126"""
        cursor = town.alice.get("/v1/feed?limit=2").ok(200)["next_cursor"]
        raw = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        raw[5] ^= 1
        changed = base64.urlsafe_b64encode(raw).decode().rstrip("=")
        for client, query in ((town.alice, f"cursor={changed}"), (town.alice, f"cursor={cursor}x"), (town.alice, "cursor=none"),
                              (town.bob, f"cursor={cursor}"), (town.alice, f"type=alert&cursor={cursor}")):
            reply = client.get(f"/v1/feed?limit=2&{query}")
            assert (reply.status, reply.code) == (400, "invalid_cursor"), query
        assert town.alice.get(f"/v1/feed?limit=5&cursor={cursor}").status == 200

    def test_empty(self, make_server):
        """AC-126: no posts, no pages; AC-119: and nothing that trends"""
        server = make_server()
        assert server.get("/v1/feed").ok(200) == {"items": [], "next_cursor": None, "has_more": False}
        assert server.get("/v1/feed?page=1").ok(200) == {"items": [], "page": 1, "per_page": 50, "total": 0}
        assert server.get("/v1/trending").ok(200) == {"items": []}


class TestFilters:
    def test_each(self, town):
        """AC-125"""
        def those(wanted):
            return [item["content"] for item in town.made if wanted(item)]

        assert contents(town.alice, "&type=question") == those(lambda item: item["type"] == "question")
        assert contents(town.alice, "&type=COMMAND") == those(lambda item: item["type"] == "task")
        assert contents(town.alice, f"&author={town.bob.id}") == those(lambda item: item["author"]["id"] == town.bob.id)
        assert contents(town.alice, "&author=me") == those(lambda item: item["author"]["id"] == town.alice.id)
        assert contents(town.alice, "&channel=OPEN") == those(lambda item: item["channel_id"]) != []
        assert contents(town.alice, "&visibility=public") == those(lambda item: item["channel_id"] is None)
        assert contents(town.alice, "&hashtag=N1") == contents(town.alice, "&hashtag=%23n1") == those(lambda item: "#n1" in item["hashtags"])
        middle = town.made[14]["created_at"]
        assert contents(town.alice, f"&since={middle}") == those(lambda item: item["created_at"] >= middle)
        assert contents(town.alice, f"&until={middle}") == those(lambda item: item["created_at"] <= middle)
        assert contents(town.alice, f"&hashtag=n1&author={town.bob.id}&type=insight") == those(
            lambda item: "#n1" in item["hashtags"] and item["author"]["id"] == town.bob.id and item["type"] == "insight")

    def test_pages_of_filters(self, town):
        """AC-125"""
        for query in ("&hashtag=n3", "&type=status", "&channel=open", f"&author={town.alice.id}"):
            assert ids(pages(town.alice, query, limit=2)) == ids(pages(town.alice, query, limit=100)) != []

    @pytest.mark.parametrize("query, status", [
        ("author=nobody", 404), ("channel=nowhere", 404), ("type=poem", 422), ("visibility=secret", 422), ("hashtag=%23", 422), ("since=today", 422)])
    def test_unknown(self, town, query, status):
        assert town.alice.get(f"/v1/feed?{query}").status == status

    def test_hashtags_of_any_script(self, server):
        user = server.second_user()
        made = posted(user, "#Straße #ÉTÉ #自動化")["id"]
        for tag in ("STRASSE", "e%CC%81te%CC%81", "%E8%87%AA%E5%8B%95%E5%8C%96"):
            assert made in ids(user.get(f"/v1/feed?hashtag={tag}").ok(200)["items"]), tag


class TestWhatAViewerSees:
    def test_private_channels(self, make_server):
        """AC-104, AC-106"""
        server = make_server()
        alice, bob = server.second_user(), server.second_user()
        closed = alice.post("/v1/channels", {"name": "closed", "private": True}).ok(201)["id"]
        posted(alice, "inside #closed", channel_id=closed)
        posted(alice, "outside #closed")
        for query in ("", f"&author={alice.id}", "&hashtag=closed"):
            assert contents(bob, query) == ["outside #closed"]
            assert contents(alice, query) == ["outside #closed", "inside #closed"]
        assert bob.get("/v1/feed?channel=closed").status == bob.get(f"/v1/feed?channel={closed}").status == 404
        assert contents(alice, "&channel=closed") == ["inside #closed"]
        alice.put(f"/v1/channels/{closed}/members/{bob.id}").ok(200)
        assert contents(bob, "&channel=closed") == ["inside #closed"] and len(contents(bob)) == 2
        bob.delete(f"/v1/channels/{closed}/members/me").ok(200, 204)
        assert contents(bob) == ["outside #closed"]
        assert bob.get("/v1/feed?page=1").ok(200)["total"] == 1

    def test_open_channels_come_to_members(self, make_server):
        server = make_server()
        alice, bob = server.second_user(), server.second_user()
        there = alice.post("/v1/channels", {"name": "open"}).ok(201)["id"]
        posted(alice, "said openly", channel_id=there)
        assert contents(bob) == [] and contents(bob, "&channel=open") == contents(bob, f"&author={alice.id}") == ["said openly"]
        bob.put(f"/v1/channels/{there}/members/me").ok(200)
        assert contents(bob) == ["said openly"]

    def test_replies_and_deleted_posts_are_not_in_feeds(self, make_server):
        server = make_server()
        kept, gone = posted(server, "kept #tag"), posted(server, "gone #tag")
        server.post(f"/v1/posts/{kept['id']}/replies", {"content": "a reply #tag"}).ok(201)
        server.delete(f"/v1/posts/{gone['id']}").ok(204)
        for query in ("", "&hashtag=tag", "&author=me"):
            assert contents(server, query) == ["kept #tag"]
        assert server.get("/v1/feed?page=1").ok(200)["total"] == 1

    def test_a_student_reads(self, make_server):
        """AC-128"""
        server = make_server()
        agent = server.agent("Reader", "student", kind="external")
        student = server.client(server.post(f"/v1/agents/{agent['id']}/tokens", {}).ok(201)["token"])
        posted(server, "for all #seen")
        assert contents(student) == ["for all #seen"]
        assert student.get("/v1/trending").ok(200)["items"] == [{"topic": "#seen", "kind": "hashtag", "count": 1}]


class TestTrending:
    def test_most_named_first(self, make_server):
        """AC-115, AC-116, AC-118, AC-120"""
        server = make_server()
        user = server.second_user()
        server.agent("Helper", "intern", handle="helper")
        closed = user.post("/v1/channels", {"name": "closed", "private": True}).ok(201)["id"]
        first = posted(user, "#automation and #integration, with @helper")
        posted(user, "#Automation #automation again")
        posted(user, "#secret", channel_id=closed)
        want = [{"topic": "#automation", "kind": "hashtag", "count": 2}, {"topic": "#integration", "kind": "hashtag", "count": 1},
                {"topic": "@helper", "kind": "mention", "count": 1}]
        for client in (user, server):
            for hours in (1, 24, 168):
                assert client.get(f"/v1/trending?hours={hours}").ok(200)["items"] == want
            assert client.get("/v1/trending?limit=2").ok(200)["items"] == want[:2]
        user.delete(f"/v1/posts/{first['id']}").ok(204)
        assert user.get("/v1/trending").ok(200)["items"] == [{"topic": "#automation", "kind": "hashtag", "count": 1}]
        server.restart()
        assert server.get("/v1/trending").ok(200)["items"] == [{"topic": "#automation", "kind": "hashtag", "count": 1}]

    def test_bounds(self, shared_server):
        """AC-117, AC-127"""
        for query in ("hours=0", "hours=169", "hours=-1", "limit=0", "limit=101", "hours=x", "cursor=x"):
            assert shared_server.get(f"/v1/trending?{query}").status == 422, query
