"""Event loops that come and go, loops inside loops, tasks in pure Python: nothing is left behind, and nothing hangs.

What is counted are descriptors of this process, which the servers of the tests do not share.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import posada
import pytest
import uvloop
from posada._loop_bridges import loop_bridges
from support import python, run, server_settings, unique, until, waiting

ROUNDS = 60
"""Far more loops than descriptors that may be added meanwhile."""

FEW = 12
"""What one loop needs, and what is not closed before the next loop comes."""


def _descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


async def _job(p: posada.Posada) -> None:
    async with p.locks.acquire(unique("lock"), ttl=5):
        await p.sessions.get("nobody")


async def _leave(p: posada.Posada) -> None:
    """Leaves a wait behind that nobody ends."""
    lock = await p.locks.acquire(unique("lock"), ttl=5)
    task = asyncio.ensure_future(lock.lost())
    await until(lambda: waiting() == 1)
    asyncio.get_running_loop().left = task  # type: ignore[attr-defined]
    await p.sessions.get("nobody")


def _run(p: posada.Posada) -> None:
    asyncio.run(_job(p))


def _without_cleanup(p: posada.Posada) -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_leave(p))
    loop.close()


def _without_an_end(p: posada.Posada) -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_leave(p))
    # What its tests warn of is what is tested; the loop is collected, and so is its own pipe.


def _in_uvloop(p: posada.Posada) -> None:
    loop = uvloop.new_event_loop()
    loop.run_until_complete(_job(p))
    loop.close()


def _in_a_thread(p: posada.Posada) -> None:
    thread = threading.Thread(target=_run, args=(p,))
    thread.start()
    thread.join()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("use", [_run, _without_cleanup, _without_an_end, _in_uvloop, _in_a_thread])
def test_loops_that_are_gone_leave_neither_connections_nor_threads(use: Callable[[posada.Posada], None]) -> None:
    p = posada.Posada.build(server_settings())
    for _ in range(3):
        use(p)
    descriptors, threads = _descriptors(), _threads()
    for _ in range(ROUNDS):
        use(p)
    assert _descriptors() < descriptors + FEW
    assert _threads() <= threads
    assert len(loop_bridges) <= 1
    run(p.close())


def test_a_loop_that_was_closed_with_waits_in_it_stops_no_other_loop() -> None:
    done = python(
        """
        import asyncio, faulthandler, os, posada
        faulthandler.dump_traceback_later(30, exit=True)
        p = posada.Posada.embedded()
        async def lost():
            guard = await p.locks.acquire("left", wait=20)
            await guard.lost()
        async def leave(wait):
            asyncio.ensure_future(wait())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        for wait in (lambda: p.flags.watch().next(), lambda: p.auth.events().next(), lost) * 2:
            loop = asyncio.new_event_loop()
            loop.run_until_complete(leave(wait))
            loop.close()
        print("done", flush=True)
        os._exit(0)
        """,
        "-W",
        "ignore",
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_close_closes_the_connections_of_all_loops() -> None:
    before = _descriptors()
    p = posada.Posada.build(server_settings())
    for _ in range(5):
        _run(p)
    loops = [asyncio.new_event_loop() for _ in range(5)]
    for loop in loops:
        loop.run_until_complete(_job(p))
    during = _descriptors()
    loops[0].run_until_complete(p.close())
    for loop in loops:
        loop.close()
    loops.clear()
    del loop
    # What is closed in the background is closed in a moment.
    with ThreadPoolExecutor() as pool:
        pool.submit(_wait_until, lambda: _descriptors() <= before).result(30)
    assert during > before


def _wait_until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.01)


class _PythonTask(asyncio.tasks._PyTask):  # type: ignore[name-defined,misc]
    """A task as asyncio has it without its C part, and as ``nest_asyncio`` makes it."""


def _in_python_tasks(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def job() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(lambda loop, work, **options: _PythonTask(work, loop=loop, **options))
        await asyncio.ensure_future(work())

    run(job())


def _in_tasks(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run(work())


def _in_eager_tasks(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def job() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        await asyncio.ensure_future(work())

    run(job())


def _in_uvloops_tasks(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(asyncio.wait_for(work(), 60))
    finally:
        loop.close()


KINDS = [_in_tasks, _in_python_tasks, _in_uvloops_tasks, *([_in_eager_tasks] if sys.version_info >= (3, 12) else [])]


@pytest.mark.parametrize("within", KINDS)
def test_a_cancelled_acquire_does_not_take_the_lock_although_its_traceback_is_kept(within: Any) -> None:
    async def job() -> None:
        async with posada.Posada.connect(server_settings()) as p:
            name = unique("lock")
            held = await p.locks.acquire(name, ttl=60)
            waiter = asyncio.ensure_future(p.locks.acquire(name, ttl=60, wait=30))
            await until(lambda: waiting() == 1)
            waiter.cancel("enough")
            try:
                await waiter
            except asyncio.CancelledError as error:
                kept = error
            assert kept.args in {("enough",), ()}
            await held.release()
            # The one who gave up is in nobody's way, as long as the exception lives.
            async with p.locks.acquire(name, wait=10):
                assert kept.__traceback__ is not None

    within(job)


@pytest.mark.parametrize("within", KINDS)
def test_a_cancelled_watch_swallows_no_event(within: Any) -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            watch, kept = p.flags.watch(), []
            for turn in range(20):
                is_on = turn % 2 == 0
                asking = asyncio.ensure_future(watch.next())
                await until(lambda: waiting() == 1)
                if turn % 4 > 1:
                    # It has come, and the loop was not told yet.
                    await asyncio.to_thread(asyncio.run, p.flags.set("booking.stop", is_on))
                    asking.cancel()
                else:
                    asking.cancel()
                    await p.flags.set("booking.stop", is_on)
                change = None
                try:
                    change = await asking
                except asyncio.CancelledError as error:
                    kept.append(error)
                if change is None:
                    change = await asyncio.wait_for(watch.next(), 10)
                assert change is not None
                assert change.flag == "booking.stop", turn

    within(job)


def test_a_cancelled_wait_that_was_answered_in_the_same_turn_hands_its_event_on() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            watch = p.flags.watch()
            asking = asyncio.ensure_future(watch.next())
            await until(lambda: waiting() == 1)
            thread = threading.Thread(target=asyncio.run, args=(p.flags.set("booking.stop", True),))
            thread.start()
            # The loop stands still meanwhile, so the answer lies there when the task is cancelled.
            thread.join()
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                pytest.fail(f"not cancelled: {await asking}")
            change = await asyncio.wait_for(watch.next(), 10)
            assert change is not None
            assert change.flag == "booking.stop"

    run(job())


def _wanted() -> posada._native.AcquireOptions:
    return posada._native.AcquireOptions(ttl=60, wait=30)


def test_a_closed_or_interrupted_coroutine_lets_its_wait_go() -> None:
    async def job() -> None:
        async with posada.Posada.connect(server_settings()) as p:
            name = unique("lock")
            held = await p.locks.acquire(name, ttl=60)
            operation = p.locks._native.acquire(name, _wanted())
            wait = operation.__await__()
            assert next(wait) is operation
            with pytest.raises(KeyError, match="on purpose"):
                operation.throw(KeyError("on purpose"))
            other = p.locks._native.acquire(name, _wanted())
            next(other.__await__())
            other.close()
            await held.release()
            async with p.locks.acquire(name, wait=10):
                pass

    run(job())


NESTED = """
import asyncio, os, nest_asyncio, posada

nest_asyncio.apply()
settings = posada.Settings.build(postgres_url=os.environ["DATABASE_URL"], redis_url=os.environ["REDIS_URL"])

async def inner(p):
    await p.sessions.get_or_create("nested", "web")
    async with p.locks.acquire("nested", ttl=5, wait=5):
        return await p.sessions.count()

async def outer():
    loop = asyncio.get_running_loop()
    async with posada.Posada.connect(settings) as p:
        for _ in range(20):
            # Posada has woken this task, and it runs the loop inside the loop.
            await p.sessions.get("nested")
            loop.run_until_complete(inner(p))
            await asyncio.gather(inner(p), inner(p))
        held = await p.locks.acquire("nested too", ttl=60)
        waiter = asyncio.ensure_future(p.locks.acquire("nested too", ttl=60, wait=30))
        await asyncio.sleep(0.05)
        waiter.cancel()
        try:
            await waiter
        except asyncio.CancelledError as error:
            kept = error
        await held.release()
        async with p.locks.acquire("nested too", wait=5):
            print("done", kept.__traceback__ is not None)

asyncio.run(outer())
"""


def test_a_loop_inside_the_loop() -> None:
    done = python(NESTED)
    assert (done.returncode, done.stdout) == (0, "done True\n"), done.stderr


AT_EXIT = """
import asyncio, os, sys, threading, time, posada

settings = posada.Settings.build(postgres_url=os.environ["DATABASE_URL"], redis_url=os.environ["REDIS_URL"])
seen, begun = set(), threading.Event()

async def work(p):
    while True:
        for call in (
            lambda: p.sessions.get_or_create("busy", "web"), lambda: p.tenants.list(),
            lambda: p.flags.set("busy", True),
            lambda: _lock(p), lambda: p.limits.check("1000000/minute", "busy"),
        ):
            try:
                await call()
            except posada.PosadaError as error:
                seen.add(error.code)
            begun.set()

async def _lock(p):
    async with p.locks.acquire("busy", ttl=5, wait=1):
        pass

async def main():
    await work(posada.Posada.build(settings))

def run():
    try:
        asyncio.run(main())
    except BaseException as error:
        seen.add(type(error).__name__)

threading.Thread(target=run, daemon=True).start()
assert begun.wait(20)
time.sleep(0.3)
before = sorted(seen)
posada._native._shutdown(3.0)
deadline = time.monotonic() + 20
while "posada.closed" not in seen and time.monotonic() < deadline:
    time.sleep(0.01)
time.sleep(0.2)
sys.stdout.write(f"{before} {sorted(seen)}\\n")
sys.stdout.flush()
os._exit(0)
"""


def test_a_busy_thread_at_exit_learns_that_posada_is_closed() -> None:
    done = python(AT_EXIT)
    assert (done.returncode, done.stdout) == (0, "[] ['posada.closed']\n"), done.stderr


def test_without_a_loop_of_asyncio_the_error_says_what_is_missing() -> None:
    p = posada.Posada.embedded()
    with pytest.raises(RuntimeError, match="posada needs asyncio"):
        p.sessions.get("nobody").send(None)
    run(p.close())
