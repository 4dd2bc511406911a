"""What the writers of crashloop did: every attempt with what was heard of it, and the writers themselves.

An attempt is `acknowledged` (a good answer came), `refused` (a bad one came: nothing may have happened), or `unknown` (the
server died first: it happened whole, or not at all). Each has a mark, a word found in its content and nowhere else.
"""
import asyncio
import http.client
import itertools
import json
import random
import threading
from urllib.parse import quote

import websockets
from support.harness import Client, Socket, Stream, wait_for

GONE = (OSError, http.client.HTTPException, websockets.WebSocketException, asyncio.TimeoutError, TimeoutError)
EMOJIS = ("👍", "🎉", "❤️", "🚀")
ENDS = ("streaming:complete", "streaming:error")
RECENT = 40  # newest things that others refer to
# Answers that say no for a reason of this crowd's own making: what it refers to is gone, a session is busy or full.
REFUSALS = {404, 409, 429}


class Dead(Exception):
    """The server has gone, or the cycle is over."""


class Op:
    """One attempt."""

    def __init__(self, number, cycle, writer, kind, mark, request, **about):
        self.number, self.cycle, self.writer, self.kind, self.mark = number, cycle, writer, kind, mark
        self.request, self.about = request, about
        self.client = writer.client  # who asks
        self.state, self.status, self.body = "unknown", None, None
        self.tried_again, self.again = False, []  # the frames that came to the second try
        self.execution, self.seen = None, []  # of chats: its id, and the frames (epoch, seq, type, data) that came

    @property
    def key(self):
        return f"key-{self.mark}"

    def __str__(self):
        about = " ".join(f"{name}={value}" for name, value in self.about.items() if name != "script")
        heard = f"{self.state}{'' if self.status is None else f' {self.status}'}"
        run = f" execution={self.execution} seen={[e[:3] for e in self.seen[-3:]]}" if self.execution else ""
        again = " (asked again)" if self.tried_again else ""
        return f"#{self.number} cycle {self.cycle} {self.writer.name} {self.kind} {self.mark} {about}: {heard}{again}{run}"


class History:
    """Of one store, over all its cycles. Writers append to it from their threads."""

    def __init__(self):
        self.ops, self.numbers, self.lock = [], itertools.count(1), threading.Lock()
        self.cycle = 0
        self.durable = False  # in this cycle no token is seen before it is on disk
        self.posts, self.channels = [], []  # acknowledged ones that may be referred to
        self.problems = []

    def add(self, writer, kind, request, **about):
        with self.lock:
            number = next(self.numbers)
            op = Op(number, self.cycle, writer, kind, writer.mark, request, durable=self.durable, **about)
            self.ops.append(op)
            return op

    def of(self, *kinds):
        return [op for op in self.ops if op.kind in kinds]

    def around(self, *marks, width=6):
        """The attempts that have or name one of these marks, with what else was going on then."""
        wanted = set(marks)
        hits = [i for i, op in enumerate(self.ops) if op.mark in wanted or wanted & set(map(str, op.about.values()))]
        near = sorted({j for i in hits[:8] for j in range(max(0, i - width), min(len(self.ops), i + width + 1))})
        return "\n".join(f"  {'>' if j in hits else ' '} {self.ops[j]}" for j in near)


class Writer:
    """Somebody who writes until the server is gone. Every second one chats over a WebSocket."""

    def __init__(self, number, name, client, world):
        self.number, self.name, self.client, self.world = number, name, client, world
        self.over_socket, self.is_agent = number % 2 == 1 and client.role != "agent", client.role == "agent"
        self.socket, self.sessions, self.done, self.count = None, [], 0, 0
        self.chance, self.stop, self.thread = None, None, None

    def next_mark(self):
        self.count += 1
        self.mark = f"w{self.number}c{self.world.history.cycle}o{self.count}"

    # ---- one cycle ----

    def start(self, seed, stop):
        self.chance, self.stop, self.done = random.Random(f"{seed}:{self.number}"), stop, 0
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        try:
            while not self.stop.is_set():
                self.one()
                self.done += 1
        except Dead:
            pass
        except Exception as problem:  # of this program: it has to be seen
            self.world.history.problems.append(f"{self.name}: {problem!r}")
        finally:
            self.hang_up()

    def hang_up(self):
        if self.socket is not None:
            self.socket.kill()
            self.socket.close()
            self.socket = None

    def one(self):
        chats = [(self.approval, 14)] if self.is_agent else [(self.chat, 8), (self.chat_streamed, 16)]
        deeds = [(self.post, 24), (self.reply, 14), (self.ask_bot, 2), (self.react, 14), (self.unreact, 4), (self.message, 12),
                 (self.join, 5), (self.leave, 3), (self.make_channel, 1), (self.delete, 2), *chats]
        self.next_mark()
        self.chance.choices([deed for deed, _ in deeds], [weight for _, weight in deeds])[0]()

    # ---- asking ----

    def ask(self, op):
        """Sends the attempt's request; its state says what came. Dead when the server is."""
        method, path, body = op.request
        try:
            reply = op.client.request(method, path, body, headers=self.headers(op))
        except GONE:
            raise Dead from None
        self.heard(op, reply.status, reply.text)
        return op.body if op.state == "acknowledged" else None

    def headers(self, op):
        return {"Idempotency-Key": op.key} if self.world.has_keys and op.request[0] == "POST" else {}

    def heard(self, op, status, text):
        op.status, op.body = status, json.loads(text) if text else None
        if status in (200, 201, 202, 204):
            op.state = "acknowledged"
        elif status == 503:
            op.state = "unknown"  # it stops, or could not keep it: whole or not at all, as if the connection had been cut
        else:
            op.state = "refused"
            if status not in REFUSALS:
                self.world.history.problems.append(f"an answer that nobody expects: {op}: {text}")

    def try_again(self, op):
        """The same request under the same key, after the server came back: it is done once, and heard of now."""
        op.tried_again = True
        again = Op(op.number, op.cycle, self, op.kind, op.mark, op.request, **op.about)
        again.client = op.client
        streamed = op.kind == "chat" and op.request[2]["stream"]

        def look():
            again.seen, again.status = [], None
            if streamed:
                (self.stream_socket if self.over_socket else self.stream_http)(again, None)
            else:
                self.ask(again)
            return again.status != 409 or again.body["code"] not in ("conflict", "session_busy")  # what was begun before is not over yet
        wait_for(look, f"the answer to {op} sent again", timeout=20)
        self.hang_up()
        if op.execution and again.execution and op.execution != again.execution:
            self.world.history.problems.append(f"sent again under its key it became {again.execution}: {op}")
        op.state, op.status, op.body, op.again = again.state, again.status, again.body, again.seen
        op.execution = op.execution or again.execution

    def hear_again(self, op):
        """What was acknowledged, sent again under its key: the first answer."""
        method, path, body = op.request
        reply = op.client.request(method, path, body, headers={"Idempotency-Key": op.key})
        name = "approval_id" if op.kind in ("enforce", "use") else "id"
        if reply.status != op.status or reply.body[name] != op.body[name]:
            self.world.history.problems.append(f"sent again under its key it was answered {reply.status} {reply.text}: {op}")

    def pick(self, things):
        return self.chance.choice(things[-RECENT:]) if things else None

    def other(self):
        return self.chance.choice([w for w in self.world.writers if w is not self])

    # ---- what is done ----

    def post(self):
        where = self.chance.random()
        channel = self.pick(self.world.history.channels) if where < 0.3 else None
        other = self.other() if 0.3 <= where < 0.45 else None
        body = {"content": f"{self.mark} says #tag{self.chance.randrange(5)} hello"}
        if channel:
            body["channel_id"] = channel
        if other:
            body.update(visibility="directed", mentions=[{"kind": "agent" if other.is_agent else "user", "id": other.client.id}])
        if channel and (channel, self.name) not in self.world.joined:
            return self.join(channel)
        op = self.world.history.add(self, "post", ("POST", "/v1/posts", body), channel=channel, to=other.name if other else None)
        made = self.ask(op)
        if made and not channel and not other:
            self.world.history.posts.append((op.mark, made["id"]))
        return None

    def reply(self):
        parent = self.pick(self.world.history.posts)
        if parent:
            self.ask(self.world.history.add(self, "reply", ("POST", f"/v1/posts/{parent[1]}/replies", {"content": f"{self.mark} answers"}),
                                            parent=parent[0]))

    def ask_bot(self):
        """A public post that a hosted agent answers by itself, once."""
        op = self.world.history.add(self, "post", ("POST", "/v1/posts", {"content": f"{self.mark} asks @{self.world.bot['handle']}"}), bot=True)
        self.ask(op)

    def react(self, method="PUT", kind="react"):
        target = self.pick(self.world.history.posts)
        if target:
            emoji = self.chance.choice(EMOJIS)
            path = f"/v1/posts/{target[1]}/reactions/{quote(emoji)}"
            self.ask(self.world.history.add(self, kind, (method, path, None), target=target[0], emoji=emoji))

    def unreact(self):
        self.react("DELETE", "unreact")

    def message(self):
        other = self.other()
        body = {"to_agent_id" if other.is_agent else "to_user_id": other.client.id, "content": f"{self.mark} for you alone"}
        self.ask(self.world.history.add(self, "message", ("POST", "/v1/direct-messages", body), to=other.name))

    def join(self, channel=None):
        channel = channel or self.pick(self.world.history.channels)
        if channel and self.ask(self.world.history.add(self, "join", ("PUT", f"/v1/channels/{channel}/members/me", None), channel=channel)):
            self.world.joined.add((channel, self.name))

    def leave(self):
        channel = self.pick(self.world.history.channels)
        if channel:
            self.world.joined.discard((channel, self.name))
            self.ask(self.world.history.add(self, "leave", ("DELETE", f"/v1/channels/{channel}/members/me", None), channel=channel))

    def make_channel(self):
        op = self.world.history.add(self, "channel", ("POST", "/v1/channels", {"name": self.mark}), channel=self.mark)
        if self.ask(op):
            self.world.joined.add((self.mark, self.name))
            self.world.history.channels.append(self.mark)

    def delete(self):
        own = [op for op in self.world.history.ops[-400:] if op.kind == "post" and op.writer is self and op.state == "acknowledged"]
        target = self.pick(own)
        if target:
            op = self.world.history.add(self, "delete", ("DELETE", f"/v1/posts/{target.body['id']}", None), target=target.mark)
            self.ask(op)

    # ---- approvals ----

    def approval(self):
        """An agent asks, an admin decides, the agent does it: any of the three may be the last that happens."""
        path = f"/v1/agents/{self.client.id}/enforce"
        body = {"action": "send_email", "arguments": {"mark": self.mark}, "require_approval": True}
        asked = self.world.history.add(self, "enforce", ("POST", path, body))
        waiting = self.ask(asked)
        if not waiting or self.chance.random() < 0.2:
            return
        verb = "approve" if self.chance.random() < 0.8 else "reject"
        self.next_mark()
        request = ("POST", f"/v1/approvals/{waiting['approval_id']}/{verb}", {"note": self.mark})
        decided = self.world.history.add(self, "decide", request, target=asked.mark, verb=verb)
        decided.client = self.world.judge
        if self.ask(decided) and verb == "approve" and self.chance.random() < 0.8:
            self.next_mark()
            self.ask(self.world.history.add(self, "use", ("POST", path, {**body, "approval_id": waiting["approval_id"]}), target=asked.mark))

    # ---- chats ----

    def chat_body(self):
        script = {"deltas": [f"{self.mark} ", *(f"word{i} " for i in range(self.chance.randint(0, 30)))],
                  "delay_ms": self.chance.choice((0, 1, 5, 30)), "mark": self.mark}
        body = {"message": "script:" + json.dumps(script)}
        session = self.pick(self.sessions[-3:]) if self.chance.random() < 0.5 else None
        if session:
            body.update(session_id=session, on_busy=self.chance.choice(("enqueue", "enqueue", "interrupt", "reject")))
        return body, "".join(script["deltas"])

    def chat(self):
        body, text = self.chat_body()
        op = self.world.history.add(self, "chat", ("POST", "/v1/chat", {**body, "stream": False}), script=text)
        done = self.ask(op)
        if done:
            op.execution = done["execution_id"]
            self.sessions.append(done["session_id"])

    def chat_streamed(self):
        body, text = self.chat_body()
        op = self.world.history.add(self, "chat", ("POST", "/v1/chat", {**body, "stream": True}), script=text)
        leave_after = self.chance.randint(1, 6) if self.chance.random() < 0.3 else None
        try:
            (self.stream_socket if self.over_socket else self.stream_http)(op, leave_after)
        except GONE:
            raise Dead from None

    def frame(self, op, epoch, data, leave_after):
        """A frame came: whether it was the last to wait for."""
        op.seen.append((epoch, data["seq"], data["type"], data))
        if data["type"] in ENDS:
            op.state, op.status = "acknowledged", data["type"]
        return data["type"] in ENDS or len(op.seen) == leave_after

    def stream_http(self, op, leave_after):
        method, path, body = op.request
        with Stream(*self.client.open(method, path, body, self.headers(op))) as stream:
            if not stream.is_stream:
                self.heard(op, stream.status, stream.reply.text)
                return
            op.execution = stream.headers["x-execution-id"]
            self.sessions.append(stream.headers["x-session-id"])
            while (event := stream.next()) is not None:
                if event.event != "result" and self.frame(op, event.epoch, event.data, leave_after):
                    return
        raise Dead

    def stream_socket(self, op, leave_after):
        if self.socket is None:
            self.socket = Socket(self.client.url, self.client.token)
        key = {"client_id": op.key} if self.world.has_keys else {}
        answer = self.socket.ask({"type": "chat", **op.request[2], **key})
        if answer["type"] == "error":
            status = {"not_found": 404, "session_busy": 409, "conflict": 409, "session_queue_full": 429, "invalid": 422}.get(answer["code"], 503)
            self.heard(op, status, json.dumps(answer))
            return
        op.execution = answer["execution_id"]
        self.sessions.append(answer["session_id"])
        while True:
            data = self.socket.recv()
            ours = data["type"].startswith("streaming:") and (data.get("execution_id") or data["metadata"]["execution_id"]) == op.execution
            if ours and self.frame(op, 1, data, leave_after):
                break
        if leave_after:
            self.hang_up()


class Follower:
    """Somebody who wants every durable event of some topics once, however often the server dies: by offset, over a WebSocket or SSE."""

    def __init__(self, name, client, topics, over_socket):
        self.name, self.client, self.topics, self.over_socket = name, client, topics, over_socket
        self.offset, self.epoch = 0, None
        self.seen, self.gaps, self.problems = [], [], []  # seen: (offset, type)
        self.thread, self.over = None, threading.Event()

    def start(self):
        self.over.clear()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def finish(self):
        """The server has gone, so that nothing holds it."""
        self.over.set()
        self.thread.join(20)

    def work(self):
        while not self.over.is_set():
            try:
                (self.follow_socket if self.over_socket else self.follow_http)()
            except GONE:
                self.over.wait(0.01)
            except Exception as problem:
                self.problems.append(f"follower {self.name}: {problem!r}")
                return

    def event(self, offset, epoch, kind):
        if self.epoch not in (None, epoch):
            self.problems.append(f"follower {self.name}: epoch {epoch} behind {self.epoch}")
        if offset <= self.offset:
            self.problems.append(f"follower {self.name}: event {offset} ({kind}) came behind {self.offset}: twice, or out of order")
        self.offset, self.epoch = max(offset, self.offset), epoch
        self.seen.append((offset, kind))

    def frame(self, data, early):
        """early: what comes before `recovered`, where topics that a connection has unasked (user:) are live at once. It counts from
        `recovered` on, in order of offset; when the server dies before that, it comes again."""
        if data["type"] == "recovered":
            for event in sorted(early or []):
                self.event(*event)
            return None
        if data["type"] == "gap":
            self.gaps.append((data["from"], data["to"]))
        if data["type"] == "event" and data.get("offset") and set(data["topics"]) & set(self.topics):
            event = (data["offset"], data["epoch"], data["event"]["type"])
            early.append(event) if early is not None else self.event(*event)
        return early

    def follow_socket(self):
        early = [] if any(topic.startswith("user:") for topic in self.topics) else None
        with Socket(self.client.url, self.client.token) as socket:
            after = self.offset if self.epoch is None else {"epoch": self.epoch, "offset": self.offset}
            answer = socket.ask({"type": "subscribe", "topics": self.topics, "after": after})
            if answer["type"] != "ok":
                self.problems.append(f"follower {self.name}: {answer}")
                self.over.set()
            while not self.over.is_set():
                try:
                    early = self.frame(socket.recv(0.2), early)
                except asyncio.TimeoutError:
                    continue

    def follow_http(self):
        after = self.offset if self.epoch is None else f"{self.epoch}:{self.offset}"
        path = f"/v1/events?topics={quote(','.join(self.topics), safe=',:')}&after={after}"
        with Stream(*Client.open(self.client, "GET", path)) as stream:
            if not stream.is_stream:
                if stream.status != 503:
                    self.problems.append(f"follower {self.name}: {stream.status} {stream.reply.text}")
                    self.over.set()
                return
            for event in stream:
                self.frame(event.data, None)
