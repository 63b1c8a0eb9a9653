"""The property management system: what is free, what it costs, and bookings."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, overload

from posada import _native
from posada._checks import text, whole
from posada._native import Mock
from posada.locks import Hold
from posada.stay import Stay

__all__ = [
    "Availability",
    "BookedRoom",
    "Booking",
    "BookingRequest",
    "BookingStatus",
    "Collision",
    "Created",
    "Guest",
    "Hotel",
    "MissingPermission",
    "MockPms",
    "Money",
    "Occupancy",
    "OccupancyLimits",
    "Offer",
    "PmsClient",
    "PmsEvent",
    "PmsEvents",
    "Quote",
    "RoomType",
    "Settle",
]

BookingStatus = Literal["pending", "confirmed", "checked_in", "checked_out", "back_ordered", "cancelled"]
"""Where a booking stands."""

Created = Literal["created", "found_again"]
"""Whether the call made the booking, or an earlier one had."""

Settle = Literal["detached", "wait"]
"""Whether ``book`` waits for the second look, two seconds later or more."""

Collision = Literal["yield", "keep"]
"""What becomes of our booking when the second look finds a stranger in its room and no room is free."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of a currency. Never a float."""

    amount: Decimal
    """How much."""
    currency: str
    """Its ISO 4217 code, such as ``USD``."""

    def __post_init__(self) -> None:
        if not isinstance(self.amount, Decimal):
            raise TypeError(f"amount: expected Decimal, not {type(self.amount).__name__}")

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


@dataclass(frozen=True, slots=True)
class Occupancy:
    """The guests of one room."""

    adults: int
    """How many adults, at least one."""
    child_ages: tuple[int, ...] = ()
    """The age of each child, 0 to 17."""

    def __post_init__(self) -> None:
        whole("adults", self.adults)
        object.__setattr__(self, "child_ages", tuple(whole("child_ages", age) for age in self.child_ages))

    @property
    def children(self) -> int:
        """How many children."""
        return len(self.child_ages)

    @property
    def guests(self) -> int:
        """How many people."""
        return self.adults + self.children


@dataclass(frozen=True, slots=True)
class OccupancyLimits:
    """How many guests a room takes."""

    max_adults: int
    """At most so many adults."""
    max_children: int
    """At most so many children."""
    max_guests: int
    """At most so many people."""


@dataclass(frozen=True, slots=True)
class Hotel:
    """A hotel of the system."""

    id: int
    """Its number in the system."""
    name: str
    """Its name."""
    check_in: dt.time
    """From when guests arrive, in the hotel's time."""
    check_out: dt.time
    """Until when guests leave, in the hotel's time."""
    currency: str
    """The currency of its prices."""
    max_days_ahead: int | None
    """How far ahead it sells; ``None`` without end."""


@dataclass(frozen=True, slots=True)
class RoomType:
    """A kind of room of a hotel."""

    id: int
    """Its number in the system."""
    hotel: int
    """Its hotel."""
    name: str
    """Its name."""
    base_price: Money
    """The list price of a night."""
    limits: OccupancyLimits
    """How many guests a room takes."""
    min_nights: int
    """The shortest stay."""
    max_nights: int | None
    """The longest stay; ``None`` without end."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Rooms of one type that can be booked for a stay."""

    room_type: int
    """The room type."""
    name: str
    """Its name."""
    available: int
    """Rooms that are free in every night of the stay, at least as many as the party needs."""
    per_night: tuple[tuple[dt.date, Money], ...]
    """The price of one room in each night, with tax and with the services that the hotel adds by itself."""
    net_total: Money
    """The price of the whole stay for all rooms of the party, without tax."""
    total: Money
    """The same with tax: what the guest pays. It binds, and may differ from the sum of the nights by rounding."""


@dataclass(frozen=True, slots=True)
class Availability(Sequence[Offer]):
    """What a party can book: a sequence of offers. An empty one means that the hotel is full."""

    hotel: int
    """The hotel."""
    stay: Stay
    """The nights."""
    offers: tuple[Offer, ...]
    """What can be booked."""
    age: dt.timedelta
    """How old the answer is."""
    potentially_stale: bool
    """Whether the system could not confirm it now."""

    @overload
    def __getitem__(self, index: int) -> Offer: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Offer, ...]: ...
    def __getitem__(self, index: int | slice) -> Offer | tuple[Offer, ...]:
        return self.offers[index]

    def __len__(self) -> int:
        return len(self.offers)

    def __iter__(self) -> Iterator[Offer]:
        return iter(self.offers)


@dataclass(frozen=True, slots=True)
class Quote:
    """A price that a guest can be told, and that a booking can carry. Made by ``quote`` only."""

    hotel: int
    """The hotel."""
    room_type: int
    """The room type."""
    stay: Stay
    """The nights."""
    party: tuple[Occupancy, ...]
    """The guests of each room."""
    total: Money
    """The price with tax."""
    quoted_at: dt.datetime
    """When it was said (UTC)."""
    _native: _native.Quoted = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Guest:
    """Who books."""

    first_name: str
    """1 to 32 characters."""
    last_name: str
    """1 to 32 characters."""
    email: str
    """At most 128 bytes."""
    phone: str
    """At most 32 bytes."""

    def __repr__(self) -> str:
        return "Guest(…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingRequest:
    """What is to be booked, for whom, and under which key. Everything is checked by ``book``, before anything is sent.

    Either ``adults`` (and ``child_ages``) for one room, or ``party`` for several.
    """

    hotel: int
    """The hotel."""
    room_type: int
    """The room type, the same for all rooms."""
    stay: Stay
    """The nights."""
    guest: Guest = field(repr=False)
    """Who books."""
    idempotency_key: str
    """The name of this wish, at most 64 bytes: the same key books once, however often it is sent."""
    adults: int | None = None
    """The adults of one room."""
    child_ages: tuple[int, ...] = ()
    """The ages of their children."""
    party: tuple[Occupancy, ...] = ()
    """The guests of each room."""
    remark: str | None = field(default=None, repr=False)
    """Words for the front desk, at most 1000 characters."""
    quote: Quote | None = None
    """The price that the guest was told: the booking is made at that price or not at all."""
    settle: Settle = "detached"
    """Whether ``book`` waits for the second look."""
    collision: Collision = "yield"
    """What becomes of the booking when the second look finds a stranger in its room."""

    def __post_init__(self) -> None:
        if not isinstance(self.stay, Stay):
            raise TypeError(f"stay: expected posada.Stay, not {type(self.stay).__name__}")
        if not isinstance(self.guest, Guest):
            raise TypeError(f"guest: expected posada.Guest, not {type(self.guest).__name__}")
        object.__setattr__(self, "party", _party(self.adults, self.child_ages, self.party))


@dataclass(frozen=True, slots=True)
class BookedRoom:
    """A room of a booking."""

    number: str
    """The number on its door."""
    room_type: int
    """Its type."""
    stay: Stay
    """The nights."""
    occupancy: Occupancy
    """Who sleeps in it."""


@dataclass(frozen=True, slots=True)
class Booking:
    """A booking, as the system has it."""

    id: int
    """Its number in the system."""
    reference: str
    """What the guest is told."""
    key: str | None
    """The idempotency key, if posada made it."""
    hotel: int
    """The hotel."""
    status: BookingStatus
    """Where it stands."""
    rooms: tuple[BookedRoom, ...]
    """Its rooms."""
    stay: Stay
    """The nights."""
    total: Money
    """The price with tax."""
    created: Created
    """Whether the call made it, or an earlier one had."""


@dataclass(frozen=True, slots=True)
class MissingPermission:
    """Something that the key of the system may not do, although posada needs it."""

    resource: str
    """What it cannot reach."""
    methods: str
    """How."""
    needed_for: str
    """What does not work without."""


@dataclass(frozen=True, slots=True)
class PmsEvent:
    """What the second look at a booking did."""

    kind: Literal["moved", "yielded", "kept", "unsettled", "other"]
    """A stranger was in the room: ours has another one now, or is cancelled, or both stay. Or no look was possible."""
    key: str | None
    """The key of our booking."""
    booking_id: int | None
    """Our booking."""
    other: int | None
    """The booking that has the room."""
    booking: Booking | None
    """Our booking as it is now, when it was moved."""
    code: str | None
    """The code of the error, when no look was possible."""


class PmsEvents:
    """What second looks do: ``async for event in p.pms.events()``. One that is 256 events behind misses the oldest."""

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
        parts = await self._native.next()
        if parts is None:
            return None
        kind, key, ours, other, booking, code = parts
        return PmsEvent(kind, key, ours, other, None if booking is None else _booking(booking), code)


class MockPms(Mock):
    """The mock hotel, with its faults in a test's hand: ``Posada.build(settings, mock_pms=mock)``."""

    __slots__ = ()

    def set_base_price(self, room_type: int, price: Money) -> None:
        """Changes the list price of a room type, as the hotel may do between a quote and a booking."""
        self._set_base_price(room_type, price.amount, price.currency)


class PmsClient:
    """The property management system: no double booking, no silent back-order, no second booking after a lost answer.

    Reads are cancel-safe. ``book`` and ``cancel`` are detached. Every call raises ``pms.unavailable`` or
    ``pms.timeout`` when the system is down and nothing was changed.
    """

    __slots__ = ("_native",)

    def __init__(self, handle: _native.Handle) -> None:
        self._native = _native.Pms(handle)

    async def hotels(self) -> list[Hotel]:
        """All hotels."""
        return [Hotel(*parts) for parts in await self._native.hotels()]

    async def self_test(self) -> list[MissingPermission]:
        """What the key of the system may not do; empty when nothing is missing.

        Raises ``pms.refused``, ``pms.switched_off``, ``pms.not_qloapps``.
        """
        return [MissingPermission(*parts) for parts in await self._native.self_test()]

    async def room_types(self, hotel: int) -> list[RoomType]:
        """The room types of a hotel, with their limits. Raises ``pms.unknown_hotel``."""
        return [_room_type(parts) for parts in await self._native.room_types(whole("hotel", hotel))]

    async def availability(
        self,
        hotel: int,
        stay: Stay,
        *,
        adults: int | None = None,
        child_ages: Sequence[int] = (),
        party: Sequence[Occupancy] = (),
        room_type: int | None = None,
    ) -> Availability:
        """What a party can book for a stay: of one room type, or of all. A moment's view: only ``book`` gives a room.

        Either ``adults`` (and ``child_ages``) for one room, or ``party`` for several.

        Raises ``pms.unknown_hotel``, ``pms.unknown_room_type``; ``pms.invalid_request`` (field ``stay``) for dates
        that cannot be sold; ``pms.occupancy`` when no room type asked about takes the party.
        """
        guests = list(_party(adults, child_ages, party))
        found = await self._native.availability(whole("hotel", hotel), _nights(stay), guests, room_type)
        hotel, nights, offers, age, stale = found
        return Availability(hotel, Stay(*nights), tuple(_offer(parts) for parts in offers), age, stale)

    async def quote(
        self,
        hotel: int,
        room_type: int,
        stay: Stay,
        *,
        adults: int | None = None,
        child_ages: Sequence[int] = (),
        party: Sequence[Occupancy] = (),
    ) -> Quote:
        """The price of a stay, to be told to a guest and to be carried by the booking. Raises ``pms.sold_out``."""
        guests = list(_party(adults, child_ages, party))
        quoted = await self._native.quote(whole("hotel", hotel), whole("room_type", room_type), _nights(stay), guests)
        hotel, room_type, nights, rooms, total, at = quoted.parts()
        return Quote(
            hotel, room_type, Stay(*nights), tuple(_occupancy(each) for each in rooms), Money(*total), at, quoted
        )

    async def book(self, request: BookingRequest, *, hold: Hold | None = None) -> Booking:
        """Books, or finds the booking that an earlier call with the same key made. Detached.

        It takes as long as the system needs, and minutes when it loses answers. With a hold, its rooms and nights
        must cover the request. A success has a room for every guest, and nobody else has it.

        Raises ``pms.sold_out``; ``pms.price_changed`` with ``quoted`` and ``current``; ``pms.key_reused`` with
        ``differs``; ``pms.wrong_state``; ``pms.hold_mismatch`` with ``differs``; ``pms.outcome_unknown``
        (``AmbiguousError``): ask again with the same key, never with another; and those of ``availability``.
        """
        if not isinstance(request, BookingRequest):
            raise TypeError(f"request: expected posada.BookingRequest, not {type(request).__name__}")
        return _booking(await self._native.book(request, None if hold is None else hold._native))

    async def booking(self, id: int) -> Booking | None:
        """A booking as it is now; ``None`` when there is none of that id. Raises ``pms.outcome_unknown``."""
        parts = await self._native.booking(whole("id", id))
        return None if parts is None else _booking(parts)

    async def find_booking(self, key: str) -> Booking | None:
        """The booking that was made with a key. Right after ``pms.outcome_unknown``, ``None`` proves nothing yet."""
        parts = await self._native.find_booking(text("key", key))
        return None if parts is None else _booking(parts)

    async def cancel(self, id: int) -> Booking:
        """Cancels a booking and frees its rooms; one that is cancelled already is answered as it is. Detached.

        Raises ``pms.unknown_booking``; ``pms.wrong_state`` when the guest is, or was, in the house;
        ``pms.outcome_unknown``, and then the call may be repeated.
        """
        return _booking(await self._native.cancel(whole("id", id)))

    def events(self) -> PmsEvents:
        """What second looks at bookings do from now on. Listen before you book."""
        return PmsEvents(self._native.events())


def _party(adults: int | None, child_ages: Sequence[int], party: Sequence[Occupancy]) -> tuple[Occupancy, ...]:
    if adults is None:
        if not party:
            raise TypeError("adults: expected how many, or party for several rooms")
        if child_ages:
            raise TypeError("child_ages: belongs to adults; in a party each room has its own")
        return tuple(party)
    room = Occupancy(adults, tuple(child_ages))
    if party and tuple(party) != (room,):
        raise TypeError("party: expected either adults or party, not both")
    return (room,)


def _nights(stay: Stay) -> Stay:
    if not isinstance(stay, Stay):
        raise TypeError(f"stay: expected posada.Stay, not {type(stay).__name__}")
    return stay


def _occupancy(parts: _native.Guests) -> Occupancy:
    adults, ages = parts
    return Occupancy(adults, tuple(ages))


def _room_type(parts: _native.RoomTypeParts) -> RoomType:
    number, hotel, name, price, limits, min_nights, max_nights = parts
    return RoomType(number, hotel, name, Money(*price), OccupancyLimits(*limits), min_nights, max_nights)


def _offer(parts: _native.OfferParts) -> Offer:
    room_type, name, available, nights, net, total = parts
    prices = tuple((night, Money(*price)) for night, price in nights)
    return Offer(room_type, name, available, prices, Money(*net), Money(*total))


def _booking(parts: _native.BookingParts) -> Booking:
    number, reference, key, hotel, status, rooms, stay, total, created = parts
    booked = tuple(
        BookedRoom(door, room_type, Stay(*nights), _occupancy(guests)) for door, room_type, nights, guests in rooms
    )
    return Booking(number, reference, key, hotel, status, booked, Stay(*stay), Money(*total), created)
