"""Locks and holds are taken by ``await``, and given back by ``async with``."""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect

import posada
import pytest
from support import run, unique, until, waiting

CHECK_IN, CHECK_OUT = dt.date(2031, 3, 1), dt.date(2031, 3, 3)


def test_a_lock_is_given_back_at_the_end_of_its_block() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            async with p.locks.acquire("housekeeping:101") as lock:
                assert isinstance(lock, posada.LockGuard)
                assert await p.locks.try_acquire("housekeeping:101") is None
            assert await p.locks.inspect("housekeeping:101") is None
            with pytest.raises(posada.ConflictError):
                lock.ensure_held()

    run(job())


def test_it_is_given_back_although_the_block_fails() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            with pytest.raises(ZeroDivisionError):
                async with p.locks.acquire("housekeeping:101"):
                    raise ZeroDivisionError
            assert await p.locks.inspect("housekeeping:101") is None

    run(job())


def test_what_is_awaited_is_kept() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            lock = await p.locks.acquire("housekeeping:101")
            assert await p.locks.inspect("housekeeping:101") is not None
            # A guard gives itself back, too, as before.
            async with lock:
                lock.ensure_held()
            assert await p.locks.inspect("housekeeping:101") is None

    run(job())


def test_several_locks_are_given_back_together() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            async with p.locks.acquire_all(["b", "a"]) as locks:
                assert [lock.name for lock in locks] == ["b", "a"]
                assert sorted(await p.locks.list()) == ["a", "b"]
            assert await p.locks.list() == {}

    run(job())


def test_a_hold_is_released_by_its_block_and_kept_by_await() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            async with p.locks.hold_stay("room:101", CHECK_IN, CHECK_OUT) as hold:
                assert [each.id for each in await p.locks.holds("room:101", hold.stay)] == [hold.id]
            assert await p.locks.holds("room:101", hold.stay) == []
            hold = await p.locks.hold_stay("room:101", CHECK_IN, CHECK_OUT)
            assert [each.id for each in await p.locks.holds("room:101", hold.stay)] == [hold.id]

    run(job())


def test_a_task_and_a_time_limit_can_be_made_of_it() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            call = p.locks.acquire("a")
            assert inspect.isawaitable(call)
            first = await asyncio.create_task(call)
            waiter = asyncio.create_task(p.locks.acquire("a", wait=30))
            await until(waiting)
            await first.release()
            async with await waiter as second:
                assert second.fence > first.fence
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(p.locks.acquire("a", wait=30), 0.01)
            # A claim that was given up is cleaned away behind our back.
            async with p.locks.acquire("a", wait=10):
                pass

    run(job())


def test_a_wrong_argument_is_refused_before_anything_is_awaited() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            with pytest.raises(TypeError, match="name: expected str"):
                p.locks.acquire(101)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="names: expected several values"):
                p.locks.acquire_all("101")
            with pytest.raises(TypeError, match="check_in: expected a date"):
                p.locks.hold_stay("room:101", "2031-03-01", CHECK_OUT)  # type: ignore[arg-type]
            for field, wrong, kind in [
                ("ttl", "1", TypeError),
                ("ttl", True, TypeError),
                ("ttl", float("nan"), ValueError),
                ("wait", 10**400, ValueError),
                ("max_hold", dt.timedelta(-1), ValueError),
                ("owner", 5, TypeError),
                ("auto_extend", 1, TypeError),
                ("replicas", -1, ValueError),
                ("replicas", 2**40, ValueError),
                ("replicas_within", [], TypeError),
            ]:
                with pytest.raises(kind) as refused:
                    p.locks.acquire("a", **{field: wrong})  # type: ignore[arg-type]
                notes = getattr(refused.value, "__notes__", ())
                assert field in " ".join((str(refused.value), *notes)), refused.value

    run(job())


def test_a_call_that_nobody_awaits_takes_nothing_and_is_told() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            name = unique("lock")
            with pytest.warns(RuntimeWarning, match="never awaited"):
                p.locks.acquire(name)
            assert await p.locks.inspect(name) is None

    run(job())
