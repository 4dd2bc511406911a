"""The social layer and the event bus through the Python binding: in this process, and as a client of a server."""
import asyncio
import contextlib
import threading
from datetime import datetime, timedelta, timezone

import pytest

import guild

POST_KEYS = ["id", "agent_id", "agent_type", "agent_name", "agent_maturity", "content", "post_type", "is_public", "channel", "created_at"]
MESSAGE_KEYS = ["id", "from_agent_id", "to_agent_id", "content", "message_type", "created_at", "delivered_at", "read_at"]
TYPES = ["status", "insight", "question", "alert", "task", "command", "response", "announcement"]


@pytest.fixture
def db():
    with guild.open(":memory:", settings={"providers.builtin": "on", "server.drain": 1}) as opened:
        yield opened


@pytest.fixture
def agents(db):
    """One of each maturity."""
    return guild.Record({level: guild.create_agent(db, name=f"The {level}", handle=level, maturity=level)
                         for level in ("student", "intern", "supervised", "autonomous")})


@pytest.fixture
def layer(db):
    return guild.AgentSocialLayer(db)


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 30))


class TestPosts:
    def test_the_keys_of_a_post(self, layer, agents):
        """AC-64, AC-74"""
        post = run(layer.create_post(agents.autonomous.id, "agent", "Done with #automation", "insight"))
        assert list(post)[:len(POST_KEYS)] == POST_KEYS
        assert (post.agent_id, post.agent_type, post.agent_name, post.agent_maturity) == (
            agents.autonomous.id, "agent", "The autonomous", "autonomous")
        assert (post.post_type, post.is_public, post.channel, post.hashtags) == ("insight", True, None, ["#automation"])
        assert datetime.fromisoformat(post.created_at) <= datetime.now(timezone.utc) + timedelta(seconds=5)
        assert run(layer.get_post(post.id)).content == post.content

    def test_a_student_raises_permission_error(self, layer, agents):
        """AC-129, AC-130"""
        async def body():
            post = await layer.create_post("ada", "human", "hello", "status")
            with pytest.raises(PermissionError, match="student.*intern"):
                await layer.create_post(agents.student.id, "agent", "x", "status")
            with pytest.raises(PermissionError):
                await layer.add_reply(post.id, agents.student.id, "x")
            with pytest.raises(PermissionError):
                await layer.send_direct_message(agents.student.id, "ada", "x")
            assert len(await layer.get_public_feed()) == 1
            # It may read.
            assert (await layer.get_feed(viewer="student")).total == 1
        run(body())

    def test_types_and_what_is_unknown(self, layer, agents):
        """AC-66, AC-67"""
        async def body():
            for name in TYPES:
                assert (await layer.create_post("ada", "human", name, name)).requested_type == name
            with pytest.raises(ValueError) as caught:
                await layer.create_post("ada", "human", "x", "shout")
            assert all(name in str(caught.value) for name in TYPES)
            with pytest.raises(LookupError):
                await layer.create_post("no-such-agent", "agent", "x", "status")
            with pytest.raises(LookupError):
                await layer.create_post("ada", "human", "x", "status", channel="nowhere")
            with pytest.raises(LookupError, match="no agent and no person"):
                await layer.add_reaction((await layer.get_public_feed(1))[0].id, "nobody-at-all", "👍")
            with pytest.raises(ValueError, match="agent, human"):
                await layer.create_post("ada", "robot", "x", "status")
        run(body())

    def test_a_person_needs_no_maturity_and_may_be_named_by_id(self, layer):
        """AC-65"""
        async def body():
            first = await layer.create_post("ada", "human", "x", "status")
            assert (first.agent_type, first.agent_name, first.agent_maturity) == ("human", "ada", None)
            assert (await layer.create_post(first.agent_id, "human", "y", "status")).agent_id == first.agent_id
            assert (await layer.create_post("user:ada", "human", "z", "status")).agent_id == first.agent_id
        run(body())

    def test_not_public_is_for_the_one_mentioned_or_oneself(self, layer, agents):
        async def body():
            await layer.create_post("ada", "human", "here", "status")
            to_ada = await layer.create_post("autonomous", "agent", "psst", "status", is_public=False, mentions=["user:ada"])
            note = await layer.create_post("ada", "human", "remember", "status", is_public=False)
            assert (to_ada.is_public, to_ada.visibility, note.is_public) == (False, "directed", False)
            assert {post.content for post in (await layer.get_feed(viewer="ada")).posts} == {"psst", "remember", "here"}
            assert {post.content for post in (await layer.get_feed(viewer="supervised")).posts} == {"here"}
            assert [post.content for post in await layer.get_public_feed()] == ["here"]
            with pytest.raises(ValueError, match="one agent or user"):
                await layer.create_post("ada", "human", "x", "status", is_public=False, mentions=["intern", agents.supervised.id])
        run(body())

    def test_too_often_is_an_error_that_says_when(self, layer, agents):
        """AC-132, AC-133"""
        async def body():
            await layer.create_post("intern", "agent", "one", "status")
            with pytest.raises(guild.RateLimitedError) as caught:
                await layer.create_post("intern", "agent", "two", "status")
            error = caught.value
            assert isinstance(error, RuntimeError) and error.status == 429 and error.remaining == 0
            assert 3500 < error.retry_after <= 3600
            truly = datetime.fromisoformat((await layer.get_rate_limit("intern")).posts.reset_at)
            assert abs((error.reset_at - truly).total_seconds()) < 5
        run(body())

    def test_thirteen_at_once_are_twelve(self, layer, agents):
        """AC-134"""
        async def body():
            made = await asyncio.gather(*[layer.create_post(agents.supervised.id, "agent", f"n {n}", "status") for n in range(13)],
                                        return_exceptions=True)
            assert sorted(type(one).__name__ for one in made) == ["RateLimitedError"] + ["Record"] * 12
            assert len(await layer.get_public_feed()) == 12
        run(body())

    def test_replies_and_deletion(self, layer, agents):
        """AC-135, AC-136, AC-137, AC-138"""
        async def body():
            post = await layer.create_post("ada", "human", "question?", "question")
            for number in range(3):
                reply = await layer.add_reply(post.id, "autonomous", f"answer {number}")
            assert (reply.reply_to, reply.agent_type) == (post.id, "agent")
            assert [one.content for one in await layer.get_replies(post.id)] == ["answer 0", "answer 1", "answer 2"]
            assert [one.content for one in await layer.get_replies(post.id, limit=1)] == ["answer 0"]
            assert (await layer.get_post(post.id)).reply_count == 3
            await layer.delete_post(reply.id, "autonomous")
            assert (await layer.get_post(post.id)).reply_count == 2
            with pytest.raises(LookupError):
                await layer.add_reply("00000000-0000-7000-8000-000000000000", "autonomous", "x")
            with pytest.raises(PermissionError):
                await layer.delete_post(post.id, "intern")
        run(body())


class TestFeeds:
    def test_pages_by_number_and_by_cursor(self, layer):
        """AC-121, AC-122, AC-123, AC-151"""
        async def body():
            made = [(await layer.create_post("ada", "human", f"n {n}", "task" if n % 2 else "status")).id for n in range(7)]
            pages = [await layer.get_feed(page=n, per_page=3) for n in (1, 2, 3)]
            assert [page.total for page in pages] == [7, 7, 7]
            assert [post.id for page in pages for post in page.posts] == made[::-1]
            seen, cursor = [], None
            while True:
                page = await layer.get_feed_cursor(cursor=cursor, limit=3)
                seen += [post.id for post in page.posts]
                if not page.has_more:
                    assert page.next_cursor is None
                    break
                cursor = page.next_cursor
                await layer.create_post("ada", "human", "meanwhile", "status")
            assert seen == made[::-1]
            with pytest.raises(ValueError):
                await layer.get_feed_cursor(cursor="broken")
            with pytest.raises(ValueError):
                await layer.get_feed_cursor(limit=101)
        run(body())

    def test_filters(self, layer, agents):
        """AC-104, AC-125"""
        async def body():
            await layer.create_channel("user:ada", "room")
            before = datetime.now(timezone.utc)
            await layer.create_post("ada", "human", "a #Tag", "task")
            await layer.create_post("autonomous", "agent", "b", "status")
            await layer.create_post("ada", "human", "c", "status", channel="room")

            async def found(**filters):
                return [post.content for post in (await layer.get_feed_cursor(**filters)).posts]
            assert await found(post_type="task") == ["a #Tag"]
            assert await found(author="ada") == ["c", "a #Tag"]
            assert await found(author=agents.autonomous.id) == ["b"]
            assert await found(channel="room") == ["c"]
            assert await found(hashtag="tag") == ["a #Tag"]
            assert await found(is_public=True) == ["b", "a #Tag"]
            assert await found(since=before, author="ada") == ["c", "a #Tag"]
            assert await found(until=before) == []
            with pytest.raises(LookupError):
                await found(author="nobody")
        run(body())

    def test_public_feed_and_trends(self, layer):
        """AC-115, AC-116, AC-118, AC-119"""
        async def body():
            assert await layer.get_trending_topics() == []
            for number in range(120):
                await layer.create_post("ada", "human", f"{number} #automation" + (" #Integration" if number % 2 else ""), "status")
            posts = await layer.get_public_feed(limit=110)
            assert len(posts) == 110 and posts[0].content.startswith("119 ")
            assert await layer.get_trending_topics() == [{"topic": "#automation", "kind": "hashtag", "count": 120},
                                                         {"topic": "#integration", "kind": "hashtag", "count": 60}]
            assert len(await layer.get_trending_topics(limit=1, hours=1)) == 1
            with pytest.raises(ValueError):
                await layer.get_trending_topics(hours=169)
        run(body())


class TestReactionsAndChannels:
    def test_reactions(self, layer, agents):
        """AC-107, AC-108, AC-110, AC-113"""
        async def body():
            post = await layer.create_post("ada", "human", "x", "status")
            for who in ("ada", "ada", "supervised"):
                given = await layer.add_reaction(post.id, who, "👍")
            assert [(one.emoji, one.count, one.mine) for one in given] == [("👍", 2, True)]
            assert {actor.name for actor in (await layer.get_reactions(post.id))[0].actors} == {"ada", "The supervised"}
            assert (await layer.remove_reaction(post.id, "ada", "👍"))[0].count == 1
            assert await layer.remove_reaction(post.id, "supervised", "👍") == []
            assert await layer.remove_reaction(post.id, "supervised", "👍") == []
            for wrong in ("no", "👍👍", "/"):
                with pytest.raises(ValueError):
                    await layer.add_reaction(post.id, "ada", wrong)
        run(body())

    def test_channels(self, layer, agents):
        """AC-99, AC-101, AC-102, AC-105"""
        async def body():
            assert await layer.get_channels() == []
            room = await layer.create_channel(agents.intern.id, "room")
            assert (room.display_name, room.private, room.member_count) == ("room", False, 1)
            assert (await layer.create_channel("user:ada", "room", channel_type="support")).id == room.id
            secret = await layer.create_channel("ada", "secret", display_name="Secret", is_private=True)
            for _ in range(2):
                assert (await layer.join_channel("supervised", "room")).member_count == 2
            post = await layer.create_post("supervised", "agent", "in here", "status", channel="room")
            assert (post.channel, post.channel_id, post.is_public) == ("room", room.id, True)
            hidden = await layer.create_post("ada", "human", "only us", "status", channel=secret.id)
            assert (hidden.channel, hidden.is_public) == ("secret", False)
            assert [one.name for one in await layer.get_channels("ada")] == ["room", "secret"]
            assert [one.name for one in await layer.get_channels("supervised")] == ["room"]
            assert [one.name for one in await layer.get_channels("ada", mine=True)] == ["secret"]
            assert {one.actor.name for one in await layer.get_channel_members("room", "ada")} == {"The intern", "The supervised"}
            with pytest.raises(LookupError):
                await layer.create_post("supervised", "agent", "x", "status", channel="secret")
            for _ in range(2):
                await layer.leave_channel("supervised", "room")
            assert len(await layer.get_channel_members("room")) == 1
        run(body())


class TestDirectMessages:
    def test_only_the_two_read_them(self, layer, agents):
        """AC-91, AC-92, AC-93, AC-95"""
        async def body():
            sent = await layer.send_direct_message(agents.autonomous.id, agents.supervised.id, "a word", "question")
            assert list(sent)[:len(MESSAGE_KEYS)] == MESSAGE_KEYS
            assert (sent.from_agent_id, sent.to_agent_id, sent.message_type) == (agents.autonomous.id, agents.supervised.id, "question")
            assert sent.read_at is None
            assert [one.id for one in await layer.get_direct_messages("supervised")] == [sent.id]
            assert await layer.get_direct_messages("intern") == []
            assert await layer.get_public_feed() == []
        run(body())

    def test_people_order_and_reading(self, layer, agents):
        """AC-96, AC-97, AC-98"""
        async def body():
            with pytest.raises(LookupError):
                await layer.send_direct_message("autonomous", "ada", "not known yet")
            await layer.create_post("ada", "human", "here", "status")
            for number in range(3):
                await layer.send_direct_message("autonomous", "ada", f"n {number}")
            back = await layer.send_direct_message("ada", "autonomous", "thanks")
            inbox = await layer.get_direct_messages("ada")
            assert [one.content for one in inbox] == ["n 2", "n 1", "n 0"]
            assert [one.content for one in await layer.get_direct_messages("ada", limit=2)] == ["n 2", "n 1"]
            assert {one.content for one in await layer.get_direct_messages("ada", other="autonomous")} == {"n 0", "n 1", "n 2", "thanks"}
            read = await layer.mark_read("ada", inbox[0].id)
            assert read.read_at and (await layer.mark_read("ada", inbox[0].id)).read_at == read.read_at
            assert [one.content for one in await layer.get_direct_messages("ada", unread=True)] == ["n 1", "n 0"]
            assert await layer.mark_all_read("ada", sender="autonomous") == 2
            assert await layer.mark_all_read("ada") == 0
            with pytest.raises(PermissionError):
                await layer.mark_read("ada", back.id)
            with pytest.raises(LookupError):
                await layer.mark_read("supervised", back.id)
        run(body())

    def test_blocks(self, layer, agents):
        """AC-94"""
        async def body():
            await layer.create_post("ada", "human", "here", "status")
            await layer.block("supervised", "ada")
            with pytest.raises(PermissionError):
                await layer.send_direct_message("ada", "supervised", "x")
            assert [one.blocked.name for one in await layer.get_blocked("supervised")] == ["ada"]
            await layer.unblock("supervised", "ada")
            await layer.send_direct_message("ada", "supervised", "x")
            assert len(await layer.get_direct_messages("supervised")) == 1
        run(body())


class TestConnected:
    def test_the_token_says_who_acts(self, make_server):
        server = make_server()

        async def body(db):
            layer = guild.AgentSocialLayer(db)
            me = await db.aok("GET", "/v1/me")
            agent = await db.aok("POST", "/v1/agents", {"name": "Scout", "maturity": "autonomous", "kind": "external"})
            post = await layer.create_post(me.id, "human", "from the operator", "status")
            assert post.agent_id == me.id
            for name, kind in (("ada", "human"), ("scout", "agent")):
                with pytest.raises(PermissionError, match="token"):
                    await layer.create_post(name, kind, "x", "status")
            key = (await db.aok("POST", f"/v1/agents/{agent.id}/tokens", {}))["token"]
            with guild.open(server.url, token=key) as other:
                own = guild.AgentSocialLayer(other)
                assert (await own.create_post("scout", "agent", "as myself", "status")).agent_id == agent.id
                assert (await own.create_post(agent.id, "agent", "again", "status")).agent_id == agent.id
                with pytest.raises(PermissionError):
                    await own.create_post(me.name, "human", "x", "status")
                sent = await own.send_direct_message(agent.id, f"user:{me.id}", "hello")
            assert [one.id for one in await layer.get_direct_messages(me.name)] == [sent.id]
        with guild.open(server.url, token=server.token) as db:
            run(body(db))


class TestEvents:
    def test_a_store_in_the_process_is_listened_to(self, db, layer, agents):
        """AC-75"""
        async def body():
            events = db.events(["global", "alerts"])
            first = asyncio.create_task(anext(events))
            while not first.done():
                await layer.create_post("ada", "human", "news", "alert")
                await asyncio.wait([first], timeout=0.05)
            message = first.result()
            assert message.event.type == "agent_post" and message.event.data.content == "news"
            assert sorted(message.topics) == ["alerts", "global"]
            offset = message.offset
            await events.aclose()
            later = await layer.create_post("ada", "human", "later", "status")
            async for message in db.events("global", after=(message.epoch, offset)):
                if message.event.data["id"] == later.id:
                    break
            with pytest.raises(LookupError):
                await anext(db.events("user:00000000-0000-7000-8000-000000000000"))
        run(body())

    def test_what_a_person_may_not_see_does_not_come(self, db, layer):
        async def body():
            await layer.create_channel("user:ada", "secret", is_private=True)
            await layer.create_post("bob", "human", "here", "status")
            with pytest.raises(LookupError):
                await anext(db.events("channel:secret", user="bob"))
            events = db.events("channel:secret", user="ada")
            first = asyncio.create_task(anext(events))
            while not first.done():
                await layer.create_post("ada", "human", "hush", "status", channel="secret")
                await asyncio.wait([first], timeout=0.05)
            assert first.result().event.data.content == "hush"
            await events.aclose()
        run(body())

    def test_a_server_that_comes_back_is_gone_on_with(self, make_server):
        server = make_server()

        async def body(db):
            seen, made = [], []

            async def listen():
                async for message in db.events("global"):
                    if message.type == "event" and message.event.type == "agent_post":
                        seen.append(message.event.data.content)

            async def until(what):
                while what not in seen:
                    await asyncio.sleep(0.01)
            listener = asyncio.create_task(listen())
            while not seen:
                made.append(f"first {len(made)}")
                await db.aok("POST", "/v1/posts", {"content": made[-1]})
                await asyncio.sleep(0.02)
            await until(made[-1])
            begin = made.index(seen[0])
            await asyncio.to_thread(server.kill9)
            await asyncio.to_thread(server.start)
            made.append("second")
            await db.aok("POST", "/v1/posts", {"content": "second"})
            await until("second")
            listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listener
            assert seen == made[begin:]
        with guild.open(server.url, token=server.token) as db:
            run(body(db))


class Socket:
    """What a web framework gives; dead after so many messages."""

    def __init__(self, dies_after=None):
        self.got, self.dies_after = [], dies_after

    async def send_json(self, message):
        if self.dies_after is not None and len(self.got) >= self.dies_after:
            raise ConnectionError("gone")
        await asyncio.sleep(0)
        self.got.append(message)


class TestBus:
    def test_one_copy_to_whoever_matches(self):
        """AC-77, AC-78, AC-83, AC-87"""
        async def body():
            bus, both, one, other = guild.AgentEventBus(), [], [], []
            bus.subscribe("a", both.append)
            bus.subscribe(["b", "c"], both.append)
            await bus.subscribe("a", one.append)
            bus.subscribe("abc", other.append)
            event = {"type": "x", "data": [1, {"deep": None}]}
            assert bus.publish(["b", "a", "c"], event) == 2
            assert await bus.publish("nobody", event) == 0
            await bus.drain()
            assert (both, one, other) == ([event], [event], [])
            assert both[0] is event
        run(body())

    def test_handlers_of_all_kinds_on_the_callers_loop(self):
        async def body():
            bus, seen, here = guild.AgentEventBus(), [], threading.get_ident()

            async def slowly(event, envelope):
                await asyncio.sleep(0.001)
                seen.append(("async", event, envelope.number, envelope.topics, threading.get_ident() == here))

            def plain(event, unneeded=None):
                seen.append(("plain", event, unneeded, threading.get_ident() == here))
            bus.subscribe("t", slowly)
            bus.subscribe("t", plain)
            thread = threading.Thread(target=lambda: bus.publish(["t", "u"], 1))
            thread.start()
            thread.join()
            await bus.drain()
            assert sorted(seen) == [("async", 1, 1, ["t", "u"], True), ("plain", 1, None, True)]
        run(body())

    def test_a_failing_handler_is_its_own_affair(self):
        """AC-166"""
        async def body():
            bus, fine, told = guild.AgentEventBus(), [], []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(str(context["exception"])))

            async def fails(event):
                raise ValueError(f"no {event}")
            bus.subscribe("t", fails)
            bus.subscribe("t", fine.append)
            for number in range(3):
                bus.publish("t", number)
            await bus.drain()
            assert fine == [0, 1, 2] and told == ["no 0", "no 1", "no 2"] and bus.failures == 3
        run(body())

    def test_order_and_one_at_a_time(self):
        """AC-146, AC-147, AC-148"""
        async def body():
            bus, seen, inside = guild.AgentEventBus(), [], []

            async def handler(event):
                assert not inside
                inside.append(event)
                await asyncio.sleep(0)
                seen.append(inside.pop())
            bus.subscribe(["x", "y"], handler)

            def publisher(who):
                for number in range(200):
                    bus.publish("x" if number % 2 else ["y", "x"], (who, number))
            threads = [threading.Thread(target=publisher, args=(who,)) for who in range(4)]
            for thread in threads:
                thread.start()
            await asyncio.to_thread(lambda: [thread.join() for thread in threads])
            await bus.drain()
            assert len(seen) == 800
            for who in range(4):
                assert [number for one, number in seen if one == who] == list(range(200))
        run(body())

    def test_unsubscribing(self):
        """AC-80, AC-155"""
        async def body():
            bus, seen = guild.AgentEventBus(), []
            first, second = bus.subscribe("a", seen.append), bus.subscribe("b", seen.append)
            bus.publish("a", 1)
            bus.publish(["a", "b"], 2)
            await bus.unsubscribe(first)
            bus.unsubscribe(first)
            await bus.drain()
            assert seen == [2]
            bus.unsubscribe(second)
            assert bus.publish("b", 3) == 0 and bus.topics() == ["global"]

            def ends_itself(event):
                seen.append(event)
                bus.unsubscribe(handle)
            handle = bus.subscribe("c", ends_itself)
            bus.publish("c", 4)
            bus.publish("c", 5)
            await bus.drain()
            assert seen == [2, 4]
        run(body())

    def test_sockets_of_agents(self):
        """AC-79, AC-81, AC-82, AC-86"""
        async def body():
            bus, sockets, dying = guild.AgentEventBus(), [Socket() for _ in range(5)], Socket(dies_after=1)
            for number, socket in enumerate(sockets):
                await bus.subscribe(f"agent{number % 2}", socket)
            bus.subscribe("agent1", dying, topics=["test_topic_3", "global"])
            bus.subscribe("agent2", dying, topics=["global"])
            assert bus.agents() == {"agent0": 3, "agent1": 3, "agent2": 1} and "test_topic_3" in bus.topics()
            event = {"type": "agent_post", "data": {"content": "x"}}
            assert bus.publish(["global", "test_topic_3"], event) == 6
            await bus.drain()
            assert all(socket.got == [event] for socket in [*sockets, dying])
            bus.publish("global", event)
            await bus.drain()
            assert len(dying.got) == 1 and all(len(socket.got) == 2 for socket in sockets)
            assert bus.agents() == {"agent0": 3, "agent1": 2}
            bus.unsubscribe("agent0", sockets[0])
            assert bus.agents()["agent0"] == 2
            bus.unsubscribe("agent0")
            assert bus.agents() == {"agent1": 2} and bus.publish("global", event) == 2
        run(body())

    def test_a_full_queue_is_an_error_and_a_gap(self):
        async def body():
            bus, slow, quick = guild.AgentEventBus(queue_limit=2), [], []
            open_ = asyncio.Event()

            async def waits(event, envelope):
                await open_.wait()
                slow.append((event, envelope.missed))
            bus.subscribe("t", waits)
            await bus.publish("t", 0)
            bus.publish("t", 1)
            bus.publish("t", 2)
            bus.subscribe("t", quick.append)
            with pytest.raises(guild.BusFullError) as caught:
                bus.publish("t", 3)
            assert caught.value.missed == 1 and isinstance(caught.value, RuntimeError)
            open_.set()
            await bus.drain()
            bus.publish("t", 4)
            await bus.drain()
            assert slow == [(0, 0), (1, 0), (2, 0), (4, 1)] and quick == [3, 4]
        run(body())

    def test_a_loop_that_awaits_its_publishing_overflows_nothing(self):
        async def body():
            bus, seen = guild.AgentEventBus(queue_limit=64), []
            bus.subscribe("t", seen.append)
            for number in range(5000):
                await bus.publish("t", number)
            await bus.drain()
            assert seen == list(range(5000))
        run(body())

    def test_handlers_may_publish_and_drain_waits_for_that_too(self):
        """AC-167"""
        async def body():
            bus, seen, refused = guild.AgentEventBus(), [], []

            async def bounces(event):
                seen.append(event)
                if event:
                    await bus.publish("t", event - 1)
                else:
                    try:
                        await bus.drain()
                    except RuntimeError as error:
                        refused.append(str(error))
            bus.subscribe("t", bounces)
            bus.publish("t", 5)
            await bus.drain()
            assert seen == [5, 4, 3, 2, 1, 0] and len(refused) == 1
        run(body())

    def test_what_was_subscribed_outside_of_a_loop_runs_on_the_first_one(self):
        bus, seen = guild.AgentEventBus(), []
        handle = bus.subscribe("t", seen.append)
        bus.publish("t", 1)

        async def body(event):
            bus.publish("t", event)
            await bus.drain()
        asyncio.run(body(2))
        asyncio.run(body(3))
        assert seen == [1, 2, 3] and repr(handle) == "<guild.Subscription t>"

    def test_what_is_no_topic_is_refused(self):
        bus = guild.AgentEventBus()
        for wrong in ("", "two words", "ä", "a" * 256, "a\n", [], 7, [7]):
            with pytest.raises((ValueError, TypeError)):
                bus.subscribe(wrong, print)
            with pytest.raises((ValueError, TypeError)):
                bus.publish(wrong, 1)
        bus.publish([f"t{n}" for n in range(16)], 1)
        with pytest.raises(ValueError, match="17 topics"):
            bus.publish([f"t{n}" for n in range(17)], 1)
        with pytest.raises(TypeError):
            bus.subscribe("t", 7)
        with pytest.raises(TypeError):
            bus.subscribe(None, Socket())
