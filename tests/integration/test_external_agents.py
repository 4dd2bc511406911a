"""Agents that are programs of the user's: connected over WebSocket, asked with chat_request, answering with chat_delta and chat_end."""
import threading

import pytest

from support.harness import wait_for


@pytest.fixture
def server(make_server):
    return make_server(env={"GUILD_SERVER_LOOPS": "2"})


@pytest.fixture
def agent(server):
    made = server.post("/v1/agents", {"name": "Outside", "kind": "external", "maturity": "intern"}).ok()
    made["token"] = server.post(f"/v1/agents/{made['id']}/tokens", {}).ok()["token"]
    return made


def in_background(call):
    """The call's result, later."""
    got = []
    thread = threading.Thread(target=lambda: got.append(call()))
    thread.start()

    def result():
        thread.join(30)
        assert got, "the call did not end"
        return got[0]
    return result


class TestChat:
    def test_what_the_program_says_is_the_stream_the_answer_and_the_record(self, server, agent):
        """spec 1: chat_request, chat_delta ... chat_end become the same stream, audit and execution as a hosted agent's."""
        with server.client(agent["token"]).ws() as program:
            with server.stream("How are you?", agent=agent["id"]) as events:
                asked = program.until(lambda m: m["type"] == "chat_request")[-1]
                assert asked["message"] == "How are you?" and asked["history"] == [] and asked["agent_id"] == agent["id"]
                for delta in ("Fine", ", thank", " you ☀"):
                    program.send({"type": "chat_delta", "execution_id": asked["execution_id"], "delta": delta})
                answer = program.ask({"type": "chat_end", "execution_id": asked["execution_id"], "usage": {"tokens_in": 4, "tokens_out": 3}})
                assert answer["type"] == "ok"
                seen = events.collect()
        updates = [e.data["delta"] for e in seen if e.event == "streaming:update"]
        assert updates == ["Fine", ", thank", " you ☀"]
        assert seen[0].data["provider"] == "external"
        assert seen[-1].event == "streaming:complete" and seen[-1].data["content"] == "Fine, thank you ☀"
        assert seen[-1].data["usage"] == {"tokens_in": 4, "tokens_out": 3, "estimated": False}
        execution = server.execution(asked["execution_id"])
        assert execution["status"] == "completed" and execution["agent_id"] == agent["id"]
        entries = server.items(f"/v1/audit?agent={agent['id']}&limit=100")
        assert {"started", "completed"} <= {e["outcome"] for e in entries if e["execution_id"] == asked["execution_id"]}

    def test_history_goes_with_the_request(self, server, agent):
        with server.client(agent["token"]).ws() as program:
            session = None
            for turn in range(2):
                body = {"message": f"turn {turn}", "agent": agent["id"], **({"session_id": session} if session else {})}
                result = in_background(lambda: server.post("/v1/chat", body).ok())
                asked = program.until(lambda m: m["type"] == "chat_request")[-1]
                program.send({"type": "chat_delta", "execution_id": asked["execution_id"], "delta": f"answer {turn}"})
                program.send({"type": "chat_end", "execution_id": asked["execution_id"]})
                session = result()["session_id"]
        assert asked["history"] == [{"role": "user", "content": "turn 0"}, {"role": "assistant", "content": "answer 0"}]

    def test_an_own_failure_lowers_confidence_and_shows_no_text(self, server, agent):
        with server.client(agent["token"]).ws() as program:
            result = in_background(lambda: server.post("/v1/chat", {"message": "x", "agent": agent["id"]}))
            asked = program.until(lambda m: m["type"] == "chat_request")[-1]
            program.ask({"type": "chat_end", "execution_id": asked["execution_id"], "error": "secret trace"})
        reply = result()
        assert reply.status == 502 and reply.code == "provider_failed" and "secret" not in reply.text
        after = server.get(f"/v1/agents/{agent['id']}").ok()
        assert round(agent["confidence"] - after["confidence"], 4) == 0.02

    def test_a_cancel_is_told_to_the_program(self, server, agent):
        with server.client(agent["token"]).ws() as program:
            result = in_background(lambda: server.post("/v1/chat", {"message": "x", "agent": agent["id"]}))
            asked = program.until(lambda m: m["type"] == "chat_request")[-1]
            assert program.ask({"type": "chat_delta", "execution_id": asked["execution_id"], "delta": "part"})["type"] == "ok"
            server.post(f"/v1/executions/{asked['execution_id']}/cancel").ok()
            told = program.until(lambda m: m["type"] == "chat_cancel")[-1]
            assert told["execution_id"] == asked["execution_id"]
            late = program.ask({"type": "chat_delta", "execution_id": asked["execution_id"], "delta": "late", "ref": 1})
            assert late["type"] == "error" and late["code"] == "not_found"
        assert result().code == "cancelled"
        assert server.ended(asked["execution_id"])["partial_response"] == "part"


class TestPresence:
    def test_offline_is_said_at_once(self, server, agent):
        reply = server.post("/v1/chat", {"message": "x", "agent": agent["id"]})
        assert reply.status == 503 and reply.code == "agent_offline"

    def test_a_run_may_wait_for_its_agent(self, server, agent):
        result = in_background(lambda: server.post("/v1/chat", {"message": "x", "agent": agent["id"], "wait_ms": 20000}))
        wait_for(lambda: any(e["status"] == "running" for e in server.items(f"/v1/executions?agent={agent['id']}")), "the run")
        with server.client(agent["token"]).ws() as program:
            asked = program.until(lambda m: m["type"] == "chat_request")[-1]
            program.send({"type": "chat_delta", "execution_id": asked["execution_id"], "delta": "here"})
            program.send({"type": "chat_end", "execution_id": asked["execution_id"]})
            assert result().ok()["response"] == "here"

    def test_waiting_ends(self, server, agent):
        reply = server.post("/v1/chat", {"message": "x", "agent": agent["id"], "wait_ms": 50})
        assert reply.status == 503 and reply.code == "agent_offline"

    def test_one_connection_of_several_is_asked_whichever_loop_it_is_on(self, server, agent):
        programs = [server.client(agent["token"]).ws() for _ in range(6)]
        try:
            for _ in range(4):
                result = in_background(lambda: server.post("/v1/chat", {"message": "x", "agent": agent["id"]}))
                execution = wait_for(lambda: next((e for e in server.items(f"/v1/executions?agent={agent['id']}")
                                                   if e["status"] == "running"), None), "the run")["id"]
                # Any connection may answer: the one that is asked is not known beforehand.
                programs[0].send({"type": "chat_delta", "execution_id": execution, "delta": "any"})
                programs[0].send({"type": "chat_end", "execution_id": execution})
                assert result().ok()["response"] == "any"
            asked = sum(m["type"] == "chat_request" for p in programs for m in p.drain())
            assert asked == 4
        finally:
            for program in programs:
                program.close()


class TestStrangers:
    def test_only_the_agent_itself_answers(self, server, agent):
        """T9: who answers is known from the credential."""
        other = server.post("/v1/agents", {"name": "Other", "kind": "external", "maturity": "intern"}).ok()
        token = server.post(f"/v1/agents/{other['id']}/tokens", {}).ok()["token"]
        with server.client(agent["token"]).ws() as program, server.client(token).ws() as stranger, server.ws() as human:
            result = in_background(lambda: server.post("/v1/chat", {"message": "x", "agent": agent["id"]}))
            asked = program.until(lambda m: m["type"] == "chat_request")[-1]
            forged = {"type": "chat_delta", "execution_id": asked["execution_id"], "delta": "forged", "ref": 1}
            assert stranger.ask(forged)["code"] == "not_found"
            assert human.ask(forged)["code"] == "permission_denied"
            program.send({"type": "chat_end", "execution_id": asked["execution_id"]})
            assert result().ok()["response"] == ""
            assert not any(m["type"] == "chat_request" for m in stranger.drain() + human.drain())

    def test_nonsense_is_refused_by_name(self, server, agent):
        with server.client(agent["token"]).ws() as program:
            assert program.ask({"type": "chat_delta", "execution_id": "nobody", "delta": "x"})["code"] == "not_found"
            assert "/delta" in program.ask({"type": "chat_delta", "execution_id": "x"})["detail"]
            assert "/execution_id" in program.ask({"type": "chat_end"})["detail"]

    def test_a_student_is_not_asked(self, server):
        """AC-2: governance stands before an external agent as before a hosted one."""
        student = server.post("/v1/agents", {"name": "Young", "kind": "external"}).ok()
        token = server.post(f"/v1/agents/{student['id']}/tokens", {}).ok()["token"]
        with server.client(token).ws() as program:
            reply = server.post("/v1/chat", {"message": "x", "agent": student["id"]})
            assert reply.status == 403 and "blocked" in reply.text
            program.ask({"type": "ping"})
            assert not any(m["type"] == "chat_request" for m in program.drain())
