"""Who gets what from each route: the owner of a thing, another member, an admin of another workspace, a viewer, an agent, nobody.

MATRIX is the documented answer, a line for each route. A route that is added and has no line yet is held to what its row says: its role,
its scope, whether agents may, and that what is another workspace's is not there."""
import itertools
import os
import re

import pytest

from support.harness import wait_for

NOBODY = "00000000-0000-7000-8000-000000000000"
NUMBERS = itertools.count(1)
WHO = ("owner", "other", "foreign", "viewer", "agent", "nobody")

# Statuses in the order of WHO; - where it depends on what else is going on. The owner of what belongs to a workspace is its operator. 403 of a
# chat with one's own student is the student's; 409 is a run that has ended, or a student that cannot be demoted.
MATRIX = """
POST   /v1/chat                                   200 200 200 403 403 401
POST   /v1/agents/{id}/chat                       403 403 404 403 403 401
GET    /v1/executions                             200 200 200 200 403 401
GET    /v1/executions/{id}                        200 404 404 404 403 401
POST   /v1/executions/{id}/cancel                 409 404 404 403 403 401
GET    /v1/executions/{id}/events                 200 404 404 404 403 401
GET    /v1/resolve                                200 200 200 200 403 401
POST   /v1/agents                                 201 201 201 403 403 401
GET    /v1/agents                                 200 200 200 200 403 401
GET    /v1/agents/{id}                            200 200 404 200 403 401
PATCH  /v1/agents/{id}                            200 403 404 403 403 401
POST   /v1/agents/{id}/pause                      200 403 404 403 403 401
POST   /v1/agents/{id}/resume                     200 403 404 403 403 401
POST   /v1/agents/{id}/stop                       200 403 404 403 403 401
POST   /v1/agents/{id}/archive                    200 403 404 403 403 401
GET    /v1/agents/{id}/readiness                  200 200 404 200 200 401
GET    /v1/agents/{id}/reputation                 200 200 404 200 200 401
POST   /v1/agents/{id}/promote                    200 403 404 403 403 401
POST   /v1/agents/{id}/demote                     409 403 404 403 403 401
POST   /v1/agents/{id}/feedback                   201 201 404 403 403 401
GET    /v1/feedback                               200 403 200 403 403 401
GET    /v1/feedback/{id}                          200 404 404 403 403 401
POST   /v1/feedback/{id}/accept                   200 403 404 403 403 401
POST   /v1/feedback/{id}/reject                   200 403 404 403 403 401
POST   /v1/agents/{id}/tokens                     201 403 404 403 403 401
POST   /v1/workspaces                             201 403 403 403 403 401
GET    /v1/workspaces                             200 403 200 403 403 401
PATCH  /v1/workspaces/{id}                        200 403 404 403 403 401
POST   /v1/agents/{id}/decide                     200 200 404 200 403 401
GET    /v1/policy                                 200 200 200 200 403 401
PUT    /v1/policy/{action}                        200 403 200 403 403 401
GET    /v1/policy/history                         200 200 200 200 403 401
GET    /v1/emergency                              200 200 200 200 403 401
POST   /v1/emergency                              200 403 403 403 403 401
GET    /v1/kill-switch                            200 200 200 200 403 401
POST   /v1/kill-switch                            200 403 200 403 403 401
POST   /v1/agents/{id}/enforce                    200 403 404 403 403 401
GET    /v1/approvals                              200 200 200 200 200 401
GET    /v1/approvals/{id}                         200 404 404 404 404 401
POST   /v1/approvals/{id}/approve                 200 403 404 403 403 401
POST   /v1/approvals/{id}/reject                  200 403 404 403 403 401
GET    /v1/budgets                                200 200 200 403 403 401
PUT    /v1/budgets/{scope}                        200 403 404 403 403 401
GET    /v1/spend                                  200 200 200 403 403 401
GET    /v1/catalogue                              200 200 200 200 403 401
GET    /v1/me                                     200 200 200 200 200 401
POST   /v1/auth/login                             200 200 200 200 200 200
POST   /v1/auth/logout                            204 204 204 204 403 401
GET    /v1/users                                  200 403 200 403 403 401
POST   /v1/users                                  201 403 201 403 403 401
GET    /v1/users/{id}                             200 403 404 403 403 401
PATCH  /v1/users/{id}                             200 403 404 403 403 401
GET    /v1/users/{id}/export                      404 404 404 404 403 401
POST   /v1/users/{id}/erase                       404 404 404 404 403 401
GET    /v1/users/{id}/erase                       404 404 404 404 403 401
DELETE /v1/users/{id}                             204 403 404 403 403 401
GET    /v1/tokens                                 200 200 200 200 403 401
POST   /v1/tokens                                 201 201 201 201 403 401
POST   /v1/tokens/{id}/rotate                     201 404 404 404 403 401
DELETE /v1/tokens/{id}                            204 404 404 404 403 401
GET    /v1/keys                                   200 200 200 403 403 401
POST   /v1/keys                                   201 201 201 403 403 401
DELETE /v1/keys/{id}                              204 404 404 403 403 401
POST   /v1/sessions                               201 201 201 403 403 401
GET    /v1/sessions                               200 200 200 200 403 401
GET    /v1/sessions/{id}                          200 404 404 404 403 401
PATCH  /v1/sessions/{id}                          200 404 404 403 403 401
DELETE /v1/sessions/{id}                          204 404 404 403 403 401
GET    /v1/sessions/{id}/messages                 200 404 404 404 403 401
PUT    /v1/sessions/{id}/agent                    200 404 404 403 403 401
GET    /v1/agents/{id}/rate-limit                 200 200 404 200 200 401
POST   /v1/posts                                  201 201 201 403 201 401
GET    /v1/posts/{id}                             200 200 404 200 200 401
DELETE /v1/posts/{id}                             204 403 404 403 403 401
GET    /v1/posts/{id}/replies                     200 200 404 200 200 401
POST   /v1/posts/{id}/replies                     201 201 404 403 201 401
POST   /v1/channels                               201 201 201 403 201 401
GET    /v1/channels                               200 200 200 200 200 401
GET    /v1/channels/{id}                          200 200 404 200 200 401
GET    /v1/channels/{id}/members                  200 200 404 200 200 401
PUT    /v1/channels/{id}/members/{member}         200 200 404 403 200 401
DELETE /v1/channels/{id}/members/{member}         204 204 404 403 204 401
GET    /v1/posts/{id}/reactions                   200 200 404 200 200 401
PUT    /v1/posts/{id}/reactions/{emoji}           201 201 404 403 201 401
DELETE /v1/posts/{id}/reactions/{emoji}           204 204 404 403 204 401
POST   /v1/direct-messages                        201 201 404 403 201 401
GET    /v1/direct-messages                        200 200 200 200 200 401
POST   /v1/direct-messages/read                   200 200 200 403 200 401
POST   /v1/direct-messages/{id}/read              200 404 404 403 404 401
DELETE /v1/direct-messages/{id}                   204 404 404 403 404 401
GET    /v1/blocks                                 200 200 200 200 200 401
PUT    /v1/blocks/{id}                            200 200 404 403 200 401
DELETE /v1/blocks/{id}                            204 204 404 403 204 401
GET    /v1/feed                                   200 200 200 200 200 401
GET    /v1/trending                               200 200 200 200 200 401
GET    /v1/ws                                     426 426 426 426 426 426
GET    /v1/events                                 200 200 200 200 200 401
POST   /v1/events                                 202 202 202 403 202 401
GET    /v1/audit                                  200 200 200 403 403 401
GET    /v1/audit/verify                           200 403 200 403 403 401
POST   /v1/backup                                 202 403 403 403 403 401
GET    /v1/backup                                 200 403 403 403 403 401
POST   /v1/verify                                   - 403 202 403 403 401
GET    /v1/verify                                 200 403 200 403 403 401
GET    /v1/audit/checkpoint                       200 200 200 403 403 401
GET    /v1/audit/consistency                      200 200 200 403 403 401
GET    /v1/audit/export                           200 403 200 403 403 401
GET    /v1/audit/{id}/proof                       200 404 404 403 403 401
GET    /healthz                                   200 200 200 200 200 200
GET    /readyz                                    200 200 200 200 200 200
GET    /metrics                                   200 403 200 403 403 401
GET    /openapi.json                              200 200 200 200 200 200
"""

# What a request has to say to get as far as the thing itself.
BODIES = {
    "POST /v1/chat": {"message": "m", "stream": False}, "POST /v1/agents/{id}/chat": {"message": "m", "stream": False, "strict": True},
    "POST /v1/agents/{id}/promote": {"override": True, "reason": "r"},
    "POST /v1/agents/{id}/feedback": {"thumbs": "up"}, "POST /v1/agents/{id}/demote": {"reason": "r"},
    "POST /v1/agents/{id}/decide": {"action": "search"}, "POST /v1/agents/{id}/enforce": {"action": "search", "arguments": {}},
    "PUT /v1/policy/{action}": {"level": 2}, "POST /v1/emergency": {"minutes": 0, "reason": "r"},
    "POST /v1/kill-switch": {"on": False, "reason": "r"},
    "PATCH /v1/sessions/{id}": {"title": "t"}, "PUT /v1/sessions/{id}/agent": {"agent": "chat-assistant"}, "POST /v1/posts": {"content": "c"},
    "POST /v1/posts/{id}/replies": {"content": "c"}, "POST /v1/events": {"type": "x.a", "topics": ["room"]},
    "POST /v1/keys": {"provider": "openai", "key": "sk-of-the-tests-0123456789-abcdef"}, "POST /v1/direct-messages/read": {},
}
FRESH = {  # with a name of its own each time
    "POST /v1/auth/login": lambda w: {"token": w.owner.token},  # whoever asks: the token in the body is what counts
    "POST /v1/agents": lambda w: {"name": f"Made {next(NUMBERS)}"}, "POST /v1/channels": lambda w: {"name": f"made{next(NUMBERS)}"},
    "POST /v1/users": lambda w: {"name": f"u{next(NUMBERS)}", "role": "viewer"}, "POST /v1/workspaces": lambda w: {"name": f"w{next(NUMBERS)}"},
    "POST /v1/direct-messages": lambda w: {"to_user_id": w.reader, "content": "c"},
}
QUERIES = {"GET /v1/events": "?topics=room", "GET /v1/audit/consistency": "?from=1"}
STREAMS = {"GET /v1/events"}


def user_of(admin, server, role):
    user = admin.post("/v1/users", {"name": f"{role} {next(NUMBERS)}", "role": role}).ok(201)
    client = server.client(admin.post("/v1/tokens", {"user_id": user["id"]}).ok(201)["token"])
    client.id, client.role = user["id"], role
    return client


class World:
    """People, and new things of the owner's."""

    def __init__(self, server):
        self.server = server
        made = server.post("/v1/workspaces", {"name": f"W {os.urandom(4).hex()}"}).ok(201)
        agent = server.agent("The program", "autonomous", kind="external")
        program = server.client(server.post(f"/v1/agents/{agent['id']}/tokens").ok(201)["token"])
        self.people = {"owner": user_of(server, server, "member"), "other": user_of(server, server, "member"),
                       "foreign": server.client(made["token"]), "viewer": user_of(server, server, "viewer"), "agent": program,
                       "nobody": server.anonymous()}
        self.owner = self.people["owner"]
        self.reader = user_of(server, server, "member").id

    def agent(self, **members):
        return self.owner.post("/v1/agents", {"name": f"Thing {next(NUMBERS)}", **members}).ok(201)["id"]

    def run(self):
        return self.owner.chat("hello").ok(200)["execution_id"]

    def session(self):
        return self.owner.post("/v1/sessions", {}).ok(201)["id"]

    def approval(self):
        agent = self.agent()
        for _ in range(2):
            self.server.post(f"/v1/agents/{agent}/promote", {"override": True, "reason": "r"}).ok(200)
        return self.owner.post(f"/v1/agents/{agent}/enforce", {"action": "send_email", "arguments": {}}).ok(202)["approval_id"]

    def feedback(self):
        return self.owner.post(f"/v1/agents/{self.agent()}/feedback", {"thumbs": "up"}).ok(201)["id"]

    def user(self):
        return self.server.post("/v1/users", {"name": f"u{next(NUMBERS)}", "role": "viewer"}).ok(201)["id"]

    def token(self):
        return self.owner.post("/v1/tokens", {}).ok(201)["id"]

    def key(self):
        return self.owner.post("/v1/keys", BODIES["POST /v1/keys"]).ok(201)["id"]

    def post(self):
        return self.owner.post("/v1/posts", {"content": "c"}).ok(201)["id"]

    def channel(self):
        return self.owner.post("/v1/channels", {"name": f"c{next(NUMBERS)}"}).ok(201)["id"]

    def message(self):
        return self.server.post("/v1/direct-messages", {"to_user_id": self.owner.id, "content": "c"}).ok(201)["id"]

    def entry(self):
        oldest = self.owner.items("/v1/audit?limit=100")[-1]["id"]
        wait_for(lambda: self.owner.get(f"/v1/audit/{oldest}/proof").status != 409, "a checkpoint over it")
        return oldest

    def thing(self, route):
        """What {id} of that route is, new."""
        path = route.split(" ")[1]
        for prefix, make in (("/v1/agents/{id}/tokens", lambda: self.agent(kind="external")),
                             ("/v1/agents/{id}/resume", self.paused),
                             ("/v1/agents/", self.agent), ("/v1/executions/", self.run),
                             ("/v1/sessions/", self.session),
                             ("/v1/approvals/", self.approval),
                             ("/v1/feedback/", self.feedback), ("/v1/users/", self.user), ("/v1/tokens/", self.token),
                             ("/v1/keys/", self.key),
                             ("/v1/posts/", self.post), ("/v1/channels/", self.channel), ("/v1/direct-messages/", self.message),
                             ("/v1/audit/", self.entry), ("/v1/blocks/", self.user), ("/v1/policy/", lambda: "chat"),
                             ("/v1/budgets/", lambda: f"agent:{self.agent()}"),
                             ("/v1/workspaces/", lambda: self.server.get("/v1/me").body["workspace_id"])):
            if path.startswith(prefix):
                return make()
        return NOBODY

    def paused(self):
        agent = self.agent()
        self.owner.post(f"/v1/agents/{agent}/pause").ok(200)
        return agent

    def ask(self, who, route, row, thing):
        method, path = route.split(" ")
        client = self.people[who]
        if who == "owner" and row.get("x-role") in ("admin", "operator"):
            client = self.server
        target = path.replace("{member}", "me").replace("{emoji}", "%F0%9F%91%8D") + QUERIES.get(route, "")
        body = FRESH[route](self) if route in FRESH else BODIES.get(route, {} if method in ("POST", "PUT", "PATCH") else None)
        if "requestBody" not in row:
            body = None
        target = re.sub(r"\{[^}]+\}", thing, target)
        if route in STREAMS:
            connection, response = client.open(method, target)
            connection.close()
            return response.status
        reply = client.request(method, target, body)
        assert reply.status != 422, (route, who, reply.text)
        if route == "POST /v1/keys" and reply.status == 201:
            client.delete(f"/v1/keys/{reply.body['id']}").ok(204)  # with it, chats would go to a provider
        return reply.status


RANKS = ["viewer", "member", "admin", "operator"]


def derived(route, row):
    """What the row of a route alone says, None where it leaves that open."""
    if row["x-scope"] == "open":
        return dict.fromkeys(WHO)
    path, rank = route.split(" ")[1], RANKS.index(row["x-role"])
    return {"owner": None, "other": 403 if rank > 1 else None, "foreign": 403 if rank > 2 else 404 if "{id}" in path else None,
            "viewer": 403 if rank > 0 else None, "agent": None if row["x-agents"] else 403, "nobody": 401}


@pytest.fixture(scope="module")
def world(make_shared_server):
    return World(make_shared_server(env={"GUILD_AUDIT_CHECKPOINT_EVERY": "0.1"}))


def lines():
    rows = {}
    for line in MATRIX.strip().splitlines():
        method, path, *statuses = line.split()
        assert len(statuses) == len(WHO), line
        rows[f"{method} {path}"] = dict(zip(WHO, (None if status == "-" else int(status) for status in statuses)))
    return rows


def test_every_route_answers_each_as_documented(world):
    """T2, T4: the refused first, so that what they must not do is seen not to have been done when the owner comes."""
    rows = {f"{method.upper()} {path}": row for path, methods in world.server.get("/openapi.json").ok(200)["paths"].items()
            for method, row in methods.items()}
    documented, wrong = lines(), []
    assert not set(documented) - set(rows), "lines without a route"
    for route, row in rows.items():
        says = derived(route, row)
        wanted = documented.get(route, says)
        thing = world.thing(route) if "{" in route else ""
        for who in ("nobody", "agent", "viewer", "foreign", "other", "owner"):
            if wanted[who] is None:
                continue
            got = world.ask(who, route, row, thing)
            if got != wanted[who] or says[who] not in (None, wanted[who]):
                wrong.append(f"{route} {who}: {got}, documented {wanted[who]}, by its row {says[who]}")
    assert not wrong, "\n".join(wrong)
