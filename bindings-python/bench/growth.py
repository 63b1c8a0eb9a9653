"""Rows of growth: each operation on a thousand of its kind, among a million and alone."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import posada
import redis.asyncio
from contest import Contest

FEW, MANY = 1_000, 1_000_000
CACHED, FLAGS = 50_000, 10_000
"""The large numbers of what every process holds: as many identifiers as a resolver keeps, and more flags than anybody
has."""
FLAT = "<= 1.25"
EARLIER = posada.Stay(dt.date(2027, 3, 10), dt.date(2027, 3, 12))
LATER = posada.Stay(dt.date(2027, 5, 10), dt.date(2027, 5, 12))

# Copies a key that posada wrote, whose name has "word-0", so often.
COPY = """
local from, first, last = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
for number = first, last do
  local to = string.gsub(from, 'word%-0', 'word-' .. number)
  redis.call('COPY', from, to)
end
"""
# Adds as many members to an index, as far as its only one says how they look.
INDEX = """
local member, score = unpack(redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES'))
for number = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  redis.call('ZADD', KEYS[1], score + number, (string.gsub(member, 'word%-0', 'word-' .. number)))
end
"""


async def growth(contest: Contest) -> None:
    """All of them."""
    if not contest.wants("growth"):
        return
    async with AsyncExitStack() as stack:
        few = await stack.enter_async_context(_grown(1, FEW, FEW))
        many = await stack.enter_async_context(_grown(2, MANY, FLAGS))
        for name, way in ROWS:
            await contest.awaited(f"growth: {name}, 10^6 / 10^3", FLAT, 1, way(many, MANY), way(few, FEW))
        cached = "growth: tenants.resolve, cached, 50,000 / 10^3"
        await contest.awaited(cached, FLAT, 1, await _cached(many, CACHED), await _cached(few, FEW))
        contest.plain("growth: flags.is_enabled, 10^4 / 10^3", FLAT, _flag(many, FLAGS), _flag(few, FEW))


@asynccontextmanager
async def _grown(number: int, size: int, flags: int) -> AsyncIterator[posada.Posada]:
    """A handle whose servers keep so much, in databases of their own."""
    database, cache = f"posada_growth_{number}", _other(os.environ["REDIS_URL"], str(number))
    maker = await asyncpg.connect(os.environ["DATABASE_URL"])
    await maker.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    await maker.execute(f"CREATE DATABASE {database}")
    postgres = _other(os.environ["DATABASE_URL"], database)
    settings = posada.Settings.build(postgres_url=postgres, redis_url=cache)
    try:
        async with redis.asyncio.Redis.from_url(cache) as r:
            await r.flushdb(asynchronous=True)
            await r.hset("feature_flags", mapping={f"flag.{n}": 1 for n in range(flags)})
            async with posada.Posada.connect(settings) as p:
                await p.migrate()
                await _seed(p)
                await _multiply(r, size)
                await _identifiers(postgres, size)
                yield p
            await r.flushdb(asynchronous=True)
    finally:
        await maker.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        await maker.close()


def _other(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


async def _seed(p: posada.Posada) -> None:
    """One of each kind."""
    hotel = await p.tenants.create("hotel", name="Hotel")
    await p.sessions.save(await p.sessions.get_or_create("word-0", "whatsapp", tenant=hotel))
    async with p.locks.acquire("word-0", tenant=hotel, ttl=30):
        pass
    await p.locks.hold_stay("room:word-0", EARLIER.check_in, EARLIER.check_out, tenant=hotel, ttl=3600)


async def _multiply(r: redis.asyncio.Redis, size: int) -> None:
    """That number of each kind, as copies of the one that is there."""
    copy, index = r.register_script(COPY), r.register_script(INDEX)
    kinds = [key async for key in r.scan_iter(match="*word-0*")]
    for first in range(1, size, 10_000):
        last = min(first + 10_000, size) - 1
        for key in kinds:
            await copy(keys=[key], args=[first, last])
        await index(keys=["posada:sessions:hotel"], args=[first, last])


async def _identifiers(postgres: str, size: int) -> None:
    connection = await asyncpg.connect(postgres)
    rows = "SELECT id, '+54911' || (10000000 + n) FROM tenants, generate_series(0, $1::int - 1) AS n"
    await connection.execute(f"INSERT INTO tenant_user_identifiers (tenant_id, identifier) {rows}", size)
    await connection.execute("ANALYZE tenant_user_identifiers")
    await connection.close()


Way = Callable[[int], Awaitable[object]]


def _words(size: int) -> list[str]:
    return [f"word-{number}" for number in random.sample(range(size), FEW)]


def _load(p: posada.Posada, size: int) -> Way:
    """The first of a conversation in a process also looks after the index, in the background; the rounds that warm up
    have done that."""
    users = _words(size)

    async def work(_: int) -> None:
        assert await p.sessions.get(random.choice(users), tenant="hotel") is not None

    return work


def _touch(p: posada.Posada, size: int) -> Way:
    users = _words(size)

    async def work(_: int) -> None:
        assert await p.sessions.touch(random.choice(users), tenant="hotel")

    return work


def _stranger(p: posada.Posada, _: int) -> Way:
    """Asks Postgres each time: an unknown number is not asked for twice."""
    numbers = itertools.count(549_11_3_000_0000)

    async def work(_: int) -> None:
        assert not await p.tenants.resolve(str(next(numbers)), "whatsapp")

    return work


def _lock(p: posada.Posada, size: int) -> Way:
    names = _words(size)

    async def work(_: int) -> None:
        async with p.locks.acquire(random.choice(names), tenant="hotel", ttl=30):
            pass

    return work


def _hold(p: posada.Posada, size: int) -> Way:
    """A stay on a room that has another hold already, as each of them has."""
    rooms = [f"room:{word}" for word in _words(size)]

    async def work(_: int) -> None:
        room = random.choice(rooms)
        async with p.locks.hold_stay(room, LATER.check_in, LATER.check_out, tenant="hotel", ttl=30):
            pass

    return work


ROWS: tuple[tuple[str, Callable[[posada.Posada, int], Way]], ...] = (
    ("sessions.get", _load),
    ("sessions.touch", _touch),
    ("tenants.resolve, a stranger", _stranger),
    ("locks.acquire", _lock),
    ("locks.hold_stay", _hold),
)


async def _cached(p: posada.Posada, size: int) -> Way:
    numbers = [f"54911{10_000_000 + n}" for n in range(size)]
    for answer in await p.tenants.resolve_many(numbers, "whatsapp"):
        assert isinstance(answer, posada.Resolution)
    some = random.sample(numbers, FEW)

    async def work(_: int) -> None:
        assert await p.tenants.resolve(random.choice(some), "whatsapp")

    return work


def _flag(p: posada.Posada, size: int) -> Callable[[], object]:
    flags = [f"flag.{number}" for number in random.sample(range(size), FEW)]
    return lambda: p.flags.is_enabled(random.choice(flags), tenant="hotel", user="ana")
