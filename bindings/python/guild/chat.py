"""Chatting with an agent: one engine, a coroutine and a plain function."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Mapping

from . import _lib
from ._db import Db, EventHandler, Reply, current
from ._lib import GuildError, Record

RESULT_KEYS = ("success", "execution_id", "response", "agent_id", "agent_name", "message_id", "session_id", "resolution_path", "tokens",
               "provider", "model", "cost_micro")
FAILURE_KEYS = ("error", "code", "audit_id", "reason")
_BUGS = (_lib.WRONG_THREAD, _lib.FORKED)


def _body(agent_id: str | None, message: str, session_id: str | None, history: Sequence[Mapping[str, Any]] | None,
          stream: bool, turn: Mapping[str, Any]) -> dict[str, Any]:
    """turn: what it has to say about its turn, None where nothing."""
    body: dict[str, Any] = {"message": message, "stream": stream, **{name: value for name, value in turn.items() if value is not None}}
    if agent_id:
        body["agent"] = agent_id
    if session_id:
        body["session_id"] = session_id
    if history:
        body["history"] = [{"role": turn["role"], "content": turn["content"]} for turn in history]
    return body


def _turn(priority: str | None, after: Sequence[str] | None, parent_execution_id: str | None) -> dict[str, Any]:
    return {"priority": priority, "after": None if after is None else list(after), "parent_execution_id": parent_execution_id}


def _result(reply: Reply) -> Record:
    """A run's result, or a problem document, with the same keys."""
    body = reply.body if isinstance(reply.body, Record) else Record()
    result = Record({key: body.get(key) for key in RESULT_KEYS})
    result.update(body)
    result["success"] = reply.status < 400 and body.get("success") is True
    if result["success"]:
        return result
    for key in FAILURE_KEYS:
        result.setdefault(key, None)
    result["code"] = result["code"] or "interrupted"
    result["error"] = result["error"] or body.get("detail") or body.get("title") or "Agent chat execution failed."
    result["reason"] = result["reason"] or body.get("detail") or result["error"]
    return result


def _fault(error: GuildError) -> Record:
    if error.error in _BUGS:
        raise error
    return _result(Reply(503, Record(code=error.code, error=f"Agent chat execution failed: {error.detail}", reason=error.detail)))


def _wrong_workspace() -> Record:
    return _result(Reply(404, Record(code="not_found", detail="There is no such workspace.")))


def _named(workspace_id: str | None) -> bool:
    return workspace_id not in (None, "", "default")


async def execute_agent_chat(agent_id: str | None, message: str, user_id: str, session_id: str | None = None,
                             workspace_id: str | None = None, conversation_history: Sequence[Mapping[str, Any]] | None = None,
                             stream: bool = True, on_event: EventHandler | None = None, *, db: Db | None = None,
                             idempotency_key: str | None = None, priority: str | None = None, after: Sequence[str] | None = None,
                             parent_execution_id: str | None = None) -> Record:
    """Runs a message through an agent (id or handle; None: the session's, the workspace's or the system's) and gives the result.

    A refusal or a failed run is a result with success False, error, code, reason and audit_id. With stream the answer is streamed:
    on_event, plain or async, gets each streaming:* event on this loop. db: the store; else the one opened last.
    With an idempotency_key the same call again gives the same run's result, within 48 hours. priority (low, medium, high, urgent): among runs
    that wait for a place; after: ids of runs that have to complete first; parent_execution_id: the running run that this one works for.
    """
    try:
        store = current(db)
        if _named(workspace_id):
            store._workspace = store._workspace or (await store.aok("GET", "/v1/me"))["workspace_id"]
            if workspace_id != store._workspace:
                return _wrong_workspace()
        body = _body(agent_id, message, session_id, conversation_history, stream, _turn(priority, after, parent_execution_id))
        return _result(await store.arequest("POST", "/v1/chat", body, user=user_id, stream=stream,
                                            on_event=on_event if stream else None, idempotency_key=idempotency_key))
    except GuildError as error:
        return _fault(error)


def execute_agent_chat_sync(agent_id: str | None, message: str, user_id: str, session_id: str | None = None,
                            workspace_id: str | None = None, conversation_history: Sequence[Mapping[str, Any]] | None = None,
                            stream: bool = False, on_event: EventHandler | None = None, *, db: Db | None = None,
                            idempotency_key: str | None = None, priority: str | None = None, after: Sequence[str] | None = None,
                            parent_execution_id: str | None = None) -> Record:
    """The same as a plain function, for callers without an event loop: from any thread, also inside a running loop (which then waits).

    Never raises for a refusal or a failed run. Where nothing is open, it opens GUILD_DATA, else ./var.
    """
    try:
        store = current(db)
        if _named(workspace_id):
            store._workspace = store._workspace or store.ok("GET", "/v1/me")["workspace_id"]
            if workspace_id != store._workspace:
                return _wrong_workspace()
        body = _body(agent_id, message, session_id, conversation_history, stream, _turn(priority, after, parent_execution_id))
        return _result(store.request("POST", "/v1/chat", body, user=user_id, stream=stream, on_event=on_event if stream else None,
                                     idempotency_key=idempotency_key))
    except GuildError as error:
        return _fault(error)
