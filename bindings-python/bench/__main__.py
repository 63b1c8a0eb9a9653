"""``scripts/python-bench``: what the package costs beside the libraries that it replaces, as ratios of one run."""

from __future__ import annotations

import asyncio
import platform
import sys
from importlib.metadata import version
from pathlib import Path

from calls import calls
from contest import Contest, heading
from footprint import footprint
from growth import growth
from messages import messages
from servers import on_servers

PEERS = (
    "redis hiredis orjson asyncpg sqlalchemy pyjwt python-jose unleashclient openfeature-sdk httpx argon2-cffi "
    "valkey-glide fastapi"
)


def main() -> None:
    """Runs the rows whose names hold the filter."""
    wheel, only = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    contest = Contest(only)
    print(f"\nPython {platform.python_version()}: posada {version('posada')} against", end=" ")
    print(", ".join(f"{peer} {version(peer)}" for peer in PEERS.split()))
    if contest.wants("footprint"):
        footprint(wheel)
    heading()
    asyncio.run(calls(contest))
    asyncio.run(on_servers(contest))
    asyncio.run(messages(contest))
    asyncio.run(growth(contest))


main()
