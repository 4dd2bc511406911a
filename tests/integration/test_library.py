"""The library in the process and as a client, through its Python binding."""
import asyncio
import ctypes
import json
import os
import subprocess
import sys
import textwrap
import threading

import pytest

import guild
from guild import _lib

RESULT_KEYS = {"success", "execution_id", "response", "agent_id", "agent_name", "message_id", "session_id", "resolution_path", "tokens",
               "provider", "model", "cost_micro"}


def provider_settings(provider):
    return {"openai.base_url": provider.base_url, "openai.model": "test-model", "server.drain": 1}


@pytest.fixture
def db(provider):
    with guild.open(":memory:", settings=provider_settings(provider)) as opened:
        yield opened


@pytest.fixture
def agent(db):
    return guild.create_agent(db, name="Ada", maturity="autonomous", category="tests")


def chat(*arguments, **named):
    return asyncio.run(guild.execute_agent_chat(*arguments, **named))


def run_python(code, **environment):
    """Runs code in a process of its own with the binding on its path; gives its exit status, output and log."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, "PYTHONPATH": path, **environment})
    return done.returncode, done.stdout, done.stderr


class TestOpening:
    def test_a_directory_keeps_what_was_done(self, tmp_path):
        with guild.open(tmp_path / "data") as db:
            guild.create_agent(db, name="Keeper", maturity="intern")
        with guild.open(tmp_path / "data") as db:
            names = [agent["name"] for agent in db.ok("GET", "/v1/agents")["items"]]
        assert "Keeper" in names

    def test_a_store_in_memory_leaves_nothing(self):
        def mine():
            """Directories there that this process has files of open; others may come and go."""
            links = [os.path.join("/proc/self/fd", number) for number in os.listdir("/proc/self/fd")]
            files = [os.readlink(link) for link in links if os.path.islink(link)]
            return {os.path.dirname(file) for file in files if file.startswith("/dev/shm/guild-")}
        with guild.open(":memory:") as db:
            made = mine()
            assert db.ok("GET", "/v1/me")["role"] == "operator"
        assert len(made) == 1 and mine() == set()
        assert not os.path.exists(made.pop())

    def test_a_directory_is_open_once_and_the_error_names_the_process(self, tmp_path):
        with guild.open(tmp_path):
            with pytest.raises(guild.InUseError, match=str(os.getpid())):
                guild.open(tmp_path)
            code, out, _ = run_python(f"""
                import guild
                try:
                    guild.open({str(tmp_path)!r})
                except guild.InUseError as error:
                    print(error.detail)
                """)
        assert code == 0 and str(os.getpid()) in out

    def test_wrong_settings_and_paths_are_named(self, tmp_path):
        with pytest.raises(guild.GuildError, match="no_such"):
            guild.open(tmp_path, settings={"server.no_such": 1})
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(guild.GuildError, match="file"):
            guild.open(tmp_path / "file")
        with pytest.raises(guild.InvalidError):
            guild.open("http://")
        assert not [entry for entry in os.listdir(tmp_path) if entry != "file"]

    def test_after_fork_only_the_opener_may_call(self, db):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                db.ok("GET", "/v1/me")
                os.write(writing, b"answered")
            except guild.GuildError as error:
                os.write(writing, str(error.error).encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        os.close(writing)
        assert os.read(reading, 100) == str(_lib.FORKED).encode()
        os.close(reading)
        assert db.ok("GET", "/v1/me")["role"] == "operator"

    def test_the_library_exports_its_own_names_only(self):
        table = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", os.environ["GUILD_LIBRARY"]], check=True,
                               capture_output=True, text=True).stdout
        names = [row.split()[0] for row in table.splitlines()]
        assert "guild_open" in names
        # A coverage build exports its counters beside them.
        assert [name for name in names if not name.startswith(("guild_", "__gcov_", "mangle_path"))] == []

    def test_open_and_create_agent_may_be_awaited(self):
        async def body():
            async with await guild.open(":memory:") as db:
                agent = await guild.create_agent(db, name="Awaited")
                assert (agent.name, agent.maturity) == ("Awaited", "student")
            assert db.closed
        asyncio.run(body())


class TestCalls:
    def test_events_come_on_the_callers_loop_and_async_handlers_are_run(self, db, agent):
        async def body():
            here, seen = threading.get_ident(), []

            async def handler(event):
                await asyncio.sleep(0)
                seen.append((event.type, threading.get_ident() == here))
            result = await guild.execute_agent_chat(agent.id, "one two", "ada", on_event=handler)
            assert result.success
            assert [name for name, _ in seen][0] == "streaming:start" and [name for name, _ in seen][-1] == "streaming:complete"
            assert all(right for _, right in seen)
        asyncio.run(body())

    def test_many_loops_and_threads_use_one_store(self, db, agent):
        results = {}

        async def several(number):
            return await asyncio.gather(*[guild.execute_agent_chat(agent.id, f"{number} {turn}", f"user-{number}", stream=turn % 2 == 0)
                                          for turn in range(5)])
        threads = [threading.Thread(target=lambda n=n: results.update({n: asyncio.run(several(n))})) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert {n: [r.response for r in found] for n, found in results.items()} == {
            n: [f"echo: {n} {turn}" for turn in range(5)] for n in range(4)}

    def test_a_cancelled_coroutine_lets_go_and_the_run_goes_on(self, db, agent, provider):
        provider.script({"deltas": ["a", "b"], "hold_after": 1})

        async def body():
            first = asyncio.Event()
            task = asyncio.create_task(guild.execute_agent_chat(
                agent.id, "slow", "ada", on_event=lambda event: first.set() if event.type == "streaming:update" else None))
            await asyncio.wait_for(first.wait(), 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            provider.release()
            provider.wait(finished=1, timeout_s=20)
            while (run := (await guild.get_executions(db, agent.id))[0]).status == "running":
                await asyncio.sleep(0.01)
            assert (run.status, run.result_summary) == ("completed", "ab")
        asyncio.run(body())

    def test_closing_ends_what_is_under_way(self, provider):
        provider.script({"deltas": ["a", "b"], "hold_after": 1})
        db = guild.open(":memory:", settings={**provider_settings(provider), "server.drain": 0})
        agent = guild.create_agent(db, name="Ada", maturity="autonomous")

        async def body():
            first = asyncio.Event()
            task = asyncio.create_task(guild.execute_agent_chat(
                agent.id, "slow", "ada", db=db, on_event=lambda event: first.set() if event.type == "streaming:update" else None))
            await asyncio.wait_for(first.wait(), 20)
            db.close()
            return await task
        result = asyncio.run(body())
        assert (result.success, result.code) == (False, "going_away")
        with pytest.raises(guild.GuildError, match="closed"):
            db.ok("GET", "/v1/me")

    def test_problems_become_exceptions_that_say_what_is_wrong(self, db):
        with pytest.raises(guild.InvalidError) as caught:
            guild.create_agent(db, name="  ")
        assert caught.value.status == 422 and caught.value.problem.errors[0]["pointer"] == "/name"
        with pytest.raises(guild.NotFoundError):
            db.ok("GET", "/v1/agents/00000000-0000-7000-8000-000000000000")
        assert db.request("GET", "/v1/nowhere").status == 404
        assert db.request("POST", "/v1/chat", {"message": "x", "unknown": 1}).status == 422
        assert db.request("POST", "/v1/chat", {"message": "x" * (1 << 21)}).status == 413

    def test_users_are_members_made_on_first_use_and_kept_apart(self, db, agent):
        me = db.ok("GET", "/v1/me", user="grace")
        assert (me["name"], me["role"], me["kind"]) == ("grace", "member", "human")
        assert db.ok("GET", "/v1/me", user="grace")["id"] == me["id"]
        session = chat(agent.id, "hello", "grace").session_id
        assert [m.role for m in asyncio.run(guild.get_messages(db, session, "grace"))] == ["user", "assistant"]
        with pytest.raises(guild.NotFoundError):
            asyncio.run(guild.get_messages(db, session, "somebody-else"))
        assert chat(agent.id, "hello", "two words").code == "invalid"

    def test_first_calls_of_one_user_at_once_make_one_user(self, db):
        ids = []
        threads = [threading.Thread(target=lambda: ids.append(db.ok("GET", "/v1/me", user="crowd")["id"])) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(ids) == 8 and len(set(ids)) == 1

    def test_decisions_and_the_resolver(self, db, agent):
        student = guild.create_agent(db, name="Stu")
        service, resolver = guild.AgentGovernanceService(db), guild.AgentContextResolver(db)
        decision = service.can_perform_action(student.id, "delete")
        assert (decision.allowed, decision.proceed, decision.action_complexity) == (False, False, 4)
        assert "blocked" in decision.reason and decision.required_maturity == "autonomous"
        asked = service.can_perform_action(agent.id, "search", require_approval=True)
        assert (asked.allowed, asked.requires_human_approval, asked.proceed) == (True, True, False)
        assert service.can_perform_action("nobody", "search").status_code == "not_found"
        found, how = asyncio.run(resolver.resolve_agent_for_request("ada", requested_agent_id=agent.id))
        assert found.id == agent.id and how.resolution_path == ["explicit_agent_id"]

    def test_another_workspace_is_refused(self, db, agent):
        assert chat(agent.id, "x", "ada", workspace_id="default").success
        assert chat(agent.id, "x", "ada", workspace_id=db.ok("GET", "/v1/me")["workspace_id"]).success
        assert chat(agent.id, "x", "ada", workspace_id="elsewhere").code == "not_found"


class TestConnecting:
    def test_a_client_has_the_same_calls(self, make_server, provider):
        server = make_server(env={"GUILD_OPENAI_BASE_URL": provider.base_url, "GUILD_OPENAI_MODEL": "test-model"})
        with guild.open(server.url, token=server.token) as db:
            agent = guild.create_agent(db, name="Remote", maturity="intern")
            student = guild.create_agent(db, name="Stu")
            events = []
            result = chat(agent.id, "one two", "ada", on_event=events.append)
            assert result.success and result.response == "echo: one two"
            assert events[0].type == "streaming:start" and events[-1].type == "streaming:complete"
            assert "".join(e.delta for e in events if e.type == "streaming:update") == result.response
            assert guild.execute_agent_chat_sync(agent.id, "again", "ada", session_id=result.session_id).success
            messages = asyncio.run(guild.get_messages(db, result.session_id))
            assert [m.content for m in messages] == ["one two", "echo: one two", "again", "echo: again"]
            refused = chat(student.id, "hello", "ada")
            assert refused.code == "governance_blocked" and "blocked" in refused.error and refused.audit_id
            assert guild.AgentGovernanceService(db).can_perform_action(student.id, "delete").allowed is False

    def test_to_be_an_agent_takes_its_own_token(self, make_server):
        server = make_server()
        with guild.open(server.url, token=server.token) as db:
            scout, other = (db.ok("POST", "/v1/agents", {"name": name, "maturity": "intern", "kind": "external"})
                            for name in ("Scout", "Other"))
            token = db.ok("POST", f"/v1/agents/{scout.id}/tokens", {})["token"]
            refused = db.request("GET", f"/v1/agents/{scout.id}/rate-limit", user="agent:scout")
            assert (refused.status, refused.body.code) == (403, "permission_denied") and "token" in refused.body.detail
            assert db.request("GET", "/v1/me", user="agent:nobody").body.code == "agent_not_found"
        with guild.open(server.url, token=token) as db:
            for name in (scout.id, "scout"):
                assert db.ok("GET", f"/v1/agents/{scout.id}/rate-limit", user=f"agent:{name}")["maturity"] == "intern"
            assert db.request("GET", f"/v1/agents/{other.id}/rate-limit", user=f"agent:{other.id}").status == 403

    def test_calls_run_beside_a_stream(self, make_server, provider):
        server = make_server(env={"GUILD_OPENAI_BASE_URL": provider.base_url, "GUILD_OPENAI_MODEL": "test-model"})
        provider.script({"deltas": ["a", "b"], "hold_after": 1})

        async def body(db):
            first = asyncio.Event()
            task = asyncio.create_task(guild.execute_agent_chat(
                None, "slow", "ada", on_event=lambda event: first.set() if event.type == "streaming:update" else None))
            await asyncio.wait_for(first.wait(), 20)
            assert (await db.aok("GET", "/v1/me"))["role"] == "operator"
            provider.release()
            return await task
        with guild.open(server.url, token=server.token) as db:
            assert asyncio.run(body(db)).response == "ab"

    def test_a_wrong_token_and_a_dead_server_are_told_apart(self, make_server):
        server = make_server()
        with guild.open(server.url, token="guild_wrong") as db:
            assert guild.execute_agent_chat_sync(None, "x", "ada").code == "unauthenticated"
        with guild.open(server.url, token=server.token) as db:
            server.stop()
            result = guild.execute_agent_chat_sync(None, "x", "ada", db=db)
            assert result.success is False and result.code == "store_unavailable"
            with pytest.raises(guild.GuildError):
                db.ok("GET", "/v1/me")


class TestGovernanceValidation:
    def test_an_authorised_agent_answers(self, db, agent):
        """AC-1"""
        result = chat(agent.id, "one two three", "ada")
        assert result.success and result.response == "echo: one two three"
        assert result.agent_name == "Ada" and result.execution_id
        assert RESULT_KEYS <= set(result)

    def test_a_denied_agent_reaches_nobody(self, db, provider):
        """AC-2, AC-3, AC-8, AC-9"""
        student = guild.create_agent(db, name="Stu", maturity="student")
        session = db.ok("POST", "/v1/sessions", {}, user="ada")["id"]
        events = []
        result = chat(student.id, "hello", "ada", session_id=session, on_event=events.append)
        assert result.success is False and "blocked" in result.error
        assert result.execution_id is None and result.audit_id
        assert "Stu" in result.reason and "student" in result.reason and "intern" in result.reason
        assert provider.log() == [] and events == []
        assert asyncio.run(guild.get_messages(db, session, "ada")) == []
        rows = asyncio.run(guild.get_executions(db, student.id))
        assert len(rows) == 1 and rows[0]["error_message"] == result.reason and rows[0]["error_code"] == "governance_blocked"
        assert rows[0]["session_id"] == session
        assert asyncio.run(guild.get_executions(db, student.id, include_refused=False)) == []

    def test_a_paused_agent_is_blocked(self, db, agent, provider):
        """AC-6"""
        db.ok("POST", f"/v1/agents/{agent.id}/pause")
        result = chat(agent.id, "hello", "ada")
        assert (result.success, result.code) == (False, "agent_not_active") and "blocked" in result.error
        assert provider.log() == []

    def test_an_unknown_agent_falls_back_and_says_so(self, db):
        """AC-7"""
        result = chat("no-such-agent", "hello", "ada")
        assert result.success and result.agent_name == "Chat Assistant"
        assert result.resolution_path[0] == "explicit_agent_id_not_found" and result.resolution_path[-1] == "system_default"


class TestLLMStreamingExecution:
    def test_tokens_are_the_response_in_order(self, db, agent, provider):
        """AC-11"""
        provider.script({"deltas": ["The ", "quick ", "brown ", "fox"]})
        events = []
        result = chat(agent.id, "go", "ada", on_event=events.append)
        assert [e.delta for e in events if e.type == "streaming:update"] == ["The ", "quick ", "brown ", "fox"]
        assert result.response == "The quick brown fox"

    def test_history_comes_before_the_message(self, db, provider):
        """AC-13"""
        agent = guild.create_agent(db, name="Prompted", maturity="intern", system_prompt="You are terse.")
        history = [{"role": "user", "content": "first"}, {"role": "assistant", "content": "second"}]
        assert chat(agent.id, "third", "ada", conversation_history=history).success
        sent = provider.log()[0]["body"]["messages"]
        assert sent[0]["role"] == "system" and "You are terse." in sent[0]["content"]
        assert [m["content"] for m in sent[1:]] == ["first", "second", "third"]

    def test_a_providers_error_text_stays_inside(self, db, agent, provider):
        """AC-14, AC-53"""
        provider.script(*[{"status": 400, "body": "secret internals at /srv/model.py"}] * 4)
        result = chat(agent.id, "go", "ada")
        assert "secret" not in json.dumps(result) and "/srv" not in json.dumps(result)
        assert result.success is False and result.error.startswith("Agent chat execution failed")

    def test_tokens_are_estimated_for_each_delta(self, db, agent, provider):
        """AC-15"""
        provider.script({"deltas": ["a", "b"], "usage": None})
        result = chat(agent.id, "go", "ada")
        assert result.tokens.out == 2 and result.tokens.estimated is True

    def test_an_empty_stream_is_a_success(self, db, agent, provider):
        """AC-16"""
        provider.script({"deltas": []})
        result = chat(agent.id, "go", "ada")
        assert result.success and result.response == ""
        assert asyncio.run(guild.get_executions(db, agent.id))[0].status == "completed"


class TestErrorHandling:
    def test_the_next_request_works_after_failures_of_all_kinds(self, db, agent, provider):
        """AC-55, AC-58"""
        student = guild.create_agent(db, name="Stu")
        refused = chat(student.id, "x", "ada")
        assert refused.success is False and refused.code == "governance_blocked" and refused.get("status") == 403
        provider.script({"status": 400, "body": "no"}, {"deltas": ["a", "b"], "cut_after": 1})
        assert [chat(agent.id, "x", "ada").success for _ in range(3)] == [False, False, True]

    def test_a_failed_or_refused_run_leaves_one_line(self, provider):
        """AC-58"""
        provider.script({"status": 400, "body": "provider secret"})
        code, out, log = run_python(f"""
            import guild
            db = guild.open(":memory:", settings={provider_settings(provider)!r})
            agent = guild.create_agent(db, name="Ada", maturity="intern")
            student = guild.create_agent(db, name="Stu")
            print(guild.execute_agent_chat_sync(agent.id, "message-text-one", "ada").execution_id)
            print(guild.execute_agent_chat_sync(student.id, "message-text-two", "ada").code)
            db.close()
            """, GUILD_LOG_LEVEL="info", OPENAI_API_KEY="sk-very-secret-key")
        failed, refused = out.split()
        assert code == 0 and refused == "governance_blocked"
        assert len([line for line in log.splitlines() if failed in line]) == 1
        assert len([line for line in log.splitlines() if refused in line]) == 1
        assert "message-text" not in log and "secret" not in log


class TestSyncWrapper:
    def test_it_works_without_an_event_loop(self, db, agent):
        """AC-59, AC-61"""
        result = guild.execute_agent_chat_sync(agent.id, "hello", "ada", stream=False)
        assert result.success and result.response == "echo: hello"
        assert set(result) == set(chat(agent.id, "hello", "ada"))

    def test_an_unknown_agent_is_no_exception(self, db):
        """AC-62"""
        result = guild.execute_agent_chat_sync("no-such-agent", "hello", "ada")
        assert result.success or result.error

    def test_from_threads_and_inside_a_running_loop(self, db, agent):
        """AC-63"""
        results = []
        threads = [threading.Thread(target=lambda n=n: results.append(guild.execute_agent_chat_sync(agent.id, f"t{n}", "ada")))
                   for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(r.response for r in results) == [f"echo: t{n}" for n in range(6)]

        async def inside():
            return guild.execute_agent_chat_sync(agent.id, "inside", "ada")
        assert asyncio.run(inside()).response == "echo: inside"

    def test_it_opens_the_default_store(self, tmp_path):
        code, out, _ = run_python("""
            import guild
            result = guild.execute_agent_chat_sync(None, "hello", "ada")
            print(result.success, result.agent_name)
            """, GUILD_DATA=str(tmp_path / "data"))
        assert (code, out) == (0, "True Chat Assistant\n")
        assert (tmp_path / "data" / "guild.db").exists()


class TestExamples:
    def test_the_c_example_chats(self, tmp_path):
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        library = os.environ["GUILD_LIBRARY"]
        program = tmp_path / "chat"
        subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{root}/include", f"{root}/examples/chat.c", library,
                        f"-Wl,-rpath,{os.path.dirname(library)}", "-o", str(program)], check=True)
        done = subprocess.run([str(program), str(tmp_path / "data"), "hello"], capture_output=True, text=True, timeout=60, check=False)
        lines = done.stdout.splitlines()
        assert done.returncode == 0, done.stderr
        assert lines[0].startswith("streaming:start ") and lines[-2].startswith("streaming:complete ")
        status, body = lines[-1].split(" ", 1)
        assert status == "200" and json.loads(body)["success"] is True

    def test_the_header_serves_cplusplus(self, tmp_path):
        source = tmp_path / "use.cpp"
        source.write_text('#include <guild.h>\nint main() { return guild_version() == nullptr; }\n')
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        subprocess.run(["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{root}/include", "-fsyntax-only", str(source)], check=True)

    def test_the_python_example_keeps_the_session(self):
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        path = os.pathsep.join(entry for entry in sys.path if entry)
        done = subprocess.run([sys.executable, os.path.join(root, "bindings/python/examples/chat.py")], input="hello\nI am sad\n", text=True,
                              capture_output=True, timeout=60, check=True, env={**os.environ, "PYTHONPATH": path})
        assert len(done.stdout.splitlines()) == 2 and all(done.stdout.splitlines())


def test_the_structures_are_those_of_the_header(tmp_path):
    """The binding's idea of the structures is the compiler's."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    source = tmp_path / "sizes.c"
    source.write_text('#include <stdio.h>\n#include <guild.h>\nint main(void) { printf("%zu %zu %zu %zu %d", sizeof(struct guild_request), '
                      'sizeof(struct guild_reply), sizeof(struct guild_options), offsetof(struct guild_request, on_event), '
                      'GUILD_DETAIL_BYTES); }\n')
    program = tmp_path / "sizes"
    subprocess.run(["cc", f"-I{root}/include", str(source), "-o", str(program)], check=True)
    sizes = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
    assert sizes == " ".join(str(n) for n in (ctypes.sizeof(_lib.CRequest), ctypes.sizeof(_lib.CReply), ctypes.sizeof(_lib.COptions),
                                              _lib.CRequest.on_event.offset, _lib.DETAIL_BYTES))
