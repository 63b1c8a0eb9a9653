"""Room locks through the app's own class, also beside processes that still run the app's."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os

import posada
import pytest
import redis.asyncio
import redis.exceptions
from posada import compat
from posada.compat import _address, _app_locks
from posada.compat.lock_service import LockService, get_lock_service
from posada.compat.tenant_context import get_tenant_id, reset_tenant_id, set_tenant_id
from support import Gate, metric, run, server_settings, unique, with_client

pytestmark = pytest.mark.usefixtures("app_environment")


def test_of_overlapping_stays_one_is_locked() -> None:
    async def job(r: redis.asyncio.Redis) -> None:
        locks, room = LockService(r), unique("101")
        token = set_tenant_id("hotel-a")
        try:
            asked = [
                locks.acquire_lock(room, f"2027-01-{day:02}", f"2027-01-{day + 3:02}T00:00:00Z", f"s{day}", "549")
                for day in range(1, 11)
            ]
            keys = [key for key in await asyncio.gather(*asked) if key is not None]
            assert 1 <= len(keys) <= 4, "ten stays of three nights in twelve nights"
            assert all(key.startswith(f"tenant:hotel-a:lock:room:{room}:2027-01-") for key in keys)
            assert metric("lock_conflicts_total", room_id=room) == 10 - len(keys)
            assert len(await locks.get_active_locks()) == len(keys)
            assert [await locks.release_lock(key) for key in keys] == [True] * len(keys)
            assert [await locks.release_lock(key) for key in keys] == [False] * len(keys)
            assert await locks.get_active_locks() == []
        finally:
            reset_tenant_id(token)
        assert get_tenant_id() is None

    with_client(job)


def test_a_lock_is_extended_twice_and_by_its_key_only() -> None:
    async def job(r: redis.asyncio.Redis) -> None:
        locks, room = LockService(r), unique("101")
        key = await locks.acquire_lock(room, "2027-02-01", "2027-02-03", "s1", "549", ttl=1200)
        assert key is not None
        assert await locks.acquire_lock(room, "2027-02-02", "2027-02-04", "s2", "550") is None
        assert await locks.check_conflicts(room, "2027-02-02", "2027-02-04") is True
        assert await locks.check_conflicts(room, "2027-02-03", "2027-02-04") is False
        name = locks._get_lock_key(room, "2027-02-01", "2027-02-03")
        assert key.startswith(name)
        for stranger in (name, f"{name}#nonsense", "lock:room:999:2027-02-01:2027-02-03"):
            assert await locks.release_lock(stranger) is False
            assert await locks.extend_lock(stranger) is False
        # Another process extends it: all it needs is the key.
        other = LockService(posada_of_another_process())
        assert [await other.extend_lock(key) for _ in range(3)] == [True, True, False]
        (live,) = await locks.get_active_locks()
        assert (live["session_id"], live["user_id"], live["extensions"]) == ("s1", "549", 2)
        assert (live["check_in"], live["check_out"], live["room_id"]) == ("2027-02-01", "2027-02-03", room)
        until = dt.datetime.fromisoformat(live["expires_at"]) - dt.datetime.now(dt.timezone.utc)
        assert 2390 < until.total_seconds() <= 2400
        assert await locks.release_lock(key) is True
        await other._posada.close()

    with_client(job)


def posada_of_another_process() -> posada.Posada:
    return posada.Posada.build(posada.Settings.build(redis_url=os.environ["REDIS_URL"]))


@pytest.mark.parametrize("dates", [("2027-02-03", "2027-02-01"), ("soon", "2027-02-01"), ("2027-02-01", None)])
def test_dates_that_cannot_be_are_refused(dates: tuple[str, str]) -> None:
    async def job(r: redis.asyncio.Redis) -> None:
        with pytest.raises(ValueError, match=r"stay\.invalid"):
            await LockService(r).acquire_lock("101", *dates, "s1", "549")
        with pytest.raises(ValueError, match=r"stay\.invalid"):
            await LockService(r).check_conflicts("101", *dates)

    with_client(job)


def locked_by_the_app(room: str, check_in: str, check_out: str, session: str = "theirs") -> str:
    """The text that the app's class stores."""
    now = dt.datetime.now(dt.timezone.utc)
    return json.dumps(
        {
            "session_id": session,
            "user_id": "550",
            "check_in": check_in,
            "check_out": check_out,
            "room_id": room,
            "acquired_at": now.isoformat(),
            "expires_at": (now + dt.timedelta(seconds=1200)).isoformat(),
            "extensions": 0,
        }
    )


@pytest.mark.parametrize(
    ("check_in", "check_out"),
    [
        ("2027-03-10", "2027-03-12"),
        ("2027-03-11", "2027-03-12"),
        ("2027-03-09", "2027-03-11"),
        ("2027-02-20", "2027-03-20"),
        ("2027-03-11", "2027-04-10"),
        ("2027-03-10T00:00:00Z", "2027-03-12T00:00:00Z"),
    ],
)
@pytest.mark.parametrize("tenant", [None, "hotel-a"])
def test_a_room_that_a_process_of_the_app_has_locked_is_taken(
    tenant: str | None, check_in: str, check_out: str
) -> None:
    async def job(r: redis.asyncio.Redis) -> None:
        locks, room = LockService(r), unique("101")
        on_handle = posada.Posada.build(server_settings())
        token = set_tenant_id(tenant)
        try:
            prefix = f"tenant:{tenant}:" if tenant else ""
            key = f"{prefix}lock:room:{room}:{check_in}:{check_out}"
            await r.set(key, locked_by_the_app(room, check_in, check_out), ex=1200, nx=True)
            for service in (locks, await get_lock_service(), LockService(on_handle)):
                assert await service.check_conflicts(room, "2027-03-10", "2027-03-12") is True
                assert await service.acquire_lock(room, "2027-03-10", "2027-03-12", "ours", "549") is None
            assert metric("lock_conflicts_total", room_id=room) == 3
            # The nights before and after, another room and another hotel are free.
            assert await locks.acquire_lock(room, "2027-02-10", "2027-02-20", "ours", "549") is not None
            assert await locks.acquire_lock(room, "2027-04-10", "2027-04-12", "ours", "549") is not None
            assert await locks.acquire_lock(unique("102"), "2027-03-10", "2027-03-12", "ours", "549") is not None
            set_tenant_id("hotel-b")
            assert await locks.acquire_lock(room, "2027-03-10", "2027-03-12", "ours", "549") is not None
            set_tenant_id(tenant)
            await r.delete(key)
            assert await locks.acquire_lock(room, "2027-03-10", "2027-03-12", "ours", "549") is not None
        finally:
            reset_tenant_id(token)
            await on_handle.close()

    with_client(job)


def test_a_conversation_keeps_the_room_that_it_locked_in_a_process_of_the_app() -> None:
    async def job(r: redis.asyncio.Redis) -> None:
        locks, room = LockService(r), unique("101")
        key = f"lock:room:{room}:2027-03-10:2027-03-12"
        await r.set(key, locked_by_the_app(room, "2027-03-10", "2027-03-12", "s1"), ex=1200)
        assert await locks.acquire_lock(room, "2027-03-10", "2027-03-12", "s2", "549") is None
        assert await locks.acquire_lock(room, "2027-03-10", "2027-03-12", "s1", "549") is not None
        await r.set(f"lock:room:{room}:2027-03-12:2027-03-13", "not what the app writes")
        assert await locks.acquire_lock(room, "2027-03-12", "2027-03-14", "s1", "549") is None, (
            "nobody knows whose it is"
        )

    with_client(job)


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({"REDIS_URL": "redis://cache.example:6380/3?protocol=3"}, "redis://:s3cret@cache.example:6380/3"),
        ({"redis_host": "cache.example", "REDIS_DB": "3"}, "redis://:s3cret@cache.example:6379/3"),
        ({"REDIS_URL": "rediss://ana@cache.example"}, "rediss://ana:s3cret@cache.example:6379/0"),
        ({"REDIS_URL": "redis://[::1]:1"}, "redis://:s3cret@[::1]:1/0"),
        ({"REDIS_URL": "redis+cluster://a,b"}, None),
        ({"REDIS_URL": "redis+sentinel://a,b/primary/0"}, None),
        ({"REDIS_URL": "memory:"}, None),
    ],
)
def test_the_apps_locks_are_where_its_settings_say(variables: dict[str, str], url: str | None) -> None:
    if variables.get("REDIS_URL") != "memory:":
        variables = {**variables, "REDIS_PASSWORD": "s3cret"}
    opens = _app_locks.of_handle(posada.Posada.build(posada.Settings.from_vars(variables)))
    if url is None:
        assert opens is None
    else:
        assert opens is not None
        assert _address.of_client(opens()) == url


def test_without_the_app_nobody_looks_at_its_locks() -> None:
    async def job(r: redis.asyncio.Redis) -> None:
        locks, room = LockService(r, beside_the_app=False), unique("101")
        await r.set(f"lock:room:{room}:2027-03-10:2027-03-12", "{}")
        assert await locks.acquire_lock(room, "2027-03-10", "2027-03-12", "s1", "549") is not None

    with_client(job)


def test_what_the_app_has_locked_is_not_guessed_when_redis_fails() -> None:
    async def job() -> None:
        with Gate("REDIS_URL") as gate:
            async with redis.asyncio.Redis.from_url(gate.url, retry=None) as r:
                locks, room = LockService(r), unique("101")
                key = await locks.acquire_lock(room, "2027-03-10", "2027-03-12", "s1", "549")
                assert key is not None
                gate.shut()
                for call in (
                    locks.acquire_lock(room, "2027-03-12", "2027-03-14", "s1", "549"),
                    locks.check_conflicts(room, "2027-03-12", "2027-03-14"),
                    locks.release_all_locks(),
                ):
                    with pytest.raises(redis.exceptions.ConnectionError) as caught:
                        await call
                    assert isinstance(caught.value, posada.UnavailableError)
                gate.open()
                while True:
                    try:
                        await locks.release_all_locks()
                        break
                    except posada.PosadaError:
                        await asyncio.sleep(0.005)
                assert await locks.release_lock(key) is False, "it was released with all others"
            await compat.close()

    run(job())


def test_all_locks_of_a_service_are_released_and_no_others() -> None:
    async def job(r: redis.asyncio.Redis) -> None:
        locks, others, room = LockService(r), LockService(r), unique("101")
        token = set_tenant_id("hotel-a")
        try:
            assert await locks.acquire_lock(room, "2027-03-10", "2027-03-12", "s1", "549") is not None
            set_tenant_id(None)
            assert await locks.acquire_lock(room, "2027-03-10", "2027-03-12", "s1", "549") is not None
            gone = await locks.acquire_lock(room, "2027-03-14", "2027-03-15", "s1", "549")
            assert gone is not None
            assert await others.release_lock(gone)
            theirs = await others.acquire_lock(room, "2027-03-12", "2027-03-14", "s2", "550")
            assert theirs is not None
            await r.set(f"lock:room:{room}:2027-05-10:2027-05-12", locked_by_the_app(room, "2027-05-10", "2027-05-12"))
            released = metric("lock_operations_total", operation="release", result="success")
            await locks.release_all_locks()
            await locks.release_all_locks()
            assert metric("lock_operations_total", operation="release", result="success") == released + 2
            assert await r.exists(f"lock:room:{room}:2027-05-10:2027-05-12") == 1
            (left,) = await locks.get_active_locks()
            assert left["session_id"] == "s2"
            assert await others.release_lock(theirs) is True
        finally:
            reset_tenant_id(token)

    with_client(job)


@pytest.mark.parametrize(
    ("check_in", "check_out"),
    [
        ("2027-03-10T12:00:00Z", "2027-03-12T10:00:00Z"),
        ("2027-03-10T00:00:00+00:00", "2027-03-12T00:00:00+00:00"),
        ("2027-03-10T15:30:00.250000-03:00", "2027-03-12T10:00:00-03:00"),
        ("2027-01-10", "2027-03-11"),
        ("2026-03-01", "2028-03-01"),
        ("2027-03-10T10:00:00Z", "2027-03-10T18:00:00Z"),
        ("2027-03-11", "2027-03-11"),
        ("2027-03-12", "2027-03-10"),
        ("soon", "later"),
    ],
)
def test_a_lock_of_the_app_is_found_however_its_dates_are_spelt_and_however_long_it_is(
    check_in: str, check_out: str
) -> None:
    async def job(r: redis.asyncio.Redis) -> None:
        locks, room, more = LockService(r), unique("10*[1]?"), unique("session")
        # Other keys, of all that the app has, and of a room whose name begins like this one.
        await r.mset({f"{more}:{n}": "{}" for n in range(2500)})
        await r.set(f"lock:room:{room}1:2027-03-10:2027-03-12", locked_by_the_app(room, "2027-03-10", "2027-03-12"))
        assert not await locks.check_conflicts(room, "2027-03-10", "2027-03-12")
        key = f"lock:room:{room}:{check_in}:{check_out}"
        await r.set(key, locked_by_the_app(room, check_in, check_out), ex=1200)
        async with redis.asyncio.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True) as reads_text:
            for service in (locks, await get_lock_service(), LockService(reads_text)):
                assert await service.check_conflicts(room, "2027-03-10", "2027-03-12") is True
                assert await service.acquire_lock(room, "2027-03-10", "2027-03-12", "ours", "549") is None
        await r.delete(key, *(f"{more}:{n}" for n in range(2500)))
        assert await locks.acquire_lock(room, "2027-03-10", "2027-03-12", "ours", "549") is not None

    with_client(job)


@pytest.mark.parametrize(
    "day", [("2027-03-10", "2027-03-10"), ("2027-03-10T10:00:00Z", "2027-03-10T18:00:00Z")], ids=["days", "hours"]
)
def test_a_room_for_a_day_takes_the_night_of_that_day(day: tuple[str, str]) -> None:
    async def job(r: redis.asyncio.Redis) -> None:
        locks, room = LockService(r), unique("101")
        before = await locks.acquire_lock(room, "2027-03-08", "2027-03-10", "s1", "549")
        assert before is not None, "who leaves on this day is in nobody's way"
        key = await locks.acquire_lock(room, *day, "s2", "550")
        assert key is not None
        assert await locks.acquire_lock(room, *day, "s3", "551") is None
        assert await locks.check_conflicts(room, "2027-03-10", "2027-03-11") is True
        assert await locks.check_conflicts(room, "2027-03-11", "2027-03-12") is False
        assert await locks.release_lock(key) is True
        with pytest.raises(ValueError, match=r"stay\.invalid"):
            await locks.acquire_lock(room, "2027-03-10T18:00:00Z", "2027-03-10T10:00:00Z", "s2", "550")

    with_client(job)


def test_an_extension_adds_what_the_call_says_as_often_as_it_says() -> None:
    async def job(r: redis.asyncio.Redis) -> None:
        for locks in (LockService(r), await get_lock_service()):
            key = await locks.acquire_lock(unique("101"), "2027-02-01", "2027-02-03", "s1", "549", ttl=60)
            assert key is not None
            extended = [await locks.extend_lock(key, 1800, max_extensions=5) for _ in range(6)]
            assert extended == [True] * 5 + [False]
            (live,) = await locks.get_active_locks()
            until = dt.datetime.fromisoformat(live["expires_at"]) - dt.datetime.now(dt.timezone.utc)
            assert 9000 < until.total_seconds() <= 60 + 5 * 1800
            other = await locks.acquire_lock(unique("101"), "2027-02-01", "2027-02-03", "s1", "549")
            assert other is not None
            assert await locks.extend_lock(other, max_extensions=0) is False
            assert await locks.extend_lock(other, extra_ttl=5, max_extensions=1) is True
            assert await locks.extend_lock(other, extra_ttl=5, max_extensions=1) is False
            with pytest.raises(posada.InvalidError, match="extra"):
                await locks.extend_lock(other, extra_ttl=0)
            await locks.release_all_locks()
            assert await locks.get_active_locks() == []

    with_client(job)


def test_two_who_extend_at_once_extend_no_more_often_than_they_may() -> None:
    async def job(r: redis.asyncio.Redis) -> None:
        locks = LockService(r)
        key = await locks.acquire_lock(unique("101"), "2027-02-01", "2027-02-03", "s1", "549")
        assert key is not None
        await asyncio.gather(*(locks.extend_lock(key, max_extensions=3) for _ in range(20)))
        (live,) = await locks.get_active_locks()
        assert live["extensions"] <= 3

    with_client(job)
