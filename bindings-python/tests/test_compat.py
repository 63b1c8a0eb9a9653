"""The app's own classes over posada, used as the app uses them."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import inspect
import json
import os
import pickle
import time
from typing import Annotated, Any

import httpx
import posada
import pytest
import redis.asyncio
import redis.exceptions
from fastapi import Depends, FastAPI
from posada import compat
from posada.compat import _address, _handles, security
from posada.compat._raised import RedisUnavailableError
from posada.compat.dynamic_tenant_service import DynamicTenantService
from posada.compat.feature_flag_service import DEFAULT_FLAGS, FeatureFlagService, get_feature_flag_service
from posada.compat.lock_service import get_lock_service
from posada.compat.password_policy import PasswordPolicy, PasswordPolicyViolation, password_policy, pwd_context
from posada.compat.session_manager import SessionManager, get_session_manager
from redis.asyncio.sentinel import Sentinel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from support import metric, run, unique, with_client

pytestmark = pytest.mark.usefixtures("app_environment")


def test_a_conversation_has_the_keys_the_document_and_the_life_of_the_app() -> None:
    async def job(r: redis.asyncio.Redis) -> None:
        manager, user = SessionManager(r), unique("549")
        session = await manager.get_or_create_session(user, "whatsapp", "hotel-a")
        assert list(session) == [
            *("user_id", "canal", "state", "context", "tts_enabled", "created_at", "last_activity", "tenant_id")
        ]
        stored = await r.get(f"session:hotel-a:{user}")
        assert json.loads(stored) == session
        assert manager._get_session_key(user, "hotel-a") == f"session:hotel-a:{user}"
        assert 1790 <= await r.ttl(f"session:hotel-a:{user}") <= 1800

        session["state"] = "booking"
        session["reservation_pending"] = True
        before = session["last_activity"]
        await manager.update_session(user, session, "hotel-a")
        assert session["last_activity"] > before, "the caller's own dictionary is changed"
        assert json.loads(await r.get(f"session:hotel-a:{user}")) == session
        assert await manager.get_session_data(user, "hotel-a") == session
        assert await manager.get_session_data(user) == {}
        assert pickle.loads(pickle.dumps(session)) == dict(session)

    with_client(job)


def test_what_the_app_wrote_is_read_and_its_writes_are_noticed() -> None:
    async def job(r: redis.asyncio.Redis) -> None:
        manager, user = SessionManager(r), unique("549")
        written = {"user_id": user, "canal": "gmail", "state": "initial", "context": {"fee": 1.0}, "odd": [None, "ñ"]}
        await r.set(f"session:{user}", json.dumps(written), ex=1800)
        session = await manager.get_or_create_session(user, "whatsapp")
        assert session == written

        session["state"] = "mine"
        session["context"]["mine"] = 1
        del session["odd"]
        theirs = {**written, "state": "initial", "context": {"fee": 1.0, "theirs": 2}, "escalated": True}
        await r.set(f"session:{user}", json.dumps(theirs), ex=1800)
        await manager.update_session(user, session)
        stored = json.loads(await r.get(f"session:{user}"))
        assert stored["context"] == {"fee": 1.0, "theirs": 2, "mine": 1}
        assert (stored["state"], stored["escalated"], "odd" in stored) == ("mine", True, False)

        # The caller never saw the other writer's member, and goes on without removing it.
        session["context"]["mine"] = 3
        await manager.update_session(user, session)
        stored = json.loads(await r.get(f"session:{user}"))
        assert (stored["context"], stored["escalated"]) == ({"fee": 1.0, "theirs": 2, "mine": 3}, True)

    with_client(job)


def test_concurrent_changes_lose_nothing() -> None:
    async def job(r: redis.asyncio.Redis) -> None:
        manager, user = SessionManager(r), unique("549")
        begun = await asyncio.gather(*(manager.get_or_create_session(user, "whatsapp") for _ in range(10)))
        assert len({session["created_at"] for session in begun}) == 1
        await asyncio.gather(*(manager.set_session_data(user, f"key-{n}", n) for n in range(15)))
        session = await manager.get_session_data(user)
        assert session["context"] == {f"key-{n}": n for n in range(15)}
        assert all(session[f"key-{n}"] == n for n in range(15))
        await manager.set_session_data(user, "state", {"a": None})
        session = await manager.get_session_data(user)
        assert (session["state"], session["context"]["state"]) == ("initial", {"a": None})

    with_client(job)


def test_a_dictionary_of_ones_own_replaces_and_what_expired_begins_anew() -> None:
    async def job(r: redis.asyncio.Redis) -> None:
        manager, user = SessionManager(r), unique("549")
        own = {"user_id": user, "canal": "gmail", "state": "new", "context": {}}
        await manager.update_session(user, own)
        assert json.loads(await r.get(f"session:{user}")) == own
        session = await manager.get_or_create_session(user, "whatsapp")
        await r.delete(f"session:{user}")
        session["state"] = "later"
        await manager.update_session(user, session)
        stored = json.loads(await r.get(f"session:{user}"))
        assert (stored["state"], stored["canal"]) == ("later", "gmail")

    with_client(job)


def test_a_dictionary_of_ones_own_says_what_it_wants_and_the_rest_is_added() -> None:
    async def job(r: redis.asyncio.Redis) -> None:
        manager, user = SessionManager(r), unique("549")
        await manager.update_session(user, {"state": "booking", "nights": 2}, "hotel-a")
        stored = json.loads(await r.get(f"session:hotel-a:{user}"))
        assert stored.pop("last_activity")
        assert stored == {
            "state": "booking",
            "nights": 2,
            "user_id": user,
            "canal": "whatsapp",
            "tenant_id": "hotel-a",
        }
        # The app's dictionaries name no tenant where there is none.
        other = unique("549")
        await manager.update_session(other, {"user_id": other, "canal": "gmail", "state": "new", "tenant_id": None})
        assert "tenant_id" not in json.loads(await r.get(f"session:{other}"))

    with_client(job)


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"state": object()}, TypeError),
        ({"user_id": "550", "state": "new"}, posada.InvalidError),
        ({"tenant_id": "hotel-b", "state": "new"}, posada.InvalidError),
        ({"history": ["x" * 300_000]}, posada.InvalidError),
    ],
)
def test_a_dictionary_that_cannot_be_stored_begins_no_conversation(
    members: dict[str, Any], error: type[Exception]
) -> None:
    async def job(r: redis.asyncio.Redis) -> None:
        manager, user = SessionManager(r), unique("549")
        for change in (
            manager.update_session(user, members, "hotel-a"),
            manager.set_session_data(user, "value", members.get("history", object()), "hotel-a"),
        ):
            with pytest.raises((error, TypeError)):
                await change
        assert await r.exists(f"session:hotel-a:{user}") == 0
        assert user not in {session.user for session in await manager._posada.sessions.list(tenant="hotel-a")}
        # One that exists stays as it was.
        session = await manager.get_or_create_session(user, "whatsapp", "hotel-a")
        with pytest.raises(error):
            await manager.update_session(user, members, "hotel-a")
        assert json.loads(await r.get(f"session:hotel-a:{user}")) == session

    with_client(job)


def test_conversations_are_counted_when_they_begin() -> None:
    async def job(r: redis.asyncio.Redis) -> None:
        manager, tenant = SessionManager(r), unique("hotel")
        await manager.refresh_active_sessions_metric()
        before = metric("session_active_total")
        for n in range(3):
            await manager.get_or_create_session(f"54911{n}", "whatsapp", tenant)
        await manager.update_session("549114", {"state": "new"}, tenant)
        assert metric("session_active_total") >= before + 4
        # Those of other processes are counted soon, too.
        manager._count_interval = 0.01
        other = SessionManager(posada.Posada.build(posada.Settings.build(redis_url=os.environ["REDIS_URL"])))
        await other._posada.sessions.get_or_create("549115", "whatsapp", tenant=tenant)
        while metric("session_active_total") < before + 5:
            await manager.get_or_create_session("549110", "whatsapp", tenant)
            await asyncio.sleep(0.005)
        await other._posada.close()

    with_client(job)


def test_a_redis_that_is_down_is_an_error_of_redis_and_is_asked_again() -> None:
    async def job() -> None:
        unreachable = redis.asyncio.Redis(host="127.0.0.1", port=1)
        manager = SessionManager(unreachable, max_retries=2, retry_delay_base=0)
        retried = metric("session_save_retries_total", operation="create", result="retry")
        with pytest.raises(redis.exceptions.ConnectionError) as caught:
            await manager.get_or_create_session("549", "whatsapp")
        assert isinstance(caught.value, posada.UnavailableError)
        assert caught.value.code == "redis.unavailable"
        assert isinstance(pickle.loads(pickle.dumps(caught.value)), RedisUnavailableError)
        assert metric("session_save_retries_total", operation="create", result="retry") == retried + 1
        assert metric("session_save_retries_total", operation="create", result="failed") >= 1
        with pytest.raises(redis.exceptions.RedisError):
            await manager.get_session_data("549")
        await manager.refresh_active_sessions_metric()
        await compat.close()

    run(job())


def test_sessions_in_memory_and_the_task_that_counts() -> None:
    async def job() -> None:
        manager = SessionManager()
        await manager.get_or_create_session("549", "whatsapp")
        manager._cleanup_interval = 0
        done = metric("session_cleanup_total", result="success")
        manager.start_cleanup_task()
        task = manager._cleanup_task
        manager.start_cleanup_task()
        assert manager._cleanup_task is task
        while metric("session_cleanup_total", result="success") < done + 2:
            await asyncio.sleep(0.005)
        await manager.stop_cleanup_task()
        await manager.stop_cleanup_task()
        assert metric("session_active_total") == 1
        await manager._posada.close()

    run(job())


def test_the_managers_of_one_process_share_a_connection() -> None:
    async def job(r: redis.asyncio.Redis) -> None:
        assert SessionManager(r)._posada is SessionManager(r)._posada
        assert SessionManager(r, ttl=60)._posada is not SessionManager(r)._posada
        assert SessionManager(r, ttl=60).ttl == 60
        assert await get_session_manager() is await get_session_manager()
        assert inspect.iscoroutinefunction(SessionManager.update_session)
        with pytest.raises(TypeError, match="redis_client"):
            SessionManager({"not": "a client"})

    with_client(job)


def test_after_a_close_the_shells_of_the_settings_begin_anew() -> None:
    async def job() -> None:
        for _ in range(2):
            manager, locks = await get_session_manager(), await get_lock_service()
            flags = await get_feature_flag_service()
            assert (await get_session_manager(), await get_lock_service()) == (manager, locks)
            user, room = unique("549"), unique("101")
            await manager.get_or_create_session(user, "whatsapp")
            key = await locks.acquire_lock(room, "2027-03-10", "2027-03-12", "s1", user)
            assert key is not None
            assert await locks.release_lock(key)
            await flags.set_flag(unique("flag"), True)
            await compat.close()

    run(job())


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({"host": "cache.example", "port": 6380, "db": 3}, "redis://cache.example:6380/3"),
        ({"host": "::1", "password": "p@ss/w:rd"}, "redis://:p%40ss%2Fw%3Ard@[::1]:6379/0"),
        ({"host": "h", "username": "app", "password": "x", "ssl": True}, "rediss://app:x@h:6379/0"),
        (
            {"host": "h", "ssl": True, "ssl_ca_certs": "/etc/own root.pem"},
            "rediss://h:6379/0?ssl_ca_certs=%2Fetc%2Fown%20root.pem",
        ),
        (
            {"unix_socket_path": "/run/redis one/redis.sock", "db": 3, "password": "s3/cret"},
            "unix://:s3%2Fcret@/run/redis%20one/redis.sock?db=3",
        ),
    ],
)
def test_the_address_of_a_client(options: dict[str, Any], url: str) -> None:
    assert _address.of_client(redis.asyncio.Redis(**options)) == url


def test_the_addresses_of_groups() -> None:
    sentinel = Sentinel(
        [("one.example", 26379), ("::1", 26380)], sentinel_kwargs={"password": "ow/n"}, password="s3cret", db=2
    )
    assert _address.of_client(sentinel.master_for("mymaster")) == (
        "redis+sentinel://:s3cret@one.example:26379,[::1]:26380/mymaster/2?sentinel_password=ow%2Fn"
    )
    assert _address.of_client(sentinel.slave_for("mymaster")) is None, "a replica takes no writes"
    cluster = redis.asyncio.RedisCluster.from_url("rediss://:s3cret@one.example:7000")
    assert _address.of_client(cluster) == "rediss+cluster://:s3cret@one.example:7000"


def test_flags_are_read_and_written_as_the_app_does() -> None:
    async def job(r: redis.asyncio.Redis) -> None:
        flags, flag = FeatureFlagService(r, ttl_seconds=0), unique("flag")
        assert await flags.is_enabled("nlp.fallback.enhanced") is DEFAULT_FLAGS["nlp.fallback.enhanced"] is True
        assert [await flags.is_enabled(flag, default) for default in (True, False, None)] == [True, False, False]
        await flags.set_flag(flag, True)
        assert await r.hget("feature_flags", flag) == b"1"
        assert await flags.is_enabled(flag, False) is True
        assert metric("feature_flag_enabled", flag=flag) == 1
        await r.hset("feature_flags", flag, "OFF")
        assert await flags.is_enabled(flag, True) is False
        await r.hset("feature_flags", flag, "Yes")
        assert await flags.is_enabled(flag) is True
        await r.hdel("feature_flags", flag)

    with_client(job)


def test_default_flags_are_a_dictionary_that_may_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def job(r: redis.asyncio.Redis) -> None:
        flags = FeatureFlagService(r)
        assert await flags.is_enabled("canary.enabled") is False
        monkeypatch.setitem(DEFAULT_FLAGS, "canary.enabled", True)
        assert await flags.is_enabled("canary.enabled", False) is True

    with_client(job)


def test_a_flag_service_without_redis_answers_defaults() -> None:
    async def job() -> None:
        flags = FeatureFlagService(redis.asyncio.Redis(host="127.0.0.1", port=1))
        assert await flags.is_enabled("tenancy.dynamic.enabled") is True
        assert await flags.is_enabled("unknown", True) is True
        with pytest.raises(redis.exceptions.ConnectionError):
            await flags.set_flag("unknown", True)
        await compat.close()

    run(job())


def test_guests_are_led_to_their_hotel() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            hotel = await p.tenants.create(
                "hotel-test", name="Hotel Test", business_hours=posada.BusinessHours(9, 21, "America/Argentina/Cordoba")
            )
            await p.tenants.add_identifier(hotel, "+5491112345678", "whatsapp")
            await p.tenants.add_identifier(hotel, "Reservas@Hotel.example", "email")
            service, strict = DynamicTenantService(posada=p), DynamicTenantService(strict_mode=True, posada=p)
            await service.start()
            await strict.refresh()
            hits = metric("tenant_resolution_total", result="hit")
            for guest in ("5491112345678", "+54 9 (11) 1234-5678", " reservas@hotel.EXAMPLE "):
                assert service.resolve_tenant(guest) == "hotel-test"
            assert metric("tenant_resolution_total", result="hit") == hits + 3
            assert (service.resolve_tenant("5491199999999"), strict.resolve_tenant("5491199999999")) == (
                "default",
                None,
            )
            assert (service.resolve_tenant(""), strict.resolve_tenant("")) == ("default", None)
            assert service.resolve_tenant("5491199999999", "hotel-test") == "hotel-test"
            assert strict.resolve_tenant("5491199999999", "somebody-elses") is None
            meta = {
                "name": "Hotel Test",
                "status": "active",
                "business_hours_start": 9,
                "business_hours_end": 21,
                "business_hours_timezone": "America/Argentina/Cordoba",
            }
            assert service.list_tenants() == [{"tenant_id": "hotel-test", **meta}]
            assert service.get_tenant_meta("hotel-test") == meta
            assert service.get_tenant_meta("nobody") is None
            assert metric("tenants_active_total") == 1

            # A change is followed without a refresh; until its answer is here the last one counts.
            await p.tenants.add_identifier(hotel, "5491177777777", "whatsapp")
            while service.resolve_tenant("5491177777777") != "hotel-test":
                await asyncio.sleep(0.005)
            assert service.resolve_tenant("5491112345678") == "hotel-test"
            await p.tenants.suspend(hotel)
            while service.resolve_tenant("5491112345678") != "default":
                await asyncio.sleep(0.005)
            await service.refresh()
            assert service.list_tenants() == []
            await service.stop()
            await service.stop()
            await strict.stop()

    run(job())


def test_a_change_by_another_process_is_seen_at_once_and_costs_no_guest_its_hotel() -> None:
    async def job() -> None:
        service = DynamicTenantService()
        p = _handles.environment()
        await p.migrate()
        name, number = unique("hotel"), f"54911{time.time_ns() % 10**8:08}"
        async with posada.Posada.build(p.settings) as other:
            await service.start()
            hotel = await other.tenants.create(name, name="Hotel Nuevo")
            await other.tenants.add_identifier(hotel, number, "whatsapp")
            for _ in range(2000):
                if service.get_tenant_meta(name) is not None and service.resolve_tenant(number) == name:
                    break
                await asyncio.sleep(0.005)
            # From here on the guest is known, and stays so while the hotel is changed and read again.
            await other.tenants.update(hotel, name="Hotel Renovado")
            for _ in range(2000):
                assert service.resolve_tenant(number) == name
                if service.get_tenant_meta(name)["name"] == "Hotel Renovado":
                    break
                await asyncio.sleep(0.001)
            assert service.get_tenant_meta(name)["name"] == "Hotel Renovado"
            await service.stop()
        await compat.close()

    run(job())


def test_nobodys_guests_are_those_of_the_default_tenant_and_no_hits() -> None:
    async def job() -> None:
        settings = posada.Settings.build(postgres_url="memory:", redis_url="memory:", default_tenant="reception")
        async with posada.Posada.build(settings) as p:
            service, strict = DynamicTenantService(posada=p), DynamicTenantService(strict_mode=True, posada=p)
            reception = await p.tenants.create("reception", name="Reception")
            await service.start()
            hits, defaults = (metric("tenant_resolution_total", result=result) for result in ("hit", "default"))
            stranger = "5491199999999"
            for _ in range(3):
                assert service.resolve_tenant(stranger) == "reception"
                assert strict.resolve_tenant(stranger) is None
                await p.tenants.resolve(stranger)
            assert service.resolve_tenant("") == "reception"
            assert service.resolve_tenant(stranger, "reception") == "reception"
            assert metric("tenant_resolution_total", result="hit") == hits
            assert metric("tenant_resolution_total", result="default") == defaults + 4
            # What is known of it is followed, also when it is given a guest of its own.
            await p.tenants.update(reception, name="Front desk")
            await service.refresh()
            assert service.get_tenant_meta("reception")["name"] == "Front desk"
            await p.tenants.add_identifier(reception, stranger, "whatsapp")
            await p.tenants.resolve(stranger)
            assert strict.resolve_tenant(stranger) == "reception"
            assert metric("tenant_resolution_total", result="hit") == hits + 1
            await service.stop()
            await strict.stop()

    run(job())


def test_tenants_of_the_database_stay_known_when_it_does_not_answer() -> None:
    async def job() -> None:
        service = DynamicTenantService()
        p = _handles.environment()
        await p.migrate()
        name, number = unique("hotel"), f"54911{time.time_ns() % 10**8:08}"
        await p.tenants.create(name, name="Hotel")
        await p.tenants.add_identifier(name, number, "whatsapp")
        await service.start()
        assert service.resolve_tenant(number) == name
        await service.stop()
        await p.close()
        assert service.resolve_tenant(number) == name
        with pytest.raises(posada.ClosedError):
            await service.refresh()
        assert service.get_tenant_meta(name) is not None
        await compat.close()

    run(job())


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        (" 00 54 (9) 11-000-2222 ", "+549110002222"),
        ("  Foo@BAR.com ", "foo@bar.com"),
        ("(011) 4444-5555", "01144445555"),
        ("", ""),
    ],
)
def test_identifiers_are_spelt_as_in_the_apps_tables(raw: str, normal: str) -> None:
    assert DynamicTenantService()._normalize_identifier(raw) == normal


def claims_of(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
    return header, claims


def test_a_token_opens_what_its_user_may_and_nothing_else() -> None:
    guarded = FastAPI()

    @guarded.get("/me")
    async def me(user: Annotated[dict[str, str], Depends(security.get_current_user)]) -> dict[str, str]:
        return user

    async def job() -> None:
        p = _handles.environment()
        await p.migrate()
        name = unique("ana")
        await p.auth.create_user(name, f"{name}@hotel.example", "el loro pinta mapas de cobre", role="manager")
        transport = httpx.ASGITransport(app=guarded)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as http:

            async def ask(token: str | None) -> tuple[int, Any, str | None]:
                headers = {} if token is None else {"Authorization": f"Bearer {token}"}
                answer = await http.get("/me", headers=headers)
                return answer.status_code, answer.json(), answer.headers.get("WWW-Authenticate")

            token = security.create_access_token({"sub": name, "dept": "Recepción"})
            header, claims = claims_of(token)
            assert header == {"alg": "HS256", "typ": "JWT"}
            assert abs(claims["exp"] - time.time() - 3600) < 60
            assert await ask(token) == (200, {"username": name}, None)
            refused = (403, {"detail": "Could not validate credentials"}, "Bearer")
            assert await ask(None) == (401, {"detail": "Not authenticated"}, "Bearer")
            assert await ask("nonsense") == refused
            assert await ask(token[:-2] + "xx") == refused
            assert await ask(security.create_access_token({"sub": unique("nobody")})) == refused
            await p.close()
            status, _, _ = await ask(security.create_access_token({"sub": unique("nobody")}))
            assert status == 503, "a fault is never a refusal"
        await compat.close()

    run(job())


def test_tokens_need_a_key() -> None:
    compat.use({"REDIS_URL": os.environ["REDIS_URL"]})
    with pytest.raises(posada.InvalidError, match="SECRET_KEY"):
        security.create_access_token({"sub": "ana"})
    run(compat.close())


def test_passwords_are_judged_in_the_words_of_the_app() -> None:
    assert password_policy.validate_password_strength("Verano-de-2027") == (True, [])
    good, violations = password_policy.validate_password_strength("corta")
    assert not good
    assert violations[:4] == [
        "Password must be at least 12 characters long",
        "Password must contain at least one uppercase letter",
        "Password must contain at least one digit",
        r"""Password must contain at least one special character from: !@#$%^&*()_+\-=\[\]{};':\"\\|,.<>\/?""",
    ]
    lenient = PasswordPolicy(min_length=4, require_uppercase=False, require_digit=False, require_special=False)
    assert lenient.validate_password_strength("corta") == (True, [])
    hashed = password_policy.hash_password("Verano-de-2027")
    assert hashed.startswith("$2b$12$")
    assert password_policy.verify_password("Verano-de-2027", hashed)
    assert pwd_context is security.pwd_context
    assert violations[3].endswith(password_policy.special_chars)
    assert not security.pwd_context.verify("verano", hashed)
    assert not security.pwd_context.verify("verano", None)
    with pytest.raises(posada.InvalidError, match="72 bytes"):
        security.pwd_context.hash("x" * 73)


def test_passwords_are_changed_after_ninety_days() -> None:
    now = dt.datetime.now(dt.timezone.utc)
    assert password_policy.check_rotation_required(None)
    assert password_policy.check_rotation_required(now - dt.timedelta(days=90))
    assert password_policy.check_rotation_required((now - dt.timedelta(days=90)).replace(tzinfo=None))
    assert not password_policy.check_rotation_required(now - dt.timedelta(days=89, hours=23))


def test_the_history_of_passwords_is_looked_at_and_a_fault_is_no_permission() -> None:
    async def job() -> None:
        p = _handles.environment()
        await p.migrate()
        name = unique("ana")
        old = "Verano-de-2027-en-Salta"
        user = await p.auth.create_user(name, f"{name}@hotel.example", old)
        _, place = os.environ["DATABASE_URL"].split("://", 1)
        engine = create_async_engine(f"postgresql+asyncpg://{place}")
        async with engine.connect() as session:
            hashed = password_policy.hash_password(old)
            row = {"user": user.id, "hash": hashed}
            await session.execute(
                text("INSERT INTO password_history (user_id, password_hash, created_at) VALUES (:user, :hash, now())"),
                row,
            )
            fine, message = await password_policy.validate_password_history(session, user.id, old)
            assert (fine, message) == (False, "Password was used recently. Cannot reuse last 5 passwords")
            await password_policy.validate_password_complete("Otra-cosa-de-2027", session, user.id)
            with pytest.raises(PasswordPolicyViolation) as caught:
                await password_policy.validate_password_complete(old, session, user.id)
            assert caught.value.violations == [message]
            await session.execute(text("SET LOCAL search_path TO nowhere"))
            with pytest.raises(Exception, match="password_history"):
                await password_policy.validate_password_history(session, user.id, old)
        await engine.dispose()
        await compat.close()

    run(job())
