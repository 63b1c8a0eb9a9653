"""Conversations: the app's ``services.session_manager``.

What is different: no update is lost, no failing read begins a conversation anew, nothing scans the keyspace on the
way of a message, and Redis itself ends what has expired. None of this holds on a client that is used as it is, such
as a fake: there the shell does what the app does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import redis.exceptions
from prometheus_client import Counter, Gauge

from posada.compat._collectors import counter, gauge
from posada.compat._handles import Server, environment, handle, is_over, plain
from posada.compat._plain_sessions import PlainSessions, begun, timestamp
from posada.compat._raised import as_redis_raises
from posada.errors import ConflictError, InvalidError, PosadaError
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

active_sessions: Gauge = gauge("session_active_total", "Live conversations")
session_cleanups: Counter = counter("session_cleanup_total", "Runs of the clean-up of conversations", ["result"])
session_expirations: Counter = counter("session_expirations_total", "Conversations that were removed", ["reason"])
session_save_retries: Counter = counter(
    "session_save_retries_total", "Repeated writes of conversations", ["operation", "result"]
)

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")

_SECONDS_OF_CONTENTION = 5.0
"""For how long a change is tried again while others keep writing."""

_TRANSIENT = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)
"""What may be over a moment later."""


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

    Any client that has ``get`` and ``set`` (or ``setex``) will do, with ``scan_iter``, ``scan`` or ``keys`` for
    counting: a fake of a test, a wrapper. Such a client is used as the app uses it: whole documents, the last writer
    wins, and a failing read begins a conversation anew.
    """

    def __init__(
        self, redis_client: Server = None, ttl: int = 1800, max_retries: int = 3, retry_delay_base: float = 1
    ) -> None:
        self.redis = redis_client
        self.max_retries = max_retries
        self.retry_delay_base = retry_delay_base
        self.ttl: int = ttl
        client = plain(self, redis_client, "get", "set|setex")
        self._plain = None if client is None else PlainSessions(client)
        if client is None:
            self._posada = handle(redis_client, session_ttl=ttl)
            self.ttl = int(self._posada.settings.session_ttl.total_seconds())
        self._cleanup_task: asyncio.Task[None] | None = None
        self._cleanup_interval: float = 600
        self._count_interval: float = 5
        self._counting: asyncio.Task[None] | None = None
        self._next_count: tuple[asyncio.AbstractEventLoop, asyncio.TimerHandle] | None = None
        self._is_count_old = False

    async def get_or_create_session(self, user_id: str, canal: str, tenant_id: str | None = None) -> dict[str, Any]:
        """The conversation of a user, begun now if there is none. Any number of callers at once get the same one.

        Raises a ``redis.exceptions.RedisError`` when Redis fails: nothing is overwritten.
        """
        if self._plain is not None:
            return await self._begin_plainly(self._plain, user_id, canal, tenant_id)
        call = self._posada.sessions.get_or_create
        session = await self._repeated("create", lambda: call(user_id, canal, tenant=tenant_id or None))
        self._met(session)
        return SessionDocument(session)

    async def update_session(self, user_id: str, session_data: dict[str, Any], tenant_id: str | None = None) -> None:
        """Stores a conversation, sets ``last_activity`` in the given dictionary, and renews its life.

        From a dictionary that ``get_or_create_session`` answered, what the caller changed is written; whatever
        others wrote meanwhile stays. Any other dictionary replaces the conversation, or begins it; ``user_id``,
        ``canal``, ``state`` and ``tenant_id`` stay where it does not say them.

        Raises ``InvalidError`` for a dictionary of another user or tenant, ``TypeError`` or ``ValueError`` for one that
        is no JSON; nothing is stored then.
        """
        if self._plain is not None:
            session_data["last_activity"] = timestamp()
            await self._save_session_with_retry(self._get_session_key(user_id, tenant_id), session_data, "update")
            return
        tenant = tenant_id or None
        if not isinstance(session_data, SessionDocument) or not _is_of(session_data, user_id, tenant):
            _check_identity(session_data, user_id, tenant)
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
        if self._plain is not None:
            session = await self._begin_plainly(self._plain, user_id, "whatsapp", tenant_id)
            _set(session, data_key, data_value)
            await self.update_session(user_id, session, tenant_id)
            return
        await self._changed(
            user_id,
            tenant_id or None,
            {data_key: data_value},
            lambda document: _set(document, data_key, data_value),
            channel="whatsapp",
        )

    async def get_session_data(self, user_id: str, tenant_id: str | None = None) -> dict[str, Any]:
        """The conversation of a user; empty when there is none or it cannot be read.

        Raises a ``redis.exceptions.RedisError`` when Redis fails: an outage is not an empty conversation.
        """
        if self._plain is not None:
            return await self._plain.look(self._get_session_key(user_id, tenant_id))
        try:
            with as_redis_raises():
                session = await self._posada.sessions.get(user_id, tenant=tenant_id or None)
        except PosadaError as error:
            if error.code != "sessions.corrupt":
                raise
            _log.warning("session_manager.corrupt", extra={"code": error.code})
            return {}
        return {} if session is None else SessionDocument(session)

    async def refresh_active_sessions_metric(self) -> None:
        """Counts the live conversations, and shows the number. A failure is only logged."""
        await self._update_active_sessions_metric()

    async def cleanup_expired_sessions(self) -> None:
        """Counts conversations every ten minutes, for ever. Redis removes the expired ones by itself."""
        while True:
            await asyncio.sleep(self._cleanup_interval)
            try:
                await self._count()
                await self._cleanup_orphaned_sessions()
            except Exception as error:
                _log.warning("session_manager.cleanup_failed", extra=_facts(error))
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

    async def _update_active_sessions_metric(self) -> None:
        try:
            await self._count()
        except Exception as error:
            _log.warning("session_manager.count_failed", extra=_facts(error))

    async def _count(self) -> None:
        """Shows how many conversations there are now."""
        count = await (self._posada.sessions.measure() if self._plain is None else self._plain.count())
        if count is not None:
            active_sessions.set(count)

    def _met(self, session: Session) -> None:
        """Shows a new conversation now, and soon how many there are: one count at a time, ``_count_interval`` seconds
        apart.
        """
        if session.is_new:
            active_sessions.inc()
        loop = asyncio.get_running_loop()
        if self._next_count is None or self._next_count[0] is not loop:
            self._count_soon(loop)
        else:
            self._is_count_old = True

    def _count_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_count_old = False
        self._counting = loop.create_task(self._update_active_sessions_metric())
        self._next_count = loop, loop.call_later(self._count_interval, self._count_again, loop)

    def _count_again(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._is_count_old and not is_over(self):
            self._count_soon(loop)
        else:
            self._next_count = None

    async def _cleanup_orphaned_sessions(self) -> int:
        """Deletes what is no conversation from a client that is used as it is. On servers nothing is deleted."""
        if self._plain is None:
            return 0
        return await self._plain.clean(lambda reason: session_expirations.labels(reason=reason).inc())

    async def _begin_plainly(
        self, sessions: PlainSessions, user: str, channel: str, tenant: str | None
    ) -> dict[str, Any]:
        key = self._get_session_key(user, tenant)
        session = await sessions.find(key)
        if session is None:
            session = begun(user, channel, tenant)
            await self._save_session_with_retry(key, session, "create")
        await self._update_active_sessions_metric()
        return session

    async def _save_session_with_retry(
        self, session_key: str, session_data: dict[str, Any], operation: str = "save"
    ) -> bool:
        """Stores a document as the app's method of this name does: for clients that are used as they are."""
        sessions = self._plain
        if sessions is None:
            raise TypeError("a conversation on a server is stored by update_session")
        try:
            await self._repeated(operation, lambda: sessions.write(session_key, session_data, self.ttl))
        except _TRANSIENT:
            raise
        except Exception:
            session_save_retries.labels(operation=operation, result="failed").inc()
            raise
        return True

    def _get_session_key(self, user_id: str, tenant_id: str | None = None) -> str:
        return f"session:{tenant_id}:{user_id}" if tenant_id else f"session:{user_id}"

    async def _saved(self, document: SessionDocument) -> bool:
        """Whether no other caller has written since; stored then."""
        session = document._session
        assert session is not None
        try:
            await self._repeated("update", lambda: self._posada.sessions.save(session))
        except ConflictError:
            return False
        document._seen = session._state.text()
        return True

    async def _changed(
        self,
        user: str,
        tenant: str | None,
        given: Mapping[str, Any],
        edit: Callable[[dict[str, Any]], None],
        *,
        channel: str | None = None,
    ) -> Session:
        """Reads, edits and writes until no other caller wrote in between. What has expired begins anew.

        ``given`` is what the caller wants to store: what is no JSON begins nothing.
        """
        json.dumps(given)
        channel = channel or str(given.get("canal") or "whatsapp")
        sessions = self._posada.sessions
        until = asyncio.get_running_loop().time() + _SECONDS_OF_CONTENTION

        async def change() -> Session:
            while True:
                session = await sessions.get_or_create(user, channel, tenant=tenant)
                edit(session.document)
                try:
                    await sessions.save(session)
                except InvalidError:
                    # A conversation that began for this alone goes with it.
                    if session.is_new:
                        await sessions.delete(user, tenant=tenant)
                    raise
                except ConflictError:
                    if asyncio.get_running_loop().time() > until:
                        raise
                    await asyncio.sleep(random.random() * 0.01)
                else:
                    self._met(session)
                    return session

        return await self._repeated("update", change)

    async def _repeated(self, operation: str, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Calls again, later and later, while Redis cannot be reached."""
        attempt = 0
        while True:
            try:
                with as_redis_raises():
                    answer = await call()
            except _TRANSIENT:
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


_IDENTITY = ("user_id", "tenant_id")
"""Whose a conversation is."""

_NEEDED = (*_IDENTITY, "canal", "state")
"""What a conversation has to say, or the app deletes it."""


def _is_of(document: SessionDocument, user: str, tenant: str | None) -> bool:
    return document.get("user_id") == user and (document.get("tenant_id") or None) == tenant


def _check_identity(document: Mapping[str, Any], user: str, tenant: str | None) -> None:
    """Refuses a dictionary that says that it belongs to another user or tenant."""
    for member, wanted in zip(_IDENTITY, (user, tenant), strict=True):
        if document.get(member) not in (None, wanted):
            raise InvalidError(
                f"the dictionary belongs to another {member}",
                code="sessions.invalid_document",
                context={"field": member},
            )


def _replace(current: dict[str, Any], wanted: Mapping[str, Any]) -> None:
    """Puts a dictionary in the place of a conversation, whose own members stay where it says nothing of them."""
    kept = {member: value for member, value in current.items() if member in _NEEDED and wanted.get(member) is None}
    said = {member: value for member, value in wanted.items() if member not in _IDENTITY or value is not None}
    current.clear()
    current.update({**said, **kept})


def _set(document: dict[str, Any], key: str, value: Any) -> None:
    context = document.get("context")
    if not isinstance(context, dict):
        context = document["context"] = {}
    context[key] = value
    if key not in _OWN:
        document[key] = value


def _facts(error: Exception) -> dict[str, str]:
    """What is logged of a failure."""
    return {"code": getattr(error, "code", type(error).__name__)}


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
