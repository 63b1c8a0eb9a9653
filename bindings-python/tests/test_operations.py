"""Operations as futures: how a task waits for one, and how it is woken."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from typing import Any

import posada
import pytest
from support import run, unique, until, waiting


def test_a_task_goes_on_in_its_own_context_whoever_wakes_it() -> None:
    guest: contextvars.ContextVar[str] = contextvars.ContextVar("guest")

    async def work(p: posada.Posada, name: str, lock: str) -> None:
        guest.set(name)
        async with p.locks.acquire(lock, wait=10):
            assert guest.get() == name
        assert guest.get() == name

    async def job() -> None:
        async with posada.Posada.embedded() as p:
            await asyncio.gather(*(work(p, f"guest-{number}", unique("lock")) for number in range(10)))
            lock = unique("lock")
            await asyncio.gather(*(work(p, f"guest-{number}", lock) for number in range(10)))

    run(job())


def test_a_cancelled_wait_brings_its_message() -> None:
    async def job() -> None:
        async def wait(p: posada.Posada) -> None:
            # In here: whoever awaits a task of Python 3.10 is not told the message.
            with pytest.raises(asyncio.CancelledError, match="the guest hung up"):
                await p.locks.acquire("room:1", wait=30)

        async with posada.Posada.embedded() as p, await p.locks.acquire("room:1"):
            waiter = asyncio.create_task(wait(p))
            await until(waiting)
            waiter.cancel("the guest hung up")
            await waiter

    run(job())


def test_an_answer_and_a_cancellation_in_one_turn_leave_nothing() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            for _ in range(100):
                lock = await p.locks.acquire("room:1")
                waiter = asyncio.create_task(p.locks.acquire("room:1", wait=30))
                await until(waiting)
                await lock.release()
                waiter.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await (await waiter).release()
                assert waiting() == 0
                async with p.locks.acquire("room:1", wait=10):
                    pass

    run(job())


def test_tasks_that_are_written_in_python_can_wait() -> None:
    async def job() -> None:
        asyncio.get_running_loop().set_task_factory(
            lambda loop, coroutine, **options: asyncio.tasks._PyTask(coroutine, loop=loop, **options)  # type: ignore[attr-defined]
        )
        async with posada.Posada.embedded() as p:
            lock = await p.locks.acquire("room:1")
            waiter = asyncio.create_task(p.locks.acquire("room:1", wait=30))
            cancelled = asyncio.create_task(p.locks.acquire("room:1", wait=30))
            await until(lambda: waiting() == 2)
            cancelled.cancel()
            await lock.release()
            await (await waiter).release()
            with pytest.raises(asyncio.CancelledError):
                await cancelled

    run(job())


def test_an_operation_is_awaited_in_its_own_loop() -> None:
    async def wait_for(operation: Any) -> None:
        await operation

    async def job() -> None:
        async with posada.Posada.embedded() as p, await p.locks.acquire("room:1") as lock:
            operation = lock._native.lost()
            with pytest.raises(RuntimeError, match="different loop"):
                await asyncio.to_thread(asyncio.run, wait_for(operation))

    run(job())


def test_a_task_that_is_woken_may_end_the_loop() -> None:
    async def interrupt(p: posada.Posada) -> None:
        await p.locks.acquire("room:1", wait=30)
        raise KeyboardInterrupt

    async def job() -> None:
        async with posada.Posada.embedded() as p:
            lock = await p.locks.acquire("room:1")
            task = asyncio.create_task(interrupt(p))
            await until(waiting)
            await lock.release()
            await task

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(job())
