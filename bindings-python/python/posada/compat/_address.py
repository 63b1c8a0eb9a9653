"""Which server a client is for, as a URL that posada opens itself."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import redis
from redis.asyncio import Connection, RedisCluster, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.sentinel import SentinelConnectionPool, SentinelManagedConnection, SentinelManagedSSLConnection

_PLAIN = (Connection, redis.Connection, SentinelManagedConnection)
_TLS = (SSLConnection, redis.SSLConnection, SentinelManagedSSLConnection)
_SOCKET = (UnixDomainSocketConnection, redis.UnixDomainSocketConnection)
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def of_client(client: object) -> str | None:
    """The URL of the server, the Sentinel group or the cluster that a client of redis-py is for.

    ``None`` for every other client, for connections of other classes, which may lead anywhere, as those of fakes do,
    and for credentials that only the client can get.
    """
    if type(client) is RedisCluster:
        return _of_cluster(client)
    pool = getattr(client, "connection_pool", None)
    place = getattr(pool, "connection_kwargs", None)
    kind = getattr(pool, "connection_class", None)
    if not isinstance(place, dict) or place.get("credential_provider") is not None:
        return None
    if isinstance(pool, SentinelConnectionPool):
        return _of_sentinel(pool, place, kind) if pool.is_master else None
    if kind in _SOCKET:
        path = str(place["path"])
        return f"unix://{_who(place)}{quote(path)}?db={place.get('db') or 0}"
    if "host" not in place or kind not in (*_PLAIN, *_TLS):
        return None
    where = _node(place["host"], place.get("port") or 6379)
    return f"{_scheme(kind)}://{_who(place)}{where}/{place.get('db') or 0}{_options(place)}"


def _of_sentinel(pool: Any, place: dict[str, Any], kind: object) -> str | None:
    if kind not in (*_PLAIN, *_TLS):
        return None
    sentinels = [each.connection_pool.connection_kwargs for each in pool.sentinel_manager.sentinels]
    nodes = ",".join(_node(each["host"], each["port"]) for each in sentinels)
    own = {f"sentinel_{part}": sentinels[0].get(part) for part in ("username", "password")}
    options = _options({**place, **own}, *own)
    service = quote(str(pool.service_name), safe="")
    return f"{_scheme(kind)}+sentinel://{_who(place)}{nodes}/{service}/{place.get('db') or 0}{options}"


def _of_cluster(client: Any) -> str | None:
    place = client.connection_kwargs
    if place.get("credential_provider") is not None:
        return None
    nodes = ",".join(_node(each.host, each.port) for each in client.nodes_manager.startup_nodes.values())
    return f"{_scheme(place.get('connection_class'))}+cluster://{_who(place)}{nodes}{_options(place)}"


def _scheme(kind: object) -> str:
    return "rediss" if kind in _TLS else "redis"


def _node(host: Any, port: Any) -> str:
    shown = f"[{host}]" if ":" in str(host) else str(host)
    return f"{shown}:{port}"


def _who(place: dict[str, Any]) -> str:
    user, password = (quote(_spelled(place.get(part)), safe="") for part in ("username", "password"))
    return f"{user}:{password}@" if user or password else ""


def _options(place: dict[str, Any], *names: str) -> str:
    given = [f"{name}={quote(_spelled(place[name]), safe='')}" for name in (*_FILES, *names) if place.get(name)]
    return f"?{'&'.join(given)}" if given else ""


def _spelled(part: Any) -> str:
    return part.decode() if isinstance(part, bytes) else str(part or "")
