"""Making agents, and finding out which one a request would go to."""
from __future__ import annotations

from urllib.parse import quote

from ._db import Db, current
from ._lib import Record


def create_agent(db: Db | None = None, *, name: str, maturity: str | None = None, category: str | None = None,
                 handle: str | None = None, description: str | None = None, system_prompt: str | None = None) -> Record:
    """Makes an agent as the operator, who may make one of any maturity, and gives it. The result may be awaited as well.

    InvalidError names what is wrong with a value; a handle that is taken is a GuildError with code "conflict".
    """
    members = {"name": name, "maturity": maturity, "category": category, "handle": handle, "description": description,
               "system_prompt": system_prompt}
    agent: Record = current(db).ok("POST", "/v1/agents", {key: value for key, value in members.items() if value is not None})
    return agent


class AgentContextResolver:
    """Which agent a request goes to: the one named, else the session's, else the workspace's, else the system's."""

    def __init__(self, db: Db | None = None) -> None:
        self._db = db

    async def resolve_agent_for_request(self, user_id: str, session_id: str | None = None,
                                        requested_agent_id: str | None = None) -> tuple[Record | None, Record]:
        """The agent, or None when there is none, and {"resolution_path": [...]}: the steps taken."""
        query = [f"{name}={quote(value, safe='')}" for name, value in (("agent", requested_agent_id), ("session_id", session_id)) if value]
        answer = await current(self._db).aok("GET", "/v1/resolve" + ("?" + "&".join(query) if query else ""), user=user_id)
        return answer["agent"], Record(resolution_path=answer["resolution_path"])
