"""Whatever is handed in for an argument and cannot be meant is refused by the argument's name, before any I/O.

``scripts/python-packages`` runs it in every CPython, so it needs nothing but the package.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from enum import Enum
from typing import Any

import posada

HALF = "hola \ud83d"
"""A text with half of an emoji, as cut messages have it: no other language can take it."""

HOSTILE = ("", "a\0b", "\0", "\x7f", "\ufeff", "\u202e", "a\r\nb", "' OR 1=1 --", "ñ" * 70_000, " ", "%00", "\ufffe")
"""Texts that people send and nobody means."""

THEIRS = (
    posada.InvalidError,
    posada.UnauthenticatedError,
    posada.DeniedError,
    posada.NotFoundError,
    posada.ConflictError,
    posada.ExhaustedError,
)
"""What lies with who asks: below 500 over HTTP."""

KEPT = {("SessionManager.append_turn", "content"), ("TenantResolver.resolve_many", "identifiers")}
"""What people write is kept as it is; of many identifiers a wrong one has its refusal as its answer."""

PROOFS = {
    *((f"Authenticator.{call}", "access") for call in ("verify", "verify_privileged", "change_password")),
    *(("Authenticator.login", name) for name in ("username", "password", "user_agent", "device_cookie")),
    ("Authenticator.refresh", "refresh"),
    ("Authenticator.logout", "token"),
    ("Authenticator.change_password", "current"),
    ("Authenticator.reset_password", "reset"),
    ("password_matches", "password"),
    ("password_matches", "hash"),
}
"""With which somebody wants to be let in: as wrong as any other wrong one."""

ANSWERS = (
    "ActiveSession Applied AuditEntry AuthEvent AuthEvents Authenticator Availability BookedService Booking "
    "Capabilities Change Changes Charge Claims Connecting Decision Diagnosis Evaluation FeatureFlags Finding Flag "
    "FlagChange FlagPayload FlagSnapshot FlagStatus FlagVariant FlagWatch Folio FolioLine GuestProfile Health Hold "
    "HoldState Hotel Identifier Invoice LockGuard LockManager LockState MissingPermission OccupancyLimits Offer "
    "Payment PmsClient PmsEvent PmsEvents Posada Price Quote QuotedService RateLimiter Resolution RoomStay RoomType "
    "Service Session SessionManager Settings SignInSession Taking Tenant TenantResolver TenantStats TokenPair User"
)
"""What posada makes; nobody else does."""

Call = tuple[Callable[..., Any], dict[str, Any]]

STAY = posada.Stay(dt.date(2031, 3, 1), dt.date(2031, 3, 3))
GUEST = posada.Guest("Ana", "Pérez", "ana@example.com", "+5491187654321")
ASKER = {
    "tenant": "hotel-test",
    "user": "ana",
    "session": "s1",
    "remote_address": "203.0.113.9",
    "environment": "test",
    "app_name": "tests",
    "properties": {"channel": "web"},
}
KEY = "the key of the tests, which is random enough 7f3a"
PASSWORD = "el loro pinta mapas de cobre"
LOCK = {
    "ttl": 30,
    "owner": "me",
    "auto_extend": False,
    "max_hold": 60,
    "tenant": "hotel-test",
    "reentrant": True,
    "audit_misses": False,
    "replicas": 0,
    "replicas_within": 1,
}


class Id(int):
    """An id of a hotel system, which may be a number or text."""


MOMENT = dt.datetime(2026, 11, 30, 12, tzinfo=dt.timezone.utc)
BOOKING = posada.BookingRequest(hotel=1, room_type=1, stay=STAY, adults=2, guest=GUEST, idempotency_key="wa-arguments")


def of_tenants(tenants: posada.TenantResolver) -> list[Call]:
    who = {"identifier": "+5491112345678", "channel": "whatsapp"}
    return [
        (tenants.resolve, who),
        (tenants.cached, who),
        (tenants.remembered, who),
        (tenants.resolve_many, {"identifiers": ["+5491112345678"], "channel": "whatsapp"}),
        (tenants.get, {"tenant": "hotel-test"}),
        (
            tenants.create,
            {"tenant_id": "b1", "name": "B", "status": "active", "business_hours": posada.BusinessHours()},
        ),
        (
            tenants.update,
            {"tenant": "b1", "name": "B", "status": "active", "start": 8, "end": 20, "timezone": "UTC"},
        ),
        (tenants.suspend, {"tenant": "b1"}),
        (tenants.add_identifier, {"tenant": "b1", **who}),
        (tenants.remove_identifier, {"tenant": "b1", **who}),
        (tenants.warm, {"limit": 5}),
    ]


def of_sessions(sessions: posada.SessionManager, session: posada.Session) -> list[Call]:
    whose = {"user": "ana", "tenant": "hotel-test"}
    turn = {"role": "user", "content": "hola", "id": "1", "at": MOMENT, "more": {"a": 1}}
    return [
        (sessions.get_or_create, {**whose, "channel": "web"}),
        (sessions.get, whose),
        (sessions.save, {"session": session}),
        (sessions.update, {**whose, "patch": {"a": 1}}),
        (sessions.append_turn, {**whose, **turn}),
        (sessions.touch, whose),
        (sessions.delete, whose),
        (sessions.list, {"tenant": "hotel-test"}),
        (sessions.count, {"tenant": "hotel-test"}),
        (sessions.purge_tenant, {"tenant": "hotel-test"}),
        (sessions.purge_user, {"user": "ana"}),
    ]


def of_flags(flags: posada.FeatureFlags) -> list[Call]:
    asked = {"flag": "canary.enabled", "default": True, **ASKER}
    snapshot = flags.snapshot()
    return [
        (flags.is_enabled, asked),
        (flags.evaluate, asked),
        (flags.evaluate_all, ASKER),
        (flags.variant, asked),
        (snapshot.is_enabled, asked),
        (snapshot.evaluate, asked),
        (snapshot.evaluate_all, ASKER),
        (snapshot.variant, asked),
        (flags.set, {"flag": "canary.enabled", "value": True, "tenant": "hotel-test"}),
        (flags.unset, {"flag": "canary.enabled", "tenant": "hotel-test"}),
        (flags.list, {"tenant": "hotel-test"}),
        (flags.warm, {"tenants": ["hotel-test"]}),
    ]


def of_locks(locks: posada.LockManager, lock: posada.LockGuard, hold: posada.Hold) -> list[Call]:
    whose = {"tenant": "hotel-test"}
    nights = {"resource": "room:101", "check_in": STAY.check_in, "check_out": STAY.check_out}
    wanted = {"quantity": 1, "capacity": 1, "session_id": "s1", "user_id": "u1", "ttl": 60}
    return [
        (locks.acquire, {"name": "a", "wait": 1, **LOCK}),
        (locks.try_acquire, {"name": "a", **LOCK}),
        (locks.acquire_all, {"names": ["a"], "wait": 1, **LOCK}),
        (locks.check_fence, {"resource": "a", "fence": 1}),
        (locks.inspect, {"name": "a", **whose}),
        (locks.release, {"name": "a", "token": "t", **whose}),
        (locks.force_release, {"name": "a", "reason": "stuck", **whose}),
        (locks.hold_stay, {**nights, **wanted, **whose}),
        (locks.hold_stays, {"requests": [posada.StayHold("room:101", STAY)]}),
        (locks.resume_hold, {"ticket": hold.ticket}),
        (locks.holds, {"resource": "room:101", "window": STAY, **whose}),
        (locks.flush_audit, {"deadline": 1}),
        (locks.audit, {"lock_key": "a", "limit": 5}),
        (locks.list, whose),
        (lock.extend, {"ttl": 5}),
        (hold.extend, {"extra": 5}),
        (hold.move_to, {"stay": STAY, "capacity": 1}),
        (hold.confirm, {"at_least": 5}),
    ]


def of_auth(auth: posada.Authenticator, claims: posada.Claims) -> list[Call]:
    account = {
        "username": "eva",
        "email": "eva@hotel.example",
        "password": PASSWORD,
        "tenant": "hotel-test",
        "role": "guest",
        "full_name": "Eva",
        "superuser": False,
        "must_change_password": False,
    }
    attempt = {"username": "eva", "password": "x", "tenant": "hotel-test", "address": "203.0.113.9"}
    new = {"new": "un mapa de cobre y un loro"}
    return [
        (auth.create_user, account),
        (auth.login, {**attempt, "user_agent": "tests", "device_cookie": "x"}),
        (auth.verify, {"access": "x"}),
        (auth.verify_privileged, {"access": "x"}),
        (auth.refresh, {"refresh": "x"}),
        (auth.logout, {"token": "x"}),
        (auth.logout_session, {"claims": claims, "session": "x"}),
        (auth.logout_everywhere, {"claims": claims, "keep_current": True}),
        (auth.sessions, {"claims": claims}),
        (auth.device_cookie, {"claims": claims}),
        (auth.has_permission, {"claims": claims, "permission": "view_reports"}),
        (auth.act_across_tenants, {"claims": claims, "tenant": "hotel-test", "reason": "audit"}),
        (auth.change_password, {"access": "x", "current": "x", **new}),
        (auth.set_password, {"user": "eva", "tenant": "hotel-test", "must_change": True, **new}),
        (auth.issue, {"user": "eva", "kind": "access", "tenant": "hotel-test"}),
        (auth.reset_password, {"reset": "x", **new}),
        (claims.has_permission, {"permission": "view_reports"}),
        (claims.require_for, {"tenant": "hotel-test", "permission": "view_reports"}),
        (claims.narrow, {"header": "x"}),
    ]


def of_limits(limits: posada.RateLimiter) -> list[Call]:
    return [
        (limits.check, {"limit": "5/minute", "cost": 1}),
        (limits.check_cost, {"limit": "5/minute", "identifiers": ["a"], "cost": 1}),
        (limits.check_many, {"limits": [("5/minute", ["a"])]}),
        (limits.peek, {"limit": "5/minute"}),
        (limits.reset, {"limit": "5/minute"}),
        (limits.failure_policy, {"policy": "open", "processes": 1}),
    ]


def of_pms(pms: posada.PmsClient, hold: posada.Hold) -> list[Call]:
    party = {"adults": 2, "child_ages": [4]}
    change = posada.BookingChange(stay=STAY)
    asked = {"hotel": Id(1), "stay": STAY, "room_type": Id(1)}
    return [
        (pms.availability, {**asked, **party}),
        (pms.availability, {**asked, "party": [posada.Occupancy(2)]}),
        (pms.quote, {**asked, **party, "services": [posada.ChosenService(1)]}),
        (pms.quote, {**asked, "party": [posada.Occupancy(2)]}),
        (pms.quote_change, {"id": Id(1), "change": change}),
        (pms.book, {"request": BOOKING, "hold": hold}),
        (pms.booking, {"id": Id(1)}),
        (pms.find_booking, {"key": "wa-arguments"}),
        (pms.modify, {"id": Id(1), "change": change}),
        (pms.cancel, {"id": Id(1)}),
        (pms.force_cancel, {"id": Id(1)}),
        (pms.check_in, {"id": Id(1)}),
        (pms.check_out, {"id": Id(1)}),
        (pms.invoices, {"id": Id(1)}),
        (pms.arrivals, {"hotel": Id(1), "day": STAY.check_in}),
        (pms.departures, {"hotel": Id(1), "day": STAY.check_in}),
        (pms.create_guest, {"guest": GUEST}),
        (pms.guest, {"email": "ana@example.com"}),
        (pms.room_types, {"hotel": Id(1)}),
        (pms.services, {"hotel": Id(1), "room_type": Id(1)}),
        (pms.changes_since, {"cursor": "x"}),
    ]


def of_values() -> list[Call]:
    """What users make by themselves."""
    dates = {"check_in": STAY.check_in, "check_out": STAY.check_out}
    nights = {"quantity": 1, "capacity": 1, "tenant": "hotel-test", "session_id": "s", "user_id": "u", "ttl": 5}
    booking = {"hotel": Id(1), "room_type": Id(1), "stay": STAY, "adults": 2, "child_ages": (4,), "guest": GUEST}
    booking |= {"idempotency_key": "k", "remark": "late", "recheck": "detached", "collision": "yield"}
    several_rooms = {name: value for name, value in booking.items() if name not in {"adults", "child_ages"}}
    lives = dict.fromkeys(("access_life", "idle_life", "absolute_life", "grace", "max_staleness", "password_life"), 60)
    rules = {"password_policy": "nist", "password_min_length": 12, "password_history": 3, "session_limit": 3}
    sign_in = {"profile": "legacy", "accept_sessionless": True, "issuer": "x", "audience": "x", "previous_keys": ()}
    mock = posada.MockPms()
    handle = {"default_flags": {}, "auth_options": posada.AuthOptions(), "mock_pms": mock}
    return [
        (posada.Stay, dates),
        (posada.Stay.parse, {"check_in": "2031-03-01", "check_out": "2031-03-03"}),
        (STAY.overlaps, {"other": STAY}),
        (STAY.covers, {"other": STAY}),
        (posada.Money, {"amount": Decimal(1), "currency": "USD"}),
        (posada.Occupancy, {"adults": 2, "child_ages": [3]}),
        (posada.ChosenService, {"service": Id(1), "quantity": 1}),
        (posada.Guest, {"first_name": "Ana", "last_name": "Pérez", "email": "a@b.example", "phone": "+549"}),
        (posada.BusinessHours, {"start": 8, "end": 20, "timezone": "UTC"}),
        (posada.StayHold, {"resource": "room:1", "stay": STAY, **nights}),
        (posada.BookingRequest, {**booking, "services": (), "quote": None}),
        (posada.BookingRequest, {**several_rooms, "party": (posada.Occupancy(2),)}),
        (posada.BookingChange, {"stay": STAY, "party": (), "rooms": (), "quote": None}),
        (posada.RateLimit, {"text": "5/minute", "strategy": "fixed_window"}),
        (posada.RateLimit.parse_many, {"text": "5/minute"}),
        (posada.Identifier.parse, {"identifier": "+5491112345678", "channel": "whatsapp"}),
        (posada.AuthOptions, {**lives, **rules, **sign_in}),
        (posada.Posada.build, {"settings": posada.Settings.embedded(), **handle}),
        (posada.Posada.connect, {"settings": posada.Settings.embedded(), **handle}),
        (posada.password_matches, {"password": "x", "hash": "y"}),
        (posada.password_violations, {"password": "x", "policy": "nist", "min_length": 3, "context": ["a"]}),
        (posada.legacy_password_hash, {"password": "x"}),
        (posada.role_permissions, {"role": "guest"}),
        (posada.own_permission, {"name": "manage_numbers"}),
        (posada.correlation, {"request_id": "r-1", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}),
        (posada.IdempotencyKey.of, {"namespace": "whatsapp", "message_id": "wamid.HBgNNTQ5MTE4NzY1NDMyMRUCABEYEjdE"}),
        (posada.set_workers, {"workers": 2}),
        (mock.script, {"operation": "read", "fault": "unavailable", "times": 1, "after_lookups": 1}),
        (mock.set_gap, {"yields": 1}),
        (mock.set_collision, {"collision": "back_order"}),
        (mock.set_base_price, {"room_type": Id(1), "price": posada.Money(Decimal(1), "USD")}),
        (mock.set_city_tax, {"each": posada.Money(Decimal(1), "USD")}),
        (posada.Settings.from_vars, {"variables": {}}),
        *((posada.Settings.build, {name: right}) for name, right in options()),
    ]


def options() -> list[tuple[str, object]]:
    """Every option of the settings, with something of its type."""
    rights = {"Seconds": 5, "int": 5, "bool": True, "Mapping": {}, "tuple": ("https://shop.example", "key")}

    def right(annotation: str) -> object:
        return next((right for kind, right in rights.items() if annotation.startswith(kind)), "x")

    parameters = inspect.signature(posada.Settings.build).parameters
    return [(name, right(str(parameter.annotation))) for name, parameter in parameters.items()]


def wrong_types(right: object) -> list[object]:
    """What is of another type than a value."""
    wrong: list[object] = [object(), b"x"]
    if not isinstance(right, (int, dt.date)):
        wrong.append(5)
    if isinstance(right, bool):
        wrong.append(1)
    elif isinstance(right, Id):
        wrong += [1.0, True]
    elif isinstance(right, int):
        wrong += ["1", True]
    elif isinstance(right, (list, tuple)):
        wrong += ["abc", [object()]]
    elif isinstance(right, dict):
        wrong += [[("a", "b")]]
    elif type(right) is dt.date:
        wrong += ["2031-03-01", MOMENT]
    return wrong


def wrong_values(call: Callable[..., Any], name: str, right: object) -> list[object]:
    """What is of the type of a value and cannot be meant."""
    if isinstance(right, str):
        return [HALF]
    if isinstance(right, list) and right and all(isinstance(each, str) for each in right):
        return [[HALF], [*right, HALF]]
    if isinstance(right, bool):
        return []
    if isinstance(right, Id):
        return [HALF, -1, 2**70]
    if isinstance(right, int):
        lengths = [float("nan"), float("inf"), -0.5, dt.timedelta(-1), 10**400]
        return [-1, 2**70, *(lengths if "Seconds" in str(annotation(call, name)) else [])]
    if isinstance(right, Decimal):
        return [Decimal(wrong) for wrong in ("NaN", "sNaN", "Infinity", "1e400", "-1e12", "1e-400")]
    if isinstance(right, dt.datetime):
        edges = [dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23)]
        zones = [dt.timezone(dt.timedelta(hours=hours)) for hours in (14, -12)]
        return [
            MOMENT.replace(tzinfo=None),
            *(edge.replace(tzinfo=zone) for edge, zone in zip(edges, zones, strict=True)),
        ]
    return []


def annotation(call: Callable[..., Any], name: str) -> object:
    """The type that the signature gives a parameter."""
    return inspect.signature(call).parameters[name].annotation


async def refused(call: Callable[..., Any], arguments: Mapping[str, Any]) -> BaseException | None:
    """What the call raises, at once or when it is awaited."""
    try:
        answer = call(**arguments)
        if inspect.isawaitable(answer):
            await answer
        elif isinstance(answer, AbstractContextManager):
            answer.__enter__()
    except Exception as raised:
        return raised
    return None


async def unnamed(calls: list[Call]) -> list[str]:
    """The arguments that are not refused, or not by their names."""
    found = []
    for call, arguments in calls:
        for name, right in arguments.items():
            wrongs = [(wrong, TypeError) for wrong in wrong_types(right)]
            if (place(call), name) not in KEPT | PROOFS:
                wrongs += [(wrong, posada.InvalidError) for wrong in wrong_values(call, name, right)]
            for wrong, expected in wrongs:
                raised = await refused(call, {**arguments, name: wrong})
                # In the message, not in a note: Python 3.10 has none.
                if not isinstance(raised, expected) or name not in str(raised):
                    found.append(f"{call.__qualname__}({name}={wrong!r}): {raised!r}")
    return found


async def mistaken(calls: list[Call]) -> list[str]:
    """The proofs that half of an emoji, or NUL, makes anything else than wrong."""
    found = []
    for call, arguments in calls:
        for name in arguments:
            if (place(call), name) not in PROOFS:
                continue
            for wrong in (HALF, "a\0b"):
                raised = await refused(call, {**arguments, name: wrong})
                allowed = (posada.UnauthenticatedError, posada.ExhaustedError)
                if raised is not None and not isinstance(raised, allowed):
                    found.append(f"{call.__qualname__}({name}={wrong!r}): {raised!r}")
    return found


async def broken(calls: list[Call], texts: Sequence[str]) -> list[str]:
    """The calls that these texts make fail as nobody's request may."""
    found = []
    for call, arguments in calls:
        for name, right in arguments.items():
            if not isinstance(right, str):
                continue
            for text in texts:
                raised = await refused(call, {**arguments, name: text})
                is_theirs = isinstance(raised, THEIRS) and raised.code != "postgres.invalid_text"
                if raised is not None and not is_theirs:
                    found.append(f"{call.__qualname__}({name}={text!r}): {raised!r}")
                if isinstance(raised, posada.InvalidError) and raised.field is None:
                    found.append(f"{call.__qualname__}({name}={text!r}) names no field: {raised!r}")
    return found


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Whatever a program can call, with its name."""
    for name in posada.__all__:
        each = getattr(posada, name)
        if not isinstance(each, type):
            if inspect.isroutine(each):
                yield name, each
            continue
        if issubclass(each, (BaseException, Enum)):
            continue
        if name not in ANSWERS.split() and not issubclass(each, str):
            yield name, each
        own = {method for home in each.__mro__ if home.__module__.startswith("posada") for method in vars(home)}
        methods = ((method, getattr(each, method)) for method in own if not method.startswith("_"))
        yield from ((f"{name}.{method}", call) for method, call in methods if callable(call))


def place(call: Callable[..., Any]) -> str:
    """The public name of a call."""
    owner = getattr(call, "__self__", None)
    is_method = owner is not None and not inspect.ismodule(owner) and not isinstance(owner, type)
    return f"{type(owner).__name__}.{call.__name__}" if is_method else call.__qualname__


def unasked(calls: list[Call]) -> set[str]:
    """The arguments that no call above has."""
    asked = {(place(call), name) for call, arguments in calls for name in arguments}
    missing = set()
    for title, call in public():
        for name, parameter in inspect.signature(call).parameters.items():
            is_named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            if is_named and name != "self" and (title, name) not in asked:
                missing.add(f"{title}({name}=)")
    return missing


async def every_call(p: posada.Posada) -> list[Call]:
    """The calls of a handle, each with every argument that it has."""
    name, hold = f"ana-{uuid.uuid4().hex[:12]}", "room:102"
    if await p.tenants.get("hotel-test") is None:
        await p.tenants.create("hotel-test", name="Hotel Test")
    await p.auth.create_user(name, f"{name}@hotel.example", PASSWORD, role="admin")
    claims = await p.auth.verify((await p.auth.login(name, PASSWORD)).access)
    session = await p.sessions.get_or_create(name, "web")
    lock = await p.locks.acquire("b")
    held = await p.locks.hold_stay(hold, STAY.check_in, STAY.check_out)
    soon = dt.date.today() + dt.timedelta(30)
    quote = await p.pms.quote(1, 1, posada.Stay(soon, soon + dt.timedelta(2)), adults=2)
    quoted = {"quote": quote, "guest": GUEST, "idempotency_key": "k"}
    return [
        *of_tenants(p.tenants),
        *of_sessions(p.sessions, session),
        *of_flags(p.flags),
        *of_locks(p.locks, lock, held),
        *of_auth(p.auth, claims),
        *of_limits(p.limits),
        *of_pms(p.pms, held),
        *of_values(),
        ((await p.doctor()).finding, {"code": "ok"}),
        (posada.BookingRequest.from_quote, {**quoted, "remark": "late", "recheck": "wait", "collision": "yield"}),
        (p.pms.capabilities().has, {"feature": "bookings.change"}),
        (p.for_tenant, {"tenant": "hotel-test"}),
        (p.for_claims, {"claims": claims}),
    ]


def test_every_wrong_argument_is_refused_by_its_name() -> None:
    async def job() -> None:
        async with posada.Posada.connect(posada.Settings.build(secret_key=KEY)) as p:
            calls = await every_call(p)
            assert unasked(calls) == set()
            assert await unnamed(calls) == []
            assert await mistaken(calls) == []
            assert await broken(calls, HOSTILE) == []

    asyncio.run(job())


def test_a_wrong_tenant_or_stay_is_refused_in_its_own_words_wherever_it_is_given() -> None:
    nights = {"check_in": STAY.check_in, "check_out": STAY.check_out}

    async def job() -> None:
        async with posada.Posada.connect(posada.Settings.build(secret_key=KEY)) as p:
            await p.auth.create_user("ana", "ana@hotel.example", PASSWORD, role="admin", superuser=True)
            claims = await p.auth.verify((await p.auth.login("ana", PASSWORD)).access)
            for wrong in ("", "a\n", "x" * 256):
                calls: list[Call] = [
                    (p.locks.hold_stay, {"resource": "room:1", **nights, "tenant": wrong}),
                    (p.locks.hold_stays, {"requests": [posada.StayHold("room:1", STAY, tenant=wrong)]}),
                    (p.locks.acquire, {"name": "x", "tenant": wrong}),
                    (p.auth.login, {"username": "ana", "password": PASSWORD, "tenant": wrong}),
                    (
                        p.auth.create_user,
                        {"username": "b", "email": "b@hotel.example", "password": PASSWORD, "tenant": wrong},
                    ),
                    (p.auth.act_across_tenants, {"claims": claims, "tenant": wrong, "reason": "tests"}),
                    (p.flags.evaluate, {"flag": "x", "tenant": wrong}),
                    (p.flags.evaluate_all, {"tenant": wrong}),
                    (p.flags.snapshot().evaluate, {"flag": "x", "tenant": wrong}),
                    (p.flags.is_enabled, {"flag": "x", "tenant": wrong}),
                    (p.flags.set, {"flag": "x", "value": True, "tenant": wrong}),
                    (p.sessions.get, {"user": "ana", "tenant": wrong}),
                ]
                for call, arguments in calls:
                    raised = await refused(call, arguments)
                    assert isinstance(raised, posada.InvalidError), (call.__qualname__, raised)
                    assert (raised.code, raised.field) == ("tenants.invalid_id", "tenant"), call.__qualname__
            # The same of everything else that the native half reads part by part.
            stay = posada.Stay(STAY.check_in, STAY.check_out)
            object.__setattr__(stay, "check_out", STAY.check_in)
            booking = posada.BookingRequest(
                hotel=1, room_type=1, stay=stay, adults=2, guest=GUEST, idempotency_key="k", recheck="wait"
            )
            for call, arguments in (
                (p.pms.book, {"request": booking}),
                (p.pms.modify, {"id": 1, "change": posada.BookingChange(stay=stay)}),
                (p.locks.hold_stays, {"requests": [posada.StayHold("room:1", stay)]}),
            ):
                raised = await refused(call, arguments)
                assert isinstance(raised, posada.InvalidError), (call.__qualname__, raised)
                assert raised.code == "stay.invalid", call.__qualname__

    asyncio.run(job())


def test_the_key_of_a_message_is_the_same_in_every_language() -> None:
    message = "wamid.HBgNNTQ5MTE4NzY1NDMyMRUCABEYEjdEQTQ0QjlDRTUzNzFERDk4QQA="
    key = posada.IdempotencyKey.of("whatsapp", message)
    assert key == "c47e3a4c8fc0c5532ac0419379b68bf45df213cb945e30c11ddcb294c6461b83"
    assert posada.IdempotencyKey.of("telegram", message) != key
    for namespace, message_id, field in (("", message, "namespace"), ("whatsapp", "", "message_id")):
        wrong = {"namespace": namespace, "message_id": message_id}
        assert told(posada.IdempotencyKey.of, wrong) == ("pms.invalid_request", field)


def told(call: Callable[..., Any], arguments: Mapping[str, Any]) -> tuple[str, str | None]:
    """The code and the field of a refusal."""
    raised = asyncio.run(refused(call, arguments))
    assert isinstance(raised, posada.InvalidError), raised
    return raised.code, raised.field


def test_only_dates_and_numbers_are_dates_and_numbers() -> None:
    for wrong in ("2027-W10-3", "2027-069-1", "20270310  ", "+027-03-10", "2027-03-1٠", "2027_03_10", "54911876543210"):
        dates = {"check_in": "2027-03-01", "check_out": "2027-03-12"}
        for name in dates:
            assert told(posada.Stay.parse, {**dates, name: wrong}) == ("stay.invalid", name)
    for amount in ("NaN", "sNaN", "Infinity", "-Infinity"):
        wrong_money = {"amount": Decimal(amount), "currency": "USD"}
        assert told(posada.Money, wrong_money) == ("money.invalid", "amount")
