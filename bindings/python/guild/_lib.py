"""The C library as ctypes sees it, and what both sides of the border share: records and errors."""
from __future__ import annotations

import ctypes
import ctypes.util
import datetime
import functools
import json
import os
import pathlib
from typing import Any, Generator

OK, INVALID, IN_USE, WRONG_THREAD, FORKED, MEMORY, LIMIT, IO, CONFIG, NEWER, CORRUPT, CLOSED, CANCELLED, TIMED_OUT, NOT_FOUND = range(15)
DETAIL_BYTES = 512

# How a fault of the library is called in results, which carry the words of the wire.
CODES = {INVALID: "invalid", MEMORY: "overloaded", LIMIT: "overloaded", IO: "store_unavailable", IN_USE: "store_unavailable",
         TIMED_OUT: "timed_out", CLOSED: "going_away", CANCELLED: "cancelled"}

EVENT_FN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)


class CRequest(ctypes.Structure):
    """struct guild_request"""
    _fields_ = [("method", ctypes.c_char_p), ("target", ctypes.c_char_p), ("body", ctypes.c_char_p), ("user", ctypes.c_char_p),
                ("on_event", EVENT_FN), ("ctx", ctypes.c_void_p), ("idempotency_key", ctypes.c_char_p)]


class CReply(ctypes.Structure):
    """struct guild_reply"""
    _fields_ = [("status", ctypes.c_int), ("body", ctypes.c_void_p), ("body_len", ctypes.c_size_t), ("content_type", ctypes.c_char * 64)]


class COptions(ctypes.Structure):
    """struct guild_options"""
    _fields_ = [("config_file", ctypes.c_char_p), ("settings", ctypes.POINTER(ctypes.c_char_p))]


DONE_FN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(CReply))

_handle, _handle_out = ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)
_PROTOTYPES: dict[str, tuple[Any, list[Any]]] = {
    "guild_version": (ctypes.c_char_p, []),
    "guild_error_text": (ctypes.c_char_p, [ctypes.c_int]),
    "guild_open": (ctypes.c_int, [ctypes.c_char_p, ctypes.POINTER(COptions), _handle_out, ctypes.c_char_p]),
    "guild_connect": (ctypes.c_int, [ctypes.c_char_p, ctypes.c_char_p, _handle_out, ctypes.c_char_p]),
    "guild_dup": (ctypes.c_int, [_handle, _handle_out]),
    "guild_close": (ctypes.c_int, [_handle_out]),
    "guild_call": (ctypes.c_int, [_handle, ctypes.POINTER(CRequest), ctypes.POINTER(CReply)]),
    "guild_reply_free": (None, [ctypes.POINTER(CReply)]),
    "guild_call_start": (ctypes.c_int, [_handle, ctypes.POINTER(CRequest), DONE_FN, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint64)]),
    "guild_cancel_call": (ctypes.c_int, [_handle, ctypes.c_uint64]),
    "guild_fd": (ctypes.c_int, [_handle]),
    "guild_dispatch": (ctypes.c_int, [_handle, ctypes.POINTER(ctypes.c_size_t)]),
}


class Record(dict[str, Any]):
    """A mapping whose keys are also attributes (those that are names of dict's own methods are keys only)."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no {name!r} in {list(self)}") from None

    def __await__(self) -> Generator[Any, None, Record]:
        """So that what a plain function returned may be awaited as well."""
        return self
        yield


class GuildError(Exception):
    """A call that could not be made, or one that was answered with a problem document.

    code: the stable word of the problem, or of the fault; status: the HTTP status, 0 for a fault; problem: the document, empty for a
    fault; error: the number of enum guild_error, 0 for a problem.
    """

    def __init__(self, detail: str, code: str = "internal", status: int = 0, problem: Record | None = None, error: int = 0) -> None:
        super().__init__(detail)
        self.detail, self.code, self.status, self.problem, self.error = detail, code, status, problem or Record(), error


class InUseError(GuildError):
    """The data directory is open already; the text names the process."""


class RefusedError(GuildError, PermissionError):
    """Governance or a role said no."""


class NotFoundError(GuildError, LookupError):
    """There is no such thing, or it may not be seen."""


class InvalidError(GuildError, ValueError):
    """A value is not what it has to be."""


class RateLimitedError(GuildError, RuntimeError):
    """Too often. retry_after: seconds until it may be tried again; remaining: how often it may be before that; reset_at: that time, in UTC."""

    @property
    def retry_after(self) -> float:
        milliseconds: int = self.problem.get("retry_after_ms") or 0
        return milliseconds / 1000

    remaining = 0

    @property
    def reset_at(self) -> datetime.datetime:
        return self._made + datetime.timedelta(seconds=self.retry_after)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._made = datetime.datetime.now(datetime.timezone.utc)


def fault(error: int, detail: str = "") -> GuildError:
    """The exception for a number of enum guild_error."""
    kind = {INVALID: InvalidError, IN_USE: InUseError}.get(error, GuildError)
    return kind(detail or lib().guild_error_text(error).decode(), CODES.get(error, "internal"), error=error)


def refusal(status: int, problem: Any) -> GuildError:
    """The exception for a reply of status 400 or more."""
    document = problem if isinstance(problem, Record) else Record()
    kind = {400: InvalidError, 403: RefusedError, 404: NotFoundError, 422: InvalidError, 429: RateLimitedError}.get(status, GuildError)
    text = document.get("detail") or document.get("title") or f"status {status}"
    return kind(text, document.get("code", "internal"), status, document)


def parse(text: str) -> Any:
    """JSON with objects as records."""
    return json.loads(text, object_hook=Record)


def _paths() -> list[str]:
    named = os.environ.get("GUILD_LIBRARY")
    if named:
        return [named]
    checkout = pathlib.Path(__file__).resolve().parents[3] / "build" / "libguild.so"
    return ([str(checkout)] if checkout.exists() else []) + [ctypes.util.find_library("guild") or "libguild.so.0"]


@functools.cache
def lib() -> ctypes.CDLL:
    """libguild: where GUILD_LIBRARY says, else in the checkout's build folder, else the system's."""
    paths = _paths()
    try:
        library = ctypes.CDLL(paths[0])
    except OSError as error:
        raise ImportError(f"{paths[0]}: {error}; build it with `make`, or name it in GUILD_LIBRARY") from error
    for name, (result, arguments) in _PROTOTYPES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def version() -> str:
    """The library's version."""
    text: bytes = lib().guild_version()
    return text.decode()
