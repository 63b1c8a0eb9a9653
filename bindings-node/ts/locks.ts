import type { CallOptions } from "./calls.js";
import { fromNative, id, only, text, toNative } from "./names.js";
import type { NativeTarget } from "./native.js";
import { forgotten, Service } from "./service.js";
import type { TenantOptions } from "./tenants.js";
import type { Stay } from "./values.js";

/** How a lock is wanted. Lengths of time are milliseconds. */
export interface AcquireOptions extends CallOptions {
  /** For how long it is held unless it is extended. */
  ttlMs?: number | undefined;
  /** How long to wait for it. */
  waitMs?: number | undefined;
  /** Who holds it, for the audit. */
  owner?: string | undefined;
  /** Extend it while the process lives, at most for `maxHoldMs`. */
  autoExtend?: boolean | undefined;
  maxHoldMs?: number | undefined;
  tenant?: string | undefined;
  reentrant?: boolean | undefined;
  auditMisses?: boolean | undefined;
  /** How many replicas must have it before it counts. */
  replicas?: number | undefined;
  replicasWithinMs?: number | undefined;
}

const ACQUIRE = [
  "ttlMs",
  "waitMs",
  "owner",
  "autoExtend",
  "maxHoldMs",
  "tenant",
  "reentrant",
  "auditMisses",
  "replicas",
  "replicasWithinMs",
  "signal",
];

/** How nights are held. */
export interface HoldOptions extends CallOptions {
  /** How many rooms; 1 by default. */
  quantity?: number | undefined;
  /** How many rooms of the type there are; 1 by default. */
  capacity?: number | undefined;
  tenant?: string | undefined;
  /** The conversation: the same one gets the same hold again. */
  sessionId?: string | undefined;
  userId?: string | undefined;
  ttlMs?: number | undefined;
}

const HOLD = ["quantity", "capacity", "tenant", "sessionId", "userId", "ttlMs", "signal"];

interface Locked {
  fence: string;
  token: string;
  expiresAt: Date;
  number: number;
}

/** A lock that is held. `await using` releases it. */
export class Lock implements AsyncDisposable {
  /** The name of the lock. */
  readonly name: string;
  /** Grows with every holder: what is protected refuses a smaller one. As text, because it may have 17 digits. */
  readonly fence: string;
  /** What proves the lock to a program without this object. */
  readonly token: string;
  /** Until when it is held. */
  expiresAt: Date;
  readonly #locks: Locks;
  readonly #number: number;

  /** @internal */
  constructor(locks: Locks, target: NativeTarget, name: string, locked: Locked) {
    this.name = name;
    this.fence = locked.fence;
    this.token = locked.token;
    this.expiresAt = locked.expiresAt;
    this.#locks = locks;
    this.#number = locked.number;
    forgotten.register(this, { target, number: locked.number });
  }

  /** Whether it is still held, by this process's clock. Ask before what must not happen twice. */
  get isHeld(): boolean {
    return this.#locks.isHeld(this.#number);
  }

  /** Holds it for this long from now on. */
  async extend(ttlMs: number, options?: CallOptions): Promise<void> {
    this.expiresAt = new Date(await this.#locks.onLock<number>("extendLock", { number: this.#number, ttl: ttlMs }, options));
  }

  /** Gives it back: `released`, or what else became of it. */
  async release(options?: CallOptions): Promise<string> {
    return this.#locks.onLock("releaseLock", { number: this.#number }, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isHeld) await this.release();
  }
}

interface Held {
  id: string;
  resource: string;
  stay: Stay;
  quantity: number;
  fence: string;
  ticket: string;
  expiresAt: Date;
}

/** Nights that are held for a guest. It outlives the process; `await using` releases it. */
export class Hold implements AsyncDisposable {
  /** @internal */
  readonly number: number;
  readonly #locks: Locks;
  #held: Held;
  #released = false;

  /** @internal */
  constructor(locks: Locks, target: NativeTarget, held: Held & { number: number }) {
    this.#locks = locks;
    this.number = held.number;
    this.#held = held;
    forgotten.register(this, { target, number: held.number });
  }

  get id(): string {
    return this.#held.id;
  }
  /** `room:101` or `room_type:1/5`. */
  get resource(): string {
    return this.#held.resource;
  }
  get stay(): Stay {
    return this.#held.stay;
  }
  get quantity(): number {
    return this.#held.quantity;
  }
  get fence(): string {
    return this.#held.fence;
  }
  /** What another process resumes it with. Keep it with the conversation. */
  get ticket(): string {
    return this.#held.ticket;
  }
  get expiresAt(): Date {
    return this.#held.expiresAt;
  }

  /** Holds the nights for longer: without a length, for as long as the settings say. */
  async extend(extraMs?: number, options?: CallOptions): Promise<void> {
    this.#held = await this.#locks.onLock<Held>("extendHold", { number: this.number, extra: extraMs }, options);
  }

  /** Holds other nights in their place. */
  async moveTo(stay: Stay, capacity: number, options?: CallOptions): Promise<void> {
    const args = { number: this.number, stay: toNative(stay), capacity };
    this.#held = await this.#locks.onLock<Held>("moveHold", args, options);
  }

  /** Gives the nights back. */
  async release(options?: CallOptions): Promise<string> {
    const released = await this.#locks.onLock<string>("releaseHold", { number: this.number }, options);
    this.#released = true;
    return released;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#released) await this.release();
  }
}

/** Locks with fences, and holds of hotel nights. */
export class Locks extends Service {
  /** @internal */
  constructor(target: NativeTarget) {
    super(target, "locks");
  }

  /**
   * Takes a lock, waiting for it if it must.
   *
   * @throws ConflictError `locks.contended` when it did not come free in time.
   */
  async acquire(name: string, options?: AcquireOptions): Promise<Lock> {
    const locked = await this.call<Locked>("acquire", this.#wanted(name, options), options);
    return new Lock(this, this.target, name, locked);
  }

  /** Takes a lock if it is free now; `null` otherwise. */
  async tryAcquire(name: string, options?: Omit<AcquireOptions, "waitMs">): Promise<Lock | null> {
    const locked = await this.call<Locked | null>("tryAcquire", this.#wanted(name, options), options);
    return locked === null ? null : new Lock(this, this.target, name, locked);
  }

  /** Who holds a lock; `null` when it is free. */
  async inspect(
    name: string,
    options?: TenantOptions,
  ): Promise<{ owner: string; fence: string; acquiredAt: Date; expiresAt: Date; waiters: number } | null> {
    const { tenant } = only(options, ["tenant", "signal"]);
    return this.call("inspect", { name: text("name", name), tenant }, options);
  }

  /** Remembers the highest fence of a resource, and refuses a smaller one (`locks.stale_fence`). */
  async checkFence(resource: string, fence: string, options?: CallOptions): Promise<void> {
    await this.call("checkFence", { resource: text("resource", resource), fence: text("fence", fence) }, options);
  }

  /**
   * Holds the nights of a stay, all of them or none.
   *
   * @throws ConflictError `locks.nights_taken` when others hold them; `context` has the nights.
   */
  async holdStay(resource: string, stay: Stay, options?: HoldOptions): Promise<Hold> {
    const { signal: _, ttlMs, sessionId, userId, ...rest } = only(options, HOLD);
    const wanted = { ...rest, ttl: ttlMs, session_id: sessionId, user_id: userId };
    const args = { resource: text("resource", resource), stay: toNative(stay), options: wanted };
    return new Hold(this, this.target, await this.call<Held & { number: number }>("holdStay", args, options));
  }

  /** The hold of a ticket, in whichever process it was made. */
  async resumeHold(ticket: string, options?: CallOptions): Promise<Hold> {
    const held = await this.call<Held & { number: number }>("resumeHold", { ticket: text("ticket", ticket) }, options);
    return new Hold(this, this.target, held);
  }

  /** The live holds of a resource that touch a night of `window`. */
  async holds(resource: string, window: Stay, options?: TenantOptions): Promise<object[]> {
    const { tenant } = only(options, ["tenant", "signal"]);
    return this.call("holds", { resource: id("resource", resource), window: toNative(window), tenant }, options);
  }

  /** @internal */
  isHeld(number: number): boolean {
    return this.target.isHeld(number);
  }

  /** @internal */
  async onLock<T>(method: string, args: object, options?: CallOptions): Promise<T> {
    return fromNative(await this.raw(method, args, options)) as T;
  }

  #wanted(name: string, options: AcquireOptions | undefined): object {
    const given = only(options, ACQUIRE);
    const { signal: _, ttlMs, waitMs, maxHoldMs, replicasWithinMs, ...rest } = given;
    const wanted = { ttl: ttlMs, wait: waitMs, max_hold: maxHoldMs, replicas_within: replicasWithinMs };
    return { name: text("name", name), options: { ...(toNative(rest) as object), ...wanted } };
  }
}
