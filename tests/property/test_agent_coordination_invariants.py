"""Groups R to X and Z of docs/acceptance.md: what holds of the social layer and the bus whatever people and agents do, in which order and at
the same time. A small model says what everybody should see; the running server is asked by every door.

One server and one set of people serve all examples: topics, tags and channels of an example have names of their own. That something did
not come is shown by an event that comes after it.
"""
import asyncio
import contextlib
import itertools
import json
import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from urllib.parse import quote

import guild
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test
from support.harness import wait_for
from support import permission, turns
from support.social import NOBODY, UNLIMITED, agent, hearing, heard, human, ids, subscribe
from support.society import EMOJI, Model, Society, fresh, plain_texts

LISTENERS = 10
contents = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=1000)


def many(check, test=None):
    """In make check so many, in make long ten times that, in make test a few."""
    count = {"check": check, "long": 10 * check}.get(os.environ.get("HYPOTHESIS_PROFILE"), test or check // 20)
    return settings(max_examples=count, suppress_health_check=list(HealthCheck), deadline=None)


def few(examples):
    """Fewer where an example costs much; the profile of make check still multiplies them."""
    return settings(max_examples=max(1, examples * settings.default.max_examples // 100),
                    suppress_health_check=list(HealthCheck), deadline=None)


@pytest.fixture(scope="module")
def town(make_shared_server):
    server = make_shared_server(env={**UNLIMITED, "GUILD_HTTP_RATE": "0"})
    people = [human(server, "Inv human 1"), human(server, "Inv human 2"), human(server, "Inv human 3")]
    agents = [agent(server, "Inv agent 1", "autonomous", category="finance"), agent(server, "Inv agent 2", "autonomous"),
              agent(server, "Inv agent 3", "intern")]
    student = agent(server, "Inv student", "student")
    return SimpleNamespace(server=server, people=people, agents=agents, student=student, everybody=[*people, *agents, student],
                           writers=[*people, *agents])


@pytest.fixture
def ears(town):
    """Sockets for all examples of a test; who subscribes leaves again."""
    listener = human(town.server, "Inv listener")
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(hearing(listener)) for _ in range(LISTENERS)]


@contextlib.contextmanager
def on(socket, *topics):
    subscribe(socket, *topics)
    yield
    assert socket.ask({"type": "unsubscribe", "topics": list(topics)})["type"] == "ok"


@contextlib.contextmanager
def all_on(pairs):
    with contextlib.ExitStack() as stack:
        for socket, topics in pairs:
            stack.enter_context(on(socket, *topics))
        yield


def say(socket, topics, data):
    answer = socket.ask({"type": "publish", "topics": topics, "event": {"type": "x.said", "data": data}})
    assert answer["type"] == "ok", answer


def said(sockets, least=0):
    """What each heard by publish, in order: at least so many (no order is promised between them and the durable fence), and all before a fence."""
    early = [[s.until(lambda m: m["type"] == "event" and m["event"]["type"] == "x.said")[-1] for _ in range(least)] for s in sockets]
    return [[m["event"]["data"] for m in (*come, *rest)] for come, rest in zip(early, heard(sockets, "x.said"))]


class TestMessageDeliveryInvariant:
    @given(content=contents, listeners=st.integers(1, LISTENERS), twice=st.booleans())
    def test_invariant_delivery_one_copy_for_each(self, ears, content, listeners, twice):
        """AC-146"""
        topics = [fresh("r"), fresh("r")]
        with all_on([(socket, topics if twice else topics[:1]) for socket in ears[:listeners]]):
            say(ears[0], topics, content)
            come = said(ears)
        assert come == [[content]] * listeners + [[]] * (LISTENERS - listeners)

    @given(count=st.integers(1, 100), speakers=st.integers(1, 4), data=st.data())
    @few(15)
    def test_invariant_delivery_in_each_publishers_order(self, ears, count, speakers, data):
        """AC-147"""
        topic = fresh("fifo")
        who = data.draw(st.lists(st.integers(0, speakers - 1), min_size=count, max_size=count))
        with all_on([(ears[0], [topic]), (ears[1], [topic])]):
            for n, speaker in enumerate(who):
                say(ears[2 + speaker], [topic], [speaker, n])
            for come in said(ears[:2], count):
                for speaker in range(speakers):
                    assert [n for s, n in come if s == speaker] == [n for n, s in enumerate(who) if s == speaker]
                assert len(come) == count

    @given(count=st.integers(10, 100), text=contents)
    @few(15)
    def test_invariant_delivery_nothing_rapid_is_lost(self, ears, count, text):
        """AC-148"""
        topic = fresh("rapid")
        with all_on([(ears[0], [topic]), (ears[1], [topic])]):
            for n in range(count):
                ears[2].send({"type": "publish", "topics": [topic], "event": {"type": "x.said", "data": [n, text]}, "ref": f"n{n}"})
            assert ears[2].ask({"type": "ping"})["type"] == "pong"
            assert Counter(m["type"] for m in ears[2].kept if str(m.get("ref", "")).startswith("n")) == {"ok": count}
            ears[2].kept.clear()
            assert said(ears[:2], count) == [[[n, text] for n in range(count)]] * 2

    @given(followers=st.integers(1, 5), texts=st.lists(plain_texts, min_size=1, max_size=6), picks=st.data())
    @few(20)
    def test_invariant_delivery_of_posts_to_each_follower_once(self, town, ears, followers, texts, picks):
        """AC-146, AC-147: durable events too, by several topics at once."""
        authors = [picks.draw(st.sampled_from(town.agents)) for _ in texts]
        topics = ["global", *{author.topic for author in authors}]
        with all_on([(socket, topics) for socket in ears[:followers]]):
            posts = [author.says(text) for author, text in zip(authors, texts)]
            come = heard(ears[:followers], "agent_post")
        for got in come:
            assert [m["event"]["data"] for m in got] == posts
            offsets = [m["offset"] for m in got]
            assert offsets == sorted(set(offsets))

    @given(before=st.integers(0, 6), after=st.integers(1, 6), away=st.integers(0, 6))
    @few(15)
    def test_invariant_delivery_catch_up_has_no_seam(self, town, before, after, away):
        """AC-148: what went by meanwhile comes first, then what comes, each once."""
        author, listener = town.agents[0], town.people[1]
        with hearing(listener) as socket:
            start = subscribe(socket, author.topic)
            early = [author.says(f"early {n}") for n in range(before)]
            heard([socket])
        missed = [author.says(f"missed {n}") for n in range(away)]
        with hearing(listener) as socket:
            answer = subscribe(socket, author.topic, after={"epoch": start["epoch"], "offset": start["offset"]})
            assert answer["epoch"] == start["epoch"]
            late = [author.says(f"late {n}") for n in range(after)]
            (come,) = heard([socket], "agent_post")
        assert [m["event"]["data"]["id"] for m in come] == ids(early + missed + late)


class TestTopicRoutingInvariant:
    names = st.lists(st.sampled_from(["a", "b", "ab", "a.b", "A", "a:b", "a/b", "a-b"]), unique=True, max_size=5)

    @given(subscriptions=st.lists(names, min_size=2, max_size=5), published=st.lists(names.filter(len), min_size=1, max_size=6))
    @few(40)
    def test_invariant_routing_exactly_the_union(self, ears, subscriptions, published):
        """AC-149, AC-146"""
        mark = fresh("t")
        subscribed = [[f"{mark}{name}" for name in names] for names in subscriptions]
        with all_on([(socket, topics) for socket, topics in zip(ears, subscribed) if topics]):
            for n, topics in enumerate(published):
                say(ears[-1], [f"{mark}{name}" for name in topics], n)
            come = said(ears)
        for socket in range(len(ears)):
            mine = set(subscriptions[socket]) if socket < len(subscriptions) else set()
            assert come[socket] == [n for n, topics in enumerate(published) if mine & set(topics)]

    @given(name=st.text("abcXYZ019_.:@/-", min_size=2, max_size=60), cut=st.integers(1, 59), data=st.data())
    @few(40)
    def test_invariant_routing_no_part_and_no_wildcard(self, ears, name, cut, data):
        """AC-150"""
        name = fresh("w") + name
        cut = min(cut, len(name) - 1)
        others = {name[:cut], name[cut:], name + "x", "x" + name, name.swapcase(), name + ":", name[:-1]} - {name}
        others = sorted(other for other in others if ":" not in other.split("-")[0])
        with all_on([(ears[0], [name]), (ears[1], data.draw(st.lists(st.sampled_from(others), min_size=1, unique=True)))]):
            for wild in ("*", "#", ">", "+", name[:cut] + "*", name[:cut] + "%", name.replace(name[cut], "?", 1), f"{name}/#"):
                assert ears[1].ask({"type": "subscribe", "topics": [wild]})["type"] == "error" or wild == name, wild
            say(ears[2], [name], "exactly")
            assert said(ears[:2]) == [["exactly"], []]

    @given(name=st.one_of(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=20),
                          st.just("x" * 256), st.just("")))
    @few(40)
    def test_invariant_routing_names_are_taken_or_refused(self, ears, name):
        """AC-150, AC-165"""
        fits = 1 <= len(name) <= 255 and all(c.isascii() and (c.isalnum() or c in "_.:@/-") for c in name)
        plain = fits and not name.startswith(("agent:", "category:", "channel:", "post:", "user:", "execution:", "workspace:"))
        answer = ears[0].ask({"type": "subscribe", "topics": [name]})
        if plain:
            assert answer["type"] == "ok"
            ears[0].ask({"type": "unsubscribe", "topics": [name]})
        elif not fits:
            assert answer["type"] == "error"
        assert ears[0].ask({"type": "ping"})["type"] == "pong"

    @given(kind=st.sampled_from(["status", "insight", "question", "alert", "task", "command", "response", "announcement"]),
           author=st.integers(0, 5), text=plain_texts)
    @few(40)
    def test_invariant_routing_of_posts(self, town, ears, kind, author, text):
        """AC-149, AC-84: where the type and the author say, and nowhere else."""
        author = town.writers[author]
        topics = ["global", "alerts", "category:finance", "category:general", *(other.topic for other in town.agents)]
        category = town.server.get(f"/v1/agents/{author.id}").ok(200)["category"] if author.kind == "agent" else None
        wanted = {"global", *([author.topic] if author.kind == "agent" else []), *(["alerts"] if kind in ("alert", "announcement") else []),
                  *([f"category:{category}"] if kind == "question" and category else [])}
        with all_on(list(zip(ears, ([topic] for topic in topics)))):
            post = author.says(text, type=kind)
            come = heard(ears[:len(topics)], "agent_post")
        assert {topic for topic, got in zip(topics, come) if got} == wanted
        assert all([m["event"]["data"] for m in got] in ([], [post]) for got in come)


class TestFeedOrderingInvariant:
    def pages(self, reader, sizes, **query):
        """The newest ones, in pages of those sizes."""
        seen, cursor = [], None
        for size in sizes:
            page = reader.feed_page(limit=size, **query, **({"cursor": cursor} if cursor else {})).ok(200)
            seen += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        return seen

    @given(authors=st.lists(st.integers(0, 5), min_size=1, max_size=12), sizes=st.lists(st.integers(1, 20), min_size=1, max_size=4))
    @few(25)
    def test_invariant_order_times_never_rise(self, town, authors, sizes):
        """AC-151, AC-152"""
        posts = [town.writers[n].says(f"in order {fresh('o')}") for n in authors]
        seen = self.pages(town.people[0], sizes)
        assert ids(seen)[:len(posts)] == ids(reversed(posts))[:len(seen)]
        keys = [(post["created_at"], post["id"]) for post in seen]
        assert all(a[0] >= b[0] for a, b in zip(keys, keys[1:])), "AC-151"
        assert all(a[1] > b[1] for a, b in zip(keys, keys[1:]) if a[0] == b[0]), "AC-152"

    @given(groups=st.lists(st.integers(1, 5), min_size=1, max_size=4), size=st.integers(1, 6))
    @few(15)
    def test_invariant_order_ties_by_id(self, town, groups, size):
        """AC-152, AC-124: of one instant, made so in the store."""
        author, posts = town.agents[1], []
        for group in groups:
            same = [author.says("of one instant") for _ in range(group)]
            with contextlib.closing(town.server.store()) as store:
                store.execute("UPDATE post SET created_at = (SELECT max(created_at) FROM post) WHERE id IN "
                              "(SELECT id FROM post ORDER BY id DESC LIMIT ?)", (group,))
            posts += same
        seen = self.pages(town.people[0], [size] * (len(posts) // size + 1), author=author.id)[:len(posts)]
        assert ids(seen) == ids(reversed(posts)) and len(set(ids(seen))) == len(posts)
        assert len({post["created_at"] for post in seen}) <= len(groups)

    @given(count=st.integers(0, 12), sizes=st.lists(st.integers(1, 5), min_size=1, max_size=13), between=st.integers(0, 2))
    @few(20)
    def test_invariant_order_pages_neither_repeat_nor_miss(self, town, count, sizes, between):
        """AC-122, AC-123: whatever the sizes, and whoever posts meanwhile."""
        tag, person = fresh("p").replace("-", ""), town.people[0]
        posts = [person.says(f"#{tag} {n}") for n in range(count)]
        seen, cursor = [], None
        for size in itertools.chain(sizes, itertools.repeat(3)):
            page = person.feed_page(limit=size, hashtag=tag, **({"cursor": cursor} if cursor else {})).ok(200)
            seen += ids(page["items"])
            cursor = page["next_cursor"]
            assert page["has_more"] is (cursor is not None) is (len(seen) < count)
            if cursor is None:
                break
            for _ in range(between):
                person.says(f"#{tag} later")
        assert seen == ids(reversed(posts))

    @given(rows=st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["status", "question", "alert"]), st.booleans()), min_size=1, max_size=10),
           size=st.integers(1, 4), by_number=st.booleans())
    @few(20)
    def test_invariant_order_filters_take_a_part_of_the_same_order(self, town, rows, size, by_number):
        """AC-121, AC-125, AC-151"""
        tag, reader = fresh("f").replace("-", ""), town.people[0]
        channel = reader.makes_channel(fresh("filters"))
        for writer in town.writers:
            writer.joins(channel).ok(200)
        posts = [town.writers[who].says(f"#{tag}", type=kind, **({"channel_id": channel["id"]} if here else {})) for who, kind, here in rows]
        for writer in town.writers:
            writer.leaves(channel)
        reader.joins(channel).ok(200)
        posts.reverse()
        for query, wanted in (({"type": "question"}, lambda p: p["type"] == "question"), ({"channel": channel["id"]}, lambda p: p["channel_id"]),
                              ({"author": town.agents[0].id}, lambda p: p["author"]["id"] == town.agents[0].id), ({}, lambda p: True),
                              ({"visibility": "public", "type": "alert"}, lambda p: p["visibility"] == "public" and p["type"] == "alert")):
            expected = [post["id"] for post in posts if wanted(post)]
            if by_number:
                page = reader.feed_page(page=1, per_page=size, hashtag=tag, **query).ok(200)
                assert (ids(page["items"]), page["total"]) == (expected[:size], len(expected))
            else:
                assert ids(reader.feed(limit=size, hashtag=tag, **query)) == expected


class TestStateConsistencyInvariant:
    @given(before=st.integers(0, 13), at_once=st.integers(1, 14))
    @few(8)
    def test_invariant_state_parallel_posts_all_or_cleanly(self, strict, before, at_once):
        """AC-153, AC-134"""
        author = agent(strict, fresh("Supervised"), "supervised")
        done = [author.try_post(f"before {n}").status for n in range(before)]
        assert done == [201] * min(before, 12) + [429] * max(0, before - 12)
        with ThreadPoolExecutor(at_once) as pool:
            replies = list(pool.map(lambda n: author.try_post(f"at once {n}"), range(at_once)))
        free = max(0, 12 - before)
        assert Counter(r.status for r in replies) == Counter([201] * min(free, at_once) + [429] * max(0, at_once - free))
        assert all(r.code == "rate_limited" and int(r.headers["retry-after"]) > 0 for r in replies if r.status == 429)
        kept = ids(human(strict).feed(author=author.id))
        assert len(kept) == min(12, before + at_once) and set(kept) >= {r.body["id"] for r in replies if r.status == 201}

    @given(acts=st.lists(st.tuples(st.integers(0, 5), st.sampled_from(EMOJI), st.booleans()), max_size=30), at_once=st.booleans())
    @few(20)
    def test_invariant_state_reactions_count_actors(self, town, acts, at_once):
        """AC-154, AC-108, AC-113"""
        post = town.people[0].says("react as you like")
        given_ = set()

        def act(step):
            who, emoji, adds = step
            return (town.writers[who].reacts if adds else town.writers[who].unreacts)(post, emoji).status
        if at_once:
            with ThreadPoolExecutor(6) as pool:
                statuses = list(pool.map(act, acts))
            assert set(statuses) <= {200, 201, 204}
        else:
            for who, emoji, adds in acts:
                status = act((who, emoji, adds))
                assert status == ((200 if (who, emoji) in given_ else 201) if adds else 204)
                (given_.add if adds else given_.discard)((who, emoji))
        listed = town.people[1].reactions_of(post)
        for row in listed:
            assert 0 < row["count"] == len({actor["id"] for actor in row["actors"]}) <= len(town.writers)
        assert Counter({row["emoji"]: row["count"] for row in listed}) <= Counter(e for e, _ in {(e, w) for w, e, adds in acts if adds})
        if not at_once:
            assert {row["emoji"]: row["count"] for row in listed} == dict(Counter(emoji for _, emoji in given_))

    @given(steps=st.lists(st.one_of(st.integers(0, 5), st.just("delete")), max_size=14), at_once=st.booleans())
    @few(20)
    def test_invariant_state_replies_count_what_is_there(self, town, steps, at_once):
        """AC-154, AC-136, AC-137"""
        parent, there, counts = town.people[0].says("say something"), [], []
        if at_once:
            writers = [town.writers[step] for step in steps if step != "delete"]
            with ThreadPoolExecutor(6) as pool:
                there = list(pool.map(lambda writer: writer.replies(parent, "all together"), writers))
        else:
            for step in steps:
                if step == "delete":
                    if there:
                        assert town.server.delete(f"/v1/posts/{there.pop(0)['id']}").status == 204
                else:
                    there.append(town.writers[step].replies(parent, "one by one"))
                counts.append(town.people[1].sees(parent)["reply_count"])
                assert counts[-1] == len(there)
        listed = ids(town.people[1].replies_of(parent))
        assert (sorted(listed) == sorted(ids(there))) if at_once else (listed == ids(there))
        assert town.people[1].sees(parent)["reply_count"] == len(there) >= 0

    @given(acts=st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=25), at_once=st.booleans())
    @few(20)
    def test_invariant_state_members_count_who_is_in(self, town, acts, at_once):
        """AC-154, AC-102, AC-103"""
        founder, inside = town.people[0], {town.people[0].id}
        channel = founder.makes_channel(fresh("members"))

        def act(step):
            who = town.everybody[step[0]]
            return who.joins(channel) if step[1] else who.leaves(channel)
        if at_once:
            with ThreadPoolExecutor(6) as pool:
                replies = list(pool.map(act, acts))
            assert {r.status for r in replies} <= {200, 204, 403}
        else:
            for step in acts:
                who, status = town.everybody[step[0]], act(step).status
                if who is town.student and step[1]:
                    assert status == 403
                    continue
                assert status == (200 if step[1] else 204)
                (inside.add if step[1] else inside.discard)(who.id)
        now = founder.get(f"/v1/channels/{channel['id']}").ok(200)["member_count"]
        members = [row["actor"]["id"] for row in founder.items(f"/v1/channels/{channel['id']}/members?limit=100")]
        assert now == len(members) == len(set(members)) and town.student.id not in members
        if not at_once:
            assert set(members) == inside

    @given(seeds=st.lists(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=1, max_size=20), min_size=2, max_size=4),
           count=st.integers(5, 40))
    @few(10)
    def test_invariant_state_coming_and_going_disturbs_nobody(self, ears, seeds, count):
        """AC-155, AC-167"""
        mark, problems = fresh("busy"), []

        def restless(socket, acts):
            try:
                for joins, topic in acts:
                    answer = socket.ask({"type": "subscribe" if joins else "unsubscribe", "topics": [f"{mark}-{topic}"]})
                    assert answer["type"] == "ok", answer
                socket.ask({"type": "unsubscribe", "topics": [f"{mark}-{n}" for n in range(5)]})
                socket.kept = [m for m in socket.kept if m["type"] != "event"]
            except Exception as problem:  # the test fails with it
                problems.append(problem)
        threads = [threading.Thread(target=restless, args=(ears[2 + n], acts)) for n, acts in enumerate(seeds)]
        with on(ears[0], *[f"{mark}-{n}" for n in range(5)]):
            for thread in threads:
                thread.start()
            for n in range(count):
                say(ears[1], [f"{mark}-{n % 5}", f"{mark}-{n % 3}"], n)
            for thread in threads:
                thread.join(30)
                assert not thread.is_alive(), "AC-167"
            assert problems == [] and said(ears[:1]) == [list(range(count))]
        said(ears)

    @given(texts=st.lists(plain_texts, min_size=2, max_size=6))
    @few(10)
    def test_invariant_state_runs_at_once_do_not_cross(self, town, chatters, texts):
        """AC-156"""
        marks = [f"{text} {fresh('mark')}" for text in texts]

        def run(n):
            who, client = chatters[n % len(chatters)], town.people[n % 3]
            with client.stream(marks[n], agent=who["id"]) as stream:
                return who, client, stream.collect()
        with ThreadPoolExecutor(len(marks)) as pool:
            runs = list(pool.map(run, range(len(marks))))
        assert len({events[0].data["execution_id"] for _, _, events in runs}) == len(marks)
        assert len({events[0].data["session_id"] for _, _, events in runs}) == len(marks)
        for mark, (who, client, events) in zip(marks, runs):
            assert {event.data["id"] for event in events} == {events[0].data["id"]}
            assert [event.seq for event in events] == sorted({event.seq for event in events})
            assert events[-1].event == "streaming:complete"
            assert "".join(e.data["delta"] for e in events if e.event == "streaming:update") == events[-1].data["content"]
            row = client.ended(events[0].data["execution_id"], "completed")
            assert row["agent_id"] == who["id"] and row["session_id"] == events[0].data["session_id"]
            user, answer = client.messages(row["session_id"])
            assert (user["content"], answer["content"]) == (mark, events[-1].data["content"])

    @given(rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from(["public", "private", "directed", "reply"])), max_size=12),
           deleted=st.lists(st.integers(0, 11), max_size=4))
    @few(20)
    def test_invariant_state_trends_count_public_posts(self, town, rows, deleted):
        """AC-154, AC-115, AC-116, AC-120"""
        mark, person = fresh("trend").replace("-", ""), town.people[0]
        tags = [f"#{mark}{letter}" for letter in "abcd"]
        channel = person.makes_channel(fresh("trends"), private=True)
        posts = []
        for one, two, where in rows:
            text = f"{tags[one]} and {tags[two].upper()}"
            if where == "reply":
                continue
            place = {"private": {"channel_id": channel["id"]}, "directed": {"visibility": "directed"}, "public": {}}[where]
            posts.append((person.says(text, **place), {tags[one], tags[two]} if where == "public" else set()))
        for n in sorted(set(deleted), reverse=True):
            if n < len(posts):
                assert person.deletes(posts.pop(n)[0]).status == 204
        wanted = Counter(tag for _, counted in posts for tag in counted)
        listed = [row for row in town.people[1].trending() if row["topic"].startswith(f"#{mark}")]
        hidden = max(0, len(town.people[1].trending()) - 99)
        if not hidden:
            assert {row["topic"]: row["count"] for row in listed} == dict(wanted)
        assert listed == sorted(listed, key=lambda row: (-row["count"], row["topic"]))
        for tag in tags:
            assert len(town.people[1].feed(hashtag=tag)) == wanted[tag]

    @given(pieces=st.lists(st.tuples(plain_texts, st.sampled_from(["jane.doe@corp.example", "4111 1111 1111 1111", "078-05-1120", "+1 212 555 0187",
                                                                     "DE89 3704 0044 0532 0130 00", ""])), min_size=1, max_size=6),
           door=st.sampled_from(["post", "reply", "message"]))
    @few(30)
    def test_invariant_state_secrets_are_never_kept(self, town, pieces, door):
        """AC-68, AC-140"""
        one, other = town.people[0], town.agents[0]
        text = " , ".join(f"{words} {secret}" for words, secret in pieces)
        if door == "post":
            kept = other.sees(one.says(text))["content"]
        elif door == "reply":
            kept = other.sees(one.replies(other.says("ask"), text))["content"]
        else:
            one.tells(other, text)
            kept = other.get("/v1/direct-messages?limit=1").ok(200)["items"][0]["content"]
        for words, secret in pieces:
            assert words in kept and (secret == "" or secret not in kept)
        assert kept.count("[REDACTED_") == sum(secret != "" for _, secret in pieces)
        assert one.says(kept)["content"] == kept, "again changes nothing"


@pytest.fixture(scope="module")
def strict(make_shared_server):
    """A server with the limits as they come."""
    return make_shared_server(env={"GUILD_HTTP_RATE": "0"})


@pytest.fixture(scope="module")
def chatters(town):
    return [town.server.agent(f"Inv chatter {n}", "autonomous") for n in range(3)]


def leak_of(viewer, text, secrets):
    """Whatever of the secrets is in a text that viewer got."""
    return [secret for secret in secrets if secret in text]


class TestVisibilityInvariant:
    def test_invariant_society_matches_its_model(self, town):
        """AC-149, AC-151, AC-154, AC-106"""
        Society.town = town
        budget = max(1, 12 * settings.default.max_examples // 100)
        run_state_machine_as_test(Society, settings=settings(max_examples=budget, stateful_step_count=30, deadline=None,
                                                             suppress_health_check=list(HealthCheck)))

    @given(data=st.data())
    @few(25)
    def test_invariant_nothing_leaks_by_any_door(self, town, data):
        """AC-95, AC-106, AC-120, AC-149"""
        model, marks, everybody = Model(), {}, town.everybody
        start = None
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(hearing(actor, "global", "alerts", *(a.topic for a in town.agents))) for actor in everybody]
            start = subscribe(sockets[0], "global")
            tag = "#" + fresh("leak").replace("-", "")
            channels = []
            for _ in range(data.draw(st.integers(0, 2), "channels")):
                founder = data.draw(st.sampled_from(town.writers))
                channel = founder.makes_channel(fresh("leaky"), private=True)["id"]
                members = {founder.id}
                for member in data.draw(st.lists(st.sampled_from(everybody), unique=True, max_size=3)):
                    if founder.joins(channel, member).status == 200:
                        members.add(member.id)
                model.channels[channel] = {"private": True, "members": members}
                channels.append((channel, founder))
                for n, actor in enumerate(everybody):
                    answer = sockets[n].ask({"type": "subscribe", "topics": [f"channel:{channel}"]})
                    assert (answer["type"] == "ok") is (actor.id in members)
            for _ in range(data.draw(st.integers(1, 6), "posts")):
                mark = fresh("secret").replace("-", "")
                author = data.draw(st.sampled_from(town.writers))
                inside = [c for c, _ in channels if author.id in model.channels[c]["members"]]
                where = data.draw(st.sampled_from(["public", "directed", "message", *(["channel"] if inside else [])]))
                post = {"author": author.id, "visibility": where, "channel": None, "to": None, "deleted": False, "parent": None}
                text = f"{mark} {tag} {tag}{mark}"
                if where == "channel":
                    post["channel"] = data.draw(st.sampled_from(inside))
                    made = author.says(text, channel_id=post["channel"])
                elif where == "public":
                    made = author.says(text)
                else:
                    to = data.draw(st.sampled_from([a for a in everybody if a is not author]))
                    post.update(to=to.id, visibility="directed")
                    made = author.tells(to, text) if where == "message" else author.says(text, visibility="directed", mentions=[to.as_mention])
                post["id"], post["is_message"] = made["id"], where == "message"
                marks[mark] = post
                if where != "message" and data.draw(st.booleans()):
                    answer = author.replies(made, f"re{mark}")
                    author.reacts(answer, EMOJI[0]), author.reacts(made, EMOJI[1])
                    marks[f"re{mark}"] = {**post, "id": answer["id"], "parent": made["id"]}
            for n, (actor, come) in enumerate(zip(everybody, heard(sockets))):
                self.look(town, model, marks, actor, tag, json.dumps(come, ensure_ascii=False))
        for actor in everybody:
            with hearing(actor) as socket:
                subscribe(socket, "global", "alerts", *(a.topic for a in town.agents if a is not actor),
                          *(f"channel:{c}" for c in model.channels if actor.id in model.channels[c]["members"]),
                          after={"epoch": start["epoch"], "offset": start["offset"]})
                (caught_up,) = heard([socket])
                text = json.dumps(caught_up, ensure_ascii=False)
                hidden = [mark for mark, post in marks.items() if not model.sees(actor, post)]
                assert leak_of(actor, text, hidden) == [], "catch-up"
                public = [mark for mark, post in marks.items() if post["visibility"] == "public"]
                assert [mark for mark in public if mark not in text] == [], "and nothing public is missing"

    @staticmethod
    def look(town, model, marks, actor, tag, live):
        hidden = [mark for mark, post in marks.items() if not model.sees(actor, post)]
        shown = [mark for mark in marks if mark not in hidden]
        doors = {"live": live, "feed": json.dumps(actor.feed_page(limit=100).ok(200)), "hashtag": json.dumps(actor.feed(hashtag=tag)),
                 "numbered": actor.feed_page(page=1, per_page=100).text, "trending": json.dumps(actor.trending()),
                 "inbox": actor.get("/v1/direct-messages?limit=100").text, "channels": actor.get("/v1/channels?limit=100").text}
        for author in {post["author"] for post in marks.values()}:
            doors[f"author {author}"] = actor.feed_page(author=author, limit=100).text
            doors[f"thread {author}"] = actor.get(f"/v1/direct-messages?with={author}").text
        for channel in model.channels:
            doors[f"channel {channel}"] = actor.feed_page(channel=channel).text
        for mark, post in marks.items():
            doors[f"tag {mark}"] = json.dumps(actor.feed_page(hashtag=f"{tag}{mark}").text.replace(quote(tag + mark), ""))
            for path in ("", "/replies", "/reactions"):
                reply = actor.get(f"/v1/posts/{post['id']}{path}")
                doors[f"post {mark}{path}"] = reply.text
                if mark in hidden or post["is_message"]:
                    assert reply.status == 404, path
        for door, text in doors.items():
            assert leak_of(actor, text, hidden) == [], f"{actor.name}, {door}"
        for mark in shown:
            assert any(mark in text for text in doors.values()), "what is theirs, they see"

    @given(writer=st.integers(0, 5), whom=st.integers(0, 5), acts=st.lists(st.sampled_from(["block", "unblock", "message", "post"]), max_size=8))
    @few(15)
    def test_invariant_blocked_is_not_delivered(self, town, writer, whom, acts):
        """AC-94"""
        sender, receiver = town.writers[writer], town.writers[whom]
        if sender is receiver:
            return
        blocked, wanted, others = False, [], receiver.inbox()
        try:
            with hearing(receiver) as socket:
                for act in acts:
                    if act in ("block", "unblock"):
                        blocked = act == "block"
                        (receiver.blocks if blocked else receiver.unblocks)(sender)
                        continue
                    text = fresh("maybe")
                    reply = sender.try_tell(receiver, text) if act == "message" else \
                        sender.try_post(text, visibility="directed", mentions=[receiver.as_mention])
                    assert reply.status == (403 if blocked else 201)
                    if not blocked:
                        wanted.append(reply.body["id"])
                (come,) = heard([socket], "direct_message", "agent_post")
            assert [m["event"]["data"]["id"] for m in come] == wanted
            assert {m["id"] for m in receiver.inbox()} - {m["id"] for m in others} <= set(wanted)
        finally:
            receiver.unblocks(sender)

    @given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=10))
    @few(15)
    def test_invariant_members_alone_see_at_each_moment(self, town, steps):
        """AC-106, AC-149: who leaves sees no more of it, what was before included; who is let in sees all of it."""
        founder = town.people[0]
        channel, inside = founder.makes_channel(fresh("turnstile"), private=True)["id"], {founder.id}
        posts = [founder.says("first", channel_id=channel)]
        for joins, who in steps:
            actor = town.writers[who]
            if actor is founder:
                continue
            if joins:
                founder.joins(channel, actor).ok(200)
                inside.add(actor.id)
            elif actor.id in inside:
                assert actor.leaves(channel).status == 204
                inside.discard(actor.id)
            posts.append(founder.says("and another", channel_id=channel))
            for other in town.everybody:
                seen = [post["id"] for post in posts if other.sees(post)]
                assert seen == (ids(posts) if other.id in inside else [])


class TestErrorRecoveryInvariant:
    @given(handlers=st.lists(st.sampled_from(["good", "bad", "slow", "async bad"]), min_size=1, max_size=10),
           events_=st.lists(st.tuples(st.sampled_from(["a", "b", "unknown"]), contents), max_size=20))
    @few(40)
    def test_invariant_recovery_a_handler_that_raises_stops_nobody(self, handlers, events_):
        """AC-166, AC-165, AC-146, AC-147"""
        async def body():
            bus, got = guild.AgentEventBus(), [[] for _ in handlers]

            def make(n, kind):
                async def coroutine(event):
                    got[n].append(event)
                    await asyncio.sleep(0)
                    if kind == "async bad":
                        raise RuntimeError("of a handler")

                def plain(event):
                    got[n].append(event)
                    if kind == "bad":
                        raise RuntimeError("of a handler")
                return coroutine if kind in ("slow", "async bad") else plain
            for n, kind in enumerate(handlers):
                bus.subscribe(["a", "b"] if n % 2 else "a", make(n, kind))
            for topic, content in events_:
                bus.publish(topic, {"content": content})
            await bus.drain()
            return got
        got = asyncio.run(asyncio.wait_for(body(), 30))
        for n in range(len(handlers)):
            assert got[n] == [{"content": c} for topic, c in events_ if topic == "a" or (topic == "b" and n % 2)]

    @given(names=st.lists(st.text("abcxyz0189_.-", min_size=1, max_size=40), min_size=1, max_size=8, unique=True), content=contents)
    @few(30)
    def test_invariant_recovery_unknown_topics_are_safe(self, town, ears, names, content):
        """AC-165, AC-87"""
        names = [fresh("u") + name for name in names]
        say(ears[0], names, content)
        town.people[0].post("/v1/events", {"type": "x.unknown", "topics": names, "data": content}).ok(202)
        with on(ears[1], *names):
            say(ears[0], names, "after")
            assert said(ears[1:2]) == [["after"]]

    @given(dying=st.integers(1, 4), count=st.integers(1, 10))
    @few(10)
    def test_invariant_recovery_who_dies_stops_nobody(self, town, ears, dying, count):
        """AC-166, AC-86"""
        topic, person = fresh("dying"), town.people[2]
        with on(ears[0], topic), contextlib.ExitStack() as stack:
            doomed = [person.ws() for _ in range(dying)]
            for socket in doomed:
                stack.callback(socket.close)
                subscribe(socket, topic)
            for n in range(count):
                if n < dying:
                    doomed[n].kill()
                say(ears[1], [topic], n)
            assert said(ears[:1]) == [list(range(count))]

    @given(rounds=st.lists(st.sampled_from(["post", "reply", "react", "message", "feed", "bad json", "bad cursor", "no such", "subscribe"]),
                           min_size=1, max_size=25))
    @few(15)
    def test_invariant_recovery_rounds_end(self, town, ears, rounds):
        """AC-167: whatever was asked before, the next answer comes."""
        person, peer = town.people[0], town.agents[0]
        post = peer.says("of the round")
        asks = {"post": lambda: person.try_post("round"), "reply": lambda: person.try_reply(post, "round"),
                "react": lambda: person.reacts(post, EMOJI[0]), "message": lambda: person.try_tell(peer, "round"),
                "feed": person.feed_page, "bad json": lambda: person.request("POST", "/v1/posts", b'{"content": "'),
                "bad cursor": lambda: person.feed_page(cursor="nonsense"), "no such": lambda: person.reacts(NOBODY, EMOJI[0]),
                "subscribe": lambda: ears[0].ask({"type": "subscribe", "topics": ["*"]})}
        bad = {"bad json": 400, "bad cursor": 400, "no such": 404}
        for ask in rounds:
            reply = asks[ask]()
            if ask == "subscribe":
                assert reply["type"] == "error"
            elif ask in bad:
                assert reply.status == bad[ask]
            else:
                assert reply.status in (200, 201)
        assert person.sees(post)["id"] == post["id"]

    @given(failures=st.integers(1, 3), texts=st.lists(plain_texts, min_size=1, max_size=5))
    @few(2)
    def test_invariant_recovery_what_was_refused_leaves_nothing(self, town, failures, texts):
        """AC-153, AC-166: a store that cannot write refuses cleanly; afterwards all is as if nothing had been asked."""
        person, tag = town.people[1], "#" + fresh("locked").replace("-", "")
        kept = [person.says(f"{text} {tag}") for text in texts]
        listener = town.people[2]
        with hearing(listener, "global") as socket:
            with contextlib.closing(town.server.store()) as store:
                store.execute("BEGIN IMMEDIATE")
                with ThreadPoolExecutor(failures) as pool:
                    pending = [pool.submit(person.try_post, f"refused {tag}") for _ in range(failures)]
                    statuses = [p.result(timeout=30).status for p in pending]
                store.execute("ROLLBACK")
            assert set(statuses) == {503}

            def written():
                reply = person.try_post(f"after {tag}")
                return reply.body if reply.status == 201 else None
            after = wait_for(written, "the store to be written again")
            (come,) = heard([socket], "agent_post")
        assert [m["event"]["data"]["id"] for m in come] == [after["id"]]
        assert ids(person.feed(hashtag=tag)) == [after["id"], *ids(reversed(kept))]


class TestPermissionInvariant:
    def agrees(self, governed, agent, action, wish, off=False):
        decision = governed.decide(agent, action, wish)
        said = tuple(decision[name] for name in ("status_code", "allowed", "requires_human_approval", "proceed"))
        assert said == governed.rules.decide(agent, action, wish, off), (agent, action, wish, decision)
        assert decision["action_complexity"] == governed.rules.levels[action]
        return decision

    @given(agent=permission.agents_, action=permission.actions_, wish=st.booleans())
    @many(1000)
    def test_invariant_permission_is_rank_against_level(self, governed, agent, action, wish):
        """AC-157, AC-158, AC-159"""
        governed.reset()
        self.agrees(governed, agent, action, wish)

    @given(changes=st.lists(permission.changes_, min_size=1, max_size=3), agent=permission.agents_, action=permission.actions_, wish=st.booleans())
    @many(1000)
    def test_invariant_permission_follows_each_change_at_once(self, governed, changes, agent, action, wish):
        """AC-157, AC-159: maturity, lifecycle, table, emergency, kill switch, whatever came before."""
        for name, *what in changes:
            getattr(governed, name)(*what)
            self.agrees(governed, agent, action, wish)

    @given(agent=permission.agents_, action=permission.actions_, wish=st.booleans())
    @many(200)
    def test_invariant_permission_where_the_mode_is_off(self, lax, agent, action, wish):
        """AC-158"""
        self.agrees(lax, agent, action, wish, off=True)

    @given(agent=permission.agents_, action=permission.actions_, text=st.text("abc", max_size=3), good=st.booleans())
    @many(200)
    def test_invariant_permission_enforced_as_decided(self, governed, agent, action, text, good):
        """AC-157, AC-159: what needs a human's yes is done after it, once, and after a no never."""
        governed.reset()
        server, path = governed.server, f"/v1/agents/{governed.ids[agent]}/enforce"
        body = {"action": action, "arguments": {"text": text}}
        status, _, _, proceed = governed.rules.decide(agent, action)
        first = server.post(path, body)
        assert first.status == (200 if proceed else 202 if status == "approval_required" else 403), first.text
        if status == "approval_required":
            approval = first.body["approval_id"]
            judge = governed.judge = getattr(governed, "judge", None) or human(server, "Judge", "admin")
            judge.post(f"/v1/approvals/{approval}/{'approve' if good else 'reject'}", {"note": "a test"}).ok(200)
            second = server.post(path, {**body, "approval_id": approval})
            assert (second.status, second.body.get("code")) == ((200, None) if good else (403, "approval_rejected")), second.text
            if good:
                assert server.post(path, {**body, "approval_id": approval}).code == "approval_consumed"
        elif not proceed:
            assert first.code == permission.CODES[status]


class TestAuditTrailInvariant:
    @given(behaviour=turns.outcomes_, text=plain_texts, stream=st.booleans())
    @many(1000)
    def test_invariant_audit_of_every_end(self, scripted, behaviour, text, stream):
        """AC-161, AC-162, AC-164: the run, its two entries, and that nothing moves it afterwards."""
        server, provider = scripted
        asked = {"deltas": [text, text], **behaviour}
        reply = server.chat("script:" + json.dumps(asked))
        run = server.execution(reply.body["execution_id"])
        assert run["duration_ms"] >= 1 and run["end_time"] >= run["started_at"]
        assert reply.status == 200 or behaviour not in turns.SOUND
        if reply.status == 200:
            assert (run["status"], run["error_code"], run["error_message"]) == ("completed", None, None), "AC-161"
        else:
            assert run["status"] == "failed" and run["error_message"] and run["error_code"] == reply.code, "AC-162"
        newest = server.get("/v1/audit?limit=4").ok(200)["items"]
        end, start = [entry for entry in newest if entry["execution_id"] == run["id"]]
        assert start["seq"] + 1 == end["seq"]
        assert (start["outcome"], end["outcome"]) == ("started", run["status"])
        assert start["time"] <= end["time"] and start["start"] <= end["end"] and end["duration_ms"] == run["duration_ms"]
        assert end["code"] == run["error_code"] and end["prev_hash"] == start["hash"]
        if stream:
            assert server.post(f"/v1/executions/{run['id']}/cancel").status == 409
            assert server.execution(run["id"]) == run, "AC-164"

    @given(agent=permission.agents_, action=permission.actions_, wish=st.booleans())
    @many(1000)
    def test_invariant_audit_result_is_whole(self, governed, agent, action, wish):
        """AC-163"""
        decision = governed.decide(agent, action, wish)
        kinds = {"allowed": bool, "reason": str, "agent_maturity": str, "action_complexity": int, "required_maturity": str,
                 "requires_human_approval": bool, "confidence": (int, float), "proceed": bool, "rule_id": str, "status_code": str}
        assert all(isinstance(decision[name], kind) for name, kind in kinds.items())
        assert 0 <= decision["confidence"] <= 1 and agent in decision["reason"] and f'"{action}"' in decision["reason"]
        assert ("blocked" in decision["reason"]) is not decision["allowed"]


class TestCoordinationInvariant:
    def test_invariant_coordination_of_turns(self, make_shared_server):
        """AC-175, AC-176, AC-177, AC-179: in any order, against a model that says after each step which runs have begun, and how others ended."""
        with turns.floor(make_shared_server) as place:
            machine = type("Machine", (turns.Floor,), {"place": place})
            run_state_machine_as_test(machine, settings=settings(many(1000), stateful_step_count=10))

    @given(stuck=st.lists(st.sampled_from([{"hang": True}, {"hold_after": 1}, {"endless": True, "delay_ms": 20}, {"linger": True, "no_done": True}]),
                          min_size=1, max_size=3))
    @many(20, test=2)
    def test_invariant_coordination_time_ends_what_is_stuck(self, impatient, stuck):
        """AC-178, AC-181: each asked of the provider once; the next one has its turn."""
        server, provider, agent = impatient
        before = len(provider.log())
        runs = [server.stream("script:" + json.dumps({"deltas": ["a", "b"], **b}), agent=agent) for b in stuck]
        last = server.stream("after them", agent=agent)
        for stream in runs:
            end = stream.collect()[-1]
            assert end.data["code"] in ("timed_out", "provider_timeout")
            assert server.execution(stream.headers["x-execution-id"])["status"] == "timed_out"
        assert last.collect()[-1].data["content"] == "echo: after them"
        assert len(provider.log()) - before == len(stuck) + 1, "AC-181"
        provider.release()

    @given(count=st.integers(1, 4))
    @many(20, test=1)
    def test_invariant_coordination_approvals_expire(self, hasty, count):
        """AC-180: by themselves, and nothing can be done with them any more."""
        server, agent = hasty
        mark = fresh("expiring")
        wanted = [server.post(f"/v1/agents/{agent}/enforce", {"action": "send_email", "arguments": {"n": n, "mark": mark}}).ok(202)["approval_id"]
                  for n in range(count)]
        for n, approval in enumerate(wanted):
            wait_for(lambda: server.get(f"/v1/approvals/{approval}").ok(200)["status"] == "expired", "the approval to expire")
            late = server.post(f"/v1/agents/{agent}/enforce",
                               {"action": "send_email", "arguments": {"n": n, "mark": mark}, "approval_id": approval})
            assert late.code == "approval_expired"

    @given(answers=st.lists(st.tuples(st.lists(plain_texts, max_size=4), st.booleans()), min_size=1, max_size=4))
    @many(200)
    def test_invariant_coordination_sums_agree(self, scripted, answers):
        """AC-182: tokens of the runs, of the provider or counted by the delta, and of the server's own sum; messages; durations."""
        server, _ = scripted
        before, session, wanted = server.metrics()["guild_tokens_total"], None, 0
        for deltas, usage in answers:
            said = {"prompt_tokens": 3, "completion_tokens": 1000 + len(deltas), "total_tokens": 1003 + len(deltas)} if usage else None
            result = server.chat("script:" + json.dumps({"deltas": deltas, "usage": said}), **({"session_id": session} if session else {})).ok(200)
            session = result["session_id"]
            counted = sum(max(1, -(-len(delta) // 4)) for delta in deltas if delta)
            wanted += counted
            run = server.execution(result["execution_id"])
            assert run["tokens"] == result["tokens"]
            assert (run["tokens"]["out"], run["tokens"]["estimated"]) == ((said["completion_tokens"], False) if usage else (counted, True))
            assert result["response"] == "".join(deltas) and run["seq_last"] == 2 + len([d for d in deltas if d])
        assert server.metrics()["guild_tokens_total"] - before == wanted
        assert server.get(f"/v1/sessions/{session}").ok(200)["message_count"] == 2 * len(answers) == len(server.messages(session))
