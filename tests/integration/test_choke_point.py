"""One choke point: every command, route, WebSocket message and verb is listed here, and none reaches an effect without a decision and an
audit entry. What is added and not listed fails."""
import pathlib
import re
import sqlite3

import pytest
from test_route_matrix import World

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LOG_AUDIT = 1

# Effects that are no change of the store: nothing of theirs can be undone or looked up later.
NOT_AUDITED = {"POST /v1/events": "an event x.* is told to who listens and kept nowhere",
               "POST /v1/agents/{id}/decide": "asks and changes nothing"}
# Answers without a change, in the state that the test brings about.
NOTHING_TO_DO = {"POST /v1/agents/{id}/demote", "POST /v1/executions/{id}/cancel", "DELETE /v1/blocks/{id}",
                 "DELETE /v1/posts/{id}/reactions/{emoji}",
                 "POST /v1/direct-messages/read", "POST /v1/kill-switch", "POST /v1/emergency", "PUT /v1/policy/{action}", "POST /v1/verify",
                 "POST /v1/auth/logout",  # there is no cookie
                 "DELETE /v1/channels/{id}/members/{member}", "PUT /v1/channels/{id}/members/{member}"}

MESSAGES = {  # how each message is decided and where its effect is told
    "auth": "who one is", "auth.refresh": "who one is", "subscribe": "decided (subscribe), a read", "unsubscribe": "decided (unsubscribe)",
    "publish": "decided (publish), kept nowhere", "chat": "the engine's flow: GOVERN, RECORD", "cancel": "the run's closing entry",
    "resume": "decided (subscribe), a read", "decide": "the route's row", "enforce": "the route's row",
    "chat_delta": "part of a run that is recorded", "chat_end": "the run's closing entry", "ping": "nothing", "stats": "nothing"}

VERBS = {  # verbs with an effect on a server, and the routes that they are
    "chat": "POST /v1/chat", "agent add": "POST /v1/agents", "agent promote": "POST /v1/agents/{id}/promote",
    "agent demote": "POST /v1/agents/{id}/demote", "agent pause": "POST /v1/agents/{id}/pause", "agent resume": "POST /v1/agents/{id}/resume",
    "agent stop": "POST /v1/agents/{id}/stop", "agent archive": "POST /v1/agents/{id}/archive",
    "approve yes": "POST /v1/approvals/{id}/approve", "approve no": "POST /v1/approvals/{id}/reject",
    "feedback give": "POST /v1/agents/{id}/feedback",
    "feedback accept": "POST /v1/feedback/{id}/accept", "feedback reject": "POST /v1/feedback/{id}/reject",
    "policy set": "PUT /v1/policy/{action}", "emergency on": "POST /v1/emergency",
    "emergency off": "POST /v1/emergency", "budget set": "PUT /v1/budgets/{scope}", "stop-all": "POST /v1/kill-switch",
    "post": "POST /v1/posts", "reply": "POST /v1/posts/{id}/replies",
    "react": "PUT /v1/posts/{id}/reactions/{emoji}", "channel create": "POST /v1/channels", "channel join": "PUT /v1/channels/{id}/members/{member}",
    "channel leave": "DELETE /v1/channels/{id}/members/{member}", "dm send": "POST /v1/direct-messages",
    "dm read": "POST /v1/direct-messages/{id}/read", "block": "PUT /v1/blocks/{id}", "execution cancel": "POST /v1/executions/{id}/cancel",
    "backup": "POST /v1/backup", "verify": "POST /v1/verify", "token add": "POST /v1/tokens", "token create": "POST /v1/tokens",
    "token rotate": "POST /v1/tokens/{id}/rotate", "token revoke": "DELETE /v1/tokens/{id}", "workspace add": "POST /v1/workspaces",
    "workspace set": "PATCH /v1/workspaces/{id}", "user add": "POST /v1/users", "user remove": "DELETE /v1/users/{id}",
    "user erase": "POST /v1/users/{id}/erase", "key add": "POST /v1/keys", "key remove": "DELETE /v1/keys/{id}"}
READING = {"budget list", "spend", "model list",
           "status", "agent list", "agent show", "agent readiness", "agent reputation", "feedback list",
           "approve list", "approve show", "decide", "policy list", "policy history",
           "emergency status", "feed", "trending", "channel list",
           "channel members", "dm inbox", "block list", "execution list", "execution show", "session list", "session show", "audit list",
           "audit verify", "audit export", "audit key", "token list", "workspace list", "user list", "user export", "key list"}
OF_THE_MACHINE = {"serve", "restore", "config show", "config check", "version", "help"}  # no server, or a stopped store's owner


@pytest.fixture(scope="module")
def world(make_shared_server):
    return World(make_shared_server())


def operations(server):
    return {f"{method.upper()} {path}": row for path, methods in server.get("/openapi.json").ok(200)["paths"].items()
            for method, row in methods.items()}


def entries(server, after):
    with sqlite3.connect(server.data / "guild.db") as store:
        return store.execute("SELECT seq, action, outcome FROM log WHERE seq > ? AND kinds & ? ORDER BY seq", (after, LOG_AUDIT)).fetchall()


def newest(server):
    rows = entries(server, 0)
    return rows[-1][0]


class TestRoutes:
    def test_every_effect_has_an_action_and_an_entry(self, world):
        """T4, T28: done by who may, each leaves an entry; refused, an agent's attempt does too."""
        wrong = []
        for route, row in operations(world.server).items():
            if route.startswith("GET ") or route in NOT_AUDITED:
                continue
            assert row.get("x-action"), f"{route} has no action"
            thing = world.thing(route) if "{" in route else ""
            before = newest(world.server)
            status = world.ask("owner", route, row, thing)
            made = entries(world.server, before)
            if status < 300 and not made and route not in NOTHING_TO_DO:
                wrong.append(f"{route}: {status} without an entry")
        assert not wrong, "\n".join(wrong)

    def test_each_that_agents_may_use_is_decided(self, world):
        """T5: an agent that was paused does nothing through any of them, though its token is good."""
        agent = world.server.get("/v1/agents/the-program").ok(200)
        world.server.post(f"/v1/agents/{agent['id']}/pause").ok(200)
        refused, wrong = 0, []
        for route, row in operations(world.server).items():
            if not row["x-agents"] or route.startswith("GET ") or row["x-scope"] == "open":
                continue
            thing = world.thing(route) if "{" in route else ""
            if route in ("POST /v1/agents/{id}/enforce", "POST /v1/agents/{id}/decide"):
                thing = agent["id"]
            before = newest(world.server)
            status = world.ask("agent", route, row, thing)
            done = [entry for entry in entries(world.server, before) if entry[1] not in ("decide",)]
            if route == "POST /v1/agents/{id}/decide":
                assert status == 200
            elif status not in (403, 404) or any(outcome not in (3,) for _, _, outcome in done):
                wrong.append(f"{route}: {status} {done}")
            else:
                refused += 1
        world.server.post(f"/v1/agents/{agent['id']}/resume").ok(200)
        assert not wrong, "\n".join(wrong)
        assert refused >= 14


class TestCommands:
    DEFINED = re.compile(r"struct command_row \w+ = \{")
    ROW = re.compile(r'struct command_row \w+ = \{\s*(?:\.name = )?"(\w+)",\s*(?:\.action = )?(?:"(\w+)"|NULL)')
    WITHOUT = {"answer_admit": "counts what is owed; the answer is a run, which has its entries"}

    def test_each_has_an_action_and_its_file_writes_the_log(self):
        rows = []
        for file in sorted(ROOT.glob("src/*/*.c")):
            text = file.read_text()
            found = self.ROW.findall(text)
            assert len(found) == len(self.DEFINED.findall(text)), f"{file} has a row that cannot be read here"
            rows += [name for name, _ in found]
            for name, action in found:
                assert action, f"{name} in {file.name} has no action"
                assert re.search(r"_log\(|_log_\w+\(", text) or name in self.WITHOUT, f"{name} in {file.name} writes no log row"
        assert len(rows) > 40

    def test_a_row_without_deny_carries_no_agent_s_mark(self):
        """The runner aborts if one does: what an agent causes can be refused in the transaction."""
        assert re.search(r"check\(.*deny", (ROOT / "src/command/command.c").read_text())


class TestMessages:
    def test_every_one_is_listed(self):
        text = (ROOT / "src/ops/socket.c").read_text()
        table = text[text.index("const struct socket_row socket_rows[] = {"):]
        types = re.findall(r'^\t\{"([a-z_.]+)",', table[:table.index("};")], re.M)
        assert set(types) == set(MESSAGES)

    def test_an_agent_that_was_paused_says_nothing(self, world):
        agent = world.server.agent("Silenced", "autonomous", kind="external")
        client = world.server.client(world.server.post(f"/v1/agents/{agent['id']}/tokens").ok(201)["token"])
        with client.ws() as socket:
            world.server.post(f"/v1/agents/{agent['id']}/pause").ok(200)
            for message in ({"type": "subscribe", "topics": ["room"]}, {"type": "publish", "topics": ["room"], "event": {"type": "x.a"}},
                            {"type": "enforce", "agent_id": agent["id"], "action": "search", "arguments": {}},
                            {"type": "unsubscribe", "topics": ["room"]}):
                assert socket.ask(message)["code"] == "agent_not_active", message

    def test_a_chat_is_in_the_log(self, world):
        before = newest(world.server)
        with world.owner.ws() as socket:
            socket.ask({"type": "chat", "message": "hello", "agent_id": "chat-assistant"})
            socket.until(lambda m: m["type"] in ("streaming:complete", "streaming:error"))
        assert len([row for row in entries(world.server, before) if row[1] == "stream_chat"]) >= 2


class TestVerbs:
    def test_every_one_is_listed(self, world):
        """Verbs are clients of the routes: one with an effect is a route with an action."""
        text = (ROOT / "src/cli/verbs.c").read_text()
        table = text[text.index("const struct cli_verb cli_verbs[] = {"):]
        verbs = {f"{verb} {sub}".strip() for verb, sub in re.findall(r'^\t\{"([a-z-]+)", (?:"([a-z-]+)"|NULL),', table, re.M)}
        unknown = verbs - set(VERBS) - READING - OF_THE_MACHINE
        assert not unknown, f"say of each what it does: {unknown}"
        rows = operations(world.server)
        for verb, route in VERBS.items():
            assert rows[route]["x-action"] and rows[route]["x-scope"] not in ("", "open"), verb

    def test_they_reach_the_store_by_requests_alone(self):
        """But for those of a stopped store, no verb opens one or runs a command."""
        for file in ROOT.glob("src/cli/*.c"):
            names = set(re.findall(r"\b(command_submit|command_run_now|change_submit|writer_create|guild_create)\(", file.read_text()))
            assert not names, (file.name, names)
