"""What the tests share: a runner for coroutines, and where the servers are."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import posada

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
