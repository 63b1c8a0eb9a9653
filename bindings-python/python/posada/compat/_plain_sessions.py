"""Conversations on a client that is used as it is: what the app's own class does, and no more."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Callable
from typing import Any

import redis.exceptions

from posada.compat._plain import PlainClient

_log = logging.getLogger(__name__)

_BEGINNING = "session:"
_WALKS = ("scan", "scan_iter", "keys")
_NEEDED = ("user_id", "canal", "state")


class PlainSessions:
    """Documents of conversations, read and written whole."""

    def __init__(self, client: PlainClient) -> None:
        self._client = client

    async def find(self, key: str) -> dict[str, Any] | None:
        """What is stored, or ``None``, also when it cannot be read because of a fault of Redis: a new conversation
        begins then, as in the app. Raises ``ValueError`` for what is no JSON.
        """
        try:
            return await self._document(key)
        except redis.exceptions.RedisError as error:
            _log.warning("session_manager.get_failed_will_create", extra={"error_type": type(error).__name__})
            return None

    async def look(self, key: str) -> dict[str, Any]:
        """What is stored; empty when there is nothing or it cannot be read, whatever the reason."""
        try:
            return await self._document(key) or {}
        except Exception as error:
            _log.warning("session_manager.get_failed", extra={"error_type": type(error).__name__})
            return {}

    async def write(self, key: str, document: dict[str, Any], ttl: int) -> None:
        """Stores a document, whatever is there."""
        await self._client.put(key, json.dumps(document), ttl)

    async def count(self) -> int | None:
        """How many conversations are stored, by a walk through all keys; ``None`` when the client has no such walk."""
        keys = await self._client.keys(_BEGINNING, *_WALKS)
        return None if keys is None else len(keys)

    async def clean(self, removed: Callable[[str], None]) -> int:
        """Deletes what is no conversation, and says why for each; answers how many."""
        count = 0
        for key in await self._client.keys(_BEGINNING, *_WALKS) or ():
            reason = await self._fault(key)
            if reason is not None:
                await self._client.delete(key)
                removed(reason)
                count += 1
        return count

    async def _fault(self, key: str) -> str | None:
        try:
            document = await self._document(key)
        except ValueError:
            return "corrupted"
        if document is None or all(member in document for member in _NEEDED):
            return None
        return "invalid_format"

    async def _document(self, key: str) -> dict[str, Any] | None:
        stored = await self._client.get(key)
        if not stored or isinstance(stored, dict):
            return stored or None
        document = json.loads(stored)
        if not isinstance(document, dict):
            raise ValueError("the conversation is no JSON object")
        return document


def begun(user: str, channel: str, tenant: str | None) -> dict[str, Any]:
    """The document of a conversation that begins now."""
    now = timestamp()
    document: dict[str, Any] = {
        "user_id": user,
        "canal": channel,
        "state": "initial",
        "context": {},
        "tts_enabled": False,
        "created_at": now,
        "last_activity": now,
    }
    if tenant:
        document["tenant_id"] = tenant
    return document


def timestamp() -> str:
    """Now, as the app writes it."""
    return dt.datetime.now(dt.timezone.utc).isoformat()
