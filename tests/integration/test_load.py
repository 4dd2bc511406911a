"""Many clients at once, doing everything, while the server is stopped and killed under them: what was acknowledged stands."""
import http.client
import random
import threading
import time

import pytest
import websockets
from support.harness import wait_for

GONE = (OSError, http.client.HTTPException, websockets.WebSocketException, ValueError, AssertionError, TimeoutError)
CLIENTS, ROUND_S, SAMPLE = 8, 1.5, 40


class Crowd:
    """Clients that chat, stream, hang up, interrupt and cancel until they are told to stop."""

    def __init__(self, server, seed):
        self.server, self.acknowledged = server, []
        self.done = threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(random.Random(f"{seed}.{i}"),)) for i in range(CLIENTS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join()

    def work(self, chance):
        session = {}
        while not self.done.is_set():
            try:
                session = self.one(chance, session)
            except GONE:
                time.sleep(0.01)  # the server is away; not a wait for anything

    def one(self, chance, session):
        kind = chance.random()
        if kind < 0.5:
            reply = self.server.chat("word " * chance.randint(1, 40), **session)
            if reply.status == 200:
                self.acknowledged.append(reply.body)
                return {"session_id": reply.body["session_id"]} if chance.random() < 0.7 else {}
        elif kind < 0.8:
            busy = chance.choice(["enqueue", "interrupt", "rollback", "reject"])
            with self.server.stream("hello " * chance.randint(1, 30), on_busy=busy, **session) as stream:
                while stream.is_stream and stream.next() is not None and chance.random() > 0.05:
                    pass
        else:
            with self.server.ws() as socket:
                answer = socket.ask({"type": "chat", "message": "hello"})
                if answer["type"] == "ok" and chance.random() < 0.5:
                    socket.ask({"type": "cancel", "execution_id": answer["execution_id"]})
                if chance.random() < 0.3:
                    socket.kill()
        return session


def open_runs(server):
    return [row for status in ("running", "queued") for row in server.items(f"/v1/executions?limit=100&status={status}")]


@pytest.mark.slow
@pytest.mark.threads
@pytest.mark.parametrize("kill", [False, True])
def test_stopped_and_killed_under_load(server_with_provider, kill):
    """T41: twice each; then no run is left open, the chain is whole, and counts are what is there."""
    server, acknowledged = server_with_provider, []
    for seed in range(2):
        with Crowd(server, seed) as crowd:
            until = time.monotonic() + ROUND_S
            wait_for(lambda: time.monotonic() > until and len(crowd.acknowledged) > CLIENTS, "some work", timeout=60)
            if kill:
                server.kill9()
            else:
                assert server.stop() == 0
        acknowledged += crowd.acknowledged
        server.start()
        assert server.cli("audit", "verify").returncode == 0
        wait_for(lambda: not open_runs(server), "runs left open to end", timeout=60)
        for result in random.Random(seed).sample(acknowledged, min(SAMPLE, len(acknowledged))):
            assert server.execution(result["execution_id"])["status"] == "completed"
            stored = [m["content"] for m in server.messages(result["session_id"]) if m["id"] == result["message_id"]]
            assert stored == [result["response"]]
        for session in server.items("/v1/sessions?limit=100")[:SAMPLE]:
            assert session["message_count"] == len(server.messages(session["id"]))
