"""The bridge: cancellation, event loops and threads."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import sys
import threading
from collections.abc import Callable
from typing import Any

import anyio
import posada
import pytest
import uvloop
from posada import _native
from posada._loop_bridges import loop_bridges
from support import Open, run, unique, until, waiting


def test_what_memory_answers_at_once_needs_no_port() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            assert await p.sessions.get("nobody") is None
            assert loop_bridges.get(asyncio.get_running_loop()) is None

    run(job())


def test_an_answer_arrives_once_and_an_operation_is_awaited_once() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            operation = p.sessions._native.delete("nobody")
            assert await operation is False
            with pytest.raises(RuntimeError, match="only once"):
                await operation

    run(job())


def test_a_cancelled_wait_for_a_lock_leaves_nothing(opened: Open) -> None:
    async def job() -> None:
        async with opened() as p:
            name = unique("lock")
            async with p.locks.acquire(name, wait=5):
                waiters = [asyncio.create_task(p.locks.acquire(name, wait=30)) for _ in range(20)]
                await until(lambda: waiting() >= 20)
                for waiter in waiters:
                    waiter.cancel()
                outcomes = await asyncio.gather(*waiters, return_exceptions=True)
                assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
                assert waiting() == 0
            # Nobody who gave up is given the lock.
            async with p.locks.acquire(name, wait=10):
                pass

    run(job())


def test_tasks_cancelled_at_any_moment_leave_nothing(opened: Open) -> None:
    """Ten thousand tasks, each cancelled after a random number of steps of the loop."""
    dice, rounds, crowd = random.Random(7), 100, 100

    async def work(p: posada.Posada, hotel: str, user: str, lock: str) -> None:
        session = await p.sessions.get_or_create(user, "web", tenant=hotel)
        async with p.locks.acquire(lock, ttl=30, wait=10):
            session.document["context"]["turn"] = lock
            with contextlib.suppress(posada.ConflictError):
                await p.sessions.save(session)
        await p.limits.check("1000000/minute", user)
        if dice.random() < 0.3:
            await p.tenants.list()

    async def job() -> None:
        async with opened() as p:
            await p.migrate()
            hotel = unique("hotel")
            locks = [unique("lock") for _ in range(5)]
            for _ in range(rounds):
                tasks = [
                    asyncio.create_task(work(p, hotel, f"user-{dice.randrange(20)}", dice.choice(locks)))
                    for _ in range(crowd)
                ]
                while not all(task.done() for task in tasks):
                    for task in tasks:
                        if dice.random() < 0.2:
                            task.cancel()
                    await asyncio.sleep(0)
                for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                    assert outcome is None or isinstance(outcome, asyncio.CancelledError), outcome
            assert waiting() == 0
            for lock in locks:
                # A lock that a cancelled task left behind would be in the way for 30 seconds.
                async with p.locks.acquire(lock, wait=10):
                    pass
            # Nor would the pool of Postgres, of twenty connections, have one for each of these.
            assert len(await asyncio.gather(*(p.tenants.list() for _ in range(40)))) == 40
            assert await p.sessions.count(tenant=hotel) <= 20
            assert (await p.health()).is_healthy

    run(job())


def test_a_write_ends_although_its_caller_was_cancelled(opened: Open) -> None:
    async def job() -> None:
        async with opened() as p:
            user = unique("user")
            await p.sessions.get_or_create(user, "web")
            writing = asyncio.create_task(p.sessions.update(user, {"context": {"written": True}}))
            await asyncio.sleep(0)
            writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):  # memory may have answered already
                await writing
            while (await p.sessions.get(user)).document["context"] != {"written": True}:
                await asyncio.sleep(0.005)

    run(job())


def test_wait_for_and_groups_of_tasks(opened: Open) -> None:
    async def job() -> None:
        async with opened() as p:
            name = unique("lock")
            async with p.locks.acquire(name) as held:
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(held.lost(), 0.05)
                with pytest.raises(posada.ConflictError, match=r"locks\.contended"):
                    await asyncio.wait_for(p.locks.acquire(name, wait=0.05), 10)

            async with anyio.create_task_group() as group:
                for _ in range(10):
                    group.start_soon(p.sessions.get_or_create, name, "web")
            with anyio.move_on_after(0.05) as scope:
                await (await p.locks.acquire(unique("lock"))).lost()
            assert scope.cancelled_caught

            if sys.version_info >= (3, 11):
                async with asyncio.TaskGroup() as tasks:
                    answers = [tasks.create_task(p.sessions.count()) for _ in range(10)]
                assert len({answer.result() for answer in answers}) == 1
            assert waiting() == 0

    run(job())


def test_a_handle_serves_several_loops_one_after_the_other(opened: Open) -> None:
    user = unique("user")
    first = asyncio.run(_open(opened))
    for turn in range(5):
        asyncio.run(_say(first, user, turn))
    asyncio.run(first.close())
    gc.collect()
    assert len(loop_bridges) <= 1, "the bridge of a loop goes with it"


async def _open(opened: Open) -> posada.Posada:
    handle = opened()
    return handle if isinstance(handle, posada.Posada) else await handle


async def _say(p: posada.Posada, user: str, turn: int) -> None:
    await p.sessions.get_or_create(user, "web")
    session = await p.sessions.append_turn(user, "user", f"turn {turn}")
    assert len(session.document["history"]) == turn + 1


def test_a_handle_serves_loops_in_several_threads(opened: Open) -> None:
    p = asyncio.run(_open(opened))
    failures: list[BaseException] = []

    def live(number: int) -> None:
        async def job() -> None:
            for turn in range(20):
                await _say(p, f"{name}-{number}", turn)

        try:
            asyncio.run(job())
        except BaseException as failure:
            failures.append(failure)

    name = unique("user")
    threads = [threading.Thread(target=live, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    asyncio.run(p.close())
    assert failures == []


def test_uvloop(opened: Open) -> None:
    async def job() -> None:
        async with opened() as p:
            name = unique("user")
            await asyncio.gather(*(p.sessions.get_or_create(f"{name}-{each}", "web") for each in range(50)))
            for turn in range(5):
                await _say(p, name, turn)
            task = asyncio.create_task((await p.locks.acquire(name)).lost())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert waiting() == 0

    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(asyncio.wait_for(job(), 60))
    finally:
        loop.close()


def test_a_loop_that_watches_no_descriptor_is_called_by_a_thread() -> None:
    class Blind(asyncio.SelectorEventLoop):
        """As Windows' proactor loop."""

        def add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:
            raise NotImplementedError

        def _add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> Any:
            # The loop's own pipe, which call_soon_threadsafe writes to.
            return super()._add_reader(fd, callback, *args)

    async def job() -> None:
        async with posada.Posada.embedded() as p:
            names = [f"user-{each}" for each in range(50)]
            await asyncio.gather(*(p.sessions.get_or_create(name, "web") for name in names))
            assert await asyncio.gather(*(p.sessions.delete(name) for name in names)) == [True] * 50
            for turn in range(5):
                await _say(p, "549", turn)

    loop = Blind()
    try:
        loop.run_until_complete(asyncio.wait_for(job(), 60))
    finally:
        loop.close()


def test_what_a_closed_loop_left_behind_is_let_go() -> None:
    p = posada.Posada.embedded()

    async def begin() -> posada.LockGuard:
        guard = await p.locks.acquire("left", ttl=30)
        task = asyncio.create_task(guard.lost())
        await asyncio.sleep(0)
        assert not task.done()
        return guard

    async def end(guard: posada.LockGuard) -> None:
        assert await guard.release() == "released"
        await p.close()

    guard = asyncio.run(begin())
    asyncio.run(end(guard))


def test_the_number_of_workers_is_bounded() -> None:
    assert posada.workers() == min(2, max(1, len(os.sched_getaffinity(0)) // 2))
    for wrong in (0, 65):
        with pytest.raises(ValueError, match="workers"):
            posada.set_workers(wrong)


def test_a_thread_that_hogs_the_interpreter_stalls_no_other_work(opened: Open) -> None:
    """A lock extends itself on the runtime's threads while Python's own lock is never free for long."""
    done = threading.Event()

    def hog() -> None:
        while not done.is_set():
            sum(range(1000))

    async def job() -> None:
        async with opened() as p:
            guard = await p.locks.acquire(unique("lock"), ttl=0.3, auto_extend=True)
            thread = threading.Thread(target=hog)
            thread.start()
            try:
                for _ in range(20):
                    await p.limits.check("1000000/minute", "hogged")
                    await asyncio.sleep(0.05)
                guard.ensure_held()
            finally:
                done.set()
                thread.join()
            assert await guard.release() == "released"

    run(job())


def test_one_ring_calls_the_loop_for_all_that_finished_since_it_last_looked() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            for is_on in (True, False):
                watches = [p.flags.watch() for _ in range(100)]
                told = [asyncio.create_task(watch.next()) for watch in watches]
                await until(lambda: waiting() == 100)
                bridge = loop_bridges.get(asyncio.get_running_loop())
                assert bridge is not None
                assert bridge.finished == 0
                before = bridge.wakeups
                # The loop stands still meanwhile, so nothing of it is looked at before all of it is there.
                change = threading.Thread(target=lambda on: asyncio.run(p.flags.set("rung", on)), args=(is_on,))
                change.start()
                change.join()
                while bridge.finished < 100:
                    assert bridge.wait(10), "the loop is not woken although something has finished"
                assert bridge.wakeups == before + 1
                changes = await asyncio.gather(*told)
                assert {change.flag for change in changes if change is not None} == {"rung"}
                assert (bridge.wakeups, bridge.finished, waiting()) == (before + 1, 0, 0)

    run(job())


def test_a_port_knows_nobody_after_its_work() -> None:
    assert isinstance(_native.LoopBridge, type)
    with pytest.raises(TypeError):
        _native.LoopBridge()
