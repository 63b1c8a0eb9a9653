"""Clients that posada cannot follow to a server: fakes of tests, wrappers, and whatever else has some of the methods.

They are used as the app uses its client: no scripts, one command after another, nothing that is safe against other
writers. What is missing in a client is made up for where another of its methods will do.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

_MOST_STEPS = 100_000
"""Steps of one walk through the keys, in case that a client never ends it."""


def has_methods(client: object, *names: str) -> bool:
    """Whether a client has all of these methods."""
    return all(callable(getattr(client, name, None)) for name in names)


class PlainClient:
    """What the shells need of a client, whose methods may be coroutines or not."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def get(self, key: str) -> str | dict[str, Any] | None:
        """The text of a key. Some fakes store the document itself; what is neither counts as nothing."""
        stored = await _answer(self._client.get(key))
        if isinstance(stored, (bytes, bytearray)):
            stored = stored.decode()
        # A client without `delete` leaves an empty text.
        return stored or None if isinstance(stored, (str, dict)) else None

    async def put(self, key: str, text: str, seconds: int) -> None:
        """Stores a text for some time, with whatever the client has for that; without ``expire`` for ever."""
        if _takes(self._client, "set", "ex"):
            await _answer(self._client.set(key, text, ex=seconds))
        elif has_methods(self._client, "setex"):
            await _answer(self._client.setex(key, seconds, text))
        else:
            await _answer(self._client.set(key, text))
            if has_methods(self._client, "expire"):
                await _answer(self._client.expire(key, seconds))

    async def put_new(self, key: str, text: str, seconds: int) -> bool:
        """Stores a text for some time if there is none; answers whether it did."""
        if has_methods(self._client, "delete") and _takes(self._client, "set", "ex", "nx"):
            return bool(await _answer(self._client.set(key, text, ex=seconds, nx=True)))
        if await self.get(key) is not None:
            return False
        await self.put(key, text, seconds)
        return True

    async def delete(self, key: str) -> bool:
        """Deletes a key; answers whether the client says that there was one."""
        if has_methods(self._client, "delete"):
            return bool(await _answer(self._client.delete(key)))
        was_there = await self.get(key) is not None
        await self.put(key, "", 1)
        return was_there

    async def seconds_left(self, key: str) -> int | None:
        """How long a key lives, if the client knows."""
        if not has_methods(self._client, "ttl"):
            return None
        left = await _answer(self._client.ttl(key))
        return left if isinstance(left, int) and left >= 0 else None

    async def keys(self, beginning: str, *walks: str) -> list[str] | None:
        """The keys that begin so, found with the first of these methods that the client has and that answers with
        keys: ``scan``, ``scan_iter`` or ``keys``. ``None`` when there is none.
        """
        pattern = "".join(f"\\{letter}" if letter in "*?[]\\" else letter for letter in beginning) + "*"
        for walk in walks:
            if not has_methods(self._client, walk):
                continue
            method = getattr(self._client, walk)
            found = await (_scanned(method, pattern) if walk == "scan" else _all(method(pattern)))
            if found is not None:
                # A fake may know only some patterns.
                return [key for key in dict.fromkeys(found) if key.startswith(beginning)]
        return None

    async def field(self, name: str, field: str) -> str | None:
        """A field of a hash."""
        stored = await _answer(self._client.hget(name, field))
        if isinstance(stored, (bytes, bytearray)):
            return stored.decode(errors="replace")
        return str(stored) if isinstance(stored, (str, int)) else None

    async def set_field(self, name: str, field: str, value: int) -> None:
        """Sets a field of a hash."""
        await _answer(self._client.hset(name, field, value))


def _takes(client: object, method: str, *names: str) -> bool:
    """Whether a client has a method with these parameters."""
    if not has_methods(client, method):
        return False
    try:
        parameters = inspect.signature(getattr(client, method)).parameters
    except (TypeError, ValueError):
        return True
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    return takes_any or all(name in parameters for name in names)


async def _answer(given: Any) -> Any:
    return await given if inspect.isawaitable(given) else given


async def _scanned(scan: Callable[..., Any], pattern: str) -> list[str] | None:
    found: list[str] = []
    cursor = 0
    for _ in range(_MOST_STEPS):
        step = await _answer(scan(cursor=cursor, match=pattern, count=100))
        # What a mock answers is no step, and that of a cluster has a cursor for each server.
        if not isinstance(step, (list, tuple)) or len(step) != 2 or not isinstance(step[0], (int, str, bytes)):
            return None
        found += [_text(key) for key in step[1]]
        cursor = int(step[0])
        if not cursor:
            break
    return found


async def _all(given: Any) -> list[str] | None:
    if hasattr(given, "__aiter__"):
        return [_text(key) async for key in given]
    given = await _answer(given)
    return [_text(key) for key in given] if isinstance(given, (list, tuple, set)) else None


def _text(key: Any) -> str:
    return key.decode(errors="replace") if isinstance(key, (bytes, bytearray)) else str(key)
