"""Whether what a store holds is what its writers were told: nothing acknowledged is lost, nothing is there twice, all counts are right.

The store is read as a file (the log's rows and the tables), and through the API as its users see it. A problem is (what, marks):
the marks find the attempts in the history.
"""
import collections
import contextlib
import json
import os
import re
import sqlite3
import subprocess

from crash_history import ENDS
from support.harness import wait_for

MARK = re.compile(r"\bw\d+c\d+o\d+\b")
OPEN, COMPLETED, INTERRUPTED = (1, 2), 3, 7
PENDING, APPROVED, CONSUMED, REJECTED = 1, 2, 3, 4


def mark_of(text):
    found = MARK.search(text or "")
    return found.group() if found else None


# Losses that the check has to notice, each tried on a good store; without that nobody would know that it can fail.
LAST = "(SELECT max(id) FROM {0} WHERE {1})"
PLAIN = "deleted_at IS NULL AND auto_generated = 0"
CHAT = "status = 3 AND message LIKE 'script:%'"
SPOILS = (
    f"DELETE FROM post WHERE id = {LAST.format('post', PLAIN)}",
    f"UPDATE post SET reply_count = reply_count + 1 WHERE id = {LAST.format('post', PLAIN)}",
    f"UPDATE post SET reaction_count = reaction_count - 1 WHERE id = {LAST.format('post', PLAIN)}",
    f"UPDATE post SET id = 1 WHERE id = {LAST.format('post', PLAIN + ' AND reply_count > 0')}",
    "DELETE FROM reaction WHERE actor = (SELECT max(actor) FROM reaction)",
    "UPDATE reaction_sum SET actors = actors + 1",
    "DELETE FROM channel_member WHERE actor = (SELECT max(actor) FROM channel_member)",
    "UPDATE channel SET member_count = member_count + 1",
    f"DELETE FROM direct_message WHERE id = {LAST.format('direct_message', '1 = 1')}",
    f"UPDATE direct_message SET content = 'w999c1o1' WHERE id = {LAST.format('direct_message', '1 = 1')}",
    f"DELETE FROM turn WHERE id = {LAST.format('turn', CHAT)}",
    f"UPDATE turn SET status = 2 WHERE id = {LAST.format('turn', CHAT)}",
    f"UPDATE turn SET answer = 'other' WHERE id = {LAST.format('turn', CHAT)}",
    "UPDATE session SET message_count = message_count + 1",
    f"DELETE FROM approval WHERE id = {LAST.format('approval', '1 = 1')}",
    f"UPDATE approval SET status = 2 WHERE id = {LAST.format('approval', 'status = 3')}",
    f"UPDATE approval SET status = 1 WHERE id = {LAST.format('approval', 'status = 4')}",
    f"UPDATE approval SET note = NULL WHERE id = {LAST.format('approval', 'note IS NOT NULL')}",
    "DELETE FROM log WHERE seq = (SELECT max(seq) / 2 FROM log)",
    "UPDATE log SET event_type = NULL WHERE seq = (SELECT max(seq) FROM log WHERE event_type = 'agent_post')",
    "UPDATE log SET event_type = NULL WHERE seq = (SELECT max(seq) FROM log WHERE event_type = 'execution_ended')",
    "UPDATE log SET event_type = 'reaction_removed' WHERE seq = (SELECT max(seq) FROM log WHERE event_type = 'reaction_added')",
    "UPDATE log SET outcome = 2 WHERE seq = (SELECT max(seq) FROM log WHERE outcome = 1)",
)


class Check:
    def __init__(self, world, chance):
        self.world, self.server, self.history, self.chance = world, world.server, world.history, chance
        self.problems, self.spoilt = [], None

    def wrong(self, what, *marks):
        self.problems.append((what, [mark for mark in marks if mark]))

    def rows(self, sql, *values):
        if self.spoilt is not None:
            return self.spoilt.execute(sql, values).fetchall()
        with contextlib.closing(sqlite3.connect(f"file:{self.server.data}/guild.db?mode=ro", uri=True)) as store:
            return store.execute(sql, values).fetchall()

    def settle(self):
        """What the dead process left is taken up: queued runs, answers that agents owe."""
        def settled():
            return self.rows("SELECT id FROM turn WHERE status <= 2 LIMIT 1") == [] and self.rows("SELECT agent FROM auto_answer LIMIT 1") == []
        try:
            wait_for(settled, "every run to end and every answer to be given", timeout=30)
        except AssertionError as problem:
            left = self.rows("SELECT message FROM turn WHERE status <= 2")
            self.wrong(f"{problem}: {len(left)} runs, {self.rows('SELECT * FROM auto_answer')} answers", *(mark_of(row[0]) for row in left))

    def all(self):
        self.settle()
        self.tables()
        self.streams()
        self.followers()
        self.seen_by_users()
        self.audit()
        return self.problems

    def tables(self):
        for check in (self.load, self.log, self.posts, self.reactions, self.members, self.messages, self.approvals, self.turns):
            check()

    def spoils_unseen(self):
        """Spoils the store of a dead server in every way of SPOILS, each undone: those that the check does not notice."""
        unseen = []
        store = sqlite3.connect(self.server.data / "guild.db", isolation_level=None)
        for spoil in SPOILS:
            store.execute("BEGIN")
            changed = store.execute(spoil).rowcount
            self.spoilt, self.problems = store, []
            self.tables()
            store.execute("ROLLBACK")
            if changed and not self.problems:
                unseen.append(spoil)
        store.close()
        return unseen

    def load(self):
        self.names = {w.client.id: w.name for w in self.world.writers}
        keys = self.rows("SELECT name, id FROM principal UNION ALL SELECT name, id FROM agent")
        self.name_of = {key: name for name, key in keys}
        self.events = []  # (seq, type, topics, data)
        for seq, kind, topics, data in self.rows("SELECT seq, event_type, topics, event_data FROM log WHERE event_type IS NOT NULL ORDER BY seq"):
            self.events.append((seq, kind, (topics or "").split(), json.loads(data) if data else {}))

    # ---- the log ----

    def log(self):
        count, first, last = self.rows("SELECT count(*), min(seq), max(seq) FROM log")[0]
        if (first, count) != (1, last):
            self.wrong(f"the log has {count} rows from {first} to {last}")

    def audit(self):
        done = subprocess.run([os.environ["GUILD_BINARY"], "audit", "verify", "--data", str(self.server.data)], capture_output=True, text=True,
                              check=False, timeout=120)
        if done.returncode != 0:
            self.wrong(f"guild audit verify: {done.stdout}{done.stderr}")

    # ---- once, or not at all ----

    def once(self, op, count, what):
        """Whether it is there: an acknowledged attempt once, an unknown one at most once, a refused one never."""
        if count > 1:
            self.wrong(f"{what} is there {count} times", op.mark)
        elif count == 0 and op.state == "acknowledged":
            self.wrong(f"{what} was acknowledged and is lost", op.mark)
        elif count == 1 and op.state == "refused":
            self.wrong(f"{what} was refused and is there", op.mark)
        return count > 0

    def posts(self):
        told = collections.Counter(mark_of(data["content"]) for _, kind, _, data in self.events
                                   if kind in ("agent_post", "reply_added") and not data["auto_generated"])
        rows = self.rows("SELECT id, content, reply_to, auto_generated, reply_count, reaction_count, author FROM post WHERE deleted_at IS NULL")
        self.live = {mark_of(row[1]): row for row in rows if row[3] == 0}
        self.key_of = {mark: row[0] for mark, row in self.live.items()}
        twice = [mark for mark, n in collections.Counter(mark_of(row[1]) for row in rows if row[3] == 0).items() if n > 1]
        if twice:
            self.wrong("posts are there twice", *twice)
        deletes = {op.about["target"]: op for op in self.history.of("delete") if op.state != "refused"}
        ops = {op.mark: op for op in self.history.of("post", "reply")}
        for mark in set(self.live) | set(told):
            if mark is not None and mark not in ops:
                self.wrong(f"{mark} was never written")
        self.present = set()
        for mark, op in ops.items():
            if self.once(op, told[mark], f"the event of {op.kind} {mark}"):
                self.present.add(mark)
            deleted = deletes.get(mark)
            if mark in self.live and deleted and deleted.state == "acknowledged":
                self.wrong(f"{mark} was deleted, which was acknowledged, and is there", mark)
            if (mark in self.live) != (mark in self.present) and not deleted:
                self.wrong(f"{mark}: its event {'is' if mark in self.present else 'is not'} there, its row is otherwise", mark)
        self.replies(rows, ops)

    def replies(self, rows, ops):
        children = collections.defaultdict(list)
        for row in rows:
            if row[2]:
                children[row[2]].append(row)
        wanted = collections.Counter(op.about["parent"] for op in ops.values() if op.kind == "reply" and op.mark in self.present)
        for mark, (key, _, _, _, reply_count, _, _) in self.live.items():
            mine = children.get(key, [])
            answers = [row for row in mine if row[3]]
            if reply_count != len(mine) or len(mine) - len(answers) != wanted[mark]:
                self.wrong(f"{mark} says {reply_count} replies, {len(mine)} are there ({len(answers)} of them automatic), "
                           f"{wanted[mark]} were written", mark)
            if len(answers) != (1 if mark in ops and ops[mark].about.get("bot") else 0):
                self.wrong(f"{mark} has {len(answers)} automatic answers", mark)

    # ---- what is on or off: reactions, memberships ----

    def switches(self, ops, on, off, what):
        """What each may be now, from what its one writer did to it in order: {thing: {True, False}}."""
        may_be = collections.defaultdict(lambda: {False})
        for op in ops:
            thing = what(op)
            if thing is None or op.state == "refused":
                continue
            new = {op.kind in on}
            may_be[thing] = new if op.state == "acknowledged" else may_be[thing] | new
        return may_be

    def compare(self, may_be, there, changes, word):
        """changes: {thing: [True, False, ...]}, its events in order."""
        for thing in set(may_be) | set(there) | set(changes):
            now, told = thing in there, changes.get(thing, [])
            if now not in may_be.get(thing, {False}):
                self.wrong(f"{word} {thing} is {'there' if now else 'not there'}, against what was acknowledged last", *thing)
            if told != [i % 2 == 0 for i in range(len(told))] or (len(told) % 2 == 1) != now:
                self.wrong(f"{word} {thing} is {'there' if now else 'not there'} behind the events {told}", *thing)

    def reactions(self):
        live = set(self.live)
        may_be = self.switches(self.history.of("react", "unreact"), {"react"}, {"unreact"},
                               lambda op: (op.about["target"], op.about["emoji"], op.writer.name) if op.about["target"] in live else None)
        by_key = {key: mark for mark, key in self.key_of.items()}
        rows = self.rows("SELECT post, emoji, actor FROM reaction")
        there = {(by_key[post], emoji, self.name_of[actor]) for post, emoji, actor in rows if post in by_key}
        ids = {op.body["id"]: op.mark for op in self.history.of("post") if op.state == "acknowledged"}
        changes = collections.defaultdict(list)
        for _, kind, _, data in self.events:
            if kind in ("reaction_added", "reaction_removed") and ids.get(data["post_id"]) in live:
                changes[ids[data["post_id"]], data["emoji"], data["actor"]["name"]].append(kind == "reaction_added")
        self.compare(may_be, there, changes, "the reaction")
        counts = collections.Counter(mark for mark, _, _ in there)
        for mark, row in self.live.items():
            if row[5] != counts[mark]:
                self.wrong(f"{mark} says {row[5]} reactions, {counts[mark]} are there", mark)
        bad = self.rows("SELECT s.post, s.emoji FROM reaction_sum s WHERE s.actors <> (SELECT count(*) FROM reaction r WHERE r.post = s.post "
                        "AND r.emoji = s.emoji)")
        if bad:
            self.wrong(f"sums of reactions that are wrong: {bad[:5]}")

    def members(self):
        may_be = self.switches(self.history.of("join", "leave", "channel"), {"join", "channel"}, {"leave"},
                               lambda op: (op.about["channel"], op.writer.name))
        rows = self.rows("SELECT c.name, m.actor FROM channel_member m JOIN channel c ON c.id = m.channel")
        self.member = {(name, self.name_of[actor]) for name, actor in rows if MARK.fullmatch(name)}
        changes = collections.defaultdict(list)
        for _, kind, _, data in self.events:
            if kind == "channel_created" and data["created_by"] in self.names:
                changes[data["name"], self.names[data["created_by"]]].append(True)
            elif kind in ("channel_joined", "channel_left") and MARK.fullmatch(data["name"]):
                changes[data["name"], data["actor"]["name"]].append(kind == "channel_joined")
        self.compare(may_be, self.member, changes, "the membership")
        counts = collections.Counter(name for name, _ in self.member)
        for name, count in self.rows("SELECT name, member_count FROM channel"):
            if MARK.fullmatch(name) and count != counts[name]:
                self.wrong(f"channel {name} says {count} members, {counts[name]} are there", name)
        made = {row[0] for row in self.rows("SELECT name FROM channel")}
        for op in self.history.of("channel"):
            self.once(op, int(op.mark in made), f"channel {op.mark}")

    def messages(self):
        told = collections.Counter(mark_of(data.get("content")) for _, kind, _, data in self.events if kind == "direct_message")
        rows = self.rows("SELECT content, recipient FROM direct_message")
        there = collections.Counter(mark_of(content) for content, _ in rows)
        self.inboxes = collections.defaultdict(set)
        for content, recipient in rows:
            self.inboxes[self.name_of[recipient]].add(mark_of(content))
        for op in self.history.of("message"):
            self.once(op, there[op.mark], f"message {op.mark}")
            if told[op.mark] != there[op.mark]:
                self.wrong(f"message {op.mark} has {told[op.mark]} events", op.mark)
            if there[op.mark] and op.mark not in self.inboxes[op.about["to"]]:
                self.wrong(f"message {op.mark} went to somebody else", op.mark)

    # ---- approvals ----

    def approvals(self):
        """What was asked for is there once, decided as was said, and done at most once."""
        there = collections.defaultdict(list)
        for arguments, status, note in self.rows("SELECT arguments, status, note FROM approval"):
            there[mark_of(arguments)].append((status, mark_of(note)))
        done = collections.Counter()
        for (entry,) in self.rows("SELECT entry FROM log WHERE action = 'send_email' AND entry IS NOT NULL"):
            entry = json.loads(entry)
            done[entry["change"]["approval_id"]] += entry["outcome"] == "completed"
        told = collections.Counter((kind, data["id"]) for _, kind, _, data in self.events if kind in ("approval_requested", "approval_decided"))
        requested, decided = (sum(n for (kind, _), n in told.items() if kind == word) for word in ("approval_requested", "approval_decided"))
        rows = [row for found in there.values() for row in found]
        if (requested, decided) != (len(rows), sum(status != PENDING for status, _ in rows)):
            self.wrong(f"{len(rows)} approvals, {requested} events of requests and {decided} of decisions")
        if any(status != PENDING and note is None for status, note in rows):
            self.wrong("an approval was decided without its note")
        ids = {}
        for op in self.history.of("enforce"):
            if self.once(op, len(there[op.mark]), f"the approval {op.mark}") and op.state == "acknowledged":
                ids[op.mark] = op.body["approval_id"]
                status = there[op.mark][0][0]
                events = [told[kind, ids[op.mark]] for kind in ("approval_requested", "approval_decided")]
                if events != [1, int(status != PENDING)] or done[ids[op.mark]] != int(status == CONSUMED):
                    self.wrong(f"the approval {op.mark} is in state {status}, with {events} events, done {done[ids[op.mark]]} times", op.mark)
        for op in self.history.of("decide"):
            target = op.about["target"]
            status, note = (there[target] or [(0, None)])[0]
            wanted = {"approve": (APPROVED, CONSUMED), "reject": (REJECTED,)}[op.about["verb"]]
            if self.once(op, int(note == op.mark), f"the decision {op.mark}") and status not in wanted:
                self.wrong(f"{target} was decided by {op.about['verb']} and is in state {status}", target, op.mark)
        for op in self.history.of("use"):
            self.once(op, int(there[op.about["target"]][:1] != [] and there[op.about["target"]][0][0] == CONSUMED), f"what {op.mark} was let to do")

    # ---- runs ----

    def turns(self):
        rows = self.rows("SELECT id, status, message, answer, epoch FROM turn")
        self.turn = collections.defaultdict(list)
        for row in rows:
            self.turn[mark_of(row[2])].append(row)
        for op in self.history.of("chat"):
            mine = self.turn.get(op.mark, [])
            if len(mine) > 1:
                self.wrong(f"chat {op.mark} ran {len(mine)} times", op.mark)
            if not mine and (op.execution or op.state == "acknowledged"):
                self.wrong(f"chat {op.mark} was acknowledged and is lost", op.mark)
            if mine and op.state == "acknowledged" and op.status in (200, "streaming:complete") and mine[0][1] != COMPLETED:
                self.wrong(f"chat {op.mark} was complete and is in state {mine[0][1]}", op.mark)
            whole, answer = op.about["script"], (mine[0][3] or "") if mine else ""
            if mine and (answer != whole if mine[0][1] == COMPLETED else not whole.startswith(answer)):
                self.wrong(f"chat {op.mark} is in state {mine[0][1]} with {answer!r} of {whole!r}", op.mark)
            frames = op.again or op.seen
            if mine and op.status == "streaming:complete" and frames[-1][3]["content"] != op.about["script"]:
                self.wrong(f"chat {op.mark} was told {frames[-1][3]['content']!r}", op.mark)
        begun, ended = (dict(self.rows(f"SELECT execution, count(*) FROM log WHERE execution <> 0 AND outcome {which} GROUP BY execution"))
                        for which in ("= 1", "> 1"))
        for key, status, message, _, _ in rows:
            if status in OPEN or begun.get(key) != 1 or ended.get(key) != 1:
                self.wrong(f"a run in state {status} has begun {begun.get(key, 0)} times and ended {ended.get(key, 0)} times: {message[:80]}",
                           mark_of(message))
        for kind in ("execution_started", "execution_ended"):
            told = collections.Counter(data["execution_id"] for _, event, _, data in self.events if event == kind)
            if any(n != 1 for n in told.values()) or len(told) != len(rows):
                self.wrong(f"{len(rows)} runs, {sum(told.values())} events {kind} of {len(told)}")
        bad = self.rows("SELECT id FROM session WHERE open_count <> 0") + self.rows(
            "SELECT s.id FROM session s WHERE s.message_count <> (SELECT coalesce(sum(CASE WHEN rolled_back = 1 THEN 0 ELSE 1 + has_answer END), 0) "
            "FROM turn t WHERE t.session = s.id)")
        if bad:
            self.wrong(f"sessions with wrong counts: {bad[:5]}")

    def streams(self):
        """Streams of this cycle, read again: without a gap, with one end, and what was seen is there."""
        for op in self.history.of("chat"):
            if op.cycle == self.history.cycle and op.execution and self.turn.get(op.mark):
                with op.writer.client.events(op.execution, after=0) as stream:
                    whole = stream.collect()
                self.stream(op, self.turn[op.mark][0], whole, op.seen)
                self.stream(op, self.turn[op.mark][0], whole, op.again)

    def stream(self, op, turn, whole, frames):
        seqs, ends = [e.seq for e in whole], [e.event for e in whole if e.event in ENDS]
        if seqs != list(range(1, len(seqs) + 1)) or ends != [whole[-1].event if whole else None]:
            self.wrong(f"the stream of {op.mark} has the numbers {seqs} and the ends {ends}", op.mark)
            return
        seen = [seq for _, seq, _, _ in frames]
        if seen != list(range(1, len(seen) + 1)):
            self.wrong(f"the stream of {op.mark} came with the numbers {seen}", op.mark)
        kept = {e.seq: e for e in whole if e.event not in ENDS}
        for _, seq, kind, data in frames:
            same = seq in kept and kept[seq].event == kind and kept[seq].data.get("delta") == data.get("delta")
            lost = turn[1] == INTERRUPTED and seq > len(kept) and not op.about["durable"]
            if kind in ENDS and (whole[-1].event, whole[-1].seq) != (kind, seq):
                self.wrong(f"{op.mark} ended with {kind} {seq}, and now with {whole[-1].event} {whole[-1].seq}", op.mark)
            if kind not in ENDS and not same and not lost:
                self.wrong(f"{op.mark}: number {seq} was seen and is {'other' if seq in kept else 'lost'} (durable: {op.about['durable']})", op.mark)
        if frames and frames is op.seen:
            self.resumed(op, turn, whole, kept)

    def resumed(self, op, turn, whole, kept):
        """Going on behind the last that was seen gives the rest, or says where the kept ones end."""
        epoch, seq, kind, _ = op.seen[-1]
        with op.writer.client.events(op.execution, last_event_id=f"{op.execution}:{epoch}:{seq}") as stream:
            rest = stream.collect() if stream.is_stream else []
        if kind in ENDS:
            good = rest == []
        elif seq > len(kept):  # of an interrupted run, in an epoch that is over
            good = [e.event for e in rest] == ["streaming:error"] and rest[0].data["last_durable_seq"] == len(kept)
        else:
            good = [e.seq for e in rest] == list(range(seq + 1, len(whole) + 1))
        if not good:
            said = [(e.event, e.id, e.data.get("last_durable_seq")) for e in rest]
            self.wrong(f"{op.mark} goes on behind {epoch}:{seq} of {len(whole)} with {said}", op.mark)

    # ---- who follows ----

    def followers(self):
        for follower in self.world.followers:
            wanted = [(seq, kind) for seq, kind, topics, _ in self.events if set(topics) & set(follower.topics)]
            last = wanted[-1][0] if wanted else 0
            try:
                wait_for(lambda f=follower, n=last: f.offset >= n or f.problems, f"follower {follower.name} to reach offset {last}", timeout=20)
            except AssertionError as problem:
                self.wrong(f"{problem}; it is at {follower.offset}")
            told = [event for event in follower.seen if event[0] <= last]
            missing = {e for e in set(wanted) - set(told) if not any(a < e[0] <= b for a, b in follower.gaps)}
            invented = set(told) - set(wanted)
            if missing or invented or len(told) != len(set(told)):
                marks = [mark_of(json.dumps(data)) for seq, kind, _, data in self.events if (seq, kind) in missing]
                self.wrong(f"follower {follower.name}: missing {sorted(missing)[:5]}, not for it {sorted(invented)[:5]}, "
                           f"{len(told) - len(set(told))} twice", *marks)
            for problem in follower.problems:
                self.wrong(problem)
            follower.problems = []

    # ---- as users see it ----

    def seen_by_users(self):
        for writer in self.chance.sample(self.world.writers, 2):
            self.feed(writer)
            self.inbox(writer)
        for op in self.history.ops:
            if op.cycle == self.history.cycle and op.mark in self.live and op.state == "acknowledged" and self.chance.random() < 0.2:
                post = op.writer.client.get(f"/v1/posts/{op.body['id']}").ok(200)
                if (mark_of(post["content"]), post["reply_count"], sum(r["count"] for r in post["reactions"])) != \
                        (op.mark, self.live[op.mark][4], self.live[op.mark][5]):
                    self.wrong(f"{op.mark} is shown as {post}", op.mark)

    def feed(self, writer):
        seen = [mark_of(post["content"]) for post in writer.client.items("/v1/feed?limit=100")]
        wanted = set()
        for op in self.history.of("post"):
            mine = op.writer is writer or op.about.get("to") == writer.name
            channel = op.about.get("channel")
            if op.mark in self.live and (mine or (not op.about.get("to") and not channel) or (channel, writer.name) in self.member):
                wanted.add(op.mark)
        if len(seen) != len(set(seen)) or set(seen) != wanted:
            self.wrong(f"the feed of {writer.name} has {len(seen)} posts for {len(wanted)}", *sorted(set(seen) ^ wanted)[:3])

    def inbox(self, writer):
        seen = [mark_of(message["content"]) for message in writer.client.items("/v1/direct-messages?limit=100")]
        unread = writer.client.get("/v1/direct-messages?limit=1").ok(200)["unread"]
        if sorted(seen) != sorted(self.inboxes[writer.name]) or unread != len(seen):
            self.wrong(f"the inbox of {writer.name} has {len(seen)} messages, {unread} unread, for {len(self.inboxes[writer.name])}",
                       *sorted(set(seen) ^ self.inboxes[writer.name])[:3])
