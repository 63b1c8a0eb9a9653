"""Room locks of the app's own class, which its processes make while posada moves in.

The dates are part of their keys, in whatever spelling the caller had, with or without a time of day. So the app finds
an overlap by a walk through the whole keyspace, and nothing less finds every lock. The walk here takes larger steps:
some milliseconds for ten thousand keys.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, TypeAlias

import redis.exceptions
from redis.asyncio import Redis

from posada._posada import Posada
from posada.compat import _nights
from posada.compat._raised import RedisTimeoutError, RedisUnavailableError
from posada.errors import InvalidError
from posada.stay import Stay

_STEP = 5_000
"""Keys that Redis looks at in one step of the walk."""

_AT_ONCE = 500
"""Locks that are read in one command."""

_SECONDS = 5.0
"""How long Redis may take, whatever the client thinks."""

Opens: TypeAlias = Callable[[], AbstractAsyncContextManager["Redis"]]
"""A client of the Redis in which the app keeps its locks, for one walk."""


def lent(client: Redis) -> Opens:
    """A client that its owner closes."""
    return lambda: nullcontext(client)


def of_handle(posada: Posada) -> Opens | None:
    """Clients of the Redis that a handle works on; ``None`` for memory, and for a cluster or a Sentinel group, which
    the app does not know. Each connects anew, so that it belongs to no event loop.
    """
    server = posada.settings._native.redis_server()
    if server is None:
        return None
    host, port, database, is_encrypted, username, password, files = server
    where: dict[str, Any] = {"host": host, "port": port, "ssl": is_encrypted}
    if host.startswith("/"):
        where = {"unix_socket_path": host}
    names = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
    where.update({name: str(path) for name, path in zip(names, files, strict=True) if path is not None})
    return lambda: Redis(db=database, username=username, password=password, **where)


async def is_taken(opens: Opens, room: str, stay: Stay, session: str | None) -> bool:
    """Whether a lock of the app has a night of the stay. ``room`` is the beginning of its keys; locks of the
    conversation ``session`` do not count.

    Raises ``RedisUnavailableError`` or ``RedisTimeoutError``.
    """
    try:
        async with opens() as client:
            return await asyncio.wait_for(_is_taken(client, room, stay, session), _SECONDS)
    except (redis.exceptions.TimeoutError, asyncio.TimeoutError) as error:
        raise RedisTimeoutError("Redis did not answer in time", code="redis.timeout", retryable=True) from error
    except (redis.exceptions.RedisError, OSError) as error:
        message = "Redis was not asked for the app's locks"
        raise RedisUnavailableError(message, code="redis.unavailable", retryable=True) from error


async def _is_taken(client: Redis, room: str, stay: Stay, session: str | None) -> bool:
    async for keys in _walk(client, f"{_escaped(room)}:*"):
        texts = await client.mget(keys)
        if any(takes(text, stay, session) for text in texts if text is not None):
            return True
    return False


async def _walk(client: Redis, pattern: str) -> AsyncIterator[list[bytes | str]]:
    found: list[bytes | str] = []
    async for key in client.scan_iter(match=pattern, count=_STEP):
        found.append(key)
        if len(found) == _AT_ONCE:
            yield found
            found = []
    if found:
        yield found


def _escaped(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "*?[]\\" else letter for letter in text)


def takes(text: str | bytes, stay: Stay, session: str | None) -> bool:
    """Whether a lock, as its text is stored, has a night of a stay and belongs to another conversation. What cannot be
    read takes every night: it is unknown which it means.
    """
    try:
        lock = json.loads(text)
        nights = locked_nights(str(lock["check_in"]), str(lock["check_out"]))
    except (ValueError, TypeError, KeyError):
        return True
    if session and lock.get("session_id") == session:
        return False
    return nights.check_in < stay.check_out and stay.check_in < nights.check_out


def locked_nights(check_in: str, check_out: str) -> Stay:
    """The nights of a lock. The app locks also what ends before it begins; that takes the nights between."""
    try:
        return _nights.stay(check_in, check_out)
    except InvalidError:
        return _nights.stay(check_out, check_in)
