"""Durable streams (spec 5): no token is seen before it is on disk, whoever looks, by server or by agent."""
import sqlite3

import pytest

SLOW = {"deltas": [f"word{i} " for i in range(12)], "delay_ms": 15}


def stored_seq(server, execution):
    """The greatest number of that run in the store, as another process sees it."""
    with sqlite3.connect(f"file:{server.data}/guild.db?mode=ro", uri=True) as db:
        running = db.execute("SELECT max(seq_last) FROM token_batch").fetchone()[0] or 1
        ended = db.execute("SELECT max(seq_last) FROM turn WHERE status > 2").fetchone()[0] or 0
    return max(running, ended)


def seen_before_stored(server, events):
    """Reads a stream to its end: numbers of the updates that were seen before the store had them."""
    early = []
    for event in events:
        if event.event == "streaming:update" and event.seq > stored_seq(server, None):
            early.append(event.seq)
        if event.event in ("streaming:complete", "streaming:error"):
            return early, event
    raise AssertionError("no end")


@pytest.mark.parametrize("by", ["server", "agent"])
def test_a_token_is_on_disk_before_it_is_seen(make_server_with_provider, provider, by):
    server = make_server_with_provider(env={"GUILD_STORE_DURABILITY": "durable"} if by == "server" else {})
    agent = server.agent("Ada", "intern", **({"configuration": {"durability": "durable"}} if by == "agent" else {}))
    provider.script(SLOW)
    with server.stream("go", agent=agent["id"] if isinstance(agent, dict) else agent) as events:
        early, end = seen_before_stored(server, events)
    assert early == []
    assert end.event == "streaming:complete" and end.data["content"] == "".join(SLOW["deltas"])
    assert end.seq == 2 + len(SLOW["deltas"])


def test_relaxed_does_not_wait(server_with_provider, provider):
    """What the test above would see if nothing waited."""
    provider.script(SLOW)
    with server_with_provider.stream("go") as events:
        early, _ = seen_before_stored(server_with_provider, events)
    assert early != []


def test_whoever_comes_meanwhile_sees_no_more(make_server_with_provider, provider):
    server = make_server_with_provider(env={"GUILD_STORE_DURABILITY": "durable", "GUILD_SERVER_LOOPS": "2"})
    provider.script({**SLOW, "hold_after": 6})
    with server.stream("go") as events:
        first = events.next()
        while first.seq < 7:
            first = events.next()
        execution = first.id.split(":")[0]
        with server.ws() as socket:
            socket.send({"type": "resume", "execution_id": execution, "after": 0})
            got = socket.until(lambda m: m.get("seq") == 7)
            assert [m["seq"] for m in got if m["type"].startswith("streaming:")] == list(range(1, 8))
            provider.release()
            assert socket.until("streaming:complete")[-1]["content"] == "".join(SLOW["deltas"])
        assert events.until("streaming:complete")


def test_a_crash_takes_nothing_that_was_seen(make_server_with_provider, provider):
    """After kill -9 the interrupted run has at least every token that anybody saw."""
    server = make_server_with_provider(env={"GUILD_STORE_DURABILITY": "durable"})
    provider.script({**SLOW, "hold_after": 9})
    with server.stream("go") as events:
        event = events.next()
        while event.seq < 10:
            event = events.next()
        execution = event.id.split(":")[0]
        server.restart(kill=True)
    run = server.ended(execution)
    assert run["status"] == "interrupted" and run["partial_response"] == "".join(SLOW["deltas"][:9])


def test_another_word_is_refused(server):
    reply = server.post("/v1/agents", {"name": "Ada", "configuration": {"durability": "maybe"}})
    assert reply.status == 422 and reply.body["errors"][0]["pointer"] == "/configuration/durability"
