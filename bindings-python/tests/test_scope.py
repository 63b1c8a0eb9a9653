"""A handle of one hotel: every public method is tried with what belongs to another one."""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import posada
import pytest
from fastapi import Depends, FastAPI
from posada.fastapi import CurrentScope, add_error_handlers, current_scope
from support import Open, in_process, number, run, unique

GUEST = "5491187654321"
STAY = posada.Stay(dt.date(2027, 3, 10), dt.date(2027, 3, 12))
PASSWORD = "el loro pinta mapas de cobre"
SECOND = "una llama silba en do menor"


@dataclass
class Hotel:
    """A hotel with a number, a conversation, a hold, a lock and a user, all made by a handle of all hotels."""

    id: str
    number: str
    user: posada.User
    claims: posada.Claims
    tokens: posada.TokenPair
    session: posada.Session
    hold: posada.Hold
    lock: posada.LockGuard
    cookie: str
    reset: str


@dataclass
class Lab:
    """Two hotels, and a handle of the first."""

    p: posada.Posada
    scope: posada.Posada
    own: Hotel
    other: Hotel
    flag: str
    lock: str


async def hotel(p: posada.Posada, lock: str) -> Hotel:
    slug, digits, name = unique("hotel"), number(), unique("ana")
    await p.tenants.create(slug, name="Hotel Costanera")
    await p.tenants.add_identifier(slug, f"+{digits}", "whatsapp")
    user = await p.auth.create_user(name, f"{name}@example.com", PASSWORD, tenant=slug, role="manager")
    tokens = await p.auth.login(name, PASSWORD)
    claims = await p.auth.verify(tokens.access)
    return Hotel(
        slug,
        digits,
        user,
        claims,
        tokens,
        await p.sessions.get_or_create(GUEST, "whatsapp", tenant=slug),
        await p.locks.hold_stay("room_type:1/1", STAY.check_in, STAY.check_out, tenant=slug, session_id="s-1"),
        await p.locks.acquire(lock, tenant=slug),
        await p.auth.device_cookie(claims),
        await p.auth.issue(user.id, "reset_password", tenant=slug),
    )


Attempt = Callable[[Lab], Any]


async def outcome_of(attempt: Attempt, lab: Lab) -> Any:
    outcome = attempt(lab)
    return await outcome if inspect.isawaitable(outcome) else outcome


@asynccontextmanager
async def laboratory(opened: Open) -> AsyncIterator[Lab]:
    async with opened() as p:
        await p.migrate()
        lock, flag = unique("night-audit"), unique("late.checkout")
        own, other = await hotel(p, lock), await hotel(p, lock)
        await p.flags.set(flag, True, tenant=other.id)
        try:
            yield Lab(p, p.for_tenant(own.id), own, other, flag, lock)
        finally:
            for each in (own, other):
                await each.lock.release()
                await each.hold.release()


def booking(lab: Lab, hold: posada.Hold) -> Any:
    guest = posada.Guest("Ana", "Pérez", "ana@example.com", "+5491187654321")
    key = unique("wamid")
    request = posada.BookingRequest(hotel=1, room_type=1, stay=STAY, adults=2, guest=guest, idempotency_key=key)
    return lab.scope.pms.book(request, hold=hold)


REFUSED: dict[str, Attempt] = {
    "Posada.for_tenant": lambda lab: lab.scope.for_tenant(lab.other.id),
    "Posada.for_claims": lambda lab: lab.scope.for_claims(lab.other.claims),
    "Posada.migrate": lambda lab: lab.scope.migrate(),
    "TenantResolver.resolve": lambda lab: lab.scope.tenants.resolve(lab.other.number, "whatsapp"),
    "TenantResolver.get": lambda lab: lab.scope.tenants.get(lab.other.id),
    "TenantResolver.list": lambda lab: lab.scope.tenants.list(),
    "TenantResolver.create": lambda lab: lab.scope.tenants.create(unique("hotel"), name="Hotel Norte"),
    "TenantResolver.update": lambda lab: lab.scope.tenants.update(lab.other.id, name="Hotel Norte"),
    "TenantResolver.suspend": lambda lab: lab.scope.tenants.suspend(lab.other.id),
    "TenantResolver.add_identifier": lambda lab: lab.scope.tenants.add_identifier(lab.other.id, number()),
    "TenantResolver.remove_identifier": lambda lab: lab.scope.tenants.remove_identifier(lab.other.id, lab.other.number),
    "TenantResolver.refresh": lambda lab: lab.scope.tenants.refresh(),
    "TenantResolver.warm": lambda lab: lab.scope.tenants.warm(1),
    "SessionManager.get_or_create": lambda lab: lab.scope.sessions.get_or_create(GUEST, "web", tenant=lab.other.id),
    "SessionManager.get": lambda lab: lab.scope.sessions.get(GUEST, tenant=lab.other.id),
    "SessionManager.save": lambda lab: lab.scope.sessions.save(lab.other.session),
    "SessionManager.update": lambda lab: lab.scope.sessions.update(GUEST, {"state": "done"}, tenant=lab.other.id),
    "SessionManager.append_turn": lambda lab: lab.scope.sessions.append_turn(
        GUEST, "user", "¿Hay lugar?", tenant=lab.other.id
    ),
    "SessionManager.touch": lambda lab: lab.scope.sessions.touch(GUEST, tenant=lab.other.id),
    "SessionManager.delete": lambda lab: lab.scope.sessions.delete(GUEST, tenant=lab.other.id),
    "SessionManager.list": lambda lab: lab.scope.sessions.list(tenant=lab.other.id),
    "SessionManager.count": lambda lab: lab.scope.sessions.count(tenant=lab.other.id),
    "SessionManager.measure": lambda lab: lab.scope.sessions.measure(),
    "SessionManager.purge_tenant": lambda lab: lab.scope.sessions.purge_tenant(lab.other.id),
    "FeatureFlags.is_enabled": lambda lab: lab.scope.flags.is_enabled(lab.flag, tenant=lab.other.id),
    "FeatureFlags.evaluate": lambda lab: lab.scope.flags.evaluate(lab.flag, tenant=lab.other.id),
    "FeatureFlags.variant": lambda lab: lab.scope.flags.variant(lab.flag, tenant=lab.other.id),
    "FeatureFlags.evaluate_all": lambda lab: lab.scope.flags.evaluate_all(tenant=lab.other.id),
    "FeatureFlags.set": lambda lab: lab.scope.flags.set(lab.flag, False, tenant=lab.other.id),
    "FeatureFlags.unset": lambda lab: lab.scope.flags.unset(lab.flag, tenant=lab.other.id),
    "FeatureFlags.list": lambda lab: lab.scope.flags.list(tenant=lab.other.id),
    "FeatureFlags.warm": lambda lab: lab.scope.flags.warm([lab.own.id, lab.other.id]),
    "FeatureFlags.adopt": lambda lab: lab.scope.flags.adopt(),
    "FlagSnapshot.is_enabled": lambda lab: lab.scope.flags.snapshot().is_enabled(lab.flag, tenant=lab.other.id),
    "FlagSnapshot.evaluate": lambda lab: lab.scope.flags.snapshot().evaluate(lab.flag, tenant=lab.other.id),
    "FlagSnapshot.variant": lambda lab: lab.scope.flags.snapshot().variant(lab.flag, tenant=lab.other.id),
    "FlagSnapshot.evaluate_all": lambda lab: lab.scope.flags.snapshot().evaluate_all(tenant=lab.other.id),
    "LockManager.acquire": lambda lab: lab.scope.locks.acquire(lab.lock, tenant=lab.other.id),
    "LockManager.try_acquire": lambda lab: lab.scope.locks.try_acquire(lab.lock, tenant=lab.other.id),
    "LockManager.acquire_all": lambda lab: lab.scope.locks.acquire_all([lab.lock, "invoices"], tenant=lab.other.id),
    "LockManager.inspect": lambda lab: lab.scope.locks.inspect(lab.lock, tenant=lab.other.id),
    "LockManager.release": lambda lab: lab.scope.locks.release(lab.lock, lab.other.lock.token, tenant=lab.other.id),
    "LockManager.force_release": lambda lab: lab.scope.locks.force_release(lab.lock, "stuck", tenant=lab.other.id),
    "LockManager.list": lambda lab: lab.scope.locks.list(tenant=lab.other.id),
    "LockManager.hold_stay": lambda lab: lab.scope.locks.hold_stay(
        "room_type:1/1", STAY.check_in, STAY.check_out, tenant=lab.other.id
    ),
    "LockManager.hold_stays": lambda lab: lab.scope.locks.hold_stays(
        [posada.StayHold("room_type:1/1", STAY), posada.StayHold("room_type:1/2", STAY, tenant=lab.other.id)]
    ),
    "LockManager.resume_hold": lambda lab: lab.scope.locks.resume_hold(lab.other.hold.ticket),
    "LockManager.holds": lambda lab: lab.scope.locks.holds("room_type:1/1", STAY, tenant=lab.other.id),
    "LockManager.audit of a hold": lambda lab: lab.scope.locks.audit(lab.other.hold.audit_key),
    "LockManager.sweep": lambda lab: lab.scope.locks.sweep(),
    "PmsClient.book": lambda lab: booking(lab, lab.other.hold),
    "Authenticator.create_user": lambda lab: lab.scope.auth.create_user(
        unique("bruno"), "bruno@example.com", SECOND, tenant=lab.other.id
    ),
    "Authenticator.create_user of a superuser": lambda lab: lab.scope.auth.create_user(
        unique("carla"), "carla@example.com", SECOND, superuser=True
    ),
    "Authenticator.login": lambda lab: lab.scope.auth.login(lab.other.user.username, PASSWORD, tenant=lab.other.id),
    "Authenticator.login on a device": lambda lab: lab.scope.auth.login(
        lab.other.user.username, PASSWORD, device_cookie=lab.other.cookie
    ),
    "Authenticator.device_cookie": lambda lab: lab.scope.auth.device_cookie(lab.other.claims),
    "Authenticator.verify": lambda lab: lab.scope.auth.verify(lab.other.tokens.access),
    "Authenticator.verify_privileged": lambda lab: lab.scope.auth.verify_privileged(lab.other.tokens.access),
    "Authenticator.refresh": lambda lab: lab.scope.auth.refresh(lab.other.tokens.refresh),
    "Authenticator.logout": lambda lab: lab.scope.auth.logout(lab.other.tokens.access),
    "Authenticator.logout by the refresh token": lambda lab: lab.scope.auth.logout(lab.other.tokens.refresh),
    "Authenticator.logout_session": lambda lab: lab.scope.auth.logout_session(
        lab.other.claims, lab.other.tokens.session
    ),
    "Authenticator.logout_everywhere": lambda lab: lab.scope.auth.logout_everywhere(lab.other.claims),
    "Authenticator.sessions": lambda lab: lab.scope.auth.sessions(lab.other.claims),
    "Authenticator.measure": lambda lab: lab.scope.auth.measure(),
    "Authenticator.change_password": lambda lab: lab.scope.auth.change_password(
        lab.other.tokens.access, PASSWORD, SECOND
    ),
    "Authenticator.set_password": lambda lab: lab.scope.auth.set_password(
        lab.other.user.id, SECOND, tenant=lab.other.id
    ),
    "Authenticator.issue": lambda lab: lab.scope.auth.issue(lab.other.user.id, "reset_password", tenant=lab.other.id),
    "Authenticator.reset_password": lambda lab: lab.scope.auth.reset_password(lab.other.reset, SECOND),
    "Authenticator.act_across_tenants": lambda lab: lab.scope.auth.act_across_tenants(
        lab.other.claims, tenant=lab.other.id, reason="support"
    ),
}
"""What belongs to another hotel, handed to every method that takes it; behind the name, what is special."""


async def purge(lab: Lab) -> bool:
    await lab.scope.sessions.purge_user(GUEST)
    return await lab.p.sessions.get(GUEST, tenant=lab.other.id) is not None


async def audited(lab: Lab) -> bool:
    await lab.scope.locks.flush_audit(10)
    rows = await lab.scope.locks.audit(lab.lock)
    return bool(rows) and all(row.tenant == lab.own.id for row in rows)


async def fenced(lab: Lab) -> bool:
    resource = unique("invoice")
    await lab.scope.locks.check_fence(resource, 7)
    await lab.p.locks.check_fence(resource, 1)
    await lab.p.for_tenant(lab.other.id).locks.check_fence(resource, 1)
    return True


async def counted(lab: Lab) -> bool:
    path = unique("/api/reservations")
    for limits in (lab.p.limits, lab.scope.limits, lab.p.for_tenant(lab.other.id).limits):
        assert (await limits.check("1/hour", path)).allowed
        assert not (await limits.peek("1/hour", path)).allowed
        assert not (await limits.check_cost("1/hour", [path], 1)).allowed
        assert not (await limits.failure_policy("closed").check_many([("1/hour", [path])]))[0].allowed
    await lab.scope.limits.reset("1/hour", path)
    return not (await lab.p.limits.peek("1/hour", path)).allowed


async def watched(lab: Lab) -> bool:
    watch = lab.scope.flags.watch()
    await lab.p.flags.set(lab.flag, False, tenant=lab.other.id)
    await lab.scope.flags.set(lab.flag, True)
    changes = [await watch.next()]
    while changes[-1] is not None and changes[-1].tenant is None:
        changes.append(await watch.next())
    return all(change is not None and change.tenant in {None, lab.own.id} for change in changes)


async def refreshed(lab: Lab) -> bool:
    await lab.scope.flags.refresh()
    return not lab.scope.flags.is_enabled(lab.flag, tenant=lab.own.id)


async def told(lab: Lab) -> bool:
    events = lab.scope.auth.events()
    await lab.p.auth.login(lab.other.user.username, PASSWORD)
    await lab.p.auth.login(lab.own.user.username, PASSWORD)
    event = await events.next()
    return event is not None and event.tenant == lab.own.id


async def closed(lab: Lab) -> bool:
    async with lab.p.for_tenant(lab.own.id) as scope:
        await scope.close()
    return await scope.sessions.count() == await lab.scope.sessions.count(tenant=lab.own.id)


async def many(lab: Lab) -> bool:
    theirs, own = await lab.scope.tenants.resolve_many([lab.other.number, lab.own.number], "whatsapp")
    refused = isinstance(theirs, posada.DeniedError) and theirs.code == "tenants.out_of_scope"
    return refused and not isinstance(own, posada.PosadaError) and own.tenant.id == lab.own.id


def permitted(lab: Lab) -> bool:
    def may(p: posada.Posada) -> bool:
        return p.auth.has_permission(lab.other.claims, "view_reports")

    return may(lab.p) and not may(lab.scope) and lab.scope.auth.has_permission(lab.own.claims, "view_reports")


APART: dict[str, Attempt] = {
    "Posada.close": closed,
    "Posada.tenant": lambda lab: lab.scope.tenant == lab.own.id and lab.p.tenant is None,
    "TenantResolver.cached": lambda lab: lab.scope.tenants.cached(lab.other.number, "whatsapp") is None,
    "TenantResolver.remembered": lambda lab: lab.scope.tenants.remembered(lab.other.number, "whatsapp") is None,
    "TenantResolver.resolve_many": many,
    "SessionManager.purge_user": purge,
    "FeatureFlags.snapshot": lambda lab: not lab.scope.flags.snapshot().is_enabled(lab.flag),
    "FeatureFlags.refresh": refreshed,
    "FeatureFlags.watch": watched,
    "LockManager.audit": audited,
    "LockManager.check_fence": fenced,
    "RateLimiter.check": counted,
    "RateLimiter.check_cost": counted,
    "RateLimiter.check_many": counted,
    "RateLimiter.peek": counted,
    "RateLimiter.reset": counted,
    "RateLimiter.failure_policy": counted,
    "Authenticator.has_permission": permitted,
    "Authenticator.events": told,
}
"""What cannot be refused, and tells or does nothing about another hotel all the same."""

WITHOUT_TENANTS = {
    *(f"Posada.{name}" for name in ("embedded", "build", "connect", "from_env", "settings", "health", "doctor")),
    *(f"Posada.{name}" for name in ("tenants", "sessions", "flags", "locks", "pms", "auth", "limits")),
    "TenantResolver.stats",
    "FeatureFlags.status",
    "LockManager.fence_guard_sql",
    "LockManager.flush_audit",
}
"""What knows of no tenant."""

CLASSES = [
    posada.Posada,
    posada.TenantResolver,
    posada.SessionManager,
    posada.FeatureFlags,
    posada.FlagSnapshot,
    posada.LockManager,
    posada.RateLimiter,
    posada.Authenticator,
]


def test_every_public_method_is_tried() -> None:
    public = {
        f"{each.__name__}.{name}"
        for each in CLASSES
        for name, _ in inspect.getmembers(each)
        if not name.startswith("_")
    }
    # Everything else of the hotel's system is that of the one system of the handle.
    for name, method in inspect.getmembers(posada.PmsClient, inspect.isfunction):
        if {"hold", "tenant", "claims", "session"} & set(inspect.signature(method).parameters):
            public.add(f"PmsClient.{name}")
    tried = {name.partition(" ")[0] for name in [*REFUSED, *APART]} | WITHOUT_TENANTS
    assert public - tried == set(), "say what a handle of one hotel does with these, and document it at for_tenant"
    assert tried - public == set(), "there are no such methods"


def test_what_belongs_to_another_hotel_is_refused(opened: Open) -> None:
    async def job() -> None:
        async with laboratory(opened) as lab:
            for name, attempt in REFUSED.items():
                with pytest.raises(posada.DeniedError) as refused:
                    await outcome_of(attempt, lab)
                assert refused.value.code == "tenants.out_of_scope", name
                assert lab.other.id not in str(refused.value), name
                assert dict(refused.value.context) == {}, name

    run(job())


def test_what_cannot_be_refused_keeps_hotels_apart(opened: Open) -> None:
    async def job() -> None:
        async with laboratory(opened) as lab:
            for name, attempt in APART.items():
                assert await outcome_of(attempt, lab), name

    run(job())


def test_a_missing_tenant_means_that_of_the_handle(opened: Open) -> None:
    async def job() -> None:
        async with laboratory(opened) as lab:
            scope, own = lab.scope, lab.own.id
            assert (await scope.tenants.resolve(lab.own.number, "whatsapp")).tenant.id == own
            session = await scope.sessions.get(GUEST)
            assert session is not None
            assert session.tenant == own
            session.document["state"] = "booking"
            await scope.sessions.save(session)
            assert [each.user for each in await scope.sessions.list()] == [GUEST]
            await scope.flags.set(lab.flag, True)
            assert scope.flags.is_enabled(lab.flag)
            assert scope.flags.evaluate(lab.flag).source == "tenant"
            assert not lab.p.flags.is_enabled(lab.flag)
            assert (await scope.locks.list()).keys() == {lab.lock}
            hold = await scope.locks.resume_hold(lab.own.hold.ticket)
            assert hold.tenant == own
            assert (await booking(lab, hold)).status == "confirmed"
            tokens = await scope.auth.login(lab.own.user.username, PASSWORD)
            claims = await scope.auth.verify(tokens.access)
            assert claims.tenant == own
            assert lab.p.for_claims(claims).tenant == own
            with pytest.raises(posada.UnauthenticatedError, match=r"auth\.bad_credentials"):
                await scope.auth.login(lab.other.user.username, PASSWORD)

    run(job())


def test_a_handle_of_a_hotel_ends_with_the_one_that_it_was_made_from_and_not_before() -> None:
    async def job() -> None:
        p = posada.Posada.embedded()
        scope = p.for_tenant("hotel-costanera")
        assert repr(scope) == "<posada.Posada for 'hotel-costanera'>"
        assert scope.for_tenant("hotel-costanera").tenant == "hotel-costanera"
        await scope.close()
        assert await scope.sessions.count() == 0
        await p.close()
        with pytest.raises(posada.ClosedError):
            await scope.sessions.count()

    run(job())


def test_for_tenant_takes_a_tenant_and_nothing_else(posada_handle: posada.Posada) -> None:
    wrong: Any
    for wrong in (None, 5, b"hotel"):
        with pytest.raises(TypeError, match="tenant: expected str or posada"):
            posada_handle.for_tenant(wrong)
    with pytest.raises(TypeError, match="claims: expected"):
        posada_handle.for_claims("hotel")  # type: ignore[arg-type]
    with pytest.raises(posada.InvalidError, match=r"tenants\.invalid_id"):
        posada_handle.for_tenant("")


def test_a_user_without_a_hotel_has_no_handle_of_one() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            await p.auth.create_user("root", "root@example.com", PASSWORD, role="admin", superuser=True)
            claims = await p.auth.verify((await p.auth.login("root", PASSWORD)).access)
            with pytest.raises(posada.DeniedError, match=r"auth\.wrong_tenant"):
                p.for_claims(claims)
            await p.tenants.create("hotel-costanera", name="Hotel Costanera")
            acting = await p.auth.act_across_tenants(claims, tenant="hotel-costanera", reason="support")
            assert p.for_claims(acting).tenant == "hotel-costanera"
            with pytest.raises(posada.DeniedError, match=r"tenants\.out_of_scope"):
                p.for_tenant("hotel-norte").for_claims(acting)

    run(job())


def test_a_route_gets_the_handle_of_its_users_hotel() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            lock = unique("lock")
            own, other = await hotel(p, lock), await hotel(p, lock)
            app = FastAPI()
            app.state.posada = p
            add_error_handlers(app)

            @app.get("/conversations/{guest}")
            async def conversation(scope: CurrentScope, guest: str, of: str | None = None) -> str | None:
                session = await scope.sessions.get(guest, tenant=of)
                return None if session is None else session.tenant

            @app.get("/hotel")
            async def name(scope: Annotated[posada.Posada, Depends(current_scope)]) -> str | None:
                return scope.tenant

            signed_in = {"Authorization": f"Bearer {own.tokens.access}"}
            async with in_process(app) as client:
                asked = [client.get("/hotel"), client.get("/hotel", headers=signed_in)]
                nobody, answer = await asyncio.gather(*asked)
                assert nobody.status_code == 401
                assert (answer.status_code, answer.json()) == (200, own.id)
                answer = await client.get(f"/conversations/{GUEST}", headers=signed_in)
                assert (answer.status_code, answer.json()) == (200, own.id)
                answer = await client.get(f"/conversations/{GUEST}", headers=signed_in, params={"of": other.id})
                assert answer.status_code == 403
                assert other.id not in answer.text
            for each in (own, other):
                await each.lock.release()

    run(job())
