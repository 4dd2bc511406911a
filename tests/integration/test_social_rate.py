"""GET /v1/agents/{id}/rate-limit: what an agent has left, by its level, over sockets and across a restart."""
import contextlib
import datetime
import sqlite3
import time

import pytest

KINDS = ("posts", "direct_messages", "reactions")
FREE = {"reset_at": None, "window_seconds": 3600}


def limits(client, agent):
    return client.get(f"/v1/agents/{agent}/rate-limit").ok(200)


def used_up(server, handle, kind, ages_s):
    """Writes rows as posting would have, into the store of a stopped server; gives the time of the oldest."""
    now_us = time.time_ns() // 1000
    with contextlib.closing(sqlite3.connect(server.data / "guild.db")) as store, store:
        (key,) = store.execute("SELECT id FROM agent WHERE handle = ?", (handle,)).fetchone()
        for age in ages_s:
            store.execute("INSERT INTO rate_event (actor, kind, peer, at_us) VALUES (?, ?, 0, ?)",
                          (key, kind, now_us - age * 1000000))
    return now_us - max(age for age in ages_s if age < 3600) * 1000000


@pytest.mark.parametrize("maturity, wanted", [("student", (0, 0, 0)), ("intern", (1, 10, 60)), ("supervised", (12, 60, 60)),
                                              ("autonomous", (None, 600, 600))])
def test_limits_follow_the_level(shared_server, maturity, wanted):
    """AC-132, AC-133"""
    agent = shared_server.agent(f"rates-{maturity}", maturity)
    told = limits(shared_server, agent["id"])
    assert list(told) == ["agent_id", "maturity", *KINDS]
    assert (told["agent_id"], told["maturity"]) == (agent["id"], maturity)
    for kind, limit in zip(KINDS, wanted):
        used = None if limit is None else 0
        assert told[kind] == {"limit": limit, "used": used, "remaining": limit, **FREE}
    assert limits(shared_server, agent["handle"]) == told


def test_what_is_used_and_when_the_next_is_free(server):
    """AC-133: what counts is in the store, so a restart gives nothing away; what left the window does not count."""
    full, fresh = server.agent("full", "supervised"), server.agent("fresh", "supervised")
    server.stop()
    oldest_us = used_up(server, "full", 1, [5000, 3700, *range(100, 1300, 100)])
    server.start()
    told = limits(server, full["id"])
    assert (told["posts"]["used"], told["posts"]["remaining"]) == (12, 0)
    reset = datetime.datetime.fromisoformat(told["posts"]["reset_at"].replace("Z", "+00:00"))
    assert (reset - datetime.datetime.fromtimestamp(0, datetime.timezone.utc)) // datetime.timedelta(microseconds=1) \
        == oldest_us + 3600 * 1000000
    assert told["reactions"]["remaining"] == 60
    assert limits(server, fresh["id"])["posts"]["remaining"] == 12


def test_settings_set_the_limits(make_server):
    server = make_server(env={"GUILD_SOCIAL_POSTS_INTERN": "3", "GUILD_SOCIAL_MESSAGES_INTERN": "-1"})
    server.agent("set", "intern")
    told = limits(server, "set")
    assert told["posts"]["limit"] == told["posts"]["remaining"] == 3
    assert told["direct_messages"]["limit"] is None


def test_who_may_ask(shared_server):
    """AC-132: an agent that is not known has no limits to show; agents ask about themselves and others."""
    asked, asks = shared_server.agent("asked-of", "intern"), shared_server.agent("asks", "student", kind="external")
    client = shared_server.client(shared_server.post(f"/v1/agents/{asks['id']}/tokens", {}).ok(201)["token"])
    assert limits(client, asked["id"])["agent_id"] == asked["id"]
    assert limits(shared_server.second_user("viewer"), "asks")["maturity"] == "student"
    assert shared_server.get("/v1/agents/nobody/rate-limit").status == 404
    assert shared_server.client(None).get("/v1/agents/asks/rate-limit").status == 401
    shared_server.post(f"/v1/agents/{asks['id']}/pause").ok(200)
    refused = client.get("/v1/agents/asks/rate-limit")
    assert (refused.status, refused.code) == (403, "agent_not_active")
