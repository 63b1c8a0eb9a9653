"""Room locks on a client that is used as it is: what the app's own class does, and no more.

Two who ask for overlapping stays in the same moment may both get the room, and all who know a key may release it.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from posada.compat import _app_locks
from posada.compat._plain import PlainClient
from posada.stay import Stay


class PlainLocks:
    """Locks as the app stores them."""

    def __init__(self, client: PlainClient) -> None:
        self._client = client
        self._made: set[str] = set()

    async def is_taken(self, room: str, stay: Stay) -> bool:
        """Whether a night of a stay is locked; ``room`` is the beginning of the keys."""
        for key in await self._keys(f"{room}:"):
            text = await self._text(key)
            if text is not None and _app_locks.takes(text, stay, None):
                return True
        return False

    async def lock(self, key: str, facts: dict[str, Any], ttl: int) -> bool:
        """Stores a lock if there is none of this key."""
        now = dt.datetime.now(dt.timezone.utc)
        ends = now + dt.timedelta(seconds=ttl)
        lock = {**facts, "acquired_at": now.isoformat(), "expires_at": ends.isoformat(), "extensions": 0}
        if not await self._client.put_new(key, json.dumps(lock), ttl):
            return False
        self._made.add(key)
        return True

    async def extend(self, key: str, extra_ttl: int, max_extensions: int) -> bool | None:
        """Adds to the life of a lock; false when it was extended often enough, ``None`` when it has ended."""
        text = await self._text(key)
        if text is None:
            return None
        lock: dict[str, Any] = json.loads(text)
        extensions = int(lock.get("extensions", 0))
        if extensions >= max_extensions:
            return False
        now = dt.datetime.now(dt.timezone.utc)
        left = await self._client.seconds_left(key)
        if left is None:
            left = _seconds_until(lock.get("expires_at"), now)
        ttl = left + extra_ttl
        ends = now + dt.timedelta(seconds=ttl)
        lock.update(extensions=extensions + 1, expires_at=ends.isoformat())
        await self._client.put(key, json.dumps(lock), ttl)
        return True

    async def release(self, key: str) -> bool:
        """Deletes a lock; answers whether there was one."""
        was_there = await self._text(key) is not None
        self._made.discard(key)
        return await self._client.delete(key) or was_there

    async def live(self) -> list[dict[str, Any]]:
        """The locks that this service has made and that still stand."""
        texts = [await self._text(key) for key in sorted(self._made)]
        return [json.loads(text) for text in texts if text is not None]

    async def release_made(self) -> int:
        """Deletes the locks that this service has made; answers how many still stood."""
        return sum([await self.release(key) for key in sorted(self._made)])

    async def _keys(self, beginning: str) -> list[str]:
        """Those that the client finds, or, when it has no walk through its keys, those that this service has made."""
        keys = await self._client.keys(beginning, "scan_iter", "scan", "keys")
        return [key for key in sorted(self._made) if key.startswith(beginning)] if keys is None else keys

    async def _text(self, key: str) -> str | None:
        stored = await self._client.get(key)
        return json.dumps(stored) if isinstance(stored, dict) else stored or None


def _seconds_until(end: object, now: dt.datetime) -> int:
    """How long it is to the end that a lock names; 0 when it names none."""
    try:
        return max(0, round((dt.datetime.fromisoformat(str(end)) - now).total_seconds()))
    except (TypeError, ValueError):
        return 0
