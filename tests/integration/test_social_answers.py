"""Agents that answer by themselves: mentions, replies to what they wrote, direct messages; loops that die out; answers owed over a crash."""
import pytest
from support.harness import wait_for

QUIET_S = 1.0  # how long nothing more may come where nothing more must come


def make(server, name, maturity="autonomous", **members):
    return server.post("/v1/agents", {"name": name, "handle": name.lower(), "maturity": maturity, "auto_reply": True, **members}).ok()


def replies(server, post):
    return server.get(f"/v1/posts/{post['id']}/replies").ok()["items"]


def inbox(client, other):
    """Messages of both directions, oldest first."""
    return server_items(client, f"/v1/direct-messages?with={other}")[::-1]


def server_items(client, path):
    return client.get(path).ok()["items"]


def quiet(look):
    """The value of look() once it has not changed for a while."""
    import time
    value, since = look(), time.monotonic()
    while time.monotonic() - since < QUIET_S:
        time.sleep(0.05)
        now = look()
        if now != value:
            value, since = now, time.monotonic()
    return value


class TestMentions:
    def test_a_mentioned_agent_replies_through_a_governed_run(self, server):
        """AC-139: the answer is a reply of the agent, made by an execution, and everybody hears of it."""
        agent = make(server, "Ada")
        with server.ws() as listener:
            listener.ask({"type": "subscribe", "topics": ["global"]})
            post = server.post("/v1/posts", {"content": "hello @ada, how are you?"}).ok()
            answer = wait_for(lambda: replies(server, post), "the answer")[0]
            assert answer["author"]["id"] == agent["id"] and answer["reply_to"] == post["id"]
            assert answer["auto_generated"] and answer["requested_type"] == "response"
            told = listener.until(lambda m: m["type"] == "event" and m["event"]["type"] == "reply_added")[-1]
            assert told["event"]["data"]["id"] == answer["id"]
        runs = [e for e in server.items(f"/v1/executions?agent={agent['id']}")]
        assert [(r["status"], r["triggered_by"]) for r in runs] == [("completed", "mention")]
        assert server.get(f"/v1/posts/{post['id']}").ok()["reply_count"] == 1

    def test_a_human_reply_to_an_agents_words_is_answered(self, server):
        """AC-139"""
        make(server, "Ada")
        post = server.post("/v1/posts", {"content": "hello @ada"}).ok()
        first = wait_for(lambda: replies(server, post), "the answer")[0]
        asked = server.post(f"/v1/posts/{first['id']}/replies", {"content": "and what can you do?"}).ok()
        second = wait_for(lambda: replies(server, asked), "the second answer")
        assert [r["author"]["kind"] for r in second] == ["agent"]

    @pytest.mark.parametrize("members", [{"auto_reply": False}, {"kind": "external"}])
    def test_others_do_not(self, server, members):
        make(server, "Ada", **members)
        post = server.post("/v1/posts", {"content": "hello @ada"}).ok()
        assert quiet(lambda: replies(server, post)) == []

    def test_a_student_is_refused_and_owes_nothing(self, server):
        """AC-129: the run is refused, audited, and not tried again."""
        agent = make(server, "Ada", maturity="student")
        post = server.post("/v1/posts", {"content": "hello @ada"}).ok()
        wait_for(lambda: [e for e in server.items(f"/v1/audit?agent={agent['id']}") if e["outcome"] == "failed"], "the refusal")
        assert quiet(lambda: replies(server, post)) == []
        server.restart()
        assert quiet(lambda: replies(server, post)) == []


class TestMessages:
    def test_a_direct_message_is_answered_with_what_was_said_before(self, server_with_provider, provider):
        server = server_with_provider
        agent = make(server, "Ada")
        for turn in range(2):
            server.post("/v1/direct-messages", {"to_agent_id": agent["id"], "content": f"question {turn}", "message_type": "question"}).ok()
            wait_for(lambda: len(inbox(server, agent["id"])) == 2 * turn + 2, "the answer")
        kinds = [(m["from"]["kind"], m["type"]) for m in inbox(server, agent["id"])]
        assert kinds == [("human", "question"), ("agent", "response")] * 2
        asked = [m["content"] for m in provider.log()[-1]["body"]["messages"] if m["role"] != "system"]
        assert asked[0] == "question 0" and asked[-1] == "question 1" and len(asked) == 3


class TestLoops:
    def test_two_agents_greeting_each_other_stop_by_themselves(self, server_with_provider, provider):
        """T8: three automatic answers from one first cause, and no more."""
        server = server_with_provider
        ada, bob = make(server, "Ada"), make(server, "Bob")
        provider.script(*[{"deltas": [f"hello @{name}!"]} for name in ("bob", "ada") * 5])
        post = server.post("/v1/posts", {"content": "@ada say hello to Bob"}).ok()

        def thread():
            authors, last = [], post
            while (under := replies(server, last)):
                assert len(under) == 1
                authors.append(under[0]["author"]["id"])
                last = under[0]
            return authors
        wait_for(lambda: len(thread()) >= 3, "three answers")
        assert quiet(thread) == [ada["id"], bob["id"], ada["id"]]

    def test_six_answers_an_hour_for_one_pair(self, server):
        agent = make(server, "Ada")
        for i in range(8):
            server.post("/v1/direct-messages", {"to_agent_id": agent["id"], "content": f"hello {i}"}).ok()
        wait_for(lambda: len(inbox(server, agent["id"])) >= 14, "six answers")
        assert len(quiet(lambda: inbox(server, agent["id"]))) == 14


class TestCrash:
    def test_an_answer_that_is_owed_comes_once_after_a_crash(self, make_server_with_provider, provider):
        server = make_server_with_provider()
        make(server, "Ada")
        provider.script({"hang": True})
        post = server.post("/v1/posts", {"content": "hello @ada"}).ok()
        wait_for(lambda: provider.log(), "the question to the provider")
        provider.reset()
        server.restart(kill=True)
        wait_for(lambda: replies(server, post), "the answer")
        assert len(quiet(lambda: replies(server, post))) == 1
        server.restart(kill=True)
        assert len(quiet(lambda: replies(server, post))) == 1
