"""The vectors that all languages share, through the calls of Python.

Left out are those that need a clock that can be set, which Python does not have: tokens, and flags with dates.
"""

from __future__ import annotations

import json
import os
from typing import Any

import posada
import pytest
import redis.asyncio
from support import VECTORS, run, server_settings, unique

DOCUMENTS = sorted(path.stem for path in (VECTORS / "sessions").glob("*.json"))


def vectors(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


def client() -> redis.asyncio.Redis:
    return redis.asyncio.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_of_the_app_survive_to_the_byte(name: str) -> None:
    stored = (VECTORS / "sessions" / f"{name}.json").read_text().rstrip("\n")

    async def job() -> None:
        async with posada.Posada.connect(server_settings()) as p, client() as r:
            user = unique("user")
            await r.set(f"session:{user}", stored, ex=600)
            session = await p.sessions.get(user)
            assert session is not None
            assert json.dumps(session.document) == json.dumps(json.loads(stored))
            before = session.document["last_activity"]
            await p.sessions.save(session)
            after = session.document["last_activity"]
            assert await r.get(f"session:{user}") == stored.replace(
                f'"last_activity": "{before}"', f'"last_activity": "{after}"'
            )

    run(job())


def test_passwords_verify_as_passlib_says() -> None:
    for case in vectors("auth/passwords"):
        assert posada.password_matches(case["password"], case["hash"]) is case["verifies"], case


def test_identifiers_are_read_alike() -> None:
    known = vectors("tenants/identifiers")
    for case in known["valid"]:
        found = posada.Identifier.parse(case["input"], case.get("channel"))
        assert (found.kind, found.canonical) == (case["kind"], case["canonical"]), case
        assert list(found.candidates) == case["candidates"], case
    for case in known["invalid"]:
        with pytest.raises(posada.InvalidError, match=r"tenants\.invalid_identifier"):
            posada.Identifier.parse(case["input"], case.get("channel"))


def test_every_spelling_of_an_address_leads_to_its_hotel() -> None:
    async def job() -> None:
        for spellings in vectors("tenants/identifiers")["same_address"]:
            async with posada.Posada.embedded() as p:
                await p.tenants.create("hotel-test", name="Hotel Test")
                await p.tenants.add_identifier("hotel-test", spellings[0])
                for spelling in spellings:
                    found = await p.tenants.resolve(spelling)
                    assert found.tenant is not None, spelling
                    assert found.tenant.id == "hotel-test"

    run(job())


def test_plain_fields_of_the_hash_mean_the_same() -> None:
    async def job() -> None:
        async with posada.Posada.connect(server_settings()) as p, client() as r:
            word = unique("truth")
            cases = {f"{word}-{number}": case for number, case in enumerate(vectors("flags/truthiness")["cases"])}
            await r.hset("feature_flags", mapping={flag: case["value"] for flag, case in cases.items()})
            await p.flags.refresh()
            for flag, case in cases.items():
                assert p.flags.is_enabled(flag) is case["enabled"], case
            await r.hdel("feature_flags", *cases)

    run(job())


def test_layers_of_flags_have_the_same_order() -> None:
    async def job() -> None:
        word, hotel = unique("layer"), unique("hotel")
        cases = {f"{word}-{number}": case for number, case in enumerate(vectors("flags/layering")["cases"])}
        code = {flag: case["code"] for flag, case in cases.items() if case["code"] is not None}
        async with posada.Posada.connect(server_settings(), default_flags=code) as p, client() as r:
            for layer, key in (("global", "feature_flags"), ("tenant", f"feature_flags:{hotel}")):
                there = {flag: case[layer] for flag, case in cases.items() if case[layer] is not None}
                await r.hset(key, mapping=there)
            await p.flags.refresh()
            await p.flags.warm([hotel])
            for flag, case in cases.items():
                found = p.flags.evaluate(flag, default=case["call"], tenant=hotel)
                assert (found.value, found.source, found.reason) == (case["value"], case["source"], case["reason"]), (
                    case
                )
            await r.hdel("feature_flags", *cases)
            await r.delete(f"feature_flags:{hotel}")

    run(job())


def test_definitions_decide_alike() -> None:
    names = {"userId": "user", "sessionId": "session", "remoteAddress": "remote_address", "properties": "properties"}

    async def job() -> None:
        async with posada.Posada.embedded() as p:
            for number, flag in enumerate(vectors("flags/definitions")["flags"]):
                if '"DATE_' in json.dumps(flag):
                    continue
                await p.flags.set(f"flag-{number}", json.dumps(flag["definition"]))
                for case in flag["cases"]:
                    context = {names[name]: value for name, value in case["context"].items()}
                    found = p.flags.evaluate(f"flag-{number}", **context)
                    variant = None if found.variant is None else found.variant.name
                    wanted = (case["enabled"], case.get("variant"), case["reason"])
                    assert (found.value, variant, found.reason) == wanted, (flag["name"], case)

    run(job())
