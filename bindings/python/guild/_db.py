"""An opened engine or connection, and how calls and their events come back to threads and event loops."""
from __future__ import annotations

import asyncio
import atexit
import ctypes
import itertools
import json
import os
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from inspect import isawaitable
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from . import _lib
from ._lib import CReply, CRequest, GuildError, Record

EventHandler = Callable[[Record], object]

_opened: list[Db] = []
_opened_lock = threading.RLock()
_calls: dict[int, _Call] = {}
_numbers = itertools.count(1)
_CLOSE_WAIT_S = 5.0
_EVENTS_KEPT = 4096
_RECONNECTS = 10
_RECONNECT_MOST_S = 5.0


class Reply(NamedTuple):
    """A status as in HTTP, and the JSON body (or text)."""
    status: int
    body: Any


class _Call:
    """A call under way: where its events and its end go."""

    def __init__(self, on_event: EventHandler | None, loop: asyncio.AbstractEventLoop | None) -> None:
        self.on_event, self.loop = on_event, loop
        self.future = loop.create_future() if loop else None
        self.tasks: list[asyncio.Future[Any]] = []
        self.error: BaseException | None = None

    def event(self, name: str, text: str) -> None:
        if self.on_event is None:
            return
        try:
            result = self.on_event(Record({"type": name, **_lib.parse(text)}))
            if isawaitable(result):
                if self.loop is None:
                    raise TypeError("a call that waits takes plain handlers only")
                self.tasks.append(asyncio.ensure_future(result, loop=self.loop))
        except Exception as error:  # a handler's failure is not the run's
            if self.loop:
                self.loop.call_exception_handler({"message": "on_event failed", "exception": error})
            else:
                self.error = self.error or error

    def done(self, error: int, reply: CReply) -> None:
        if self.future is None or self.future.done() or (self.loop and self.loop.is_closed()):
            return
        if error:
            self.future.set_exception(_lib.fault(error))
            return
        try:
            self.future.set_result(_reply(reply))
        except ValueError as wrong:
            self.future.set_exception(wrong)


def _reply(reply: CReply) -> Reply:
    text = ctypes.string_at(reply.body, reply.body_len).decode() if reply.body_len else ""
    return Reply(reply.status, _lib.parse(text) if b"json" in reply.content_type and text else text)


@_lib.EVENT_FN
def _on_event(ctx: int, name: bytes, data: int, length: int) -> None:
    call = _calls.get(ctx)
    if call:
        call.event(name.decode(), ctypes.string_at(data, length).decode())


@_lib.DONE_FN
def _on_done(ctx: int, error: int, reply: Any) -> None:
    call = _calls.pop(ctx, None)
    if call:
        call.done(error, reply.contents)


def _request(method: str, target: str, body: Any, user: str | None, stream: bool, number: int,
             idempotency_key: str | None) -> CRequest:
    if "\0" in target + (user or "") + (idempotency_key or ""):
        raise _lib.fault(_lib.INVALID, "A NUL character is in no target, no user's name and no key.")
    # A lone surrogate has no UTF-8; passed on as it is, it gets the engine's own answer to malformed text.
    text = None if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return CRequest(method.encode(), target.encode("utf-8", "surrogatepass"), text,
                    user.encode("utf-8", "surrogatepass") if user else None, _on_event if stream else _lib.EVENT_FN(), number,
                    idempotency_key.encode("utf-8", "surrogatepass") if idempotency_key is not None else None)


class _Client:
    """The part of a store that serves one event loop: a handle of its own, whose descriptor the loop watches."""

    def __init__(self, db: Db, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.handle = ctypes.c_void_p()
        error = _lib.lib().guild_dup(db._handle, ctypes.byref(self.handle))
        if error:
            raise _lib.fault(error)
        self.fd = _lib.lib().guild_fd(self.handle)
        loop.add_reader(self.fd, self._dispatch)

    def _dispatch(self) -> None:
        _lib.lib().guild_dispatch(self.handle, None)

    async def call(self, method: str, target: str, body: Any, user: str | None, stream: bool, on_event: EventHandler | None,
                   idempotency_key: str | None) -> Reply:
        number, started = next(_numbers), ctypes.c_uint64()
        call = _Call(on_event, self.loop)
        assert call.future is not None
        request = _request(method, target, body, user, stream, number, idempotency_key)
        _calls[number] = call
        error = _lib.lib().guild_call_start(self.handle, ctypes.byref(request), _on_done, number, ctypes.byref(started))
        if error:
            del _calls[number]
            raise _lib.fault(error)
        try:
            reply: Reply = await call.future
        except asyncio.CancelledError:
            if self.handle:
                _lib.lib().guild_cancel_call(self.handle, started)
            raise
        for result in await asyncio.gather(*call.tasks, return_exceptions=True):
            if isinstance(result, Exception):
                self.loop.call_exception_handler({"message": "on_event failed", "exception": result})
        return reply

    def close(self) -> None:
        """From any thread; on the loop's own while it runs."""
        try:
            here = asyncio.get_running_loop() is self.loop
        except RuntimeError:
            here = False
        if here or self.loop.is_closed() or not self.loop.is_running():
            self._close()
            return
        closed = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (self._close(), closed.set()))
        if not closed.wait(_CLOSE_WAIT_S):
            raise GuildError("an event loop that uses this store does not answer; close the store on that loop")

    def _close(self) -> None:
        if not self.loop.is_closed():
            self.loop.remove_reader(self.fd)
        error = _lib.lib().guild_close(ctypes.byref(self.handle))
        if error and error != _lib.FORKED:
            raise _lib.fault(error)


class Db:
    """An engine in this process, or a connection to a server. Made by guild.open; `await guild.open(...)` gives the same."""

    def __init__(self, handle: ctypes.c_void_p, name: str) -> None:
        self.name = name
        self._handle = handle
        self._clients: dict[asyncio.AbstractEventLoop, _Client] = {}
        self._changed = threading.Condition()
        self._inside = 0
        self._closed = False
        self._workspace: str | None = None

    def __repr__(self) -> str:
        return f"<guild.Db {self.name}{' (closed)' if self._closed else ''}>"

    def __await__(self) -> Generator[Any, None, Db]:
        return self
        yield

    def __enter__(self) -> Db:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Db:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        return self._closed

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        with self._changed:
            if self._closed:
                raise _lib.fault(_lib.CLOSED)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def request(self, method: str, target: str, body: Any = None, *, user: str | None = None, stream: bool = False,
                on_event: EventHandler | None = None, idempotency_key: str | None = None) -> Reply:
        """Any row of the route table, waiting for the reply; any thread. Events go to on_event on this thread, meanwhile. A POST with an
        idempotency_key is done once, however often it is made within 48 hours; the same one again gets the first one's answer."""
        number, reply = next(_numbers), CReply()
        call = _Call(on_event, None)
        with self._in_use():
            request = _request(method, target, body, user, stream or on_event is not None, number, idempotency_key)
            _calls[number] = call
            try:
                error = _lib.lib().guild_call(self._handle, ctypes.byref(request), ctypes.byref(reply))
            finally:
                del _calls[number]
            if error:
                raise _lib.fault(error)
            try:
                result = _reply(reply)
            finally:
                _lib.lib().guild_reply_free(ctypes.byref(reply))
        if call.error:
            raise call.error
        return result

    async def arequest(self, method: str, target: str, body: Any = None, *, user: str | None = None, stream: bool = False,
                       on_event: EventHandler | None = None, idempotency_key: str | None = None) -> Reply:
        """The same as a coroutine; events go to on_event (plain or async) on the running loop."""
        client = self._client()
        return await client.call(method, target, body, user, stream or on_event is not None, on_event, idempotency_key)

    def ok(self, method: str, target: str, body: Any = None, *, user: str | None = None, idempotency_key: str | None = None) -> Any:
        """The body of a reply that has to be a good one; else GuildError."""
        return _good(self.request(method, target, body, user=user, idempotency_key=idempotency_key))

    async def aok(self, method: str, target: str, body: Any = None, *, user: str | None = None, idempotency_key: str | None = None) -> Any:
        """The same as a coroutine."""
        return _good(await self.arequest(method, target, body, user=user, idempotency_key=idempotency_key))

    def enforce(self, agent_id: str, action: str, arguments: Mapping[str, Any] | None = None, *, approval_id: str | None = None,
                require_approval: bool = False, reason: str | None = None, user: str | None = None) -> Record:
        """Asks, right before an agent acts, whether it may: proceed, decision, audit_id, and where a human has to say yes first (proceed is
        False then) approval_id and expires_at. GuildError for a refusal, and for an approval that does not fit or was used.
        """
        given = {"approval_id": approval_id, "reason": reason}
        body = {"action": action, "arguments": dict(arguments or {}), "require_approval": require_approval,
                **{name: value for name, value in given.items() if value is not None}}
        enforced: Record = self.ok("POST", f"/v1/agents/{quote(agent_id, safe='')}/enforce", body, user=user)
        return enforced

    def approvals(self, status: str | None = None, agent: str | None = None, *, user: str | None = None) -> list[Record]:
        """All approvals that one may see, newest first; status: "pending", "approved" and so on."""
        return self._pages("/v1/approvals", {"status": status, "agent": agent}, user)

    def policy(self, *, user: str | None = None) -> list[Record]:
        """The action table of the workspace: action, level, required_maturity, default_level, overridden."""
        return self._pages("/v1/policy", {}, user)

    def policy_history(self, *, user: str | None = None) -> list[Record]:
        """Its changes, newest first."""
        return self._pages("/v1/policy/history", {}, user)

    def policy_set(self, action: str, level: int | None, reason: str | None = None, *, user: str | None = None) -> Record:
        """Changes what an action needs, from the very next decision on; level None: back to the default. For admins who are human."""
        body = {"level": level, **({} if reason is None else {"reason": reason})}
        setting: Record = self.ok("PUT", f"/v1/policy/{quote(action, safe='')}", body, user=user)
        return setting

    def emergency(self, minutes: int, reason: str, *, user: str | None = None) -> Record:
        """Until then no action is refused for its agent's maturity; 0 minutes end it. For operators."""
        declared: Record = self.ok("POST", "/v1/emergency", {"minutes": minutes, "reason": reason}, user=user)
        return declared

    def stop_all(self, reason: str, on: bool = True, *, user: str | None = None) -> Record:
        """Stops all agents of the workspace and cancels their runs, or (on False) lets them go on. For admins."""
        switch: Record = self.ok("POST", "/v1/kill-switch", {"on": on, "reason": reason}, user=user)
        return switch

    def readiness(self, agent_id: str, *, user: str | None = None) -> Record:
        """How far an agent is from its next level: ready, evidence since the last change of level, what is needed, every gap."""
        found: Record = self.ok("GET", f"/v1/agents/{quote(agent_id, safe='')}/readiness", user=user)
        return found

    def reputation(self, agent_id: str, *, user: str | None = None) -> Record:
        """What others make of an agent's public posts, its place among all agents, and how that went in 30 days."""
        found: Record = self.ok("GET", f"/v1/agents/{quote(agent_id, safe='')}/reputation", user=user)
        return found

    def feedback(self, agent_id: str, *, thumbs: str | None = None, rating: int | None = None, correction: str | None = None,
                 execution_id: str | None = None, post_id: str | None = None, user: str | None = None) -> Record:
        """Says how good an agent, a run or a post of it was: thumbs "up" or "down", rating 1 to 5, or what would have been right. Status
        "accepted" (an admin's, a specialist's) or "pending" until an admin has looked at it.
        """
        given = {"thumbs": thumbs, "rating": rating, "correction": correction, "execution_id": execution_id, "post_id": post_id}
        body = {name: value for name, value in given.items() if value is not None}
        kept: Record = self.ok("POST", f"/v1/agents/{quote(agent_id, safe='')}/feedback", body, user=user)
        return kept

    def feedbacks(self, status: str | None = None, agent: str | None = None, *, user: str | None = None) -> list[Record]:
        """All feedback of the workspace, newest first; status: "pending", "accepted" or "rejected". For admins."""
        return self._pages("/v1/feedback", {"status": status, "agent": agent}, user)

    def review(self, feedback_id: str, accept: bool, note: str | None = None, *, user: str | None = None) -> Record:
        """Decides feedback that waits; once decided, it answers the first decision. For admins."""
        body = {} if note is None else {"note": note}
        path = f"/v1/feedback/{quote(feedback_id, safe='')}/{'accept' if accept else 'reject'}"
        reviewed: Record = self.ok("POST", path, body, user=user)
        return reviewed

    def promote(self, agent_id: str, *, override: bool = False, reason: str | None = None, user: str | None = None) -> Record:
        """One level up: when the agent is ready (else GuildError not_ready), or as an override with a reason. For admins."""
        body = {"override": override, **({} if reason is None else {"reason": reason})}
        changed: Record = self.ok("POST", f"/v1/agents/{quote(agent_id, safe='')}/promote", body, user=user)
        return changed

    def demote(self, agent_id: str, reason: str, *, incident: bool = False, user: str | None = None) -> Record:
        """One level down, at once. For admins."""
        changed: Record = self.ok("POST", f"/v1/agents/{quote(agent_id, safe='')}/demote", {"reason": reason, "incident": incident}, user=user)
        return changed

    def _pages(self, path: str, filters: Mapping[str, str | None], user: str | None) -> list[Record]:
        query = {"limit": "100", **{name: value for name, value in filters.items() if value is not None}}
        items: list[Record] = []
        while True:
            page = self.ok("GET", f"{path}?{urlencode(query)}", user=user)
            items += page["items"]
            if not page["has_more"]:
                return items
            query["cursor"] = page["next_cursor"]

    def budgets(self, *, user: str | None = None) -> list[Record]:
        """All budgets that one may see, with what of this month is used; amounts are millionths of the currency."""
        return self._pages("/v1/budgets", {}, user)

    def set_budget(self, scope: str, limit_micro: int | None, mode: str = "warn", *, time_zone: str | None = None, user: str | None = None) -> Record:
        """Sets what a month may cost. scope: "workspace", "user:<id>" or "agent:<id or handle>"; limit_micro None: no limit; mode "hard" refuses
        runs that it has no room for. time_zone: of the workspace alone.
        """
        body: dict[str, Any] = {"limit_micro": limit_micro, "mode": mode}
        if time_zone is not None:
            body["time_zone"] = time_zone
        budget: Record = self.ok("PUT", f"/v1/budgets/{quote(scope, safe='')}", body, user=user)
        return budget

    def spend(self, month: str | None = None, tz: str | None = None, *, user: str | None = None) -> Record:
        """What a month ("2026-11"; None: this one) cost: total, and by days, agents, users and models."""
        query = urlencode({name: value for name, value in {"month": month, "tz": tz}.items() if value is not None})
        spent: Record = self.ok("GET", f"/v1/spend?{query}" if query else "/v1/spend", user=user)
        return spent

    async def events(self, topics: str | Iterable[str], after: int | str | tuple[int, int] | None = None, *,
                     user: str | None = None) -> AsyncGenerator[Record, None]:
        """What the store's bus says on these topics, from now on, or from behind the offset after (or (epoch, offset)).

            async for message in db.events(["global", f"agent:{agent.id}"]):
                if message.type == "event":
                    print(message.offset, message.event.type, message.event.data)

        A message of type "event" has topics, event (id, source, type, time, data) and, when it is durable, offset and epoch. "gap" (from,
        to) stands for a range that is no longer kept. A lost connection to a server is made again, and what is durable is not missed;
        after half a minute without one the error is raised.
        """
        names = [topics] if isinstance(topics, str) else list(topics)
        cursor = "now" if after is None else ":".join(map(str, after)) if isinstance(after, tuple) else str(after)
        tries = 0
        while True:
            inbox, task = self._listen("/v1/events?" + urlencode({"topics": ",".join(names), "after": cursor}), user)
            try:
                while (message := await inbox.get()) is not None:
                    tries = 0
                    if "epoch" in message:
                        cursor = f"{message['epoch']}:{message['to'] if message['type'] == 'gap' else message['offset']}"
                    if message["type"] != "recovered":
                        yield message
            finally:
                task.cancel()
                await asyncio.wait([task])
            if task.cancelled():
                continue  # more came than was taken: the rest is caught up with
            if tries == _RECONNECTS or not self._may_come_back(task):
                _good(task.result())
                return
            await asyncio.sleep(min(_RECONNECT_MOST_S, 0.1 * 2 ** tries))
            tries += 1

    def _listen(self, target: str, user: str | None) -> tuple[asyncio.Queue[Record | None], asyncio.Task[Reply]]:
        """A stream's messages, then None."""
        inbox: asyncio.Queue[Record | None] = asyncio.Queue()

        def keep(message: Record) -> None:
            if inbox.qsize() >= _EVENTS_KEPT:
                task.cancel()
            elif not task.cancelling():
                inbox.put_nowait(message)
        task = asyncio.create_task(self.arequest("GET", target, user=user, on_event=keep))
        task.add_done_callback(lambda _: inbox.put_nowait(None))
        return inbox, task

    def _may_come_back(self, task: asyncio.Task[Reply]) -> bool:
        """A server that was lost, or that stops: another may be there soon."""
        error = task.exception()
        if not self.name.startswith(("http://", "https://")):
            return False
        if error is not None:
            return isinstance(error, GuildError) and error.error in (_lib.IO, _lib.TIMED_OUT)
        return task.result().status in (200, 503)

    def close(self) -> None:
        """Waits for plain calls of other threads, ends coroutines' calls, stops the engine. Twice is harmless."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.wait_for(lambda: self._inside == 0)
        with _opened_lock:
            if self in _opened:
                _opened.remove(self)
        for client in list(self._clients.values()):
            client.close()
        self._clients.clear()
        error = _lib.lib().guild_close(ctypes.byref(self._handle))
        if error and error != _lib.FORKED:
            raise _lib.fault(error)

    def _client(self) -> _Client:
        loop = asyncio.get_running_loop()
        with self._changed:
            if self._closed:
                raise _lib.fault(_lib.CLOSED)
            client = self._clients.get(loop)
            if client is None:
                for old in [old for old in self._clients if old.is_closed()]:
                    self._clients.pop(old).close()
                client = self._clients[loop] = _Client(self, loop)
            return client


def _good(reply: Reply) -> Any:
    if reply.status >= 400:
        raise _lib.refusal(reply.status, reply.body)
    return reply.body


def open(path_or_url: str | os.PathLike[str], token: str | None = None, *, settings: Mapping[str, object] | None = None,
         config: str | os.PathLike[str] | None = None) -> Db:
    """Opens a data directory (":memory:": one that is gone when it is closed), running the engine in this process; or connects to the
    server at a URL, with token, else GUILD_TOKEN.

    settings ({"providers.builtin": "off"}) and config (a file) are for an engine in this process; see `guild config show`.
    InUseError: another process, or this one, has the directory open.
    """
    where = os.fspath(path_or_url)
    handle, detail = ctypes.c_void_p(), ctypes.create_string_buffer(_lib.DETAIL_BYTES)
    if where.startswith(("http://", "https://")):
        if settings or config:
            raise TypeError("settings and config are for an engine in this process")
        secret = token if token is not None else os.environ.get("GUILD_TOKEN")
        error = _lib.lib().guild_connect(where.encode(), secret.encode() if secret else None, ctypes.byref(handle), detail)
    else:
        rows = [f"{name}={value}".encode() for name, value in (settings or {}).items()]
        options = _lib.COptions(os.fsencode(config) if config else None, (ctypes.c_char_p * (len(rows) + 1))(*rows, None))
        error = _lib.lib().guild_open(os.fsencode(where), ctypes.byref(options), ctypes.byref(handle), detail)
    if error:
        raise _lib.fault(error, detail.value.decode(errors="replace"))
    db = Db(handle, where)
    with _opened_lock:
        _opened.append(db)
    return db


def close(db: Db) -> None:
    """The same as db.close()."""
    db.close()


def current(db: Db | None = None) -> Db:
    """db, else the one opened last, else GUILD_DATA or ./var is opened now."""
    if db is not None:
        return db
    with _opened_lock:
        if _opened:
            return _opened[-1]
        return open(os.environ.get("GUILD_DATA") or "./var")


async def page_through(db: Db, target: str, user: str | None = None) -> list[Any]:
    """All items of a list; target has a query already."""
    items: list[Any] = []
    cursor = ""
    while True:
        page = await db.aok("GET", target + cursor, user=user)
        items += page["items"]
        if not page.get("has_more"):
            return items
        cursor = f"&cursor={page['next_cursor']}"


@atexit.register
def _close_all() -> None:
    for db in list(_opened):
        try:
            db.close()
        except GuildError:
            pass


__all__ = ["Db", "EventHandler", "Reply", "close", "current", "open", "page_through"]
