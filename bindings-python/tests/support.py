"""What the tests share: a runner for coroutines, and where the servers are."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import posada
from fastapi import FastAPI

Answer = TypeVar("Answer")

ROOT = Path(__file__).resolve().parents[2]
"""The root of the repository."""

VECTORS = ROOT / "tests" / "vectors"
"""The vectors that all languages share."""


def run(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Runs a coroutine in an event loop of its own, at most a minute long."""
    return asyncio.run(asyncio.wait_for(work, 60))


def unique(word: str) -> str:
    """A name that no other test has."""
    return f"{word}-{uuid.uuid4().hex[:12]}"


def number() -> str:
    """An Argentine mobile number that no other test has, as WhatsApp sends it."""
    return f"54911{int(unique('x')[2:], 16) % 10**8:08d}"


def server_settings(**options: Any) -> posada.Settings:
    """The servers that were started for the tests."""
    return posada.Settings.build(
        postgres_url=os.environ["DATABASE_URL"],
        redis_url=os.environ["REDIS_URL"],
        secret_key="the key of the tests, long enough for HS256",
        **options,
    )


Open = Callable[[], Any]
"""Opens a handle: an async context manager."""


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A socket on a free port that already takes connections, for a server that is about to start."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as made:
        yield made


@asynccontextmanager
async def in_process(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app without a socket, in this loop."""
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client,
    ):
        yield client
