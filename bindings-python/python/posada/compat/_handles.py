"""The handles behind the shells: one for each Redis and each way to use it, shared by the whole process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeAlias
from urllib.parse import quote

from redis.asyncio import Redis, SSLConnection

from posada._posada import Posada
from posada.settings import Settings

Server: TypeAlias = Redis | Posada | None
"""Where a shell keeps its things: the Redis of a client, the servers of a handle, or memory."""

_ADDRESS = frozenset({"REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_PASSWORD"})
"""The variables that a client replaces."""


class _Shared(Posada):
    """A handle that lives as long as its process, and is closed at its end."""

    __slots__ = ()

    def __del__(self) -> None:
        pass


_variables: Mapping[str, str] | None = None
_open: dict[tuple[str | None, tuple[tuple[str, float], ...]], Posada] = {}


def use(variables: Mapping[str, str]) -> None:
    """Reads settings from here instead of the environment: for programs that keep them in a file.

    Call it before anything else of this package.
    """
    global _variables
    _variables = dict(variables)


def variables() -> Mapping[str, str]:
    """Where settings are read from."""
    return os.environ if _variables is None else _variables


async def close() -> None:
    """Closes what the shells have opened: for the end of the program, and between tests.

    Raises ``posada.close_timeout`` when work was still under way.
    """
    while _open:
        _, handle = _open.popitem()
        await handle.close()


def is_over(shell: object) -> bool:
    """Whether a shell's handle was closed, by ``close`` for instance. What tests put in its place has none."""
    posada = getattr(shell, "_posada", None)
    return isinstance(posada, Posada) and posada._closed


def environment() -> Posada:
    """The handle on the servers of the settings."""
    return _shared(None)


def handle(server: Server, **lengths: float) -> Posada:
    """The handle on a server; ``lengths`` are options of ``Settings.build`` for handles that are made here."""
    if isinstance(server, Posada):
        return server
    if server is None:
        return _Shared(Settings.build(**_options(lengths)))
    return _shared(_address(server), **lengths)


def _shared(address: str | None, **lengths: float) -> Posada:
    key = (address, tuple(sorted(lengths.items())))
    if key not in _open:
        options = _options(lengths)
        given = dict(variables())
        if address is not None:
            options["redis_url"] = address
            given = {name: value for name, value in given.items() if name.upper() not in _ADDRESS}
        _open[key] = _Shared(Settings.build(variables=given, **options), default_flags={})
    return _open[key]


def _options(lengths: Mapping[str, float]) -> dict[str, Any]:
    return dict(lengths)


def _address(client: Redis) -> str:
    """The URL of the server that a client is for."""
    pool = getattr(client, "connection_pool", None)
    place = getattr(pool, "connection_kwargs", None)
    if pool is None or not isinstance(place, dict) or "host" not in place:
        raise TypeError(
            "redis_client: expected a redis.asyncio.Redis over TCP, a posada.Posada, or None for memory, "
            f"not {type(client).__name__}"
        )
    scheme = "rediss" if issubclass(pool.connection_class, SSLConnection) else "redis"
    user, password = (quote(str(place.get(part) or ""), safe="") for part in ("username", "password"))
    who = f"{user}:{password}@" if user or password else ""
    host = str(place["host"])
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{who}{shown}:{place.get('port', 6379)}/{place.get('db', 0)}"
