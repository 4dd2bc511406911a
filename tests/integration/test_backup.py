"""Backups of a running server, what a restore means to clients, the check of a store with damage planted in it, retention."""
import http.client
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import threading

import pytest
from support.harness import REPLY_S, Stream, wait_for

DAMAGE = {
    "ledger": "INSERT INTO balance (scope, month, kind, workspace, reserved, settled) VALUES (1, 24322, 2, 1, 0, 1)",
    "audit": "UPDATE log SET action = 'something' WHERE seq = (SELECT max(seq) FROM log WHERE entry IS NOT NULL)",
    "audit gap": "DELETE FROM log WHERE seq = 5",
    "session_messages": "UPDATE session SET message_count = message_count + 1",
    "session_open": "UPDATE session SET open_count = 1",
    "turn_end": "UPDATE turn SET ended_at = NULL WHERE id = (SELECT max(id) FROM turn)",
    "turn_references": "UPDATE turn SET session = 12345 WHERE id = (SELECT max(id) FROM turn)",
    "run_queue": "INSERT INTO run_queue SELECT workspace, id, agent, session, 2, 1, 0, 0 FROM turn LIMIT 1",
    "run_after": "INSERT INTO run_after VALUES (1, 2)",
    "token_batches": "INSERT INTO token_batch VALUES (99, 1, 2, 1, x'01', 'x')",
    "post_replies": "UPDATE post SET reply_count = 7 WHERE reply_to = 0",
    "post_reactions": "UPDATE post SET reaction_count = 7 WHERE reply_to = 0",
    "reaction_sums": "UPDATE reaction_sum SET actors = actors + 1",
    "post_references": "UPDATE post SET author = 4711 WHERE reply_to <> 0",
    "reactions": "DELETE FROM post WHERE reaction_count > 0",
    "channel_members": "UPDATE channel SET member_count = 9",
    "memberships": "INSERT INTO channel_member VALUES (99, 1, 1, 1)",
    "message_references": "UPDATE direct_message SET recipient = 4711",
    "trends": "UPDATE trend SET posts = posts + 1",
    "trends gone": "DELETE FROM trend",
    "trends more": "INSERT INTO trend VALUES ((SELECT min(id) FROM workspace), 490000, '#nobody', 1)",
    "log_events": "UPDATE log SET kinds = kinds - 4 WHERE event_type IS NOT NULL",
}


def fill(server):
    """Something of everything that the checks look at."""
    session = server.chat("hello").ok(200)["session_id"]
    server.chat("and on", session_id=session).ok(200)
    post = server.post("/v1/posts", {"content": "what do you think of #this?"}).ok(201)
    server.post(f"/v1/posts/{post['id']}/replies", {"content": "a lot"}).ok(201)
    server.put(f"/v1/posts/{post['id']}/reactions/%F0%9F%91%8D").ok(200, 201, 204)
    server.post("/v1/channels", {"name": "room"}).ok(201)
    other = server.second_user()
    server.post("/v1/direct-messages", {"to_user_id": other.id, "content": "psst"}).ok(201)
    return session


def checks(server, *arguments):
    done = server.cli("verify", "--json", *arguments)
    return done.returncode, {row["name"]: row for row in json.loads(done.stdout)["checks"]}


def listen(server, after):
    return Stream(*server.open("GET", f"/v1/events?topics=global&after={after}"))


class Writers:
    """Eight of them, each with its own count of what was acknowledged."""

    def __init__(self, server, count=8):
        self.server, self.stop = server, threading.Event()
        self.acknowledged = [[] for _ in range(count)]
        self.threads = [threading.Thread(target=self.run, args=(kept,)) for kept in self.acknowledged]

    def run(self, kept):
        number = 0
        while not self.stop.is_set():
            number += 1
            try:
                reply = self.server.chat(f"{number}") if number % 2 else self.server.post("/v1/posts", {"content": f"post {number}"})
            except (OSError, http.client.HTTPException):
                return
            if reply.status in (200, 201):
                kept.append(reply.body.get("execution_id") or reply.body["id"])

    def total(self):
        return sum(len(kept) for kept in self.acknowledged)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_for(lambda: self.total() >= 50, "the first fifty")
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(REPLY_S)


class TestBackup:
    def test_while_eight_write_then_restored(self, make_server, tmp_path):
        server = make_server()
        with Writers(server) as writers:
            before = [list(kept) for kept in writers.acknowledged]
            done = server.cli("backup", "busy.db")
            assert done.returncode == 0, done.stderr
            wait_for(lambda: writers.total() > sum(map(len, before)) + 20, "more behind the backup")
        code, found = checks(server)
        assert code == 0, found
        assert found["file"]["state"] == "left_out"
        backup = server.data / "backups" / "busy.db"
        assert backup.stat().st_mode & 0o777 == 0o600
        assert os.listdir(server.data / "backups") == ["busy.db"]
        code, found = checks(server, str(backup))
        assert code == 0 and {row["state"] for row in found.values()} == {"good"}

        epoch, newest = newest_of(server)
        other = tmp_path / "other"
        done = server.cli("restore", str(backup), "--data", str(other))
        assert done.returncode == 0, done.stderr
        assert "guild.key" in done.stdout and "audit.key" in done.stdout
        shutil.copy(server.data / "guild.key", other)
        shutil.copy(server.data / "audit.key", other)
        shutil.copy(server.data / "admin.token", other)
        restored = make_server(data=other)
        for kept in before:
            for id in kept:
                assert (restored.get(f"/v1/executions/{id}").status == 200) != (restored.get(f"/v1/posts/{id}").status == 200)
        assert restored.log_lines("store_epoch_new") == []
        with listen(restored, f"{epoch}:{newest}") as events:
            gap = events.until("gap")[-1]
            assert gap.data["epoch"] != epoch
        assert checks(restored)[0] == 0

    def test_the_names_that_are_refused(self, server):
        for name in ("../evil", "a/b", ".hidden", "x.part", "", "a b", "x" * 101, "-n"):
            assert server.post("/v1/backup", {"name": name}).status == 422, name
        assert server.post("/v1/backup", {"name": "one"}).status == 202
        ended(server)
        assert server.post("/v1/backup", {"name": "one"}).status == 409
        assert os.listdir(server.data / "backups") == ["one"]

    def test_only_operators_may(self, server):
        member, admin = server.second_user(), server.second_user("admin")
        for method, path in (("POST", "/v1/backup"), ("GET", "/v1/backup"), ("POST", "/v1/verify"), ("GET", "/v1/verify")):
            assert member.request(method, path).status == 403
            assert server.anonymous().request(method, path).status == 401
        assert admin.post("/v1/backup").status == 403
        assert admin.post("/v1/verify").status == 202
        name = server.post("/v1/backup").ok(202)["name"]
        assert ended(server)["name"] == name
        entries = server.items("/v1/audit?action=backup")
        assert [row["change"] for row in entries] == [{"name": name}]

    def test_a_server_that_is_killed_leaves_no_half_backup(self, make_server):
        server = make_server()
        for i in range(30):
            server.post("/v1/posts", {"content": "x" * 9000}).ok(201)
        for i in range(4):
            server.post("/v1/backup", {"name": f"b{i}"}).ok(202)
            server.kill9()
            left = [name for name in os.listdir(server.data / "backups") if ".part" not in name]
            for name in left:
                assert checks(server, str(server.data / "backups" / name))[0] == 0
            server.start()
            assert [name for name in os.listdir(server.data / "backups") if ".part" in name] == []
        assert checks(server)[0] == 0

    def test_a_full_disk_leaves_no_backup_and_says_so(self, server):
        for i in range(20):
            server.post("/v1/posts", {"content": "x" * 9000}).ok(201)
        target = server.data.parent / "full.db"

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100 * 1024, 100 * 1024))
        done = subprocess.run([os.environ["GUILD_BINARY"], "backup", str(target), "--data", str(server.data)], preexec_fn=limit,
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert "is full; make room on it" in done.stderr
        assert [path.name for path in server.data.parent.iterdir() if path.name.startswith("full.db")] == []
        assert server.chat("still here").status == 200

    def test_from_beside_a_server_and_without_one(self, server, tmp_path):
        fill(server)
        for name in ("running", "stopped"):
            target = tmp_path / name
            done = server.cli("backup", str(target), "--data", str(server.data))
            assert done.returncode == 0, done.stderr
            assert checks(server, str(target))[0] == 0
            assert server.cli("backup", str(target), "--data", str(server.data)).returncode == 1
            server.stop()
        assert server.cli("backup", "x", "--data", str(tmp_path / "nowhere")).returncode == 1


def ended(server, path="/v1/backup"):
    def look():
        task = server.get(path).ok(200)
        return task if task["state"] != "running" else None
    task = wait_for(look, "the end of it")
    assert task["state"] == "done", task
    return task


def newest_of(server):
    """Epoch and offset of the newest event."""
    with server.ws() as socket:
        answer = socket.ask({"type": "subscribe", "topics": ["global"]})
        return answer["epoch"], answer["offset"]


class TestRestore:
    def test_what_is_refused(self, server, tmp_path):
        fill(server)
        backup = tmp_path / "b"
        assert server.cli("backup", str(backup), "--data", str(server.data)).returncode == 0
        done = server.cli("restore", str(backup), "--data", str(server.data), "--force")
        assert done.returncode == 9 and "in use by process" in done.stderr
        server.stop()
        done = server.cli("restore", str(backup), "--data", str(server.data))
        assert done.returncode == 1 and "--force" in done.stderr
        damaged = tmp_path / "damaged"
        shutil.copy(backup, damaged)
        with sqlite3.connect(damaged) as store:
            store.execute(DAMAGE["session_messages"])
        store.close()
        done = server.cli("restore", str(damaged), "--data", str(server.data), "--force")
        assert done.returncode == 1 and "message counts of sessions" in done.stderr
        newer = tmp_path / "newer"
        shutil.copy(backup, newer)
        with sqlite3.connect(newer) as store:
            store.execute("PRAGMA user_version = 9999")
        store.close()
        done = server.cli("restore", str(newer), "--data", str(server.data), "--force")
        assert done.returncode == 1 and "newer version" in done.stderr
        (tmp_path / "noise").write_bytes(b"noise" * 1000)
        assert server.cli("restore", str(tmp_path / "noise"), "--data", str(server.data), "--force").returncode == 1
        server.start()
        assert server.chat("nothing happened").status == 200

    def test_over_a_store_that_is_there(self, server, tmp_path):
        fill(server)
        backup = tmp_path / "b"
        assert server.cli("backup", str(backup), "--data", str(server.data)).returncode == 0
        later = server.post("/v1/posts", {"content": "after the backup"}).ok(201)["id"]
        epoch, newest = newest_of(server)
        server.kill9()
        assert server.cli("restore", str(backup), "--data", str(server.data), "--force").returncode == 0
        kept = sqlite3.connect(server.data / "guild.db.replaced")
        assert kept.execute("SELECT count(*) FROM post WHERE content = 'after the backup'").fetchone() == (1,)
        kept.close()
        server.start()
        assert server.get(f"/v1/posts/{later}").status == 404
        server.post("/v1/posts", {"content": "another with the offset of the lost one"}).ok(201)
        with listen(server, f"{epoch}:{newest}") as events:
            assert events.until("gap")[-1].data["epoch"] != epoch

    def test_an_older_copy_put_back_by_hand_is_noticed(self, server):
        fill(server)
        server.stop()
        shutil.copy(server.data / "guild.db", server.data / "kept")
        server.start()
        epoch, _ = newest_of(server)
        server.post("/v1/posts", {"content": "later"}).ok(201)
        server.stop()
        shutil.move(server.data / "kept", server.data / "guild.db")
        server.start()
        assert len(server.log_lines("store_epoch_new")) == 1
        renewed, _ = newest_of(server)
        assert renewed != epoch
        server.restart()
        server.restart(kill=True)
        assert newest_of(server)[0] == renewed
        assert len(server.log_lines("store_epoch_new")) == 1


class TestVerify:
    @pytest.fixture(scope="class")
    def sound(self, make_shared_server):
        """A stopped server's directory, with something of everything in it."""
        server = make_shared_server()
        fill(server)
        server.stop()
        return server

    def test_a_sound_store(self, sound):
        code, found = checks(sound, "--data", str(sound.data))
        assert code == 0
        assert {row["state"] for row in found.values()} == {"good"}
        empty = {name for name, row in found.items() if row["rows"] == 0}
        assert empty <= {"file", "token_batches", "run_queue", "run_after"}, "the checks have something to look at"
        assert set(found) - {"file"} == {name.split()[0] for name in DAMAGE}, "each check has its damage"

    @pytest.mark.parametrize("name", DAMAGE)
    def test_finds_planted_damage(self, sound, tmp_path, name):
        damaged = tmp_path / "damaged.db"
        shutil.copy(sound.data / "guild.db", damaged)
        store = sqlite3.connect(damaged, isolation_level=None)
        assert store.execute(DAMAGE[name]).rowcount > 0
        store.close()
        code, found = checks(sound, str(damaged))
        assert code == 1
        assert found[name.split()[0]]["state"] == "bad" and found[name.split()[0]]["bad"]
        done = sound.cli("verify", str(damaged))
        assert done.returncode == 1 and "the store does not hold together" in done.stderr

    def test_finds_a_broken_file(self, sound, tmp_path):
        damaged = tmp_path / "damaged.db"
        content = bytearray((sound.data / "guild.db").read_bytes())
        for page in range(8, len(content) // 4096, 5):
            content[page * 4096:page * 4096 + 64] = os.urandom(64)
        damaged.write_bytes(content)
        done = sound.cli("verify", str(damaged))
        assert done.returncode == 1, done.stdout

    def test_a_running_server_tells_it_too(self, make_server, sound, tmp_path):
        data = tmp_path / "data"
        shutil.copytree(sound.data, data)
        store = sqlite3.connect(data / "guild.db", isolation_level=None)
        store.execute(DAMAGE["channel_members"])
        store.close()
        server = make_server(data=data)
        done = server.cli("verify")
        assert done.returncode == 1
        assert "member counts of channels" in done.stderr and "member_count is 9" in done.stderr
        assert ended(server, "/v1/verify")["ok"] is False

    def test_in_use_and_nowhere(self, server, tmp_path):
        done = server.cli("verify", "--data", str(server.data))
        assert done.returncode == 9 and "in use" in done.stderr
        nowhere = tmp_path / "nowhere"
        assert server.cli("verify", "--data", str(nowhere)).returncode == 1
        assert not nowhere.exists()


def events_left(server):
    store = sqlite3.connect(f"file:{server.data}/guild.db?mode=ro", uri=True)
    try:
        return store.execute("SELECT count(*) FROM log WHERE event_type IS NOT NULL").fetchone()[0]
    finally:
        store.close()


class TestRetention:
    def test_catching_up_from_before_is_a_gap(self, make_server):
        server = make_server(env={"GUILD_RETENTION_EVENTS": "1", "GUILD_RETENTION_EVERY": "1"})
        server.post("/v1/posts", {"content": "early"}).ok(201)
        epoch, newest = newest_of(server)
        wait_for(lambda: events_left(server) == 0, "the events to be erased")
        assert server.metrics()["guild_events_erased_total"] > 0
        assert server.cli("audit", "verify").returncode == 0
        server.restart(GUILD_RETENTION_EVENTS="0")  # what is in memory is told from memory
        late = server.post("/v1/posts", {"content": "late"}).ok(201)["id"]
        with listen(server, f"{epoch}:0") as events:
            seen = events.until("event")
            gap = [event for event in seen if event.event == "gap"]
            assert len(gap) == 1 and gap[0].data["from"] == 0
            assert gap[0].data["to"] == newest
            assert late in json.dumps(seen[-1].data)
        server.stop()
        assert checks(server, "--data", str(server.data))[0] == 0

    def test_batches_of_streams_go_and_the_stream_stays(self, make_server_with_provider, provider):
        server = make_server_with_provider(env={"GUILD_RETENTION_TOKENS": "1", "GUILD_RETENTION_EVERY": "1", "GUILD_STORE_TOKEN_BATCH": "0"})
        with server.stream("hello") as stream:
            shown = stream.collect()
        id = server.items("/v1/executions")[0]["id"]
        wait_for(lambda: server.metrics()["guild_token_batches_erased_total"] > 0, "the batches to be erased")
        server.restart()
        again = server.events(id, after=0).collect()
        assert [event.data for event in again][-1]["content"] == shown[-1].data["content"]
        assert [event.seq for event in again] == [event.seq for event in shown]

    def test_runs_and_the_content_of_entries_go(self, make_server):
        server = make_server(env={"GUILD_RETENTION_EXECUTIONS": "1", "GUILD_RETENTION_AUDIT": "1", "GUILD_RETENTION_EVERY": "1"})
        done = server.chat("hello").ok(200)
        wait_for(lambda: server.metrics()["guild_executions_erased_total"] > 0, "the run to be erased")
        assert server.get(f"/v1/executions/{done['execution_id']}").status == 404
        assert server.get(f"/v1/sessions/{done['session_id']}").status == 404
        wait_for(lambda: server.metrics()["guild_audit_entries_erased_total"] > 0, "entries to be erased")
        assert server.chat("hello again").ok(200)["session_id"] != done["session_id"]
        verified = server.cli("audit", "verify")
        assert verified.returncode == 0 and "erased" in verified.stdout
        assert any(entry["change"] is None for entry in server.items("/v1/audit"))
        assert checks(server)[0] == 0
        server.stop()
        assert checks(server, "--data", str(server.data))[0] == 0
