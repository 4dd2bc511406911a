"""Stores of earlier schemas (tests/upgrade/, as their programs left them) under this program: copied first, migrated, whole, and going on."""
import json
import pathlib
import re
import sqlite3

import pytest

STORES = sorted((pathlib.Path(__file__).parent.parent / "upgrade").glob("*.sql"))
NEWEST = max(int(path.name[:4]) for path in (pathlib.Path(__file__).parent.parent.parent / "sql").glob("*.sql"))


def made(path, data):
    """A data directory with that store; what its comments say."""
    text = path.read_text()
    data.mkdir(mode=0o700)
    store = sqlite3.connect(data / "guild.db", isolation_level=None)
    store.executescript(text)
    kept = {name: int.from_bytes(value, "little") for name, value in
            store.execute("SELECT name, value FROM meta WHERE name IN ('epoch', 'generation')")}
    newest = store.execute("SELECT max(seq) FROM log").fetchone()[0]
    store.close()
    if "generation" in kept:
        (data / "generation").write_text(f"epoch {kept['epoch']}\nnumber {kept['generation']}\nseq {newest}\n")
    said = dict(re.findall(r"^-- (\w+): (\S+)$", text, re.M))
    (data / "admin.token").write_text(said["token"] + "\n")
    for name, key in re.findall(r"^-- (\w+\.key): (\w+)$", text, re.M):
        (data / name).write_bytes(bytes.fromhex(key))
        (data / name).chmod(0o600)
    return said


def rows(path, table):
    store = sqlite3.connect(path)
    try:
        return store.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
    finally:
        store.close()


@pytest.mark.parametrize("path", STORES, ids=lambda path: path.stem)
def test_a_store_of_an_earlier_schema(make_server, tmp_path, path):
    version = int(path.stem)
    assert version < NEWEST
    data = tmp_path / "data"
    said = made(path, data)
    before = rows(data / "guild.db", "turn")
    server = make_server(data=data)
    kept = data / f"guild.db.bak-{version}"
    assert rows(kept, "turn") == before
    store = sqlite3.connect(kept)
    assert store.execute("PRAGMA user_version").fetchone() == (version,)
    store.close()
    messages = server.messages(said["session"])
    assert [m["role"] for m in messages] == ["user", "assistant"] * (len(messages) // 2) and messages
    assert server.get(f"/v1/agents/{said['agent']}").ok(200)["lifecycle"] == "paused"
    assert server.chat("and now?", session_id=said["session"]).ok(200)["success"] is True
    server.post("/v1/posts", {"content": "new here"}).ok(201)
    assert server.log_lines("store_epoch_new") == []
    server.stop()
    done = server.cli("verify", "--json", "--data", str(data))
    assert done.returncode == 0, done.stdout
    assert all(row["state"] == "good" for row in json.loads(done.stdout)["checks"])


def test_there_is_a_store_of_each_schema_that_was_left_behind():
    """A new migration brings the store of the schema before it, from the first on that had a program of its own."""
    assert [int(path.stem) for path in STORES] == [2, 3, 4, 5, 6]


def test_a_backup_of_an_earlier_schema_is_restored_and_migrated(make_server, tmp_path):
    old = tmp_path / "old"
    said = made(STORES[0], old)
    server = make_server(start=False, data=tmp_path / "data")
    # Its tables are those of its own schema: what is checked here is that it is not taken for damage.
    done = server.cli("restore", str(old / "guild.db"), "--data", str(tmp_path / "data"))
    assert done.returncode == 0, done.stderr
    (tmp_path / "data" / "admin.token").write_text(said["token"] + "\n")
    server.start()
    assert server.chat("hello again", session_id=said["session"]).ok(200)["success"] is True
