"""What the receptionist answers: the main job of posada, from a message to a booking."""

import re
from dataclasses import dataclass

from posada import Booking, BookingRequest, Guest, IdempotencyKey, Posada, PosadaError, Session, Stay

BOOKING_FLAG = "booking.enabled"
"""Whether the receptionist of a hotel may book."""

PMS_HOTEL = 1
"""The house in the property management system."""

WISH = re.compile(r"book (?P<check_in>\S+) (?P<check_out>\S+) for (?P<adults>[1-9])", re.IGNORECASE)

NO_HOTEL = "This number belongs to no hotel."
HOW_TO_ASK = "Write for instance: book 2027-03-10 2027-03-12 for 2"
A_COLLEAGUE = "A colleague will answer you soon."
NO_SUCH_NIGHTS = "I cannot sell these nights."
SOLD_OUT = "There is no room for these nights."
JUST_TAKEN = "Another guest was faster; please ask again."
CANCELLED = "This booking was cancelled; please ask again."


@dataclass(frozen=True, slots=True)
class Message:
    """What a guest wrote to a hotel."""

    id: str
    guest: str
    number: str
    text: str


async def reply_to(p: Posada, message: Message) -> str:
    """Answers a message. The same message may come again, also at the same time: it is remembered once, decided once,
    and books once.

    While it is not known whether it is booked, the error ``pms.outcome_unknown`` goes to WhatsApp, which sends the
    message again: the guest is told when it is.
    """
    tenant = (await p.tenants.resolve(message.number, channel="whatsapp")).tenant
    if tenant is None:
        return NO_HOTEL
    # From here on nothing of another hotel can be touched, and no call has to name this one.
    hotel = p.for_tenant(tenant)
    session = await hotel.sessions.get_or_create(message.guest, "whatsapp")
    await hotel.sessions.append_turn(message.guest, "user", message.text, id=message.id)
    wish = WISH.fullmatch(message.text.strip())
    if wish is None:
        return await _say(hotel, message, HOW_TO_ASK)
    if not hotel.flags.is_enabled(BOOKING_FLAG, user=message.guest, session=session.id):
        return await _say(hotel, message, A_COLLEAGUE)
    # A second delivery waits for what the first one makes of it.
    async with hotel.locks.acquire(f"message:{_key(message)}", wait=60, auto_extend=True):
        return await _say(hotel, message, await _decide(hotel, message, wish))


async def _say(hotel: Posada, message: Message, reply: str) -> str:
    await hotel.sessions.append_turn(message.guest, "assistant", reply, id=f"{message.id}:reply")
    return reply


async def _decide(hotel: Posada, message: Message, wish: re.Match[str]) -> str:
    if earlier := await hotel.pms.find_booking(_key(message)):
        return _told(earlier)
    session = await hotel.sessions.get_or_create(message.guest, "whatsapp")
    for turn in session.document.get("history", []):
        if turn.get("id") == f"{message.id}:reply":
            return str(turn["content"])
    try:
        stay = Stay.parse(wish["check_in"], wish["check_out"])
        return await _book(hotel, session, message, stay, int(wish["adults"]))
    except PosadaError as refusal:
        if refusal.code in {"pms.sold_out", "locks.nights_taken"}:
            # Perhaps by an earlier delivery of this very message.
            earlier = await hotel.pms.find_booking(_key(message))
            return _told(earlier) if earlier and earlier.status != "cancelled" else JUST_TAKEN
        if refusal.code in {"stay.invalid", "pms.occupancy"} or refusal.field == "stay":
            return NO_SUCH_NIGHTS
        raise


async def _book(hotel: Posada, session: Session, message: Message, stay: Stay, adults: int) -> str:
    offers = await hotel.pms.availability(PMS_HOTEL, stay, adults=adults)
    if not offers:
        return SOLD_OUT
    cheapest = min(offers, key=lambda offer: offer.total.amount)
    quote = await hotel.pms.quote(PMS_HOTEL, cheapest.room_type, stay, adults=adults)
    async with hotel.locks.hold_stay(
        quote.resource,
        stay.check_in,
        stay.check_out,
        capacity=cheapest.available,
        session_id=session.id,
        user_id=message.guest,
    ) as hold:
        guest = Guest("WhatsApp", "Guest", f"{message.guest}@whatsapp.example.com", f"+{message.guest}")
        request = BookingRequest.from_quote(quote, guest, _key(message))
        return _told(await hotel.pms.book(request, hold=hold))


def _key(message: Message) -> IdempotencyKey:
    return IdempotencyKey.of("whatsapp", message.id)


def _told(booking: Booking) -> str:
    if booking.status == "cancelled":
        return CANCELLED
    return f"Booked: {booking.stay} for {booking.total}, reference {booking.reference}"
