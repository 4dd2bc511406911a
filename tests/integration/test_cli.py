"""The command line: against a scripted server for what a real one seldom says, and against the real one for every verb."""
import json
import os
import pathlib
import re
import signal
import stat
import subprocess
import threading
import time

import pytest

from integration.cli_support import BINARY, ESCAPES, TOKEN, Stub, environment, guild, terminal

UUID = "0190aaaa-bbbb-7ccc-8ddd-eeeeeeeeee%02x"
HOSTILE = "\x1b]0;title\x07\x1b[31mred\x9b2J\u202eevil\x08end"


@pytest.fixture
def stub():
    made = Stub()
    yield made
    made.close()


def agent(number, **more):
    return {"id": UUID % number, "name": f"Agent {number}", "handle": f"agent-{number}", "description": "d", "category": "c",
            "maturity": "intern", "lifecycle": "active", "confidence": 0.6, "kind": "hosted",
            "model": {"provider": None, "model": None}, **more}


# ---- help, options ----


def test_help_names_every_verb():
    code, out, err = guild("help")
    assert (code, err) == (0, "")
    for words in ("serve", "chat [MESSAGE]", "status", "agent add NAME", "agent promote AGENT", "audit verify", "execution cancel ID",
                  "session show ID", "token revoke ID", "user add NAME", "key add PROVIDER", "config check [FILE]", "version"):
        assert f"\n  {words} " in out
    assert max(len(line) for line in out.splitlines()) <= 100


def test_help_of_one_verb_is_the_same_by_both_ways():
    assert guild("help", "agent", "add") == guild("agent", "add", "--help")
    code, out, _ = guild("help", "agent", "add")
    assert code == 0 and "--maturity LEVEL" in out and "--token-file FILE" in out
    assert "agent promote" in guild("help", "agent")[1]


def test_exit_codes_are_documented():
    code, out, _ = guild("help", "exit-codes")
    assert code == 0
    assert [int(line.split()[0]) for line in out.splitlines()[1:]] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 130]


def test_version():
    assert re.fullmatch(r"guild \d+\.\d+\.\d+\n", guild("version")[1])
    assert guild("--version") == guild("version")


@pytest.mark.parametrize("arguments, said", [
    (["chta"], "did you mean `guild chat`?"),
    (["agent", "shwo"], "did you mean `guild agent show`?"),
    (["zzzzzzzzz"], "`guild help` lists all"),
    (["agent", "list", "--limt", "3"], "did you mean --limit?"),
    (["agent", "list", "--qqqqqqqqq"], "see `guild help agent list`"),
    (["agent", "list", "-l"], "options start with two dashes"),
    (["agent", "list", "--limit"], "--limit needs a value"),
    (["agent", "list", "--limit", "0"], "--limit '0' has to be a whole number from 1 to 10000"),
    (["agent", "list", "--json=yes"], "--json takes no value"),
    (["agent", "list", "more"], "'more' is one argument too many"),
    (["agent", "add"], "NAME is missing"),
    (["agent", "add", "A", "--model", "gpt"], "has to be PROVIDER/MODEL"),
    (["agent", "promote", "a", "--override"], "--reason is missing"),
    (["agent", "demote", "a"], "--reason is missing"),
    (["feedback", "give", "a"], "nothing is said"),
    (["user", "add", "a"], "--role is missing"),
    (["token", "add", "--expires-in", "soon"], "has to be a time like 90s"),
    (["token", "add", "--expires-in", "9999999d"], "has to be a time like 90s"),
    (["status", "--url", "ftp://x"], "is no URL of a server"),
    (["status", "--url", "http://u:p@x"], "is no URL of a server"),
    (["serve", "--set", "x"], "has to be SECTION.KEY=VALUE"),
    (["agent", "show", b"\xff"], "argument 3 is not valid UTF-8"),
    (["chat", ""], "the message is empty"),
    (["chat", "--session", "x" * 300, "hello"], "--session is longer than 255 bytes"),
    (["help", "nothing"], "there is no verb 'nothing'"),
])
def test_wrong_command_lines_are_one_line_and_two(arguments, said):
    code, out, err = guild(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("guild: ") and err.count("\n") == 1 and said in err


def test_a_group_alone_shows_its_verbs():
    code, out, err = guild("agent")
    assert (code, out) == (2, "") and "agent promote AGENT" in err


# ---- settings ----


def test_config_show_with_origin(tmp_path):
    file = tmp_path / "guild.conf"
    file.write_text("[log]\nlevel = warn\n")
    code, out, err = guild("config", "show", "--origin", "--config", str(file), "--set", "http.rate=7", GUILD_HTTP_RATE_BURST="8",
                           GUILD_DATA="/d")
    assert (code, err) == (0, "")
    assert f"# from {file}:2\nlevel = warn\n" in out
    assert "# from a flag\nrate = 7\n" in out
    assert "# from the environment\nrate_burst = 8\n" in out
    assert "# from the environment\ndata = /d\n" in out
    assert "# from the default\nlisten = 127.0.0.1:8420\n" in out


def test_config_show_is_a_config_file(tmp_path):
    file = tmp_path / "shown.conf"
    file.write_text(guild("config", "show", "--set", "server.drain=1.5")[1])
    assert guild("config", "check", str(file)) == (0, f"{file}: fine\n", "")
    assert "drain = 1.5\n" in guild("config", "show", "--config", str(file))[1]


@pytest.mark.parametrize("verb", [["config", "check"], ["serve", "--config"]])
def test_a_wrong_file_names_line_and_nearest_key(tmp_path, verb):
    file = tmp_path / "guild.conf"
    file.write_text("[server]\n\nlisen = x\n")
    code, out, err = guild(*verb, str(file))
    assert (code, out) == (8, "")
    assert err == f"guild: {file}:3: unknown key 'lisen' in [server]; did you mean 'listen'?\n"


def test_serve_refuses_what_it_must():
    code, _, err = guild("serve", "--listen", "0.0.0.0:0")
    assert code == 8 and "--insecure-listen" in err and err.count("\n") == 1
    code, _, err = guild("serve", "--listen", "nowhere")
    assert code == 8 and "server.listen = 'nowhere'" in err
    code, _, err = guild("serve", GUILD_SERVER_REDAERS="1")
    assert code == 8 and "did you mean 'readers'?" in err


# ---- where and who ----


def test_no_server():
    code, out, err = guild("agent", "list", url="http://127.0.0.1:1")
    assert (code, out) == (3, "")
    assert "cannot talk to http://127.0.0.1:1" in err and "guild serve" in err and err.count("\n") == 1
    assert guild("chat", "hello", url="http://127.0.0.1:1")[0] == 3


def test_the_token_comes_from_option_environment_or_data(stub, tmp_path):
    stub.list("/v1/agents", [])
    (tmp_path / "var").mkdir()
    for name in ("option", "var/admin.token"):
        (tmp_path / name).write_text(f"guild_{name.replace('/', '_')}\n")
        (tmp_path / name).chmod(0o600)
    used = lambda: stub.seen[-1]["headers"].get("Authorization")
    assert guild("agent", "list", "--token-file", "option", url=stub.url, token="guild_env", cwd=tmp_path)[2] == ""
    assert used() == "Bearer guild_option"
    guild("agent", "list", url=stub.url, token="guild_env", cwd=tmp_path)
    assert used() == "Bearer guild_env"
    guild("agent", "list", url=stub.url, token=None, cwd=tmp_path)
    assert used() == "Bearer guild_var_admin.token"
    guild("agent", "list", url=stub.url, token=None, cwd="/", GUILD_DATA=str(tmp_path / "var"))
    assert used() == "Bearer guild_var_admin.token"
    guild("agent", "list", url=stub.url, token=None, cwd="/")
    assert used() is None


def test_a_token_file_that_others_can_read_is_warned_of(stub, tmp_path):
    """T34"""
    stub.list("/v1/agents", [])
    file = tmp_path / "token"
    file.write_text("guild_x\n")
    file.chmod(0o644)
    code, _, err = guild("agent", "list", "--token-file", str(file), url=stub.url)
    assert code == 0 and "warning" in err and f"chmod 600 {file}" in err
    file.chmod(0o600)
    assert guild("agent", "list", "--token-file", str(file), url=stub.url)[2] == ""


@pytest.mark.parametrize("content", [b"", b"two words", b"a\nX-Evil: 1", b"x" * 600])
def test_a_file_that_holds_no_token_is_refused(stub, tmp_path, content):
    file = tmp_path / "token"
    file.write_bytes(content)
    file.chmod(0o600)
    code, _, err = guild("agent", "list", "--token-file", str(file), url=stub.url)
    assert code == 4 and "holds no token" in err and stub.seen == []
    assert guild("status", url=stub.url, token="a b")[0] == 4
    assert guild("status", "--token-file", str(tmp_path / "none"), url=stub.url)[0] == 4


def test_an_unencrypted_way_is_warned_of():
    code, _, err = guild("status", url="http://guild.invalid:1")
    assert code == 3 and "unencrypted" in err
    assert "unencrypted" not in guild("status", url="http://127.0.0.1:1")[2]
    assert "unencrypted" not in guild("status", url="http://guild.invalid:1", token=None, cwd="/")[2]


def test_a_proxy_is_not_asked_about_this_machine(stub):
    stub.list("/v1/agents", [])
    assert guild("agent", "list", url=stub.url, http_proxy="http://127.0.0.1:1", all_proxy="http://127.0.0.1:1")[0] == 0


# ---- problems ----


@pytest.mark.parametrize("status, code, wanted", [
    (400, "malformed", 1), (401, "unauthenticated", 4), (403, "permission_denied", 4), (403, "governance_blocked", 6),
    (403, "agent_not_active", 6), (402, "budget_exceeded", 6), (404, "agent_not_found", 5), (404, "session_not_found", 5),
    (404, "not_found", 5), (409, "conflict", 1), (422, "invalid", 1), (500, "internal", 1), (503, "store_unavailable", 1),
])
def test_problems_have_exit_codes(stub, status, code, wanted):
    stub.on("GET", "/v1/agents/x", status, {"status": status, "code": code, "detail": "So it is.", "title": "T"})
    got, out, err = guild("agent", "show", "x", url=stub.url)
    assert (got, out) == (wanted, "")
    assert err.startswith("guild: So it is.") and err.endswith(f"({code})\n") and err.count("\n") == 1


@pytest.mark.parametrize("status, code, wanted", [
    (403, "governance_blocked", 6), (502, "provider_failed", 7), (503, "no_llm_provider", 7), (504, "timed_out", 7),
    (401, "unauthenticated", 4), (404, "agent_not_found", 5),
])
def test_chat_says_why_it_did_not_run(stub, status, code, wanted):
    stub.on("POST", "/v1/chat", status, {"status": status, "code": code, "detail": "So it is."})
    for more in ([], ["--no-stream"]):
        got, out, err = guild("chat", "hello", *more, url=stub.url)
        assert (got, out) == (wanted, "") and "So it is." in err and f"({code})" in err


def test_a_problem_names_the_field_and_the_time_to_wait(stub):
    stub.on("POST", "/v1/agents", 422, {"code": "invalid", "detail": "A value is not valid.",
                                        "errors": [{"pointer": "/handle", "detail": "has to be [a-z0-9_-]{1,64}"}]})
    assert guild("agent", "add", "A", "--handle", "B!", url=stub.url) == (
        1, "", "guild: /handle: has to be [a-z0-9_-]{1,64} (invalid)\n")
    stub.on("GET", "/v1/agents", 429, {"code": "rate_limited", "detail": "Too many requests.", "retry_after_ms": 1500})
    assert "try again in 2 s" in guild("agent", "list", url=stub.url)[2]


def test_json_prints_the_problem_too(stub):
    problem = {"code": "permission_denied", "detail": "No.", "status": 403}
    stub.on("GET", "/v1/agents/x", 403, problem)
    code, out, err = guild("agent", "show", "x", "--json", url=stub.url)
    assert code == 4 and json.loads(out) == problem and "No." in err


@pytest.mark.parametrize("status, body, wanted", [(200, b"<html>", 1), (502, b"<html>bad gateway", 1), (404, b"", 5), (401, b"x", 4)])
def test_something_else_than_a_guild_server_answers(stub, status, body, wanted):
    stub.on("GET", "/v1/agents/x", status, body, "text/html")
    code, _, err = guild("agent", "show", "x", url=stub.url)
    assert code == wanted and "is the URL right?" in err and err.count("\n") == 1


# ---- tables ----


def test_a_list_is_paged_up_to_the_limit(stub):
    stub.list("/v1/agents", [agent(i) for i in range(250)])
    code, out, _ = guild("agent", "list", "--limit", "230", url=stub.url)
    assert code == 0 and len(out.splitlines()) == 231 and "agent-229 " in out and "agent-230 " not in out
    assert [request["query"] for request in stub.seen] == ["limit=100", "limit=100&cursor=100", "limit=30&cursor=200"]


def test_json_is_the_servers_page(stub):
    stub.list("/v1/agents", [agent(i) for i in range(3)])
    code, out, _ = guild("agent", "list", "--limit", "2", "--json", url=stub.url)
    assert code == 0 and json.loads(out) == {"items": [agent(0), agent(1)], "next_cursor": "2", "has_more": True}
    assert json.loads(guild("agent", "list", "--json", "--cursor", "2", url=stub.url)[1])["items"] == [agent(2)]


def test_an_empty_list_is_said_so(stub):
    stub.list("/v1/agents", [])
    assert guild("agent", "list", url=stub.url)[:2] == (0, "There are no agents.\n")


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_table_fits_the_terminal(stub, columns):
    stub.list("/v1/agents", [agent(1, name="Ünïcödé " * 20, category="日本語のカテゴリー" * 5), agent(2)])
    with terminal("agent", "list", url=stub.url, columns=columns) as screen:
        assert screen.end() == 0
        lines = screen.text.splitlines()
    assert len(lines) == 3
    wide = lambda line: sum(2 if c > "\u2e80" else 1 for c in line)
    assert max(wide(line) for line in lines) <= columns
    assert "…" in lines[1] and "agent-1 " in lines[1]
    assert lines[0].index("NAME") == lines[2].index("Agen")


def test_nothing_is_cut_without_a_terminal(stub):
    stub.list("/v1/agents", [agent(1, name="long " * 60)])
    out = guild("agent", "list", url=stub.url)[1]
    assert "long " * 59 in out and "…" not in out and "\x1b" not in out


def test_colour_is_for_terminals_that_want_it(stub):
    stub.list("/v1/agents", [agent(1)])
    for env, wanted in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        with terminal("agent", "list", url=stub.url, **env) as screen:
            assert screen.end() == 0
            assert ("\x1b[" in screen.raw) == wanted


def test_what_a_terminal_would_obey_is_left_out(stub):
    """T34"""
    stub.list("/v1/agents", [agent(1, name=HOSTILE, category="a\nb\tc")])
    stub.on("GET", "/v1/agents/x", 200, agent(1, description=HOSTILE))
    stub.on("GET", "/v1/agents/y", 404, {"code": HOSTILE, "detail": HOSTILE})
    stub.chat("safe ", HOSTILE)
    bad = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")
    for arguments in (["agent", "list"], ["agent", "show", "x"], ["agent", "show", "y"], ["chat", "hello"]):
        _, out, err = guild(*arguments, url=stub.url)
        assert not bad.search(out + err)
        assert "red" in out + err and "end" in out + err
        with terminal(*arguments, url=stub.url) as screen:
            screen.end()
            assert not bad.search(ESCAPES.sub("", screen.raw).replace("\r", "")), arguments
            assert "\x1b[31mred" not in screen.raw and "\x1b]" not in screen.raw
    assert "a b c" in guild("agent", "list", url=stub.url)[1]


def test_show_prints_every_member(stub):
    stub.on("GET", "/v1/agents/agent-1", 200, agent(1, system_prompt="one\ntwo", capabilities=["a", "b"]))
    out = guild("agent", "show", "agent-1", url=stub.url)[1]
    for line in ("name            Agent 1", "model.provider  -", 'capabilities    ["a","b"]', "system_prompt   one", " " * 16 + "two"):
        assert line in out.splitlines()


# ---- what is sent ----


@pytest.mark.parametrize("arguments, method, path, body", [
    (["agent", "add", "My Agent", "--handle", "mine", "--maturity", "intern", "--category", "c", "--description", "d",
      "--system-prompt", "p", "--model", "openai/a/b", "--kind", "hosted"], "POST", "/v1/agents",
     {"name": "My Agent", "handle": "mine", "maturity": "intern", "category": "c", "description": "d", "system_prompt": "p",
      "kind": "hosted", "model": {"provider": "openai", "model": "a/b"}}),
    (["agent", "promote", "a/b"], "POST", "/v1/agents/a%2Fb/promote", {}),
    (["agent", "promote", "a/b", "--override", "--reason", "did well"], "POST", "/v1/agents/a%2Fb/promote",
     {"reason": "did well", "override": True}),
    (["agent", "demote", "a", "--reason=r"], "POST", "/v1/agents/a/demote", {"reason": "r"}),
    (["agent", "demote", "a", "--reason=r", "--incident"], "POST", "/v1/agents/a/demote", {"reason": "r", "incident": True}),
    (["feedback", "give", "a", "--thumbs", "down", "--rating", "2", "--correction", "no", "--post", "p"], "POST", "/v1/agents/a/feedback",
     {"thumbs": "down", "rating": 2, "correction": "no", "post_id": "p"}),
    (["feedback", "accept", "f", "--note", "n"], "POST", "/v1/feedback/f/accept", {"note": "n"}),
    (["feedback", "reject", "f"], "POST", "/v1/feedback/f/reject", {}),
    (["agent", "pause", "a"], "POST", "/v1/agents/a/pause", None),
    (["agent", "resume", "a"], "POST", "/v1/agents/a/resume", None),
    (["agent", "stop", "a"], "POST", "/v1/agents/a/stop", None),
    (["agent", "archive", "--", "-a"], "POST", "/v1/agents/-a/archive", None),
    (["execution", "cancel", "e"], "POST", "/v1/executions/e/cancel", None),
    (["token", "add", "--label", "l", "--expires-in", "2h"], "POST", "/v1/tokens", {"label": "l", "expires_in_s": 7200}),
    (["token", "revoke", "t"], "DELETE", "/v1/tokens/t", None),
    (["user", "add", "ada", "--role", "member"], "POST", "/v1/users", {"name": "ada", "role": "member"}),
    (["key", "remove", "k"], "DELETE", "/v1/keys/k", None),
])
def test_verbs_send(stub, arguments, method, path, body):
    stub.on(method, path, 204 if method == "DELETE" else 201, b"" if method == "DELETE" else agent(1))
    code, _, err = guild(*arguments, url=stub.url)
    assert code == 0, err
    request = stub.seen[-1]
    assert (request["method"], request["path"], request["body"]) == (method, path, body)
    assert request["headers"]["Authorization"] == f"Bearer {TOKEN}"


def test_a_user_is_found_by_name_or_id(stub):
    stub.list("/v1/users", [{"id": UUID % number, "name": f"user {number}"} for number in range(130)])
    stub.on("POST", "/v1/tokens", 201, {"id": "t", "token": "guild_new"})
    for given in ("user 120", UUID % 120):
        assert guild("token", "add", "--user", given, url=stub.url)[1] == "guild_new\n"
        assert stub.seen[-1]["body"] == {"user_id": UUID % 120}
    assert guild("token", "add", "--user", "nobody", url=stub.url)[0] == 5


def test_filters_are_sent(stub):
    stub.list("/v1/executions", [])
    stub.list("/v1/audit", [])
    guild("execution", "list", "--agent", "a b", "--status", "failed", "--refused", url=stub.url)
    assert stub.seen[-1]["query"] == "agent=a%20b&status=failed&include=refused&limit=50"
    guild("audit", "list", "--agent", "a", "--action", "chat", "--outcome", "failed", "--limit", "5", url=stub.url)
    assert stub.seen[-1]["query"] == "agent=a&action=chat&outcome=failed&limit=5"


# ---- keys ----


def test_a_key_is_read_from_standard_input(stub):
    """T34"""
    stub.on("POST", "/v1/keys", 201, {"id": "k", "provider": "openai"})
    code, out, _ = guild("key", "add", "openai", "--base-url", "https://h/v1", url=stub.url, stdin=b"sk-secret\n")
    assert code == 0 and "sk-secret" not in out
    assert stub.seen[-1]["body"] == {"provider": "openai", "key": "sk-secret", "base_url": "https://h/v1"}
    code, _, err = guild("key", "add", "openai", url=stub.url, stdin=b"\n")
    assert code == 2 and "no key came" in err
    assert guild("key", "add", "openai", url=stub.url, stdin=b"x" * 5000)[0] == 2
    assert guild("key", "add", "openai", "sk-secret", url=stub.url)[0] == 2


def test_a_key_is_not_echoed(stub):
    """T34"""
    stub.on("POST", "/v1/keys", 201, {"id": "k", "provider": "openai"})
    with terminal("key", "add", "openai", url=stub.url) as screen:
        screen.expect(r"Key for openai \(not shown\): ")
        screen.send("sk-secret\n")
        assert screen.end() == 0
        assert "sk-secret" not in screen.raw
    assert stub.seen[-1]["body"]["key"] == "sk-secret"


def test_the_prompt_for_a_key_can_be_left(stub):
    with terminal("key", "add", "openai", url=stub.url) as screen:
        screen.expect(r"not shown\): ")
        screen.send("\x03")
        assert screen.end() == 130
    assert stub.seen == []


# ---- audit ----


def test_audit_verify_says_what_the_server_found(stub):
    head = {"seq": 7, "hash": "ab" * 32}
    stub.on("GET", "/v1/audit/verify", 200, {"entries": 7, "ok": True, "head": head})
    code, out, _ = guild("audit", "verify", url=stub.url)
    assert code == 0 and "7 entries" in out and head["hash"] in out
    bad = {"entries": 7, "ok": False, "first_bad": 3, "reason": "chain is broken", "head": head}
    stub.on("GET", "/v1/audit/verify", 200, bad)
    code, out, err = guild("audit", "verify", url=stub.url)
    assert (code, out) == (1, "") and "entry 3: chain is broken" in err
    code, out, _ = guild("audit", "verify", "--json", url=stub.url)
    assert code == 1 and json.loads(out) == bad


def test_audit_verify_without_a_store(tmp_path):
    code, out, err = guild("audit", "verify", "--data", str(tmp_path))
    assert code == 1 and out == "" and str(tmp_path) in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# ---- chat ----


def test_chat_prints_the_answer_and_nothing_else(stub):
    stub.chat("Hello", ", ", "wörld")
    assert guild("chat", "say", "hello", "--agent", "a", "--session", "s", url=stub.url) == (0, "Hello, wörld\n", "")
    assert stub.seen[-1]["body"] == {"message": "say hello", "agent": "a", "session_id": "s", "stream": True}


def test_deltas_appear_as_they_come(stub):
    hold = threading.Event()
    stub.chat("first ", wait=hold)
    with terminal("chat", "hello", url=stub.url) as screen:
        screen.expect("first ")
        assert screen.status is None
        hold.set()
        assert screen.end() == 0


def test_a_message_from_standard_input(stub):
    stub.chat("x")
    for arguments in (["chat"], ["chat", "-"]):
        assert guild(*arguments, url=stub.url, stdin="two\nlines ü\n".encode())[0] == 0
        assert stub.seen[-1]["body"]["message"] == "two\nlines ü"
    assert guild("chat", url=stub.url, stdin=b"\xff")[0] == 2
    assert guild("chat", url=stub.url, stdin=b"x" * 262145)[0] == 2


def test_no_stream_prints_the_result(stub):
    stub.on("POST", "/v1/chat", 200, {"success": True, "response": "All of it.", "session_id": "s", "execution_id": "e"})
    assert guild("chat", "hello", "--no-stream", url=stub.url) == (0, "All of it.\n", "")
    assert stub.seen[-1]["body"]["stream"] is False
    out = guild("chat", "hello", "--no-stream", "--json", url=stub.url)[1]
    assert json.loads(out)["response"] == "All of it."


def test_json_prints_each_event_as_a_line(stub):
    stub.chat("a", "b")
    code, out, _ = guild("chat", "hello", "--json", url=stub.url)
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [event["event"] for event in events] == ["streaming:start", "streaming:update", "streaming:update", "streaming:complete"]
    assert events[1]["data"]["delta"] == "a"


@pytest.mark.parametrize("end, wanted", [("provider_failed", 7), ("timed_out", 7), ("interrupted", 7), ("cancelled", 7)])
def test_an_error_in_the_stream(stub, end, wanted):
    stub.chat("part", end=end)
    code, out, err = guild("chat", "hello", url=stub.url)
    assert (code, out) == (wanted, "part\n") and err == f"guild: It was {end}. ({end})\n"


def test_a_stream_that_is_cut_is_no_answer(stub):
    stub.chat("part", end=None)
    code, out, err = guild("chat", "hello", url=stub.url)
    assert (code, out) == (7, "part\n") and "guild execution show e-1" in err


def test_a_conversation_keeps_its_session(stub):
    stub.chat("Hello.", session="s-77")
    with terminal("chat", "--agent", "a", url=stub.url) as screen:
        screen.expect("> ")
        screen.send("one\n")
        screen.expect(r"Hello\.\n> ")
        screen.send("\n")
        screen.expect("> ")
        screen.send("two\n")
        screen.expect(r"Hello\.\n> ")
        screen.send("/new\n")
        screen.expect("a new session")
        screen.send("three\n")
        screen.expect(r"Hello\.\n> ")
        screen.send("\x04")
        screen.expect("guild chat --session s-77")
        assert screen.end() == 0
    bodies = [request["body"] for request in stub.seen]
    assert [(body["message"], body.get("session_id"), body["agent"]) for body in bodies] == [
        ("one", None, "a"), ("two", "s-77", "a"), ("three", None, "a")]


def test_ctrl_c_cancels_the_answer_and_stays(stub):
    hold = threading.Event()
    stub.chat("endless", wait=hold, end="cancelled")
    stub.on("POST", "/v1/executions/e-1/cancel", 202, {"id": "e-1"})
    with terminal("chat", url=stub.url) as screen:
        screen.expect("> ")
        screen.send("one\n")
        screen.expect("endless")
        screen.send("\x03")
        stub.wait_seen("POST", "/v1/executions/e-1/cancel")
        screen.expect(r"cancelled; what came so far is kept in execution e-1\n> ")
        hold.set()
        stub.chat("Fine.")
        screen.send("two\n")
        screen.expect(r"Fine\.\n> ")
        screen.send("/exit\n")
        assert screen.end() == 0


def test_ctrl_c_ends_a_single_message(stub):
    hold = threading.Event()
    stub.chat("endless", wait=hold)
    stub.on("POST", "/v1/executions/e-1/cancel", 202, {"id": "e-1"})
    process = subprocess.Popen([BINARY, "chat", "hello"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=environment(GUILD_URL=stub.url, GUILD_TOKEN=TOKEN))
    assert process.stdout.read(7) == b"endless"
    process.send_signal(signal.SIGINT)
    stub.wait_seen("POST", "/v1/executions/e-1/cancel")
    _, err = process.communicate(timeout=20)
    hold.set()
    assert process.returncode == 130 and b"kept in execution e-1" in err


def test_ctrl_c_at_the_prompt_asks_first(stub):
    with terminal("chat", url=stub.url) as screen:
        screen.expect("> ")
        screen.send("\x03")
        screen.expect("Ctrl-D or /exit ends")
        screen.expect("> ")
        screen.send("\x03")
        assert screen.end() == 130
    assert stub.seen == []


def test_a_refusal_does_not_end_the_conversation(stub):
    stub.on("POST", "/v1/chat", 403, {"code": "governance_blocked", "detail": "A student may not chat."})
    with terminal("chat", url=stub.url) as screen:
        screen.expect("> ")
        screen.send("one\n")
        screen.expect("A student may not chat")
        screen.expect("> ")
        screen.send("\x04")
        assert screen.end() == 0


def test_a_progress_line_is_for_terminals_and_goes_away(stub):
    hold = threading.Event()

    def answer(handler):
        hold.wait(20)
        handler.reply(200, {"success": True, "response": "Done.", "session_id": "s"})
    stub.routes["POST", "/v1/chat"] = answer
    with terminal("chat", "hello", "--no-stream", url=stub.url) as screen:
        screen.expect(r"[-|/\\] waiting, \d+ s")
        hold.set()
        assert screen.end() == 0
        assert screen.raw.endswith("\r\x1b[KDone.\r\n")
    assert "waiting" not in guild("chat", "hello", "--no-stream", url=stub.url)[2]


def test_a_full_disk_is_told(stub):
    stub.list("/v1/agents", [agent(i) for i in range(100)])
    with open("/dev/full", "wb") as full:
        done = subprocess.run([BINARY, "agent", "list", "--json"], stdout=full, stderr=subprocess.PIPE, timeout=60,
                              env=environment(GUILD_URL=stub.url, GUILD_TOKEN=TOKEN))
    assert done.returncode == 1 and b"standard output cannot be written" in done.stderr


# ---- the real server ----


class Live:
    def __init__(self, server):
        self.server = server

    def __call__(self, *arguments, **more):
        return guild(*arguments, url=self.server.url, token=more.pop("token", self.server.token), **more)

    def json(self, *arguments, **more):
        code, out, err = self(*arguments, "--json", **more)
        assert code == 0, err
        return json.loads(out)


@pytest.fixture
def live(server):
    return Live(server)


def test_live_chat_and_its_traces(live):
    code, out, err = live("chat", "hello")
    assert code == 0 and out.strip(), err
    events = [json.loads(line) for line in live("chat", "hello again", "--json")[1].splitlines()]
    assert [events[0]["event"], events[-2]["event"], events[-1]["event"]] == ["streaming:start", "streaming:complete", "result"]
    session, execution = events[0]["data"]["session_id"], events[0]["data"]["execution_id"]
    result = live.json("chat", "once more", "--no-stream", "--session", session)
    assert result["success"] and result["session_id"] == session
    assert execution in live("execution", "list")[1]
    assert live.json("execution", "show", execution)["status"] == "completed"
    assert re.search(r"status +completed\n", live("execution", "show", execution)[1])
    assert session in live("session", "list")[1]
    code, out, _ = live("session", "show", session)
    assert code == 0 and "hello again" in out and "once more" in out
    assert live("execution", "cancel", execution)[0] == 1
    assert live("execution", "show", "nonsense")[0] == 5


def test_live_conversation(server):
    with terminal("chat", url=server.url, token=server.token) as screen:
        screen.expect("> ")
        screen.send("hello\n")
        screen.expect(r"\w[^\n]*\n> ")
        screen.send("\x04")
        screen.expect(r"guild chat --session [0-9a-f-]{36}")
        assert screen.end() == 0


def test_live_ctrl_c_cancels_at_the_provider(server_with_provider, provider):
    server = server_with_provider
    provider.script({"deltas": ["again and "], "endless": True, "delay_ms": 20}, {"deltas": ["Second."]})
    with terminal("chat", url=server.url, token=server.token) as screen:
        screen.expect("> ")
        screen.send("one\n")
        screen.expect("again and again")
        screen.send("\x03")
        execution = screen.expect(r"kept in execution ([0-9a-f-]{36})\n").group(1)
        provider.wait(aborted=1, timeout_s=10)
        screen.expect("> ")
        screen.send("two\n")
        screen.expect(r"Second\.\n> ")
        screen.send("\x04")
        assert screen.end() == 0
    shown = Live(server).json("execution", "show", execution)
    assert shown["status"] == "cancelled" and shown["partial_response"].startswith("again and again")


def test_live_provider_failure_is_seven(server_with_provider, provider):
    provider.script({"deltas": ["part "] * 3, "cut_after": 2}, {"status": 500, "body": "secret inside"})
    live = Live(server_with_provider)
    code, out, err = live("chat", "hello")
    assert code == 7 and out.startswith("part part") and "provider_failed" in err
    code, out, err = live("chat", "hello", "--no-stream")
    assert (code, out) == (7, "") and "provider_failed" in err and "secret" not in err


def test_live_agents_grow_and_pause(live):
    code, out, err = live("agent", "add", "Cli Student", "--handle", "cli-student", "--description", "d")
    assert code == 0 and "student" in out and "promote" in out, err
    assert "cli-student" in live("agent", "list", "--limit", "1000")[1]
    code, out, err = live("chat", "hello", "--agent", "cli-student")
    assert (code, out) == (6, "") and "intern" in err.lower()
    assert "cli-student" in live("execution", "list", "--refused", "--json")[1] or live("execution", "list", "--refused")[0] == 0
    assert "intern" in live("agent", "promote", "cli-student", "--override", "--reason", "passed its tests")[1]
    assert live("chat", "hello", "--agent", "cli-student")[0] == 0
    assert "1 of 25" in live("agent", "readiness", "cli-student")[1] and "score" in live("agent", "reputation", "cli-student")[1]
    assert live.json("agent", "readiness", "cli-student")["evidence"]["runs"] == 1
    code, out, err = live("agent", "promote", "cli-student")
    assert code == 1 and "successful_episodes" in err
    assert "accepted" in live("feedback", "give", "cli-student", "--thumbs", "up", "--rating", "5")[1]
    assert "cli-student" not in live("feedback", "list", "--agent", "cli-student")[1]
    assert live.json("feedback", "list", "--all", "--agent", "cli-student")["items"][0]["rating"] == 5
    for verb, state in (("pause", "paused"), ("resume", "active"), ("stop", "stopped")):
        code, out, err = live("agent", verb, "cli-student")
        assert code == 0 and state in out, err
    assert live("chat", "hello", "--agent", "cli-student")[0] == 6
    assert "student" in live("agent", "demote", "cli-student", "--incident", "--reason", "it failed")[1]
    assert "archived" in live("agent", "archive", "cli-student")[1]
    assert live.json("agent", "show", "cli-student")["lifecycle"] == "archived"
    assert live("agent", "show", "nobody-of-that-name")[0] == 5
    assert live("agent", "add", "Other", "--handle", "cli-student")[0] == 1


def test_live_audit(live):
    live("chat", "hello")
    code, out, err = live("audit", "list", "--limit", "5")
    assert code == 0 and len(out.splitlines()) == 6, err
    assert live.json("audit", "verify")["ok"] is True
    code, out, err = live("audit", "verify")
    assert code == 0 and "whole" in out, err


def test_live_status(live):
    code, out, err = live("status")
    assert code == 0 and re.search(r"^status +ok$", out, re.M), err
    assert live("status", token=None, cwd="/")[0] == 0


def test_live_users_and_tokens(live):
    user = live.json("user", "add", "cli-viewer", "--role", "viewer")
    assert "cli-viewer" in live("user", "list")[1]
    code, out, err = live("token", "add", "--label", "cli test", "--user", user["id"], "--expires-in", "1h")
    assert code == 0 and re.fullmatch(r"guild_[A-Za-z0-9_-]{43}\n", out), err
    token = out.strip()
    assert live("agent", "list", token=token)[0] == 0
    assert live("agent", "add", "No", token=token)[0] == 4
    row = next(item for item in live.json("token", "list", "--user", "cli-viewer")["items"] if item["label"] == "cli test")
    assert token not in live("token", "list", "--user", user["id"])[1]
    assert "first operator token" in live("token", "list")[1]
    assert live("token", "revoke", row["id"])[:2] == (0, "Revoked.\n")
    assert live("agent", "list", token=token)[0] == 4


def test_live_keys(live):
    made = live.json("key", "add", "openai", stdin=b"sk-cli-secret\n")
    code, out, _ = live("key", "list")
    assert code == 0 and made["id"] in out and "sk-cli-secret" not in out
    assert live("key", "remove", made["id"])[0] == 0
    assert made["id"] not in live("key", "list")[1]


def test_live_first_start_and_in_use(server):
    mode = stat.S_IMODE((pathlib.Path(server.data) / "admin.token").stat().st_mode)
    assert mode == 0o600
    code, _, err = guild("serve", "--data", str(server.data), "--listen", "127.0.0.1:0")
    assert code == 9 and str(server.data) in err and err.count("guild: ") == 1
    port = server.url.rpartition(":")[2]
    code, _, err = guild("serve", "--data", str(server.data) + "-other", "--listen", f"127.0.0.1:{port}")
    assert code == 9 and port in err


def start(data, *more):
    process = subprocess.Popen([BINARY, "serve", "--listen", "127.0.0.1:0", "--data", str(data), *more], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True, env=environment())
    return process, process.stdout.readline()


def test_live_serve_prints_what_is_needed(tmp_path):
    data = tmp_path / "data"
    process, line = start(data)
    url = re.fullmatch(r"guild \S+ listening on (http://127\.0\.0\.1:\d+)\n", line).group(1)
    assert not url.endswith(":0")
    token = re.fullmatch(r"first operator token: (guild_\S+)  \(also in .*/admin\.token\)\n", process.stdout.readline()).group(1)
    curl = process.stdout.readline()
    assert curl.startswith("curl -N ") and token in curl
    done = subprocess.run(curl, shell=True, capture_output=True, text=True, timeout=30, env=environment())
    assert "event: streaming:complete" in done.stdout
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    process, line = start(data)
    again = process.stdout.readline()
    assert again.startswith("curl -N ") and "admin.token" in again and token not in again
    done = subprocess.run(again, shell=True, capture_output=True, text=True, timeout=30, env=environment())
    assert "event: streaming:complete" in done.stdout
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGINT)
    assert process.wait(15) == 0
    code, out, err = guild("audit", "verify", "--data", str(data))
    assert code == 0 and "whole" in out, err


def test_live_verify_finds_a_changed_entry_offline(tmp_path):
    data = tmp_path / "data"
    process, line = start(data)
    url = line.split()[-1]
    token = (data / "admin.token").read_text().strip()
    assert guild("chat", "hello", url=url, token=token)[0] == 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    process.stdout.close()
    import sqlite3
    with sqlite3.connect(data / "guild.db") as store:
        seq, entry = store.execute("SELECT seq, entry FROM log WHERE entry LIKE '%chat%' ORDER BY seq LIMIT 1").fetchone()
        store.execute("UPDATE log SET entry = ? WHERE seq = ?", (entry.replace("chat", "cat"), seq))
    store.close()
    code, out, err = guild("audit", "verify", "--data", str(data))
    assert (code, out) == (1, "") and f"entry {seq}:" in err
