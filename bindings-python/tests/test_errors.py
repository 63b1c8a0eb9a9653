"""Exceptions: one class per kind, a stable code, and they can be pickled."""

from __future__ import annotations

import copy
import datetime as dt
import pickle
import re

import posada
import pytest
from posada.errors import KINDS, _make
from support import ROOT, run, server_settings, unique

FROZEN = {
    code.strip('"'): kind.strip('"')
    for code, _, kind in (
        line.partition(" = ")
        for line in (ROOT / "tests/parity/errors.toml").read_text().splitlines()
        if line.startswith('"')
    )
}


def made(code: str, kind: str) -> posada.PosadaError:
    return _make(code, kind, "a sentence", True, 1.5, [("field", "name"), ("lock", "x")], "beneath: it")


@pytest.mark.parametrize("code", FROZEN)
def test_every_code_of_the_crate_has_the_class_of_its_kind(code: str) -> None:
    error = made(code, FROZEN[code])
    assert type(error) is KINDS[FROZEN[code]]
    assert (error.code, error.kind) == (code, FROZEN[code])


def test_every_kind_has_a_class() -> None:
    assert set(KINDS) == set(FROZEN.values())


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_pickling_and_copying(kind: str) -> None:
    error = made("posada.internal", kind)
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error) == "posada.internal: a sentence (field: name, lock: x)"
        facts = (again.code, again.message, again.retryable, again.retry_after, dict(again.context))
        assert facts == ("posada.internal", "a sentence", True, 1.5, {"field": "name", "lock": "x"})
        assert again.field == "name"


def test_errors_are_also_what_python_calls_them() -> None:
    assert issubclass(posada.InvalidError, ValueError)
    assert issubclass(posada.NotFoundError, LookupError)
    assert issubclass(posada.TimeoutError, TimeoutError)
    assert issubclass(posada.DeniedError, PermissionError)


def test_what_lay_beneath_is_the_cause() -> None:
    assert str(made("posada.internal", "internal").__cause__) == "beneath: it"


def test_a_server_that_is_down_is_named_without_user_and_password() -> None:
    async def job() -> None:
        settings = posada.Settings.build(
            postgres_url="postgres://ana:hunter2@127.0.0.1:1/hotel?connect_timeout=1",
            redis_url="redis://ana:hunter2@127.0.0.1:2/0",
        )
        async with posada.Posada.build(settings) as p:
            with pytest.raises(posada.UnavailableError, match=r": Redis \(127\.0\.0\.1:2\) ") as redis:
                await p.sessions.get("549")
            with pytest.raises(posada.UnavailableError, match=r": Postgres \(127\.0\.0\.1:1\) ") as postgres:
                await p.tenants.list()
            for error in (redis.value, postgres.value):
                assert not {"ana", "hunter2"} & set(re.findall(r"\w+", f"{error} {error!r} {error.context}"))

    run(job())


def test_a_server_that_is_down_has_a_code_of_its_own() -> None:
    async def job() -> None:
        settings = posada.Settings.build(
            redis_url="redis://127.0.0.1:1/0", redis_connect_timeout=0.2, redis_command_timeout=0.2
        )
        async with posada.Posada.build(settings) as p:
            with pytest.raises(posada.UnavailableError) as down:
                await p.sessions.get("549")
            assert down.value.code == "redis.unavailable"
            assert down.value.retryable
            assert (await p.health()).to_dict()["redis"] == "error"
            assert not await p.health()
        with pytest.raises(posada.UnavailableError):
            await posada.Posada.connect(settings)

    run(job())


def test_a_refused_request_says_when_to_come_back() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            assert await p.limits.check("1/minute", "a")
            refused = await p.limits.check("1/minute", "a")
            assert not refused
            with pytest.raises(posada.ExhaustedError) as error:
                refused.ensure_allowed()
            assert error.value.code == "limits.exceeded"
            assert 0 < (error.value.retry_after or 0) <= 60

    run(job())


def test_wrong_arguments_are_named_before_anything_is_sent() -> None:
    naive, aware = dt.datetime(2027, 3, 10), dt.datetime(2027, 3, 10, tzinfo=dt.timezone.utc)
    stay = posada.Stay(dt.date(2027, 3, 10), dt.date(2027, 3, 12))

    async def job() -> None:
        async with posada.Posada.embedded() as p:
            wrong = [
                (TypeError, "identifier", p.tenants.resolve, (7,), {}),
                (TypeError, "identifiers", p.tenants.resolve_many, ("a@b.example",), {}),
                (ValueError, "invalid_channel", p.tenants.resolve, ("a@b.example", "pigeon"), {}),
                (ValueError, "invalid_id", p.tenants.get, ("Hotel Test\n",), {}),
                (TypeError, "user", p.sessions.get, (549,), {}),
                (TypeError, "patch", p.sessions.update, ("549", ["x"]), {}),
                (TypeError, "patch", p.sessions.update, ("549", {"x": object()}), {}),
                (ValueError, "at: expected an aware", p.sessions.append_turn, ("549", "user", "x"), {"at": naive}),
                (TypeError, "ttl", p.locks.acquire, ("x",), {"ttl": "soon"}),
                (ValueError, "ttl", p.locks.acquire, ("x",), {"ttl": -1}),
                (ValueError, "wait", p.locks.acquire, ("x",), {"wait": float("inf")}),
                (ValueError, "wait", p.locks.acquire, ("x",), {"wait": dt.timedelta(seconds=-1)}),
                (ValueError, "invalid_name", p.locks.acquire, ("",), {}),
                (TypeError, "names", p.locks.acquire_all, ("x",), {}),
                (TypeError, "check_in", p.locks.hold_stay, ("room:1", aware, aware), {}),
                (ValueError, "stay.invalid", p.locks.hold_stay, ("room:1", stay.check_out, stay.check_in), {}),
                (ValueError, "invalid_resource", p.locks.hold_stay, ("room", stay.check_in, stay.check_out), {}),
                (ValueError, "quantity", p.locks.hold_stay, ("room:1", *_dates(stay)), {"quantity": -1}),
                (ValueError, "limits.invalid", p.limits.check, ("often", "x"), {}),
                (TypeError, "limit", p.limits.check, (30, "x"), {}),
                (TypeError, "adults", p.pms.availability, (1, stay), {}),
                (ValueError, "adults", p.pms.availability, (1, stay), {"adults": -1}),
                (TypeError, "stay", p.pms.availability, (1, "2027-03-10"), {"adults": 1}),
                (TypeError, "access", p.auth.verify, (None,), {}),
                (ValueError, "address", p.auth.login, ("ana", "x"), {"address": "localhost"}),
                (ValueError, "role", p.auth.create_user, ("ana", "a@b.example", "x"), {"role": "king"}),
                (ValueError, "flags.invalid_key", p.flags.set, ("", True), {}),
            ]
            for kind, named, call, positional, keywords in wrong:
                with pytest.raises(kind, match=named):
                    await call(*positional, **keywords)
            with pytest.raises(TypeError, match="flag"):
                p.flags.is_enabled(7)  # type: ignore[arg-type]

    run(job())
    with pytest.raises(ValueError, match="session_ttl"):
        posada.Settings.build(session_ttl=-1)
    with pytest.raises(ValueError, match="session_ttl"):
        posada.Settings.build(session_ttl=0.5)
    with pytest.raises(TypeError, match="postgres_pool_size"):
        posada.Settings.build(postgres_pool_size="many")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="previous_keys"):
        posada.AuthOptions(previous_keys=[("key", naive)])
    with pytest.raises(TypeError, match="amount"):
        posada.Money(12.5, "USD")  # type: ignore[arg-type]


def _dates(stay: posada.Stay) -> tuple[dt.date, dt.date]:
    return stay.check_in, stay.check_out


def test_too_few_replicas_are_an_error_and_leave_no_lock() -> None:
    async def job() -> None:
        async with posada.Posada.connect(server_settings()) as p:
            name = unique("lock")
            with pytest.raises(posada.UnavailableError, match=r"locks\.not_replicated"):
                await p.locks.acquire(name, replicas=1, replicas_within=0.05)
            async with p.locks.acquire(name, replicas=0):
                pass
            with pytest.raises(TypeError, match="replicas"):
                await p.locks.acquire(name, replicas=1.5)  # type: ignore[arg-type]

    run(job())


def test_acting_for_another_hotel_needs_a_reason_and_a_superuser() -> None:
    async def job() -> None:
        async with posada.Posada.connect(server_settings()) as p:
            await p.migrate()
            name, password = unique("ana"), "el loro pinta mapas de cobre"
            await p.auth.create_user(name, f"{name}@hotel.example", password, role="admin")
            claims = await p.auth.verify((await p.auth.login(name, password)).access)
            for wrong in ("", "x" * 201):
                with pytest.raises(posada.InvalidError, match=r"reason: expected 1 to 200 bytes"):
                    await p.auth.act_across_tenants(claims, tenant="hotel-b", reason=wrong)
            with pytest.raises(TypeError, match="reason"):
                await p.auth.act_across_tenants(claims, tenant="hotel-b", reason=7)  # type: ignore[arg-type]
            with pytest.raises(posada.DeniedError, match=r"auth\.forbidden"):
                await p.auth.act_across_tenants(claims, tenant="hotel-b", reason="support")

    run(job())


def test_a_closed_handle_says_so() -> None:
    async def job() -> None:
        p = posada.Posada.embedded()
        tenants, sessions, locks, pms = p.tenants, p.sessions, p.locks, p.pms
        await p.close()
        await p.close()
        calls = [
            lambda: tenants.resolve("ana@example.com"),
            lambda: tenants.list(),
            lambda: sessions.get("549"),
            lambda: locks.acquire("x"),
            lambda: pms.hotels(),
        ]
        for call in calls:
            with pytest.raises(posada.ClosedError):
                await call()
        unused = posada.Posada.embedded()
        await unused.close()
        with pytest.raises(posada.ClosedError):
            unused.tenants  # noqa: B018

    run(job())


def test_no_secret_is_shown() -> None:
    settings = posada.Settings.build(
        redis_url="redis://:hunter2@example.com/0",
        postgres_url="postgresql://ana:hunter2@example.com/db",
        secret_key="hunter2 hunter2 hunter2 hunter2 hunter2",
        pms_qloapps=("https://example.com", "HUNTER2KEY"),
    )
    options = posada.AuthOptions(previous_keys=[("hunter2", dt.datetime.now(dt.timezone.utc))])
    assert "hunter2" not in f"{settings!r} {settings} {options!r}".lower()
