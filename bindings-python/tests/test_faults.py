"""Servers that are killed and started again while the package is at work, and hours of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import posada
import pytest
from support import ROOT, run, unique

OUTAGES = (posada.UnavailableError, posada.TimeoutError, posada.AmbiguousError)
"""What a killed server may cause."""

SOAK_SECONDS = float(os.environ.get("POSADA_SOAK_SECONDS", "60"))


class Mortal:
    """A Postgres and a Redis that keep what they acknowledged, and can be killed."""

    def __init__(self, process: asyncio.subprocess.Process, postgres: str, redis: str) -> None:
        self._process = process
        self.postgres = postgres
        self.redis = redis

    async def do(self, what: str) -> None:
        """Such as ``kill redis``."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n".encode())
        assert await _line(self._process) == "done"


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


@contextlib.asynccontextmanager
async def mortal() -> AsyncIterator[Mortal]:
    program = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "mortal_servers"
    if not program.exists():
        pytest.fail(f"{program} is not built: run `cargo build -p posada-tests --bins`")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(program, stdin=pipe, stdout=pipe)
    try:
        postgres, redis = (await _line(process)).split()
        yield Mortal(process, postgres, redis)
    finally:
        process.stdin.close()
        await process.wait()


def test_servers_killed_under_load_lose_nothing_that_was_acknowledged() -> None:
    """Fifty guests write turns while Redis and Postgres die and come back."""
    acknowledged: dict[str, list[str]] = {}
    codes: set[str] = set()

    async def talk(p: posada.Posada, user: str, over: asyncio.Event) -> None:
        said = acknowledged.setdefault(user, [])
        turn = 0
        while not over.is_set():
            turn += 1
            try:
                await p.sessions.get_or_create(user, "web")
                await p.sessions.append_turn(user, "user", f"turn {turn}", id=f"{user}-{turn}")
                said.append(f"{user}-{turn}")
                del said[:-20]
                async with p.locks.acquire(user, ttl=5, wait=1):
                    await p.tenants.list()
            except OUTAGES as error:
                codes.add(error.code)
                await asyncio.sleep(0.01)
            except posada.ConflictError:
                pass  # the lock of before the outage is still there, for seconds

    async def works(p: posada.Posada) -> bool:
        return (await p.health()).is_healthy

    async def job() -> None:
        async with mortal() as servers:
            settings = posada.Settings.build(
                postgres_url=servers.postgres, redis_url=servers.redis, redis_command_timeout=1
            )
            async with posada.Posada.connect(settings) as p:
                await p.migrate()
                over = asyncio.Event()
                guests = [asyncio.create_task(talk(p, unique("user"), over)) for _ in range(50)]
                for victim in ("redis", "postgres", "redis", "postgres"):
                    await servers.do(f"kill {victim}")
                    while not any(code.startswith(victim) for code in codes):
                        await asyncio.sleep(0.01)
                    assert not await works(p)
                    await servers.do(f"start {victim}")
                    while not await works(p):
                        await asyncio.sleep(0.02)
                    codes.clear()
                    # Recovery is automatic: every guest is heard again.
                    heard = {user: said[-1:] for user, said in acknowledged.items()}
                    while any(said[-1:] == heard[user] for user, said in acknowledged.items()):
                        await asyncio.sleep(0.02)
                over.set()
                await asyncio.gather(*guests)
                for user, said in acknowledged.items():
                    session = await p.sessions.get(user)
                    assert session is not None, user
                    kept = [turn["id"] for turn in session.document["history"]]
                    assert [turn for turn in said if turn not in kept] == [], "an acknowledged turn is lost"
                    assert len(kept) == len(set(kept)), "a turn is there twice"

    run(job())


SOAK = """
import asyncio, os, resource, sys, time, posada

def peak():
    # On Linux ru_maxrss begins at the peak of the parent process; VmHWM is this program's own.
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024
    except FileNotFoundError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / (1024 * 1024 if sys.platform == "darwin" else 1024)

async def guest(p, number, end, done):
    user, turn = f"soak-{os.getpid()}-{number}", 0
    while time.monotonic() < end:
        turn += 1
        session = await p.sessions.get_or_create(user, "whatsapp", tenant="hotel-soak")
        session.document["context"]["turn"] = turn
        await p.sessions.save(session)
        p.flags.is_enabled("canary.enabled", tenant="hotel-soak", user=user)
        await p.tenants.resolve("5491112345678", "whatsapp")
        async with p.locks.acquire(f"soak-{number % 8}", wait=10):
            pass
        waiting = asyncio.create_task(p.locks.acquire(f"soak-{number}", wait=10))
        await asyncio.sleep(0)
        waiting.cancel()
        [outcome] = await asyncio.gather(waiting, return_exceptions=True)
        # A free lock may have been answered at once. Kept, it would bar the way to the next round.
        if isinstance(outcome, posada.LockGuard):
            await outcome.release()
        try:
            await p.locks.release("soak", "nobody's")
        except posada.PosadaError:
            pass
        done[0] += 1

async def main(seconds, leak):
    settings = posada.Settings.build(postgres_url=os.environ["DATABASE_URL"], redis_url=os.environ["REDIS_URL"])
    async with posada.Posada.connect(settings) as p:
        await p.migrate()
        try:
            await p.tenants.create("hotel-soak", name="Soak")
            await p.tenants.add_identifier("hotel-soak", "5491112345678", "whatsapp")
        except posada.ConflictError:
            pass
        begun, done = time.monotonic(), [0]
        guests = [asyncio.create_task(guest(p, number, begun + seconds, done)) for number in range(64)]
        # The first half warms up: caches, allocators and the audit's queue find their size.
        await asyncio.sleep(seconds / 2)
        half, early = done[0], peak()
        leaked = bytearray(os.urandom(leak << 20))
        await asyncio.gather(*guests)
        late = peak()
        del leaked
        print(f"{done[0]} rounds in {seconds:.0f} s, at most {early:.1f} MB in the first half, {late:.1f} MB in all")
        assert done[0] > half > 0
        sys.exit(0 if late < early + 4 else LEAKS)

LEAKS = 3
asyncio.run(main(float(sys.argv[1]), int(sys.argv[2])))
"""

LEAKS = 3
"""The exit status of a soak whose memory grew."""


def soak(seconds: float, leak: int) -> subprocess.CompletedProcess[str]:
    """Works at full speed; in the middle of it the program itself leaks some megabytes."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SOAK), str(seconds), str(leak)],
        capture_output=True,
        text=True,
        timeout=seconds * 2 + 60,
        check=False,
    )


def test_memory_stays_flat_at_full_speed() -> None:
    """A minute; ``POSADA_SOAK_SECONDS=600`` makes it ten."""
    done = soak(SOAK_SECONDS, leak=0)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_leak_does_not_hide_behind_the_memory_of_the_parent_process() -> None:
    ballast = bytearray(os.urandom(1 << 20)) * 200
    done = soak(2, leak=30)
    assert len(ballast) == 200 << 20
    assert done.returncode == LEAKS, done.stdout + done.stderr
    early, late = map(float, re.findall(r"([\d.]+) MB", done.stdout))
    assert late - early > 25, done.stdout
