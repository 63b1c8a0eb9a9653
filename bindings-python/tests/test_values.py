"""Values have the members and the texts that every language shows, as the shared vectors have them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import posada
import pytest
from posada.pms import ChosenService, Occupancy, RoomStay
from posada.tenants import BusinessHours, Identifier
from support import VECTORS, run

CASES: dict[str, Any] = json.loads((VECTORS / "values" / "values.json").read_text())

UNTOLD = {"Booking": {"key", "guest"}, "Capabilities": {"system"}}
"""Members that are written in no language: they say who the guest is. The system is a method of the client in Rust."""

MOMENTS = {"timestamp", "quoted_at", "created_at", "updated_at"}
"""What differs from call to call."""


def plain(value: Any, name: str = "") -> Any:
    """A value as an answer of a program has it."""
    if name in MOMENTS and value is not None:
        return "…"
    if name in {"age", "reset_after"}:
        return 0
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        untold = UNTOLD.get(type(value).__name__, set())
        names = [each.name for each in dataclasses.fields(value) if not each.name.startswith("_")]
        return {each: plain(getattr(value, each), each) for each in names if each not in untold}
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, (posada.Tenant, posada.Resolution)):
        members = (each for each in dir(type(value)) if not each.startswith("_") and each != "is_active")
        return {each: plain(getattr(value, each), each) for each in members}
    return value


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Stay", lambda given: posada.Stay.parse(**given)),
        ("Occupancy", lambda given: Occupancy(**given)),
        ("ChosenService", lambda given: ChosenService(**given)),
        ("BusinessHours", lambda given: BusinessHours(**given)),
        ("Money", lambda given: posada.Money(Decimal(given["amount"]), given["currency"])),
    ],
)
def test_a_value_of_python_has_the_members_that_are_written(name: str, kind: Any) -> None:
    for case in CASES["both"][name]:
        assert plain(kind(case)) == case


def test_what_the_services_answer_has_the_shape_that_every_language_shows() -> None:
    async def job() -> dict[str, Any]:
        async with posada.Posada.embedded() as p:
            stay, two = posada.Stay.parse("2027-03-10", "2027-03-12"), {"adults": 2}
            quote = await p.pms.quote(1, 1, stay, services=[ChosenService(9)], **two)
            guest = posada.Guest("Ada", "Lovelace", "ada@example.com", "+5491187654321")
            key = posada.IdempotencyKey.of("whatsapp", "wamid.HBgNNTQ5MTE4NzY1NDMyMRUCABIYFjNFQjBDMEE4RjAA")
            availability = await p.pms.availability(1, stay, **two)
            booking = await p.pms.book(posada.BookingRequest.from_quote(quote, guest, key))
            assert isinstance(booking.rooms[0], RoomStay)
            tenant = await p.tenants.create("hotel-test", name="Hotel Test", business_hours=BusinessHours(8, 22))
            await p.tenants.add_identifier(tenant, "+5491112345678", "whatsapp")
            await p.flags.set("booking.enabled", True, tenant=tenant)
            return {
                "hotels": await p.pms.hotels(),
                "room_types": await p.pms.room_types(1),
                "services": await p.pms.services(1, 1),
                "availability": availability,
                "quote": quote,
                "booking": booking,
                "folio": await p.pms.invoices(booking.id),
                "capabilities": p.pms.capabilities(),
                "tenant": tenant,
                "resolution": await p.tenants.resolve("5491112345678", "whatsapp"),
                "unknown": await p.tenants.resolve("5491100000000", "whatsapp"),
                "identifier": Identifier.parse("+5491112345678", "whatsapp"),
                "evaluation": p.flags.evaluate("booking.enabled", tenant=tenant),
                "decision": await p.limits.check("30/minute", "203.0.113.7"),
                "health": {**(await p.health()).to_dict(), "timestamp": "…"},
            }

    answers = {name: plain(answer) for name, answer in run(job()).items()}
    assert answers.keys() == CASES["mock"].keys()
    for name, wanted in CASES["mock"].items():
        assert answers[name] == wanted, name
