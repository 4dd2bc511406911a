"""What was done: executions and messages."""
from __future__ import annotations

from urllib.parse import quote

from ._db import Db, current, page_through
from ._lib import Record


async def get_executions(db: Db | None, agent_id: str, include_refused: bool = True) -> list[Record]:
    """All runs of an agent, newest first; with include_refused also the attempts that were refused, which have an audit entry only."""
    target = f"/v1/executions?limit=100&agent={quote(agent_id, safe='')}" + ("&include=refused" if include_refused else "")
    return await page_through(current(db), target)


async def get_messages(db: Db | None, session_id: str, user_id: str | None = None) -> list[Record]:
    """All messages of a session, oldest first, as that user may see them (None: as the operator). NotFoundError."""
    return await page_through(current(db), f"/v1/sessions/{quote(session_id, safe='')}/messages?limit=100", user_id)
