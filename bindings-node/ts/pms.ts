import type { CallOptions } from "./calls.js";
import { thrown } from "./errors.js";
import type { Hold } from "./locks.js";
import { id, only, text, toNative } from "./names.js";
import { native, type NativeTarget } from "./native.js";
import { Service } from "./service.js";
import type { Availability, Booking, Guest, Hotel, Occupancy, Quote, RoomType, Stay } from "./values.js";

/** An id, as the hotel's system writes it; a whole number is taken, too. */
export type Id = string | number;

/** Who sleeps in each room: one room, or several. */
export type Party = Occupancy | Occupancy[];

/** What a booking is made of. */
export interface BookingRequest {
  /** The price that the guest has seen; `pms.price_changed` when it is another by now. */
  quote: Quote;
  guest: Guest;
  /** The same key never books twice: use the id of the guest's message. */
  key: string;
  /** A remark for the hotel. */
  remark?: string | undefined;
  /** The hold of the nights, which the booking takes over. */
  hold?: Hold | undefined;
}

/**
 * The key of the booking that a message asks for, such as `idempotencyKey("whatsapp", message.id)`: the same in every
 * language, so that a message which reaches two workers books once.
 */
export function idempotencyKey(namespace: string, messageId: string): string {
  return thrown(() => native.Target.idempotencyKey(text("namespace", namespace), text("messageId", messageId)));
}

/** The hotel's own system. */
export class Pms extends Service {
  /** @internal */
  constructor(target: NativeTarget) {
    super(target, "pms");
  }

  /** All hotels. */
  async hotels(options?: CallOptions): Promise<Hotel[]> {
    return this.call("hotels", {}, options);
  }

  /** The room types of a hotel. */
  async roomTypes(hotel: Id, options?: CallOptions): Promise<RoomType[]> {
    return this.call("roomTypes", { hotel: id("hotel", hotel) }, options);
  }

  /** Free rooms and prices: a moment's view, and only {@link book} gives a room. */
  async availability(
    hotel: Id,
    stay: Stay,
    party: Party,
    options?: CallOptions & { roomType?: Id | undefined },
  ): Promise<Availability> {
    const { roomType } = only(options, ["roomType", "signal"]);
    const args = { hotel: id("hotel", hotel), stay: toNative(stay), party: rooms(party) };
    const wanted = roomType === undefined ? args : { ...args, room_type: id("roomType", roomType) };
    return this.call("availability", wanted, options);
  }

  /** What a guest pays for a stay. */
  async quote(hotel: Id, roomType: Id, stay: Stay, party: Party, options?: CallOptions): Promise<Quote> {
    const args = { hotel: id("hotel", hotel), room_type: id("roomType", roomType) };
    return this.call("quote", { ...args, stay: toNative(stay), party: rooms(party) }, options);
  }

  /**
   * Books at the price of a quote, once for each key.
   *
   * @throws ExhaustedError `pms.sold_out`; ConflictError `pms.price_changed`; AmbiguousError `pms.outcome_unknown` when
   * it is not known whether it was booked: call again with the same key.
   */
  async book(request: BookingRequest, options?: CallOptions): Promise<Booking> {
    const { quote, guest, key, remark, hold } = only(request, ["quote", "guest", "key", "remark", "hold"]);
    const args = { quote: toNative(quote), guest: toNative(guest), key: text("key", key), remark, hold: hold?.number };
    return this.call("book", args, options);
  }

  /** A booking; `null` when there is none of that id. */
  async booking(booking: Id, options?: CallOptions): Promise<Booking | null> {
    return this.call("booking", { booking: id("booking", booking) }, options);
  }

  /** The booking that was made with a key. */
  async findBooking(key: string, options?: CallOptions): Promise<Booking | null> {
    return this.call("findBooking", { key: text("key", key) }, options);
  }

  /** Cancels a booking; a cancelled one is answered as it is. */
  async cancel(booking: Id, options?: CallOptions): Promise<Booking> {
    return this.call("cancel", { booking: id("booking", booking) }, options);
  }

  /** What a change would cost. */
  async quoteChange(booking: Id, change: { stay?: Stay; party?: Party }, options?: CallOptions): Promise<Quote> {
    return this.call("quoteChange", changed(booking, change), options);
  }

  /** Other nights or guests for a booking, at the price of the quote when there is one. */
  async modify(
    booking: Id,
    change: { stay?: Stay; party?: Party; quote?: Quote },
    options?: CallOptions,
  ): Promise<Booking> {
    return this.call("modify", changed(booking, change), options);
  }

  /** The guest has come. */
  async checkIn(booking: Id, options?: CallOptions): Promise<Booking> {
    return this.call("checkIn", { booking: id("booking", booking) }, options);
  }

  /** The guest has left. */
  async checkOut(booking: Id, options?: CallOptions): Promise<Booking> {
    return this.call("checkOut", { booking: id("booking", booking) }, options);
  }

  /** Who arrives on a day, an ISO date. */
  async arrivals(hotel: Id, day: string, options?: CallOptions): Promise<Booking[]> {
    return this.call("arrivals", { hotel: id("hotel", hotel), day: text("day", day) }, options);
  }

  /** Who departs on a day, an ISO date. */
  async departures(hotel: Id, day: string, options?: CallOptions): Promise<Booking[]> {
    return this.call("departures", { hotel: id("hotel", hotel), day: text("day", day) }, options);
  }

  /** What the system can do, and which promises it keeps by itself. */
  async capabilities(): Promise<object> {
    return this.call("capabilities", {});
  }
}

function rooms(party: Party): unknown {
  return toNative(Array.isArray(party) ? party : [party]);
}

function changed(booking: Id, change: { stay?: Stay; party?: Party; quote?: Quote }): object {
  const { stay, party, quote } = only(change, ["stay", "party", "quote"]);
  return {
    booking: id("booking", booking),
    stay: toNative(stay),
    party: party === undefined ? undefined : rooms(party),
    quote: toNative(quote),
  };
}
