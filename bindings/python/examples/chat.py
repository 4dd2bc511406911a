#!/usr/bin/env python3
"""A conversation in the terminal: chat.py [DATA DIRECTORY or URL] (default: a store in memory)."""
import asyncio
import sys

import guild


def show(event: guild.Record) -> None:
    """Prints the answer while it comes."""
    if event.type == "streaming:update":
        print(event.delta, end="", flush=True)


async def main() -> None:
    """Reads lines until the end of the input; the session keeps the history."""
    async with guild.open(sys.argv[1] if len(sys.argv) > 1 else ":memory:"):
        session = None
        while line := await asyncio.to_thread(sys.stdin.readline):
            result = await guild.execute_agent_chat(None, line.strip(), "me", session_id=session, on_event=show)
            print("" if result.success else result.error)
            session = result.session_id or session


asyncio.run(main())
