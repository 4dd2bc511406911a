"""Guild: governed AI agents, in this process or on a server.

    import asyncio, guild

    async def main():
        db = guild.open("./var")                      # or ":memory:", or "http://127.0.0.1:8420"
        result = await guild.execute_agent_chat(None, "hello", "ada", on_event=print)
        print(result.response)

    asyncio.run(main())

Results are mappings whose keys are also attributes. Coroutines deliver on the event loop that runs them; several loops and threads may
use one store at the same time. Plain functions wait without holding the interpreter's lock.
"""
from ._db import Db, Reply, close, open
from ._lib import GuildError, InUseError, InvalidError, NotFoundError, RateLimitedError, Record, RefusedError, version
from .agents import AgentContextResolver, create_agent
from .bus import AgentEventBus, BusFullError
from .chat import execute_agent_chat, execute_agent_chat_sync
from .governance import AgentGovernanceService
from .records import get_executions, get_messages
from .social import AgentSocialLayer

__all__ = [
    "AgentContextResolver", "AgentEventBus", "AgentGovernanceService", "AgentSocialLayer", "BusFullError", "Db", "GuildError",
    "InUseError", "InvalidError", "NotFoundError", "RateLimitedError", "Record", "RefusedError", "Reply", "close", "create_agent",
    "execute_agent_chat", "execute_agent_chat_sync", "get_executions", "get_messages", "open", "version",
]
__version__ = "0.1.0"
