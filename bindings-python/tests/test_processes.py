"""The bridge and processes: what an import starts, forks, and the end of a process."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import textwrap
from typing import Any

import httpx
import pytest
from support import NO_REUSE, assert_quiet, listening, python, run, unique


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
            async with httpx.AsyncClient(timeout=30, limits=NO_REUSE) as http:
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
