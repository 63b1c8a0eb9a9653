"""The keys that sign tokens: changing them, short ones, and the app's own tokens."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import os
import time
from typing import Annotated, Any

import httpx
import posada
import pytest
from fastapi import Depends, FastAPI
from posada import compat
from posada.compat import _handles, security
from support import run, server_settings, unique

OLD = "c0ffee5ecret0123456789abcdef0123456789abcdef"
NEW = "0ther5ecret0123456789abcdef0123456789abcdef00"
PASSWORD = "el loro pinta mapas de cobre"
SECOND = "una llama silba en do menor"


def process(key: str, *others: str, **options: Any) -> posada.Posada:
    """A handle as another process has it: it signs with one key and verifies with the others for a week."""
    until = dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=7)
    keys = [(other, until) for other in others]
    return posada.Posada.build(
        server_settings(secret_key=key), auth_options=posada.AuthOptions(previous_keys=keys, **options)
    )


@pytest.mark.parametrize("is_old_first", [True, False])
def test_a_change_of_the_key_ends_no_session(is_old_first: bool) -> None:
    async def job() -> None:
        async with process(OLD) as old, process(NEW, OLD) as new:
            name = unique("ana")
            user = await old.auth.create_user(name, f"{name}@hotel.example", PASSWORD)
            pair = await old.auth.login(name, PASSWORD)
            for p in (old, new):
                assert (await p.auth.verify_privileged(pair.access)).user_id == user.id
            first, second = (old, new) if is_old_first else (new, old)
            following = await first.auth.refresh(pair.refresh)
            again = await second.auth.refresh(pair.refresh)
            assert following.session == again.session == pair.session, "a repetition is no theft"
            last = await new.auth.refresh(again.refresh)
            assert (await new.auth.verify(last.access)).session == pair.session
            reset = await old.auth.issue(user.id, "reset_password")
            await new.auth.reset_password(reset, SECOND)
            with pytest.raises(posada.UnauthenticatedError) as used:
                await old.auth.reset_password(reset, PASSWORD)
            assert used.value.code == "auth.session_ended"

    run(job())


def test_a_key_of_any_length_signs_in_development() -> None:
    async def job() -> None:
        for key in ("k", "generate_secure_key_here", "aB3dE5fG7hJ9kL2mN4pQ6rS8"):
            async with process(key, "another-short-one") as p:
                name = unique("ana")
                await p.auth.create_user(name, f"{name}@hotel.example", PASSWORD)
                pair = await p.auth.login(name, PASSWORD)
                assert await p.auth.verify(pair.access)

    run(job())


@pytest.mark.parametrize(
    ("key", "previous", "field"),
    [("aB3dE5fG7hJ9kL2mN4pQ6rS8", None, "secret_key"), (OLD, "generate_secure_key_here", "previous_keys")],
)
def test_production_does_not_start_with_a_key_that_can_be_guessed(key: str, previous: str | None, field: str) -> None:
    until = dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=7)

    async def started() -> None:
        settings = server_settings(secret_key=key, environment="production", variables={"PMS_TYPE": "mock"})
        options = posada.AuthOptions(previous_keys=[(previous, until)] if previous else [])
        await posada.Posada.connect(settings, auth_options=options)

    async def job() -> None:
        with pytest.raises(posada.InvalidError, match="openssl rand -hex 32") as refused:
            await started()
        assert (refused.value.code, refused.value.field) == ("settings.dummy_secret", field)
        assert key not in str(refused.value)

    run(job())


def test_an_error_of_a_token_says_nothing_about_its_reason() -> None:
    async def job() -> None:
        shown = set()
        async with process(OLD) as p:
            name = unique("ana")
            await p.auth.create_user(name, f"{name}@hotel.example", PASSWORD)
            pair = await p.auth.login(name, PASSWORD)
            header, claims, _ = pair.access.split(".")
            for token in ("", "x", "a.b.c", f"{header}.{claims}.", pair.access[:-3] + "abc", pair.refresh):
                with pytest.raises(posada.UnauthenticatedError) as refused:
                    await p.auth.verify(token)
                shown.add(f"{refused.value.code} {refused.value} {refused.value.context}")
        assert len(shown) == 1, shown

    run(job())


def signed(key: str, claims: dict[str, Any]) -> str:
    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    header = {"alg": "HS256", "typ": "JWT"}
    text = ".".join(part(json.dumps(value).encode()) for value in (header, claims))
    return f"{text}.{part(hmac.digest(key.encode(), text.encode(), hashlib.sha256))}"


@pytest.mark.parametrize("access_life", [900, 7200])
def test_the_apps_tokens_end_with_the_password_whatever_the_life_of_our_own(access_life: int) -> None:
    async def job() -> None:
        async with process(OLD, access_life=access_life) as p:
            name = unique("ana")
            user = await p.auth.create_user(name, f"{name}@hotel.example", PASSWORD)
            now = int(time.time())
            before = [
                {"sub": name, "exp": now + 3600 - 60},
                {"sub": name, "exp": now + 3600, "iat": now + 3600},
                {"sub": name, "exp": now + 7200, "iat": now + 3600},
                {"sub": name, "exp": now + 3600, "iat": now + 60},
                {"sub": name, "exp": str(now + 3000), "iat": str(now - 600)},
            ]
            await p.auth.set_password(user.id, SECOND, must_change=False)
            for claims in before:
                with pytest.raises(posada.UnauthenticatedError) as refused:
                    await p.auth.verify(signed(OLD, claims))
                assert refused.value.code == "auth.session_ended", claims
            now = int(time.time())
            for claims in (
                {"sub": name, "exp": now + 3600},
                {"sub": name, "exp": str(now + 3600)},
                {"sub": name, "exp": float(now + 3600)},
                {"sub": name, "exp": now + 600, "iat": now},
            ):
                assert (await p.auth.verify(signed(OLD, claims))).user_id == user.id

    run(job())


@pytest.mark.usefixtures("app_environment")
def test_the_apps_function_takes_moments_as_python_jose_does() -> None:
    moment = dt.datetime(2027, 3, 10, 12, 0, 0, 900_000)
    buenos_aires = dt.timezone(dt.timedelta(hours=-3))
    for given in (moment, moment.replace(tzinfo=dt.timezone.utc), moment.replace(hour=9, tzinfo=buenos_aires)):
        data = {"sub": "ana", "iat": given, "nbf": given, "exp": given}
        token = security.create_access_token(data)
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        assert claims["iat"] == claims["nbf"] == 1_804_680_000, given
        assert abs(claims["exp"] - time.time() - 3600) < 60, "the end is the app's"
        assert data["iat"] is given, "what the caller gave stays as it is"
    with pytest.raises(TypeError):
        security.create_access_token({"sub": "ana", "hired": moment})
    run(compat.close())


def test_a_short_key_of_the_app_opens_its_routes() -> None:
    guarded = FastAPI()

    @guarded.get("/me")
    async def me(user: Annotated[dict[str, str], Depends(security.get_current_user)]) -> dict[str, str]:
        return user

    async def job() -> None:
        servers = {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL")}
        compat.use(servers | {"SECRET_KEY": "generate_secure_key_here"})
        p = _handles.environment()
        await p.migrate()
        name = unique("ana")
        await p.auth.create_user(name, f"{name}@hotel.example", PASSWORD)
        transport = httpx.ASGITransport(app=guarded)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as http:
            moment = dt.datetime.now(dt.timezone.utc)
            token = security.create_access_token({"sub": name, "iat": moment})
            answer = await http.get("/me", headers={"Authorization": f"Bearer {token}"})
            assert (answer.status_code, answer.json()) == (200, {"username": name})
        await compat.close()
        compat.use(servers)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as http:
            with pytest.raises(posada.InvalidError, match="SECRET_KEY"):
                await http.get("/me", headers={"Authorization": f"Bearer {token}"})
        await compat.close()

    run(job())
