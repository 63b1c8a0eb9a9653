"""Room locks: the app's ``services.lock_service``, on stay holds.

What is different: overlapping stays exclude each other also when they are asked for at once; only who has the key of
a lock can extend or release it; an ended lock cannot be brought back; the audit is written beside the calls; dates
that cannot be read are an error and not "no conflict".

Rooms that the app's own class has locked are taken here too, while processes of both run. The app does not see the
locks that are made here: see ``LockService``. On a client that is used as it is, such as a fake, the shell does what
the app does.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

from prometheus_client import Counter
from redis.asyncio import Redis

from posada._posada import Posada
from posada.compat import _app_locks
from posada.compat._collectors import counter
from posada.compat._handles import Server, environment, handle, is_over, plain
from posada.compat._nights import stay as _stay
from posada.compat._plain_locks import PlainLocks
from posada.compat._raised import as_redis_raises
from posada.compat.tenant_context import get_tenant_id
from posada.errors import ConflictError, ExhaustedError, InvalidError
from posada.locks import Hold
from posada.stay import Stay

__all__ = ["LockService", "get_lock_service", "lock_conflicts_total", "lock_extensions_total", "lock_operations_total"]

lock_operations_total: Counter = counter("lock_operations_total", "Operations on room locks", ["operation", "result"])
lock_conflicts_total: Counter = counter("lock_conflicts_total", "Refused room locks", ["room_id"])
lock_extensions_total: Counter = counter("lock_extensions_total", "Extensions of room locks", ["result"])

_MARK = "#"
"""What stands between the name of a lock and the ticket that proves it."""


_RULES: dict[str, float] = {"hold_extension": 86_400, "hold_max_extensions": 100}
"""The most that posada allows of extensions: what a call says is less."""

_USUALLY_ADDED = 1200.0
"""Two extensions of ten minutes, in seconds."""

_OUTCOMES = {
    True: ("success", "success"),
    False: ("max_reached", "max_reached"),
    None: ("not_found", "failed"),
}
"""How an extension on a client that is used as it is counts, as operation and as extension."""


class LockService:
    """Locks of rooms for the nights of a stay, of the tenant of the current context.

    ``beside_the_app`` is for the days on which processes of the app's own class make locks in the same Redis: theirs
    are looked for with every ``acquire_lock`` and ``check_conflicts``, by a walk through the keys of Redis as the app
    does it, some milliseconds for ten thousand of them: with the client that was given, or with one that connects to
    the Redis of the handle. The app does not look at posada's locks, so a process of it that still takes guests may
    lock what is locked here; once all are gone, what they left ends by itself within forty minutes, and no other
    gets it before.

    With a handle of posada as ``redis_client`` its settings say how much one extension adds at most and how often.

    Any client that has ``get`` and ``set`` (or ``setex``) will do, with ``delete``, ``ttl`` and ``scan_iter``: a
    fake of a test, a wrapper. Such a client is used as the app uses it: keys are the app's, all who know one may
    release it, two who ask at once may both get a room, and nothing is written to ``lock_audit``.
    """

    def __init__(self, redis_client: Server = None, *, beside_the_app: bool = True) -> None:
        self.redis = redis_client
        client = plain(self, redis_client, "get", "set|setex")
        self._plain = None if client is None else PlainLocks(client)
        self._apps = None
        if client is None:
            self._posada = handle(redis_client, **_RULES)
            self._apps = _apps(redis_client, self._posada) if beside_the_app else None
        self._rooms: set[tuple[str | None, str]] = set()
        self._ends: dict[str, float] = {}

    async def acquire_lock(
        self, room_id: str, check_in: str, check_out: str, session_id: str, user_id: str, ttl: int = 1200
    ) -> str | None:
        """Locks a room for a stay; answers the key with which it is extended and released, or ``None`` when a night
        is taken. The key is a secret of the conversation.

        A stay that begins and ends on one day, for day use, takes the night of that day. The same conversation gets the
        lock that it has for the same nights. Raises ``InvalidError`` for dates that cannot be, and a
        ``redis.exceptions.RedisError`` when Redis fails.
        """
        stay, tenant = _stay(check_in, check_out), get_tenant_id()
        if self._plain is not None:
            facts = {
                "session_id": session_id,
                "user_id": user_id,
                "check_in": check_in,
                "check_out": check_out,
                "room_id": room_id,
            }
            return await self._lock_plainly(self._plain, stay, facts, ttl)
        if await self._is_taken_by_the_app(room_id, stay, session_id):
            _refused(room_id)
            return None
        try:
            with as_redis_raises():
                hold = await self._posada.locks.hold_stay(
                    _resource(room_id),
                    stay.check_in,
                    stay.check_out,
                    tenant=tenant,
                    session_id=session_id,
                    user_id=user_id,
                    ttl=ttl,
                )
        except ConflictError:
            _refused(room_id)
            return None
        lock_operations_total.labels(operation="acquire", result="success").inc()
        self._rooms.add((tenant, str(room_id)))
        lock_key = f"{hold.audit_key}{_MARK}{hold.ticket}"
        self._note(lock_key, ttl)
        return lock_key

    async def extend_lock(self, lock_key: str, extra_ttl: int = 600, max_extensions: int = 2) -> bool:
        """Adds ``extra_ttl`` seconds to the life of a lock; false when it has ended or was extended ``max_extensions``
        times already. Up to a day and a hundred times; with a handle of posada, as far as its settings allow.

        Raises ``InvalidError`` for more seconds than that, and for none.
        """
        if self._plain is not None:
            extended = await self._plain.extend(lock_key, extra_ttl, max_extensions)
            return _extended(*_OUTCOMES[extended])
        hold = await self._hold(lock_key)
        if hold is None:
            return _extended("not_found", "failed")
        if hold.extensions >= max_extensions:
            return _extended("max_reached", "max_reached")
        try:
            with as_redis_raises():
                await hold.extend(extra_ttl)
        except (ConflictError, ExhaustedError) as error:
            if error.code == "locks.max_extensions":
                return _extended("max_reached", "max_reached")
            return _extended("not_found", "failed")
        if lock_key in self._ends:
            self._ends[lock_key] += extra_ttl
        return _extended("success", "success")

    async def release_lock(self, lock_key: str) -> bool:
        """Gives the nights back; false when the lock had ended."""
        released = False
        if self._plain is not None:
            released = await self._plain.release(lock_key)
        elif (hold := await self._hold(lock_key)) is not None:
            with as_redis_raises():
                released = await hold.release() == "released"
        self._ends.pop(lock_key, None)
        lock_operations_total.labels(operation="release", result="success" if released else "not_found").inc()
        return released

    async def check_conflicts(self, room_id: str, check_in: str, check_out: str) -> bool:
        """Whether a night of the stay is taken. Only ``acquire_lock`` decides."""
        stay = _stay(check_in, check_out)
        if self._plain is not None:
            return await self._plain.is_taken(_room_key(room_id), stay)
        if await self._is_taken_by_the_app(room_id, stay, None):
            return True
        with as_redis_raises():
            return bool(await self._posada.locks.holds(_resource(room_id), stay, tenant=get_tenant_id()))

    async def get_active_locks(self) -> list[dict[str, Any]]:
        """The locks of the coming year of every room that this service has locked, in the shape of the app."""
        if self._plain is not None:
            return await self._plain.live()
        today = dt.datetime.now(dt.timezone.utc).date()
        window = Stay(today - dt.timedelta(days=1), today + dt.timedelta(days=365))
        live: list[dict[str, Any]] = []
        for tenant, room in sorted(self._rooms, key=str):
            with as_redis_raises():
                states = await self._posada.locks.holds(_resource(room), window, tenant=tenant)
            live.extend(
                {
                    "session_id": state.session_id,
                    "user_id": state.user_id,
                    "check_in": state.stay.check_in.isoformat(),
                    "check_out": state.stay.check_out.isoformat(),
                    "room_id": room,
                    "acquired_at": state.acquired_at.isoformat(),
                    "expires_at": state.expires_at.isoformat(),
                    "extensions": state.extensions,
                }
                for state in states
            )
        return live

    async def release_all_locks(self) -> None:
        """Gives back every lock that this service has made and that still stands, and no others.

        Raises a ``redis.exceptions.RedisError`` when Redis fails; another call goes on.
        """
        if self._plain is not None:
            released = await self._plain.release_made()
            lock_operations_total.labels(operation="release", result="success").inc(released)
        for lock_key in list(self._ends):
            await self.release_lock(lock_key)

    async def _lock_plainly(self, locks: PlainLocks, stay: Stay, facts: dict[str, Any], ttl: int) -> str | None:
        room = facts["room_id"]
        if await locks.is_taken(_room_key(room), stay):
            _refused(room)
            return None
        lock_key = self._get_lock_key(room, facts["check_in"], facts["check_out"])
        if not await locks.lock(lock_key, facts, ttl):
            lock_operations_total.labels(operation="acquire", result="already_exists").inc()
            return None
        lock_operations_total.labels(operation="acquire", result="success").inc()
        return lock_key

    async def _is_taken_by_the_app(self, room_id: str, stay: Stay, session_id: str | None) -> bool:
        if self._apps is None:
            return False
        return await _app_locks.is_taken(self._apps, _room_key(room_id), stay, session_id)

    def _note(self, lock_key: str, ttl: float) -> None:
        """Remembers a lock for as long as it lives, and what other services usually add to it."""
        now = time.monotonic()
        for ended in [key for key, end in self._ends.items() if end < now]:
            del self._ends[ended]
        self._ends[lock_key] = now + ttl + _USUALLY_ADDED

    async def _hold(self, lock_key: str) -> Hold | None:
        _, mark, ticket = lock_key.partition(_MARK)
        if not mark:
            return None
        try:
            with as_redis_raises():
                return await self._posada.locks.resume_hold(ticket)
        except (ConflictError, InvalidError):
            return None

    def _get_lock_key(self, room_id: str, check_in: str, check_out: str) -> str:
        return f"{_room_key(room_id)}:{check_in}:{check_out}"


_lock_service_instance: LockService | None = None


async def get_lock_service() -> LockService:
    """The service on the servers of the settings, always the same."""
    global _lock_service_instance
    if _lock_service_instance is None or is_over(_lock_service_instance):
        _lock_service_instance = LockService(environment(**_RULES))
    return _lock_service_instance


def _apps(server: Server, posada: Posada) -> _app_locks.Opens | None:
    return _app_locks.lent(server) if isinstance(server, Redis) else _app_locks.of_handle(posada)


def _refused(room_id: str) -> None:
    lock_operations_total.labels(operation="acquire", result="conflict").inc()
    lock_conflicts_total.labels(room_id=room_id).inc()


def _room_key(room_id: str) -> str:
    """How the app's keys of a room begin, for the tenant of the current context."""
    tenant = get_tenant_id()
    return f"{f'tenant:{tenant}:' if tenant else ''}lock:room:{room_id}"


def _resource(room_id: str) -> str:
    return f"room:{room_id}"


def _extended(operation: str, extension: str) -> bool:
    lock_operations_total.labels(operation="extend", result=operation).inc()
    lock_extensions_total.labels(result=extension).inc()
    return extension == "success"
