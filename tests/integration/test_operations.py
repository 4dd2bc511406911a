"""Starting, stopping, crashing, wrong files and settings, health and metrics, the audit chain, and secrets that must not be found."""
import base64
import json
import os
import pathlib
import re
import shlex
import signal
import socket
import sqlite3
import stat
import subprocess
import tempfile
import time

import pytest
from support.harness import HOST, wait_for

FAILED, USAGE, CONFIG, IN_USE = 1, 2, 8, 9


def one_line(said):
    """The one line of an error, without what the log says besides."""
    lines = [line for line in said.splitlines() if line.startswith("guild: ")]
    assert len(lines) == 1, said
    return lines[0]


class TestStart:
    def test_what_it_prints(self, server):
        lines = server.log().splitlines()
        said = [line for line in lines if not line.startswith("{")]
        assert re.match(rf"guild \d+\.\d+\.\d+ listening on {re.escape(server.url)}$", said[0])
        assert server.token in said[1] and "admin.token" in said[1]
        assert said[2].startswith("curl -N") and server.url in said[2]

    def test_the_first_token_s_file(self, server):
        mode = stat.S_IMODE((server.data / "admin.token").stat().st_mode)
        assert mode == 0o600
        assert stat.S_IMODE(server.data.stat().st_mode) & 0o077 == 0
        assert server.get("/v1/me").ok(200)["role"] == "operator"

    def test_files_are_for_the_owner_alone(self, server):
        """T42"""
        server.chat("hello").ok(200)
        for path in server.data.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path

    def test_twice_is_harmless(self, server):
        """A second start makes no second token and changes nothing."""
        token, agents = server.token, server.items("/v1/agents")
        server.restart()
        assert server.token == token and server.get("/v1/me").status == 200
        assert server.items("/v1/agents") == agents
        assert server.log().count("first operator token") == 1
        assert server.log().splitlines()[-1].startswith("curl -N")

    def test_the_pasted_line_works(self, server):
        line = [line for line in server.log().splitlines() if line.startswith("curl -N")][0]
        done = subprocess.run(shlex.split(line) + ["-s"], capture_output=True, text=True, timeout=60, check=True)
        assert "event: streaming:start" in done.stdout and "event: streaming:complete" in done.stdout

    def test_a_port_in_use(self, server, make_server):
        second = make_server(start=False)
        second.port = server.port
        code, said = second.fails_to_start()
        assert code == IN_USE and str(server.port) in one_line(said) and "in use" in said
        assert server.chat("hello").ok(200)["success"] is True

    def test_a_port_held_by_another_program(self, make_server):
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            other.bind((HOST, 0))
            other.listen()
            server = make_server(start=False)
            server.port = other.getsockname()[1]
            code, said = server.fails_to_start()
        assert code == IN_USE and str(server.port) in one_line(said)

    def test_a_directory_in_use_names_the_process(self, server, make_server):
        second = make_server(data=server.data, start=False)
        code, said = second.fails_to_start()
        line = one_line(said)
        assert code == IN_USE and str(server.pid) in line and str(server.data) in line and "--data" in line
        assert server.chat("hello").ok(200)["success"] is True

    def test_a_directory_after_a_crash_is_free(self, server):
        server.kill9()
        server.start()
        assert server.chat("hello").ok(200)["success"] is True

    @pytest.mark.parametrize("address, code", [("0.0.0.0:0", CONFIG), ("nonsense", CONFIG), ("127.0.0.1", CONFIG), ("127.0.0.1:99999", CONFIG),
                                               ("192.0.2.1:8420", CONFIG)])
    def test_an_address_that_will_not_do(self, make_server, address, code):
        server = make_server(start=False, arguments=["--listen", address])
        got, said = server.fails_to_start()
        assert got in (code, USAGE) and one_line(said)


@pytest.fixture
def nobody():
    """A directory, and a user for whom permissions count (None: this one; root is asked to become another)."""
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        directory.chmod(0o755)
        if os.geteuid() != 0:
            yield directory, None
            return
        try:
            subprocess.run([os.environ["GUILD_BINARY"], "--version"], user=65534, capture_output=True, check=False, timeout=60)
        except OSError:
            pytest.skip("the program is where no other user can start it")
        yield directory, 65534


class TestWrongFiles:
    def stopped(self, make_server):
        server = make_server()
        server.chat("hello").ok(200)
        assert server.stop() == 0
        return server

    def test_a_newer_store(self, make_server):
        server = self.stopped(make_server)
        with server.store() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            db.execute("PRAGMA user_version = 9999")
        code, said = server.fails_to_start()
        assert code == FAILED and "newer" in one_line(said) and "guild.db" in said
        with server.store() as db:
            db.execute(f"PRAGMA user_version = {version}")
        server.start()
        assert len(server.items("/v1/executions")) == 1

    @pytest.mark.parametrize("content", [b"this is no database at all, only a text\n" * 200, b"SQLite format 3\x00" + b"\xff" * 8000])
    def test_a_store_that_is_none(self, make_server, content):
        server = self.stopped(make_server)
        for path in server.data.glob("guild.db-*"):
            path.unlink()
        (server.data / "guild.db").write_bytes(content)
        code, said = server.fails_to_start()
        assert code == FAILED and "guild.db" in one_line(said)
        assert (server.data / "guild.db").read_bytes() == content, "the file was touched"

    def test_another_program_s_store(self, make_server):
        server = make_server(start=False)
        server.data.mkdir(mode=0o700)
        with sqlite3.connect(server.data / "guild.db") as db:
            db.execute("CREATE TABLE recipes (name TEXT)")
        code, said = server.fails_to_start()
        assert code == FAILED and "another program" in one_line(said)

    def test_a_store_that_may_not_be_read(self, nobody, make_server):
        directory, user = nobody
        server = make_server(data=directory / "data")
        assert server.stop() == 0
        for path in [server.data, *server.data.iterdir()]:
            if user is not None:
                os.chown(path, user, user)
        (server.data / "guild.db").chmod(0)
        code, said = server.fails_to_start(user=user)
        assert code == FAILED and "guild.db" in one_line(said) and str(server.data) in said
        (server.data / "guild.db").chmod(0o600)

    def test_a_directory_in_place_of_the_store(self, make_server):
        server = make_server(start=False)
        (server.data / "guild.db").mkdir(parents=True)
        code, said = server.fails_to_start()
        assert code == FAILED and "guild.db" in one_line(said)

    def test_a_wrong_key_file(self, make_server):
        """T18: no start with a key that does not open what is sealed."""
        server = self.stopped(make_server)
        key = (server.data / "guild.key").read_text()
        (server.data / "guild.key").write_text("ab" * 32 + "\n")
        code, said = server.fails_to_start()
        assert code == FAILED and "guild.key" in one_line(said)
        (server.data / "guild.key").write_text("not hexadecimal\n")
        code, said = server.fails_to_start()
        assert code == FAILED and "guild.key" in one_line(said)
        (server.data / "guild.key").write_text(key)
        server.start()

    def test_a_lost_key_file(self, make_server):
        server = self.stopped(make_server)
        (server.data / "guild.key").rename(server.data.parent / "elsewhere")
        code, said = server.fails_to_start()
        assert code == FAILED and "guild.key" in one_line(said)
        assert not (server.data / "guild.key").exists(), "a new key was made beside sealed keys"

    def test_a_key_file_that_others_can_read(self, make_server):
        """T42"""
        server = self.stopped(make_server)
        (server.data / "guild.key").chmod(0o644)
        code, said = server.fails_to_start()
        assert code == FAILED and "guild.key" in one_line(said) and "chmod 600" in said

    def test_a_directory_that_is_none(self, make_server):
        server = make_server(start=False)
        server.data.write_text("a file, not a directory")
        code, said = server.fails_to_start()
        server.data.unlink()
        assert code == FAILED and str(server.data) in one_line(said) and "--data" in said

    def test_a_read_only_directory(self, nobody, make_server):
        directory, user = nobody
        server = make_server(data=directory / "data", start=False)
        server.data.mkdir(mode=0o500)
        if user is not None:
            os.chown(server.data, user, user)
        code, said = server.fails_to_start(user=user)
        assert code == FAILED and str(server.data) in one_line(said) and "permission" in said.lower()

    def test_a_read_only_place(self, make_server):
        """/proc takes no files, whoever asks."""
        server = make_server(start=False, arguments=["--data", "/proc/guild-data"])
        code, said = server.fails_to_start()
        assert code == FAILED and "/proc/guild-data" in one_line(said)


class TestSettings:
    @pytest.mark.parametrize("level, allowed", [(None, [False, True, True, True]), (1, [True] * 4), (4, [False, False, False, True])])
    def test_the_level_of_unknown_actions_decides(self, make_server, level, allowed):
        server = make_server(env={} if level is None else {"GUILD_GOVERNANCE_UNKNOWN_LEVEL": level})
        seen = []
        for maturity in ("student", "intern", "supervised", "autonomous"):
            agent = server.agent(f"Of {maturity}", maturity)
            decision = server.post(f"/v1/agents/{agent['id']}/decide", {"action": "spreadsheet_open"}).ok(200)
            assert decision["action_complexity"] == (level or 2)
            seen.append(decision["allowed"])
        assert seen == allowed

    @pytest.mark.parametrize("text, line, words", [
        ("[server]\nlissten = 127.0.0.1:1\n", 2, ["lissten", "listen"]),
        ("# a comment\n\n[sever]\nlisten = 127.0.0.1:1\n", 3, ["sever"]),
        ("[log]\nlevel = loud\n", 2, ["loud"]),
        ("[execution]\ntotal_timeout = soon\n", 2, ["total_timeout"]),
        ("[http]\nbody_max = 99g\n", 2, ["body_max"]),
        ("[log]\nlevel = info\nlevel = warn\n", 3, ["level"]),
        ("level = info\n", 1, ["level"]),
        ("[log]\nwhat is this\n", 2, []),
    ])
    def test_a_wrong_line_is_named(self, make_server, text, line, words):
        server = make_server(start=False, config=text)
        code, said = server.fails_to_start()
        assert code == CONFIG and f"{server.config_file}:{line}" in one_line(said), said
        for word in words:
            assert word in said

    def test_a_file_that_is_not_there(self, make_server):
        server = make_server(start=False, arguments=["--config", "/nonexistent/guild.conf"])
        code, said = server.fails_to_start()
        assert code == CONFIG and "/nonexistent/guild.conf" in one_line(said)

    @pytest.mark.parametrize("env", [{"GUILD_EXECUTION_TOTAL_TIMEOUT": "x"}, {"GUILD_LOG_LEVEL": "loud"}])
    def test_a_wrong_variable_is_named(self, make_server, env):
        server = make_server(start=False, env=env)
        code, said = server.fails_to_start()
        assert code == CONFIG and list(env)[0] in one_line(said)

    def test_flags_win_over_environment_over_file(self, make_server):
        server = make_server(config="[http]\nbody_max = 2k\n[log]\nlevel = off\n", env={"GUILD_HTTP_BODY_MAX": "4k", "GUILD_LISTEN": "127.0.0.1:1"})
        assert server.post("/v1/chat", {"message": "x" * 3000}).status == 200
        assert server.post("/v1/chat", {"message": "x" * 5000}).status == 413
        shown = server.cli("config", "show", "--config", str(server.config_file)).stdout
        assert "body_max" in shown and "4k" in shown

    def test_reload_takes_the_log_level(self, make_server):
        server = make_server(config="[log]\nlevel = off\nform = json\n", env={"GUILD_LOG_FORM": "json"})
        server.config_file.write_text("[log]\nlevel = debug\nform = json\n")
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "reloaded" in server.log(), "the reload")
        server.config_file.write_text("[log]\nlevel = loud\n")
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "reload_refused" in server.log(), "the refusal")
        assert server.chat("hello").ok(200)["success"] is True

    def test_reload_takes_the_limits_of_http(self, make_server):
        server = make_server(config="[http]\nrate = 0\n")
        assert {server.get("/v1/me").status for _ in range(50)} == {200}
        server.config_file.write_text("[http]\nrate = 1\nrate_burst = 3\n")
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "reloaded" in server.log(), "the reload")
        statuses = [server.get("/v1/me").status for _ in range(20)]
        assert statuses[0] == 200 and statuses.count(429) >= 15


@pytest.mark.threads
class TestStop:
    @pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
    def test_at_rest(self, server, sig):
        begun = time.monotonic()
        assert server.stop(sig) == 0
        assert time.monotonic() - begun < 10

    def test_with_a_running_stream(self, make_server_with_provider, provider):
        """Exit 0 within 10 s; the run ends as interrupted, and its text so far is kept."""
        server = make_server_with_provider(env={"GUILD_SERVER_DRAIN": "1"})
        provider.script({"deltas": ["a", "b"], "hold_after": 2})
        stream = server.stream("hello")
        events = stream.until(lambda e: e.seq == 3)
        with server.ws() as socket_, server.raw() as idle:
            socket_.drain()
            begun = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert socket_.close_code() == 1001
            rest = stream.collect()
            assert server.process.wait(15) == 0 and time.monotonic() - begun < 10
            assert idle.closed(1)
        assert [e.event for e in rest] in (["streaming:error"], [])
        if rest:
            assert rest[0].data["code"] == "interrupted" and rest[0].data["retryable"] is True
        provider.wait(aborted=1)
        server.start()
        row = server.ended(events[0].data["execution_id"], "interrupted")
        assert row["partial_response"] == "ab"

    def test_a_run_that_ends_in_time_completes(self, make_server_with_provider, provider):
        server = make_server_with_provider(env={"GUILD_SERVER_DRAIN": "8"})
        provider.script({"deltas": ["a", "b"], "hold_after": 1})
        stream = server.stream("hello")
        execution_id = stream.until(lambda e: e.seq == 2)[0].data["execution_id"]
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: refused_or_draining(server), "the drain")
        provider.release()
        assert stream.collect()[-1].event == "streaming:complete"
        assert server.process.wait(15) == 0
        server.start()
        assert server.execution(execution_id)["status"] == "completed"

    def test_new_requests_meanwhile_are_told_so(self, make_server_with_provider, provider):
        server = make_server_with_provider(env={"GUILD_SERVER_DRAIN": "8"})
        kept = server.raw()
        hello = f"GET /healthz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n".encode()
        provider.script({"deltas": ["a", "b"], "hold_after": 1})
        stream = server.stream("hello")
        stream.until(lambda e: e.seq == 2)
        kept.send(hello)  # a head under way when the stop comes
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: refused_or_draining(server), "the drain")
        try:
            kept.send(b"\r\n")
            reply = kept.reply()
        except OSError:
            reply = None
        assert reply is None or (reply.status == 503 and reply.code == "going_away")
        provider.release()
        stream.collect()
        assert server.process.wait(15) == 0

    def test_kill_and_restart_keep_everything(self, server_with_provider):
        server = server_with_provider
        user = server.second_user("member", "Ada")
        agent = server.agent("Kit", "supervised", description="keeps things")
        runs = [user.chat(f"m{i}", agent="kit").ok(200) for i in range(5)]
        before = {path: user.items(path) for path in ("/v1/executions", "/v1/sessions", "/v1/agents", "/v1/tokens")}
        log = server.items("/v1/audit?limit=100")
        server.restart(kill=True)
        assert {path: user.items(path) for path in before} == before
        assert server.items("/v1/audit?limit=100")[-len(log):] == log
        for run in runs:
            assert user.events(run["execution_id"]).collect()[-1].data["content"] == run["response"]
        assert server.get(f"/v1/agents/{agent['id']}").ok(200)["description"] == "keeps things"
        assert server.cli("audit", "verify").returncode == 0


def refused_or_draining(server):
    """True when the listening sockets are gone."""
    try:
        return server.anonymous().get("/healthz").status == 503
    except OSError:
        return True


class TestHealth:
    def test_health_and_readiness(self, server):
        for path in ("/healthz", "/readyz"):
            opened = server.anonymous().get(path).ok(200)
            assert opened["status"] in ("ok", "ready") and re.match(r"\d+\.\d+\.\d+", opened["version"])
            detailed = server.get(path).ok(200)
            assert detailed.items() >= opened.items()

    def test_metrics_parse(self, server_with_provider, provider):
        server = server_with_provider
        server.chat("hello").ok(200)
        server.agent("Stu")
        server.chat("hello", agent="stu")
        provider.script({"status": 500})
        server.chat("hello")
        reply = server.get("/metrics")
        assert reply.status == 200 and reply.headers["content-type"].startswith("text/plain")
        helps, kinds, samples = set(), {}, {}
        for line in reply.text.splitlines():
            if line.startswith("# HELP "):
                helps.add(line.split()[2])
            elif line.startswith("# TYPE "):
                kinds[line.split()[2]] = line.split()[3]
            else:
                match = re.fullmatch(r'([a-z_]+)(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? (\S+)', line)
                assert match, line
                samples[match.group(1) + (match.group(2) or "")] = float(match.group(4))
        assert helps == set(kinds) and set(kinds.values()) <= {"counter", "gauge", "histogram"}
        for name in samples:
            base = name.split("{")[0]
            assert base in kinds or re.sub(r"_(bucket|sum|count)$", "", base) in kinds, name
        assert all(name.endswith("_total") for name, kind in kinds.items() if kind == "counter")
        assert samples["guild_executions_started_total"] == 2 and samples["guild_executions_completed_total"] == 1
        assert samples["guild_executions_failed_total"] == 1 and samples["guild_executions_refused_total"] == 1
        assert samples["guild_provider_requests_total"] == 2 and samples["guild_provider_failures_total"] == 1
        assert samples["guild_executions_running"] == 0

    def test_histograms_add_up(self, server):
        server.chat("hello").ok(200)
        rows = server.metrics()
        for name in {n.split("_bucket")[0] for n in rows if "_bucket{" in n}:
            buckets = [(float(re.search(r'le="([^"]+)"', n).group(1)), v) for n, v in rows.items() if n.startswith(name + "_bucket")]
            values = [v for _, v in sorted(buckets)]
            assert values == sorted(values) and values[-1] == rows[name + "_count"], name
            assert sorted(buckets)[-1][0] == float("inf") and rows[name + "_sum"] >= 0

    def test_a_fault_of_the_store_shows(self, server):
        """T41"""
        db = sqlite3.connect(server.data / "guild.db", isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        assert server.chat("hello").status == 503
        assert server.metrics()["guild_writer_failures_total"] >= 1
        db.execute("ROLLBACK")
        db.close()
        assert server.chat("hello").ok(200)["success"] is True
        wait_for(lambda: server.metrics()["guild_store_degraded"] == 0, "recovery without a restart")
        assert server.anonymous().get("/readyz").status == 200


class TestAuditVerify:
    """T28: a change of any entry is found and named."""

    @pytest.fixture
    def stopped(self, server_with_provider):
        for i in range(5):
            server_with_provider.chat(f"m{i}").ok(200)
        server_with_provider.agent("Stu")
        server_with_provider.chat("no", agent="stu")
        assert server_with_provider.cli("audit", "verify").returncode == 0
        assert server_with_provider.stop() == 0
        return server_with_provider

    def verify(self, server):
        return server.cli("audit", "verify", "--data", str(server.data))

    def test_whole(self, stopped):
        done = self.verify(stopped)
        with stopped.store() as db:
            count = db.execute("SELECT count(*) FROM log").fetchone()[0]
        assert done.returncode == 0 and str(count) in done.stdout
        stopped.start()
        answer = stopped.get("/v1/audit/verify").ok(200)
        assert answer["ok"] is True and answer["entries"] >= count

    FLIPS = {
        "content": "UPDATE log SET entry = replace(entry, '\"intern\"', '\"supers\"') WHERE seq = :seq",
        "hash of the content": "UPDATE log SET entry_hash = zeroblob(32) WHERE seq = :seq",
        "link": "UPDATE log SET hash = zeroblob(32) WHERE seq = :seq",
        "time": "UPDATE log SET time_at = time_at + 1 WHERE seq = :seq",
        "workspace": "UPDATE log SET workspace = workspace + 1 WHERE seq = :seq",
        "missing": "DELETE FROM log WHERE seq = :seq",
    }

    @pytest.mark.parametrize("kind", FLIPS)
    def test_a_change_is_named(self, stopped, kind):
        with stopped.store() as db:
            rows = [row[0] for row in db.execute("SELECT seq FROM log WHERE entry LIKE '%\"intern\"%' ORDER BY seq")]
            seq = rows[len(rows) // 2]
            assert db.execute(self.FLIPS[kind], {"seq": seq}).rowcount == 1
        done = self.verify(stopped)
        assert done.returncode == FAILED, done.stdout
        named = int(re.search(r"entry (\d+)", done.stderr).group(1))
        assert named == seq if kind != "missing" else named in (seq, seq + 1)

    @pytest.mark.parametrize("at", [0.0, 0.3, 0.9])
    def test_one_flipped_bit(self, stopped, at):
        with stopped.store() as db:
            seq, entry = db.execute("SELECT seq, entry FROM log WHERE entry IS NOT NULL ORDER BY seq LIMIT 1 OFFSET 3").fetchone()
            data = bytearray(entry.encode())
            index = next(i for i in range(int(len(data) * at), len(data)) if chr(data[i]).isalpha())
            data[index] ^= 1
            db.execute("UPDATE log SET entry = ? WHERE seq = ?", (data.decode(), seq))
        done = self.verify(stopped)
        assert done.returncode == FAILED and f"entry {seq}" in done.stderr
        shown = stopped.cli("audit", "verify", "--data", str(stopped.data), "--json")
        assert json.loads(shown.stdout)["first_bad"] == seq

    def test_a_running_server_says_so_too(self, stopped):
        with stopped.store() as db:
            seq = db.execute("SELECT max(seq) FROM log WHERE entry LIKE '%\"intern\"%'").fetchone()[0]
            db.execute(self.FLIPS["content"], {"seq": seq})
        stopped.start()
        answer = stopped.get("/v1/audit/verify").ok(200)
        assert answer["ok"] is False and answer["first_bad"] == seq
        assert stopped.cli("audit", "verify").returncode == FAILED


class TestSecrets:
    """T16: a key or token is nowhere but where it has to be."""

    def test_the_canary(self, make_server_with_provider, provider):
        key = "sk-canary-" + os.urandom(16).hex()
        env_key = "sk-environment-" + os.urandom(16).hex()
        server = make_server_with_provider(env={"OPENAI_API_KEY": env_key, "GUILD_LOG_LEVEL": "debug"})
        user = server.second_user()
        replies = [user.post("/v1/keys", {"provider": "openai", "key": key})]
        provider.script({"deltas": ["a", "b"]}, {"status": 401, "body": json.dumps({"error": {"message": f"bad key {key}"}})},
                        {"deltas": ["x"], "cut_after": 1}, {"status": 500, "body": key})
        for _ in range(4):
            replies.append(user.chat("hello"))
        assert {entry["headers"]["authorization"] for entry in provider.log()} == {f"Bearer {key}"}, "the user's own key was not used"
        replies.append(server.chat("hello"))
        assert provider.log()[-1]["headers"]["authorization"] == f"Bearer {env_key}"
        replies += [c.get(path) for c in (user, server) for path in ("/v1/keys", "/v1/tokens", "/v1/me", "/v1/executions", "/v1/sessions",
                                                                     "/healthz", "/metrics", "/openapi.json")]
        replies += [server.get("/v1/audit?limit=100"), server.client("x" + key).get("/v1/me"), server.client(user.token + "x").get("/v1/me")]
        hint = [row for row in user.items("/v1/keys")][0]
        assert key[:4] in json.dumps(hint) and key[-4:] in json.dumps(hint)
        for reply in replies:
            assert key not in reply.text and env_key not in reply.text
            assert server.token not in reply.text and user.token not in reply.text
        with open(f"/proc/{server.pid}/cmdline", "rb") as command:
            assert key.encode() not in command.read()
        self.look(server, key, env_key, user.token)
        server.restart(kill=True)
        assert user.chat("hello").ok(200)["success"] is True
        assert provider.log()[-1]["headers"]["authorization"] == f"Bearer {key}"
        assert server.stop() == 0
        self.look(server, key, env_key, user.token)

    def look(self, server, *secrets):
        """Files of the directory, the write-ahead log included, and what was logged."""
        files = {path.name: path.read_bytes() for path in server.data.iterdir() if path.is_file()}
        assert {"guild.db", "guild.key", "admin.token"} <= set(files)
        for name, data in files.items():
            for secret in secrets:
                for form in (secret.encode(), base64.b64encode(secret.encode()), secret.encode().hex().encode()):
                    assert form not in data, name
            assert name == "admin.token" or server.token.encode() not in data, name
        log = server.log()
        for secret in secrets:
            assert secret not in log
        structured = "".join(line for line in log.splitlines() if line.startswith("{"))
        assert server.token not in structured

    def test_messages_are_not_logged(self, make_server_with_provider, provider):
        server = make_server_with_provider(env={"GUILD_LOG_LEVEL": "debug"})
        words = "words-of-mine-" + os.urandom(6).hex()
        provider.script({"deltas": [words]}, {"status": 500, "body": words})
        server.chat(words).ok(200)
        assert server.chat(words).status == 502
        server.post("/v1/chat", b'{"message": "' + words.encode())
        assert words not in server.log()

    def test_names_cannot_forge_log_lines(self, make_server):
        """T33"""
        server = make_server(env={"GUILD_LOG_FORM": "human", "GUILD_LOG_LEVEL": "debug"})
        evil = 'x\n2026-01-01 error forged="yes"\x1b[31m'
        server.chat("hello", agent=evil[:60])
        server.post("/v1/agents", {"name": evil})
        server.get("/v1/me", headers={"X-Request-Id": "a b"})
        assert not [line for line in server.log().splitlines() if line.startswith("2026-01-01 error forged")]
        assert "\x1b[31m" not in server.log()
