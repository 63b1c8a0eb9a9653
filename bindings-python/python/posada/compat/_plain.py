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
        """Stores a text for some time."""
        if has_methods(self._client, "set"):
            await _answer(self._client.set(key, text, ex=seconds))
        else:
            await _answer(self._client.setex(key, seconds, text))

    async def put_new(self, key: str, text: str, seconds: int) -> bool:
        """Stores a text for some time if there is none; answers whether it did."""
        if has_methods(self._client, "set", "delete"):
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

    async def seconds_left(self, key: str) -> int:
        """How long a key lives, if the client knows; 0 otherwise."""
        if not has_methods(self._client, "ttl"):
            return 0
        left = await _answer(self._client.ttl(key))
        return max(left, 0) if isinstance(left, int) else 0

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


async def _answer(given: Any) -> Any:
    return await given if inspect.isawaitable(given) else given


async def _scanned(scan: Callable[..., Any], pattern: str) -> list[str] | None:
    found: list[str] = []
    cursor = 0
    for _ in range(_MOST_STEPS):
        step = await _answer(scan(cursor=cursor, match=pattern, count=100))
        if not isinstance(step, (list, tuple)) or len(step) != 2:
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
