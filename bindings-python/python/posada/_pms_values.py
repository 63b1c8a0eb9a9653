"""The values of the property management system, and how they are made of what the native half answers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, overload

from posada import _native
from posada._checks import instance, optional_instance, optional_text, several, text, whole
from posada.errors import InvalidError
from posada.stay import Stay

BookingStatus = Literal["pending", "confirmed", "checked_in", "checked_out", "back_ordered", "cancelled"]
"""Where a booking stands."""

Created = Literal["created", "found_again"]
"""Whether the call made the booking, or an earlier one had."""

Recheck = Literal["detached", "wait"]
"""Whether ``book`` waits for the recheck, two seconds later or more."""

Collision = Literal["yield", "keep"]
"""What becomes of our booking when the recheck finds a foreign booking in its room and no room is free."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of a currency. Never a float. Raises ``money.invalid`` for NaN and the infinities."""

    amount: Decimal
    """How much."""
    currency: str
    """Its ISO 4217 code, such as ``USD``."""

    def __post_init__(self) -> None:
        if not isinstance(self.amount, Decimal):
            raise TypeError(f"amount: expected Decimal, not {type(self.amount).__name__}")
        if not self.amount.is_finite():
            raise InvalidError(
                f"amount: expected a number, not {self.amount}", code="money.invalid", context={"field": "amount"}
            )
        text("currency", self.currency)

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
        object.__setattr__(
            self, "child_ages", tuple(whole("child_ages", age) for age in several("child_ages", self.child_ages))
        )

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
class Service:
    """Something that a hotel sells with its rooms, or that every room has already."""

    id: int
    """Its number in the system."""
    name: str
    """Its name."""
    price: Money
    """The price of one of it for one room, with tax: for each night or for the whole stay, as ``per_night`` says."""
    net_price: Money
    """The same without tax."""
    per_night: bool
    """Whether it is paid for each night, and not once for the stay."""
    automatic: bool
    """Whether every room has it already, and every price of the room contains it: then it cannot be chosen."""
    max_quantity: int | None
    """How many of it a room may have; ``None`` without a limit."""


@dataclass(frozen=True, slots=True)
class ChosenService:
    """A service that a guest chose."""

    service: int
    """The service."""
    quantity: int = 1
    """How many of it each room shall have, 1 to 100; the hotel usually allows fewer."""

    def __post_init__(self) -> None:
        whole("service", self.service, bits=64)
        whole("quantity", self.quantity)


@dataclass(frozen=True, slots=True)
class QuotedService:
    """A chosen service in a quote: an item of what the guest pays."""

    service: int
    """The service."""
    name: str
    """Its name."""
    quantity: int
    """How many of it each room has."""
    total: Money
    """What all of them cost, for all rooms and nights, with tax."""


@dataclass(frozen=True, slots=True)
class BookedService:
    """A service of a booking."""

    service: int
    """The service."""
    name: str
    """Its name."""
    quantity: int
    """How many of it all rooms have together. What is paid for each night counts once."""


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
    """A price that a guest can be told, and that a booking can carry. Made by ``quote`` only.

    It can be pickled and copied, and what comes back is as good for ``book``.
    """

    hotel: int
    """The hotel."""
    room_type: int
    """The room type."""
    stay: Stay
    """The nights."""
    party: tuple[Occupancy, ...]
    """The guests of each room."""
    total: Money
    """The price with tax and with all services, those of ``services`` among them."""
    services: tuple[QuotedService, ...]
    """The services that were chosen, each with its part of the total, in the order of their numbers."""
    quoted_at: dt.datetime
    """When it was said (UTC)."""
    _native: _native.Quoted = field(repr=False, compare=False)

    @property
    def rooms_total(self) -> Money:
        """What the rooms alone cost, with tax and automatic services: ``total`` without the chosen services."""
        return Money(*self._native.rooms_total())

    def __reduce__(self) -> tuple[Callable[..., Quote], tuple[object, ...]]:
        return _same_quote, self._native.parts()


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

    def __post_init__(self) -> None:
        for name in ("first_name", "last_name", "email", "phone"):
            text(name, getattr(self, name))

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
    idempotency_key: str = field(repr=False)
    """The name of this wish: the same key books once, however often it is sent. Take ``IdempotencyKey.of``."""
    adults: int | None = None
    """The adults of one room."""
    child_ages: tuple[int, ...] = ()
    """The ages of their children."""
    party: tuple[Occupancy, ...] = ()
    """The guests of each room."""
    remark: str | None = field(default=None, repr=False)
    """Words for the front desk, at most 1000 characters."""
    services: tuple[ChosenService, ...] = ()
    """What the guest has beside the rooms; every room gets each of them. Those of ``quote``, when there is one."""
    quote: Quote | None = None
    """The price that the guest was told: the booking is made at that price or not at all."""
    recheck: Recheck = "detached"
    """Whether ``book`` waits for the recheck."""
    collision: Collision = "yield"
    """What becomes of the booking when the recheck finds a foreign booking in its room."""

    def __post_init__(self) -> None:
        whole("hotel", self.hotel, bits=64)
        whole("room_type", self.room_type, bits=64)
        instance("stay", self.stay, Stay)
        instance("guest", self.guest, Guest)
        text("idempotency_key", self.idempotency_key)
        optional_text("remark", self.remark)
        optional_instance("quote", self.quote, Quote)
        text("recheck", self.recheck)
        text("collision", self.collision)
        object.__setattr__(self, "party", party_of(self.adults, self.child_ages, self.party))
        object.__setattr__(self, "services", tuple(checked_services(self.services)))


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
class GuestProfile:
    """A guest as the system knows them. Nothing here was checked: people write what they like."""

    id: int
    """The guest's number in the system."""
    first_name: str = field(repr=False)
    """The given name."""
    last_name: str = field(repr=False)
    """The family name."""
    email: str = field(repr=False)
    """The e-mail address; empty when the system has none."""
    phone: str = field(repr=False)
    """The phone number; empty when the system has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingChange:
    """Other nights, other guests, or other rooms for a booking. What is not named stays as it is."""

    stay: Stay | None = None
    """Other nights, for all rooms of the booking. They cost what they cost now."""
    party: tuple[Occupancy, ...] = ()
    """Other guests in each room, in the order of the booking's rooms. The number of rooms stays."""
    rooms: tuple[tuple[str, str], ...] = ()
    """Other rooms of the same type: pairs of the numbers on the doors, from and to."""
    quote: Quote | None = None
    """The price that the guest was told: the one that ``quote_change`` answered."""

    def __post_init__(self) -> None:
        optional_instance("stay", self.stay, Stay)
        party = tuple(instance("party", room, Occupancy) for room in several("party", self.party))
        rooms = tuple((text("rooms", start), text("rooms", end)) for start, end in several("rooms", self.rooms))
        object.__setattr__(self, "party", party)
        object.__setattr__(self, "rooms", rooms)
        optional_instance("quote", self.quote, Quote)


@dataclass(frozen=True, slots=True)
class FolioLine:
    """One line of a folio."""

    name: str
    """What it is, such as the name of a room type."""
    quantity: int
    """How many; of a room, usually its nights."""
    net_total: Money
    """The price of all of them, without tax."""
    total: Money
    """The price of all of them, with tax."""


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice."""

    number: int
    """Its number in the hotel's books."""
    made_at: dt.datetime
    """When it was made (UTC)."""
    net_total: Money
    """Its amount, without tax."""
    total: Money
    """Its amount, with tax."""


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment."""

    amount: Money
    """The amount; below zero for money that was given back."""
    method: str
    """How it was paid, in the system's words."""
    transaction: str | None
    """The number that the payment provider gave it, if any."""
    paid_at: dt.datetime
    """When it was taken (UTC)."""


@dataclass(frozen=True, slots=True)
class Folio:
    """Everything about the money of one booking. posada only reads it."""

    booking: int
    """The booking."""
    lines: tuple[FolioLine, ...]
    """What it consists of, as the system wrote it. Discounts are not lines, so ``total`` binds."""
    invoices: tuple[Invoice, ...]
    """The invoices that were made, oldest first."""
    payments: tuple[Payment, ...]
    """The payments that were taken, oldest first."""
    total: Money
    """What the guest pays for all of it, with tax."""
    paid: Money
    """The sum of the payments."""


@dataclass(frozen=True, slots=True)
class Booking:
    """A booking, as the system has it."""

    id: int
    """Its number in the system."""
    reference: str
    """What the guest is told."""
    key: str | None = field(repr=False)
    """The idempotency key, if posada made it."""
    hotel: int
    """The hotel."""
    guest: GuestProfile | None = field(repr=False)
    """Who booked, as the system knows them."""
    status: BookingStatus
    """Where it stands."""
    rooms: tuple[BookedRoom, ...]
    """Its rooms."""
    stay: Stay
    """The nights."""
    services: tuple[BookedService, ...]
    """The services that were chosen for it."""
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
    """What the recheck of a booking did."""

    kind: Literal["moved", "yielded", "kept", "recheck_failed", "other"]
    """A foreign booking was in the room: ours has another one now, or is cancelled, or both stay. Or no recheck was made."""
    key: str | None = field(repr=False)
    """The key of our booking."""
    booking_id: int | None
    """Our booking."""
    other: int | None
    """The booking that has the room."""
    booking: Booking | None
    """Our booking as it is now, when it was moved."""
    code: str | None
    """The code of the error, when no look was possible."""


@dataclass(frozen=True, slots=True)
class Change:
    """A booking that changed."""

    id: int
    """The booking."""
    changed_at: dt.datetime
    """When it changed, as far as the system tells (UTC)."""
    booking: Booking | None
    """The booking as it is now; ``None`` when the system is still writing it, or has no room for it any more."""


def party_of(adults: int | None, child_ages: Sequence[int], party: Sequence[Occupancy]) -> tuple[Occupancy, ...]:
    rooms = tuple(instance("party", room, Occupancy) for room in several("party", party))
    ages = tuple(several("child_ages", child_ages))
    if adults is None:
        if not rooms:
            raise TypeError("adults: expected how many, or party for several rooms")
        if ages:
            raise TypeError("child_ages: belongs to adults; in a party each room has its own")
        return rooms
    room = Occupancy(adults, ages)
    if rooms and rooms != (room,):
        raise TypeError("party: expected either adults or party, not both")
    return (room,)


def make_quote(quoted: _native.Quoted) -> Quote:
    hotel, room_type, nights, rooms, total, items, at = quoted.parts()
    party = tuple(make_occupancy(each) for each in rooms)
    services = tuple(QuotedService(service, name, count, Money(*price)) for service, name, count, price in items)
    return Quote(hotel, room_type, Stay(*nights), party, Money(*total), services, at, quoted)


def _same_quote(
    hotel: int,
    room_type: int,
    nights: _native._Nights,
    rooms: list[_native._Guests],
    total: _native._Amount,
    items: list[_native._ItemParts],
    at: dt.datetime,
) -> Quote:
    party = [make_occupancy(each) for each in rooms]
    return make_quote(_native.Quoted(hotel, room_type, Stay(*nights), party, total, items, at))


def make_folio(parts: _native._FolioParts) -> Folio:
    booking, lines, invoices, payments, total, paid = parts
    return Folio(
        booking,
        tuple(FolioLine(name, count, Money(*net), Money(*gross)) for name, count, net, gross in lines),
        tuple(Invoice(number, at, Money(*net), Money(*gross)) for number, at, net, gross in invoices),
        tuple(Payment(Money(*amount), method, transaction, at) for amount, method, transaction, at in payments),
        Money(*total),
        Money(*paid),
    )


def checked_services(services: Iterable[ChosenService]) -> list[ChosenService]:
    return [instance("services", each, ChosenService) for each in several("services", services)]


def make_service(parts: _native._ServiceParts) -> Service:
    number, name, price, net, per_night, automatic, most = parts
    return Service(number, name, Money(*price), Money(*net), per_night, automatic, most)


def make_occupancy(parts: _native._Guests) -> Occupancy:
    adults, ages = parts
    return Occupancy(adults, tuple(ages))


def make_room_type(parts: _native._RoomTypeParts) -> RoomType:
    number, hotel, name, price, limits, min_nights, max_nights = parts
    return RoomType(number, hotel, name, Money(*price), OccupancyLimits(*limits), min_nights, max_nights)


def make_offer(parts: _native._OfferParts) -> Offer:
    room_type, name, available, nights, net, total = parts
    prices = tuple((night, Money(*price)) for night, price in nights)
    return Offer(room_type, name, available, prices, Money(*net), Money(*total))


def make_booking(parts: _native._BookingParts) -> Booking:
    number, reference, key, hotel, guest, status, rooms, stay, services, total, created = parts
    booked = tuple(
        BookedRoom(door, room_type, Stay(*nights), make_occupancy(guests)) for door, room_type, nights, guests in rooms
    )
    profile = None if guest is None else GuestProfile(*guest)
    extras = tuple(BookedService(*each) for each in services)
    return Booking(number, reference, key, hotel, profile, status, booked, Stay(*stay), extras, Money(*total), created)
