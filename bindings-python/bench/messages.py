"""Rows of a whole request through FastAPI: a message of a guest with posada and without."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson
import posada
import redis.asyncio
from contest import Contest
from fastapi import FastAPI, Request
from servers import CROWDS, Identifier, Tenant, orm_engine, redis_pool
from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker

STAY = posada.Stay(dt.date(2027, 3, 10), dt.date(2027, 3, 12))
NIGHTS = f"{STAY.check_in}:{STAY.check_out}"


async def messages(contest: Contest) -> None:
    """All of them."""
    if not (contest.wants("a message") or contest.wants("a request")):
        return
    pool, engine = redis_pool(), orm_engine()
    settings = posada.Settings.build(postgres_url=os.environ["DATABASE_URL"], redis_url=os.environ["REDIS_URL"])
    async with posada.Posada.connect(settings) as p, redis.asyncio.Redis.from_pool(pool) as r:
        await p.migrate()
        number = f"54911{uuid.uuid4().int % 10**8:08d}"
        hotel = await p.tenants.create(f"bench-{uuid.uuid4().hex[:12]}", name="Bench")
        await p.tenants.add_identifier(hotel, number, "whatsapp")
        await p.flags.set("booking.enabled", True)
        begin = async_sessionmaker(engine)
        ours, theirs = _with_posada(p, hotel.id), _without(r, begin)
        await r.set("theirs:availability", orjson.dumps([{"room_type": n, "available": 5} for n in range(4)]))
        await _two_ways(contest, ours, theirs, number)
    await engine.dispose()


async def _two_ways(contest: Contest, ours: FastAPI, theirs: FastAPI, number: str) -> None:
    word = uuid.uuid4().hex

    def asks(app: FastAPI, path: str) -> Callable[[int], Awaitable[object]]:
        bodies = [orjson.dumps({"guest": f"{word}-{task}", "number": number, "text": "hola"}) for task in range(256)]

        async def work(task: int) -> object:
            return await _post(app, path, bodies[task])

        return work

    same = "a request with a cached tenant / one without"
    await contest.awaited(same, "<= 1.10", 1, asks(ours, "/tenant"), asks(ours, "/nothing"))
    orm = "a request with a cached tenant / one with SQLAlchemy"
    for tasks, promise in zip((1, 32), ("<= 0.10", "<= 0.14"), strict=True):
        await contest.awaited(orm, promise, tasks, asks(ours, "/tenant"), asks(theirs, "/tenant"))
    message = "a message: tenant to hold / redis-py, SQLAlchemy"
    for tasks, promise in zip(CROWDS, ("", "<= 0.20", ""), strict=True):
        await contest.awaited(message, promise, tasks, asks(ours, "/message"), asks(theirs, "/message"))
        await contest.tail(message, "<= 0.33", tasks, asks(ours, "/message"), asks(theirs, "/message"))


def _with_posada(p: posada.Posada, hotel: str) -> FastAPI:
    app, rooms = FastAPI(), itertools.count()

    @app.post("/nothing")
    async def nothing(request: Request) -> dict[str, str]:
        await request.json()
        return {"tenant": hotel}

    @app.post("/tenant")
    async def tenant(request: Request) -> dict[str, str]:
        body = await request.json()
        found = (await p.tenants.resolve(body["number"], "whatsapp")).tenant
        return {"tenant": "" if found is None else found.id}

    @app.post("/message")
    async def message(request: Request) -> dict[str, Any]:
        body = await request.json()
        found = (await p.tenants.resolve(body["number"], "whatsapp")).tenant
        assert found is not None
        session = await p.sessions.get_or_create(body["guest"], "whatsapp", tenant=found)
        session.document["context"]["last"] = body["text"]
        await p.sessions.save(session)
        assert p.flags.is_enabled("booking.enabled", tenant=found, user=body["guest"])
        offers = await p.pms.availability(1, STAY, adults=2)
        async with p.locks.hold_stay(
            f"room_type:1/{next(rooms)}", STAY.check_in, STAY.check_out, tenant=found, session_id=session.id
        ):
            return {"offers": len(offers)}

    return app


def _without(r: redis.asyncio.Redis, begin: async_sessionmaker[Any]) -> FastAPI:
    app, rooms = FastAPI(), itertools.count()

    async def find(number: str) -> Tenant:
        async with begin() as session:
            asked = select(Tenant).join(Identifier).where(Identifier.identifier == f"+{number}")
            found: Tenant = (await session.execute(asked)).scalar_one()
            return found

    @app.post("/tenant")
    async def tenant(request: Request) -> dict[str, str]:
        body = await request.json()
        return {"tenant": (await find(body["number"])).tenant_id}

    @app.post("/message")
    async def message(request: Request) -> dict[str, Any]:
        body = await request.json()
        found = await find(body["number"])
        key = f"theirs:session:{found.tenant_id}:{body['guest']}"
        stored = await r.get(key)
        document = {"user_id": body["guest"], "context": {}} if stored is None else orjson.loads(stored)
        document["context"]["last"] = body["text"]
        await r.set(key, orjson.dumps(document), ex=1800)
        assert await r.hget("feature_flags", "booking.enabled") == b"1"
        offers = orjson.loads(await r.get("theirs:availability"))
        async with r.lock(f"theirs:room_type:{next(rooms)}:{NIGHTS}", timeout=1200):
            return {"offers": len(offers)}

    return app


async def _post(app: FastAPI, path: str, body: bytes) -> object:
    """One request, handed to the app as a server does it."""
    scope: MutableMapping[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    answer = bytearray()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200
        else:
            answer.extend(message["body"])

    await app(scope, receive, send)
    return json.loads(answer)
