"""The bridge: cancellation, event loops, threads, forks and the end of the process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import posada
import pytest
import uvloop
from posada import _native
from posada._ports import ports
from support import Open, listening, run, unique, until, waiting


def test_what_memory_answers_at_once_needs_no_port() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            assert await p.sessions.get("nobody") is None
            assert asyncio.get_running_loop() not in ports

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
            assert await p.sessions.count(hotel) <= 20
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
    assert len(ports) <= 1, "the port of a loop goes with it"


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


def python(program: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs a program in an interpreter of its own, with every warning an error message."""
    command = [sys.executable, "-X", "dev", "-W", "error", *options, "-c", textwrap.dedent(program)]
    return subprocess.run(command, capture_output=True, text=True, timeout=45, check=False)


def assert_quiet(done: subprocess.CompletedProcess[str], output: str = "") -> None:
    """The program did what it should and nothing else was said."""
    assert (done.returncode, done.stdout, done.stderr) == (0, output, "")


def test_importing_starts_no_thread() -> None:
    assert_quiet(
        python("""
        import threading, os, posada
        print(len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1)
        """),
        "1\n",
    )


ENDING = """
import asyncio, os, posada

def opened():
    if "DATABASE_URL" not in os.environ:
        return posada.Posada.embedded()
    servers = {"postgres_url": os.environ["DATABASE_URL"], "redis_url": os.environ["REDIS_URL"]}
    return posada.Posada.connect(posada.Settings.build(**servers))

async def main():
    async with opened() as p:
        me = str(os.getpid())
        await asyncio.gather(*(p.sessions.get_or_create(f"{me}-{n}", "web") for n in range(50)))
        asking = [asyncio.create_task(p.sessions.touch(f"{me}-{n}")) for n in range(50)]
        guard = await p.locks.acquire(f"left to the end {me}")
        waiting = [asyncio.create_task(p.locks.acquire(f"left to the end {me}", wait=30)) for n in range(20)]
        await asyncio.sleep(0)
        for task in (*asking[::2], *waiting):
            task.cancel()
        await asyncio.gather(*asking, *waiting, return_exceptions=True)
        asyncio.create_task(guard.lost())

asyncio.run(main())
asyncio.run(main())
"""
"""Two loops one after the other, with calls that are cancelled, and a lock and a wait that are left to the end."""


@pytest.mark.parametrize("store", ["memory", "servers"])
def test_the_process_ends_quietly_twenty_times(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DATABASE_URL", "REDIS_URL"):
        if store == "memory":
            monkeypatch.delenv(variable, raising=False)
        else:
            assert variable in os.environ, "run `make test-python`, which starts servers"
    for _ in range(20):
        assert_quiet(python(ENDING))


def test_a_handle_that_nobody_closed_is_named_and_ends_well() -> None:
    done = python(
        """
        import asyncio, posada
        async def main():
            p = posada.Posada.embedded()
            await p.locks.acquire("held at the end")
        asyncio.run(main())
        """,
        "-W",
        "always::ResourceWarning",
    )
    assert done.returncode == 0
    assert "ResourceWarning: unclosed <posada.Posada open>" in done.stderr


def test_a_write_that_nobody_answers_does_not_keep_the_process() -> None:
    """The call has a minute, and the interpreter that runs this program less."""
    with listening() as silent:
        done = python(
            f"""
            import asyncio, posada
            url = "redis://127.0.0.1:{silent.getsockname()[1]}/0"
            settings = posada.Settings.build(redis_url=url, redis_connect_timeout=60, redis_command_timeout=60)
            p = posada.Posada.build(settings)
            async def main():
                writing = asyncio.create_task(p.sessions.delete("549"))
                for _ in range(5):
                    await asyncio.sleep(0)
                assert not writing.done()
            asyncio.run(main())
            print("done")
            """,
            "-W",
            "ignore::ResourceWarning",
        )
    assert_quiet(done, "done\n")


def test_an_interrupt_ends_the_program() -> None:
    done = python("""
    import asyncio, os, signal, posada
    # Whoever runs the tests in the background may have had it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    async def main():
        async with posada.Posada.embedded() as p:
            guard = await p.locks.acquire("held")
            asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGINT)
            await guard.lost()
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("interrupted")
    """)
    assert_quiet(done, "interrupted\n")


FORK = """
import asyncio, os, sys, warnings, posada
warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads, which is what is tested
preloaded = posada.Posada.embedded()
used = posada.Posada.embedded()

async def use(p):
    for n in range(20):
        await p.sessions.get_or_create(f"u{n}", "web")
        assert await p.sessions.touch(f"u{n}")

async def main_child():
    try:
        await used.sessions.get("u1")
    except posada.ClosedError as error:
        assert error.code == "posada.closed" and "fork" in str(error), error
    else:
        raise AssertionError("the parent's handle works in the child")
    try:
        used.flags.is_enabled("canary.enabled")
    except posada.ClosedError:
        pass
    await use(preloaded)
    await preloaded.close()

asyncio.run(use(used))
children = []
for _ in range(4):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            asyncio.run(asyncio.wait_for(main_child(), 30))
            code = 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            if code:
                import traceback
                traceback.print_exc()
            os._exit(code)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
asyncio.run(use(used))
asyncio.run(used.close())
print("done")
"""


def test_a_fork_with_a_handle_of_before() -> None:
    assert_quiet(python(FORK), "done\n")


CROWDED_FORK = """
import asyncio, os, threading, warnings, posada
warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads, which is what is tested
settings = posada.Settings.build(postgres_url=os.environ["DATABASE_URL"], redis_url=os.environ["REDIS_URL"])
stop, begun = threading.Event(), threading.Event()

async def load():
    async with posada.Posada.connect(settings) as p:
        async def guest(number):
            while not stop.is_set():
                await p.sessions.save(await p.sessions.get_or_create(f"crowded-fork-{number}", "web"))
                begun.set()
        await asyncio.gather(*(guest(number) for number in range(64)))

async def work():
    async with posada.Posada.embedded() as p:
        for number in range(50):
            session = await p.sessions.get_or_create(f"u{number}", "web")
            session.document["context"] = {f"key-{n}": "x" * n for n in range(100)}
            await p.sessions.save(session)

thread = threading.Thread(target=asyncio.run, args=(load(),))
thread.start()
assert begun.wait(30)
for _ in range(40):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            asyncio.run(asyncio.wait_for(work(), 30))
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
thread.join()
print("done")
"""


def test_children_allocate_although_threads_of_the_parent_were_doing_so() -> None:
    assert_quiet(python(CROWDED_FORK), "done\n")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing(method: str, tmp_path: Any) -> None:
    """Also the ordinary end of a forked child, with the parent's handle in its hands."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(f"""
        import asyncio, multiprocessing, sys, warnings, posada
        warnings.simplefilter("ignore", DeprecationWarning)
        used = posada.Posada.embedded()

        async def use(p):
            session = await p.sessions.get_or_create("549", "web")
            await p.sessions.update("549", {{"context": {{"nights": 2}}}})
            return (await p.sessions.get("549")).document["context"]["nights"]

        async def child():
            async with posada.Posada.embedded() as p:
                return await use(p)

        def work(queue):
            queue.put(asyncio.run(asyncio.wait_for(child(), 30)))

        if __name__ == "__main__":
            assert asyncio.run(use(used)) == 2
            context = multiprocessing.get_context({method!r})
            queue = context.Queue()
            processes = [context.Process(target=work, args=(queue,)) for _ in range(3)]
            for process in processes: process.start()
            answers = [queue.get(timeout=60) for _ in processes]
            for process in processes: process.join(60)
            asyncio.run(used.close())
            print(answers, [process.exitcode for process in processes])
        """)
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=120, check=False)
    assert_quiet(done, "[2, 2, 2] [0, 0, 0]\n")


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
                port = ports[asyncio.get_running_loop()]
                assert port.finished == 0
                before = port.rings
                # The loop stands still meanwhile, so nothing of it is looked at before all of it is there.
                change = threading.Thread(target=lambda on: asyncio.run(p.flags.set("rung", on)), args=(is_on,))
                change.start()
                change.join()
                while port.finished < 100:
                    assert port.wait(10), "the bell is silent although something has finished"
                assert port.rings == before + 1
                changes = await asyncio.gather(*told)
                assert {change.flag for change in changes if change is not None} == {"rung"}
                assert (port.rings, port.finished, waiting()) == (before + 1, 0, 0)

    run(job())


def test_a_port_knows_nobody_after_its_work() -> None:
    assert isinstance(_native.Port, type)
    with pytest.raises(TypeError):
        _native.Port()


GUNICORN = """
import os, posada

p = posada.Posada.build(posada.Settings.build(redis_url=os.environ["REDIS_URL"]))  # before the fork, used after it

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await p.close()
        await send({"type": "lifespan.shutdown.complete"})
        return
    user = scope["path"].strip("/")
    await p.sessions.get_or_create(user, "web")
    session = await p.sessions.append_turn(user, "user", str(os.getpid()))
    body = f"{os.getpid()} {len(session.document['history'])}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
"""


def test_gunicorn_preloads_a_handle_for_four_workers(tmp_path: Any) -> None:
    (tmp_path / "preloaded.py").write_text(GUNICORN)
    options = ["--preload", "--workers", "4", "--worker-class", "asgi", "--bind", "127.0.0.1:0", "--log-level", "info"]
    command = [sys.executable, "-W", "error::ResourceWarning", "-m", "gunicorn", *options, "preloaded:app"]
    server = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        said = ""
        while "Listening at: " not in said:
            line = server.stderr.readline()
            assert line, said
            said += line
        url = re.search(r"Listening at: (http://[0-9.:]+)", said)[1]

        async def ask(http: httpx.AsyncClient, user: str) -> list[int]:
            answer = await http.get(f"{url}/{user}")
            assert answer.status_code == 200, answer.text
            return [int(word) for word in answer.text.split()]

        async def job() -> None:
            users, workers = [unique("user") for _ in range(20)], set()
            async with httpx.AsyncClient(timeout=30) as http:
                while len(workers) < 4:
                    answers = await asyncio.gather(*(ask(http, user) for user in users))
                    workers.update(worker for worker, _ in answers)
                    assert len({turns for _, turns in answers}) == 1, "every guest was heard as often"

        run(job())
    finally:
        server.terminate()
        _, rest = server.communicate(timeout=60)
    assert server.returncode == 0, rest
    assert "Traceback" not in rest
    assert "Error" not in rest
