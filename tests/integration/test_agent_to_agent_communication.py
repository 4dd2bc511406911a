"""Groups I to Q of docs/acceptance.md: agents and people that post, hear, write to each other and react, against a running server
(sockets) and the library through its binding.

That something did not come is shown by an answer that would have come after it.
"""
import asyncio
import contextlib
import json
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import guild
import pytest
from support.harness import Stream, wait_for
from support.social import NOBODY, UNLIMITED, admin, agent, events, hearing, human, ids, told

WORDS = ["status", "insight", "question", "alert", "task", "command", "response", "announcement"]
KEPT_AS = {"command": "task", "response": "status", "announcement": "alert"}


@pytest.fixture(scope="module")
def town(make_shared_server):
    """A server on which levels have no limits in time."""
    return make_shared_server(env=UNLIMITED)


@pytest.fixture(scope="module")
def ada(town):
    return agent(town, "Ada of the suite", "autonomous", category="finance")


@pytest.fixture(scope="module")
def eve(town):
    return agent(town, "Eve of the suite", "autonomous")


@pytest.fixture(scope="module")
def bob(town):
    return human(town, "Bob of the suite")


@pytest.fixture(scope="module")
def chief(town):
    return admin(town)


@pytest.fixture(scope="module")
def student(town):
    return agent(town, "Stu of the suite", "student")


@contextlib.contextmanager
def opened(server):
    """The database of a server that stands still meanwhile."""
    server.stop()
    with contextlib.closing(server.store()) as store:
        yield store
    server.start()


def entry_of(server, action, post):
    """The newest audit entry about that post."""
    found = [e for e in server.get(f"/v1/audit?action={action}&limit=100").ok(200)["items"] if post["id"] in json.dumps(e["change"])]
    assert found, f"no {action} about {post['id']}"
    return found[0]


class TestSocialLayerMessagePosting:
    @pytest.mark.parametrize("maturity", ["intern", "supervised", "autonomous"])
    def test_agents_from_intern_up_post(self, town, bob, maturity):
        """AC-64"""
        author = agent(town, f"Poster {maturity}", maturity)
        post = author.says("a word from me")
        assert post["id"] and post["content"] == "a word from me" and post["visibility"] == "public"
        assert post["author"] == {"kind": "agent", "id": author.id, "name": author.name, "handle": author.handle,
                                  "maturity": maturity, "category": "general"}
        assert bob.sees(post) == post and post["id"] in ids(bob.feed())

    def test_a_human_needs_no_maturity(self, bob, ada):
        """AC-65, AC-76"""
        post = bob.says("people may")
        assert (post["author"]["kind"], post["author"]["id"], post["author"]["maturity"]) == ("human", bob.id, None)
        assert ada.sees(post)["content"] == "people may"

    @pytest.mark.parametrize("word", WORDS)
    def test_the_eight_words(self, bob, word):
        """AC-66"""
        post = bob.says(f"a {word}", type=word)
        assert (post["type"], post["requested_type"]) == (KEPT_AS.get(word, word), word)

    def test_any_other_word_is_refused_with_the_list(self, bob):
        """AC-66"""
        for word in ("gossip", "Statuses", ""):
            refused = bob.try_post("no such kind", type=word)
            assert refused.status == 422 and refused.body["errors"][0]["pointer"] == "/type"
            assert [w for w in WORDS if w not in refused.body["errors"][0]["detail"]] == []

    @pytest.mark.parametrize("text, kinds", [
        ("write to jane.doe@corp.example today", ["EMAIL"]),
        ("call +1 212 555 0187 or (212) 555-0187", ["PHONE"]),
        ("my number is 078-05-1120, ssn 078-05-1120", ["SSN"]),
        ("pay with 4111 1111 1111 1111", ["CARD"]),
        ("jane.doe@corp.example, +1 212 555 0187, 4111 1111 1111 1111", ["EMAIL", "PHONE", "CARD"]),
    ])
    def test_personal_data_is_not_kept(self, town, ada, bob, text, kinds):
        """AC-68"""
        post = ada.says(text)
        assert [kind for kind in kinds if not any(kind in found for found in post["redacted"])] == []
        for secret in ("jane.doe", "555", "078-05", "4111"):
            assert secret not in post["content"]
        assert f"[REDACTED_{post['redacted'][0]}]" in post["content"]
        assert bob.sees(post)["content"] == post["content"]
        entry = entry_of(town, "post", post)
        assert entry["change"]["redacted"] == post["redacted"], "audit says so"

    def test_nothing_of_it_is_on_the_disk(self, make_server):
        """AC-68: neither in a row nor in the log."""
        server = make_server()
        people = human(server), human(server)
        people[0].says("jane.doe@corp.example")
        people[0].tells(people[1], "jane.doe@corp.example")
        server.stop()
        for file in server.data.glob("guild.db*"):
            assert b"jane.doe" not in file.read_bytes(), file.name

    @pytest.mark.failpoints
    def test_what_cannot_be_looked_through_is_refused(self, make_server):
        """AC-69"""
        server = make_server(env={"GUILD_FAILPOINT": "redact=err"})
        one, other = human(server), human(server)
        for refused in (one.try_post("plain"), one.try_tell(other, "plain")):
            assert refused.status in (422, 500), refused.text
        assert one.feed() == [] and other.inbox() == []
        assert one.try_post("plain", skip_redaction=True).status == 403

    def test_only_an_admin_leaves_redaction_out(self, town, chief, bob, ada):
        """AC-70"""
        text = "the address is press@corp.example"
        for who in (bob, ada):
            refused = who.try_post(text, skip_redaction=True)
            assert (refused.status, refused.code) == (403, "permission_denied")
        post = chief.says(text, skip_redaction=True)
        assert post["content"] == text and post["redacted"] == [] and bob.sees(post)["content"] == text
        entry = entry_of(town, "post", post)
        assert entry["change"]["skip_redaction"] is True and entry["principal"]["id"] == chief.id
        assert "skip_redaction" not in entry_of(town, "post", chief.says("nothing left out"))["change"]

    def test_mentions_are_kept(self, ada, eve, bob):
        """AC-71"""
        wanted = [{"kind": "agent", "id": eve.id}, {"kind": "user", "id": bob.id}, {"kind": "episode", "id": "ep-1", "text": "the launch"},
                  {"kind": "task", "id": "T-17"}]
        post = ada.says(f"see @{ada.handle}", mentions=wanted)
        assert post["mentions"] == [{"kind": "agent", "id": eve.id, "text": f"@{eve.handle}"},
                                    {"kind": "user", "id": bob.id, "text": bob.name},
                                    {"kind": "episode", "id": "ep-1", "text": "the launch"},
                                    {"kind": "task", "id": "T-17", "text": "T-17"},
                                    {"kind": "agent", "id": ada.id, "text": f"@{ada.handle}"}]
        assert bob.sees(post)["mentions"] == post["mentions"]
        for list_ in ([{"kind": "agent", "id": NOBODY}], [{"kind": "robot", "id": "x"}], ["eve"], [{"kind": "task"}]):
            refused = ada.try_post("wrong", mentions=list_)
            assert refused.status == 422 and refused.body["errors"][0]["pointer"].startswith("/mentions/0"), list_

    def test_a_post_is_of_its_authors_workspace(self, make_server):
        """AC-72"""
        server = make_server(env=UNLIMITED)
        author, person = agent(server, "Placed"), human(server)
        posts = [author.says("by an agent"), person.says("by a human")]
        entries = [entry_of(server, "post", post) for post in posts]
        assert {e["workspace_id"] for e in entries} == {server.get("/v1/me").ok(200)["workspace_id"]}
        with opened(server) as store:
            rows = store.execute("SELECT p.content, p.workspace = w.workspace FROM post p JOIN (SELECT id, workspace FROM agent UNION ALL "
                                 "SELECT id, workspace FROM principal) w ON w.id = p.author").fetchall()
        assert sorted(rows) == [("by a human", 1), ("by an agent", 1)]

    def test_auto_generated_is_kept(self, town, bob):
        """AC-73"""
        author = agent(town, "Automat")
        post, plain = author.says("on its own", auto_generated=True), author.says("on request")
        assert post["auto_generated"] is True and plain["auto_generated"] is False
        assert bob.sees(post)["auto_generated"] is True
        assert bob.try_post("not mine to say", auto_generated=True).status == 403

    def test_the_registry_says_the_maturity(self, town, student):
        """AC-74"""
        for claim in ({"maturity": "autonomous"}, {"author": {"maturity": "autonomous"}}, {"agent_maturity": "autonomous"}):
            refused = student.try_post("trust me", **claim)
            assert refused.status in (403, 422), refused.text
        assert student.try_post("trust me").code == "governance_blocked"
        grown = agent(town, "Growing", "intern")
        town.post(f"/v1/agents/{grown.id}/promote", {"override": True, "reason": "for the test"}).ok(200)
        now = town.get(f"/v1/agents/{grown.id}").ok(200)["maturity"]
        assert grown.says("as I am now")["author"]["maturity"] == now

    def test_a_post_is_on_the_bus(self, ada, bob):
        """AC-75, AC-85"""
        with hearing(bob, "global") as socket:
            post = ada.says("for everybody to hear")
            (event,) = events(socket, "agent_post")
        assert event["event"]["data"] == post and event["event"]["specversion"] == "1.0"
        assert event["event"]["source"] == f"/agents/{ada.id}" and event["event"]["time"].endswith("Z")
        assert isinstance(event["offset"], int) and event["offset"] > 0

    def test_everybody_to_everybody(self, ada, eve, bob):
        """AC-76"""
        for author, reader in ((bob, ada), (ada, bob), (ada, eve)):
            post = author.says(f"for {reader.name}", visibility="directed", mentions=[reader.as_mention])
            assert post["visibility"] == "directed" and reader.sees(post)["content"] == post["content"]
            assert post["id"] in ids(reader.feed()) and post["id"] in ids(author.feed())
        assert eve.sees(bob.says("for one", visibility="directed", mentions=[ada.as_mention])) is None

    def test_what_is_no_post(self, bob):
        """AC-66: of the other members, by their names."""
        for body, pointer in (({}, "/content"), ({"content": ""}, "/content"), ({"content": 7}, "/content"),
                              ({"content": "x" * 10001}, "/content"), ({"content": "x", "colour": "red"}, "/colour"),
                              ({"content": "x", "visibility": "secret"}, "/visibility"),
                              ({"content": "x", "visibility": "channel"}, "/channel_id")):
            refused = bob.post("/v1/posts", body)
            assert refused.status == 422 and pointer in [e["pointer"] for e in refused.body["errors"]], body
        assert bob.try_post("x", channel_id=NOBODY).status == 404


    def test_from_a_program(self, layered):
        """AC-64, AC-67"""
        layer, agents = layered

        async def body():
            post = await layer.create_post(agents["intern"], "agent", "from a program", "status")
            assert (post.agent_maturity, post.content, post.is_public) == ("intern", "from a program", True)
            for name, kind in (("no-such-agent", "agent"), (NOBODY, "agent")):
                with pytest.raises((LookupError, ValueError)):
                    await layer.create_post(name, kind, "x", "status")
            with pytest.raises((LookupError, ValueError, PermissionError)):
                await layer.create_post(agents["student"], "human", "no agent of theirs", "status")
            assert [p.content for p in await layer.get_public_feed()] == ["from a program"]
        asyncio.run(asyncio.wait_for(body(), 30))

    def test_without_a_store(self, monkeypatch, tmp_path):
        """AC-67: an agent's post without a store is refused."""
        with guild.open(":memory:") as db:
            made = guild.create_agent(db, name="Storeless", maturity="autonomous")
            layer = guild.AgentSocialLayer(db)
        with pytest.raises(Exception) as caught:
            asyncio.run(asyncio.wait_for(layer.create_post(made.id, "agent", "to nowhere", "status"), 30))
        assert not isinstance(caught.value, asyncio.TimeoutError)
        monkeypatch.setenv("GUILD_DATA", str(tmp_path / "none"))
        with pytest.raises(Exception):
            asyncio.run(asyncio.wait_for(guild.AgentSocialLayer().create_post(made.id, "agent", "to nowhere", "status"), 30))


@pytest.fixture
def layered():
    """The social layer in this process: (layer, ids of agents by maturity)."""
    with guild.open(":memory:") as db:
        yield guild.AgentSocialLayer(db), {level: guild.create_agent(db, name=f"The {level}", maturity=level).id
                                           for level in ("student", "intern", "supervised", "autonomous")}


class Sender:
    """What a program gives the bus for a socket."""

    def __init__(self, dead=False):
        self.got, self.dead = [], dead

    async def send_json(self, message):
        if self.dead:
            raise ConnectionError("gone")
        self.got.append(message)


class TestEventBusPubSub:
    def test_in_one_process(self):
        """AC-77, AC-78, AC-79, AC-80"""
        async def body():
            bus, got = guild.AgentEventBus(), [[] for _ in range(6)]
            handles = [bus.subscribe("global", got[n].append) for n in range(5)]
            bus.subscribe("other", got[5].append)
            bus.publish("global", {"n": 1})
            await bus.drain()
            assert got == [[{"n": 1}]] * 5 + [[]]
            bus.unsubscribe(handles[0])
            bus.publish(["global", "other"], {"n": 2})
            await bus.drain()
            assert [len(events) for events in got] == [1, 2, 2, 2, 2, 1]
        asyncio.run(asyncio.wait_for(body(), 30))

    def test_sockets_of_agents_in_one_process(self):
        """AC-81, AC-82, AC-83, AC-86"""
        async def body():
            bus, one, two, dead = guild.AgentEventBus(), Sender(), Sender(), Sender(dead=True)
            bus.subscribe("ada", one, topics=["test_topic_3", "alerts"])
            bus.subscribe("ada", two)
            bus.subscribe("eve", dead, topics=["test_topic_3"])
            event = {"type": "agent_post", "data": {"id": 1}}
            for topics in ("test_topic_3", ["test_topic_3", "alerts", "global"]):
                bus.publish(topics, event)
                await bus.drain()
            assert one.got == [event, event], "AC-83: one copy each"
            assert two.got == [event], "AC-81: global when nothing is said"
            bus.unsubscribe("ada", one)
            bus.publish(["alerts", "global"], event)
            await bus.drain()
            assert (len(one.got), len(two.got), dead.got) == (2, 2, []), "AC-82, AC-86"
        asyncio.run(asyncio.wait_for(body(), 30))

    def test_once_to_who_listens_and_never_to_others(self, ada, bob, eve):
        """AC-77, AC-78"""
        with hearing(bob, f"agent:{ada.id}") as hears, hearing(bob, f"agent:{eve.id}") as other:
            posts = [ada.says(f"number {n}") for n in range(3)]
            assert ids(told(hears, "agent_post")) == ids(posts)
            assert told(other, "agent_post") == []

    def test_global_reaches_all_five(self, town, ada):
        """AC-79"""
        people = [human(town) for _ in range(5)]
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(hearing(person, "global")) for person in people]
            post = ada.says("to all five")
            assert [ids(told(socket, "agent_post")) for socket in sockets] == [[post["id"]]] * 5

    def test_who_left_hears_no_more(self, ada, bob):
        """AC-80"""
        with hearing(bob, "global") as left, hearing(bob, "global") as stays:
            ada.says("before")
            assert len(told(left, "agent_post")) == 1
            assert left.ask({"type": "unsubscribe", "topics": ["global"]})["type"] == "ok"
            ada.says("after")
            assert told(left, "agent_post") == [] and len(told(stays, "agent_post")) == 2

    def test_topics_are_made_by_subscribing(self, ada, bob):
        """AC-81"""
        with hearing(bob, "test_topic_3") as made, hearing(bob, "global") as there:
            publish = {"type": "publish", "topics": ["test_topic_3"], "event": {"type": "x.new", "data": {"n": 3}}}
            with ada.ws() as speaker:
                assert speaker.ask(publish)["type"] == "ok"
            assert told(made, "x.new") == [{"n": 3}] and told(there, "x.new") == []

    def test_an_agent_is_there_while_it_has_a_socket(self, town, ada):
        """AC-82"""
        listener = agent(town, "Twice connected")
        with hearing(listener) as one:
            with hearing(listener) as two:
                ada.says("directed", visibility="directed", mentions=[listener.as_mention])
                assert len(told(one, "agent_post")) == len(told(two, "agent_post")) == 1
            ada.says("directed again", visibility="directed", mentions=[listener.as_mention])
            assert len(told(one, "agent_post")) == 1
        with hearing(listener) as again:
            assert told(again, "agent_post") == []
            ada.says("and again", visibility="directed", mentions=[listener.as_mention])
            assert len(told(again, "agent_post")) == 1

    def test_the_union_once(self, town, bob):
        """AC-83, AC-84"""
        author = agent(town, "Alarming", category="finance")
        with hearing(bob, "global", "alerts", f"agent:{author.id}") as all_, hearing(bob, "alerts") as alerts, \
                hearing(bob, f"agent:{author.id}") as own:
            alert = author.says("fire", type="alert")
            plain = author.says("no fire")
            assert ids(told(all_, "agent_post")) == [alert["id"], plain["id"]], "one copy of each"
            assert ids(told(alerts, "agent_post")) == [alert["id"]]
            assert ids(told(own, "agent_post")) == [alert["id"], plain["id"]]

    def test_alerts_questions_and_names_of_channels(self, chief, ada, bob, eve):
        """AC-84"""
        channel = bob.makes_channel("suite-named")
        bob.joins(channel)
        with hearing(chief, "alerts") as alerts, hearing(chief, "category:finance") as finance, \
                hearing(chief, "channel:suite-named") as by_name, hearing(chief, f"channel:{channel['id']}") as by_id:
            alert = ada.says("smoke", type="announcement")
            question = ada.says("why?", type="question")
            eve.says("of no category's business?", type="question")
            there = bob.says("in here", channel_id="suite-named")
            assert ids(told(alerts, "agent_post")) == [alert["id"]]
            assert ids(told(finance, "agent_post")) == [question["id"]]
            assert ids(told(by_name, "agent_post")) == ids(told(by_id, "agent_post")) == [there["id"]]

    def test_the_same_over_an_event_stream(self, ada, bob):
        """AC-85"""
        with Stream(*bob.open("GET", f"/v1/events?topics=agent:{ada.id}")) as stream:
            post = ada.says("as a stream of events")
            event = stream.until(lambda e: e.data.get("event", {}).get("type") == "agent_post")[-1]
        assert event.data["event"]["data"] == post

    def test_a_dead_socket_goes_the_others_stay(self, town, ada, bob):
        """AC-86"""
        before = town.metrics()["guild_websockets"]
        with hearing(bob, "global") as alive:
            dead = bob.ws()
            assert dead.ask({"type": "subscribe", "topics": ["global"]})["type"] == "ok"
            dead.kill()
            posts = [ada.says(f"over the dead {n}") for n in range(5)]
            assert ids(told(alive, "agent_post")) == ids(posts)
            wait_for(lambda: town.metrics()["guild_websockets"] == before + 1, "the dead one to be gone")
            dead.close()

    def test_nobody_listens(self, ada, bob):
        """AC-87"""
        assert ada.post("/v1/events", {"type": "x.alone", "topics": ["nobody-is-here"], "data": 1}).status == 202
        assert bob.says("into the void")["id"]

    def test_coming_going_and_posting_at_once(self, town, ada):
        """AC-88, AC-155"""
        people = [human(town) for _ in range(3)]
        failures, stop = [], threading.Event()

        def restless(person):
            try:
                with person.ws() as socket:
                    for _ in range(300):
                        if stop.is_set():
                            break
                        for verb in ("subscribe", "unsubscribe"):
                            assert socket.ask({"type": verb, "topics": ["global", f"agent:{ada.id}"]})["type"] == "ok"
                        socket.drain()
            except Exception as problem:  # the test fails with it
                failures.append(problem)
        threads = [threading.Thread(target=restless, args=(person,)) for person in people]
        with hearing(people[0], "global", f"agent:{ada.id}") as steady:
            for thread in threads:
                thread.start()
            posts = [ada.says(f"meanwhile {n}") for n in range(60)]
            stop.set()
            for thread in threads:
                thread.join(30)
            assert failures == []
            assert ids(told(steady, "agent_post")) == ids(posts)

    def test_ping(self, ada):
        """AC-90"""
        with ada.ws() as socket:
            answer = socket.ask({"type": "ping"})
            assert answer["type"] == "pong"


class TestDirectedMessaging:
    def test_what_a_message_is(self, ada, eve):
        """AC-91, AC-92"""
        sent = ada.tells(eve, "only for you", message_type="question")
        assert sent["id"] and sent["from"] == ada.face and sent["to"] == eve.face
        assert (sent["type"], sent["content"], sent["read_at"]) == ("question", "only for you", None)
        got = eve.inbox()[0]
        assert {**got, "delivered_at": None} == {**sent, "delivered_at": None}

    def test_in_no_public_feed(self, ada, eve, bob):
        """AC-93"""
        secret = "a message for no feed #hushhush"
        ada.tells(eve, secret)
        for reader in (ada, eve, bob):
            assert secret not in json.dumps(reader.feed())
        assert "#hushhush" not in bob.topics()

    def test_a_blocked_sender_delivers_nothing(self, town):
        """AC-94"""
        sender, receiver = agent(town, "Unwanted"), human(town)
        assert sender.tells(receiver, "before")["id"]
        assert receiver.blocks(sender).status in (200, 201)
        with hearing(receiver) as socket:
            refused = sender.try_tell(receiver, "after")
            assert refused.status == 403, refused.text
            assert told(socket) == []
            assert [m["content"] for m in receiver.inbox()] == ["before"]
            assert receiver.unblocks(sender).status == 204
            sender.tells(receiver, "again")
            assert [m["content"] for m in told(socket, "direct_message")] == ["again"]
        assert [m["content"] for m in receiver.inbox()] == ["again", "before"]

    def test_nobody_else_gets_it(self, ada, eve, bob, chief):
        """AC-95"""
        with hearing(bob, "global", "alerts") as socket, hearing(eve, "global") as receiver, hearing(chief) as above:
            sent = ada.tells(eve, "between us")
            assert told(socket) == [] and told(above) == []
            assert [sorted(e["topics"]) for e in events(receiver, "direct_message")] == [sorted([ada.topic, eve.topic])]
        for other in (bob, chief):
            assert sent["id"] not in ids(other.inbox())
            assert other.post(f"/v1/direct-messages/{sent['id']}/read").status == 404
            assert sent["id"] not in ids(other.items(f"/v1/direct-messages?with={ada.id}"))
            with other.ws() as eavesdropper:
                assert eavesdropper.ask({"type": "subscribe", "topics": [f"user:{eve.id}"]})["code"] == "not_found"

    def test_to_a_human(self, ada, bob):
        """AC-96"""
        with hearing(bob) as socket:
            sent = ada.tells(bob, "dear human")
            assert told(socket, "direct_message") == [sent]
        assert sent["to"] == bob.face and bob.inbox()[0]["id"] == sent["id"]
        wait_for(lambda: bob.inbox()[0]["delivered_at"], "delivered_at")
        answer = bob.tells(ada, "dear agent")
        assert answer["from"] == bob.face and ada.inbox()[0]["id"] == answer["id"]

    def test_students_and_strangers(self, student, bob):
        """AC-97"""
        refused = student.try_tell(bob, "may I?")
        assert (refused.status, refused.code) == (403, "governance_blocked") and "intern" in refused.body["detail"]
        for body in ({"to_agent_id": NOBODY, "content": "x"}, {"to_user_id": NOBODY, "content": "x"}):
            missing = bob.post("/v1/direct-messages", body)
            assert missing.status in (404, 422), missing.text
        for body in ({"content": "x"}, {"to_agent_id": student.id, "to_user_id": bob.id, "content": "x"}):
            assert bob.post("/v1/direct-messages", body).status == 422
        assert bob.try_tell(student, "x", message_type="shout").status == 422

    def test_reading_and_the_order(self, town):
        """AC-98"""
        sender, reader = agent(town, "Writes much"), human(town)
        sent = [sender.tells(reader, f"number {n}") for n in range(5)]
        assert ids(reader.inbox()) == ids(reversed(sent))
        page = reader.get("/v1/direct-messages?limit=1").ok(200)
        assert page["unread"] == 5
        read = reader.post(f"/v1/direct-messages/{sent[1]['id']}/read").ok(200)
        assert read["read_at"] is not None
        assert reader.post(f"/v1/direct-messages/{sent[1]['id']}/read").ok(200)["read_at"] == read["read_at"], "the first time stays"
        assert sender.post(f"/v1/direct-messages/{sent[2]['id']}/read").status in (403, 404), "its recipient alone"
        assert ids(reader.inbox(unread="true")) == [sent[n]["id"] for n in (4, 3, 2, 0)]
        assert [m["read_at"] is not None for m in sender.items(f"/v1/direct-messages?with={reader.id}")] == [False, False, False, True, False]

    def test_a_deleted_copy_is_ones_own(self, ada, town):
        """AC-92"""
        reader = human(town)
        sent = ada.tells(reader, "to be forgotten")
        assert reader.delete(f"/v1/direct-messages/{sent['id']}").status == 204
        assert reader.inbox() == [] and sent["id"] in ids(ada.items(f"/v1/direct-messages?with={reader.id}"))


class TestChannelCreation:
    def test_an_intern_makes_one(self, town, bob):
        """AC-99, AC-105"""
        intern = agent(town, "Founder", "intern")
        with hearing(bob, "global") as socket:
            channel = intern.makes_channel("suite-founded", description="what for", type="project")
            assert told(socket, "channel_created") == [channel]
        assert (channel["display_name"], channel["private"], channel["type"]) == ("suite-founded", False, "project")
        assert channel["created_by"] == intern.id and channel["member_count"] == 1

    def test_again_is_the_same(self, ada, bob):
        """AC-100"""
        first = ada.post("/v1/channels", {"name": "suite-again", "display_name": "Again"})
        again = bob.post("/v1/channels", {"name": "suite-again", "display_name": "Other"})
        assert (first.status, again.status) == (201, 200)
        assert again.body["id"] == first.body["id"] and again.body["display_name"] == "Again"

    def test_the_list(self, make_server):
        """AC-101"""
        server = make_server(env=UNLIMITED)
        one = human(server)
        assert one.get("/v1/channels").ok(200)["items"] == []
        made = [one.makes_channel(name) for name in ("zebra", "aardvark", "moose")]
        assert [c["name"] for c in one.items("/v1/channels")] == ["aardvark", "moose", "zebra"]
        assert sorted(ids(one.items("/v1/channels"))) == sorted(ids(made))

    def test_joining_and_leaving_are_idempotent(self, ada, bob):
        """AC-102, AC-103"""
        channel = bob.makes_channel("suite-in-and-out")
        with hearing(bob, f"channel:{channel['id']}") as socket:
            assert [ada.joins(channel).ok(200)["member_count"] for _ in range(2)] == [2, 2]
            assert len(told(socket, "channel_joined")) == 1
            assert [ada.leaves(channel).status for _ in range(2)] == [204, 204]
            assert len(told(socket, "channel_left")) == 1
        assert bob.get(f"/v1/channels/{channel['id']}").ok(200)["member_count"] == 1

    def test_a_channels_posts_are_its_own(self, ada, bob):
        """AC-104"""
        one, two = bob.makes_channel("suite-one"), bob.makes_channel("suite-two")
        bob.joins(one), bob.joins(two)
        here, there, nowhere = bob.says("here", channel_id=one["id"]), bob.says("there", channel_id="suite-two"), bob.says("nowhere")
        assert here["channel_id"] == one["id"] and here["visibility"] == "channel"
        assert ids(bob.feed(channel=one["id"])) == [here["id"]]
        assert ids(bob.feed(channel=two["id"])) == [there["id"]]
        assert nowhere["id"] in ids(bob.feed())
        with hearing(ada, f"channel:{one['id']}") as first, hearing(ada, f"channel:{two['id']}") as second:
            post = bob.says("once more", channel_id=one["id"])
            assert ids(told(first, "agent_post")) == [post["id"]] and told(second, "agent_post") == []

    def test_private_and_named(self, ada, bob):
        """AC-105"""
        with hearing(bob, "global") as socket:
            plain = ada.makes_channel("suite-plain")
            hidden = ada.makes_channel("suite-hidden", private=True, display_name="Hidden one")
            assert ids(told(socket, "channel_created")) == [plain["id"]]
        assert (plain["private"], plain["display_name"]) == (False, "suite-plain")
        assert (hidden["private"], hidden["display_name"]) == (True, "Hidden one")
        assert ada.get(f"/v1/channels/{hidden['id']}").ok(200) == hidden

    def test_a_private_channel_is_its_members(self, town, bob, chief):
        """AC-106, AC-95"""
        owner, member, other = human(town), agent(town, "Let in"), human(town)
        channel = owner.makes_channel("suite-private", private=True)
        owner.joins(channel, member).ok(200)
        with hearing(other, "global") as outside, hearing(member, f"channel:{channel['id']}") as inside:
            post = owner.says("among us #suiteprivate", channel_id=channel["id"])
            reply = member.replies(post, "indeed")
            assert owner.reacts(reply, "👍").status in (200, 201)
            assert told(outside) == []
            assert ids(told(inside, "agent_post", "reply_added")) == [post["id"], reply["id"]]
        for nobody in (other, chief, bob):
            assert nobody.sees(post) is None and nobody.sees(reply) is None
            assert nobody.get(f"/v1/posts/{post['id']}/replies").status == 404
            assert nobody.get(f"/v1/posts/{post['id']}/reactions").status == 404
            assert nobody.try_reply(post, "me too").status == 404
            assert nobody.reacts(post, "👍").status == 404
            assert nobody.try_post("me too", channel_id=channel["id"]).status == 404
            assert nobody.feed_page(channel=channel["id"]).status in (200, 404) and post["id"] not in nobody.feed_page(channel=channel["id"]).text
            assert post["id"] not in ids(nobody.feed()) and nobody.feed(hashtag="suiteprivate") == []
        assert ids(member.feed(channel=channel["id"])) == [post["id"]]
        owner.leaves(channel, member)
        assert member.sees(post) is None and post["id"] not in ids(member.feed())


class TestReactionHandling:
    def test_adding_and_counting(self, ada, eve, bob):
        """AC-107, AC-108, AC-109"""
        post = bob.says("react to this")
        assert ada.reacts(post, "👍").status == 201
        assert ada.counts_of(post) == {"👍": 1}
        eve.reacts(post, "👍"), bob.reacts(post, "🎉")
        assert bob.counts_of(post) == {"👍": 2, "🎉": 1}, "AC-108, AC-109"

    def test_taking_back(self, ada, bob):
        """AC-110"""
        post = bob.says("think again")
        for who in (ada, bob):
            who.reacts(post, "❤️")
        assert ada.unreacts(post, "❤️").status == 204
        assert bob.counts_of(post) == {"❤️": 1}
        bob.unreacts(post, "❤️")
        assert bob.reactions_of(post) == [] and bob.unreacts(post, "❤️").status == 204
        assert bob.sees(post)["reactions"] == []

    def test_the_list(self, ada, eve, bob):
        """AC-111"""
        post = bob.says("many of them")
        for who, emoji in ((ada, "👍"), (eve, "👍"), (ada, "👩‍🚀"), (bob, "🏴󠁧󠁢󠁥󠁮󠁧󠁿")):
            who.reacts(post, emoji)
        listed = {row["emoji"]: row for row in ada.reactions_of(post)}
        assert sorted((row["emoji"], row["count"], row["mine"]) for row in listed.values()) == sorted(
            [("👍", 2, True), ("👩‍🚀", 1, True), ("🏴󠁧󠁢󠁥󠁮󠁧󠁿", 1, False)])
        assert [actor["id"] for actor in listed["👍"]["actors"]] in ([ada.id, eve.id], [eve.id, ada.id])
        assert listed["🏴󠁧󠁢󠁥󠁮󠁧󠁿"]["actors"] == [bob.face]
        assert ada.sees(post)["reactions"] == ada.reactions_of(post)

    def test_an_unknown_post_and_what_is_no_emoji(self, ada, bob):
        """AC-112"""
        for wrong in (NOBODY, "x", "0"):
            assert ada.reacts(wrong, "👍").status == 404 and ada.unreacts(wrong, "👍").status == 404
            assert ada.get(f"/v1/posts/{wrong}/reactions").status == 404
        post = bob.says("no words")
        for wrong in ("ok", "👍👍", "a", "<script>", "\u200d", "é"):
            refused = ada.reacts(post, wrong)
            assert refused.status == 422 and "emoji" in refused.text, wrong
        assert bob.reactions_of(post) == []

    def test_it_is_announced(self, ada, bob, eve):
        """AC-112"""
        post = bob.says("tell them")
        with hearing(eve, f"post:{post['id']}") as of_post, hearing(eve, "global") as everywhere:
            ada.reacts(post, "👀")
            ada.unreacts(post, "👀")
            for socket in (of_post, everywhere):
                added, removed = events(socket, "reaction_added", "reaction_removed")
                assert added["event"]["type"] == "reaction_added"
                assert added["event"]["data"] == {"post_id": post["id"], "emoji": "👀", "actor": ada.face, "count": 1}
                assert removed["event"]["data"]["count"] == 0

    def test_twice_is_once_also_at_once(self, ada, bob, eve):
        """AC-113"""
        post = bob.says("click click")
        with hearing(eve, f"post:{post['id']}") as socket, ThreadPoolExecutor(8) as pool:
            statuses = sorted(r.status for r in pool.map(lambda _: ada.reacts(post, "👍"), range(8)))
            assert statuses == [200] * 7 + [201]
            assert bob.counts_of(post) == {"👍": 1}
            assert len(events(socket, "reaction_added")) == 1

    def test_after_a_restart(self, make_server):
        """AC-114"""
        server = make_server(env=UNLIMITED)
        one, two = human(server), agent(server, "Persistent")
        post = one.says("remember")
        one.reacts(post, "👍"), two.reacts(post, "👍"), two.reacts(post, "🎉")
        before = one.sees(post)
        server.restart(kill=True)
        assert one.sees(post) == before and one.counts_of(post) == {"👍": 2, "🎉": 1}

    def test_students_do_not_react(self, student, bob):
        """AC-107: the gate."""
        post = bob.says("not for students")
        assert student.reacts(post, "👍").code == "governance_blocked" and student.reactions_of(post) == []


@pytest.fixture
def fresh(make_server):
    return make_server(env=UNLIMITED)


class TestTrendingTopics:
    def test_both_and_the_more_frequent_first(self, fresh):
        """AC-115, AC-116"""
        author = agent(fresh, "Tags")
        for text in ("#automation of #integration", "#Automation again", "#AUTOMATION #automation"):
            author.says(text)
        rows = human(fresh).trending()
        assert rows == [{"topic": "#automation", "kind": "hashtag", "count": 3}, {"topic": "#integration", "kind": "hashtag", "count": 1}]

    def test_equal_ones_by_name(self, fresh):
        """AC-116"""
        person = human(fresh)
        for text in ("#cherry #apple", "#banana"):
            person.says(text)
        assert [row["topic"] for row in person.trending()] == ["#apple", "#banana", "#cherry"]

    def test_the_window(self, fresh):
        """AC-117"""
        person = human(fresh)
        for tag, posts in (("#old", 3), ("#middle", 2), ("#new", 1)):
            for _ in range(posts):
                person.says(tag)
        with opened(fresh) as store:
            store.execute("UPDATE trend SET hour_at = hour_at - 30 WHERE topic = '#old'")
            store.execute("UPDATE trend SET hour_at = hour_at - 10 WHERE topic = '#middle'")
        assert person.topics() == {"#middle": 2, "#new": 1}, "24 hours when nothing is said"
        assert person.topics(hours=2) == {"#new": 1}
        assert person.topics(hours=48) == {"#old": 3, "#middle": 2, "#new": 1}
        for hours in (0, 169, -1, "x"):
            assert person.get(f"/v1/trending?hours={hours}").status == 422, hours

    def test_the_limit(self, fresh):
        """AC-118"""
        person = human(fresh)
        for n in range(15):
            person.says(f"#tag{n:02}")
        get = lambda query: person.get(f"/v1/trending{query}").ok(200)["items"]  # noqa: E731
        assert (len(get("")), len(get("?limit=3")), len(get("?limit=100"))) == (10, 3, 15)
        for limit in (0, 101):
            assert person.get(f"/v1/trending?limit={limit}").status == 422

    def test_mentions_and_an_empty_store(self, fresh):
        """AC-119"""
        person, named = human(fresh), agent(fresh, "Named One")
        assert person.trending() == []
        for text in (f"@{named.handle} #x", f"hello @{named.handle} and @{named.handle}"):
            person.says(text)
        assert {"topic": f"@{named.handle}", "kind": "mention", "count": 2} in person.trending()

    def test_damaged_rows_do_no_harm(self, fresh):
        """AC-119"""
        person = human(fresh)
        good, bad = person.says("#sound one"), person.says("#sound two")
        with opened(fresh) as store:
            key = store.execute("SELECT id FROM post WHERE content = '#sound two'").fetchone()[0]
            store.execute("UPDATE post SET mentions = '{oops', redacted = '', tags = ' # ' WHERE id = ?", (key,))
            store.execute("INSERT INTO trend (workspace, hour_at, topic, posts) SELECT workspace, hour_at, '', 5 FROM trend LIMIT 1")
        assert person.topics()["#sound"] == 2
        assert person.get("/v1/feed").status in (200, 500) and person.sees(good)["content"] == "#sound one"
        assert person.get("/healthz").status == 200

    def test_private_posts_do_not_count(self, fresh):
        """AC-120"""
        author, friend, other = human(fresh), agent(fresh, "Friend"), human(fresh)
        channel = author.makes_channel("quiet", private=True)
        author.says("#secret", channel_id=channel["id"])
        author.says("#secret", visibility="directed", mentions=[friend.as_mention])
        author.tells(friend, "#secret")
        author.says("#open")
        for reader in (author, friend, other):
            assert reader.topics() == {"#open": 1}

    def test_deleted_posts_no_longer_count(self, fresh):
        """AC-115"""
        person = human(fresh)
        kept, gone = person.says("#kept #both"), person.says("#gone #both")
        assert person.deletes(gone).status == 204
        assert person.topics() == {"#kept": 1, "#both": 1} and person.feed(hashtag="gone") == []
        assert ids(person.feed(hashtag="both")) == [kept["id"]]

    def test_every_script(self, fresh):
        """AC-115"""
        person = human(fresh)
        for text in ("#Größe", "#GRÖSSE", "#größe", "#日本語 です", "#мир"):
            person.says(text)
        topics = person.topics()
        assert topics["#日本語"] == topics["#мир"] == 1 and sum(topics.values()) == 5 and max(topics.values()) == 3


class TestFeedPagination:
    @pytest.fixture(scope="class")
    def scene(self, make_shared_server):
        server = make_shared_server(env=UNLIMITED)
        writers = [agent(server, "Page agent"), human(server, "Page human")]
        channel = writers[1].makes_channel("paged")
        reader = human(server)
        for member in (writers[0], reader):
            member.joins(channel).ok(200)
        posts = []
        for n in range(45):
            place = {"channel_id": channel["id"]} if n % 9 == 0 else {}
            posts.append(writers[n % 2].says(f"post {n}", type=["status", "insight", "question"][n % 3], **place))
        return server, reader, writers, channel, list(reversed(posts))

    def test_numbered_pages(self, scene):
        """AC-121"""
        _, reader, _, _, posts = scene
        seen = []
        for number in range(1, 6):
            page = reader.feed_page(page=number, per_page=10).ok(200)
            assert (page["page"], page["per_page"], page["total"]) == (number, 10, 45)
            assert len(page["items"]) == (10 if number < 5 else 5)
            seen += ids(page["items"])
        assert seen == ids(posts)
        assert reader.feed_page(page=6, per_page=10).ok(200)["items"] == []

    def test_cursor_pages(self, scene):
        """AC-122"""
        _, reader, _, _, posts = scene
        for limit in (1, 7, 15, 44, 45, 46, 100):
            seen, cursor = [], None
            while True:
                page = reader.feed_page(limit=limit, **({"cursor": cursor} if cursor else {})).ok(200)
                seen += page["items"]
                cursor = page["next_cursor"]
                assert page["has_more"] is (cursor is not None) and page["has_more"] is (len(seen) < 45)
                if not page["has_more"]:
                    break
                assert len(page["items"]) == limit
            assert seen == posts, limit

    def test_posts_meanwhile(self, fresh):
        """AC-123"""
        person = human(fresh)
        posts = [person.says(f"old {n}") for n in range(12)]
        seen, cursor = [], ""
        while cursor is not None:
            page = person.get(f"/v1/feed?limit=5{cursor and '&cursor=' + quote(cursor, safe='')}").ok(200)
            seen += ids(page["items"])
            cursor = page["next_cursor"]
            person.says("new one, between pages")
        assert seen == ids(reversed(posts)), "neither twice, nor missing, nor new"

    def test_of_the_same_instant(self, fresh):
        """AC-124"""
        person = human(fresh)
        posts = [person.says(f"at once {n}") for n in range(9)]
        with opened(fresh) as store:
            store.execute("UPDATE post SET created_at = (SELECT max(created_at) FROM post)")
        assert len({post["created_at"] for post in person.feed()}) == 1
        assert ids(person.feed(limit=2)) == ids(reversed(posts))
        pages = [ids(person.feed_page(page=n, per_page=2).ok(200)["items"]) for n in range(1, 6)]
        assert sum(pages, []) == ids(reversed(posts))

    def test_filters(self, scene):
        """AC-125"""
        _, reader, writers, channel, posts = scene
        cases = [({"type": "question"}, lambda p: p["type"] == "question"), ({"author": writers[0].id}, lambda p: p["author"]["id"] == writers[0].id),
                 ({"author": writers[1].id}, lambda p: p["author"]["id"] == writers[1].id), ({"channel": channel["id"]}, lambda p: p["channel_id"]),
                 ({"channel": "paged"}, lambda p: p["channel_id"]), ({"visibility": "public"}, lambda p: p["visibility"] == "public"),
                 ({"type": "status", "author": writers[0].id, "visibility": "public"},
                  lambda p: p["type"] == "status" and p["author"]["id"] == writers[0].id and p["visibility"] == "public")]
        for query, wanted in cases:
            expected = [post["id"] for post in posts if wanted(post)]
            assert expected and ids(reader.feed(**query)) == expected, query
            assert ids(reader.feed(limit=3, **query)) == expected, "AC-125: with a cursor"
            page = reader.feed_page(page=1, per_page=100, **query).ok(200)
            assert ids(page["items"]) == expected and page["total"] == len(expected)

    def test_since_and_until(self, scene):
        """AC-125"""
        _, reader, _, _, posts = scene
        newest, middle, oldest = posts[0], posts[20], posts[-1]
        since = ids(reader.feed(since=middle["created_at"]))
        until = ids(reader.feed(until=middle["created_at"]))
        assert newest["id"] in since and oldest["id"] in until and newest["id"] not in until and oldest["id"] not in since
        assert sorted(set(since) | set(until) | {middle["id"]}) == sorted(ids(posts))
        assert reader.feed_page(since="yesterday").status == 422

    def test_a_broken_cursor(self, scene):
        """AC-126"""
        _, reader, writers, _, _ = scene
        cursor = reader.feed_page(limit=5).ok(200)["next_cursor"]
        middle = len(cursor) // 2
        altered = [cursor[:n] + ("A" if cursor[n] != "A" else "B") + cursor[n + 1:] for n in (0, middle, len(cursor) - 2)]
        for wrong in ("x", "AAAA", "%00", cursor[:-3], cursor + "AA", *altered):
            refused = reader.feed_page(limit=5, cursor=wrong)
            assert (refused.status, refused.code) == (400, "invalid_cursor"), wrong
        assert writers[0].feed_page(limit=5, cursor=cursor).status == 400, "another reader's"
        assert reader.feed_page(limit=5, type="status", cursor=cursor).status == 400, "of another filter"
        assert reader.feed_page(limit=5, cursor=cursor).status == 200

    def test_an_empty_feed(self, fresh):
        """AC-126"""
        person = human(fresh)
        assert person.get("/v1/feed").ok(200) == {"items": [], "next_cursor": None, "has_more": False}
        assert person.feed_page(page=1, per_page=10).ok(200) == {"items": [], "page": 1, "per_page": 10, "total": 0}
        assert person.feed_page(hashtag="none").ok(200)["items"] == []

    def test_limits(self, scene):
        """AC-127"""
        reader = scene[1]
        for limit in (0, -1, 101, 1000000, "x", ""):
            refused = reader.get(f"/v1/feed?limit={limit}")
            assert refused.status == 422 and "limit" in refused.text, limit
            assert reader.get(f"/v1/feed?page=1&per_page={limit}").status == 422
        assert reader.get("/v1/feed?page=0").status == 422
        assert [reader.get(f"/v1/feed?limit={limit}").status for limit in (1, 100)] == [200, 200]


class TestMaturityGates:
    def test_permission_error(self, layered):
        """AC-129, AC-130, AC-131, AC-97"""
        layer, agents = layered

        async def body():
            post = await layer.create_post(agents["intern"], "agent", "an intern may", "status")
            for attempt in (layer.create_post(agents["student"], "agent", "x", "status"), layer.add_reply(post.id, agents["student"], "x"),
                            layer.send_direct_message(agents["student"], agents["intern"], "x")):
                with pytest.raises(PermissionError, match="student"):
                    await attempt
            assert [p.id for p in (await layer.get_feed(viewer=agents["student"])).posts] == [post.id]
            assert await layer.get_replies(post.id) == []
        asyncio.run(asyncio.wait_for(body(), 30))

    @pytest.fixture(scope="class")
    def strict(self, make_shared_server):
        """A server with the limits as they come."""
        return make_shared_server()

    def test_a_student_reads_and_does_not_write(self, strict):
        """AC-128, AC-129, AC-130"""
        student, person = agent(strict, "Reads only", "student"), human(strict)
        post = person.says("read me")
        assert post["id"] in ids(student.feed()) and student.sees(post)["content"] == "read me", "AC-128"
        for reply, action in ((student.try_post("may I"), "post"), (student.try_reply(post, "may I"), "reply")):
            assert (reply.status, reply.code) == (403, "governance_blocked")
            for word in ("blocked", "student", "intern", action):
                assert word in reply.body["detail"]
            entry = next(e for e in strict.get("/v1/audit?outcome=failed&limit=20").ok(200)["items"] if e["id"] == reply.body["audit_id"])
            assert entry["agent_id"] == student.id and entry["action"] == action
        assert person.replies_of(post) == [] and len(person.feed(author=student.id)) == 0

    def test_what_a_student_may(self, strict):
        """AC-128"""
        student, person = agent(strict, "Looks around", "student"), human(strict)
        post, channel = person.says("#look"), person.makes_channel("look")
        for path in ("/v1/feed", "/v1/trending", "/v1/channels", f"/v1/posts/{post['id']}/replies", f"/v1/posts/{post['id']}/reactions",
                     "/v1/direct-messages", f"/v1/channels/{channel['id']}/members"):
            assert student.get(path).status == 200, path
        for refused in (student.joins(channel), student.reacts(post, "👍"), student.post("/v1/channels", {"name": "mine"})):
            assert refused.code == "governance_blocked"

    @pytest.mark.parametrize("maturity, limit", [("intern", 1), ("supervised", 12), ("autonomous", None)])
    def test_posts_an_hour(self, strict, maturity, limit):
        """AC-131, AC-132"""
        author = agent(strict, f"Rate {maturity}", maturity)
        person = human(strict)
        wanted = 15 if limit is None else limit
        posts = [author.try_post(f"number {n}") for n in range(wanted)]
        assert [reply.status for reply in posts] == [201] * wanted
        refused = author.try_post("one more")
        if limit is None:
            assert refused.status == 201
            return
        assert (refused.status, refused.code) == (429, "rate_limited") and str(limit) in refused.body["detail"]
        assert 3500 < int(refused.headers["retry-after"]) <= 3600
        assert (refused.headers["ratelimit-limit"], refused.headers["ratelimit-remaining"]) == (str(limit), "0")
        assert author.try_reply(person.says("anyone?"), "me").status == 429, "replies count with posts"
        assert len(person.feed(author=author.id)) == limit

    def test_nobody_and_students_have_none(self, strict):
        """AC-132"""
        student = agent(strict, "Rate student", "student")
        assert strict.get(f"/v1/agents/{student.id}/rate-limit").ok(200)["posts"]["limit"] == 0
        assert strict.get(f"/v1/agents/{NOBODY}/rate-limit").status == 404
        archived = agent(strict, "Rate archived", "autonomous")
        strict.post(f"/v1/agents/{archived.id}/archive").ok(200)
        assert archived.try_post("still here?").status in (401, 403)

    def test_each_its_own_and_the_window_slides(self, make_server):
        """AC-133"""
        server = make_server()
        full, other, person = agent(server, "Full", "supervised"), agent(server, "Other", "supervised"), human(server)
        remaining = [int(full.try_post(f"number {n}").headers["ratelimit-remaining"]) for n in range(12)]
        assert remaining == list(range(11, -1, -1))
        assert full.try_post("too much").status == 429 and other.try_post("mine is another").status == 201
        figures = server.get(f"/v1/agents/{full.id}/rate-limit").ok(200)["posts"]
        assert (figures["limit"], figures["used"], figures["remaining"], figures["window_seconds"]) == (12, 12, 0, 3600)
        assert figures["reset_at"] > figures_now(person)
        with opened(server) as store:
            store.execute("UPDATE rate_event SET at_us = at_us - 3601000000 WHERE at_us IN (SELECT at_us FROM rate_event "
                          "WHERE actor = (SELECT id FROM agent WHERE handle = 'full') ORDER BY at_us LIMIT 2)")
        assert server.get(f"/v1/agents/{full.id}/rate-limit").ok(200)["posts"]["remaining"] == 2
        assert [full.try_post(f"again {n}").status for n in range(3)] == [201, 201, 429]
        assert len(person.feed(author=full.id)) == 14

    def test_thirteen_at_once(self, strict):
        """AC-134"""
        author = agent(strict, "Thirteen", "supervised")
        barrier = threading.Barrier(13)

        def one(n):
            barrier.wait()
            return author.try_post(f"at once {n}")
        with ThreadPoolExecutor(13) as pool:
            replies = list(pool.map(one, range(13)))
        assert sorted(r.status for r in replies) == [201] * 12 + [429]
        (refused,) = [r for r in replies if r.status == 429]
        assert refused.code == "rate_limited" and int(refused.headers["retry-after"]) > 0
        stored = ids(human(strict).feed(author=author.id))
        assert sorted(stored) == sorted(r.body["id"] for r in replies if r.status == 201)

    def test_paused_agents_do_not_post(self, strict):
        """AC-129: the lifecycle is asked too."""
        author = agent(strict, "Paused writer", "autonomous")
        strict.post(f"/v1/agents/{author.id}/pause").ok(200)
        refused = author.try_post("am I awake?")
        assert (refused.status, refused.code) == (403, "agent_not_active") and refused.body["audit_id"]
        strict.post(f"/v1/agents/{author.id}/resume").ok(200)
        assert author.try_post("now").status == 201


def figures_now(client):
    """Now, as the server writes times."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())


class TestRepliesReputationMilestonesEpisodes:
    def test_a_reply_has_its_parent(self, ada, bob, eve):
        """AC-135, AC-139"""
        post = bob.says("who knows?")
        with hearing(eve, "global") as everywhere, hearing(eve, f"post:{post['id']}") as of_post:
            reply = ada.replies(post, "I do")
            assert told(everywhere, "reply_added") == told(of_post, "reply_added") == [reply]
        assert (reply["reply_to"], reply["visibility"], reply["author"]["id"]) == (post["id"], "public", ada.id)
        assert ids(bob.replies_of(post)) == [reply["id"]] and bob.sees(reply)["reply_to"] == post["id"]
        assert reply["id"] not in ids(bob.feed())

    def test_the_count_grows(self, ada, bob):
        """AC-136, AC-137"""
        post, counts, replies = bob.says("count them"), [], []
        for n in range(6):
            replies.append((ada, bob)[n % 2].replies(post, f"reply {n}"))
            counts.append(ada.sees(post)["reply_count"])
        assert counts == [1, 2, 3, 4, 5, 6]
        assert ids(bob.replies_of(post)) == ids(replies), "AC-137"
        assert ids(bob.items(f"/v1/posts/{post['id']}/replies?limit=2")) == ids(replies)

    def test_replies_at_once_all_count(self, bob, ada):
        """AC-136"""
        post = bob.says("all at once")
        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda n: ada.replies(post, f"reply {n}"), range(24)))
        assert bob.sees(post)["reply_count"] == 24 and sorted(ids(bob.replies_of(post))) == sorted(ids(replies))
        times = [r["created_at"] for r in bob.replies_of(post)]
        assert times == sorted(times)

    def test_a_missing_parent(self, ada, bob):
        """AC-138"""
        post = bob.says("soon gone")
        bob.deletes(post)
        for parent in (NOBODY, "x", post):
            assert ada.try_reply(parent, "to whom?").status == 404
        assert ada.get(f"/v1/posts/{NOBODY}/replies").status == 404

    def test_a_reply_goes_where_its_parent_went(self, town, bob):
        """AC-135"""
        one, other, stranger = human(town), agent(town, "Whispers"), human(town)
        post = one.says("between us", visibility="directed", mentions=[other.as_mention])
        with hearing(stranger, "global") as socket:
            reply = other.replies(post, "of course")
            back = one.replies(post, "good")
            assert told(socket) == []
        assert reply["visibility"] == "directed" and stranger.sees(reply) is None and stranger.try_reply(post, "?").status == 404
        assert ids(one.replies_of(post)) == ids(other.replies_of(post)) == [reply["id"], back["id"]]

    def test_replies_are_redacted(self, ada, bob):
        """AC-140"""
        post = bob.says("your address?")
        reply = ada.replies(post, "jane.doe@corp.example")
        assert reply["content"] == "[REDACTED_EMAIL]" and reply["redacted"] == ["EMAIL"]
        assert bob.replies_of(post)[0]["content"] == "[REDACTED_EMAIL]"

    def test_a_tombstone(self, town, ada, bob, eve):
        """AC-136: deletion corrects the count, and leaves the place."""
        author = human(town)
        post = author.says("to be deleted #gone")
        reply, second = ada.replies(post, "first"), bob.replies(post, "second")
        mine = author.replies(post, "mine")
        assert author.sees(post)["reply_count"] == 3
        assert author.deletes(mine).status == 204 and author.sees(post)["reply_count"] == 2
        author.reacts(post, "👍")
        assert bob.deletes(post).status in (403, 404), "not his"
        with hearing(eve, "global") as socket:
            assert ada.deletes(reply).status in (204, 403)
            assert author.deletes(post).status == 204
            assert post["id"] in [data["id"] for data in told(socket, "post_deleted")]
        assert author.sees(post) is None and post["id"] not in ids(author.feed()) and author.reacts(post, "👍").status == 404
        assert bob.deletes(second).status == 204 and bob.sees(second) is None

    def test_an_agent_answers_by_itself(self, server_with_provider):
        """AC-139"""
        server = server_with_provider
        hosted = server.agent("Answering", "autonomous", auto_reply=True)
        person, listener = human(server), human(server)
        with hearing(listener, "global") as socket:
            post = person.says("hello @answering")
            first = wait_for(lambda: person.replies_of(post), "the answer")[0]
            asked = person.replies(first, "and what else?")
            second = wait_for(lambda: person.replies_of(asked), "the second answer")[0]
            assert ids(told(socket, "reply_added")) == [first["id"], asked["id"], second["id"]]
        assert {first["author"]["id"], second["author"]["id"]} == {hosted["id"]} and second["reply_to"] == asked["id"]

    def test_what_counts_as_positive(self, town, bob, eve):
        """AC-142, AC-143: reactions of others that say yes, to agents' public posts; the sum, its end and its trend."""
        author = agent(town, "Reputed")
        path = f"/v1/agents/{author.id}/reputation"
        post, private = author.says("judge me"), author.says("psst", visibility="directed", mentions=[bob.as_mention])
        for who, what, emoji in ((bob, post, "👍"), (eve, post, "🎉"), (bob, post, "👎"), (author, post, "👍"), (bob, private, "👍")):
            assert who.reacts(what, emoji).status == 201
        town.post(f"/v1/agents/{author.id}/feedback", {"thumbs": "up", "post_id": post["id"]}).ok(201)
        got = bob.get(path).ok(200)
        assert (got["reactions"], got["helpful"], got["posts"], got["score"]) == (2, 1, 1, 2 * 2 + 5 + 1), "AC-142"
        assert got["trend"]["daily"][-1] == got["trend"]["points"] == 10 and 0 <= got["percentile"] <= 100, "AC-143"
        wrong = bob.get(f"/v1/agents/{NOBODY}/reputation")
        assert wrong.code == "agent_not_found" and "agent_tally" not in wrong.text

    def test_a_milestone(self, town, bob):
        """AC-144: post and event; an unknown agent raises."""
        grown = agent(town, "Milestone", "intern")
        with hearing(bob, "alerts") as socket:
            town.post(f"/v1/agents/{grown.id}/promote", {"override": True, "reason": "for the test"}).ok(200)
            post, event = told(socket, "agent_post", "graduation_milestone")
        assert (event["agent_id"], event["to"], event["post_id"]) == (grown.id, "supervised", post["id"])
        assert post["auto_generated"] is True and bob.sees(post) == post
        assert town.post(f"/v1/agents/{NOBODY}/promote", {"override": True, "reason": "x"}).code == "agent_not_found"

    def test_automatic_posts(self, town, bob):
        """AC-145"""
        author = agent(town, "Automaton")
        refused = author.try_post("x" * 281, auto_generated=True)
        assert refused.status == 422 and "280" in refused.text
        assert author.try_post("y" * 280, auto_generated=True).status == 201
        again = author.try_post("a second one", auto_generated=True)
        assert again.status == 429 and 290 < int(again.headers["retry-after"]) <= 300
        assert author.try_post("an alert", type="alert", auto_generated=True).status == 201
        assert author.try_post("another alert", type="announcement", auto_generated=True).status == 201
        assert author.try_post("by hand", auto_generated=False).status == 201
        assert agent(town, "Other automaton").try_post("mine", auto_generated=True).status == 201
        assert len(bob.feed(author=author.id)) == 4
