/** What the receptionist answers: from a message to a booking. */
import { idempotencyKey, type Booking, type Posada, PosadaError } from "posada";

/** Whether the receptionist of a hotel may book. */
export const BOOKING_FLAG = "booking.enabled";

/** The house in the hotel's system. */
const PMS_HOTEL = 1;

const WISH = /^book (?<checkIn>\S+) (?<checkOut>\S+) for (?<adults>[1-9])$/i;

/** What a guest wrote to a hotel. */
export interface Message {
  id: string;
  guest: string;
  number: string;
  text: string;
}

/**
 * Answers a message. The same message may come again, also at the same time: it is remembered once, decided once, and
 * books once. While it is not known whether it is booked, the error goes to WhatsApp, which sends the message again.
 */
export async function replyTo(posada: Posada, message: Message): Promise<string> {
  const { tenant } = await posada.tenants.resolve(message.number, { channel: "whatsapp" });
  if (tenant === null) return "This number belongs to no hotel.";
  // From here on nothing of another hotel can be touched, and no call has to name this one.
  const hotel = posada.forTenant(tenant.id);
  await hotel.sessions.getOrCreate(message.guest, "whatsapp");
  await hotel.sessions.appendTurn(message.guest, { role: "user", content: message.text, id: message.id });
  const wish = WISH.exec(message.text.trim())?.groups;
  if (wish === undefined) return say(hotel, message, "Write for instance: book 2027-03-10 2027-03-12 for 2");
  if (!hotel.flags.isEnabled(BOOKING_FLAG, { user: message.guest })) {
    return say(hotel, message, "A colleague will answer you soon.");
  }
  // A second delivery waits for what the first one makes of it.
  await using _turn = await hotel.locks.acquire(`message:${key(message)}`, { waitMs: 60_000, autoExtend: true });
  return say(hotel, message, await decide(hotel, message, wish));
}

async function say(hotel: Posada, message: Message, reply: string): Promise<string> {
  await hotel.sessions.appendTurn(message.guest, { role: "assistant", content: reply, id: `${message.id}:reply` });
  return reply;
}

async function decide(hotel: Posada, message: Message, wish: Record<string, string>): Promise<string> {
  const earlier = await hotel.pms.findBooking(key(message));
  if (earlier !== null) return told(earlier);
  const session = await hotel.sessions.get(message.guest);
  const history = (session?.document["history"] ?? []) as { id?: string; content?: string }[];
  const decided = history.find((turn) => turn.id === `${message.id}:reply`);
  if (decided?.content !== undefined) return decided.content;
  try {
    return await book(hotel, message, wish);
  } catch (error) {
    if (!(error instanceof PosadaError)) throw error;
    if (["pms.sold_out", "locks.nights_taken"].includes(error.code)) {
      // Perhaps by an earlier delivery of this very message.
      const made = await hotel.pms.findBooking(key(message));
      return made !== null && made.status !== "cancelled" ? told(made) : "Another guest was faster; please ask again.";
    }
    if (error.kind === "invalid") return "I cannot sell these nights.";
    throw error;
  }
}

async function book(hotel: Posada, message: Message, wish: Record<string, string>): Promise<string> {
  const stay = { checkIn: wish["checkIn"] ?? "", checkOut: wish["checkOut"] ?? "" };
  const party = { adults: Number(wish["adults"]) };
  const { offers } = await hotel.pms.availability(PMS_HOTEL, stay, party);
  const [cheapest] = offers.toSorted((one, other) => Number(one.price.payable.amount) - Number(other.price.payable.amount));
  if (cheapest === undefined) return "There is no room for these nights.";
  const quote = await hotel.pms.quote(PMS_HOTEL, cheapest.roomType, stay, party);
  await using hold = await hotel.locks.holdStay(`room_type:${PMS_HOTEL}/${quote.roomType}`, stay, {
    capacity: cheapest.available,
    sessionId: message.guest,
    userId: message.guest,
  });
  const guest = {
    firstName: "WhatsApp",
    lastName: "Guest",
    email: `${message.guest}@whatsapp.example.com`,
    phone: `+${message.guest}`,
  };
  return told(await hotel.pms.book({ quote, guest, key: key(message), hold }));
}

function key(message: Message): string {
  return idempotencyKey("whatsapp", message.id);
}

function told(booking: Booking): string {
  if (booking.status === "cancelled") return "This booking was cancelled; please ask again.";
  const { amount, currency } = booking.price.payable;
  return `Booked: ${booking.stay.checkIn}..${booking.stay.checkOut} for ${amount} ${currency}, reference ${booking.reference}`;
}
