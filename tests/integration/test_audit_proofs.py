"""The audit log proved from outside: checkpoints, proofs, exports; whatever somebody with the files in hand may do is found (T28)."""
import json
import re
import shutil
import stat

import pytest
from support import audit
from support.harness import wait_for

FAILED = 1
QUICK = "[audit]\ncheckpoint_rows = 10\ncheckpoint_every = 0.1\n"


def covered(server):
    """The newest checkpoint, once it covers the log as it is now."""
    with server.store() as db:
        rows = db.execute("SELECT max(seq) FROM log").fetchone()[0]

    def look():
        checkpoint = server.get("/v1/audit/checkpoint").ok(200)["checkpoint"]
        return checkpoint if checkpoint and checkpoint["size"] >= rows else None
    return wait_for(look, "a checkpoint over all rows")


def public_key(server):
    return bytes.fromhex(server.cli("audit", "key").stdout.strip())


def unhex(texts):
    return [bytes.fromhex(text) for text in texts]


@pytest.fixture(scope="module")
def grown(make_shared_server):
    """A server with 300 rows and more."""
    server = make_shared_server(config=QUICK)
    for i in range(150):
        server.chat(f"message {i}").ok(200)
    covered(server)
    return server


class TestProofs:
    def test_every_entry_is_in_it(self, grown):
        public, proved = public_key(grown), 0
        for entry in grown.items("/v1/audit?limit=100")[::23]:
            proof = grown.get(f"/v1/audit/{entry['id']}/proof")
            if proof.status == 409:
                continue
            proof = proof.ok(200)
            checkpoint = proof["checkpoint"]
            assert audit.genuine(checkpoint, public)
            chain = audit.link(bytes.fromhex(proof["prev_hash"]), proof["seq"], proof["time_us"], int(proof["workspace"]),
                               bytes.fromhex(proof["entry_hash"]))
            assert chain.hex() == proof["hash"] == entry["hash"] and proof["seq"] == entry["seq"]
            path, root = unhex(proof["proof"]), bytes.fromhex(checkpoint["root"])
            assert audit.includes(chain, entry["seq"] - 1, checkpoint["size"], path, root)
            assert not audit.includes(chain, entry["seq"], checkpoint["size"], path, root)
            assert not audit.includes(audit.sha(chain), entry["seq"] - 1, checkpoint["size"], path, root)
            proved += 1
        assert proved > 10

    def test_states_grow_out_of_each_other(self, grown):
        with grown.store() as db:
            stored = [(size, root) for size, root in db.execute("SELECT size, root FROM audit_checkpoint ORDER BY size")]
        assert len(stored) > 5
        for (first, first_root), (second, second_root) in zip(stored, stored[3:]):
            answer = grown.get(f"/v1/audit/consistency?from={first}&to={second}").ok(200)
            assert (answer["from_root"], answer["to_root"]) == (first_root.hex(), second_root.hex())
            assert audit.consistent(first, second, unhex(answer["proof"]), first_root, second_root)
            assert not audit.consistent(first, second, unhex(answer["proof"]), audit.sha(first_root), second_root)

    def test_what_cannot_be_proved(self, grown):
        assert grown.get("/v1/audit/consistency?from=10&to=9").status == 422
        assert grown.get("/v1/audit/consistency?from=1&to=1000000").status == 409
        assert grown.get("/v1/audit/consistency").status == 422
        assert grown.get("/v1/audit/01a2053e-d3a4-7000-8000-000f32ab457e/proof").status == 404
        assert grown.get("/v1/audit/x/proof").status == 404

    def test_anothers_entry_looks_like_none(self, grown):
        member = grown.second_user()
        entry = grown.items("/v1/audit?limit=100")[-1]
        assert member.get(f"/v1/audit/{entry['id']}/proof").status == 404
        assert member.get("/v1/audit/checkpoint").status == 200
        assert member.get("/v1/audit/export").status == 403

    def test_checkpoints_come_by_number_and_by_time(self, grown):
        with grown.store() as db:
            rows = db.execute("SELECT size, time_at FROM audit_checkpoint ORDER BY size").fetchall()
        lines = (grown.data / "audit.checkpoints").read_text().splitlines()
        assert {json.loads(line)["size"] for line in lines} >= {size for size, _ in rows}
        covered(grown)
        grown.post("/v1/sessions", {"title": "one more"}).ok(201)
        before = grown.get("/v1/audit/checkpoint").ok(200)["checkpoint"]["size"]
        assert covered(grown)["size"] > before  # one row, far from ten: time did it

    def test_the_key_is_nobodys_else(self, grown):
        path = grown.data / "audit.key"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert public_key(grown).hex() not in path.read_text()


class TestExport:
    def test_checked_without_guild(self, grown, tmp_path):
        covered(grown)
        assert grown.cli("audit", "export", str(tmp_path / "a.jsonl")).returncode == 0
        text, public = (tmp_path / "a.jsonl").read_text(), public_key(grown)
        rows, checkpoints = audit.check_export(text, public)
        assert len(rows) > 300 and len(checkpoints) > 5
        own = json.loads(rows[-1]["entry"])
        assert own["action"] == "read" and own["change"]["path"] == "/v1/audit/export"
        (tmp_path / "key").write_text(public.hex())
        done = grown.cli("audit", "verify", "--key", str(tmp_path / "key"), str(tmp_path / "a.jsonl"))
        assert done.returncode == 0 and f"{len(rows)} entries" in done.stdout, done.stderr
        assert grown.cli("audit", "export", str(tmp_path / "a.jsonl")).returncode == FAILED  # nothing is written over

    def test_any_change_is_found(self, grown, tmp_path):
        covered(grown)
        assert grown.cli("audit", "export", str(tmp_path / "a.jsonl")).returncode == 0
        data = (tmp_path / "a.jsonl").read_bytes()
        lines = data.splitlines(keepends=True)
        rows = [i for i, line in enumerate(lines) if line.startswith(b'{"seq":')]
        seq = {i: json.loads(lines[i])["seq"] for i in rows}
        middle = rows[len(rows) // 2]
        forged = json.loads(lines[0])
        forged["public_key"] = "11" * 32

        def without(*gone):
            return b"".join(line for i, line in enumerate(lines) if i not in gone)
        swapped = list(lines)
        swapped[middle], swapped[middle + 1] = lines[middle + 1], lines[middle]
        cases = [(without(middle), seq[middle]), (b"".join(swapped), None), (without(len(lines) - 1), seq[rows[-1]] + 1),
                 (b"".join(lines[:middle]), None), (data[:-30], None), (without(0), 1), (data + lines[middle], None),
                 (json.dumps(forged, separators=(",", ":")).encode() + b"\n" + b"".join(lines[1:]), 1)]
        for position in range(7, len(data), max(1, len(data) // 60)):
            cases.append((data[:position] + bytes([data[position] ^ 1 << position % 8]) + data[position + 1:], None))
        (tmp_path / "key").write_text(public_key(grown).hex())
        for changed, named in cases:
            (tmp_path / "b.jsonl").write_bytes(changed)
            done = grown.cli("audit", "verify", "--key", str(tmp_path / "key"), str(tmp_path / "b.jsonl"))
            assert done.returncode == FAILED, done.stdout
            said = int(re.search(r"entry (?:between )?(\d+)", done.stderr).group(1))
            assert named in (None, said), done.stderr

    def test_other_formats_are_refused(self, grown):
        assert grown.get("/v1/audit/export?format=csv").status == 422


@pytest.fixture
def stopped(make_server):
    server = make_server(config=QUICK)
    for i in range(30):
        server.chat(f"message {i}").ok(200)
    assert server.stop() == 0
    return server


def verify(server, *arguments):
    done = server.cli("audit", "verify", *arguments, "--json", str(server.data))
    return done.returncode, json.loads(done.stdout)


def rehash(db, start):
    """A fork: from that row on every hash fits again."""
    entry = db.execute("SELECT entry FROM log WHERE seq = ?", [start]).fetchone()[0]
    db.execute("UPDATE log SET entry = ? WHERE seq = ?", [entry.replace("operator", "operated"), start])
    head = db.execute("SELECT hash FROM log WHERE seq = ?", [start - 1]).fetchone()[0]
    for seq, time_us, workspace, entry in db.execute("SELECT seq, time_at, workspace, entry FROM log WHERE seq >= ?", [start]).fetchall():
        entry_hash = audit.sha((entry or "").encode())
        head = audit.link(head, seq, time_us, workspace, entry_hash)
        db.execute("UPDATE log SET entry_hash = ?, hash = ? WHERE seq = ?", [entry_hash, head, seq])


class TestStore:
    def test_stopped_is_covered_to_the_last_row(self, stopped):
        code, report = verify(stopped)
        assert code == 0 and report["ok"] and report["signed_size"] == report["entries"] == report["head"]["seq"]
        last = json.loads((stopped.data / "audit.checkpoints").read_text().splitlines()[-1])
        assert last["size"] == report["entries"]

    @pytest.mark.parametrize("from_end", [0, 3, 40])
    def test_a_fork_is_found(self, stopped, from_end):
        with stopped.store() as db:
            rows = db.execute("SELECT max(seq) FROM log").fetchone()[0]
            rehash(db, rows - from_end)
        code, report = verify(stopped)
        assert code == FAILED and report["first_bad"] <= rows - from_end <= report.get("last_bad", report["first_bad"])
        assert report.get("last_bad", 0) - report["first_bad"] < 25

    def test_a_fork_with_its_checkpoints_gone_is_found_by_the_file(self, stopped):
        with stopped.store() as db:
            rehash(db, 20)
            db.execute("DELETE FROM audit_checkpoint")
        code, report = verify(stopped)
        assert code == FAILED and report["first_bad"] <= 20 <= report["last_bad"]

    def test_a_cut_end_is_found(self, stopped):
        with stopped.store() as db:
            rows = db.execute("SELECT max(seq) FROM log").fetchone()[0]
            db.execute("DELETE FROM log WHERE seq > ?", [rows - 2])
            db.execute("DELETE FROM audit_checkpoint WHERE size > ?", [rows - 2])
        code, report = verify(stopped)
        assert code == FAILED and report["first_bad"] == rows - 1

    def test_a_store_brought_back_is_found(self, stopped, tmp_path):
        shutil.copy(stopped.data / "guild.db", tmp_path / "old.db")
        entries = verify(stopped)[1]["entries"]
        stopped.start()
        stopped.chat("later").ok(200)
        assert stopped.stop() == 0
        for name in ("guild.db-wal", "guild.db-shm"):
            (stopped.data / name).unlink(missing_ok=True)
        shutil.copy(tmp_path / "old.db", stopped.data / "guild.db")
        code, report = verify(stopped)
        assert code == FAILED and report["first_bad"] == entries + 1
        stopped.start()
        stopped.stop()
        assert "rolled back" in stopped.log()
        assert verify(stopped)[0] == FAILED  # going on makes a fork of it

    def test_a_whole_directory_brought_back_is_found_by_what_was_kept_elsewhere(self, stopped, tmp_path):
        shutil.copytree(stopped.data, tmp_path / "old")
        stopped.start()
        stopped.chat("later").ok(200)
        assert stopped.stop() == 0
        shutil.copy(stopped.data / "audit.checkpoints", tmp_path / "kept")
        shutil.rmtree(stopped.data)
        shutil.copytree(tmp_path / "old", stopped.data)
        assert verify(stopped)[0] == 0
        assert verify(stopped, "--checkpoints", str(tmp_path / "kept"))[0] == FAILED

    def test_another_key_is_not_taken(self, stopped, tmp_path):
        (tmp_path / "key").write_text("22" * 32)
        code, report = verify(stopped, "--key", str(tmp_path / "key"))
        assert code == FAILED and "not signed with this key" in report["reason"]
        (stopped.data / "audit.key").write_text("ed25519-secret:" + "33" * 32 + "\n")
        code, said = stopped.fails_to_start()
        assert code != 0 and "audit.key" in said
        (stopped.data / "audit.key").unlink()
        code, said = stopped.fails_to_start()
        assert code != 0 and "audit.key" in said

    def test_erased_content_is_told_from_changed(self, stopped):
        with stopped.store() as db:
            db.execute("UPDATE log SET entry = NULL WHERE seq IN (5, 6)")
        code, report = verify(stopped)
        assert code == 0 and report["erased"] == 2
        assert "2 entries were erased" in stopped.cli("audit", "verify", str(stopped.data)).stdout

    def test_a_changed_line_of_the_file_is_found(self, stopped):
        path = stopped.data / "audit.checkpoints"
        data = path.read_bytes()
        for position in range(3, len(data), len(data) // 25):
            path.write_bytes(data[:position] + bytes([data[position] ^ 1 << position % 8]) + data[position + 1:])
            assert verify(stopped)[0] == FAILED


class TestCrash:
    def test_killed_around_checkpoints(self, make_server):
        """What was signed holds, whenever the server dies; a line half written is taken away at the next start."""
        server = make_server(config="[audit]\ncheckpoint_rows = 2\ncheckpoint_every = 0\n")
        path = server.data / "audit.checkpoints"
        for round in range(8):
            for i in range(3 + round):
                server.chat(f"message {i}").ok(200)
            server.kill9()
            code, report = verify(server)
            assert code == 0 and report["checkpoints"] > 0, report
            if round == 4:
                path.write_bytes(path.read_bytes() + path.read_bytes().splitlines()[-1][:80])
            server.start()
        covered(server)
        assert server.stop() == 0
        code, report = verify(server)
        assert code == 0 and report["signed_size"] == report["entries"]
        assert all(json.loads(line) for line in path.read_text().splitlines())
