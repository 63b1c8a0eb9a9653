"""The values of the property management system, and how they are made of what the native half answers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, overload

from posada import _native
from posada._checks import identifier, instance, optional_instance, optional_text, pairs, several, text, whole
from posada._pms_prices import CancellationTerms, Money, Occupancy, OccupancyLimits, Price
from posada.stay import Stay

BookingStatus = Literal["confirmed", "checked_in", "checked_out", "back_ordered", "cancelled"]
"""Where a booking stands."""

Created = Literal["created", "found_again"]
"""Whether the call made the booking, or an earlier one had."""

Recheck = Literal["detached", "wait"]
"""Whether ``book`` waits for the recheck, two seconds later or more."""

Collision = Literal["yield", "keep"]
"""What becomes of our booking when the recheck finds a foreign booking in its room and no room is free."""


@dataclass(frozen=True, slots=True)
class Hotel:
    """A hotel of the system."""

    id: str
    """Its id in the system."""
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

    id: str
    """Its id in the system."""
    hotel: str
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

    id: str
    """Its id in the system."""
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

    service: int | str
    """The service, by its id; a number is taken as its digits."""
    quantity: int = 1
    """How many of it each room shall have, 1 to 100; the hotel usually allows fewer."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "service", identifier("service", self.service))
        whole("quantity", self.quantity)


@dataclass(frozen=True, slots=True)
class QuotedService:
    """A chosen service in a quote: an item of what the guest pays."""

    service: str
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

    service: str
    """The service."""
    name: str
    """Its name."""
    quantity: int
    """How many of it all rooms have together. What is paid for each night counts once."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Rooms of one type that can be booked for a stay."""

    room_type: str
    """The room type."""
    rate_plan: str
    """The rate plan at which it is offered; ``default`` where the system has none."""
    name: str
    """Its name."""
    available: int
    """Rooms that are free in every night of the stay, at least as many as the party needs."""
    per_night: tuple[tuple[dt.date, Money], ...]
    """The price of one room in each night, with tax and with the services that the hotel adds by itself."""
    price: Price
    """The price of the whole stay for all rooms of the party. It may differ from the sum of the nights by rounding."""
    terms: CancellationTerms
    """What becomes of the money when it is cancelled."""

    @property
    def total(self) -> Money:
        """What the guest pays: ``price.payable``."""
        return self.price.payable


@dataclass(frozen=True, slots=True)
class Availability(Sequence[Offer]):
    """What a party can book: a sequence of offers. An empty one means that the hotel is full."""

    hotel: str
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

    hotel: str
    """The hotel."""
    room_type: str
    """The room type."""
    stay: Stay
    """The nights."""
    party: tuple[Occupancy, ...]
    """The guests of each room."""
    price: Price
    """The price with tax and with all services, those of ``services`` among them."""
    services: tuple[QuotedService, ...]
    """The services that were chosen, each with its part of the total, in the order of their ids."""
    quoted_at: dt.datetime
    """When it was said (UTC)."""
    rate_plan: str
    """The rate plan; ``default`` where the system has none."""
    terms: CancellationTerms
    """What becomes of the money when it is cancelled."""
    _native: _native.Quoted = field(repr=False, compare=False)

    @property
    def total(self) -> Money:
        """What the guest pays: ``price.payable``. It binds."""
        return self.price.payable

    @property
    def rooms_total(self) -> Money:
        """What the rooms alone cost, with tax and automatic services: ``total`` without the chosen services."""
        return self._native.rooms_total()

    @property
    def resource(self) -> str:
        """What ``hold_stay`` keeps for this quote: the rooms of its type in its hotel, such as ``room_type:1/3``."""
        return self._native.resource()

    def __reduce__(self) -> tuple[Callable[..., Quote], tuple[object, ...]]:
        return _same_quote, self._native.parts()[:-1]


@dataclass(frozen=True, slots=True)
class Guest:
    """Who books, and how to reach them: an e-mail address, a telephone number, or both.

    A system may have rules of its own, which ``book`` checks before anything is sent: QloApps needs both, and names of
    at most 32 characters without digits.
    """

    first_name: str
    """1 to 255 characters."""
    last_name: str
    """1 to 255 characters."""
    email: str | None = None
    """At most 254 bytes."""
    phone: str | None = None
    """At most 32 bytes."""

    def __post_init__(self) -> None:
        for name in ("first_name", "last_name"):
            text(name, getattr(self, name))
        for name in ("email", "phone"):
            optional_text(name, getattr(self, name))

    def __repr__(self) -> str:
        return "Guest(…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingRequest:
    """What is to be booked, for whom, and under which key. Everything is checked by ``book``, before anything is sent.

    ``from_quote`` takes what was quoted. Without a quote it is booked at what it costs then: either ``adults`` (and
    ``child_ages``) for one room, or ``party`` for several.
    """

    hotel: int | str
    """The hotel, by its id; a number is taken as its digits."""
    room_type: int | str
    """The room type, the same for all rooms."""
    stay: Stay
    """The nights."""
    guest: Guest = field(repr=False)
    """Who books."""
    idempotency_key: str = field(repr=False)
    """The name of this booking: the same key books once, however often it is sent. Take ``IdempotencyKey.of``."""
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
        for name in ("hotel", "room_type"):
            object.__setattr__(self, name, identifier(name, getattr(self, name)))
        instance("stay", self.stay, Stay)
        instance("guest", self.guest, Guest)
        text("idempotency_key", self.idempotency_key)
        optional_text("remark", self.remark)
        optional_instance("quote", self.quote, Quote)
        text("recheck", self.recheck)
        text("collision", self.collision)
        object.__setattr__(self, "party", party_of(self.adults, self.child_ages, self.party))
        object.__setattr__(self, "services", tuple(checked_services(self.services)))

    @classmethod
    def from_quote(
        cls,
        quote: Quote,
        guest: Guest,
        idempotency_key: str,
        *,
        remark: str | None = None,
        recheck: Recheck = "detached",
        collision: Collision = "yield",
    ) -> BookingRequest:
        """A request for what was quoted, at its price or not at all: hotel, room type, nights, guests and services are
        those of the quote."""
        instance("quote", quote, Quote)
        return cls(
            hotel=quote.hotel,
            room_type=quote.room_type,
            stay=quote.stay,
            guest=guest,
            idempotency_key=idempotency_key,
            party=quote.party,
            remark=remark,
            services=tuple(ChosenService(item.service, item.quantity) for item in quote.services),
            quote=quote,
            recheck=recheck,
            collision=collision,
        )


@dataclass(frozen=True, slots=True)
class RoomStay:
    """One room of a booking: it has a state, nights and guests of its own."""

    id: str
    """Its id in the system."""
    status: BookingStatus
    """Where it stands."""
    room_type: str
    """Its type."""
    rate_plan: str
    """Its rate plan; ``default`` where the system has none."""
    stay: Stay
    """Its nights."""
    occupancy: Occupancy
    """Who sleeps in it."""
    number: str | None
    """The number on its door; ``None`` while the system has given it no room."""
    price: Money | None
    """What it costs of the total; ``None`` when the system tells the price of the whole booking only."""


@dataclass(frozen=True, slots=True)
class GuestProfile:
    """A guest as the system knows them. Nothing here was checked: people write what they like."""

    id: str
    """The guest's id in the system."""
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
    rooms: tuple[tuple[RoomStay | str, str], ...] = ()
    """Other rooms of the same type: pairs of a room of the booking, or the number on its door, and the number of the
    other."""
    quote: Quote | None = None
    """The price that the guest was told: the one that ``quote_change`` answered."""

    def __post_init__(self) -> None:
        optional_instance("stay", self.stay, Stay)
        party = tuple(instance("party", room, Occupancy) for room in several("party", self.party))
        rooms = tuple((_room("rooms", start), text("rooms", end)) for start, end in pairs("rooms", self.rooms))
        object.__setattr__(self, "party", party)
        object.__setattr__(self, "rooms", rooms)
        optional_instance("quote", self.quote, Quote)


@dataclass(frozen=True, slots=True)
class Booking:
    """A booking, as the system has it."""

    id: str
    """Its id in the system."""
    reference: str
    """What the guest is told."""
    key: str | None = field(repr=False)
    """The idempotency key, if posada made it."""
    hotel: str
    """The hotel."""
    guest: GuestProfile | None = field(repr=False)
    """Who booked, as the system knows them."""
    status: BookingStatus
    """Where it stands."""
    rooms: tuple[RoomStay, ...]
    """Its rooms."""
    stay: Stay
    """The nights."""
    services: tuple[BookedService, ...]
    """The services that were chosen for it."""
    price: Price
    """What all of it costs."""
    created: Created
    """Whether the call made it, or an earlier one had."""

    @property
    def total(self) -> Money:
        """What the guest pays: ``price.payable``."""
        return self.price.payable


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
    """A foreign booking was in the room: ours was moved, is cancelled, or both stay. Or no recheck was made."""
    key: str | None = field(repr=False)
    """The key of our booking."""
    booking_id: str | None
    """Our booking."""
    other: str | None
    """The booking that has the room."""
    booking: Booking | None
    """Our booking as it is now, when it was moved."""
    code: str | None
    """The code of the error, when no look was possible."""


@dataclass(frozen=True, slots=True)
class Change:
    """A booking that changed."""

    id: str
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


def _same_quote(
    hotel: int | str,
    room_type: int | str,
    nights: _native._Nights,
    rooms: list[_native._Guests],
    total: _native._Amount,
    items: list[tuple[int | str, str, int, _native._Amount]],
    at: dt.datetime,
    rate_plan: str | None = None,
    net: _native._Amount | None = None,
    charges: Sequence[_native._ChargeParts] = (),
) -> Quote:
    # What a version without the last three pickled is read, too.
    party, stay = [Occupancy(adults, tuple(ages)) for adults, ages in rooms], Stay(*nights)
    return _native.Quoted(hotel, room_type, stay, party, total, items, at, rate_plan, net, [*charges]).quote()


def _room(name: str, given: RoomStay | str) -> RoomStay | str:
    return given if isinstance(given, RoomStay) else text(name, given)


def checked_services(services: Iterable[ChosenService]) -> list[ChosenService]:
    return [instance("services", each, ChosenService) for each in several("services", services)]
