"""Rows on real servers: conversations, locks, tenants from Postgres, and calls to a property management system."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import glide
import httpx
import orjson
import posada
import redis.asyncio
from contest import Contest
from sqlalchemy import ForeignKey, select
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

CROWDS = (1, 32, 256)
IDENTIFIERS = 400_000
KEY = "the key of the benchmarks, long enough for HS256"


def redis_pool() -> redis.asyncio.BlockingConnectionPool:
    """As many connections as an app has."""
    return redis.asyncio.BlockingConnectionPool.from_url(os.environ["REDIS_URL"], max_connections=64, timeout=30)


def orm_engine() -> AsyncEngine:
    """SQLAlchemy as the app uses it."""
    _, place = os.environ["DATABASE_URL"].split("://", 1)
    return create_async_engine(f"postgresql+asyncpg://{place}", pool_size=10, max_overflow=0)


async def on_servers(contest: Contest) -> None:
    """All of them."""
    pool = redis_pool()
    settings = posada.Settings.build(
        postgres_url=os.environ["DATABASE_URL"], redis_url=os.environ["REDIS_URL"], secret_key=KEY
    )
    async with posada.Posada.connect(settings) as p, redis.asyncio.Redis.from_pool(pool) as r:
        await p.migrate()
        await sessions(contest, p, r)
        await locks(contest, p, r, "audited in Postgres", ("", "", ""))
        await tenants(contest, p)
    settings = posada.Settings.build(redis_url=os.environ["REDIS_URL"])
    async with posada.Posada.connect(settings) as p, redis.asyncio.Redis.from_pool(pool) as r:
        await locks(contest, p, r, "not audited", ("<= 0.80", "<= 0.14", "<= 0.125"))
        await contended(contest, p, r)
    await pms(contest)


async def sessions(contest: Contest, p: posada.Posada, r: redis.asyncio.Redis) -> None:
    """A conversation of about a kilobyte, one for each task."""
    word = uuid.uuid4().hex
    users = [f"{word}-{task}" for task in range(max(CROWDS))]
    kept = []
    for user in users:
        session = await p.sessions.get_or_create(user, "whatsapp")
        session.document["context"] = {f"key-{number}": "value " * 4 for number in range(25)}
        await p.sessions.save(session)
        kept.append(session)
    documents = [dict(session.document) for session in kept]

    async def load(task: int) -> object:
        session = await p.sessions.get(users[task])
        return None if session is None else session.document

    async def redis_load(task: int) -> object:
        return orjson.loads(await r.get(f"session:{users[task]}"))

    async def save(task: int) -> None:
        await p.sessions.save(kept[task])

    async def redis_save(task: int) -> None:
        await r.set(f"session:theirs-{users[task]}", orjson.dumps(documents[task]), ex=1800)

    address = urlsplit(os.environ["REDIS_URL"])
    assert address.hostname is not None
    node = glide.NodeAddress(address.hostname, address.port or 6379)
    client = await glide.GlideClient.create(glide.GlideClientConfiguration([node]))

    async def glide_load(task: int) -> object:
        return orjson.loads(await client.get(f"session:{users[task]}"))

    async def glide_save(task: int) -> None:
        kept_for = glide.ExpirySet(glide.ExpiryType.SEC, 1800)
        await client.set(f"session:theirs-{users[task]}", orjson.dumps(documents[task]), expiry=kept_for)

    for tasks, promise in zip(CROWDS, ("<= 0.87", "<= 0.20", "<= 0.18"), strict=True):
        await contest.awaited("sessions.get / redis-py + orjson", promise, tasks, load, redis_load)
        await contest.awaited("sessions.get / valkey-glide + orjson", "", tasks, load, glide_load)
    for tasks, promise in zip(CROWDS, ("<= 0.83", "<= 0.20", "<= 0.17"), strict=True):
        await contest.awaited("sessions.save / redis-py + orjson", promise, tasks, save, redis_save)
        await contest.awaited("sessions.save / valkey-glide + orjson", "", tasks, save, glide_save)
    await client.close()


async def locks(
    contest: Contest, p: posada.Posada, r: redis.asyncio.Redis, audit: str, promises: tuple[str, str, str]
) -> None:
    """A free lock, taken and given back. The other side writes no audit; ours adds two rows to Postgres for each."""
    word = uuid.uuid4().hex

    async def ours(task: int) -> None:
        async with p.locks.acquire(f"{word}-{task}", ttl=30):
            pass

    async def theirs(task: int) -> None:
        async with r.lock(f"theirs-{word}-{task}", timeout=30):
            pass

    for tasks, promise in zip(CROWDS, promises, strict=True):
        await contest.awaited(f"locks, {audit} / redis-py Lock", promise, tasks, ours, theirs)


async def contended(contest: Contest, p: posada.Posada, r: redis.asyncio.Redis) -> None:
    """One lock for twenty callers, who keep it for a millisecond. The ideal is fair, and stays inside the process."""
    name, ideal, loop = uuid.uuid4().hex, asyncio.Lock(), asyncio.get_running_loop()

    async def keep() -> None:
        # A thread's sleep: the loop's timer would make two milliseconds of one.
        await loop.run_in_executor(None, time.sleep, 0.001)

    async def ours(_: int) -> None:
        async with p.locks.acquire(name, ttl=10, wait=60):
            await keep()

    async def theirs(_: int) -> None:
        async with r.lock(f"theirs-{name}", timeout=10, blocking_timeout=60):
            await keep()

    async def inside(_: int) -> None:
        async with ideal:
            await keep()

    row = "locks, contended"
    await contest.awaited(f"{row} / redis-py Lock", "<= 0.16, 1.67 ms", 20, ours, theirs)
    await contest.awaited(f"{row} / asyncio.Lock", "", 20, ours, inside)
    await contest.tail(f"{row} / asyncio.Lock", "<= 1.5", 20, ours, inside)


class Base(DeclarativeBase):
    """The app's tables."""


class Tenant(Base):
    """A hotel."""

    __tablename__ = "tenants"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    name: Mapped[str]
    status: Mapped[str]


class Identifier(Base):
    """An identifier of a hotel."""

    __tablename__ = "tenant_user_identifiers"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    identifier: Mapped[str]


async def tenants(contest: Contest, p: posada.Posada) -> None:
    """Identifiers that were not asked for yet, each once."""
    if not contest.wants("tenants.resolve, uncached"):
        return
    name = f"bench-{uuid.uuid4().hex[:12]}"
    await p.tenants.create(name, name="Bench")
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=10, max_size=10) as pool:
        key = await pool.fetchval("SELECT id FROM tenants WHERE tenant_id = $1", name)
        rows = "SELECT $1, '+54911' || (10000000 + n) FROM generate_series(1, $2::int) AS n ON CONFLICT DO NOTHING"
        await pool.execute(f"INSERT INTO tenant_user_identifiers (tenant_id, identifier) {rows}", key, IDENTIFIERS)
        await pool.execute("ANALYZE tenant_user_identifiers")
        engine = orm_engine()
        begin = async_sessionmaker(engine)
        numbers = (f"54911{10_000_000 + n}" for n in range(1, IDENTIFIERS))
        others = itertools.cycle(f"+54911{10_000_000 + n}" for n in range(1, IDENTIFIERS))
        statement = (
            "SELECT t.tenant_id, t.name, t.status FROM tenants t "
            "JOIN tenant_user_identifiers i ON i.tenant_id = t.id WHERE i.identifier = $1"
        )

        async def ours(_: int) -> object:
            return (await p.tenants.resolve(next(numbers), "whatsapp")).tenant

        async def bare(_: int) -> object:
            return await pool.fetchrow(statement, next(others))

        async def orm(_: int) -> object:
            async with begin() as session:
                asked = select(Tenant).join(Identifier).where(Identifier.identifier == next(others))
                return (await session.execute(asked)).scalar_one_or_none()

        for tasks, promise in zip(CROWDS, ("<= 0.56", "<= 0.36", "<= 0.40"), strict=True):
            await contest.awaited("tenants.resolve, uncached / asyncpg", promise, tasks, ours, bare)
        for tasks, promise in zip(CROWDS, ("<= 0.18", "<= 0.07", "<= 0.07"), strict=True):
            await contest.awaited("tenants.resolve, uncached / SQLAlchemy", promise, tasks, ours, orm)
        await engine.dispose()


async def pms(contest: Contest) -> None:
    """A guest looked up by the address, in a shop that answers at once."""
    if not contest.wants("pms.guest"):
        return
    program = Path(__file__).with_name("shop.py")
    shop = await asyncio.create_subprocess_exec(sys.executable, program, stdout=asyncio.subprocess.PIPE)
    try:
        assert shop.stdout is not None
        url = (await shop.stdout.readline()).decode().strip()
        settings = posada.Settings.build(
            pms_qloapps=(url, "0123456789ABCDEF0123456789ABCDEF"), pms_max_rate=100_000, pms_max_concurrent=256
        )
        limits = httpx.Limits(max_connections=256, max_keepalive_connections=256)
        async with posada.Posada.connect(settings) as p, httpx.AsyncClient(limits=limits, timeout=30) as http:
            query = {"filter[email]": "ana@example.com", "output_format": "JSON", "display": "full"}

            async def ours(_: int) -> object:
                return await p.pms.guest("ana@example.com")

            async def theirs(_: int) -> object:
                return orjson.loads((await http.get(f"{url}/api/customers", params=query)).content)

            assert await ours(0) is not None
            for tasks, promise in zip((1, 32), ("<= 0.25", "<= 0.04"), strict=True):
                await contest.awaited("pms.guest / httpx", promise, tasks, ours, theirs)
    finally:
        shop.kill()
        await shop.wait()
