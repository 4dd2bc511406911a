"""The verbs of the social layer: against a scripted server for what a real one seldom says, and against the real one."""
import json
import signal
import subprocess
import threading

import pytest

from integration.cli_support import BINARY, ESCAPES, TOKEN, Stub, environment, guild, terminal

HOSTILE = "\x1b]0;title\x07\x1b[31mred\x9b2J\u202eevil\x08end"
UUID = "0190aaaa-bbbb-7ccc-8ddd-eeeeeeeeee%02x"


@pytest.fixture
def stub():
    made = Stub()
    yield made
    made.close()


def a_post(number=1, **more):
    return {"id": UUID % number, "author": {"kind": "agent", "id": UUID % 99, "name": "Scout", "handle": "scout", "maturity": "intern",
                                            "category": "c"},
            "type": "status", "requested_type": "status", "content": f"content {number}", "visibility": "public", "channel_id": None,
            "reply_to": None, "mentions": [], "hashtags": [], "reactions": [], "reply_count": 0, "auto_generated": False, "redacted": [],
            "created_at": "2026-11-22T20:15:02.000123Z", **more}


def a_message(number=1, **more):
    return {"id": UUID % number, "from": {"kind": "agent", "id": UUID % 2, "name": "Scout"},
            "to": {"kind": "human", "id": UUID % 3, "name": "ada"}, "type": "note", "content": f"content {number}",
            "created_at": "2026-11-22T20:15:02.000123Z", "delivered_at": None, "read_at": None, **more}


class Cli:
    """The command line as somebody of a server."""

    def __init__(self, url, token):
        self.given = {"url": url, "token": token}

    def __call__(self, *arguments, **options):
        return guild(*arguments, **self.given, **options)

    def json(self, *arguments, **options):
        code, out, err = self(*arguments, "--json", **options)
        assert (code, err) == (0, ""), err
        return json.loads(out)


@pytest.fixture
def server(make_server):
    return make_server()


@pytest.fixture
def cli(server):
    return Cli(server.url, server.token)


class TestHelp:
    def test_every_verb_is_there(self):
        code, out, _ = guild("help")
        assert code == 0
        for words in ("post [TEXT]", "feed", "reply POST [TEXT]", "react POST EMOJI", "trending", "channel create NAME", "channel join CHANNEL",
                      "channel leave CHANNEL", "channel list", "channel members CHANNEL", "dm send WHO [TEXT]", "dm inbox", "dm read [ID]",
                      "block WHO", "block list"):
            assert f"\n  {words} " in out
        assert "--follow" in guild("help", "feed")[1] and "--remove" in guild("block", "--help")[1]

    @pytest.mark.parametrize("arguments, said", [
        (["post", ""], "the text is empty"),
        (["post", "x", "--channel", "a", "--directed-to", "b"], "not both"),
        (["reply"], "POST [TEXT] is missing"),
        (["react", "id"], "POST EMOJI is missing"),
        (["feed", "--limit", "0"], "from 1 to 10000"),
        (["feed", "--follow", "--limit", "101"], "from 1 to 100"),
        (["trending", "--hours", "169"], "from 1 to 168"),
        (["dm", "read"], "either the ID of a message or --all"),
        (["dm", "read", "x", "--all"], "either the ID of a message or --all"),
        (["block"], "WHO is missing"),
        (["block", "a", "b"], "one argument too many"),
        (["channel", "creat"], "did you mean `guild channel create`?"),
        (["post", "x", "--tpye", "alert"], "did you mean --type?"),
    ])
    def test_wrong_command_lines_are_one_line_and_two(self, arguments, said):
        code, out, err = guild(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("guild: ") and err.count("\n") == 1 and said in err


class TestLooks:
    def test_what_a_terminal_would_obey_is_left_out(self, stub):
        """T33, T34"""
        nasty = a_post(content=f"first\n{HOSTILE}", author={**a_post()["author"], "name": HOSTILE})
        stub.on("GET", "/v1/feed", value={"items": [nasty], "next_cursor": None, "has_more": False})
        stub.list("/v1/direct-messages", [a_message(content=HOSTILE)])
        stub.list("/v1/channels", [{"name": "a", "type": "general", "private": False, "member_count": 1, "display_name": HOSTILE,
                                    "description": HOSTILE}])
        stub.on("POST", f"/v1/direct-messages/{UUID % 1}/read", value=a_message(content=HOSTILE))
        for arguments in (["feed"], ["dm", "inbox"], ["channel", "list"], ["dm", "read", UUID % 1]):
            code, out, err = guild(*arguments, url=stub.url)
            assert code == 0, err
            assert not set("\x1b\x07\x9b\u202e\x08") & set(out) and "end" in out

    def test_a_post_on_a_terminal_has_colour_and_on_a_pipe_none(self, stub):
        stub.on("GET", "/v1/feed", value={"items": [a_post(type="alert", reactions=[{"emoji": "👍", "count": 2, "mine": True, "actors": []}],
                                                           reply_count=1)], "next_cursor": None, "has_more": False})
        code, out, _ = guild("feed", url=stub.url)
        assert out == (f"Scout @scout (intern)  alert\n2026-11-22 20:15:02  {UUID % 1}\n    content 1\n    👍 2  1 reply\n\n")
        with terminal("feed", url=stub.url, columns=60) as shown:
            assert shown.end() == 0
            assert ESCAPES.sub("", shown.raw.replace("\r\n", "\n")) == out and "\x1b[31malert" in shown.raw

    def test_tables_fit(self, stub):
        stub.list("/v1/direct-messages", [a_message(n, content="word " * 60) for n in range(1, 4)])
        with terminal("dm", "inbox", url=stub.url, columns=110) as shown:
            assert shown.end() == 0
            lines = shown.text.splitlines()
        assert len(lines) == 4 and max(map(len, lines)) <= 110
        assert all(UUID % n in "\n".join(lines) for n in range(1, 4)) and lines[1].endswith("…")

    @pytest.mark.parametrize("status, code, exit_code", [(403, "governance_blocked", 6), (403, "permission_denied", 4), (404, "not_found", 5),
                                                         (429, "rate_limited", 1), (401, "unauthenticated", 4)])
    def test_exit_codes(self, stub, status, code, exit_code):
        when = {"retry_after_ms": 61000} if status == 429 else {}
        stub.on("POST", "/v1/posts", status, {"status": status, "code": code, "detail": "No.", **when})
        got, out, err = guild("post", "x", url=stub.url)
        assert (got, out) == (exit_code, "") and "No." in err and ("try again in 61 s" in err) == (status == 429)

    def test_the_feed_pages_and_says_when_there_is_more(self, stub):
        stub.list("/v1/feed", [a_post(n) for n in range(1, 200)])
        code, out, _ = guild("feed", "--limit", "150", url=stub.url)
        assert code == 0 and out.count("content ") == 150
        assert [request["query"] for request in stub.seen] == ["limit=100", "limit=50&cursor=100"]


class TestPosts:
    def test_posting_from_words_and_from_input(self, cli, server):
        code, out, _ = cli("post", "two", "words", "#Tag", "--type", "alert")
        assert code == 0 and "operator  alert\n" in out and "    two words #Tag\n" in out
        assert cli.json("post", "-", stdin=b"from\ninput\n")["content"] == "from\ninput"
        assert cli.json("post", stdin="ä\n".encode())["content"] == "ä"
        code, _, err = cli("post", stdin=b"\xff")
        assert code == 2 and "UTF-8" in err
        code, _, err = cli("post", "x", "--type", "shout")
        assert code == 1 and "announcement" in err
        assert "two words" in cli("feed", "--hashtag", "tag")[1]
        assert [post["content"] for post in cli.json("feed", "--type", "alert")["items"]] == ["two words #Tag"]
        assert cli("trending")[1].splitlines()[1].split() == ["#tag", "hashtag", "1"]
        assert cli.json("trending", "--hours", "1", "--limit", "3")["items"][0]["count"] == 1

    def test_directed_and_mentions(self, cli, server):
        agent = server.agent("Scout", "intern")
        user = server.second_user("member", "Uma")
        uma = Cli(server.url, user.token)
        own = cli.json("post", "for you", "--directed-to", "scout")
        assert own["visibility"] == "directed" and own["mentions"][0]["id"] == agent["id"]
        made = cli.json("post", "for you", "--directed-to", user.id)
        assert made["visibility"] == "directed" and made["mentions"][0]["id"] == user.id
        assert [post["id"] for post in uma.json("feed")["items"]] == [made["id"]]
        named = cli.json("post", "all of you", "--mention", agent["id"], "--mention", user.id)
        assert {(one["kind"], one["id"]) for one in named["mentions"]} == {("agent", agent["id"]), ("user", user.id)}

    def test_replies_and_reactions(self, cli):
        post = cli.json("post", "hello")
        code, out, _ = cli("reply", post["id"], "an", "answer")
        assert code == 0 and "    an answer\n" in out
        assert cli("react", post["id"], "👍") == (0, "👍 1\n", "")
        assert cli("react", post["id"], "👍") == (0, "👍 1\n", "")
        assert cli.json("react", post["id"], "🎉")["items"][1]["count"] == 1
        assert "    👍 1  🎉 1  1 reply\n" in cli("feed")[1].replace("🎉 1  👍 1", "👍 1  🎉 1")
        cli("react", post["id"], "🎉", "--remove")
        assert cli("react", post["id"], "👍", "--remove") == (0, "Nobody reacts to it now.\n", "")
        assert cli("react", post["id"], "nope")[0] == 1
        assert cli("reply", UUID % 1, "x")[0] == 5

    def test_an_agents_token_and_governance(self, server):
        agent = server.agent("Stu", "student", kind="external")
        token = server.post(f"/v1/agents/{agent['id']}/tokens", {}).ok(201)["token"]
        code, _, err = guild("post", "x", url=server.url, token=token)
        assert code == 6 and "student" in err
        assert guild("feed", url=server.url, token=token)[0] == 0


class TestChannelsAndMessages:
    def test_channels(self, cli, server):
        assert cli("channel", "list") == (0, "There are no channels.\n", "")
        assert cli("channel", "create", "room", "--description", "to sit", "--type", "project")[1] == "Made channel room.\n"
        assert cli("channel", "create", "room")[1] == "There is a channel of that name: room.\n"
        uma = Cli(server.url, server.second_user("member", "Uma").token)
        assert uma("channel", "join", "room") == (0, "You belong to room.\n", "")
        assert uma.json("post", "in here", "--channel", "room")["visibility"] == "channel"
        assert len(cli.json("feed", "--channel", "room")["items"]) == 1
        rows = [line.split() for line in cli("channel", "members", "room")[1].splitlines()]
        assert {row[0] for row in rows[1:]} == {"operator", "Uma"}
        assert uma("channel", "leave", "room")[0] == 0
        assert uma("channel", "list", "--mine") == (0, "There are no channels.\n", "")
        cli("channel", "create", "secret", "--private")
        assert "secret" not in uma("channel", "list")[1] and uma("channel", "join", "secret")[0] == 5

    def test_messages_and_blocks(self, cli, server):
        user = server.second_user("member", "Uma")
        uma = Cli(server.url, user.token)
        server.agent("Scout", "intern")
        assert cli("dm", "send", "@scout", "to an agent")[0] == 0
        assert cli.json("dm", "send", user.id, "-", "--type", "question", stdin=b"to a user")["type"] == "question"
        assert cli("dm", "send", "nobody", "x")[0] == 5
        message = uma.json("dm", "inbox", "--unread")["items"][0]
        assert message["content"] == "to a user"
        code, out, _ = uma("dm", "read", message["id"])
        assert code == 0 and "operator to Uma  question" in out and "    to a user\n" in out
        assert uma("dm", "read", "--all") == (0, "0 marked as read.\n", "")
        assert uma("dm", "inbox", "--unread") == (0, "There are no messages.\n", "")
        me = server.get("/v1/me").ok(200)["id"]
        assert uma("block", me)[0] == 0
        assert cli("dm", "send", user.id, "x")[0] in (4, 6)
        assert "operator" in uma("block", "list")[1]
        assert uma("block", me, "--remove")[0] == 0
        assert uma("block", "list") == (0, "You block nobody.\n", "")


class Follower:
    """`guild feed --follow` with its lines as they come."""

    def __init__(self, server, *arguments, token=None):
        env = environment(GUILD_URL=server.url, GUILD_TOKEN=token or server.token)
        self.process = subprocess.Popen([BINARY, "feed", "--follow", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
        self.lines, self.changed = [], threading.Condition()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line.decode())
                self.changed.notify_all()

    def wait(self, wanted, timeout=20):
        with self.changed:
            assert self.changed.wait_for(lambda: any(wanted in line for line in self.lines), timeout), (wanted, self.lines)

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        self.thread.join(20)
        error = self.process.stderr.read().decode()
        self.process.stdout.close()
        self.process.stderr.close()
        return self.process.returncode, error


@pytest.fixture
def follow(server):
    made = []

    def start(*arguments, **options):
        made.append(Follower(server, *arguments, **options))
        return made[-1]
    yield start
    for one in made:
        if one.process.poll() is None:
            one.end()


class TestFollowing:
    def test_oldest_first_then_live_and_ctrl_c_ends(self, cli, server, follow):
        for number in range(12):
            cli.json("post", f"old {number}")
        one = follow("--json")
        one.wait('"old 11"')
        cli.json("post", "new")
        one.wait('"new"')
        assert one.end() == (130, "")
        assert [json.loads(line)["content"] for line in one.lines] == [f"old {n}" for n in range(2, 12)] + ["new"]

    def test_filters_and_what_is_not_for_us(self, cli, server, follow):
        server.agent("Scout", "intern")
        user = server.second_user("member", "Uma")
        uma = Cli(server.url, user.token)
        cli.json("channel", "create", "room")
        cli.json("post", "marker #begin")
        mine = follow("--json", token=user.token)
        tagged = follow("--hashtag", "ÄÖ", "--json", "--type", "command", "--author", "me")
        room = follow("--json", "--channel", "room")
        mine.wait("marker")
        cli.json("post", "secret", "--directed-to", "scout")
        cli.json("post", "for uma", "--directed-to", user.id)
        cli.json("post", "in the room", "--channel", "room")
        room.wait("in the room")
        tag = cli.json("post", "a #äö", "--type", "task")
        tagged.wait(tag["id"])
        uma.json("post", "b #äö", "--type", "task")
        cli.json("post", "c #äö")
        cli.json("post", "d #äö", "--type", "task")
        tagged.wait("d #")
        mine.wait("d #")
        assert [json.loads(line)["content"] for line in tagged.lines] == ["a #äö", "d #äö"]
        assert [json.loads(line)["content"] for line in room.lines] == ["in the room"]
        assert [json.loads(line)["content"] for line in mine.lines] == ["marker #begin", "for uma", "in the room", "a #äö", "b #äö", "c #äö",
                                                                       "d #äö"]

    def test_a_lost_connection_misses_and_doubles_nothing(self, cli, server, follow):
        cli.json("post", "before")
        one = follow("--json")
        one.wait("before")
        server.kill9()
        server.start()
        for number in range(5):
            cli.json("post", f"after {number}")
        one.wait("after 4")
        assert [json.loads(line)["content"] for line in one.lines] == ["before"] + [f"after {n}" for n in range(5)]
        assert one.end()[0] == 130

    def test_on_a_terminal(self, cli, server):
        cli.json("post", "before")
        with terminal("feed", "--follow", url=server.url, token=server.token) as shown:
            shown.expect("before")
            server.kill9()
            shown.expect("the connection is gone; trying again")
            server.start()
            cli.json("post", f"after {HOSTILE}")
            shown.expect("after .*redevilend|after .*end")
            shown.send("\x03")
            assert shown.end() == 130
            assert "\x1b]0;" not in shown.raw and "\x9b" not in shown.raw

    def test_what_cannot_be_followed_ends_at_once(self, server):
        assert guild("feed", "--follow", "--channel", "nowhere", url=server.url, token=server.token)[0] == 5
        assert guild("feed", "--follow", url=server.url, token=TOKEN)[0] == 4
        assert guild("feed", "--follow", url="http://127.0.0.1:1")[0] == 3
