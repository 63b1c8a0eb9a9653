"""The values of a hotel system: ids as text, what a price consists of, rooms with a state of their own, guests."""

from __future__ import annotations

import datetime as dt
import pickle
from decimal import Decimal

import posada
import pytest
from posada._pms_values import _same_quote
from support import run

GUEST = posada.Guest("Ana", "Pérez", "ana@example.com", "+5491187654321")
STAY = posada.Stay(dt.date(2027, 3, 10), dt.date(2027, 3, 12))


def test_an_id_is_given_as_a_number_or_as_text_and_comes_as_text() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            assert [hotel.id for hotel in await p.pms.hotels()] == ["1"]
            of_number = await p.pms.room_types(1)
            assert of_number == await p.pms.room_types("1")
            assert [each.id for each in of_number] == ["1", "2", "3", "4"]
            quote = await p.pms.quote("1", 2, STAY, adults=2, services=[posada.ChosenService("9")])
            assert (quote.hotel, quote.room_type, quote.services[0].service) == ("1", "2", "9")
            for unknown in (7, "7", "007", "XPGMSXGF-1"):
                assert await p.pms.booking(unknown) is None
                with pytest.raises(posada.NotFoundError) as refusal:
                    await p.pms.availability(unknown, STAY, adults=2)
                assert refusal.value.code == "pms.unknown_hotel"
            for wrong in ("", "a b", "ñ", "f" * 65):
                with pytest.raises(posada.InvalidError) as refused:
                    await p.pms.room_types(wrong)
                assert refused.value.field == "hotel"

    run(job())


def test_a_request_from_a_quote_has_its_services_and_a_hold_of_its_rooms_covers_it() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            two = [posada.Occupancy(2), posada.Occupancy(1)]
            quote = await p.pms.quote(1, 2, STAY, party=two, services=[posada.ChosenService(9)])
            assert quote.resource == "room_type:1/2"
            request = posada.BookingRequest.from_quote(quote, GUEST, "wa-from-quote", remark="late")
            nights = {"capacity": 5, "quantity": 2, "session_id": "s"}
            async with p.locks.hold_stay(quote.resource, STAY.check_in, STAY.check_out, **nights) as hold:
                booking = await p.pms.book(request, hold=hold)
            assert (booking.total, len(booking.rooms)) == (quote.total, 2)
            assert [each.service for each in booking.services] == ["9"]
            with pytest.raises(posada.InvalidError) as refusal:
                await p.locks.hold_stay("room_type:2", STAY.check_in, STAY.check_out)
            assert refusal.value.code == "locks.invalid_resource"
            first = booking.rooms[0]
            assert (first.status, first.rate_plan, first.number) == ("confirmed", "default", "DR-201")
            change = posada.BookingChange(rooms=((first, "DR-205"),))
            moved = await p.pms.modify(booking.id, change)
            assert (moved.rooms[0].id, moved.rooms[0].number) == (first.id, "DR-205")
            back = posada.BookingChange(rooms=(("DR-205", "DR-201"),))
            assert (await p.pms.modify(booking.id, back)).rooms[0].number == "DR-201"

    run(job())


def test_a_price_says_what_is_included_and_what_is_paid_at_the_hotel() -> None:
    async def job() -> None:
        mock = posada.MockPms()
        mock.set_city_tax(posada.Money(Decimal(5), "USD"))
        async with posada.Posada.build(posada.Settings.embedded(), mock_pms=mock) as p:
            quote = await p.pms.quote(1, 1, STAY, adults=2, child_ages=[7])
            assert quote.total == quote.price.payable == posada.Money(Decimal(2630), "USD")
            assert quote.price.net == posada.Money(Decimal(2500), "USD")
            charges = [(each.kind, each.amount.amount, each.included, each.due) for each in quote.price.charges]
            assert charges == [("tax", 100, True, "at_booking"), ("city_tax", 30, False, "at_hotel")]
            assert (quote.rate_plan, quote.terms) == ("default", "unknown")
            again = pickle.loads(pickle.dumps(quote))
            assert again == quote
            booking = await p.pms.book(posada.BookingRequest.from_quote(again, GUEST, "wa-city-tax"))
            assert booking.total == quote.total
            assert [each.kind for each in booking.price.charges] == ["city_tax"]
            assert booking.rooms[0].price == quote.total

    run(job())


def test_a_quote_that_was_pickled_before_ids_were_text_is_read() -> None:
    at = dt.datetime(2027, 1, 1, tzinfo=dt.timezone.utc)
    nights, rooms = (STAY.check_in, STAY.check_out), [(2, [7])]
    quote = _same_quote(1, 2, nights, rooms, (Decimal(2600), "USD"), [(9, "Breakfast", 1, (Decimal(10), "USD"))], at)
    assert (quote.hotel, quote.room_type, quote.rate_plan) == ("1", "2", "default")
    assert (quote.total.amount, quote.price.charges, quote.services[0].service) == (2600, (), "9")


def test_a_guest_has_an_address_or_a_telephone() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            quote = await p.pms.quote(1, 1, STAY, adults=2)
            by_phone = posada.Guest("Ana 2", "Pérez", phone="+5491187654321")
            booking = await p.pms.book(posada.BookingRequest.from_quote(quote, by_phone, "wa-by-phone"))
            assert booking.guest is not None
            assert (booking.guest.email, booking.guest.phone) == ("", "+5491187654321")
            with pytest.raises(posada.InvalidError) as refusal:
                await p.pms.book(posada.BookingRequest.from_quote(quote, posada.Guest("Ana", "Pérez"), "wa-nobody"))
            assert (refusal.value.code, refusal.value.field) == ("pms.invalid_request", "email")

    run(job())
