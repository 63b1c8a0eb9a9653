"""What the tests share: a runner for coroutines, and where the servers are."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import subprocess
import sys
import textwrap
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import posada
import redis.asyncio
import uvicorn
from fastapi import FastAPI
from posada import compat
from posada._loop_bridges import loop_bridges
from prometheus_client import REGISTRY

Answer = TypeVar("Answer")

ROOT = Path(__file__).resolve().parents[2]
"""The root of the repository."""

VECTORS = ROOT / "tests" / "vectors"
"""The vectors that all languages share."""


def run(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Runs a coroutine in an event loop of its own, at most five minutes long: what hangs fails."""
    return asyncio.run(asyncio.wait_for(work, 300))


def waiting() -> int:
    """How many operations the tasks of the running loop wait for."""
    bridge = loop_bridges.get(asyncio.get_running_loop())
    return 0 if bridge is None else bridge.waiting


async def until(condition: Callable[[], Any]) -> None:
    """Waits until something is true, with the patience of the whole test."""
    while not condition():
        await asyncio.sleep(0.005)


def unique(word: str) -> str:
    """A name that no other test has."""
    return f"{word}-{uuid.uuid4().hex[:12]}"


def number() -> str:
    """An Argentine mobile number that no other test has, as WhatsApp sends it."""
    return f"54911{int(unique('x')[2:], 16) % 10**8:08d}"


def server_settings(**options: Any) -> posada.Settings:
    """The servers that were started for the tests."""
    servers = {"postgres_url": os.environ["DATABASE_URL"], "redis_url": os.environ["REDIS_URL"]}
    return posada.Settings.build(**{**servers, "secret_key": "the key of the tests, long enough for HS256", **options})


def wamid(sender: str) -> str:
    """The id of a message of WhatsApp that no other test has: 80 characters and more, the sender's number in base64."""
    told = f"\x1c\x18{chr(len(sender))}{sender}\x15\x02\0\x12\x18\x20{uuid.uuid4().hex.upper()}\0"
    return "wamid." + base64.b64encode(told.encode()).decode()


Open = Callable[[], Any]
"""Opens a handle: an async context manager."""


BUSY_MACHINE = """
import logging
logging.getLogger("asyncio").addFilter(lambda record: not record.getMessage().startswith("Executing "))
"""
"""Keeps asyncio's debug mode from reporting callbacks of more than 0.1 s: that says how busy the machine is."""


def python(program: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs a program in an interpreter of its own, with every warning an error message."""
    command = [sys.executable, "-X", "dev", "-W", "error", *options, "-c", BUSY_MACHINE + textwrap.dedent(program)]
    return subprocess.run(command, capture_output=True, text=True, timeout=45, check=False)


def assert_quiet(done: subprocess.CompletedProcess[str], output: str = "") -> None:
    """The program did what it should and nothing else was said."""
    assert (done.returncode, done.stdout, done.stderr) == (0, output, "")


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A socket on a free port that already takes connections, for a server that is about to start."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as made:
        yield made


NO_REUSE = httpx.Limits(max_keepalive_connections=0)
"""A server closes a connection that was idle for seconds, or on which a route raised, perhaps when the next request was
just written to it; a client of a test on a slow machine would fail."""


@contextmanager
def asking(app: FastAPI) -> Iterator[httpx.Client]:
    """A client of the app on a real socket, served by uvicorn in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    with listening() as socket:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{socket.getsockname()[1]}"
        try:
            with httpx.Client(base_url=address, timeout=30, limits=NO_REUSE) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


@asynccontextmanager
async def in_process(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app without a socket, in this loop."""
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client,
    ):
        yield client


def with_client(job: Callable[[redis.asyncio.Redis], Coroutine[Any, Any, None]]) -> None:
    """Runs a job with a client of Redis as the app makes it; whatever the shells opened is closed at the end."""

    async def work() -> None:
        async with redis.asyncio.Redis.from_url(os.environ["REDIS_URL"]) as client:
            try:
                await job(client)
            finally:
                await compat.close()

    run(work())


def metric(name: str, **labels: str) -> float:
    """What the shells counted."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


class Gate:
    """A way to a server that can be shut: connections break, and new ones end at once, until it is opened again."""

    def __init__(self, variable: str) -> None:
        self._server = urlsplit(os.environ[variable])
        self._is_open = True
        self._ways: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Gate:
        self._thread.start()
        self._gate = self._do(asyncio.start_server(self._pass, "127.0.0.1", 0))
        port = self._gate.sockets[0].getsockname()[1]
        self.url = self._server._replace(netloc=f"127.0.0.1:{port}").geturl()
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self) -> None:
        self._is_open = True

    def shut(self) -> None:
        self._is_open = False
        self._do(self._break())

    def _do(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _end(self) -> None:
        # In the thread of its loop: a server closed from another one may tell its waiters twice.
        self._is_open = False
        self._gate.close()
        await self._break()
        await self._gate.wait_closed()

    async def _break(self) -> None:
        for way in self._ways:
            way.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._is_open:
            writer.transport.abort()
            return
        # A way that is being made breaks too.
        self._ways.add(writer)
        beyond, onward = await asyncio.open_connection(self._server.hostname, self._server.port)
        ways = {writer, onward}
        self._ways |= ways
        if writer.transport.is_closing():
            onward.transport.abort()
        await asyncio.gather(_pump(reader, onward), _pump(beyond, writer))
        self._ways -= ways


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while part := await source.read(65536):
            sink.write(part)
            await sink.drain()
    sink.close()
    with suppress(ConnectionError):
        await sink.wait_closed()
