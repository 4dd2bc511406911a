"""A society of people and agents as a state machine (Hypothesis), beside a small model of who sees and hears what.

    Society.town = town        people, agents, a student and everybody; see test_agent_coordination_invariants.py
    run_state_machine_as_test(Society)
"""
import contextlib
import itertools
from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.social import NOBODY, hearing, heard, ids

EMOJI = ["\U0001f44d", "\U0001f389", "\u2764\ufe0f", "\U0001f468\u200d\U0001f469\u200d\U0001f467"]
_numbers = itertools.count(1)

# Words no rule of redaction takes for anything.
plain_texts = st.lists(st.sampled_from(["all", "good", "things", "come", "to", "those", "who", "wait", "\u00e9t\u00e9", "\u65e5\u672c"]), min_size=1,
                       max_size=12).map(" ".join)


def fresh(name):
    """A name no other example has."""
    return f"{name}-{next(_numbers)}"


class Model:
    """Who may see what, and what is there."""

    def __init__(self):
        self.posts, self.channels, self.blocks, self.messages = {}, {}, set(), {}

    def sees(self, who, post):
        if post["deleted"]:
            return False
        if post["visibility"] == "directed":
            return who.id in (post["author"], post["to"])
        channel = self.channels.get(post["channel"])
        return channel is None or not channel["private"] or who.id in channel["members"]

    def in_feed(self, who, post):
        """Public, own, addressed to them, of their channels; and no reply."""
        if post["parent"] or not self.sees(who, post):
            return False
        return post["visibility"] != "channel" or who.id in self.channels[post["channel"]]["members"] or post["author"] == who.id

    def public(self, post):
        return post["visibility"] == "public" or (post["visibility"] == "channel" and not self.channels[post["channel"]]["private"])


class Society(RuleBasedStateMachine):
    """People and agents of one town; the model says what each request answers and what everybody sees and hears."""
    town = None
    posts, channels, messages = Bundle("posts"), Bundle("channels"), Bundle("messages")
    who = st.integers(0, 5)
    anybody = st.integers(0, 6)

    @initialize()
    def begin(self):
        self.model = Model()
        self.tag = "#" + fresh("m").replace("-", "")
        self.all = self.town.everybody
        self.names = {actor.id: actor for actor in self.all}
        self.stack = contextlib.ExitStack()
        self.sockets = [self.stack.enter_context(hearing(actor)) for actor in self.all]
        self.topics = [{actor.topic} for actor in self.all]
        self.expected = [[] for _ in self.all]

    def teardown(self):
        if not hasattr(self, "stack"):
            return
        try:
            self.everybody_hears_what_is_theirs()
            self.everybody_sees_what_is_theirs()
        finally:
            self.stack.close()
            for who, whom in self.model.blocks:
                self.names[who].unblocks(whom)
            for channel, there in self.model.channels.items():
                for member in there["members"]:
                    self.names[member].leaves(channel)

    # ---- the bus ----

    def published(self, topics, kind, key, allowed):
        for n, actor in enumerate(self.all):
            if allowed(actor) and self.topics[n] & set(topics):
                self.expected[n].append((kind, key))

    def where(self, post):
        author = self.names[post["author"]]
        if post["visibility"] == "directed":
            return [author.topic, self.names[post["to"]].topic]
        if post["visibility"] == "channel":
            return [f"channel:{post['channel']}"] + (["global"] if self.model.public(post) else [])
        return ["global"] + ([author.topic] if author.kind == "agent" else []) + (["alerts"] if post["type"] == "alert" else [])

    def about(self, post, kind, key):
        """Something that happened to a post, or to its reply."""
        place = self.model.posts[post["parent"]] if post["parent"] else post
        topics = [f"post:{place['id']}", *self.where(place)]
        self.published(topics, kind, key, lambda actor: self.may_hear(actor, post))

    def may_hear(self, actor, post):
        return self.model.sees(actor, {**post, "deleted": False})

    # ---- posts ----

    def keep(self, made, author, text, visibility, channel=None, to=None, parent=None, kind="status"):
        post = {"id": made["id"], "author": author.id, "text": text, "visibility": visibility, "channel": channel, "to": to, "parent": parent,
                "deleted": False, "reactions": set(), "type": kind, "replies": []}
        self.model.posts[made["id"]] = post
        assert made["content"] == text and made["visibility"] == visibility and made["channel_id"] == channel and made["reply_to"] == parent
        return post

    @rule(target=posts, who=who, text=plain_texts, kind=st.sampled_from(["status", "alert"]))
    def post_publicly(self, who, text, kind):
        author, text = self.all[who], f"{text} {self.tag}"
        post = self.keep(author.says(text, type=kind), author, text, "public", kind=kind)
        self.published(self.where(post), "agent_post", post["id"], lambda actor: True)
        return post["id"]

    @rule(target=posts, who=who, whom=anybody, text=plain_texts)
    def post_to_one(self, who, whom, text):
        author, receiver, text = self.all[who], self.all[whom], f"{text} {self.tag}"
        mentions = [] if author is receiver else [receiver.as_mention]
        reply = author.try_post(text, visibility="directed", mentions=mentions)
        if (receiver.id, author.id) in self.model.blocks:
            assert reply.status == 403
            return NOBODY
        post = self.keep(reply.ok(201), author, text, "directed", to=receiver.id)
        self.published(self.where(post), "agent_post", post["id"], lambda actor: self.model.sees(actor, post))
        return post["id"]

    @rule(target=posts, who=who, channel=channels, text=plain_texts)
    def post_in_channel(self, who, channel, text):
        author, text = self.all[who], f"{text} {self.tag}"
        there = self.model.channels[channel]
        reply = author.try_post(text, channel_id=channel)
        if there["private"] and author.id not in there["members"]:
            assert reply.status == 404
            return NOBODY
        post = self.keep(reply.ok(201), author, text, "channel", channel=channel)
        self.published(self.where(post), "agent_post", post["id"], lambda actor: self.model.sees(actor, post))
        return post["id"]

    @rule(target=posts, who=who, post=posts, text=plain_texts)
    def reply(self, who, post, text):
        author, parent = self.all[who], self.model.posts.get(post)
        reply = author.try_reply(post, text)
        own = parent is not None and parent["author"] == author.id and not parent["deleted"]
        if parent is None or not self.model.sees(author, parent):
            # Who wrote it in a private channel and left is told the same.
            assert reply.status == 404 or (own and reply.status == 403)
            return NOBODY
        to = None
        if parent["visibility"] == "directed":
            to = parent["to"] if parent["author"] == author.id else parent["author"]
            if (to, author.id) in self.model.blocks:
                assert reply.status == 403
                return NOBODY
        made = self.keep(reply.ok(201), author, text, parent["visibility"], channel=parent["channel"], to=to, parent=post)
        parent["replies"].append(made["id"])
        self.about(made, "reply_added", made["id"])
        return made["id"]

    @rule(who=who, post=posts)
    def delete(self, who, post):
        actor, model = self.all[who], self.model.posts.get(post)
        status = actor.deletes(post).status
        mine = model is not None and not model["deleted"] and model["author"] == actor.id
        if mine and not (actor.kind == "agent" and self.town.agents.index(actor) == 2):
            assert status == 204
            model["deleted"] = True
            if model["parent"]:
                self.model.posts[model["parent"]]["replies"].remove(post)
            self.about(model, "post_deleted", post)
        elif mine:
            assert status == 403, "an intern deletes nothing"
        else:
            assert status == (403 if model is not None and self.model.sees(actor, model) else 404)

    @rule(who=who, post=posts, emoji=st.sampled_from(EMOJI), adds=st.booleans())
    def react(self, who, post, emoji, adds):
        actor, model = self.all[who], self.model.posts.get(post)
        status = (actor.reacts if adds else actor.unreacts)(post, emoji).status
        if model is None or not self.model.sees(actor, model):
            assert status == 404
            return
        there = (actor.id, emoji) in model["reactions"]
        assert status == ((200 if there else 201) if adds else 204)
        (model["reactions"].add if adds else model["reactions"].discard)((actor.id, emoji))
        if adds != there:
            topics = [f"post:{post}", *self.where(model)]
            self.published(topics, "reaction_added" if adds else "reaction_removed", post, lambda a: self.model.sees(a, model))

    # ---- channels ----

    @rule(target=channels, who=who, private=st.booleans())
    def make_channel(self, who, private):
        founder, name = self.all[who], fresh("society")
        made = founder.makes_channel(name, private=private)
        self.model.channels[made["id"]] = {"private": private, "members": {founder.id}, "founder": founder.id}
        self.published([f"channel:{made['id']}"] + ([] if private else ["global"]), "channel_created", made["id"],
                       lambda actor: not private or actor is founder)
        return made["id"]

    @rule(who=who, whom=who, channel=channels)
    def let_in(self, who, whom, channel):
        actor, target, there = self.all[who], self.all[whom], self.model.channels[channel]
        reply = actor.joins(channel, "me" if actor is target else target)
        if there["private"] and actor.id not in there["members"]:
            assert reply.status == 404
        elif reply.status == 200:
            if target.id not in there["members"]:
                there["members"].add(target.id)
                self.channel_told(channel, "channel_joined")
            assert reply.body["member_count"] == len(there["members"])
        else:
            assert reply.status == 403 and actor is not target, reply.text

    @rule(who=who, channel=channels)
    def leave(self, who, channel):
        actor, there = self.all[who], self.model.channels[channel]
        status = actor.leaves(channel).status
        if there["private"] and actor.id not in there["members"]:
            assert status in (204, 404)
            return
        assert status == 204
        if actor.id in there["members"]:
            members = set(there["members"])
            there["members"].discard(actor.id)
            self.channel_told(channel, "channel_left", members)

    def channel_told(self, channel, kind, members=None):
        there = self.model.channels[channel]
        allowed = (lambda actor: True) if not there["private"] else (lambda actor: actor.id in there["members"])
        self.published([f"channel:{channel}"] + ([] if there["private"] else ["global"]), kind, channel, allowed)

    # ---- direct messages ----

    @rule(target=messages, who=who, whom=anybody, text=plain_texts)
    def tell(self, who, whom, text):
        sender, receiver = self.all[who], self.all[whom]
        reply = sender.try_tell(receiver, text)
        if sender is receiver:
            assert reply.status in (201, 422)
            if reply.status == 422:
                return NOBODY
        if (receiver.id, sender.id) in self.model.blocks and reply.status != 201:
            assert reply.status == 403
            return NOBODY
        assert (receiver.id, sender.id) not in self.model.blocks
        made = reply.ok(201)
        self.model.messages[made["id"]] = {"from": sender.id, "to": receiver.id, "text": text, "read": False, "gone": set()}
        self.published([sender.topic, receiver.topic], "direct_message", made["id"], lambda actor: actor in (sender, receiver))
        return made["id"]

    @rule(who=anybody, message=messages)
    def read(self, who, message):
        actor, model = self.all[who], self.model.messages.get(message)
        status = actor.post(f"/v1/direct-messages/{message}/read").status
        if model is not None and model["to"] == actor.id and actor.id not in model["gone"]:
            assert status == 200
            model["read"] = True
        else:
            assert status in (403, 404) and (status == 404 or model["from"] == actor.id)

    @rule(who=who, message=messages)
    def forget(self, who, message):
        actor, model = self.all[who], self.model.messages.get(message)
        status = actor.delete(f"/v1/direct-messages/{message}").status
        if model is None or actor.id not in (model["from"], model["to"]):
            assert status in (403, 404)
        elif status == 204:
            model["gone"].add(actor.id)
        else:
            # Deleting is above an intern's level.
            assert status in (403, 404) and (actor.id in model["gone"] or actor.kind == "agent")

    @rule(who=who, whom=who, blocks=st.booleans())
    def block(self, who, whom, blocks):
        actor, target = self.all[who], self.all[whom]
        if actor is target:
            return
        assert (actor.blocks if blocks else actor.unblocks)(target).status in (200, 201, 204)
        (self.model.blocks.add if blocks else self.model.blocks.discard)((actor.id, target.id))

    # ---- listening ----

    @rule(who=anybody, data=st.data(), joins=st.booleans())
    def listen(self, who, data, joins):
        names = ["global", "alerts", *(actor.topic for actor in self.all), *(f"channel:{c}" for c in self.model.channels),
                 *(f"post:{p}" for p in self.model.posts)]
        topic = data.draw(st.sampled_from(names))
        actor, socket = self.all[who], self.sockets[who]
        if topic == actor.topic:
            return
        answer = socket.ask({"type": "subscribe" if joins else "unsubscribe", "topics": [topic]})
        if not joins:
            self.topics[who].discard(topic)
            return
        kind, _, key = topic.partition(":")
        may = not (kind == "user" or
                   (kind == "channel" and self.model.channels[key]["private"] and actor.id not in self.model.channels[key]["members"]) or
                   (kind == "post" and not self.model.sees(actor, self.model.posts[key])))
        assert answer["type"] == ("ok" if may else "error"), (topic, answer)
        if may:
            self.topics[who].add(topic)

    @precondition(lambda self: any(self.expected))
    @rule()
    def everybody_hears_what_is_theirs(self):
        come = heard(self.sockets)
        for n, actor in enumerate(self.all):
            got = [(m["event"]["type"], self.key_of(m["event"])) for m in come[n]]
            assert got == self.expected[n], f"{actor.name} on {self.topics[n]}"
            self.expected[n] = []

    @staticmethod
    def key_of(event):
        data = event["data"]
        return data.get("post_id") or (data.get("channel_id") if event["type"].startswith("channel_") and "channel_id" in data else data.get("id"))

    # ---- looking ----

    @rule()
    def everybody_sees_what_is_theirs(self):
        newest = list(reversed(self.model.posts.values()))
        for actor in self.all:
            home = [post for post in actor.feed_page(limit=100).ok(200)["items"] if post["id"] in self.model.posts]
            assert ids(home) == [post["id"] for post in newest if self.model.in_feed(actor, post)], actor.name
            page = actor.feed(hashtag=self.tag)
            wanted = [post for post in newest if not post["parent"] and self.model.sees(actor, post)]
            assert ids(page) == ids(wanted), actor.name
            for shown, post in zip(page, wanted):
                assert shown["reply_count"] == len(post["replies"])
                assert {row["emoji"]: row["count"] for row in shown["reactions"]} == dict(Counter(e for _, e in post["reactions"]))
                assert {row["emoji"] for row in shown["reactions"] if row["mine"]} == {e for w, e in post["reactions"] if w == actor.id}
            inbox = [m for m in actor.inbox() if m["id"] in self.model.messages]
            mine = [(key, m["read"]) for key, m in reversed(self.model.messages.items()) if m["to"] == actor.id and actor.id not in m["gone"]]
            assert [(m["id"], m["read_at"] is not None) for m in inbox] == mine, actor.name

    @rule(who=anybody, post=posts)
    def look_at_one(self, who, post):
        actor, model = self.all[who], self.model.posts.get(post)
        shown = actor.sees(post)
        assert (shown is not None) is (model is not None and self.model.sees(actor, model))
        if shown is not None:
            assert shown["content"] == model["text"] and shown["reply_count"] == len(model["replies"])
            assert ids(actor.replies_of(post)) == model["replies"]
            assert actor.counts_of(post) == dict(Counter(e for _, e in model["reactions"]))

    @invariant()
    def nothing_private_trends(self):
        if not hasattr(self, "model") or len(self.model.posts) % 5 != 4:
            return
        count = sum(self.model.public(p) and not p["deleted"] and not p["parent"] for p in self.model.posts.values())
        assert self.all[6].topics().get(self.tag, 0) in (count, 0)
