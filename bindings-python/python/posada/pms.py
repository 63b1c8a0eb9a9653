"""The property management system: what is free, what it costs, and bookings."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Literal

from posada import _native
from posada._checks import day as _day
from posada._checks import identifier, instance, moment, optional_identifier, text, whole
from posada._idempotency import IdempotencyKey
from posada._native import Mock
from posada._pms_account import Folio, FolioLine, Invoice, Payment
from posada._pms_capabilities import Capabilities
from posada._pms_prices import CancellationTerms, Charge, ChargeKind, Due, Money, Occupancy, OccupancyLimits, Price
from posada._pms_values import (
    Availability,
    BookedService,
    Booking,
    BookingChange,
    BookingRequest,
    BookingStatus,
    Change,
    ChosenService,
    Collision,
    Created,
    Guest,
    GuestProfile,
    Hotel,
    MissingPermission,
    Offer,
    PmsEvent,
    Quote,
    QuotedService,
    Recheck,
    RoomStay,
    RoomType,
    Service,
    checked_services,
    party_of,
)
from posada.locks import Hold
from posada.stay import Stay

__all__ = [
    "Availability",
    "BookedService",
    "Booking",
    "BookingChange",
    "BookingRequest",
    "BookingStatus",
    "CancellationTerms",
    "Capabilities",
    "Change",
    "Changes",
    "Charge",
    "ChargeKind",
    "ChosenService",
    "Collision",
    "Created",
    "Due",
    "Folio",
    "FolioLine",
    "Guest",
    "GuestProfile",
    "Hotel",
    "IdempotencyKey",
    "Invoice",
    "MissingPermission",
    "MockPms",
    "Money",
    "Occupancy",
    "OccupancyLimits",
    "Offer",
    "Payment",
    "PmsClient",
    "PmsEvent",
    "PmsEvents",
    "Price",
    "Quote",
    "QuotedService",
    "Recheck",
    "RoomStay",
    "RoomType",
    "Service",
]


class PmsEvents:
    """What rechecks do: ``async for event in p.pms.events()``. One that is 256 events behind misses the oldest."""

    __slots__ = ("_native",)

    def __init__(self, native: _native.PmsWatch) -> None:
        self._native = native

    def __aiter__(self) -> PmsEvents:
        return self

    async def __anext__(self) -> PmsEvent:
        event = await self.next()
        if event is None:
            raise StopAsyncIteration
        return event

    async def next(self) -> PmsEvent | None:
        """The next event; ``None`` when the client is gone. Cancel-safe: nothing is lost."""
        return await self._native.next()


class Changes:
    """The changes of a system: ``async for change in p.pms.changes_since(cursor)`` tells what is new now, and ends.

    Keep ``cursor`` and go on from it later. Every change comes at least once.
    """

    __slots__ = ("_cursor", "_native")

    def __init__(self, native: _native.Feed, cursor: str | None) -> None:
        self._native = native
        self._cursor = cursor

    def __aiter__(self) -> Changes:
        return self

    async def __anext__(self) -> Change:
        change = await self.next()
        if change is None:
            raise StopAsyncIteration
        return change

    async def next(self) -> Change | None:
        """The next change; ``None`` when there is nothing new at this moment. Cancel-safe read.

        Raises ``pms.invalid_request`` (field ``cursor``) for a cursor of another system.
        """
        change, self._cursor = await self._native.next()
        return change

    @property
    def cursor(self) -> str | None:
        """The place to go on from after a restart, a short text; ``None`` before the first ``next`` of a moment."""
        return self._cursor


class MockPms(Mock):
    """The mock hotel, with its faults in a test's hand: ``Posada.build(settings, mock_pms=mock)``."""

    __slots__ = ()

    def script(
        self,
        operation: Literal["read", "create", "place", "cancel", "price", "guest"],
        fault: Literal["unavailable", "timeout_before_write", "timeout_after_write", "timeout_then_write"],
        times: int = 1,
        *,
        after_lookups: int = 1,
    ) -> None:
        """Makes the next ``times`` calls of this kind go wrong. Faults of one kind strike in the order of scripting."""
        self._script(
            text("operation", operation),
            text("fault", fault),
            whole("times", times),
            whole("after_lookups", after_lookups),
        )

    def set_gap(self, yields: int) -> None:
        """How often a booking yields to other tasks between choosing its rooms and writing them.

        With 0, the default, a booking is one step and no collision happens.
        """
        self._set_gap(whole("yields", yields))

    def set_collision(self, collision: Literal["back_order", "double_book"]) -> None:
        """What becomes of the loser of a collision."""
        self._set_collision(text("collision", collision))

    def set_base_price(self, room_type: int | str, price: Money) -> None:
        """Changes the list price of a room type, as the hotel may do between a quote and a booking."""
        instance("price", price, Money)
        self._set_base_price(identifier("room_type", room_type), price.amount, price.currency)

    def set_city_tax(self, each: Money) -> None:
        """Lets the town take a tax of each guest for each night, which is paid at the hotel on top of everything else.

        Raises ``money.invalid`` for another currency than that of the hotel.
        """
        instance("each", each, Money)
        self._set_city_tax(each.amount, each.currency)


class PmsClient:
    """The property management system: no double booking, no silent back-order, no second booking after a lost answer.

    Reads are cancel-safe. ``book`` and ``cancel`` are detached. Every call raises ``pms.unavailable`` or
    ``pms.timeout`` when the system is down and nothing was changed.
    """

    __slots__ = ("_native",)

    def __init__(self, handle: _native.Handle) -> None:
        self._native = _native.Pms(handle)

    def capabilities(self) -> Capabilities:
        """What the hotel's system can do, and which promises it keeps by itself. Asks nothing."""
        system, guards, features = self._native.capabilities()
        return Capabilities(system, dict(guards), dict(features))

    async def hotels(self) -> list[Hotel]:
        """All hotels."""
        return await self._native.hotels()

    async def self_test(self) -> list[MissingPermission]:
        """What the key of the system may not do; empty when nothing is missing.

        Raises ``pms.refused``, ``pms.switched_off``, ``pms.wrong_system``.
        """
        return await self._native.self_test()

    async def room_types(self, hotel: int | str) -> list[RoomType]:
        """The room types of a hotel, with their limits. Raises ``pms.unknown_hotel``."""
        return await self._native.room_types(identifier("hotel", hotel))

    async def services(self, hotel: int | str, room_type: int | str) -> list[Service]:
        """What a guest can have beside a room of this type, and what every such room has already (``automatic``).

        As old as the room types. Raises ``pms.unknown_hotel``, ``pms.unknown_room_type``; ``pms.not_permitted`` when
        the key of the system may not see the taxes on services.
        """
        return await self._native.services(identifier("hotel", hotel), identifier("room_type", room_type))

    async def availability(
        self,
        hotel: int | str,
        stay: Stay,
        *,
        adults: int | None = None,
        child_ages: Sequence[int] = (),
        party: Sequence[Occupancy] = (),
        room_type: int | str | None = None,
    ) -> Availability:
        """What a party can book for a stay: of one room type, or of all. A moment's view: only ``book`` gives a room.

        Either ``adults`` (and ``child_ages``) for one room, or ``party`` for several.

        Raises ``pms.unknown_hotel``, ``pms.unknown_room_type``; ``pms.invalid_request`` (field ``stay``) for dates
        that cannot be sold; ``pms.occupancy`` when no room type asked about takes the party.
        """
        guests = list(party_of(adults, child_ages, party))
        return await self._native.availability(
            identifier("hotel", hotel),
            instance("stay", stay, Stay),
            guests,
            optional_identifier("room_type", room_type),
        )

    async def quote(
        self,
        hotel: int | str,
        room_type: int | str,
        stay: Stay,
        *,
        adults: int | None = None,
        child_ages: Sequence[int] = (),
        party: Sequence[Occupancy] = (),
        services: Sequence[ChosenService] = (),
    ) -> Quote:
        """The price of a stay, to be told to a guest and to be carried by the booking. Cancel-safe read.

        Every room gets each of the services, and they stand in the quote with their parts of the price: it is what
        the guest really pays. A request that carries the quote names the same services.

        Raises ``pms.sold_out``; ``pms.invalid_request`` (field ``services``) for a service that the room type does
        not have, that is in its price anyway, or of which a room cannot have that number; and as ``availability``.
        """
        guests = list(party_of(adults, child_ages, party))
        chosen = checked_services(services)
        return await self._native.quote(
            identifier("hotel", hotel), identifier("room_type", room_type), instance("stay", stay, Stay), guests, chosen
        )

    async def book(self, request: BookingRequest, *, hold: Hold | None = None) -> Booking:
        """Books, or finds the booking that an earlier call with the same key made. Detached.

        It takes as long as the system needs, and minutes when it loses answers. With a hold, its rooms and nights
        must cover the request. A success has a room for every guest, and no other guest has it.

        Raises ``pms.sold_out``; ``pms.price_changed`` with ``quoted`` and ``current``; ``pms.key_reused`` with
        ``differs``; ``pms.wrong_state``; ``pms.hold_mismatch`` with ``differs``; ``pms.outcome_unknown``
        (``AmbiguousError``): ask again with the same key, never with another; and those of ``availability``.
        """
        held = None if hold is None else instance("hold", hold, Hold)._native
        return await self._native.book(instance("request", request, BookingRequest), held)

    async def booking(self, id: int | str) -> Booking | None:
        """A booking as it is now; ``None`` when there is none of that id. Raises ``pms.outcome_unknown``."""
        return await self._native.booking(identifier("id", id))

    async def find_booking(self, key: str) -> Booking | None:
        """The booking that was made with a key. Right after ``pms.outcome_unknown``, ``None`` proves nothing yet.

        One whose call died half-way is finished first. Look at its ``status``: it may be cancelled. Raises
        ``pms.outcome_unknown`` while it is still being made: what is not settled is never a booking.
        """
        return await self._native.find_booking(text("key", key))

    async def cancel(self, id: int | str) -> Booking:
        """Cancels a booking and frees its rooms; one that is cancelled already is answered as it is. Detached.

        Raises ``pms.unknown_booking``; ``pms.wrong_state`` when the guest is, or was, in the house;
        ``pms.outcome_unknown``, and then the call may be repeated.
        """
        return await self._native.cancel(identifier("id", id))

    async def force_cancel(self, id: int | str) -> Booking:
        """Cancels a booking although its guest is in the house: for the front desk. Detached.

        Raises as ``cancel``; ``pms.wrong_state`` when the guest has checked out.
        """
        return await self._native.force_cancel(identifier("id", id))

    async def modify(self, id: int | str, change: BookingChange) -> Booking:
        """Gives a booking other nights, guests or rooms, under the same id; answers it as it is then. Detached.

        Its own room counts as free for it. Asking for the same change twice is harmless. When a call came to no end,
        the next one for the same nights finishes it, at the price that was agreed then.

        Raises ``pms.unknown_booking``, ``pms.wrong_state``; ``pms.sold_out`` and ``pms.price_changed``, and nothing
        was changed then; ``pms.invalid_request``, ``pms.occupancy``; ``pms.outcome_unknown``: ask again.
        """
        return await self._native.modify(identifier("id", id), instance("change", change, BookingChange))

    async def quote_change(self, id: int | str, change: BookingChange) -> Quote:
        """What a booking would cost after a change, all of it. Cancel-safe read. Raises as ``modify``."""
        return await self._native.quote_change(identifier("id", id), instance("change", change, BookingChange))

    async def check_in(self, id: int | str) -> Booking:
        """The guests of a booking are in the house, from now on. Detached. Raises as ``cancel``."""
        return await self._native.check_in(identifier("id", id))

    async def check_out(self, id: int | str) -> Booking:
        """The guests of a booking have left, just now: their rooms are free. Detached.

        Raises ``pms.unknown_booking``; ``pms.wrong_state`` for guests who never arrived; ``pms.outcome_unknown``.
        """
        return await self._native.check_out(identifier("id", id))

    async def arrivals(self, hotel: int | str, day: dt.date) -> list[Booking]:
        """The bookings that arrive on a day: confirmed, or in the house already. Cancel-safe read."""
        return await self._native.arrivals(identifier("hotel", hotel), _day("day", day))

    async def departures(self, hotel: int | str, day: dt.date) -> list[Booking]:
        """The bookings that leave on a day: confirmed, in the house, or gone already. Cancel-safe read."""
        return await self._native.departures(identifier("hotel", hotel), _day("day", day))

    async def guest(self, email: str) -> GuestProfile | None:
        """The guest with this e-mail address; ``None`` when the system knows none. Cancel-safe read."""
        return await self._native.guest(text("email", email))

    async def create_guest(self, guest: Guest) -> GuestProfile:
        """Writes a guest down, or answers the one that the system has under this address, unchanged. Detached.

        Not needed before booking. Raises ``pms.rejected``; ``pms.outcome_unknown``, and then it may be repeated.
        """
        return await self._native.create_guest(instance("guest", guest, Guest))

    async def invoices(self, id: int | str) -> Folio:
        """What a booking costs in lines, what was invoiced, and what was paid. Raises ``pms.unknown_booking``."""
        return await self._native.invoices(identifier("id", id))

    def changes_since(self, cursor: str | dt.datetime) -> Changes:
        """Every booking that changes, from a moment or from a cursor that was kept. Nothing is asked before ``next``.

        Raises ``pms.invalid_request`` (field ``cursor``) for a text that is no cursor.
        """
        if isinstance(cursor, str):
            return Changes(self._native.changes_since(text("cursor", cursor)), cursor)
        return Changes(self._native.changes_since(moment("cursor", cursor)), None)

    def events(self) -> PmsEvents:
        """What rechecks of bookings do from now on. Listen before you book."""
        return PmsEvents(self._native.events())
