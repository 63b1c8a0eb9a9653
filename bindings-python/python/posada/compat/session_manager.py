"""Conversations: the app's ``services.session_manager``.

What is different: no update is lost, no failing read begins a conversation anew, nothing scans the keyspace on the
way of a message, and Redis itself ends what has expired.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from prometheus_client import Counter, Gauge

from posada.compat._handles import Server, environment, handle, is_over
from posada.compat._raised import TRANSIENT, as_redis_raises
from posada.errors import ConflictError, PosadaError
from posada.sessions import Session

__all__ = [
    "SessionDocument",
    "SessionManager",
    "active_sessions",
    "get_session_manager",
    "session_cleanups",
    "session_expirations",
    "session_save_retries",
]

active_sessions: Gauge = Gauge("session_active_total", "Live conversations")
session_cleanups: Counter = Counter("session_cleanup_total", "Runs of the clean-up of conversations", ["result"])
session_expirations: Counter = Counter("session_expirations_total", "Conversations that were removed", ["reason"])
session_save_retries: Counter = Counter(
    "session_save_retries_total", "Repeated writes of conversations", ["operation", "result"]
)

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")

_SECONDS_OF_CONTENTION = 5.0
"""For how long a change is tried again while others keep writing."""


class SessionDocument(dict[str, Any]):
    """The conversation as a dictionary, which remembers what it was read from.

    So ``update_session`` knows what its caller changed, and writes that, whatever others have written meanwhile.
    """

    __slots__ = ("_seen", "_session")

    def __init__(self, session: Session) -> None:
        super().__init__(session.document)
        self._session: Session | None = session
        self._seen = session._state.text()
        session.document = self

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


class SessionManager:
    """The conversations of guests at ``session:{tenant}:{user}``.

    With a handle of posada as ``redis_client`` its settings say how long conversations live, not ``ttl``.
    """

    def __init__(
        self, redis_client: Server = None, ttl: int = 1800, max_retries: int = 3, retry_delay_base: float = 1
    ) -> None:
        self.redis = redis_client
        self.max_retries = max_retries
        self.retry_delay_base = retry_delay_base
        self._posada = handle(redis_client, session_ttl=ttl)
        self.ttl: int = int(self._posada.settings.session_ttl.total_seconds())
        self._cleanup_task: asyncio.Task[None] | None = None
        self._cleanup_interval: float = 600

    async def get_or_create_session(self, user_id: str, canal: str, tenant_id: str | None = None) -> dict[str, Any]:
        """The conversation of a user, begun now if there is none. Any number of callers at once get the same one.

        Raises a ``redis.exceptions.RedisError`` when Redis fails: nothing is overwritten.
        """
        call = self._posada.sessions.get_or_create
        return SessionDocument(await self._repeated("create", lambda: call(user_id, canal, tenant_id or None)))

    async def update_session(self, user_id: str, session_data: dict[str, Any], tenant_id: str | None = None) -> None:
        """Stores a conversation, sets ``last_activity`` in the given dictionary, and renews its life.

        From a dictionary that ``get_or_create_session`` answered, what the caller changed is written; whatever
        others wrote meanwhile stays. Any other dictionary replaces the conversation.
        """
        tenant = tenant_id or None
        if not isinstance(session_data, SessionDocument) or not _is_of(session_data, user_id, tenant):
            session = await self._changed(
                user_id, tenant, session_data, lambda current: _replace(current, session_data)
            )
            session_data["last_activity"] = session.document["last_activity"]
            return
        if session_data._session is not None and await self._saved(session_data):
            return
        seen = json.loads(session_data._seen)
        session = await self._changed(
            user_id, tenant, session_data, lambda current: _merge(seen, session_data, current)
        )
        session_data["last_activity"] = session.document["last_activity"]
        # The caller has not seen what others wrote: from now on its changes are merged.
        session_data._session = None
        session_data._seen = json.dumps(session_data)

    async def set_session_data(
        self, user_id: str, data_key: str, data_value: Any, tenant_id: str | None = None
    ) -> None:
        """Sets one value, in ``context`` and beside it. Concurrent calls lose nothing."""

        def edit(document: dict[str, Any]) -> None:
            context = document.get("context")
            if not isinstance(context, dict):
                context = document["context"] = {}
            context[data_key] = data_value
            if data_key not in _OWN:
                document[data_key] = data_value

        await self._changed(user_id, tenant_id or None, {}, edit)

    async def get_session_data(self, user_id: str, tenant_id: str | None = None) -> dict[str, Any]:
        """The conversation of a user; empty when there is none or it cannot be read.

        Raises a ``redis.exceptions.RedisError`` when Redis fails: an outage is not an empty conversation.
        """
        try:
            with as_redis_raises():
                session = await self._posada.sessions.get(user_id, tenant_id or None)
        except PosadaError as error:
            if error.code != "sessions.corrupt":
                raise
            _log.warning("session_manager.corrupt", extra={"code": error.code})
            return {}
        return {} if session is None else SessionDocument(session)

    async def refresh_active_sessions_metric(self) -> None:
        """Counts the live conversations, and shows the number. A failure is only logged."""
        try:
            active_sessions.set(await self._posada.sessions.measure())
        except PosadaError as error:
            _log.warning("session_manager.count_failed", extra={"code": error.code})

    async def cleanup_expired_sessions(self) -> None:
        """Counts conversations every ten minutes, for ever. Redis removes the expired ones by itself."""
        while True:
            await asyncio.sleep(self._cleanup_interval)
            try:
                active_sessions.set(await self._posada.sessions.measure())
            except PosadaError as error:
                _log.warning("session_manager.cleanup_failed", extra={"code": error.code})
                session_cleanups.labels(result="error").inc()
            else:
                session_cleanups.labels(result="success").inc()

    def start_cleanup_task(self) -> None:
        """Runs ``cleanup_expired_sessions`` in the background, once."""
        if self._cleanup_task is None or self._cleanup_task.done():
            self._cleanup_task = asyncio.create_task(self.cleanup_expired_sessions())

    async def stop_cleanup_task(self) -> None:
        """Ends it."""
        if self._cleanup_task is not None:
            self._cleanup_task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._cleanup_task
            self._cleanup_task = None

    def _get_session_key(self, user_id: str, tenant_id: str | None = None) -> str:
        return f"session:{tenant_id}:{user_id}" if tenant_id else f"session:{user_id}"

    async def _saved(self, document: SessionDocument) -> bool:
        """Whether nobody else has written since; stored then."""
        session = document._session
        assert session is not None
        try:
            await self._repeated("update", lambda: self._posada.sessions.save(session))
        except ConflictError:
            return False
        document._seen = session._state.text()
        return True

    async def _changed(
        self, user: str, tenant: str | None, given: Mapping[str, Any], edit: Callable[[dict[str, Any]], None]
    ) -> Session:
        """Reads, edits and writes until nobody else wrote in between. What has expired begins anew."""
        channel = str(given.get("canal") or "whatsapp")
        sessions = self._posada.sessions
        until = asyncio.get_running_loop().time() + _SECONDS_OF_CONTENTION

        async def change() -> Session:
            while True:
                session = await sessions.get_or_create(user, channel, tenant)
                edit(session.document)
                try:
                    await sessions.save(session)
                except ConflictError:
                    if asyncio.get_running_loop().time() > until:
                        raise
                    await asyncio.sleep(random.random() * 0.01)
                else:
                    return session

        return await self._repeated("update", change)

    async def _repeated(self, operation: str, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Calls again, later and later, while Redis cannot be reached."""
        attempt = 0
        while True:
            try:
                with as_redis_raises():
                    answer = await call()
            except TRANSIENT:
                attempt += 1
                if attempt >= self.max_retries:
                    session_save_retries.labels(operation=operation, result="failed").inc()
                    raise
                session_save_retries.labels(operation=operation, result="retry").inc()
                await asyncio.sleep(self.retry_delay_base * 2 ** (attempt - 1))
            else:
                if attempt:
                    session_save_retries.labels(operation=operation, result="success").inc()
                return answer


_session_manager_instance: SessionManager | None = None


async def get_session_manager() -> SessionManager:
    """The manager on the servers of the settings, always the same."""
    global _session_manager_instance
    if _session_manager_instance is None or is_over(_session_manager_instance):
        _session_manager_instance = SessionManager(environment())
    return _session_manager_instance


_OWN = frozenset({"user_id", "canal", "state", "context", "created_at", "last_activity", "tenant_id"})
"""What a conversation says of itself, and no caller's value may replace."""


def _is_of(document: SessionDocument, user: str, tenant: str | None) -> bool:
    return document.get("user_id") == user and (document.get("tenant_id") or None) == tenant


def _replace(current: dict[str, Any], wanted: Mapping[str, Any]) -> None:
    current.clear()
    current.update(wanted)


def _merge(seen: Mapping[str, Any], mine: Mapping[str, Any], current: dict[str, Any]) -> None:
    """Makes the changes that lead from ``seen`` to ``mine``, in ``current``."""
    for key in seen.keys() - mine.keys():
        current.pop(key, None)
    for key, value in mine.items():
        if key in seen and seen[key] == value:
            continue
        before, now = seen.get(key), current.get(key)
        if isinstance(before, dict) and isinstance(value, dict) and isinstance(now, dict):
            _merge(before, value, now)
        else:
            current[key] = value
