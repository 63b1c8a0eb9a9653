"""Locks: named locks for anything, and stay holds for nights."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal

from posada import _native
from posada._checks import (
    Seconds,
    Whose,
    instance,
    optional_seconds,
    optional_text,
    optional_whose,
    several,
    text,
    texts,
    whole,
)
from posada._taking import Taking
from posada.stay import Stay

__all__ = [
    "AuditEntry",
    "AuditEvent",
    "Hold",
    "HoldState",
    "LockGuard",
    "LockManager",
    "LockState",
    "LossCause",
    "Release",
    "StayHold",
    "Taking",
]

Release = Literal["released", "already_released", "expired"]
"""How a release found the lock."""

LossCause = Literal["expired", "taken_over", "max_hold", "forced", "released"]
"""Why a lock is not held any more."""

AuditEvent = Literal["acquired", "extended", "released", "expired", "conflict"]
"""What happened to a lock."""


@dataclass(frozen=True, slots=True)
class LockState:
    """Who holds a lock."""

    owner: str
    """The name that the owner gave itself."""
    fence: int
    """The number of the grant; larger is later."""
    acquired_at: dt.datetime
    """When it was granted (UTC)."""
    expires_at: dt.datetime
    """When it ends unless it is extended (UTC)."""
    waiters: int
    """How many wait for it."""


@dataclass(frozen=True, slots=True)
class HoldState:
    """A live hold, as ``holds`` names it."""

    id: str
    """Its id, which may be shown."""
    stay: Stay
    """The nights."""
    quantity: int
    """Units per night."""
    session_id: str | None
    """The conversation."""
    user_id: str | None
    """The guest."""
    fence: int
    """Its place in the order of all holds of the resource."""
    acquired_at: dt.datetime
    """When it began (UTC)."""
    expires_at: dt.datetime
    """When it ends unless it is extended (UTC)."""
    extensions: int
    """How often it was extended."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A row of ``lock_audit``."""

    lock_key: str
    """The lock."""
    event: AuditEvent
    """What happened."""
    at: dt.datetime
    """When (UTC)."""
    tenant: str | None
    """The tenant's id."""
    details: dict[str, Any]
    """More about it."""


@dataclass(frozen=True, slots=True)
class StayHold:
    """Nights to be held, for ``hold_stays``; the fields are those of ``hold_stay``."""

    resource: str
    """What is held: ``room:101`` or ``room_type:1/3``."""
    stay: Stay
    """The nights."""
    quantity: int = 1
    """Units per night."""
    capacity: int = 1
    """How many units there are in all."""
    tenant: Whose | None = None
    """Whose it is."""
    session_id: str | None = None
    """The conversation: the same one gets the same hold again."""
    user_id: str | None = None
    """The guest."""
    ttl: Seconds | None = None
    """How long the hold lives unless it is extended; as the settings say (20 minutes) by default."""

    def __post_init__(self) -> None:
        text("resource", self.resource)
        instance("stay", self.stay, Stay)
        whole("quantity", self.quantity)
        whole("capacity", self.capacity)
        optional_whose("tenant", self.tenant)
        optional_text("session_id", self.session_id)
        optional_text("user_id", self.user_id)
        optional_seconds("ttl", self.ttl)


class LockGuard:
    """A lock that is held. Use it with ``async with``, which releases it; dropping it releases in the background.

    A lock of Redis can be lost while its holder works. The guard knows its own deadline on the monotonic clock and
    says so even when Redis is silent: call ``ensure_held`` before a step that must not be done twice, or hand the
    ``fence`` to the thing that is protected, so that it can refuse a latecomer.
    """

    __slots__ = ("_native",)

    def __init__(self, native: _native.Guard) -> None:
        self._native = native

    @property
    def name(self) -> str:
        """The name of the lock."""
        return self._native.name

    @property
    def token(self) -> str:
        """The owner's secret: who knows it may release the lock."""
        return self._native.token

    @property
    def fence(self) -> int:
        """A number that grows with every grant of this name, also when Redis lost its data in between."""
        return self._native.fence

    @property
    def expires_at(self) -> dt.datetime:
        """When the lock ends unless it is extended, by the server's clock (UTC)."""
        return self._native.expires_at

    def remaining(self) -> dt.timedelta:
        """How long we may rely on the lock, by our own monotonic clock. Zero when it is lost or released."""
        return self._native.remaining()

    def ensure_held(self) -> None:
        """Checks, without asking the server, that the lock is still ours.

        Raises ``ConflictError`` (``locks.lost``); the fact ``cause`` says why.
        """
        self._native.ensure_held()

    async def lost(self) -> LossCause:
        """Completes when the lock is not held any more; never while it is. Race your work against it. Cancel-safe."""
        return await self._native.lost()

    async def extend(self, ttl: Seconds) -> None:
        """Lets the lock live at least ``ttl`` from now. Never shortens it.

        Raises ``locks.lost`` when it is not ours any more; ``locks.invalid_duration``; ``redis.*``.
        """
        await self._native.extend(_native.seconds("ttl", ttl))

    async def release(self) -> Release:
        """Gives the lock back. May be repeated; a lock that was lost is no error, the answer says so. Detached.

        Raises ``redis.*``: then the release goes on in the background, until Redis is back or the lock has ended.
        """
        return await self._native.release()

    async def __aenter__(self) -> LockGuard:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._native.release()

    def __repr__(self) -> str:
        return f"LockGuard(name={self.name!r}, fence={self.fence}, remaining={self.remaining()!r})"


class Hold:
    """Nights that are held for a guest.

    Dropping it does **not** release the hold: a guest thinks for twenty minutes, across many requests and perhaps
    several processes. It ends by ``release``, at the end of ``async with``, or at ``expires_at``. To find it again in
    another process, keep its ``ticket``, or ask for the same nights in the same conversation.
    """

    __slots__ = ("_native",)

    EXTENSION: Final = dt.timedelta(minutes=10)
    """What one extension adds unless the settings say otherwise."""

    MAX_EXTENSIONS: Final = 2
    """How often a hold may be extended unless the settings say otherwise."""

    def __init__(self, native: _native.Hold) -> None:
        self._native = native

    @property
    def id(self) -> str:
        """The hold's id, which may be shown."""
        return self._native.id

    @property
    def token(self) -> str:
        """The owner's secret."""
        return self._native.token

    @property
    def fence(self) -> int:
        """A number that grows with every hold of this resource."""
        return self._native.fence

    @property
    def resource(self) -> str:
        """What is held, such as ``room_type:1/3``."""
        return self._native.resource

    @property
    def tenant(self) -> str | None:
        """The tenant's id."""
        return self._native.tenant

    @property
    def stay(self) -> Stay:
        """The nights."""
        return Stay(*self._native.stay)

    @property
    def audit_key(self) -> str:
        """The key under which ``lock_audit`` tells its story."""
        return self._native.audit_key

    @property
    def quantity(self) -> int:
        """Units per night."""
        return self._native.quantity

    @property
    def session_id(self) -> str | None:
        """The conversation."""
        return self._native.session_id

    @property
    def ticket(self) -> str:
        """Everything that another process needs to ``resume_hold``. A secret: keep it in the conversation."""
        return self._native.ticket

    @property
    def expires_at(self) -> dt.datetime:
        """When it ends unless it is extended, by the server's clock (UTC)."""
        return self._native.expires_at

    @property
    def extensions(self) -> int:
        """How often it was extended."""
        return self._native.extensions

    def remaining(self) -> dt.timedelta:
        """How long we may rely on it, by our own monotonic clock. Zero when it has ended."""
        return self._native.remaining()

    async def extend(self, extra: Seconds | None = None) -> None:
        """Adds to the time that is left what the settings say (10 minutes), or less when ``extra`` is given.

        As often as the settings say (twice) at most. A repeat does not extend twice.

        Raises ``locks.max_extensions``; ``locks.lost`` when it has ended; ``locks.not_owner``;
        ``locks.invalid_duration``; ``redis.*``.
        """
        await self._native.extend(optional_seconds("extra", extra))

    async def move_to(self, stay: Stay, capacity: int = 1) -> None:
        """Moves the hold to other nights, in one step. A refusal changes nothing. Its ticket changes.

        Raises ``locks.nights_taken``; ``locks.invalid_quantity``; ``locks.lost``; ``locks.not_owner``; ``redis.*``.
        """
        await self._native.move_to(instance("stay", stay, Stay), whole("capacity", capacity))

    async def confirm(self, at_least: Seconds) -> None:
        """Asks whether the hold stands, and keeps it alive for at least that long (at most 5 minutes) from now.

        Raises ``locks.lost``; ``locks.not_owner``; ``locks.invalid_duration``; ``redis.*``.
        """
        await self._native.confirm(_native.seconds("at_least", at_least))

    async def release(self) -> Release:
        """Gives the nights back. May be repeated. Detached.

        Raises ``locks.not_owner``; ``redis.*``: then the release goes on in the background, until Redis is back or the
        hold has ended, and in this process the hold counts as given back.
        """
        return await self._native.release()

    async def __aenter__(self) -> Hold:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()

    def __repr__(self) -> str:
        return f"Hold(id={self.id!r}, resource={self.resource!r}, stay={self.stay!s}, quantity={self.quantity})"


class LockManager:
    """Named locks and stay holds.

    One holder at a time per name, waiters in the order of arrival, and holds that count units per night, so that no
    night is ever given out beyond its capacity. When Redis is down every call raises ``redis.*``.
    """

    __slots__ = ("_native",)

    def __init__(self, handle: _native.Handle) -> None:
        self._native = _native.Locks(handle)

    def acquire(
        self,
        name: str,
        *,
        ttl: Seconds | None = None,
        wait: Seconds | None = None,
        owner: str | None = None,
        auto_extend: bool = False,
        max_hold: Seconds | None = None,
        tenant: Whose | None = None,
        reentrant: bool = False,
        audit_misses: bool = False,
        replicas: int = 0,
        replicas_within: Seconds | None = None,
    ) -> Taking[LockGuard]:
        """Takes a lock, waiting for it up to ``wait`` (not at all by default), in the order of arrival.

        ``async with p.locks.acquire(...) as lock`` gives it back at the end; ``await`` leaves that to the guard.

        It lives for ``ttl`` (30 seconds) unless it is extended; ``auto_extend`` does that by itself, up to
        ``max_hold``. Owned: cancelling gives the claim up, and leaves no lock behind.

        With ``replicas`` it is answered only when that many replicas of Redis have it, so that it outlives a failover;
        too few ``replicas_within`` (1 second) is ``locks.not_replicated``, and the lock is given back.

        Raises ``locks.contended`` (facts ``holder``, ``remaining_ms``, ``position``) when the wait is over;
        ``locks.too_many_entries``; ``locks.invalid_name``, ``locks.invalid_duration``, ``locks.invalid_owner``;
        ``redis.*``; ``posada.closed``.
        """
        options = _native.AcquireOptions(
            ttl=ttl,
            wait=wait,
            owner=owner,
            auto_extend=auto_extend,
            max_hold=max_hold,
            tenant=tenant,
            reentrant=reentrant,
            audit_misses=audit_misses,
            replicas=replicas,
            replicas_within=replicas_within,
        )
        return Taking(self._acquire(text("name", name), options), _release)

    async def _acquire(self, name: str, options: _native.AcquireOptions) -> LockGuard:
        return LockGuard(await self._native.acquire(name, options))

    async def try_acquire(
        self,
        name: str,
        *,
        ttl: Seconds | None = None,
        owner: str | None = None,
        auto_extend: bool = False,
        max_hold: Seconds | None = None,
        tenant: Whose | None = None,
        reentrant: bool = False,
        audit_misses: bool = False,
        replicas: int = 0,
        replicas_within: Seconds | None = None,
    ) -> LockGuard | None:
        """Takes a lock if that is possible at once; ``None`` when another owner holds it or waits for it."""
        options = _native.AcquireOptions(
            ttl=ttl,
            owner=owner,
            auto_extend=auto_extend,
            max_hold=max_hold,
            tenant=tenant,
            reentrant=reentrant,
            audit_misses=audit_misses,
            replicas=replicas,
            replicas_within=replicas_within,
        )
        guard = await self._native.try_acquire(text("name", name), options)
        return None if guard is None else LockGuard(guard)

    def acquire_all(
        self,
        names: Iterable[str],
        *,
        ttl: Seconds | None = None,
        wait: Seconds | None = None,
        owner: str | None = None,
        auto_extend: bool = False,
        max_hold: Seconds | None = None,
        tenant: Whose | None = None,
        reentrant: bool = False,
        audit_misses: bool = False,
        replicas: int = 0,
        replicas_within: Seconds | None = None,
    ) -> Taking[list[LockGuard]]:
        """Takes several locks, all of them or none, and answers their guards in the order of ``names``.

        ``async with`` gives all of them back. They are taken in the order of their names, so that two callers never
        wait for each other in a circle.
        """
        options = _native.AcquireOptions(
            ttl=ttl,
            wait=wait,
            owner=owner,
            auto_extend=auto_extend,
            max_hold=max_hold,
            tenant=tenant,
            reentrant=reentrant,
            audit_misses=audit_misses,
            replicas=replicas,
            replicas_within=replicas_within,
        )
        return Taking(self._acquire_all(texts("names", names), options), _release_all)

    async def _acquire_all(self, names: list[str], options: _native.AcquireOptions) -> list[LockGuard]:
        return [LockGuard(guard) for guard in await self._native.acquire_all(names, options)]

    @staticmethod
    def fence_guard_sql() -> str:
        """The statement that makes a write under a lock safe: run it first in your own transaction.

        Its parameters are ``$1`` resource (text) and ``$2`` fence (bigint). When it answers no row, a later holder
        has written already: roll back.
        """
        return _native.fence_guard_sql()

    async def check_fence(self, resource: str, fence: int) -> None:
        """Checks and remembers a fence, for things that are protected but not in Postgres. Detached.

        Raises ``locks.stale_fence`` when a higher one was seen; ``locks.invalid_resource``, ``locks.invalid_fence``;
        ``postgres.*``.
        """
        await self._native.check_fence(text("resource", resource), whole("fence", fence, bits=64))

    async def inspect(self, name: str, *, tenant: Whose | None = None) -> LockState | None:
        """Who holds a lock; ``None`` when it is free. Cancel-safe read."""
        parts = await self._native.inspect(text("name", name), tenant)
        return None if parts is None else LockState(*parts)

    async def release(self, name: str, token: str, *, tenant: Whose | None = None) -> Release:
        """Releases a lock by its token, for programs that do not keep the guard. Raises ``locks.not_owner``."""
        return await self._native.release(text("name", name), text("token", token), tenant)

    async def force_release(self, name: str, reason: str, *, tenant: Whose | None = None) -> str | None:
        """Takes a lock away from its holder; answers the owner who lost it. The audit gets the reason."""
        return await self._native.force_release(text("name", name), text("reason", reason), tenant)

    def hold_stay(
        self,
        resource: str,
        check_in: dt.date,
        check_out: dt.date,
        *,
        quantity: int = 1,
        capacity: int = 1,
        tenant: Whose | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        ttl: Seconds | None = None,
    ) -> Taking[Hold]:
        """Holds the nights from ``check_in`` to ``check_out`` on ``room:101`` or ``room_type:1/3``, all or none.

        ``await`` it to keep them until they are released or expire; ``async with`` releases them at the end.

        A repeated request of the same conversation for the same resource and nights answers the hold that is there,
        with its end unchanged. Cancel-safe: asking again in the same conversation finds it, otherwise it expires.

        Raises ``locks.nights_taken`` with the facts ``nights`` and ``frees_at``, or, when only a hold of the same
        conversation is in the way, ``own_hold`` and ``own_stay``: ``move_to`` is the way then; ``stay.invalid``;
        ``locks.too_many_holds``; ``locks.invalid_resource``, ``locks.invalid_quantity``, ``locks.invalid_duration``,
        ``locks.invalid_owner``; ``redis.*``.
        """
        stay = Stay(check_in, check_out)
        wanted = StayHold(resource, stay, quantity, capacity, tenant, session_id, user_id, ttl)
        return Taking(self._hold_stay(_stay_hold(wanted)), Hold.release)

    async def _hold_stay(self, request: _native.StayHold) -> Hold:
        return Hold(await self._native.hold_stay(request))

    async def hold_stays(self, requests: Sequence[StayHold]) -> list[Hold]:
        """Holds several stays, all of them or none, and answers them in the order of the requests.

        Raises as ``hold_stay``, with the fact ``resource`` for the one that was refused.
        """
        wanted = [_stay_hold(instance("requests", each, StayHold)) for each in several("requests", requests)]
        return [Hold(hold) for hold in await self._native.hold_stays(wanted)]

    async def resume_hold(self, ticket: str) -> Hold:
        """Finds a hold again by its ticket, in whatever process. It does not prolong the hold. Cancel-safe read.

        Raises ``locks.invalid_ticket``; ``locks.lost`` when the hold has ended; ``locks.not_owner``; ``redis.*``.
        """
        return Hold(await self._native.resume_hold(text("ticket", ticket)))

    async def holds(self, resource: str, window: Stay, *, tenant: Whose | None = None) -> list[HoldState]:
        """The live holds of a resource that touch a night of ``window``, by their end. Cancel-safe read."""
        live = await self._native.holds(text("resource", resource), instance("window", window, Stay), tenant)
        return [HoldState(parts[0], Stay(*parts[1]), *parts[2:]) for parts in live]

    async def sweep(self) -> int:
        """Looks for holds of this process that have ended, so that the audit learns of them; answers how many."""
        return await self._native.sweep()

    async def flush_audit(self, deadline: Seconds) -> None:
        """Waits until every event so far is in the audit. Raises ``postgres.timeout`` when rows still wait."""
        await self._native.flush_audit(_native.seconds("deadline", deadline))

    async def audit(self, lock_key: str, limit: int = 100) -> list[AuditEntry]:
        """The newest audit rows of a key, newest first. Cancel-safe read. Raises ``postgres.*``."""
        rows = await self._native.audit(text("lock_key", lock_key), whole("limit", limit))
        return [AuditEntry(key, event, at, tenant, json.loads(details)) for key, event, at, tenant, details in rows]

    async def list(self, *, tenant: Whose | None = None) -> dict[str, LockState]:
        """The locks of a tenant (or of none) that are held, by their names. Cancel-safe read."""
        return {name: LockState(*parts) for name, parts in await self._native.list(tenant)}


def _release(guard: LockGuard) -> Awaitable[object]:
    return guard._native.release()


async def _release_all(guards: Iterable[LockGuard]) -> None:
    await asyncio.gather(*(guard.release() for guard in guards))


def _stay_hold(wanted: StayHold) -> _native.StayHold:
    return _native.StayHold(
        wanted.resource,
        wanted.stay,
        quantity=wanted.quantity,
        capacity=wanted.capacity,
        tenant=wanted.tenant,
        session_id=wanted.session_id,
        user_id=wanted.user_id,
        ttl=wanted.ttl,
    )
