"""Rows that need no server: what memory answers, tokens and hashes."""

from __future__ import annotations

import logging
import tempfile
import time

import argon2
import jwt
import posada
from contest import Contest
from jose import jwt as jose
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
from UnleashClient import UnleashClient
from UnleashClient.cache import FileCache

KEY = "the key of the benchmarks, long enough for HS256"
NUMBER = "5491112345678"


async def calls(contest: Contest) -> None:
    """All of them."""
    settings = posada.Settings.build(secret_key=KEY)
    async with posada.Posada.connect(settings) as p:
        await p.tenants.create("hotel-test", name="Hotel Test")
        await p.tenants.add_identifier("hotel-test", NUMBER, "whatsapp")
        await tenants(contest, p)
        await flags(contest, p)
        await tokens(contest, p)
    hashes(contest)


async def tenants(contest: Contest, p: posada.Posada) -> None:
    """A cached tenant against a dictionary."""
    known = {NUMBER: await p.tenants.resolve(NUMBER, "whatsapp")}

    async def ours(_: int) -> object:
        return await p.tenants.resolve(NUMBER, "whatsapp")

    async def look_up(number: str) -> object:
        return known[number]

    async def theirs(_: int) -> object:
        return await look_up(NUMBER)

    await contest.awaited("tenants.resolve, cached / dict in async def", "<= 1.5, 0.25 us", 1, ours, theirs)

    async def scoped(_: int) -> object:
        return p.for_tenant((await p.tenants.resolve(NUMBER, "whatsapp")).tenant)

    await contest.awaited("tenants.resolve and for_tenant / tenants.resolve", "<= 3 us", 1, scoped, ours)


async def flags(contest: Contest, p: posada.Posada) -> None:
    """A flag with a rollout against two clients that also evaluate in memory."""
    rollout = {"rollout": "50", "stickiness": "userId", "groupId": "canary"}
    feature = {
        "name": "canary.enabled",
        "type": "release",
        "enabled": True,
        "strategies": [{"name": "flexibleRollout", "parameters": rollout}],
    }
    await p.flags.set("canary.enabled", True)

    def ours() -> object:
        return p.flags.is_enabled("canary.enabled", tenant="hotel-test", user=NUMBER)

    if contest.wants("flags.is_enabled / UnleashClient"):
        logging.getLogger("UnleashClient").setLevel(logging.ERROR)
        with tempfile.TemporaryDirectory() as folder:
            cache = FileCache("bench", directory=folder)
            cache.bootstrap_from_dict({"version": 2, "features": [feature]})
            client = UnleashClient(
                "http://127.0.0.1:9/api", "bench", cache=cache, disable_metrics=True, disable_registration=True
            )
            client.initialize_client(fetch_toggles=False)
            context = {"userId": NUMBER}
            contest.plain(
                "flags.is_enabled / UnleashClient",
                "<= 0.01, 0.25 us",
                ours,
                lambda: client.is_enabled("canary.enabled", context),
            )
            client.destroy()

    provider = InMemoryProvider({"canary.enabled": InMemoryFlag("on", {"on": True, "off": False})})
    api.set_provider(provider)
    feature_client = api.get_client()
    who = EvaluationContext(NUMBER)
    contest.plain(
        "flags.is_enabled / OpenFeature in memory",
        "<= 0.022",
        ours,
        lambda: feature_client.get_boolean_value("canary.enabled", False, who),
    )


async def tokens(contest: Contest, p: posada.Posada) -> None:
    """A verified token of a live session against the two libraries that only look at the signature."""
    await p.auth.create_user("ana", "ana@hotel.example", "el loro pinta mapas de cobre", role="manager")
    access = (await p.auth.login("ana", "el loro pinta mapas de cobre")).access
    await p.auth.verify(access)
    theirs = jwt.encode(
        {"sub": "ana", "role": "manager", "jti": "x" * 43, "exp": int(time.time()) + 3600}, KEY, algorithm="HS256"
    )

    async def ours(_: int) -> object:
        return await p.auth.verify(access)

    async def pyjwt(_: int) -> object:
        return jwt.decode(theirs, KEY, algorithms=["HS256"])

    async def python_jose(_: int) -> object:
        return jose.decode(theirs, KEY, algorithms=["HS256"])

    await contest.awaited("auth.verify / PyJWT", "<= 0.09", 1, ours, pyjwt)
    await contest.awaited("auth.verify / python-jose", "<= 0.09", 1, ours, python_jose)


def hashes(contest: Contest) -> None:
    """The same argon2id hash, verified."""
    hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
    stored = hasher.hash("el loro pinta mapas de cobre")
    contest.plain(
        "argon2id verify / argon2-cffi",
        "<= 0.8",
        lambda: posada.password_matches("el loro pinta mapas de cobre", stored),
        lambda: hasher.verify(stored, "el loro pinta mapas de cobre"),
    )
