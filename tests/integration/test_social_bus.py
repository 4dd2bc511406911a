"""Groups J, R, S and V of docs/acceptance.md through real sockets: who hears what, agents as clients, channels as topics, and that no
event is lost, doubled or seen by anybody else, whatever falls together.

That something did not come is shown by an answer that would have come after it.
"""
import asyncio
import contextlib
import http.client
import random
import threading
import time

import pytest
import websockets
from hypothesis import given, settings, strategies as st

import guild
from support.harness import Stream, wait_for

NOBODY = "00000000-0000-7000-8000-000000000000"
CONTENT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=1000)  # what JSON may hold here (T22)


def say(socket, topics, data, kind="x.test"):
    topics = [topics] if isinstance(topics, str) else topics
    return socket.ask({"type": "publish", "topics": topics, "event": {"type": kind, "data": data}})


def join(socket, *topics, **more):
    answer = socket.ask({"type": "subscribe", "topics": list(topics), **more})
    assert answer["type"] == "ok", answer
    return answer


def heard(socket, kind="x.test"):
    """What came of that kind until now."""
    return [m["event"]["data"] for m in socket.drain() if m["type"] == "event" and m["event"]["type"] == kind]


def agent_client(server, name, maturity="intern"):
    made = server.agent(name, maturity, kind="external")
    client = server.client(server.post(f"/v1/agents/{made['id']}/tokens", {}).ok(201)["token"])
    client.id, client.role = made["id"], "agent"
    return client


def listen(client, topics, after=None, last=None):
    query = f"/v1/events?topics={','.join(topics)}" + ("" if after is None else f"&after={after}")
    return Stream(*client.open("GET", query, headers={"Last-Event-ID": last} if last else None))


@contextlib.contextmanager
def sockets(*clients):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(client.ws()) for client in clients]


class TestPublishing:
    def test_each_subscriber_gets_one_copy_and_nobody_else_any(self, shared_server):
        """AC-77, AC-78, AC-80, AC-83"""
        with sockets(*[shared_server] * 4) as (one, both, other, left):
            join(one, "sb-red")
            join(both, "sb-red", "sb-blue", "sb-red")
            join(other, "sb-green")
            join(left, "sb-red")
            assert left.ask({"type": "unsubscribe", "topics": ["sb-red"]})["count"] == 1
            assert say(one, "sb-red", 1)["type"] == "ok"
            say(one, ["sb-red", "sb-blue"], 2)
            say(one, "sb-blue", 3)
            assert heard(one) == [1, 2] and heard(both) == [1, 2, 3]
            assert heard(other) == heard(left) == []

    def test_global_reaches_all(self, shared_server):
        """AC-79, AC-81: the default topics are there, other names are made by subscribing."""
        with sockets(*[shared_server.second_user("member") for _ in range(5)]) as five:
            for socket in five:
                join(socket, "global")
            say(five[0], "global", "hello")
            assert [heard(socket) for socket in five] == [["hello"]] * 5
            join(five[1], "test_topic_3")
            say(five[2], "test_topic_3", "new")
            assert [heard(socket) for socket in five] == [[], ["new"], [], [], []]

    def test_several_sockets_of_an_agent(self, shared_server):
        """AC-82, AC-170, AC-171"""
        agent = agent_client(shared_server, "Several sockets")
        own = f"agent:{agent.id}"
        workspace = f"workspace:{shared_server.get('/v1/me').ok(200)['workspace_id']}"
        with sockets(agent, agent, shared_server) as (one, two, other):
            assert set(one.ask({"type": "stats"})["topics"]) == {own, workspace}
            join(other, own)
            say(one, own, 1)
            assert heard(one) == heard(two) == heard(other) == [1]
            one.kill()
            say(two, own, 2)
            assert heard(two) == heard(other) == [2]
            two.kill()
        with agent.ws() as again:
            say(again, own, 3)
            assert heard(again) == [3]

    def test_the_event_is_json_as_published(self, shared_server):
        """AC-85"""
        data = {"type": "agent_post", "data": {"n": [1, 2.5, None, True], "text": "Grüße \U0001f600"}}
        with shared_server.ws() as socket, listen(shared_server, ["sb-json"]) as stream:
            join(socket, "sb-json")
            say(socket, "sb-json", data)
            assert socket.recv()["event"]["data"] == data
            assert stream.next().data["event"]["data"] == data

    def test_dead_sockets_disturb_nobody(self, shared_server):
        """AC-86, AC-166, AC-174"""
        user = shared_server.second_user("member")
        before = shared_server.metrics()["guild_websockets"]
        dead = [user.ws() for _ in range(5)]
        with sockets(shared_server, user) as (speaker, alive):
            for socket in [*dead, alive]:
                join(socket, "sb-dead")
            for socket in dead:
                socket.kill()
            for n in range(20):
                assert say(speaker, "sb-dead", n)["type"] == "ok"
            assert heard(alive) == list(range(20))
            wait_for(lambda: shared_server.metrics()["guild_websockets"] == before + 2, "the dead ones to be gone")
        for socket in dead:
            socket.close()

    def test_nobody_listens(self, shared_server):
        """AC-87, AC-165"""
        with shared_server.ws() as socket:
            assert say(socket, "sb-nobody", 1)["type"] == "ok"
            assert say(socket, ["sb-nobody", "global", "alerts", "category:none"], 1)["type"] == "ok"
            assert heard(socket) == []

    def test_a_listener_that_reads_nothing_holds_up_nobody(self, shared_server):
        """T21"""
        text = "x" * 60000
        with sockets(shared_server, shared_server) as (speaker, reader), shared_server.ws() as stuck:
            join(reader, "sb-slow")
            join(stuck, "sb-slow")
            for n in range(150):
                assert say(speaker, "sb-slow", [n, text])["type"] == "ok"
                assert reader.until("event")[-1]["event"]["data"][0] == n
            assert stuck.close_code() == 4008

    @given(st.lists(CONTENT, min_size=1, max_size=12), st.integers(1, 10), st.integers(1, 3))
    @settings(max_examples=15)
    def test_any_content_comes_once_unchanged_and_in_order(self, shared_server, contents, listeners, speakers):
        """AC-146, AC-147, AC-148"""
        with sockets(*[shared_server] * (listeners + speakers)) as (*all_of_them,):
            listening, speaking = all_of_them[:listeners], all_of_them[listeners:]
            for socket in listening:
                join(socket, "sb-any", "sb-any-2")
            for n, content in enumerate(contents):
                assert say(speaking[n % speakers], ["sb-any", "sb-any-2"], [n % speakers, n, content])["type"] == "ok"
            for socket in listening:
                got = heard(socket)
                assert sorted(got, key=lambda d: d[1]) == [[n % speakers, n, c] for n, c in enumerate(contents)]
                for speaker in range(speakers):
                    mine = [d[1] for d in got if d[0] == speaker]
                    assert mine == sorted(mine)

    def test_everything_at_once_loses_and_crashes_nothing(self, shared_server):
        """AC-88, AC-155, AC-167"""
        users = [shared_server.second_user("member") for _ in range(3)]
        failures, stop = [], threading.Event()

        def restless(client, seed):
            chance = random.Random(seed)
            try:
                with client.ws() as socket:
                    while not stop.is_set():
                        topics = [f"sb-busy-{chance.randrange(6)}" for _ in range(3)]
                        socket.ask({"type": chance.choice(["subscribe", "unsubscribe"]), "topics": topics})
                        say(socket, topics, seed, "x.noise")
                        socket.drain()
            except Exception as problem:  # the test fails with it
                failures.append(problem)
        threads = [threading.Thread(target=restless, args=(client, n)) for n, client in enumerate(users)]
        with sockets(shared_server, shared_server) as (speaker, steady):
            join(steady, *[f"sb-busy-{n}" for n in range(6)])
            for thread in threads:
                thread.start()
            for n in range(300):
                assert say(speaker, [f"sb-busy-{n % 6}", f"sb-busy-{n % 5}"], n)["type"] == "ok"
            stop.set()
            for thread in threads:
                thread.join(30)
            assert not failures, failures
            assert heard(steady) == list(range(300))

    def test_ping_and_stats(self, shared_server):
        """AC-90, AC-174"""
        with shared_server.ws() as socket:
            assert socket.ask({"type": "ping"})["type"] == "pong"
            join(socket, "sb-stats")
            before = socket.ask({"type": "stats"})
            published = shared_server.metrics()["guild_bus_published_total"]
            delivered = shared_server.metrics()["guild_bus_delivered_total"]
            for n in range(3):
                say(socket, "sb-stats", n)
            after = socket.ask({"type": "stats"})
            assert "sb-stats" in after["topics"]
            assert after["received"] - before["received"] == 4
            assert after["sent"] - before["sent"] == 1 + 3 + 3, "the answer to the stats before, three answers, three events"
            assert shared_server.metrics()["guild_bus_published_total"] - published == 3
            assert shared_server.metrics()["guild_bus_delivered_total"] - delivered == 3


class TestAgents:
    def test_maturity_says_whether_it_publishes(self, shared_server):
        """AC-172, T9"""
        student, intern = agent_client(shared_server, "Quiet", "student"), agent_client(shared_server, "Speaking", "intern")
        with sockets(student, intern, shared_server) as (low, high, user):
            for socket in (low, high, user):
                join(socket, "global", "alerts", "category:finance", "sb-agents")
            refused = say(low, "sb-agents", 1)
            assert refused["code"] == "governance_blocked" and "blocked" in refused["detail"] and "student" in refused["detail"]
            reply = student.post("/v1/events", {"type": "x.test", "topics": ["sb-agents"]})
            assert (reply.status, reply.code) == (403, "governance_blocked") and "blocked" in reply.body["detail"]
            for topic in ("sb-agents", "global", "alerts", "category:finance", f"agent:{intern.id}"):
                assert say(high, topic, topic)["type"] == "ok", topic
            intern.post("/v1/events", {"type": "x.test", "topics": ["sb-agents"], "data": "over http"}).ok(202)
            assert heard(low) == ["sb-agents", "global", "alerts", "category:finance", "over http"]
            event = [m["event"] for m in user.drain() if m["type"] == "event" and m["event"]["type"] == "x.test"][0]
            assert event["source"] == f"/agents/{intern.id}" and event["time"].endswith("Z")

    def test_it_speaks_for_itself_alone(self, shared_server):
        """T1, T9"""
        one, other = agent_client(shared_server, "Itself"), agent_client(shared_server, "Somebody else")
        me = shared_server.get("/v1/me").ok(200)
        own = one.get("/v1/me").ok(200)["id"]
        with sockets(one, other) as (socket, target):
            for topic in (f"agent:{other.id}", f"user:{me['id']}", f"user:{own}", f"workspace:{me['workspace_id']}", "execution:x", "post:x"):
                assert say(socket, topic, 0)["code"] == "not_found", topic
            for topic in (f"user:{me['id']}", f"user:{own}", f"execution:{NOBODY}", f"channel:{NOBODY}", f"post:{NOBODY}"):
                assert socket.ask({"type": "subscribe", "topics": [topic]})["code"] == "not_found", topic
            assert heard(target) == []

    def test_a_paused_agent_neither_speaks_nor_asks(self, shared_server):
        agent = agent_client(shared_server, "Halted")
        with agent.ws() as socket:
            shared_server.post(f"/v1/agents/{agent.id}/pause").ok(200)
            for message in ({"type": "subscribe", "topics": ["a"]}, {"type": "unsubscribe", "topics": ["a"]},
                            {"type": "publish", "topics": ["a"], "event": {"type": "x.a"}},
                            {"type": "resume", "execution_id": NOBODY, "after": 0}):
                assert socket.ask(message)["code"] == "agent_not_active", message
            shared_server.post(f"/v1/agents/{agent.id}/resume").ok(200)
            join(socket, "a")

    def test_a_viewer_listens_and_is_silent(self, shared_server):
        viewer = shared_server.second_user("viewer")
        with viewer.ws() as socket:
            join(socket, "global", "alerts")
            assert say(socket, "global", 1)["code"] == "permission_denied"
        assert viewer.post("/v1/events", {"type": "x.a", "topics": ["global"]}).status == 403


class TestLibrary:
    def test_calls_publish_and_listen(self):
        """spec 12: library handlers are a front end of the bus."""
        async def both(db):
            seen, ready = [], asyncio.Event()

            def on_event(message):
                seen.append(message)
                if message["type"] == "recovered" or message["event"]["data"] == "last":
                    ready.set()
            listening = asyncio.ensure_future(db.arequest("GET", "/v1/events?topics=room,global&after=0", stream=True, on_event=on_event))
            await asyncio.wait_for(ready.wait(), 30)
            ready.clear()
            for data in ({"n": 1}, "last"):
                await db.aok("POST", "/v1/events", {"type": "x.test", "topics": ["room", "global"], "data": data})
            await asyncio.wait_for(ready.wait(), 30)
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening
            return [m["event"]["data"] for m in seen if m["type"] == "event" and m["event"]["type"] == "x.test"]
        with guild.open(":memory:") as db:
            assert asyncio.run(both(db)) == [{"n": 1}, "last"]


class Follower(threading.Thread):
    """Listens to topics over one door and comes back by offset whenever the connection is gone; keeps all it saw.

    A socket has topics unasked, so that live events of theirs may come before the missed ones: until `recovered` nothing counts as
    seen, and what a connection brought that was cut before is asked for again.
    """

    def __init__(self, server, topics, door, begin):
        super().__init__(daemon=True)
        self.server, self.topics, self.door, self.cursor = server, topics, door, begin
        self.seen, self.gaps, self.connections = [], [], 0
        self.stopped, self.problem, self.connection = threading.Event(), None, None
        self.start()

    def run(self):
        try:
            while not self.stopped.is_set():
                with contextlib.suppress(OSError, http.client.HTTPException, websockets.WebSocketException, asyncio.TimeoutError, EOFError):
                    self.follow_socket() if self.door == "socket" else self.follow_stream()
                time.sleep(0.01)
        except Exception as problem:
            self.problem = problem

    def take(self, message):
        if message["type"] == "gap":
            self.gaps.append(message)
        elif message["type"] == "event":
            self.early.append((message["offset"], message["event"]["data"]["id"], message["event"]["data"]["revision"]))
        elif message["type"] == "recovered":
            self.recovered = True
            self.cursor = (message["epoch"], message["offset"])
        if self.recovered and self.early:
            self.seen += sorted(self.early) if message["type"] == "recovered" else self.early
            self.cursor = (self.cursor[0], max(self.cursor[1], self.seen[-1][0]))
            self.early = []

    def follow_socket(self):
        epoch, offset = self.cursor
        self.early, self.recovered = [], False
        with self.server.ws() as socket:
            answer = socket.ask({"type": "subscribe", "topics": self.topics, "after": {"epoch": epoch, "offset": offset}})
            assert answer["type"] == "ok", answer
            self.connection = socket
            self.connections += 1
            while not self.stopped.is_set():
                try:
                    self.take(socket.recv(0.3))
                except asyncio.TimeoutError:
                    continue

    def follow_stream(self):
        self.early, self.recovered = [], True
        with listen(self.server, self.topics, last="%d:%d" % self.cursor) as stream:
            assert stream.is_stream, stream.reply
            self.connections += 1
            self.connection = stream
            while (event := stream.next()) is not None and not self.stopped.is_set():
                self.take(event.data)


class Changer(threading.Thread):
    """Changes an agent again and again, also over restarts: durable events on agent:<id>."""

    def __init__(self, server, agent):
        super().__init__(daemon=True)
        self.server, self.agent, self.done, self.stopped, self.odd = server, agent, 0, threading.Event(), None
        self.start()

    def run(self):
        while not self.stopped.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                reply = self.server.post(f"/v1/agents/{self.agent}/{'pause' if self.done % 2 == 0 else 'resume'}")
                if reply.status not in (200, 409, 503):
                    self.odd = reply
                self.done += 1


class TestSeam:
    @pytest.mark.parametrize("seed", [1, 2])
    def test_killed_servers_and_connections_lose_and_repeat_nothing(self, server, seed):
        """AC-148, AC-173: catch-up by offset while others post, with kill -9 in between."""
        chance = random.Random(seed)
        agents = [server.agent(f"Seam {n}", "intern")["id"] for n in range(2)]
        topics = [f"agent:{id}" for id in agents] + ["global", "sb-plain"]
        with server.ws() as socket:
            answer = join(socket, "sb-plain")
        begin = (answer["epoch"], answer["offset"])
        followers = [Follower(server, topics, door, begin) for door in ("socket", "stream", "socket")]
        changers = [Changer(server, id) for id in agents]
        try:
            for _ in range(3):
                wanted = changers[0].done + chance.randrange(20, 120)
                wait_for(lambda: changers[0].done >= wanted, "changes", timeout=30)
                wait_for(lambda: all(f.connections for f in followers), "the followers", timeout=30)
                victim = chance.choice(followers)
                if victim.door == "socket":
                    with contextlib.suppress(Exception):
                        victim.connection.ws.transport.abort()
                server.kill9()
                server.start()
            wanted = changers[0].done + 50
            wait_for(lambda: changers[0].done >= wanted, "changes", timeout=30)
        finally:
            for changer in changers:
                changer.stopped.set()
            for changer in changers:
                changer.join(30)
        assert all(changer.odd is None for changer in changers)
        final = {id: server.get(f"/v1/agents/{id}").ok(200)["revision"] for id in agents}
        assert min(final.values()) > 20
        for follower in followers:
            def complete():
                newest = {id: revision for _, id, revision in list(follower.seen)}
                return follower.problem or all(newest.get(id) == final[id] for id in agents)
            wait_for(complete, f"the {follower.door} to have seen all", timeout=30)
            follower.stopped.set()
        # A stream waits for bytes: one more event lets it look up.
        paused = server.get(f"/v1/agents/{agents[0]}").ok(200)["lifecycle"] == "paused"
        server.post(f"/v1/agents/{agents[0]}/{'resume' if paused else 'pause'}").ok(200)
        for follower in followers:
            follower.join(30)
            assert follower.problem is None and follower.gaps == [] and follower.connections >= 2
            offsets = [offset for offset, _, _ in follower.seen]
            assert offsets == sorted(set(offsets)), "in order and once"
            for id in agents:
                revisions = [revision for _, of, revision in follower.seen if of == id and revision <= final[id]]
                assert revisions == list(range(2, final[id] + 1)), follower.door


def make_channel(client, name, private=False):
    return client.post("/v1/channels", {"name": name, "private": private}).ok(201)["id"]


def add(client, channel, member):
    client.put(f"/v1/channels/{channel}/members/{member}").ok(200)


def leave(client, channel, member="me"):
    client.delete(f"/v1/channels/{channel}/members/{member}").ok(204)


def post(client, content, **members):
    return client.post("/v1/posts", {"content": content, **members}).ok(201)


def posts_heard(socket):
    return heard(socket, "agent_post")


def texts(socket):
    return [data["content"] for data in posts_heard(socket)]


class TestChannels:
    def test_a_name_becomes_the_id(self, server):
        """AC-84"""
        channel = make_channel(server, "launch")
        user = server.second_user("member")
        with sockets(server, user) as (maker, socket):
            for name in ("channel:launch", f"channel:{channel}", "channel:LAUNCH"):
                assert join(socket, name)["topics"] == [f"channel:{channel}"]
            assert [t for t in socket.ask({"type": "stats"})["topics"] if t.startswith("channel:")] == [f"channel:{channel}"]
            assert say(maker, "channel:launch", 1)["type"] == "ok"
            post(server, "in the channel", channel_id="launch")
            messages = socket.drain()
            assert [m["event"]["type"] for m in messages] == ["x.test", "agent_post"]
            assert messages[0]["topics"] == [f"channel:{channel}"]
            assert socket.ask({"type": "unsubscribe", "topics": ["channel:launch"]})["count"] == 1
            say(maker, "channel:launch", 2)
            assert heard(socket) == []
        with listen(user, ["channel:launch"]) as stream:
            server.post("/v1/events", {"type": "x.test", "topics": [f"channel:{channel}"], "data": 3}).ok(202)
            assert stream.next().data["event"]["data"] == 3

    def test_members_alone_publish(self, server):
        """AC-106, T9"""
        open_one, closed = make_channel(server, "open"), make_channel(server, "closed", private=True)
        user, agent = server.second_user("member"), agent_client(server, "Member")
        with sockets(server, user, agent) as (maker, socket, program):
            for speaker in (socket, program):
                assert say(speaker, f"channel:{open_one}", 1)["code"] == "permission_denied"
                for topic in (f"channel:{closed}", "channel:closed", f"channel:{NOBODY}", "channel:nothing"):
                    assert say(speaker, topic, 1)["code"] == "not_found"
                    assert speaker.ask({"type": "subscribe", "topics": [topic]})["code"] == "not_found"
            assert user.post("/v1/events", {"type": "x.a", "topics": [f"channel:{open_one}"]}).status == 403
            assert user.post("/v1/events", {"type": "x.a", "topics": [f"channel:{closed}"]}).status == 404
            user.put(f"/v1/channels/{open_one}/members/me").ok(200)
            add(server, closed, user.id)
            add(server, closed, agent.id)
            join(maker, f"channel:{closed}", f"channel:{open_one}")
            for topic, speaker in ((open_one, socket), (closed, socket), (closed, program)):
                assert say(speaker, f"channel:{topic}", topic)["type"] == "ok"
            assert heard(maker) == [open_one, closed, closed]
            for more in (["global"], ["sb-room"], [f"channel:{open_one}"]):
                mixed = say(maker, [f"channel:{closed}", *more], "mixed")
                assert mixed["code"] == "invalid" and "/topics" in mixed["detail"]
            assert say(maker, [f"channel:{open_one}", "global", f"channel:{open_one}"], "wide")["type"] == "ok"
            assert say(maker, [f"channel:{closed}", "channel:closed"], "twice")["type"] == "ok"
            assert heard(maker) == ["wide", "twice"]

    def test_whoever_leaves_gets_nothing_more(self, server):
        """AC-103, AC-106, AC-172, T1: live, and when asking for what was missed."""
        closed = make_channel(server, "inner", private=True)
        user, agent = server.second_user("member"), agent_client(server, "Leaver")
        add(server, closed, user.id)
        add(server, closed, agent.id)
        topic = f"channel:{closed}"
        with sockets(server, user, agent) as (maker, socket, program), listen(user, [topic, "global"]) as stream:
            for listener in (maker, socket, program):
                begin = join(listener, topic, "global")["offset"]
            post(server, "inside", channel_id=closed)
            say(maker, topic, "also inside")
            assert texts(socket) == texts(program) == ["inside"]
            assert {stream.next().data["event"]["type"] for _ in range(2)} == {"agent_post", "x.test"}
            leave(user, closed)
            leave(server, closed, agent.id)
            post(server, "secret", channel_id=closed)
            say(maker, topic, "secret too")
            post(server, "for all")
            assert texts(socket) == texts(program) == ["for all"]
            assert heard(socket) == heard(program) == []
            event = stream.until(lambda e: e.data["event"]["type"] == "agent_post")[-1]
            assert event.data["event"]["data"]["content"] == "for all"
            assert socket.ask({"type": "unsubscribe", "topics": [topic]})["count"] == 1, "it can still be left"
            assert socket.ask({"type": "subscribe", "topics": [topic]})["code"] == "not_found"
            assert listen(user, [topic]).status == 404
            # The topic that is left open brings nothing either, whatever is asked for again.
            join(program, "global", after=0)
            assert "secret" not in str(program.until("recovered"))
            add(server, closed, user.id)
            join(socket, topic, after=begin)
            back = [m["event"]["data"]["content"] for m in socket.until("recovered") if m.get("event", {}).get("type") == "agent_post"]
            assert "inside" in back and "secret" in back, "a member reads what was said"
            assert "for all" not in back, "what came live is not repeated"

    def test_a_restart_changes_nothing(self, server):
        """AC-106, T1: the log has whom an event is for."""
        closed = make_channel(server, "kept", private=True)
        stranger = server.second_user("member")
        me = f"user:{server.get('/v1/me').ok(200)['id']}"
        post(server, "inside", channel_id=closed)
        post(server, "outside")
        server.restart(kill=True)
        with sockets(server, stranger) as (member, other):
            join(member, f"channel:{closed}", "global", after=0)
            assert {"inside", "outside"} <= {m["event"]["data"].get("content") for m in member.until("recovered") if m["type"] == "event"}
            join(other, "global", "alerts", after=0)
            messages = other.until("recovered")
            assert {m["event"]["data"]["content"] for m in messages if m.get("event", {}).get("type") == "agent_post"} == {"outside"}
            newest = other.ask({"type": "subscribe", "topics": ["global"]})["offset"]
            assert messages[-1]["offset"] == newest, "the offset goes on all the same"
            assert other.ask({"type": "subscribe", "topics": [me]})["code"] == "not_found"


class TestPosts:
    def test_kinds_go_where_they_belong(self, server):
        """AC-75, AC-84, AC-95, AC-112"""
        asker = agent_client(server, "Asker", "autonomous")
        server.patch(f"/v1/agents/{asker.id}", {"category": "finance"}).ok(200)
        topics = ["global", "alerts", "category:finance", f"agent:{asker.id}"]
        listeners = [server.second_user("member") for _ in topics]
        with sockets(server, *listeners) as (all_of_it, *each):
            join(all_of_it, *topics)
            for socket, topic in zip(each, topics):
                join(socket, topic)
            post(asker, "a status")
            post(asker, "an alert", type="alert")
            post(asker, "a question", type="question")
            post(server, "a question of a human", type="question")
            got = [texts(socket) for socket in each]
            assert got[0] == ["a status", "an alert", "a question", "a question of a human"]
            assert got[1:] == [["an alert"], ["a question"], ["a status", "an alert", "a question"]]
            assert texts(all_of_it) == got[0], "one copy, however many topics match"

    def test_directed_ones_reach_the_two(self, server):
        """AC-93, AC-95, AC-172"""
        user, other, agent = server.second_user("member"), server.second_user("member"), agent_client(server, "Party", "autonomous")
        topics = ["global", "alerts", f"agent:{agent.id}"]
        with sockets(user, other, agent, server) as (one, stranger, party, admin):
            for socket in (one, stranger, party, admin):
                join(socket, *topics)
            post(user, "for you", visibility="directed", mentions=[{"kind": "agent", "id": agent.id}])
            assert texts(one) == texts(party) == ["for you"]
            assert texts(stranger) == texts(admin) == []
            join(stranger, *topics, after=0)
            assert "for you" not in str(stranger.until("recovered"))

    def test_a_post_is_a_topic_for_who_sees_it(self, server):
        """AC-112, T1"""
        closed = make_channel(server, "posts", private=True)
        user, agent = server.second_user("member"), agent_client(server, "Reader", "intern")
        public, private = post(server, "public")["id"], post(server, "private", channel_id=closed)["id"]
        with sockets(user, agent) as (socket, program):
            for speaker, client in ((socket, user), (program, agent)):
                refused = [speaker.ask({"type": "subscribe", "topics": topics}) for topics in
                           (["sb-room", f"post:{private}"], [f"post:{NOBODY}"], ["post:x"])]
                assert {(a["code"], a["detail"]) for a in refused} == {("not_found", refused[0]["detail"])}
                assert "sb-room" not in speaker.ask({"type": "stats"})["topics"]
                assert listen(client, [f"post:{private}"]).status == 404
                join(speaker, f"post:{public}")
            add(server, closed, user.id)
            join(socket, f"post:{private}")
            for parent in (public, private):
                server.post(f"/v1/posts/{parent}/replies", {"content": f"to {parent}"}).ok(201)
            assert [d["content"] for d in heard(socket, "reply_added")] == [f"to {public}", f"to {private}"]
            assert [d["content"] for d in heard(program, "reply_added")] == [f"to {public}"]
            leave(user, closed)
            server.post(f"/v1/posts/{private}/replies", {"content": "unseen"}).ok(201)
            assert heard(socket, "reply_added") == []
            server.delete(f"/v1/posts/{public}").ok(204)
            assert [d["id"] for d in heard(socket, "post_deleted")] == [public]
            assert socket.ask({"type": "subscribe", "topics": [f"post:{public}"]})["code"] == "not_found"


class Crowd:
    """People, agents and channels of a server, what each listens to, and what each therefore has to hear."""

    def __init__(self, server, chance):
        self.server, self.chance = server, chance
        self.people = [server.second_user("member") for _ in range(3)] + [agent_client(server, f"Leaks {n}", "autonomous") for n in range(2)]
        self.people += [server.second_user("viewer"), server]
        for person in self.people:
            person.actor = person.id or server.get("/v1/me").ok(200)["id"]
        self.writers = [p for p in self.people if p.role != "viewer"]
        self.everybody = {p.actor for p in self.people}
        self.own = {p.actor: f"{'agent' if p.role == 'agent' else 'user'}:{p.actor}" for p in self.people}
        self.agents = [topic for topic in self.own.values() if topic.startswith("agent:")]
        self.members, self.private = {}, {}  # by channel
        self.allowed = {}                    # by text: who might see it when it was said
        self.listening = {p.actor: {self.own[p.actor], "global"} for p in self.people}
        self.wanted = {p.actor: [] for p in self.people}

    def sees(self, actor, channel):
        return not self.private[channel] or actor in self.members[channel]

    def heard_by(self, channel):
        return self.members[channel] if self.private[channel] else self.everybody

    def publish(self, number):
        speaker, how, text = self.chance.choice(self.writers), self.chance.randrange(4), f"text {number}"
        mine = [channel for channel, members in self.members.items() if speaker.actor in members]
        if how == 0 and mine:
            channel = self.chance.choice(mine)
            post(speaker, text, channel_id=channel)
            audience, topics = self.heard_by(channel), {f"channel:{channel}"} | (set() if self.private[channel] else {"global"})
        elif how == 1 and mine:
            channel = self.chance.choice(mine)
            speaker.post("/v1/events", {"type": "x.test", "topics": [f"channel:{channel}"], "data": {"content": text}}).ok(202)
            audience, topics = self.heard_by(channel), {f"channel:{channel}"}
        elif how == 2:
            to = self.chance.choice([p for p in self.people if p is not speaker])
            post(speaker, text, visibility="directed", mentions=[{"kind": self.own[to.actor].split(":")[0], "id": to.actor}])
            audience, topics = {speaker.actor, to.actor}, {self.own[speaker.actor], self.own[to.actor]}
        else:
            post(speaker, text)
            audience, topics = self.everybody, {"global"} | ({self.own[speaker.actor]} & set(self.agents))
        self.allowed[text] = set(audience)
        for actor, subscribed in self.listening.items():
            if actor in audience and subscribed & topics:
                self.wanted[actor].append(text)

    def step(self, number, person, socket):
        kind, actor = self.chance.randrange(7), person.actor
        channel = self.chance.choice(list(self.members)) if self.members else None
        if (kind == 0 and len(self.members) < 8 or channel is None) and person in self.writers:
            closed = self.chance.random() < 0.6
            channel = make_channel(person, f"leaks-{number}", closed)
            self.members[channel], self.private[channel] = {actor}, closed
        elif kind == 1 and channel and (mine := [p for p in self.writers if p.actor in self.members[channel]]):
            add(self.chance.choice(mine), channel, actor)
            self.members[channel].add(actor)
        elif kind == 2 and channel and person in self.writers and actor in self.members[channel]:
            leave(person, channel)
            self.members[channel].discard(actor)
        elif kind == 3 and channel:
            topic = self.chance.choice([f"channel:{channel}", *self.agents])
            may = not topic.startswith("channel:") or self.sees(actor, channel)
            answer = socket.ask({"type": "subscribe", "topics": [topic]})
            assert answer["type"] == ("ok" if may else "error"), (topic, answer)
            self.listening[actor] |= {topic} if may else set()
        elif kind == 4 and channel:
            socket.ask({"type": "unsubscribe", "topics": [f"channel:{channel}"]})
            self.listening[actor].discard(f"channel:{channel}")
        else:
            self.publish(number)

    def catch_up(self, person):
        """All of the past that this person can ask for is what they might see then, or said in a channel they belong to now."""
        left = {f"channel:{channel}" for channel in self.members if not self.sees(person.actor, channel)}
        with person.ws() as socket:
            join(socket, *sorted(self.listening[person.actor] - left), after=0)
            for message in socket.until("recovered"):
                text = message.get("event", {}).get("data", {}).get("content")
                if text and person.actor not in self.allowed[text]:
                    places = [c for c in self.members if f"channel:{c}" in message["topics"] and person.actor in self.members[c]]
                    assert places, (text, message)


class TestLeaks:
    """T1: whoever they are, whatever they listen to and whenever they come and go: nobody is given what they may not see."""

    @pytest.mark.parametrize("seed", range(5))
    def test_nobody_is_given_what_is_not_for_them(self, server, seed):
        """AC-106, AC-149, AC-172"""
        crowd = Crowd(server, random.Random(seed))
        with sockets(*crowd.people) as all_sockets:
            for socket in all_sockets:
                join(socket, "global", "alerts")
            for number in range(300):
                crowd.step(number, *crowd.chance.choice(list(zip(crowd.people, all_sockets))))
            for person, socket in zip(crowd.people, all_sockets):
                got = [m["event"]["data"]["content"] for m in socket.drain()
                       if m["type"] == "event" and m["event"]["type"] in ("x.test", "agent_post")]
                assert got == crowd.wanted[person.actor], person.role
        for person in crowd.people:
            crowd.catch_up(person)
        server.restart(kill=True)
        for person in crowd.people:
            crowd.catch_up(person)
