"""The fixtures for pytest. The other tests use them too."""

from __future__ import annotations

import datetime as dt

import posada
import pytest
from posada.testing import HOTEL_NUMBER, SignIn


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def posada_settings() -> posada.Settings:
    """Other options than the fixture's own."""
    return posada.Settings.build(
        postgres_url="memory:",
        redis_url="memory:",
        secret_key="a key of this module, long enough for HS256",
        hold_ttl=60,
    )


@pytest.mark.anyio
async def test_coroutines_use_the_handle(posada_handle: posada.Posada, posada_hotel: posada.Tenant) -> None:
    found = await posada_handle.tenants.resolve(HOTEL_NUMBER, "whatsapp")
    assert found.tenant == posada_hotel


@pytest.mark.anyio
async def test_other_settings_reach_the_handle(posada_handle: posada.Posada) -> None:
    hold = await posada_handle.locks.hold_stay("room:101", dt.date(2027, 3, 10), dt.date(2027, 3, 12))
    assert dt.timedelta(0) < hold.remaining() <= dt.timedelta(seconds=60)


@pytest.mark.anyio
async def test_the_mock_hotel_is_the_one_in_hand(posada_handle: posada.Posada, posada_mock_pms: posada.MockPms) -> None:
    posada_mock_pms.script("read", "unavailable")
    with pytest.raises(posada.UnavailableError):
        await posada_handle.pms.hotels()
    assert await posada_handle.pms.hotels()


@pytest.mark.anyio
async def test_somebody_is_signed_in_also_from_within_a_loop(
    posada_handle: posada.Posada, posada_hotel: posada.Tenant, posada_sign_in: SignIn
) -> None:
    headers = posada_sign_in("manager")
    claims = await posada_handle.auth.verify(headers["Authorization"].removeprefix("Bearer "))
    assert (claims.role, claims.tenant, claims.is_superuser) == ("manager", posada_hotel.id, False)


@pytest.mark.parametrize("time", range(2))
def test_every_test_has_stores_of_its_own(time: int, posada_hotel: posada.Tenant) -> None:
    assert (time < 2, posada_hotel.id) == (True, "hotel-test")
