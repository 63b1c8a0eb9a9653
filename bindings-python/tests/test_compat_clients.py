"""The app's own classes over posada on clients that lead to no server: fakes, mocks, wrappers, sockets."""

from __future__ import annotations

import asyncio
import fnmatch
import json
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest
import redis
import redis.asyncio
import redis.exceptions
from posada import compat
from posada.compat import _address
from posada.compat.feature_flag_service import FeatureFlagService
from posada.compat.lock_service import LockService
from posada.compat.session_manager import SessionManager
from support import metric, run, unique, with_client


class Smallest:
    """The client that the app makes for its webhooks while Redis is down."""

    def __init__(self) -> None:
        self._store: dict[str, Any] = {}

    async def get(self, key: str) -> Any:
        return self._store.get(key)

    async def set(self, key: str, value: Any, ex: int | None = None, nx: bool | None = None) -> bool:  # noqa: ARG002
        if nx and key in self._store:
            return False
        self._store[key] = value
        return True

    async def setex(self, key: str, ttl: int, value: Any) -> bool:
        return await self.set(key, value, ex=ttl)

    async def ping(self) -> bool:
        return True


class Usual(Smallest):
    """A fake as tests have it."""

    async def delete(self, key: str) -> int:
        return 1 if self._store.pop(key, None) is not None else 0

    async def ttl(self, key: str) -> int:  # noqa: ARG002
        return 600

    async def scan(self, cursor: int = 0, match: str = "*", count: int = 100) -> tuple[int, list[str]]:  # noqa: ARG002
        return 0, [key for key in self._store if fnmatch.fnmatch(key, match)]

    async def scan_iter(self, match: str = "*") -> AsyncIterator[str]:
        for key in list(self._store):
            if fnmatch.fnmatch(key, match):
                yield key

    async def hget(self, name: str, key: str) -> bytes | None:
        value = self._store.get(name, {}).get(key)
        return None if value is None else str(value).encode()

    async def hset(self, name: str, key: str, value: Any) -> int:
        self._store.setdefault(name, {})[key] = value
        return 1


class Plain:
    """A client whose methods are no coroutines, and that knows no ``set`` with a life."""

    def __init__(self) -> None:
        self._store: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self._store.get(key)

    def setex(self, key: str, ttl: int, value: str) -> None:  # noqa: ARG002
        self._store[key] = value.encode()

    def keys(self, pattern: str) -> list[bytes]:
        return [key.encode() for key in self._store if fnmatch.fnmatch(key, pattern)]


class Halves:
    """A client whose ``set`` and ``expire`` are two calls."""

    def __init__(self) -> None:
        self._store: dict[str, str] = {}
        self.lives: dict[str, int] = {}

    async def get(self, key: str) -> str | None:
        return self._store.get(key)

    async def set(self, key: str, value: str) -> None:
        self._store[key] = value

    async def expire(self, key: str, seconds: int) -> None:
        self.lives[key] = seconds

    async def delete(self, *keys: str) -> None:
        for key in keys:
            self._store.pop(key, None)


@pytest.mark.parametrize("client", [Smallest, Usual, Plain, Halves])
def test_conversations_are_kept_by_any_client_with_the_few_methods_that_they_need(client: Callable[[], Any]) -> None:
    async def job() -> None:
        manager, user = SessionManager(client()), "5491112345678"
        session = await manager.get_or_create_session(user, "whatsapp", "hotel-a")
        assert list(session) == [
            *("user_id", "canal", "state", "context", "tts_enabled", "created_at", "last_activity", "tenant_id")
        ]
        session["context"]["nights"] = 2
        before = session["last_activity"]
        await manager.update_session(user, session, "hotel-a")
        assert session["last_activity"] > before
        await manager.set_session_data(user, "booking_id", "B-77", "hotel-a")
        stored = await manager.get_session_data(user, "hotel-a")
        assert (stored["context"], stored["booking_id"]) == ({"nights": 2, "booking_id": "B-77"}, "B-77")
        assert await manager.get_session_data(user) == {}
        assert await manager.get_or_create_session(user, "gmail", "hotel-a") == stored
        await manager.refresh_active_sessions_metric()
        own = {"state": "booking", "canal": "whatsapp"}
        await manager.update_session("5491187654321", own)
        assert await manager.get_session_data("5491187654321") == own

    run(job())


@pytest.mark.parametrize("client", [Smallest, Usual, Plain, Halves])
def test_rooms_are_locked_by_any_client_with_the_few_methods_that_they_need(client: Callable[[], Any]) -> None:
    async def job() -> None:
        locks, room = LockService(client()), unique("101")
        stay = ("2027-03-10T12:00:00Z", "2027-03-12T12:00:00Z")
        key = await locks.acquire_lock(room, *stay, "s1", "5491112345678")
        assert key == f"lock:room:{room}:{stay[0]}:{stay[1]}"
        assert await locks.acquire_lock(room, *stay, "s2", "5491187654321") is None
        assert await locks.acquire_lock(room, "2027-03-11", "2027-03-13", "s2", "5491187654321") is None
        assert await locks.check_conflicts(room, "2027-03-11", "2027-03-13")
        assert not await locks.check_conflicts(room, "2027-03-12", "2027-03-13")
        assert [await locks.extend_lock(key) for _ in range(3)] == [True, True, False]
        assert await locks.extend_lock(key, max_extensions=3)
        (live,) = await locks.get_active_locks()
        assert (live["session_id"], live["check_in"], live["extensions"]) == ("s1", stay[0], 3)
        assert [await locks.release_lock(key) for _ in range(2)] == [True, False]
        assert not await locks.extend_lock(key)
        assert await locks.acquire_lock(room, *stay, "s2", "5491187654321") is not None
        await locks.release_all_locks()
        assert await locks.get_active_locks() == []
        assert metric("lock_conflicts_total", room_id=room) == 2

    run(job())


def test_what_is_stored_with_a_client_ends_by_itself() -> None:
    async def job() -> None:
        client = Halves()
        await SessionManager(client, ttl=900).get_or_create_session("549", "whatsapp")
        assert client.lives == {"session:549": 900}
        locks = LockService(client)
        key = await locks.acquire_lock("101", "2027-03-10", "2027-03-12", "s1", "549", ttl=1200)
        assert key is not None
        assert await locks.extend_lock(key, 600)
        assert 1700 < client.lives[key] <= 1800, "what was left, and what was added"

    run(job())


def test_flags_are_read_from_any_client_that_has_hashes() -> None:
    async def job() -> None:
        client, flag = Usual(), unique("flag")
        flags = FeatureFlagService(client)
        assert await flags.is_enabled("nlp.fallback.enhanced") is True
        await flags.set_flag(flag, True)
        assert await flags.is_enabled(flag) is True
        await client.hset("feature_flags", flag, "off")
        assert await flags.is_enabled(flag) is True, "what was read is believed for a while"
        assert await FeatureFlagService(client, ttl_seconds=0).is_enabled(flag, True) is False
        assert metric("feature_flag_enabled", flag=flag) == 0
        # As in the app, the default of the first caller is believed, too.
        unknown = unique("flag")
        assert [await flags.is_enabled(unknown, default) for default in (True, False)] == [True, True]

    run(job())


def test_a_mock_without_answers_is_an_empty_store() -> None:
    async def job() -> None:
        for client in (AsyncMock(), MagicMock(), AsyncMock(spec=redis.asyncio.Redis)):
            manager = SessionManager(client, retry_delay_base=0)
            session = await manager.get_or_create_session("549", "whatsapp")
            assert session["state"] == "initial"
            assert client.set.call_args.kwargs == {"ex": 1800}
            assert await manager.get_session_data("549") == {}
            await manager.set_session_data("549", "fee", 6000)
            locks = LockService(client)
            assert await locks.acquire_lock("101", "2027-03-10", "2027-03-12", "s1", "549") is not None
            assert not await locks.extend_lock("lock:room:101:2027-03-10:2027-03-12")
            assert await FeatureFlagService(client).is_enabled("canary.enabled") is False

    run(job())


def test_a_fake_that_fails_is_asked_again_as_the_app_does() -> None:
    async def job() -> None:
        client = AsyncMock()
        client.get.side_effect = redis.exceptions.TimeoutError("Timeout reading from socket")
        client.set.side_effect = [redis.exceptions.ConnectionError("Connection lost"), None]
        retried = metric("session_save_retries_total", operation="create", result="retry")
        manager = SessionManager(client, retry_delay_base=0)
        assert (await manager.get_or_create_session("549", "whatsapp"))["user_id"] == "549"
        assert metric("session_save_retries_total", operation="create", result="retry") == retried + 1
        client.set.side_effect = redis.exceptions.ConnectionError("Persistent failure")
        with pytest.raises(redis.exceptions.ConnectionError, match="Persistent failure"):
            await manager.update_session("549", {"state": "new", "canal": "whatsapp"})
        assert client.set.call_count == 2 + 3
        client.set.side_effect = redis.exceptions.ResponseError("OOM command not allowed")
        with pytest.raises(redis.exceptions.ResponseError):
            await manager.update_session("549", {"state": "new", "canal": "whatsapp"})
        assert client.set.call_count == 2 + 3 + 1
        with pytest.raises(TypeError):
            await manager.update_session("549", {"state": object()})

    run(job())


def test_a_clean_up_removes_from_a_fake_what_is_no_conversation() -> None:
    async def job() -> None:
        client = Usual()
        manager = SessionManager(client)
        await client.set("session:549", json.dumps({"user_id": "549", "canal": "whatsapp", "state": "x"}))
        await client.set("session:550", "{not-json}")
        await client.set("session:551", json.dumps({"user_id": "551"}))
        removed = metric("session_expirations_total", reason="corrupted")
        assert await manager._cleanup_orphaned_sessions() == 2
        assert metric("session_expirations_total", reason="corrupted") == removed + 1
        await manager._update_active_sessions_metric()
        assert metric("session_active_total") == 1

    run(job())


def test_a_client_that_is_used_as_it_is_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    class Told(Usual):
        pass

    with caplog.at_level(logging.WARNING, "posada.compat"):
        for _ in range(3):
            SessionManager(Told())
            LockService(Told())
    told = [record.getMessage() for record in caplog.records if "Told" in record.getMessage()]
    assert len(told) == 2
    assert "SessionManager" in told[0]
    assert "what two write at once may be lost" in told[0]


@pytest.mark.parametrize("client", [{"not": "a client"}, object(), "redis://localhost", 5])
def test_what_is_no_client_is_refused_with_the_methods_that_it_lacks(client: Any) -> None:
    for shell, methods in ((SessionManager, "get, set or setex"), (LockService, "get, set or setex")):
        with pytest.raises(TypeError, match=f"redis_client.*{methods}.*{type(client).__name__}"):
            shell(client)
    with pytest.raises(TypeError, match="hget"):
        FeatureFlagService(client)


class _Elsewhere(redis.asyncio.Connection):
    """A connection that leads somewhere else than its parameters say, as those of fakes do."""


def test_only_connections_of_redis_itself_are_followed_to_their_server() -> None:
    pool = redis.asyncio.ConnectionPool(connection_class=_Elsewhere, host="localhost", port=6379)
    assert _address.of_client(redis.asyncio.Redis(connection_pool=pool)) is None
    assert _address.of_client(redis.asyncio.Redis(credential_provider=_Provider())) is None
    assert _address.of_client(AsyncMock(spec=redis.asyncio.RedisCluster)) is None
    assert _address.of_client(redis.Redis(host="cache.example")) == "redis://cache.example:6379/0"


class _Provider(redis.CredentialProvider):
    def get_credentials(self) -> tuple[str, str]:
        return "app", "s3cret"


def test_a_client_of_a_cluster_is_followed_to_it() -> None:
    """Nothing is overwritten there by who asks at once."""

    async def job() -> None:
        # Any of its servers leads to the others.
        first = os.environ["POSADA_TEST_CLUSTER_URL"].replace("+cluster", "").split(",")[0]
        async with redis.asyncio.RedisCluster.from_url(first) as cluster:
            manager, user = SessionManager(cluster), unique("549")
            begun = await asyncio.gather(
                *(manager.get_or_create_session(user, "whatsapp", "hotel-a") for _ in range(9))
            )
            assert len({session["created_at"] for session in begun}) == 1
            assert json.loads(await cluster.get(f"session:hotel-a:{user}")) == begun[0]
            locks, room = LockService(cluster), unique("101")
            asked = (locks.acquire_lock(room, "2027-03-10", "2027-03-12", f"s{n}", user) for n in range(9))
            assert sum(key is not None for key in await asyncio.gather(*asked)) == 1
        await compat.close()

    run(job())


def test_a_client_over_a_socket_is_followed_to_its_server(tmp_path: Any) -> None:
    """A socket in front of the server of the tests."""
    path = str(tmp_path / "redis one.sock")

    async def job(r: redis.asyncio.Redis) -> None:
        place = r.connection_pool.connection_kwargs
        ways: list[asyncio.StreamWriter] = []
        carried: list[asyncio.Task[Any] | None] = []

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            carried.append(asyncio.current_task())
            beyond, onward = await asyncio.open_connection(place["host"], place["port"])
            ways.extend((writer, onward))
            await asyncio.gather(_pump(reader, onward), _pump(beyond, writer))

        server = await asyncio.start_unix_server(carry, path)
        async with redis.asyncio.Redis(unix_socket_path=path) as client:
            user, room, flag = unique("549"), unique("101"), unique("flag")
            manager = SessionManager(client)
            assert manager._plain is None
            session = await manager.get_or_create_session(user, "whatsapp", "hotel-a")
            assert json.loads(await r.get(f"session:hotel-a:{user}")) == session
            locks = LockService(client)
            key = await locks.acquire_lock(room, "2027-03-10", "2027-03-12", "s1", user)
            assert key is not None
            assert await LockService(r).check_conflicts(room, "2027-03-11", "2027-03-12")
            assert await locks.release_lock(key)
            await FeatureFlagService(client).set_flag(flag, True)
            assert await r.hget("feature_flags", flag) == b"1"
            await r.hdel("feature_flags", flag)
        await compat.close()
        server.close()
        for way in ways:
            way.transport.abort()
        await asyncio.gather(*(task for task in carried if task is not None))

    compat.use({"REDIS_URL": os.environ["REDIS_URL"]})
    with_client(job)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while part := await source.read(65536):
            sink.write(part)
            await sink.drain()
    sink.close()
    with suppress(ConnectionError):
        await sink.wait_closed()
