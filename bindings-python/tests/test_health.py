"""What a load balancer is told, and what limits do, while a server is down or refuses to work."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import time
from contextlib import suppress
from urllib.parse import urlsplit

import posada
import pytest
from fastapi import Depends, FastAPI
from posada.fastapi import add_error_handlers, health_router, lifespan, rate_limit
from support import Gate, in_process, run, server_settings, unique


class Refusing:
    """A Redis that greets its clients and refuses everything else in these words."""

    def __init__(self, words: str) -> None:
        self._reply = f"-{words}\r\n".encode()
        self._clients: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> Refusing:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._clients.values():
            writer.close()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients[task] = writer
        greeting = {b"HELLO": b"%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n", b"CLIENT": b"+OK\r\n"}
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readline():
                words = []
                for _ in range(int(head[1:])):
                    size = int((await reader.readline())[1:])
                    words.append((await reader.readexactly(size + 2))[:size])
                writer.write(greeting.get(words[0], self._reply))
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def app_on(settings: posada.Settings) -> FastAPI:
    app = FastAPI(lifespan=lifespan(lambda: posada.Posada.build(settings)))
    add_error_handlers(app)
    app.include_router(health_router())

    @app.get("/limited", dependencies=[Depends(rate_limit("2/hour"))])
    async def limited() -> str:
        return "welcome"

    return app


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("NOREPLICAS Not enough good replicas to write.", "redis.unavailable"),
        ("MISCONF Redis is configured to save RDB snapshots", "redis.unavailable"),
        ("ERR max daily request limit exceeded. Limit: 10000, Usage: 10001.", "redis.unavailable"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "redis.out_of_memory"),
        ("NOPERM this user has no permissions to run the 'evalsha' command", "redis.refused"),
        ("TEAPOT short and stout", "redis.unavailable"),
    ],
)
def test_a_redis_that_refuses_work_is_not_ready_and_limits_count_here(words: str, code: str) -> None:
    async def job() -> None:
        async with Refusing(words) as redis:
            settings = posada.Settings.build(postgres_url="memory:", redis_url=redis.url)
            app = app_on(settings)
            async with in_process(app) as client:
                assert [(await client.get("/limited")).status_code for _ in range(3)] == [200, 200, 429]
                ready = await client.get("/health/ready")
                assert ready.status_code == 503
                assert (ready.json()["ready"], ready.json()["redis"]) == (False, "error")
                p: posada.Posada = app.state.posada
                assert (await p.health()).redis_error == code
                with pytest.raises(posada.PosadaError) as error:
                    await p.flags.set("ai_enabled", True)
                assert error.value.code == code
                if code == "redis.unavailable":
                    assert words in str(error.value)

    run(job())


def test_without_postgres_a_process_that_knows_its_hotels_stays_ready() -> None:
    hotel, sender = unique("hotel"), f"+54911{time.time_ns() % 10**8:08d}"

    async def job(gate: Gate) -> None:
        server, way = urlsplit(os.environ["DATABASE_URL"]), urlsplit(gate.url)
        whom = server.netloc.rpartition("@")[0]
        app = app_on(server_settings(postgres_url=server._replace(netloc=f"{whom}@{way.netloc}").geturl()))
        async with in_process(app) as client:
            p: posada.Posada = app.state.posada
            await p.tenants.create(hotel, name="Hotel Test")
            await p.tenants.add_identifier(hotel, sender, "whatsapp")
            assert (await p.tenants.resolve(sender, "whatsapp")).tenant is not None
            assert (await client.get("/health/ready")).json()["status"] == "healthy"
            gate.shut()
            ready = await client.get("/health/ready")
            body = ready.json()
            assert (ready.status_code, body["status"], body["postgres"]) == (200, "degraded", "error")
            assert body["checks"] == {"database": False, "redis": True, "pms": True}
            assert body["serves"] == {"guests": True, "sign_in": False}
            health = await p.health()
            assert health.is_ready
            assert not health
            assert health.status == "degraded"
            assert (await p.tenants.resolve(sender, "whatsapp")).tenant is not None
            gate.open()

    with Gate("DATABASE_URL") as gate:
        run(job(gate))


def test_no_refusal_says_that_the_request_may_come_back_at_once() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            for strategy in ("fixed_window", "moving_window", "sliding_window_counter"):
                limit = posada.RateLimit("3/minute", strategy=strategy)
                for _ in range(3):
                    assert await p.limits.check(limit, strategy)
                refused = await p.limits.check(limit, strategy)
                assert not refused
                assert refused.retry_after > dt.timedelta(0)
                never = await p.limits.check(limit, "else", cost=4)
                assert (never.allowed, never.retry_after) == (False, limit.window)
                zero = await p.limits.check(posada.RateLimit("0/minute", strategy=strategy), strategy)
                assert (zero.allowed, zero.retry_after) == (False, dt.timedelta(minutes=1))
            for text in ("5/4294967295year", "5/101 years", "x" * 100_000):
                with pytest.raises(posada.InvalidError) as error:
                    posada.RateLimit(text)
                assert error.value.code == "limits.invalid"
                assert len(str(error.value)) < 400

    run(job())
