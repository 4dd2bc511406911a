"""Events between the parts of one program: no server, no store, no access rules.

    bus = AgentEventBus()
    handle = bus.subscribe("news", print)
    bus.publish(["news", "global"], {"type": "hello"})
    await bus.drain()

subscribe, unsubscribe and publish act at once, from any thread, with or without `await`; drain is a coroutine. Handlers run on the event
loop that they were subscribed on (subscribed outside of one: on the first that publishes or drains).
"""
from __future__ import annotations

import asyncio
import inspect
import itertools
import re
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from datetime import datetime, timezone
from typing import Any, Union

from ._lib import Record

Handler = Callable[..., Any]
Topics = Union[str, Iterable[str]]

_TOPIC = re.compile(r"[A-Za-z0-9_.:@/-]{1,255}", re.ASCII)
_EVENT_TOPICS_MAX = 16
_TURN_EVENTS = 32
_GLOBAL = "global"


class BusFullError(RuntimeError):
    """The queue of a subscriber was full: missed of them did not get the event, all others did."""

    def __init__(self, missed: int) -> None:
        super().__init__(f"{missed} subscribers have too many events waiting and did not get this one")
        self.missed = missed


class Published(int):
    """How many subscribers get the event. Awaiting it lets handlers have a turn and gives the number."""

    def __await__(self) -> Generator[Any, None, int]:
        yield from asyncio.sleep(0).__await__()
        return int(self)


class Subscription:
    """What unsubscribe takes. Awaiting it gives it."""

    def __init__(self, subscriber: _Subscriber, topics: tuple[str, ...], agent_id: str | None) -> None:
        self._subscriber, self.topics, self.agent_id = subscriber, topics, agent_id

    def __await__(self) -> Generator[Any, None, Subscription]:
        return self
        yield

    def __repr__(self) -> str:
        return f"<guild.Subscription {', '.join(self.topics)}>"


class _Done:
    """Nothing, which may be awaited."""

    def __await__(self) -> Generator[Any, None, None]:
        return None
        yield


class _Subscriber:
    """A handler or a socket, once, with all its subscriptions and what waits for it."""

    def __init__(self, key: Any, call: Handler, wants_envelope: bool, is_socket: bool) -> None:
        self.key, self.call, self.wants_envelope, self.is_socket = key, call, wants_envelope, is_socket
        self.subscriptions: list[Subscription] = []
        self.queue: deque[tuple[Any, Record]] = deque()
        self.missed = 0
        self.loop: asyncio.AbstractEventLoop | None = None
        self.task: asyncio.Task[None] | None = None
        self.scheduled = False

    def wants(self, topics: Iterable[str]) -> bool:
        return any(topic in subscription.topics for subscription in self.subscriptions for topic in topics)


class AgentEventBus:
    """Each subscriber gets each event once, however many of its topics match, in the order of publishing, one after the other. A
    handler that fails, or a socket that died, touches nobody else.

    Topics are 1 to 255 characters of A-Z, a-z, 0-9 and _.:@/-; they match whole, without wildcards.
    """

    def __init__(self, queue_limit: int = 4096) -> None:
        self._limit = queue_limit
        self._lock = threading.RLock()
        self._subscribers: dict[Any, _Subscriber] = {}
        self._topics: dict[str, dict[Any, _Subscriber]] = {}
        self._numbers = itertools.count(1)
        self._pending = 0
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self.failures = 0

    # ---- subscribing ----

    def subscribe(self, topic: Topics | None = None, handler: Any = None, topics: Topics | None = None, *, agent_id: str | None = None,
                  websocket: Any = None) -> Subscription:
        """subscribe(topic or topics, handler): handler, plain or async, is called with each event, exactly as it was published; one
        that needs two arguments gets the envelope second (number, topics, time, missed, event).

        subscribe(agent_id, websocket, topics=[...]): an object with send_json (plain or async), which gets each event. An agent may
        have several; one whose send_json fails is removed, and the agent with its last. Without topics: "global".
        """
        target = websocket if websocket is not None else handler
        if hasattr(target, "send_json"):
            agent = agent_id if agent_id is not None else topic
            if not isinstance(agent, str) or not agent:
                raise TypeError("subscribe(agent_id, websocket, topics=[...]) needs the agent's id")
            return self._add(("socket", id(target)), target.send_json, True, _names(topics if topics is not None else _GLOBAL, None), agent)
        if not callable(target):
            raise TypeError(f"{target!r} is no handler: it cannot be called and has no send_json")
        given = topic if topic is not None else topics
        if given is None:
            raise TypeError("subscribe(topic, handler) needs a topic")
        return self._add(_key(target), target, False, _names(given, None), None)

    def _add(self, key: Any, call: Handler, is_socket: bool, names: tuple[str, ...], agent_id: str | None) -> Subscription:
        with self._lock:
            subscriber = self._subscribers.get(key)
            if subscriber is None:
                wants_envelope = not is_socket and _required(call) >= 2
                subscriber = self._subscribers[key] = _Subscriber(key, call, wants_envelope, is_socket)
            subscriber.loop = _running() or subscriber.loop
            subscription = Subscription(subscriber, names, agent_id)
            subscriber.subscriptions.append(subscription)
            for name in names:
                self._topics.setdefault(name, {})[key] = subscriber
        return subscription

    def unsubscribe(self, handle: Subscription | str, websocket: Any = None) -> _Done:
        """Ends a subscription; again is harmless. With an agent's id: of that socket, or of all its sockets. What waits because of it
        is not delivered any more."""
        with self._lock:
            if isinstance(handle, Subscription):
                self._remove(handle)
            else:
                for subscriber in list(self._subscribers.values()):
                    if websocket is None or subscriber.key == ("socket", id(websocket)):
                        for subscription in [one for one in subscriber.subscriptions if one.agent_id == handle]:
                            self._remove(subscription)
        return _Done()

    def _remove(self, subscription: Subscription) -> None:
        subscriber = subscription._subscriber
        if subscription not in subscriber.subscriptions:
            return
        subscriber.subscriptions.remove(subscription)
        for name in subscription.topics:
            if not subscriber.wants([name]) and name in self._topics:
                self._topics[name].pop(subscriber.key, None)
                if not self._topics[name]:
                    del self._topics[name]
        if not subscriber.subscriptions:
            if self._subscribers.get(subscriber.key) is subscriber and subscriber.task is None:
                del self._subscribers[subscriber.key]
            self._settle(len(subscriber.queue))
            subscriber.queue.clear()

    # ---- publishing ----

    def publish(self, topic: Topics, event: Any) -> Published:
        """Gives event (the object itself) to each subscriber of any of the topics (at most 16); how many that are. Never waits for a
        handler.

        BusFullError: some did not get it, because too many events wait for them.
        """
        names, here = _names(topic, _EVENT_TOPICS_MAX), _running()
        with self._lock:
            envelope = Record(number=next(self._numbers), topics=list(names), time=datetime.now(timezone.utc).isoformat(), missed=0,
                              event=event)
            reached = {key: one for name in names for key, one in self._topics.get(name, {}).items()}
            missed = 0
            for subscriber in reached.values():
                if len(subscriber.queue) >= self._limit:
                    subscriber.missed += 1
                    missed += 1
                    continue
                own = Record({**envelope, "missed": subscriber.missed}) if subscriber.missed else envelope
                subscriber.missed = 0
                subscriber.queue.append((event, own))
                self._pending += 1
                self._schedule(subscriber, here)
        if missed:
            raise BusFullError(missed)
        return Published(len(reached))

    def _schedule(self, subscriber: _Subscriber, here: asyncio.AbstractEventLoop | None) -> None:
        if subscriber.loop is None or subscriber.loop.is_closed():
            subscriber.loop, subscriber.scheduled, subscriber.task = here, False, None
        if subscriber.scheduled or subscriber.loop is None or not subscriber.queue:
            return
        subscriber.scheduled = True
        if subscriber.loop is here:
            self._start(subscriber)
        else:
            subscriber.loop.call_soon_threadsafe(self._start, subscriber)

    def _start(self, subscriber: _Subscriber) -> None:
        assert subscriber.loop is not None
        subscriber.task = subscriber.loop.create_task(self._run(subscriber))

    async def _run(self, subscriber: _Subscriber) -> None:
        """One after the other, until nothing waits."""
        for count in itertools.count(1):
            with self._lock:
                if not subscriber.queue:
                    subscriber.scheduled, subscriber.task = False, None
                    if not subscriber.subscriptions and self._subscribers.get(subscriber.key) is subscriber:
                        del self._subscribers[subscriber.key]
                    return
                event, envelope = subscriber.queue.popleft()
                wanted = subscriber.wants(envelope["topics"])
            try:
                if wanted:
                    result = subscriber.call(event, envelope) if subscriber.wants_envelope else subscriber.call(event)
                    if inspect.isawaitable(result):
                        await result
            except Exception as error:
                self._failed(subscriber, error)
            except asyncio.CancelledError:
                with self._lock:
                    subscriber.scheduled, subscriber.task = False, None
                raise
            finally:
                with self._lock:
                    self._settle(1)
            if count % _TURN_EVENTS == 0:
                await asyncio.sleep(0)

    def _failed(self, subscriber: _Subscriber, error: Exception) -> None:
        """A dead socket goes; a handler's failure is told to its loop."""
        with self._lock:
            self.failures += 1
            if subscriber.is_socket:
                for subscription in list(subscriber.subscriptions):
                    self._remove(subscription)
                return
        assert subscriber.loop is not None
        subscriber.loop.call_exception_handler({"message": "a handler of AgentEventBus failed", "exception": error})

    def _settle(self, count: int) -> None:
        """Under the lock: so many do not wait any more."""
        self._pending -= count
        if self._pending == 0:
            for loop, waiter in self._waiters:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(waiter.set)

    async def drain(self) -> None:
        """Waits until every event published so far, and by handlers meanwhile, has been handled."""
        here = asyncio.get_running_loop()
        task, waiter = asyncio.current_task(), asyncio.Event()
        with self._lock:
            if any(subscriber.task is task for subscriber in self._subscribers.values()):
                raise RuntimeError("a handler that drains the bus would wait for itself")
            for subscriber in self._subscribers.values():
                self._schedule(subscriber, here)
            self._waiters.append((here, waiter))
        try:
            while self._pending:
                waiter.clear()
                if self._pending:
                    await waiter.wait()
        finally:
            with self._lock:
                self._waiters.remove((here, waiter))

    # ---- looking ----

    def topics(self) -> list[str]:
        """Those that somebody subscribes to, and "global"."""
        with self._lock:
            return sorted({_GLOBAL, *self._topics})

    def subscribers(self, topic: str) -> int:
        """How many a topic has."""
        with self._lock:
            return len(self._topics.get(topic, {}))

    def agents(self) -> dict[str, int]:
        """The agents that have sockets, and how many."""
        with self._lock:
            pairs = {(one.agent_id, subscriber.key) for subscriber in self._subscribers.values() for one in subscriber.subscriptions}
        names = [agent for agent, _ in pairs if agent is not None]
        return {name: names.count(name) for name in sorted(set(names))}


def _names(topics: Topics, most: int | None) -> tuple[str, ...]:
    names = tuple(dict.fromkeys([topics] if isinstance(topics, str) else topics))
    if not names or (most is not None and len(names) > most):
        raise ValueError(f"{len(names)} topics; 1 to {most or 'any number'} are wanted")
    for name in names:
        if not isinstance(name, str) or not _TOPIC.fullmatch(name):
            raise ValueError(f"{name!r} is no topic: 1 to 255 characters of A-Z, a-z, 0-9 and _.:@/-")
    return names


def _key(handler: Handler) -> Any:
    """The same method of the same object is the same handler."""
    try:
        hash(handler)
    except TypeError:
        return ("object", id(handler))
    return ("handler", handler)


def _required(call: Handler) -> int:
    """How many arguments it cannot do without."""
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):
        return 1
    return len([one for one in parameters if one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)])


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


__all__ = ["AgentEventBus", "BusFullError", "Published", "Subscription"]
