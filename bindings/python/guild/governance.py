"""Asking what an agent may do."""
from __future__ import annotations

from urllib.parse import quote

from . import _lib
from ._db import Db, current
from ._lib import Record


class AgentGovernanceService:
    """The one decision function of the engine, without doing the action."""

    def __init__(self, db: Db | None = None) -> None:
        self._db = db

    def can_perform_action(self, agent_id: str, action_type: str, require_approval: bool = False) -> Record:
        """The decision: allowed, proceed, requires_human_approval, reason, agent_maturity, action_complexity, required_maturity,
        confidence, rule_id, status_code. An unknown agent is denied. InvalidError for an action name that is none.
        """
        reply = current(self._db).request("POST", f"/v1/agents/{quote(agent_id, safe='')}/decide",
                                          {"action": action_type, "require_approval": require_approval})
        if reply.status == 404:
            return Record(allowed=False, requires_human_approval=require_approval, proceed=False,
                          reason=f"Action {action_type} is blocked: there is no agent {agent_id}.", agent_maturity=None,
                          action_complexity=None, required_maturity=None, confidence=0.0, rule_id="not_found", status_code="not_found")
        if reply.status >= 400:
            raise _lib.refusal(reply.status, reply.body)
        decision: Record = reply.body
        return decision
