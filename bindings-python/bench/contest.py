"""Two ways of doing a thing, in turns: as ``tests/benches/ratios/contest.rs``, for Python."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

ROUNDS = 9
SLICE = 0.1

Work = Callable[[int], Awaitable[object]]
"""An operation; the argument is the number of the task that runs it."""


class Contest:
    """Prints a row for each comparison whose name holds the filter."""

    def __init__(self, only: str) -> None:
        self._only = only

    def wants(self, name: str) -> bool:
        """Whether a row is asked for."""
        return self._only in f"python {name}"

    async def awaited(self, name: str, promise: str, tasks: int, ours: Work, theirs: Work) -> None:
        """Compares two coroutines, run by `tasks` tasks at once."""
        await self._compare(name, promise, tasks, ours, theirs, _slice)

    async def tail(self, name: str, promise: str, tasks: int, ours: Work, theirs: Work) -> None:
        """Compares how long the slowest hundredth takes."""
        await self._compare(f"{name}, p99", promise, tasks, ours, theirs, _slowest)

    async def _compare(
        self,
        name: str,
        promise: str,
        tasks: int,
        ours: Work,
        theirs: Work,
        measure: Callable[[int, Work], Awaitable[float]],
    ) -> None:
        if not self.wants(name):
            return
        rounds: list[tuple[float, float]] = []
        for number in range(ROUNDS + 1):
            spent = {}
            for work in (ours, theirs) if number % 2 else (theirs, ours):
                spent[work] = await measure(tasks, work)
            rounds.append((spent[ours], spent[theirs]))
        _print(f"{name}, {tasks} tasks", promise, rounds)

    def plain(self, name: str, promise: str, ours: Callable[[], object], theirs: Callable[[], object]) -> None:
        """Compares two functions."""
        if not self.wants(name):
            return
        rounds: list[tuple[float, float]] = []
        for number in range(ROUNDS + 1):
            spent = {}
            for work in (ours, theirs) if number % 2 else (theirs, ours):
                spent[work] = _timed(work)
            rounds.append((spent[ours], spent[theirs]))
        _print(name, promise, rounds)


def heading() -> None:
    """The line above the rows."""
    print(f"\n{ROUNDS} rounds; ratio below 1 means faster than the reference\n")
    print(f"{'row':<58} {'ours':>10} {'reference':>10} {'ratio':>8}   promise")


async def _slice(tasks: int, work: Work) -> float:
    begun = time.perf_counter()
    end = begun + SLICE

    async def run(task: int) -> int:
        done = 0
        while True:
            # Several between two looks at the clock, so that the clock does not count.
            for _ in range(16 if tasks == 1 else 1):
                await work(task)
                done += 1
            if time.perf_counter() > end:
                return done

    counts = await asyncio.gather(*(run(task) for task in range(tasks)))
    return (time.perf_counter() - begun) / sum(counts)


async def _slowest(tasks: int, work: Work) -> float:
    """How long the slowest hundredth takes at least."""
    took: list[float] = []

    async def timed(task: int) -> None:
        begun = time.perf_counter()
        await work(task)
        took.append(time.perf_counter() - begun)

    await _slice(tasks, timed)
    return statistics.quantiles(took, n=100)[-1]


def _timed(work: Callable[[], object]) -> float:
    done, begun = 0, time.perf_counter()
    while True:
        for _ in range(16):
            work()
        done += 16
        spent = time.perf_counter() - begun
        if spent > SLICE:
            return spent / done


def _print(name: str, promise: str, rounds: list[tuple[float, float]]) -> None:
    counted = rounds[1:]  # the first warms up
    ours, theirs = (statistics.median(each) for each in zip(*counted, strict=True))
    ratio = statistics.median(one / other for one, other in counted)
    print(f"{name:<58} {_time(ours):>10} {_time(theirs):>10} {ratio:>8.3f}   {promise}", flush=True)


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.2f} {unit}"
    return f"{seconds / 1e-9:.0f} ns"
