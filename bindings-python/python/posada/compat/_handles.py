"""The handles behind the shells: one for each Redis and each way to use it, shared by the whole process."""

from __future__ import annotations

import enum
import logging
import os
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, TypeAlias

from posada._posada import Posada
from posada.compat import _address
from posada.compat._plain import PlainClient, has_methods
from posada.errors import InvalidError
from posada.settings import VARIABLES, Settings

_log = logging.getLogger(__name__)

Server: TypeAlias = object
"""Where a shell keeps its things: the Redis of a ``redis.asyncio.Redis``, the servers of a ``posada.Posada``, memory
for ``None``, or any other client that has the few methods which the shell needs.
"""

_ADDRESS = frozenset({"REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_PASSWORD"})
"""The variables that a client replaces."""


class _Shared(Posada):
    """A handle that lives as long as its process, and is closed at its end."""

    __slots__ = ()

    def __del__(self) -> None:
        pass


_given: Mapping[str, str] = {}
_open: dict[tuple[str | None, tuple[tuple[str, float], ...]], Posada] = {}
_told: set[tuple[str, type[Any]]] = set()


def use(settings: Any) -> None:
    """Takes settings from here before those of the environment: for programs that keep them in a file.

    ``settings`` is the app's own object, as it is, or a mapping of names and values. Read are the members that are
    called as posada's variables (``posada.VARIABLES``), in any case; ``SecretStr``, enumerations, URLs, numbers, paths
    and booleans are understood, and ``None`` means that the environment decides. A database or a Redis that is named
    here, as ``postgres_url`` or by its host, is no longer looked for in the URLs of the environment.

    Call it before anything else of this package; another call replaces what was given before.

    Raises ``InvalidError`` (``settings.invalid``), naming the variable, for a value that is nothing of these.
    """
    global _given
    members = _members(settings)
    _given = {name: text for name, value in members.items() if (text := _text(name, value)) is not None}


def variables() -> Mapping[str, str]:
    """Where settings are read from: the environment, and above it what ``use`` was told."""
    found = {name: value for name, value in os.environ.items() if name.upper() not in _replaced(_given)}
    return {**found, **_given}


def _replaced(given: Mapping[str, str]) -> frozenset[str]:
    """The variables of the environment that do not count beside those that are given."""
    names = set(given)
    for urls, parts in _PLACES:
        if names & (urls | parts):
            names |= urls
    return frozenset(names)


_PLACES = (
    (
        frozenset({"DATABASE_URL", "POSTGRES_URL", "SUPABASE_DATABASE_URL"}),
        frozenset({"POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB", "POSTGRES_USER"}),
    ),
    (frozenset({"REDIS_URL"}), frozenset({"REDIS_HOST", "REDIS_PORT", "REDIS_DB"})),
)
"""The variables that say all of a place at once, and those that say parts of it when none of them is set."""


def _members(settings: Any) -> dict[str, Any]:
    """The members that are called as posada's variables, by the names of those."""
    if isinstance(settings, Mapping):
        by_name: dict[str, Any] = {}
        for name, value in settings.items():
            if not isinstance(name, str):
                raise TypeError(f"settings: expected names that are str, not {type(name).__name__}")
            by_name[name.upper()] = value
        # Names of posada's own that do not exist are refused by name when the settings are read.
        return {name: value for name, value in by_name.items() if name in VARIABLES or name.startswith("POSADA_")}
    found: dict[str, Any] = {}
    for name in VARIABLES:
        for spelling in (name, name.lower()):
            value = getattr(settings, spelling, None)
            if value is not None:
                found[name] = value
                break
    if not found:
        raise TypeError(
            "settings: expected a mapping, or an object with members such as redis_url and secret_key, "
            f"not {type(settings).__name__}"
        )
    return found


def _text(name: str, value: Any) -> str | None:
    """A value as the environment would hold it."""
    secret = getattr(value, "get_secret_value", None)
    if callable(secret):
        value = secret()
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (bytes, bytearray)):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise _unreadable(name, value) from None
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, float, PurePath)):
        return str(value)
    url = _url(value)
    if url is None:
        raise _unreadable(name, value)
    return url


def _url(value: Any) -> str | None:
    """The text of a URL of pydantic, SQLAlchemy (whose ``str`` hides the password), ``urllib`` or another library."""
    if isinstance(getattr(value, "drivername", None), str):
        return str(value.render_as_string(hide_password=False))
    if not isinstance(getattr(value, "scheme", None), str):
        return None
    return str(value.geturl()) if callable(getattr(value, "geturl", None)) else str(value)


def _unreadable(name: str, value: object) -> InvalidError:
    return InvalidError(
        f"{name}: expected text, a number, a boolean, or a secret, an enumeration or a URL of these, "
        f"not {type(value).__name__}",
        code="settings.invalid",
        context={"field": name},
    )


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


def environment(**lengths: float) -> Posada:
    """The handle on the servers of the settings, always the same until ``close``. ``lengths`` are options of
    ``Settings.build``, with a handle of its own for each choice of them.
    """
    return _shared(None, **lengths)


def handle(server: Server, **lengths: float) -> Posada:
    """The handle on a server; ``lengths`` are options of ``Settings.build`` for handles that are made here."""
    if isinstance(server, Posada):
        return server
    if server is None:
        return _Shared(Settings.build(**_options(lengths)))
    return _shared(_address.of_client(server), **lengths)


def plain(shell: object, server: Server, *methods: str) -> PlainClient | None:
    """A client that is to be used as it is, because it leads to no server that posada can open.

    Raises ``TypeError`` when it lacks one of the methods; ``a|b`` means one of both.
    """
    if server is None or isinstance(server, Posada) or _address.of_client(server) is not None:
        return None
    if not all(any(has_methods(server, name) for name in either.split("|")) for either in methods):
        wanted = ", ".join(either.replace("|", " or ") for either in methods)
        raise TypeError(
            "redis_client: expected a redis.asyncio.Redis, a posada.Posada, None for memory, or a client with the "
            f"methods {wanted}, not {type(server).__name__}"
        )
    told = type(shell).__name__, type(server)
    if told not in _told:
        _told.add(told)
        _log.warning(
            "compat.plain_client: %s uses a client of type %s as the app does: what two write at once may be lost, "
            "and an outage may look like an empty store",
            type(shell).__name__,
            type(server).__name__,
        )
    return PlainClient(server)


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
