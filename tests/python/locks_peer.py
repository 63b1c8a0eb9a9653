"""Contends for one lock of redis-py: NAME CALLERS TURNS HOLD in, the seconds of the run and all waits in order out."""

import asyncio
import sys
import time

from redis.asyncio import Redis


async def contend(name, callers, turns, hold):
    client = Redis.from_url(sys.argv[1])
    waits = []

    async def caller():
        for _ in range(turns):
            asked = time.perf_counter()
            async with client.lock(name, timeout=10):
                waits.append(time.perf_counter() - asked)
                await asyncio.sleep(hold)

    begun = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    seconds = time.perf_counter() - begun
    await client.aclose()
    return [seconds, *sorted(waits)]


for line in sys.stdin:
    name, callers, turns, hold = line.split()
    numbers = asyncio.run(contend(name, int(callers), int(turns), float(hold)))
    print(*numbers, flush=True)
