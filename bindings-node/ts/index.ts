/**
 * posada: tenants, conversations, flags, locks, stay holds and bookings for a multi-tenant hotel backend.
 *
 * @packageDocumentation
 */
export type { NewUser, LimitOptions } from "./auth.js";
export { Auth, Limits } from "./auth.js";
export type { CallOptions } from "./calls.js";
export type { Document, Json } from "./documents.js";
export {
  AmbiguousError,
  ClosedError,
  ConflictError,
  DeniedError,
  ExhaustedError,
  InternalError,
  InvalidError,
  NotFoundError,
  PosadaError,
  TimeoutError,
  UnauthenticatedError,
  UnavailableError,
  UnsupportedError,
  type HttpAnswer,
  type Kind,
} from "./errors.js";
export { Hold, Lock, Locks, type AcquireOptions, type HoldOptions } from "./locks.js";
export { idempotencyKey, Pms, type BookingRequest, type Id, type Party } from "./pms.js";
export { Posada, type OpenOptions, type Settings } from "./posada.js";
export { Session, Sessions } from "./sessions.js";
export { Flags, Tenants, type BusinessHours, type ChannelOptions, type FlagContext, type TenantOptions } from "./tenants.js";
export type * from "./values.js";
