"""Fixtures for pytest, which finds them by itself where posada is installed.

::

    async def test_a_hold_is_released(posada_handle, posada_hotel):
        hold = await posada_handle.locks.hold_stay("room:101", arrival, departure, tenant=posada_hotel)
        ...

    def test_only_managers_see_reports(client, posada_sign_in):
        answer = client.get("/api/reports", headers=posada_sign_in("receptionist"))
        assert answer.status_code == 403

Everything lives in memory and ends with the test. They suit coroutines under any plugin, and tests that are none.
To run on servers, or with other options, override ``posada_settings`` in your ``conftest.py``.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol, TypeVar

import pytest

from posada._posada import Posada
from posada.auth import Role
from posada.pms import MockPms
from posada.settings import Settings
from posada.tenants import Tenant

__all__ = [
    "HOTEL_NUMBER",
    "SignIn",
    "posada_handle",
    "posada_hotel",
    "posada_mock_pms",
    "posada_settings",
    "posada_sign_in",
]

HOTEL_NUMBER: Final = "5491112345678"
"""The number that guests of ``posada_hotel`` write to, as WhatsApp sends it."""

_Answer = TypeVar("_Answer")


@pytest.fixture
def posada_settings() -> Settings:
    """What ``posada_handle`` is made from: everything in memory. Override it for anything else."""
    return Settings.build(postgres_url="memory:", redis_url="memory:", secret_key=uuid.uuid4().hex)


@pytest.fixture
def posada_mock_pms() -> MockPms:
    """The hotel in which ``posada_handle`` books: script its faults, change its prices, count its bookings."""
    return MockPms()


@pytest.fixture
def posada_handle(posada_settings: Settings, posada_mock_pms: MockPms) -> Iterator[Posada]:
    """A handle of the test's own, closed after it. Any number of loops and threads may use it."""
    p = Posada.build(posada_settings, mock_pms=posada_mock_pms)
    _finish(p.migrate())
    yield p
    _finish(p.close())


@pytest.fixture
def posada_hotel(posada_handle: Posada) -> Tenant:
    """The tenant ``hotel-test``, whose guests write to ``HOTEL_NUMBER``."""

    async def opening() -> Tenant:
        hotel = await posada_handle.tenants.create("hotel-test", name="Hotel Test")
        await posada_handle.tenants.add_identifier(hotel, HOTEL_NUMBER, "whatsapp")
        return hotel

    return _finish(opening())


class SignIn(Protocol):
    """What ``posada_sign_in`` is."""

    def __call__(self, role: Role = "guest", *, superuser: bool = False) -> dict[str, str]:
        """Makes a user of ``posada_hotel`` (a superuser has no hotel), and answers the headers of its requests."""


@pytest.fixture
def posada_sign_in(posada_handle: Posada, posada_hotel: Tenant) -> SignIn:
    """Signs in a new user: ``client.get(path, headers=posada_sign_in("manager"))``."""

    async def signing_in(role: Role, superuser: bool) -> dict[str, str]:
        name, password, hotel = uuid.uuid4().hex, uuid.uuid4().hex, None if superuser else posada_hotel
        await posada_handle.auth.create_user(
            name, f"{name}@example.com", password, tenant=hotel, role=role, superuser=superuser
        )
        tokens = await posada_handle.auth.login(name, password)
        return {"Authorization": f"Bearer {tokens.access}"}

    def sign_in(role: Role = "guest", *, superuser: bool = False) -> dict[str, str]:
        return _finish(signing_in(role, superuser))

    return sign_in


def _finish(work: Coroutine[Any, Any, _Answer]) -> _Answer:
    """Runs a coroutine to its end in a thread of its own, whatever loop runs in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
