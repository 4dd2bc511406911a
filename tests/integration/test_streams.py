"""Numbered streams: order, resume, crashes, busy sessions, cancelling, slow and vanished readers, and providers that misbehave."""
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.harness import wait_for


def seqs(events):
    return [event.seq for event in events]


def deltas(events):
    return [event.data["delta"] for event in events if event.event == "streaming:update"]


def start_held(client, provider, text=("a", "b", "c", "d"), hold_after=2, message="hello", **members):
    """A stream that the provider holds after some deltas: (stream, its events so far)."""
    provider.script({"deltas": list(text), "hold_after": hold_after})
    stream = client.stream(message, **members)
    events = stream.until(lambda e: e.seq == hold_after + 1)
    return stream, events


class TestNumbers:
    def test_ids_and_order(self, server_with_provider, provider):
        provider.script({"deltas": [f"w{i} " for i in range(50)]})
        with server_with_provider.stream("hello") as stream:
            assert stream.status == 200 and stream.headers["cache-control"] == "no-store"
            assert stream.headers["x-accel-buffering"] == "no"
            events = stream.collect()
        execution_id = stream.headers["x-execution-id"]
        assert [event.id for event in events] == [f"{execution_id}:1:{i}" for i in range(1, 53)]
        assert [event.data["seq"] for event in events] == seqs(events)
        assert [e.event for e in events] == ["streaming:start"] + ["streaming:update"] * 50 + ["streaming:complete"]
        assert stream.retry == 1000 and stream.result["execution_id"] == execution_id
        row = server_with_provider.execution(execution_id)
        assert (row["epoch"], row["seq_last"]) == (1, 52)

    def test_the_log_read_back_is_the_stream(self, server_with_provider):
        server = server_with_provider
        with server.stream("one two three") as stream:
            live = stream.collect()
        execution_id = stream.headers["x-execution-id"]
        assert server.events(execution_id).collect() == live
        server.restart()
        assert server.events(execution_id).collect() == live

    def test_after(self, server_with_provider):
        server = server_with_provider
        with server.stream("one two three") as stream:
            live = stream.collect()
        execution_id, last = stream.headers["x-execution-id"], live[-1].seq
        for after in range(last):
            assert server.events(execution_id, after=after).collect() == live[after:]
            assert server.events(execution_id, after=f"1:{after}").collect() == live[after:]
            assert server.events(execution_id, last_event_id=f"{execution_id}:1:{after}").collect() == live[after:]
        for done in (server.events(execution_id, after=last), server.events(execution_id, last_event_id=live[-1].id)):
            assert done.status == 204 and done.reply.text == ""

    def test_cursors_that_are_none(self, server_with_provider):
        server = server_with_provider
        first, second = (server.chat("hello").ok(200)["execution_id"] for _ in range(2))
        for bad in ("x", "-1", "1:x", "1:2:3", "0:1", "99999999999999999999", ":"):
            assert server.events(first, after=bad).status in (400, 422), bad
        for bad in ("x", f"{second}:1:1", f"{first}:1", f"{first}:1:x", f"{first}", f"{first}:1:-1"):
            refused = server.events(first, last_event_id=bad)
            assert refused.status == 400 and refused.reply.code == "malformed", bad
        assert server.events("nothing").status == 404

    def test_beyond_the_end(self, server_with_provider):
        server = server_with_provider
        execution_id = server.chat("hello").ok(200)["execution_id"]
        assert server.events(execution_id, after=1000).status in (204, 400)


@pytest.mark.threads
class TestResume:
    @pytest.mark.parametrize("after", [0, 1, 2, 3])
    def test_in_the_middle(self, server_with_provider, provider, after):
        server = server_with_provider
        stream, seen = start_held(server, provider)
        execution_id = stream.headers["x-execution-id"]
        stream.close()
        resumed = server.events(execution_id, after=after)
        first = resumed.until(lambda e: e.seq == 3) if after < 3 else []
        assert first == seen[after:]
        provider.release()
        rest = resumed.collect()
        assert seqs(first + rest) == list(range(after + 1, 7))
        assert deltas(seen + rest) == ["a", "b", "c", "d"] and rest[-1].data["content"] == "abcd"

    def test_many_at_once(self, server_with_provider, provider):
        """Every reader gets the same, wherever it comes in."""
        server = server_with_provider
        stream, _ = start_held(server, provider, [str(i % 10) for i in range(200)], hold_after=100)
        execution_id = stream.headers["x-execution-id"]
        readers = [server.events(execution_id, after=i * 7) for i in range(12)]
        provider.release()
        with ThreadPoolExecutor(12) as pool:
            logs = list(pool.map(lambda r: r.collect(), readers))
        whole = stream.collect()
        for i, events in enumerate(logs):
            assert seqs(events) == list(range(i * 7 + 1, 203))
            assert events[-1] == whole[-1]

    def test_over_a_websocket(self, server_with_provider, provider):
        server = server_with_provider
        stream, seen = start_held(server, provider)
        execution_id = stream.headers["x-execution-id"]
        stream.close()
        with server.ws() as socket:
            assert socket.ask({"type": "resume", "execution_id": execution_id, "after": 1})["type"] == "ok"
            provider.release()
            messages = [m for m in socket.streaming() if m["metadata"]["execution_id"] == execution_id]
        assert [m["seq"] for m in messages] == [2, 3, 4, 5, 6]
        assert [m.get("delta") for m in messages] == ["a", "b", "c", "d", None]

    def test_of_another_s_run(self, server_with_provider, provider):
        """T1"""
        server = server_with_provider
        owner, other = server.second_user(), server.second_user()
        stream, _ = start_held(owner, provider)
        execution_id = stream.headers["x-execution-id"]
        assert other.events(execution_id).status == 404
        with other.ws() as socket:
            refused = socket.ask({"type": "resume", "execution_id": execution_id, "after": 0})
            unknown = socket.ask({"type": "resume", "execution_id": execution_id[:-2] + "00", "after": 0})
            topic = socket.ask({"type": "subscribe", "topics": [f"execution:{execution_id}"]})
            provider.release()
            stream.collect()
            leaked = [m for m in socket.drain() if m["type"].startswith("streaming:")]
        assert refused["type"] == unknown["type"] == topic["type"] == "error"
        assert refused["code"] == unknown["code"] == "not_found"
        assert leaked == []


class TestCrash:
    def test_the_durable_prefix_stays(self, server_with_provider, provider):
        """After kill -9: a new epoch, what was durable as it was, then one error that says how far that is."""
        server = server_with_provider
        text = [f"w{i} " for i in range(40)]
        stream, seen = start_held(server, provider, text, hold_after=20)
        execution_id = stream.headers["x-execution-id"]
        wait_for(lambda: server.execution(execution_id)["status"] == "running", "the run")
        # A batch is on disk within its time; that it was written shows in the writer's count standing still.
        server_jobs = server.metrics()["guild_writer_commits_total"]
        wait_for(lambda: server.metrics()["guild_writer_commits_total"] >= server_jobs, "the writer")
        server.kill9()
        server.start()
        row = server.execution(execution_id)
        assert row["status"] == "interrupted" and row["epoch"] == 2
        events = server.events(execution_id, after=0).collect()
        error = events[-1]
        assert error.event == "streaming:error" and error.data["code"] == "interrupted" and error.epoch == 2
        last_durable = error.data["last_durable_seq"]
        assert error.seq == last_durable + 1
        assert deltas(events) == deltas(seen)[:last_durable - 1]
        assert row["partial_response"] == "".join(deltas(events))
        assert provider.log()[0]["aborted"] is True

    def test_a_cursor_of_the_older_epoch(self, server_with_provider, provider):
        server = server_with_provider
        stream, seen = start_held(server, provider, [f"w{i} " for i in range(20)], hold_after=10)
        execution_id = stream.headers["x-execution-id"]
        server.kill9()
        server.start()
        resumed = server.events(execution_id, last_event_id=seen[-1].id)
        assert resumed.status == 200
        events = [e for e in resumed]
        error = [e for e in events if e.event == "streaming:error"]
        assert len(error) == 1 and error[0].data["code"] == "interrupted" and error[0].data["last_durable_seq"] >= 1
        assert server.events(execution_id, last_event_id=error[0].id).status == 204

    def test_batches_are_durable_in_their_time(self, make_server_with_provider, provider):
        """With a batch time of nothing, what was seen a while ago survives."""
        server = make_server_with_provider(env={"GUILD_STORE_TOKEN_BATCH": "0"})
        stream, seen = start_held(server, provider, ["alpha ", "beta ", "gamma "], hold_after=2)
        execution_id = stream.headers["x-execution-id"]
        with server.second_user().stream("another") as other:  # its transactions come behind the batch's
            provider.release()
            other.collect()
        stream.collect()
        provider.script({"deltas": ["one ", "two "], "hold_after": 2})
        held = server.stream("again")
        second = held.until(lambda e: e.seq == 3)[0].data["execution_id"]
        server.chat("script:" + json.dumps({"deltas": ["x"]})).ok(200)
        server.kill9()
        server.start()
        assert server.execution(second)["partial_response"] == "one two "
        assert server.execution(execution_id)["status"] == "completed"

    def test_queued_messages_survive_in_order(self, server_with_provider, provider):
        server = server_with_provider
        session = server.chat("first").ok(200)["session_id"]
        stream, _ = start_held(server, provider, session_id=session, message="running")
        waiting = [server.stream(f"queued {i}", session_id=session) for i in range(4)]
        ids = [w.headers["x-execution-id"] for w in waiting]
        assert [server.execution(id)["status"] for id in ids] == ["queued"] * 4
        server.kill9()
        provider.reset()
        server.start()
        rows = [server.ended(id, "completed") for id in ids]
        assert [row["result_summary"] for row in rows] == [f"echo: queued {i}" for i in range(4)]
        asked = [entry["body"]["messages"][-1]["content"] for entry in provider.log()]
        assert asked == [f"queued {i}" for i in range(4)]
        stored = [m["content"] for m in server.messages(session) if m["role"] == "user"]
        assert stored == ["first", "running"] + [f"queued {i}" for i in range(4)]
        assert server.get(f"/v1/sessions/{session}").ok(200)["message_count"] == len(server.messages(session))

    def test_many_crashes(self, server_with_provider, provider):
        """Whatever was acknowledged stands after each of several kills."""
        server = server_with_provider
        session, expected = server.chat("m").ok(200)["session_id"], 1
        for round in range(4):
            for i in range(3):
                server.chat(f"m{round}.{i}", session_id=session).ok(200)
                expected += 1
            server.restart(kill=True)
            users = [m for m in server.messages(session) if m["role"] == "user"]
            answers = [m for m in server.messages(session) if m["role"] == "assistant"]
            assert len(users) == len(answers) == expected
        assert server.cli("audit", "verify").returncode == 0


@pytest.mark.threads
class TestBusySession:
    def test_enqueue(self, server_with_provider, provider):
        server = server_with_provider
        stream, _ = start_held(server, provider)
        session = stream.headers["x-session-id"]
        second = server.stream("second", session_id=session)
        third = server.stream("third", session_id=session, on_busy="enqueue")
        assert server.execution(second.headers["x-execution-id"])["status"] == "queued"
        assert len(provider.log()) == 1
        provider.release()
        assert stream.collect()[-1].data["content"] == "abcd"
        assert second.collect()[-1].data["content"] == "echo: second"
        assert third.collect()[-1].data["content"] == "echo: third"
        asked = provider.log()[2]["body"]["messages"]
        assert [m["content"] for m in asked if m["role"] != "system"] == ["hello", "abcd", "second", "echo: second", "third"]

    def test_reject(self, server_with_provider, provider):
        server = server_with_provider
        stream, _ = start_held(server, provider)
        refused = server.chat("second", session_id=stream.headers["x-session-id"], on_busy="reject")
        assert refused.status == 409 and refused.code == "session_busy"
        provider.release()
        assert stream.collect()[-1].data["content"] == "abcd"
        assert len(server.messages(stream.headers["x-session-id"])) == 2

    def test_interrupt(self, server_with_provider, provider):
        server = server_with_provider
        stream, _ = start_held(server, provider)
        session = stream.headers["x-session-id"]
        second = server.chat("second", session_id=session, on_busy="interrupt").ok(200)
        assert second["response"] == "echo: second"
        assert stream.collect()[-1].data["code"] == "cancelled"
        first = server.execution(stream.headers["x-execution-id"])
        assert first["status"] == "cancelled" and first["partial_response"] == "ab"
        assert [(m["role"], m["content"], m["partial"]) for m in server.messages(session)] == [
            ("user", "hello", False), ("assistant", "ab", True), ("user", "second", False), ("assistant", "echo: second", False)]
        provider.wait(aborted=1)

    def test_rollback(self, server_with_provider, provider):
        server = server_with_provider
        stream, _ = start_held(server, provider)
        session = stream.headers["x-session-id"]
        second = server.chat("second", session_id=session, on_busy="rollback").ok(200)
        assert second["success"] is True
        assert stream.collect()[-1].data["code"] == "cancelled"
        asked = provider.log()[-1]["body"]["messages"]
        assert [m["content"] for m in asked if m["role"] != "system"] == ["second"], "rolled back messages went to the model"
        server.chat("third", session_id=session).ok(200)
        asked = provider.log()[-1]["body"]["messages"]
        assert [m["content"] for m in asked if m["role"] != "system"] == ["second", "echo: second", "third"]

    def test_a_full_queue(self, make_server_with_provider, provider):
        server = make_server_with_provider(env={"GUILD_EXECUTION_SESSION_QUEUE": "3"})
        stream, _ = start_held(server, provider)
        session = stream.headers["x-session-id"]
        waiting = [server.stream(f"q{i}", session_id=session) for i in range(3)]
        full = server.chat("one too many", session_id=session)
        assert full.status == 429 and full.code == "session_queue_full" and "retry-after" in full.headers
        provider.release()
        stream.collect()
        assert [w.collect()[-1].data["content"] for w in waiting] == ["echo: q0", "echo: q1", "echo: q2"]
        assert server.chat("now", session_id=session).ok(200)["success"] is True

    def test_a_queued_one_can_be_cancelled(self, server_with_provider, provider):
        server = server_with_provider
        stream, _ = start_held(server, provider)
        session = stream.headers["x-session-id"]
        second, third = (server.stream(text, session_id=session) for text in ("second", "third"))
        server.post(f"/v1/executions/{second.headers['x-execution-id']}/cancel").ok(202)
        assert second.collect()[-1].data["code"] == "cancelled"
        provider.release()
        stream.collect()
        assert third.collect()[-1].data["content"] == "echo: third"
        assert [e["body"]["messages"][-1]["content"] for e in provider.log()] == ["hello", "third"]

    def test_sessions_do_not_wait_for_each_other(self, server_with_provider, provider):
        server = server_with_provider
        stream, _ = start_held(server, provider)
        assert server.chat("elsewhere").ok(200)["success"] is True
        provider.release()
        assert stream.collect()[-1].event == "streaming:complete"


@pytest.mark.threads
class TestCancel:
    def test_partial_text_stays_and_upstream_stops(self, server_with_provider, provider):
        server = server_with_provider
        stream, _ = start_held(server, provider)
        execution_id = stream.headers["x-execution-id"]
        server.post(f"/v1/executions/{execution_id}/cancel").ok(202)
        provider.wait(aborted=1)
        error = stream.collect()[-1]
        assert error.event == "streaming:error" and error.data["code"] == "cancelled"
        row = server.ended(execution_id, "cancelled")
        assert row["partial_response"] == "ab" and row["error_code"] == "cancelled"
        messages = server.messages(row["session_id"])
        assert [(m["role"], m["content"], m["partial"]) for m in messages] == [("user", "hello", False), ("assistant", "ab", True)]

    def test_an_endless_stream(self, server_with_provider, provider):
        server = server_with_provider
        provider.script({"endless": True, "delay_ms": 5})
        stream = server.stream("hello")
        stream.until(lambda e: e.seq == 5)
        server.post(f"/v1/executions/{stream.headers['x-execution-id']}/cancel").ok(202)
        provider.wait(aborted=1)
        assert stream.collect()[-1].data["code"] == "cancelled"

    def test_while_waiting_for_the_first_byte(self, server_with_provider, provider):
        server = server_with_provider
        provider.script({"hang": True})
        stream = server.stream("hello")
        execution_id = stream.until("streaming:start")[0].data["execution_id"]
        provider.wait(requests=1)
        server.post(f"/v1/executions/{execution_id}/cancel").ok(202)
        provider.wait(aborted=1)
        row = server.ended(execution_id, "cancelled")
        assert not row["partial_response"]
        assert [m["role"] for m in server.messages(row["session_id"])] == ["user"]

    def test_twice_and_too_late(self, server_with_provider, provider):
        server = server_with_provider
        done = server.chat("hello").ok(200)["execution_id"]
        late = server.post(f"/v1/executions/{done}/cancel")
        assert late.status == 409
        assert server.execution(done)["status"] == "completed"
        assert server.post("/v1/executions/nothing/cancel").status == 404

    def test_over_a_websocket(self, server_with_provider, provider):
        server = server_with_provider
        provider.script({"deltas": ["a", "b"], "hold_after": 1})
        with server.ws() as socket:
            execution_id = socket.ask({"type": "chat", "message": "hello"})["execution_id"]
            socket.until(lambda m: m.get("delta") == "a")
            assert socket.ask({"type": "cancel", "execution_id": execution_id})["type"] == "ok"
            assert socket.streaming()[-1]["code"] == "cancelled"
        provider.wait(aborted=1)


@pytest.mark.threads
class TestReaders:
    def test_a_client_that_goes_does_not_stop_the_run(self, server_with_provider, provider):
        server = server_with_provider
        stream, _ = start_held(server, provider)
        execution_id = stream.headers["x-execution-id"]
        stream.close()
        provider.release()
        assert server.ended(execution_id, "completed")["result_summary"] == "abcd"
        assert provider.log()[0]["finished"] is True

    def test_a_client_that_goes_before_an_answer(self, server_with_provider, provider):
        server = server_with_provider
        provider.script({"deltas": ["a", "b"], "hold_after": 1})
        body = b'{"message":"hello"}'
        with server.raw() as connection:
            connection.send(b"POST /v1/chat HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + server.token.encode() +
                            b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            provider.wait(deltas=1)
        provider.release()
        row = wait_for(lambda: server.items("/v1/executions?status=completed"), "the run's end")[0]
        assert row["result_summary"] == "ab"

    @pytest.mark.slow
    def test_one_that_does_not_read(self, server_with_provider, provider):
        """T21: it delays nobody, and loses nothing that it cannot fetch again."""
        server = server_with_provider
        text = ["%07d " % i + "x" * 1000 for i in range(900)]
        provider.script({"deltas": text})
        slow = server.stream("hello")
        execution_id = slow.headers["x-execution-id"]
        fast = server.events(execution_id)
        assert deltas(fast.collect()) == text
        server.ended(execution_id, "completed")
        assert server.chat("meanwhile").ok(200)["success"] is True
        got = []
        try:
            got = slow.collect()
        except (OSError, ValueError):
            pass
        last = got[-1].seq if got else 0
        rest = [] if last == len(text) + 2 else server.events(execution_id, after=last).collect()
        assert seqs(got + rest) == list(range(1, len(text) + 3))
        assert deltas(got + rest) == text

    def test_comments_keep_it_open(self, make_server_with_provider, provider):
        server = make_server_with_provider(env={"GUILD_HTTP_SSE_COMMENT": "1"})
        provider.script({"deltas": ["a", "b"], "first_delay_ms": 2500})
        with server.stream("hello") as stream:
            assert stream.collect()[-1].event == "streaming:complete"
        assert stream.comments


class TestProviders:
    """T35: whatever the provider does, the run ends once, and nothing of it leaks."""
    BROKEN = {
        "cut": ({"deltas": ["a", "b", "c"], "cut_after": 2}, "ab"),
        "reset": ({"deltas": ["a", "b", "c"], "cut_after": 2, "reset": True}, "ab"),
        "cut before the first": ({"deltas": ["a"], "cut_after": 0}, ""),
        "no marker at the end": ({"deltas": ["a", "b"], "no_done": True, "no_finish": True}, "ab"),
        "in-band error": ({"deltas": ["a", "b"], "in_band_error_after": 1}, "a"),
        "server error": ({"status": 500}, ""),
        "too many requests": ({"status": 429, "retry_after": 7}, ""),
        "not signed in": ({"status": 401}, ""),
        "redirect": ({"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}, ""),
        "a page": ({"status": 200, "content_type": "text/html", "body": "<html>welcome</html>"}, ""),
        "bytes": ({"raw": "\x00\xff\xfe garbage \r\n\r\n" * 50}, ""),
        "a huge line": ({"raw": "data: " + "x" * 2000000}, ""),
        "all garbage": ({"deltas": ["a"], "garbage_after": 0, "garbage": 2000, "cut_after": 1}, None),
    }

    @pytest.mark.parametrize("name", BROKEN)
    def test_a_broken_answer_fails_the_run(self, server_with_provider, provider, name):
        server = server_with_provider
        behaviour, partial = self.BROKEN[name]
        provider.script(behaviour)
        with server.stream("hello") as stream:
            events = stream.collect()
        assert [e.event for e in events].count("streaming:error") == 1 and events[-1].event == "streaming:error", events[-1]
        error = events[-1].data
        assert error["code"] == "provider_failed" and error["retryable"] is True
        row = server.ended(stream.headers["x-execution-id"], "failed")
        if partial is not None:
            assert "".join(deltas(events)) == partial
            assert (row["partial_response"] or "") == partial and error["truncated"] is bool(partial)
        assert stream.result["success"] is False and stream.result["code"] == "provider_failed"
        provider.reset()
        assert server.chat("next").ok(200)["response"] == "echo: next"

    ODD = {
        "CRLF": {"crlf": True}, "CR": {"cr": True}, "comments": {"comments": True}, "one byte a write": {"split": 1},
        "three bytes a write": {"split": 3}, "CRLF byte by byte": {"crlf": True, "split": 1, "comments": True},
        "reasoning first": {"reasoning": True}, "text behind the finish": {"after_finish": []}, "no finish reason": {"no_finish": True},
        "lingers after the marker": {"linger": True}, "some garbage": None, "one JSON body": {"non_stream": True},
    }

    @pytest.mark.parametrize("name", [name for name, behaviour in ODD.items() if behaviour is not None])
    def test_an_odd_but_whole_answer_is_fine(self, server_with_provider, provider, name):
        server = server_with_provider
        text = ["Grüße ", "日本語 ", "🦉 ", "e\u0301 ", "end"]
        provider.script({"deltas": text, **self.ODD[name]})
        with server.stream("hello") as stream:
            events = stream.collect()
        assert events[-1].event == "streaming:complete", events[-1]
        assert events[-1].data["content"] == "".join(text)
        assert "".join(deltas(events)) == "".join(text)
        if name != "one JSON body":
            assert deltas(events) == text

    def test_text_that_is_not_utf_8_becomes_it(self, server_with_provider, provider):
        """What no code point begins with is replaced; a reader never sees a torn one."""
        provider.script({"raw": 'data: {"choices":[{"delta":{"content":"a\xff\xfeb"}}]}\n\ndata: [DONE]\n\n'})
        with server_with_provider.stream("hello") as stream:
            events = stream.collect()
        assert events[-1].event == "streaming:complete"
        assert events[-1].data["content"].strip("ab") == "\ufffd" * events[-1].data["content"].count("\ufffd") != ""

    def test_hang_before_the_first_byte(self, make_server_with_provider, provider):
        server = make_server_with_provider(env={"GUILD_EXECUTION_FIRST_BYTE_TIMEOUT": "0.5"})
        provider.script({"hang": True})
        reply = server.chat("hello")
        assert reply.status == 504 and reply.code == "provider_timeout"
        assert server.execution(reply.body["execution_id"])["status"] == "timed_out"
        provider.wait(aborted=1)
        assert server.chat("next").ok(200)["success"] is True

    def test_silence_in_the_middle(self, make_server_with_provider, provider):
        server = make_server_with_provider(env={"GUILD_EXECUTION_IDLE_TIMEOUT": "0.5"})
        provider.script({"deltas": ["a", "b"], "hold_after": 1})
        with server.stream("hello") as stream:
            error = stream.collect()[-1]
        assert error.data["code"] == "provider_timeout" and error.data["truncated"] is True
        provider.wait(aborted=1)
        assert server.execution(stream.headers["x-execution-id"])["partial_response"] == "a"

    def test_a_drip_is_not_silence_but_has_an_end(self, make_server_with_provider, provider):
        server = make_server_with_provider(env={"GUILD_EXECUTION_IDLE_TIMEOUT": "1", "GUILD_EXECUTION_TOTAL_TIMEOUT": "2"})
        provider.script({"endless": True, "delay_ms": 20})
        begun = time.monotonic()
        with server.stream("hello") as stream:
            error = stream.collect()[-1]
        assert error.data["code"] == "timed_out" and time.monotonic() - begun < 20
        assert server.execution(stream.headers["x-execution-id"])["status"] == "timed_out"
        provider.wait(aborted=1)

    def test_endless_text_has_a_limit(self, make_server_with_provider, provider):
        server = make_server_with_provider(env={"GUILD_EXECUTION_ANSWER_MAX": "4k"})
        provider.script({"endless": True, "deltas": ["x" * 100]})
        with server.stream("hello") as stream:
            events = stream.collect()
        assert events[-1].event == "streaming:error" and events[-1].data["code"] == "provider_failed"
        assert len("".join(deltas(events))) <= 4096
        provider.wait(aborted=1)

    def test_nobody_there(self, make_server):
        server = make_server(env={"GUILD_OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "GUILD_OPENAI_MODEL": "m", "OPENAI_API_KEY": "k" * 20})
        reply = server.chat("hello")
        assert reply.status in (502, 504) and "127.0.0.1:1" not in reply.text
        assert server.execution(reply.body["execution_id"])["status"] in ("failed", "timed_out")

    def test_what_is_asked_of_it(self, server_with_provider, provider):
        server_with_provider.chat("hello").ok(200)
        entry = provider.log()[0]
        assert entry["headers"]["authorization"] == "Bearer key-of-the-tests-0001"
        assert entry["body"]["model"] == "test-model" and entry["body"]["stream"] is True
        assert entry["body"]["messages"][-1] == {"role": "user", "content": "hello"}

    def test_a_model_that_need_not_be_named(self, make_server, provider):
        """Where the server lists exactly one."""
        provider.script({"models": ["the-only-one"]})
        server = make_server(env={"GUILD_OPENAI_BASE_URL": provider.base_url})
        result = server.chat("hello").ok(200)
        assert result["model"] == "the-only-one" and result["provider"] == "openai"

    @pytest.mark.threads
    def test_many_runs_at_once(self, server_with_provider):
        """Each has its own row, session and stream."""
        server = server_with_provider
        users = [server.second_user() for _ in range(4)]

        def one(i):
            with users[i % 4].stream(f"number {i} of many words") as stream:
                return i, stream.collect(), stream.result
        with ThreadPoolExecutor(16) as pool:
            results = list(pool.map(one, range(64)))
        for i, events, result in results:
            assert "".join(deltas(events)) == result["response"] == f"echo: number {i} of many words"
            assert seqs(events) == list(range(1, len(events) + 1))
        assert len({r["execution_id"] for _, _, r in results}) == len({r["session_id"] for _, _, r in results}) == 64
        for user in users:
            assert len(user.items("/v1/executions?limit=100")) == 16
