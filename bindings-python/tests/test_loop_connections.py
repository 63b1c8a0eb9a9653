"""The event loop's own connection to Redis: when it is used, and that nobody else depends on it."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import warnings
import weakref

import posada
import redis
import uvloop
from posada._loop_bridges import loop_bridges
from support import run, server_settings, unique, waiting


def _wakeups() -> int:
    """How often a thread of the runtime has called the running loop. A bridge is made by the first call that waits."""
    bridge = loop_bridges.get(asyncio.get_running_loop())
    return 0 if bridge is None else bridge.wakeups


async def _wakeups_of(calls: int, p: posada.Posada) -> int:
    """How often a thread of the runtime has called the loop while it made so many calls, one after the other."""
    user = unique("user")
    await p.sessions.get_or_create(user, "web")
    before = _wakeups()
    for _ in range(calls):
        assert await p.sessions.get(user) is not None
    return _wakeups() - before


def test_a_lone_call_is_answered_on_the_thread_of_the_loop() -> None:
    async def job() -> None:
        async with posada.Posada.connect(server_settings()) as p:
            # The first ones make the loop's connection.
            await _wakeups_of(1, p)
            assert await _wakeups_of(100, p) == 0

    run(job())
    loop = uvloop.new_event_loop()
    loop.run_until_complete(asyncio.wait_for(job(), 60))
    loop.close()


def test_among_many_calls_the_threads_of_the_runtime_take_part() -> None:
    async def job() -> None:
        async with posada.Posada.connect(server_settings()) as p:
            await _wakeups_of(1, p)
            before = _wakeups()
            await asyncio.gather(*(p.sessions.get(unique("user")) for _ in range(50)))
            assert _wakeups() > before
            assert waiting() == 0

    run(job())


def test_an_answer_that_came_while_the_loop_stood_still_is_no_timeout() -> None:
    async def job() -> None:
        async with posada.Posada.connect(server_settings(redis_command_timeout=0.2)) as p:
            await _wakeups_of(1, p)
            asked = asyncio.ensure_future(p.sessions.get_or_create(unique("user"), "web"))
            await asyncio.sleep(0)
            assert waiting() == 1
            # Longer than the deadline, during which nobody takes a turn.
            time.sleep(0.5)  # noqa: ASYNC251 - standing still is what is tested
            assert (await asked).is_new

    run(job())


def test_a_write_that_a_loop_leaves_behind_is_done() -> None:
    user = unique("user")

    async def leave(p: posada.Posada) -> None:
        session = await p.sessions.get_or_create(user, "web")
        session.document["state"] = "left"
        saving = asyncio.ensure_future(p.sessions.save(session))
        await asyncio.sleep(0)
        assert waiting() == 1
        saving.cancel()

    async def state(p: posada.Posada) -> object:
        session = await p.sessions.get(user)
        return None if session is None else session.document["state"]

    p = posada.Posada.build(server_settings())
    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave(p))
    bridge = loop_bridges.get(loop)
    assert bridge is not None
    gone = weakref.ref(bridge)
    del bridge
    loop.close()
    del loop
    gc.collect()
    assert gone() is None, "the bridge of a loop outlives it"

    async def see() -> None:
        while await state(p) != "left":
            await asyncio.sleep(0.005)
        await p.close()

    run(see())


async def _crowd(p: posada.Posada) -> list[tuple[str, asyncio.Task[None]]]:
    """Many conversations that are being saved at once. Not all of them make a full piece to be sent."""
    users = [unique("user") for _ in range(403)]
    sessions = await asyncio.gather(*(p.sessions.get_or_create(user, "web") for user in users))
    for session in sessions:
        session.document["state"] = "left"
    return [
        (user, asyncio.ensure_future(p.sessions.save(session))) for user, session in zip(users, sessions, strict=True)
    ]


def _is_saved(client: redis.Redis, user: str) -> bool:
    stored = client.get(f"session:{user}")
    return isinstance(stored, bytes) and b'"left"' in stored


def test_what_a_crowd_asks_is_sent_although_the_loop_stands_still() -> None:
    async def job() -> None:
        async with posada.Posada.connect(server_settings(redis_command_timeout=30)) as p:
            saving = await _crowd(p)
            unsaved = {user for user, _ in saving}

            def stand_still() -> None:
                end = time.monotonic() + 20
                with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
                    while unsaved and time.monotonic() < end:
                        unsaved.difference_update([user for user in unsaved if _is_saved(client, user)])

            # Behind the first steps of all that are saving, and before the loop sends what they have to say.
            asyncio.get_running_loop().call_soon(stand_still)
            await asyncio.gather(*(task for _, task in saving))
            assert not unsaved, "nobody sends"

    run(job())


def test_what_a_crowd_asks_is_sent_although_nobody_waits_for_it_any_more() -> None:
    async def leave(p: posada.Posada) -> list[str]:
        saving = await _crowd(p)
        await asyncio.sleep(0)
        assert [user for user, task in saving if task.cancel()], "all are answered"
        return [user for user, _ in saving]

    p = posada.Posada.build(server_settings())
    users = asyncio.run(leave(p))

    async def see() -> None:
        with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
            while not all(_is_saved(client, user) for user in users):
                await asyncio.sleep(0.005)
        await p.close()

    run(see())


def test_a_child_leaves_the_connection_of_its_parents_loop_alone() -> None:
    loop = asyncio.new_event_loop()
    p = posada.Posada.build(server_settings())
    assert loop.run_until_complete(_wakeups_of(1, p)) is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads, which is what is tested
        child = os.fork()
    if child == 0:
        loop_bridges.clear()
        del loop
        gc.collect()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert loop.run_until_complete(asyncio.wait_for(_wakeups_of(50, p), 30)) == 0
    loop.run_until_complete(p.close())
    loop.close()


def test_loops_in_several_threads_have_a_connection_each() -> None:
    p = posada.Posada.build(server_settings())
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(3):
                run(_wakeups_of(50, p))
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    run(p.close())
