"""Accounts: passwords that mean harm, hotels that are gone, rights, events."""

from __future__ import annotations

import posada
import pytest
from posada.auth import Permission, own_permission, password_violations
from support import run, server_settings, unique

PASSWORD = "el loro pinta mapas de cobre"


def test_a_hostile_password_gets_a_verdict_and_no_panic() -> None:
    hostile = ["1@" * 9, "1@" * 36, "1@1@1@1@1@1@1@1@1@x", "4@8({[<3691!|0$5+7%2" * 4, "75" * 36, "x" * 100_000]
    for password in hostile:
        assert isinstance(password_violations(password, context=["ana", "hotel-costanera"]), list), password
    for password in ("1@" * 9, "1@1@1@1@1@1@1@1@1@x", "75" * 36):
        assert password_violations(password), password

    async def job() -> None:
        async with posada.Posada.embedded() as p:
            for password in ("1@" * 9, "1@1@1@1@1@1@1@1@1@x"):
                with pytest.raises(posada.InvalidError, match=r"auth\.weak_password"):
                    await p.auth.create_user("ana", "ana@example.com", password)
            with pytest.raises(posada.InvalidError, match=r"auth\.invalid_password"):
                await p.auth.create_user("ana", "ana@example.com", "x" * 10_000_000)

    run(job())


def test_permissions_are_constants_and_a_misspelled_one_is_refused() -> None:
    named = posada.role_permissions("admin")
    assert named == [str(each) for each in Permission] == [each.value for each in Permission]
    own = own_permission("rebuild_everything_once")

    async def job() -> None:
        async with posada.Posada.embedded() as p:
            hotel = await p.tenants.create("hotel-a", name="Hotel A")
            await p.auth.create_user("ana", "ana@example.com", PASSWORD, tenant=hotel, role="admin")
            claims = await p.auth.verify((await p.auth.login("ana", PASSWORD)).access)
            for permission in (Permission.MANAGE_RATES, "manage_rates", own):
                claims.require_for(hotel, permission)
                assert claims.has_permission(permission)
                with pytest.raises(posada.DeniedError, match=r"auth\.wrong_tenant"):
                    claims.require_for("hotel-b", permission)
            for wrong in ("manage_rate", "rebuild_nothing", "", "Manage Rates"):
                with pytest.raises(posada.InvalidError, match=r"auth\.invalid_permission"):
                    claims.require_for(hotel, wrong)
                with pytest.raises(posada.InvalidError, match=r"auth\.invalid_permission"):
                    claims.has_permission(wrong)
            with pytest.raises(posada.InvalidError, match=r"auth\.invalid_permission"):
                own_permission("Rebuild!")

    run(job())


@pytest.mark.parametrize("store", ["memory", "servers"])
def test_a_hotel_that_does_not_exist_has_no_users(store: str) -> None:
    settings = posada.Settings.embedded() if store == "memory" else server_settings()
    name, hotel = unique("ana"), unique("hotel")

    async def job() -> None:
        async with posada.Posada.build(settings) as p:
            await p.migrate()
            with pytest.raises(posada.InvalidError, match=r"auth\.invalid_user") as refused:
                await p.auth.create_user(name, f"{name}@example.com", PASSWORD, tenant=hotel)
            assert refused.value.field == "tenant"
            await p.tenants.create(hotel, name="Hotel Test")
            await p.auth.create_user(name, f"{name}@example.com", PASSWORD, tenant=hotel)
            with pytest.raises(posada.ConflictError, match=r"auth\.user_exists"):
                await p.auth.create_user(unique("bea"), f"{name.upper()}@EXAMPLE.com", PASSWORD, tenant=hotel)
            pair = await p.auth.login(name, PASSWORD)
            await p.tenants.suspend(hotel)
            with pytest.raises(posada.UnauthenticatedError, match=r"auth\.bad_credentials"):
                await p.auth.login(name, PASSWORD)
            with pytest.raises(posada.UnauthenticatedError, match=r"auth\.session_ended"):
                await p.auth.refresh(pair.refresh)

    run(job())


def test_events_of_a_sign_in_have_an_address_and_one_mark_for_one_user() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            events = p.auth.events()
            await p.auth.create_user("ana", "ana@example.com", PASSWORD)
            with pytest.raises(posada.UnauthenticatedError):
                await p.auth.login("ana", "wrong", address="203.0.113.9")
            tokens = await p.auth.login("ana", PASSWORD, address="2001:db8::1")
            await p.auth.logout(tokens.access)
            seen = []
            while not seen or seen[-1].kind != "authn_token_revoked":
                event = await events.next()
                assert event is not None
                seen.append(event)
        assert len({event.user for event in seen}) == 1
        addresses = {event.kind: event.address for event in seen}
        assert addresses["authn_login_fail"] == "203.0.113.9"
        assert addresses["authn_login_success"] == "2001:db8::1"
        assert {event.account for event in seen if event.kind.startswith("authn_login")} != {None}

    run(job())
