"""Room locks of the app's own class, which its processes make while posada moves in.

The dates are part of their keys, and the app finds an overlap by a walk through the whole keyspace. Here every key
that could overlap is asked for, in one command: a thousand or so for a stay of some nights, and none of them there.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TypeAlias

import redis.exceptions
from redis.asyncio import Redis

from posada._posada import Posada
from posada.compat._raised import RedisTimeoutError, RedisUnavailableError
from posada.stay import Stay

LONGEST = 31
"""Nights of the longest stay that is looked for."""

_SPELLINGS = ("", "T00:00:00Z")
"""What follows the date where the app's callers write one."""

_SECONDS = 5.0
"""How long Redis may take, whatever the client thinks."""

Opens: TypeAlias = Callable[[], AbstractAsyncContextManager["Redis"]]
"""A client of the Redis in which the app keeps its locks, for one command."""


def lent(client: Redis) -> Opens:
    """A client that somebody else closes."""
    return lambda: nullcontext(client)


def of_handle(posada: Posada) -> Opens | None:
    """Clients of the Redis that a handle works on; ``None`` for memory, and for a cluster or a Sentinel group, which
    the app does not know. Each connects anew, so that it belongs to no event loop.
    """
    server = posada.settings._native.redis_server()
    if server is None:
        return None
    host, port, database, is_encrypted, username, password = server
    return lambda: Redis(host=host, port=port, db=database, ssl=is_encrypted, username=username, password=password)


async def is_taken(opens: Opens, room: str, stay: Stay, session: str | None) -> bool:
    """Whether a lock of the app has a night of the stay. ``room`` is the beginning of its keys; locks of the
    conversation ``session`` do not count.

    Raises ``RedisUnavailableError`` or ``RedisTimeoutError``.
    """
    try:
        async with opens() as client:
            return await asyncio.wait_for(_is_taken(client, list(_keys(room, stay)), session), _SECONDS)
    except (redis.exceptions.TimeoutError, asyncio.TimeoutError) as error:
        raise RedisTimeoutError("Redis did not answer in time", code="redis.timeout", retryable=True) from error
    except (redis.exceptions.RedisError, OSError) as error:
        message = "Redis was not asked for the app's locks"
        raise RedisUnavailableError(message, code="redis.unavailable", retryable=True) from error


async def _is_taken(client: Redis, keys: list[str], session: str | None) -> bool:
    # Their number is one word to read; a thousand answers of nothing are not.
    if not await client.exists(*keys):
        return False
    return any(text is not None and not _is_of(text, session) for text in await client.mget(keys))


def _keys(room: str, stay: Stay) -> Iterator[str]:
    """The keys of all stays of up to ``LONGEST`` nights that share a night with this one."""
    first, last = dt.date.min.toordinal(), dt.date.max.toordinal()
    arrival, departure = stay.check_in.toordinal(), stay.check_out.toordinal()
    for check_in in range(max(first, arrival - LONGEST + 1), departure):
        for check_out in range(max(arrival, check_in) + 1, min(last, check_in + LONGEST) + 1):
            days = dt.date.fromordinal(check_in), dt.date.fromordinal(check_out)
            for rest in _SPELLINGS:
                yield f"{room}:{days[0]}{rest}:{days[1]}{rest}"


def _is_of(text: str | bytes, session: str | None) -> bool:
    try:
        lock = json.loads(text)
    except ValueError:
        return False
    return bool(session) and isinstance(lock, dict) and lock.get("session_id") == session
