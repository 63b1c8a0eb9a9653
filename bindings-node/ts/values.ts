/** An amount of money, exactly: `{ amount: "1300.00", currency: "USD" }`. */
export interface Money {
  amount: string;
  currency: string;
}

/** The nights from `checkIn` to the one before `checkOut`, as ISO dates such as `2027-03-10`. */
export interface Stay {
  checkIn: string;
  checkOut: string;
}

/** Who sleeps in one room. */
export interface Occupancy {
  adults: number;
  childAges?: number[];
}

/** A hotel company. */
export interface Tenant {
  id: string;
  name: string;
  status: "active" | "inactive";
  /** The hour at which the reception opens, in `timezone`. */
  businessHoursStart: number | null;
  businessHoursEnd: number | null;
  timezone: string | null;
  createdAt: Date | null;
  updatedAt: Date | null;
}

/** Whose guest a sender is. */
export interface Resolution {
  outcome: "found" | "suspended" | "unknown" | "ambiguous";
  /** The hotel, only when it is found and active. */
  tenant: Tenant | null;
  /** A hotel that is not active: refuse politely, and ask no other. */
  suspended: Tenant | null;
  /** The hotels to which spellings of the identifier belong, when there are several. */
  candidates: Tenant[];
  source: "fresh" | "stale" | "disk" | "default" | null;
  ageMs: number | null;
}

/** A flag with the layer that decides. */
export interface Flag {
  key: string;
  value: string;
  enabled: boolean;
  source: string;
  stale: boolean;
  error: string | null;
}

/** What an evaluation found. */
export interface Evaluation {
  value: boolean;
  variant: { name: string; payload: { kind: string; value: string } | null } | null;
  reason: string;
  source: string;
  ageMs: number | null;
  error: string | null;
}

/** A hotel of the hotel's system. */
export interface Hotel {
  id: string;
  name: string;
  checkIn: string;
  checkOut: string;
  currency: string;
  maxDaysAhead: number | null;
}

/** A kind of room. */
export interface RoomType {
  id: string;
  hotel: string;
  name: string;
  basePrice: Money;
  limits: { maxAdults: number; maxChildren: number; maxGuests: number };
  minNights: number;
  maxNights: number | null;
}

/** What a stay costs. */
export interface Price {
  payable: Money;
  net: Money | null;
  charges: { name: string; kind: string; amount: Money; included: boolean; due: string }[];
}

/** Rooms of one type that are free. */
export interface Offer {
  roomType: string;
  ratePlan: string;
  name: string;
  available: number;
  perNight: unknown;
  price: Price;
  terms: unknown;
}

/** Free rooms and prices, at a moment. */
export interface Availability {
  hotel: string;
  stay: Stay;
  offers: Offer[];
  ageMs: number;
  potentiallyStale: boolean;
}

/** What a guest pays for a stay, before it is booked. */
export interface Quote {
  hotel: string;
  roomType: string;
  stay: Stay;
  party: Occupancy[];
  price: Price;
  services: unknown[];
  quotedAt: Date;
  ratePlan: string;
  terms: unknown;
}

/** Who books; an e-mail address or a telephone number is needed. */
export interface Guest {
  firstName: string;
  lastName: string;
  email?: string | null;
  phone?: string | null;
}

/** One room of a booking. */
export interface RoomStay {
  id: string;
  status: string;
  roomType: string;
  ratePlan: string;
  stay: Stay;
  occupancy: Occupancy;
  number: string | null;
  price: Money | null;
}

/** A booking as the hotel's system has it. */
export interface Booking {
  id: string;
  reference: string;
  hotel: string;
  status: string;
  rooms: RoomStay[];
  stay: Stay;
  services: unknown[];
  price: Price;
  created: string;
}

/** Whether servers answer. */
export interface Health {
  status: "healthy" | "degraded" | "unhealthy";
  postgres: string;
  redis: string;
  timestamp: string;
}

/** What the doctor found. */
export interface Diagnosis {
  severity: "ok" | "warning" | "error";
  healthy: boolean;
  report: string;
  findings: { code: string; severity: string; seen: string; remedy: string | null }[];
}

/** Who a token says that its bearer is. */
export interface Claims {
  userId: string;
  tenant: string | null;
  role: string;
  isSuperuser: boolean;
  session: string | null;
  expiresAt: Date;
  source: string;
  ageMs: number;
}

/** A user, without address and name. */
export interface User {
  id: string;
  username: string;
  tenant: string | null;
  role: string;
  isActive: boolean;
  isSuperuser: boolean;
  mustChangePassword: boolean;
}

/** The tokens of a sign-in. */
export interface TokenPair {
  access: string;
  refresh: string;
  accessExpiresAt: Date;
  refreshExpiresAt: Date;
  session: string;
  mustChangePassword: boolean;
}

/** Whether a request is within its limit. */
export interface Decision {
  allowed: boolean;
  limit: number;
  remaining: number;
  resetAfterMs: number;
  retryAfterMs: number;
  degraded: boolean;
}
