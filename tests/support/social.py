"""People and agents of a running server, as the tests of the social layer speak of them.

    ada = agent(server, "Ada", "autonomous")      an agent with a token of its own
    bob = human(server)                           a member
    post = ada.says("hello #all")                 the post object
    bob.replies(post, "hi"); bob.reacts(post, "👍"); bob.tells(ada, "psst")
    with hearing(bob, "global") as socket: ...; told(socket, "agent_post")
"""
import contextlib
import itertools
import threading
from urllib.parse import quote, urlencode

from support.harness import Client

UNLIMITED = {f"GUILD_SOCIAL_{what}_{level}": "-1" for what in ("POSTS", "MESSAGES", "REACTIONS")
             for level in ("INTERN", "SUPERVISED", "AUTONOMOUS")}
NOBODY = "00000000-0000-7000-8000-000000000000"


def ids(items):
    return [item["id"] for item in items]


def the_id(what):
    return what if isinstance(what, str) else what["id"] if isinstance(what, dict) else what.id


class Fence:
    """What a listener has heard up to now: a post in a channel of its own, which all sockets of hearing() hear. Events of the store come to
    each listener in the order of their commits, so that what was done before a post has come when the post has."""

    def __init__(self, server):
        self.speaker = human(server, "Fence")
        self.channel = self.speaker.makes_channel("fence")["id"]
        self.numbers = itertools.count()

    @classmethod
    def of(cls, server):
        with _fence_lock:
            if getattr(server, "fence", None) is None:
                server.fence = cls(server)
            return server.fence

    def strike(self):
        text = f"fence {next(self.numbers)}"
        self.speaker.says(text, channel_id=self.channel)
        return text

    def is_of(self, message):
        data = message.get("event", {}).get("data")
        return isinstance(data, dict) and data.get("channel_id") == self.channel


_fence_lock = threading.Lock()


class Actor(Client):
    """Somebody with a token who takes part: kind is human or agent, name and topic as the server has them."""

    def __init__(self, server, token, id, kind, name, handle=None):
        super().__init__(server.port, token, id, kind)
        self.server, self.kind, self.name, self.handle = server, kind, name, handle

    @property
    def topic(self):
        return f"{'agent' if self.kind == 'agent' else 'user'}:{self.id}"

    @property
    def face(self):
        return {"kind": self.kind, "id": self.id, "name": self.name}

    @property
    def as_mention(self):
        return {"kind": "agent" if self.kind == "agent" else "user", "id": self.id}

    def try_post(self, content, **members):
        return self.post("/v1/posts", {"content": content, **members})

    def says(self, content, **members):
        return self.try_post(content, **members).ok(201)

    def try_reply(self, post, content, **members):
        return self.post(f"/v1/posts/{the_id(post)}/replies", {"content": content, **members})

    def replies(self, post, content, **members):
        return self.try_reply(post, content, **members).ok(201)

    def replies_of(self, post):
        return self.items(f"/v1/posts/{the_id(post)}/replies?limit=100")

    def sees(self, post):
        """The post now, None for who may not see it or when it is gone."""
        reply = self.get(f"/v1/posts/{the_id(post)}")
        return reply.ok(200) if reply.status != 404 else None

    def deletes(self, post):
        return self.delete(f"/v1/posts/{the_id(post)}")

    def reacts(self, post, emoji):
        return self.put(f"/v1/posts/{the_id(post)}/reactions/{quote(emoji, safe='')}")

    def unreacts(self, post, emoji):
        return self.delete(f"/v1/posts/{the_id(post)}/reactions/{quote(emoji, safe='')}")

    def reactions_of(self, post):
        return self.get(f"/v1/posts/{the_id(post)}/reactions").ok(200)["items"]

    def counts_of(self, post):
        return {reaction["emoji"]: reaction["count"] for reaction in self.reactions_of(post)}

    def try_tell(self, whom, content, **members):
        key = "to_agent_id" if getattr(whom, "kind", "agent") == "agent" else "to_user_id"
        return self.post("/v1/direct-messages", {key: the_id(whom), "content": content, **members})

    def tells(self, whom, content, **members):
        return self.try_tell(whom, content, **members).ok(201)

    def inbox(self, **query):
        return self.items("/v1/direct-messages?" + urlencode({"limit": 100, **query}))

    def feed_page(self, **query):
        return self.get("/v1/feed?" + urlencode(query)) if query else self.get("/v1/feed")

    def feed(self, **query):
        """All of it, by cursors."""
        return self.items("/v1/feed?" + urlencode({"limit": 100, **query}))

    def trending(self, **query):
        return self.get("/v1/trending?" + urlencode({"limit": 100, **query})).ok(200)["items"]

    def topics(self, **query):
        return {row["topic"]: row["count"] for row in self.trending(**query)}

    def makes_channel(self, name, **members):
        return self.post("/v1/channels", {"name": name, **members}).ok(200, 201)

    def joins(self, channel, who="me"):
        return self.put(f"/v1/channels/{the_id(channel)}/members/{the_id(who)}")

    def leaves(self, channel, who="me"):
        return self.delete(f"/v1/channels/{the_id(channel)}/members/{the_id(who)}")

    def blocks(self, whom):
        return self.put(f"/v1/blocks/{the_id(whom)}")

    def unblocks(self, whom):
        return self.delete(f"/v1/blocks/{the_id(whom)}")


def agent(server, name, maturity="autonomous", **members):
    """An agent that acts over the wire itself."""
    made = server.agent(name, maturity, **{"kind": "external", **members})
    token = server.post(f"/v1/agents/{made['id']}/tokens", {}).ok(201)["token"]
    return Actor(server, token, made["id"], "agent", made["name"], made["handle"])


def human(server, name=None, role="member"):
    made = server.second_user(role, name)
    me = made.get("/v1/me").ok(200)
    return Actor(server, made.token, me["id"], "human", me["name"])


def admin(server):
    me = server.get("/v1/me").ok(200)
    return Actor(server, server.token, me["id"], "human", me["name"])


@contextlib.contextmanager
def hearing(who, *topics, after=None):
    """A socket of theirs that hears those topics (and their own, as always)."""
    fence = Fence.of(who.server)
    with who.ws() as socket:
        subscribe(socket, *topics, f"channel:{fence.channel}", **({} if after is None else {"after": after}))
        socket.fence = fence
        yield socket


def subscribe(socket, *topics, **more):
    answer = socket.ask({"type": "subscribe", "topics": list(topics), **more})
    assert answer["type"] == "ok", answer
    return answer


def events(socket, *types):
    """Envelopes that came until now, of those types (of any)."""
    return heard([socket], *types)[0]


def heard(sockets, *types):
    """The same of each of them."""
    text = sockets[0].fence.strike() if sockets else None
    out = []
    for socket in sockets:
        come = []
        while True:
            message = socket.recv()
            if not socket.fence.is_of(message):
                come.append(message)
            elif message["event"]["data"].get("content") == text:
                break
        out.append([m for m in come if m["type"] == "event" and (not types or m["event"]["type"] in types)])
    return out


def told(socket, *types):
    """The data of the same."""
    return [m["event"]["data"] for m in events(socket, *types)]
