"""Direct messages and blocks over real sockets: delivered to the two alone, by every door (AC-91 to AC-98)."""
import pytest

from support.harness import Stream, wait_for


@pytest.fixture
def bot(server):
    """An external agent with a token: (its object, a client that is the agent)."""
    return agent_of(server, "Bot", "supervised")


def agent_of(server, name, maturity):
    agent = server.agent(name, maturity=maturity, kind="external")
    return agent, server.client(server.post(f"/v1/agents/{agent['id']}/tokens").ok(201)["token"])


def send(sender, content="hello", want=201, **to):
    reply = sender.post("/v1/direct-messages", {"content": content, **to})
    assert reply.status == want, reply.text
    return reply.body


def inbox(client, query=""):
    return client.get("/v1/direct-messages" + query).ok(200)


def events_of(socket, type="direct_message"):
    return [m["event"]["data"] for m in socket.drain() if m["type"] == "event" and m["event"]["type"] == type]


def sent_one(client):
    return inbox(client, "?sent=true&limit=1")["items"][0]


class TestSending:
    def test_record_and_inbox(self, server, bot):
        """AC-91, AC-92: between two agents, and from a human to one."""
        agent, client = bot
        other, other_client = agent_of(server, "Friend", "intern")
        user = server.second_user()
        made = send(client, "over to you", to_agent_id=other["id"])
        assert made["from"] == {"kind": "agent", "id": agent["id"], "name": "Bot"}
        assert made["to"] == {"kind": "agent", "id": other["id"], "name": "Friend"}
        assert (made["type"], made["content"], made["read_at"]) == ("note", "over to you", None)
        from_user = send(user, "and to me", to_agent_id="friend", message_type="question")
        assert [item["id"] for item in inbox(other_client)["items"]] == [from_user["id"], made["id"]]

    def test_to_a_human(self, server, bot):
        """AC-96"""
        user = server.second_user()
        made = send(bot[1], to_user_id=user.id)
        assert made["to"]["kind"] == "human"
        got = inbox(user)
        assert [item["id"] for item in got["items"]] == [made["id"]] and got["unread"] == 1

    def test_refused(self, server, bot):
        """AC-97: a student cannot send; nobody writes to somebody who is not there."""
        user = server.second_user()
        student = agent_of(server, "Student", "student")[1]
        refused = student.post("/v1/direct-messages", {"to_user_id": user.id, "content": "hello"})
        assert (refused.status, refused.code) == (403, "governance_blocked")
        assert server.get(f"/v1/audit?limit=100").ok(200) and refused.body["audit_id"]
        assert inbox(user)["items"] == []
        for to in ({"to_agent_id": "nobody"}, {"to_user_id": bot[0]["id"]}, {"to_agent_id": user.id}):
            assert send(user, want=404, **to)["code"] == "not_found"
        gone = server.second_user()
        server.patch(f"/v1/users/{gone.id}", {"disabled": True}).ok(200)
        send(user, want=404, to_user_id=gone.id)
        viewer = server.second_user("viewer")
        send(viewer, want=403, to_agent_id="bot")

    def test_limit_is_told(self, server):
        client = agent_of(server, "Eager", "intern")[1]
        user = server.second_user()
        replies = [client.post("/v1/direct-messages", {"to_user_id": user.id, "content": str(n)}) for n in range(11)]
        assert [reply.status for reply in replies] == [201] * 10 + [429]
        assert [reply.headers["ratelimit-remaining"] for reply in replies] == [str(n) for n in range(9, -1, -1)] + ["0"]
        assert replies[-1].headers["ratelimit-limit"] == "10"
        assert 3500 < int(replies[-1].headers["retry-after"]) <= 3600
        assert len(inbox(user)["items"]) == 10


class TestBlocks:
    def test_blocked(self, server, bot):
        """AC-94: refused, and nothing reaches the one who blocked."""
        user = server.second_user()
        user.put(f"/v1/blocks/{bot[0]['id']}").ok(200)
        with user.ws() as socket:
            assert "does not accept messages from you" in send(bot[1], want=403, to_user_id=user.id)["detail"]
            assert inbox(user)["items"] == []
            assert events_of(socket) == []
            user.delete("/v1/blocks/bot").ok(204)
            send(bot[1], to_user_id=user.id)
            assert socket.until("event")[-1]["event"]["type"] == "direct_message"


class TestPrivacy:
    def test_third_parties(self, server, bot):
        """AC-93, AC-95: no list, no topic and no id gives it to anybody else, admins included."""
        agent, client = bot
        user, other, admin = server.second_user(), server.second_user(), server.second_user("admin")
        spy, spy_client = agent_of(server, "Spy", "autonomous")
        topics = ["global", "alerts", f"agent:{agent['id']}", "category:general"]
        with other.ws() as others, admin.ws() as admins, spy_client.ws() as spies, user.ws() as own:
            sockets = (others, admins, spies)
            for socket in sockets:
                for topic in topics + [f"user:{user.id}"]:
                    socket.ask({"type": "subscribe", "topics": [topic]})
            made = send(client, "for you alone", to_user_id=user.id)
            assert [message["id"] for message in events_of(own)] == [made["id"]]
            assert all(events_of(socket) == [] for socket in sockets)
        for who in (other, admin, server, spy_client):
            assert inbox(who)["items"] == []
            assert inbox(who, "?with=bot")["items"] == []
            assert who.post(f"/v1/direct-messages/{made['id']}/read").status == 404
        for who in (other, admin, server):
            assert who.delete(f"/v1/direct-messages/{made['id']}").status == 404
        assert "for you alone" not in server.get("/v1/audit?limit=100").text

    def test_catch_up(self, server, bot):
        """AC-95: neither does the history of events."""
        user, other = server.second_user(), server.second_user()
        made = send(bot[1], to_user_id=user.id)
        for who, want in ((user, [made["id"]]), (other, [])):
            with who.ws() as socket:
                socket.ask({"type": "subscribe", "topics": ["global", f"agent:{bot[0]['id']}"], "after": 0})
                socket.ask({"type": "subscribe", "topics": [f"user:{who.id}"], "after": 0})
                if want:
                    socket.until(lambda m: m.get("event", {}).get("type") == "direct_message")
                else:
                    assert events_of(socket) == []


class TestStates:
    def test_delivered_to_a_socket(self, server, bot):
        """A live connection of the recipient has it: the sender sees when."""
        user = server.second_user()
        send(bot[1], "nobody listens", to_user_id=user.id)
        with bot[1].ws() as own:
            own.drain()
            assert sent_one(bot[1])["delivered_at"] is None
        with user.ws() as socket:
            made = send(bot[1], "somebody listens", to_user_id=user.id)
            socket.until(lambda m: m.get("event", {}).get("type") == "direct_message")
            row = wait_for(lambda: sent_one(bot[1])["delivered_at"] and sent_one(bot[1]), "the time of delivery")
            assert row["id"] == made["id"] and row["delivered_at"] >= row["created_at"] and row["read_at"] is None
        assert inbox(bot[1], "?sent=true")["items"][1]["delivered_at"] is None

    def test_delivered_to_a_stream(self, server, bot):
        """An event stream is a connection too, and what an agent missed counts when it catches up."""
        user = server.second_user()
        send(user, to_agent_id="bot")
        assert sent_one(user)["delivered_at"] is None
        stream = Stream(*bot[1].open("GET", f"/v1/events?topics=agent:{bot[0]['id']}&after=0"))
        with stream:
            stream.until(lambda event: event.data.get("event", {}).get("type") == "direct_message")
            wait_for(lambda: sent_one(user)["delivered_at"], "the time of delivery")

    def test_delivered_by_the_inbox(self, server, bot):
        user = server.second_user()
        send(bot[1], to_user_id=user.id)
        inbox(user)
        wait_for(lambda: sent_one(bot[1])["delivered_at"], "the time of delivery")

    def test_read(self, server, bot):
        """AC-98: read_at is set once; the inbox has the newest first."""
        user = server.second_user()
        made = [send(bot[1], str(n), to_user_id=user.id)["id"] for n in range(7)]
        assert [item["id"] for item in user.items("/v1/direct-messages?limit=3")] == made[::-1]
        assert [item["id"] for item in user.items("/v1/direct-messages?with=bot&limit=2")] == made[::-1]
        read = user.post(f"/v1/direct-messages/{made[2]}/read").ok(200)
        assert read["read_at"] >= read["created_at"] and read["delivered_at"]
        assert user.post(f"/v1/direct-messages/{made[2]}/read").ok(200)["read_at"] == read["read_at"]
        got = inbox(user, "?unread=true")
        assert got["unread"] == 6 and made[2] not in [item["id"] for item in got["items"]]
        assert user.post("/v1/direct-messages/read", {"with": "bot"}).ok(200) == {"marked": 6}
        assert inbox(user)["unread"] == 0

    def test_own_copy(self, server, bot):
        user = server.second_user()
        made = send(user, to_agent_id="bot")["id"]
        assert user.delete(f"/v1/direct-messages/{made}").status == 204
        assert user.delete(f"/v1/direct-messages/{made}").status == 404
        assert inbox(user, "?sent=true")["items"] == []
        assert [item["id"] for item in inbox(bot[1])["items"]] == [made]

    def test_survive_a_restart(self, server, bot):
        user = server.second_user()
        made = send(bot[1], to_user_id=user.id)
        user.put(f"/v1/blocks/{bot[0]['id']}").ok(200)
        server.restart(kill=True)
        assert [item["id"] for item in inbox(user)["items"]] == [made["id"]]
        send(bot[1], want=403, to_user_id=user.id)
