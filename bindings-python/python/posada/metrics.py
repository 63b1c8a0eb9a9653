"""What posada counts, as Prometheus reads it.

The names are those of the app's dashboards and alerts, such as ``lock_operations_total``. A process counts for
itself. Several workers behind one port (``uvicorn --workers 4``, gunicorn) would show Prometheus now one's numbers and
now another's, so that counters seem to jump back: let each have a page of its own with ``serve``, and scrape all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeAlias

from posada import _native
from posada._checks import several, text, whole

__all__ = ["CONTENT_TYPE", "record", "render", "serve"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The media type of ``render``."""

_PATIENCE: Final = 5.0
"""Seconds in which a scraper has asked and has read the page."""


def record() -> None:
    """Counts from now on. Call it before the first handle is opened; until then nothing is counted and kept."""
    _native.record_metrics()


def render() -> str:
    """Everything that was counted, in the text format of Prometheus; empty before ``record``."""
    return _native.render_metrics()


@asynccontextmanager
async def serve(ports: Iterable[int], host: str = "127.0.0.1") -> AsyncIterator[int]:
    """``/metrics`` of this process alone, on the first of these ports that is free; which one, is what it yields.

    For several workers of one app: each takes the next port of ``range(9464, 9472)``, and Prometheus scrapes them all::

        @asynccontextmanager
        async def living(app: FastAPI) -> AsyncIterator[dict[str, Posada]]:
            async with lifespan()(app) as state, metrics.serve(range(9464, 9472)):
                yield state

    All who reach ``host`` see the page; by default that is this machine only. Raises ``OSError`` when no port is
    free.
    """
    record()
    asked: set[asyncio.Task[None] | None] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        asked.add(task)
        try:
            # Whatever the scraper does wrong, or does not do, is its own loss.
            with suppress(OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await asyncio.wait_for(_exchange(reader, writer), _PATIENCE)
        finally:
            asked.discard(task)
            writer.close()

    server = await _listen(answer, text("host", host), [whole("ports", port, 16) for port in several("ports", ports)])
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        left = [task for task in asked if task is not None]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


_Answer: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]


async def _listen(answer: _Answer, host: str, ports: list[int]) -> asyncio.Server:
    taken = OSError("no port was given")
    for port in ports:
        try:
            return await asyncio.start_server(answer, host, port)
        except OSError as refusal:
            taken = refusal
    raise taken


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    method, _, rest = head.partition(b" ")
    found = method == b"GET" and rest.partition(b" ")[0].partition(b"?")[0] == b"/metrics"
    status, body = ("200 OK", render().encode()) if found else ("404 Not Found", b"")
    headers = f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    writer.write(f"HTTP/1.1 {status}\r\n{headers}\r\n".encode() + body)
    await writer.drain()
