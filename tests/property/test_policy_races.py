"""No answer of the gate is older than the question: what an agent may do follows demotions, changes of the table, pauses and the kill switch at once.

Some clients ask all the time, over each way that a decision takes: `decide` (the loop alone), `enforce` (the writer), a reaction (the loop, and
again in the transaction). One other changes what governs. An answer has to be that of a state which stood at some moment between question and
answer: the acknowledged ones around it, or one of those that were being made meanwhile.
"""
import threading
import time
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import social
from support.harness import wait_for

LEVELS = ["student", "intern", "supervised", "autonomous"]
THUMB = "%F0%9F%91%8D"


class Standing(NamedTuple):
    maturity: int = 4
    level: int = 2
    stopped: bool = False
    paused: bool = False

    def proceeds(self):
        return not self.stopped and not self.paused and self.maturity >= self.level and not (self.maturity == 3 and self.level >= 3)


class Answer(NamedTuple):
    asked: float
    answered: float
    way: str
    proceeds: bool


class World:
    def __init__(self, server):
        self.server = server
        self.bot = social.agent(server, "Racer", "autonomous")
        self.post = server.post("/v1/posts", {"content": "react to this"}).ok(201)["id"]
        self.standing = Standing()

    def ask(self, client, way):
        if way == "decide":
            return client.post(f"/v1/agents/{self.bot.id}/decide", {"action": "react"}).ok(200)["proceed"]
        if way == "enforce":
            return client.post(f"/v1/agents/{self.bot.id}/enforce", {"action": "react"}).ok(200, 202, 403).get("proceed", False)
        return client.put(f"/v1/posts/{self.post}/reactions/{THUMB}").status in (200, 201)

    def change(self, wanted):
        """One step to the state that is wanted; the state it led to."""
        now, agent = self.standing, f"/v1/agents/{self.bot.id}"
        if wanted.maturity != now.maturity:
            up = wanted.maturity > now.maturity
            reply = self.server.post(f"{agent}/{'promote' if up else 'demote'}", {"reason": "race", **({"override": True} if up else {})})
            self.standing = now._replace(maturity=now.maturity + (1 if up else -1))
        elif wanted.level != now.level:
            reply = self.server.put("/v1/policy/react", {"level": wanted.level})
            self.standing = now._replace(level=wanted.level)
        elif wanted.stopped != now.stopped:
            reply = self.server.post("/v1/kill-switch", {"on": wanted.stopped, "reason": "race"})
            self.standing = now._replace(stopped=wanted.stopped)
        else:
            reply = self.server.post(f"{agent}/{'pause' if wanted.paused else 'resume'}")
            self.standing = now._replace(paused=wanted.paused)
        reply.ok(200)


@pytest.fixture(scope="module")
def world(make_shared_server):
    return World(make_shared_server(env={**social.UNLIMITED, "GUILD_SERVER_LOOPS": "3", "GUILD_HTTP_RATE": "0"}))


def asking(world, way, over, answers):
    client = world.server.client(world.bot.token)
    while not over.is_set():
        asked = time.monotonic()
        proceeds = world.ask(client, way)
        answers.append(Answer(asked, time.monotonic(), way, proceeds))


standings = st.builds(Standing, st.integers(1, 4), st.integers(1, 4), st.sampled_from([False, False, True]), st.sampled_from([False, False, True]))


@settings(max_examples=12)
@given(st.lists(standings, min_size=1, max_size=4))
def test_no_answer_is_stale(world, wanted):
    answers, over = [], threading.Event()
    threads = [threading.Thread(target=asking, args=(world, way, over, answers)) for way in ("decide", "enforce", "react")]
    stood = [(0.0, 0.0, world.standing)]  # begun, acknowledged, what stands from then on
    for thread in threads:
        thread.start()
    try:
        for target in wanted:
            while world.standing != target:
                begun = time.monotonic()
                world.change(target)
                stood.append((begun, time.monotonic(), world.standing))
            seen = len(answers)
            wait_for(lambda: len(answers) >= seen + 6, "answers on what stands", every=0.001)
    finally:
        over.set()
        for thread in threads:
            thread.join(30)
    assert len(answers) >= 6
    for answer in answers:
        # It stood when it was begun to be made at the earliest, and until the next one was acknowledged at the latest.
        ends = [acknowledged for _, acknowledged, _ in stood[1:]] + [float("inf")]
        possible = {standing.proceeds() for (begun, _, standing), end in zip(stood, ends) if begun <= answer.answered and answer.asked <= end}
        assert answer.proceeds in possible, (answer, stood)
