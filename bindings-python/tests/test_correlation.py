"""A request can be followed into the hotels' own systems."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import posada
import pytest
from fastapi import FastAPI
from posada.fastapi import CorrelationMiddleware, CurrentPosada, add_error_handlers, lifespan
from support import in_process, run, server_settings

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
BEGINNING = dt.datetime(2027, 3, 10, tzinfo=dt.timezone.utc)
NAMES = ("x-request-id", "x-correlation-id", "traceparent")

Heads = list[dict[str, str]]


@asynccontextmanager
async def shop() -> AsyncIterator[tuple[str, Heads]]:
    """A shop that notes what it is asked with, and refuses everything."""
    heads: Heads = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
        head = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        heads.append({name: head[name] for name in NAMES if name in head})
        writer.write(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}", heads


def ids(request_id: str, **more: str) -> dict[str, str]:
    return {"x-request-id": request_id, "x-correlation-id": request_id, **more}


async def hotels(p: posada.Posada) -> None:
    with pytest.raises(posada.PosadaError):
        await p.pms.hotels()


async def changes(p: posada.Posada) -> None:
    with pytest.raises(posada.PosadaError):
        await anext(p.pms.changes_since(BEGINNING))


def test_what_is_asked_of_a_shop_belongs_to_the_request_of_its_task() -> None:
    async def work() -> None:
        inner = ids("req-2", traceparent=TRACE)
        async with shop() as (url, heads), posada.Posada.build(server_settings(pms_qloapps=(url, "KEY"))) as p:
            await hotels(p)
            with posada.correlation("req-1"):
                await hotels(p)
                with posada.correlation("req-2", traceparent=TRACE):
                    await asyncio.create_task(hotels(p))
                    assert {name.lower(): value for name, value in posada.correlation_headers().items()} == inner
                assert posada.correlation_headers()["X-Request-ID"] == "req-1"
            assert posada.correlation_headers() == {}
            with posada.correlation("req-3"):
                await changes(p)
            # A call asks several things at once, so what it no longer wants to know may arrive later.
            for expected in ({}, ids("req-1"), inner, ids("req-3")):
                assert expected in heads
                heads = [head for head in heads if head != expected]
            assert heads == []

    run(work())


def test_ids_that_cannot_be_sent_are_refused_by_name() -> None:
    for bad in ("", "a b", "a\r\nHost: x", "ñ", "x" * 129):
        with pytest.raises(posada.InvalidError) as refused, posada.correlation(bad):
            pass
        assert (refused.value.code, refused.value.field) == ("pms.invalid_request", "request_id")
    with pytest.raises(posada.InvalidError) as refused, posada.correlation("req-1", traceparent="00-1-2-3"):
        pass
    assert refused.value.field == "traceparent"
    with pytest.raises(TypeError, match="request_id"), posada.correlation(7):  # type: ignore[arg-type]
        pass
    assert posada.correlation_headers() == {}


def test_a_request_of_the_app_is_followed() -> None:
    async def work() -> None:
        async with shop() as (url, heads):
            settings = server_settings(pms_qloapps=(url, "KEY"))
            app = FastAPI(lifespan=lifespan(lambda: posada.Posada.build(settings)))
            app.add_middleware(CorrelationMiddleware)
            add_error_handlers(app)

            @app.get("/hotels")
            async def hotels(p: CurrentPosada) -> int:
                return len(await p.pms.hotels())

            async with in_process(app) as client:
                brought = ids("req-1", traceparent=TRACE)
                for given, sent in (
                    (brought, brought),
                    ({"X-Correlation-ID": "req-2", "traceparent": "nonsense"}, ids("req-2")),
                ):
                    answer = await client.get("/hotels", headers=given)
                    assert sent in heads
                    assert answer.headers["x-request-id"] == answer.headers["x-correlation-id"] == sent["x-request-id"]
                made = set()
                for given in ({}, {"X-Request-ID": "not one"}):
                    answer = await client.get("/hotels", headers=given)
                    made.add(answer.headers["x-request-id"])
                    assert ids(answer.headers["x-request-id"]) in heads
                assert len(made) == 2

    run(work())
