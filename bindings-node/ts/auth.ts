import type { CallOptions } from "./calls.js";
import { only, text, toNative } from "./names.js";
import type { NativeTarget } from "./native.js";
import { Service } from "./service.js";
import type { TenantOptions } from "./tenants.js";
import type { Claims, Decision, TokenPair, User } from "./values.js";

/** A user that is added. */
export interface NewUser {
  username: string;
  email: string;
  password: string;
  tenant?: string | undefined;
  /** `guest`, `receptionist`, `manager`, `admin` or `system`. */
  role?: string | undefined;
  fullName?: string | undefined;
  superuser?: boolean | undefined;
  mustChangePassword?: boolean | undefined;
}

const NEW_USER = [
  "username",
  "email",
  "password",
  "tenant",
  "role",
  "fullName",
  "superuser",
  "mustChangePassword",
];

/** Sign-in, its sessions and its tokens. */
export class Auth extends Service {
  /** @internal */
  constructor(target: NativeTarget) {
    super(target, "auth");
  }

  /** Adds a user. */
  async createUser(user: NewUser, options?: CallOptions): Promise<User> {
    return this.call("createUser", toNative(only(user, NEW_USER)) as object, options);
  }

  /**
   * Signs a user in.
   *
   * @throws UnauthenticatedError for a wrong name or password, which are not told apart; ExhaustedError after too many.
   */
  async login(
    attempt: { username: string; password: string; tenant?: string; address?: string; userAgent?: string },
    options?: CallOptions,
  ): Promise<TokenPair> {
    const known = only(attempt, ["username", "password", "tenant", "address", "userAgent"]);
    return this.call("login", toNative(known) as object, options);
  }

  /** Whose access token it is; with `permission`, whether its bearer has it, in the hotel `tenant`. */
  async verify(token: string, options?: TenantOptions & { permission?: string | undefined }): Promise<Claims> {
    const { tenant, permission } = only(options, ["tenant", "permission", "signal"]);
    return this.call("verify", { token: text("token", token), tenant, permission }, options);
  }

  /** The same, and the store is asked now: for what administers users, hotels or money. */
  async verifyPrivileged(
    token: string,
    options?: TenantOptions & { permission?: string | undefined },
  ): Promise<Claims> {
    const { tenant, permission } = only(options, ["tenant", "permission", "signal"]);
    return this.call("verifyPrivileged", { token: text("token", token), tenant, permission }, options);
  }

  /** The next pair of tokens, once. */
  async refresh(refresh: string, options?: CallOptions): Promise<TokenPair> {
    return this.call("refresh", { token: text("refresh", refresh) }, options);
  }

  /** Ends the session of a token, everywhere. */
  async logout(token: string, options?: CallOptions): Promise<void> {
    await this.call("logout", { token: text("token", token) }, options);
  }

  /** Changes the password of who asks; every other session ends. */
  async changePassword(token: string, current: string, next: string, options?: CallOptions): Promise<TokenPair> {
    const args = { token: text("token", token), current: text("current", current), new: text("next", next) };
    return this.call("changePassword", args, options);
  }

  /** Sets a user's password, for administrators; every session of the user ends. */
  async setPassword(
    user: string,
    next: string,
    options?: TenantOptions & { mustChange?: boolean | undefined },
  ): Promise<void> {
    const { tenant, mustChange } = only(options, ["tenant", "mustChange", "signal"]);
    const args = { user: text("user", user), new: text("next", next), tenant, must_change: mustChange };
    await this.call("setPassword", args, options);
  }
}

/** How requests are counted. */
export interface LimitOptions extends CallOptions {
  /** `fixed-window`, `moving-window` or `sliding-window-counter`. */
  strategy?: string | undefined;
  /** How much this request counts; 1 by default. */
  cost?: number | undefined;
}

/** Rate limits, such as `5/minute`. */
export class Limits extends Service {
  /** @internal */
  constructor(target: NativeTarget) {
    super(target, "limits");
  }

  /** Counts a request, and says whether it is within the limit. */
  async check(limit: string, identifiers: string[], options?: LimitOptions): Promise<Decision> {
    return this.call("check", this.#of(limit, identifiers, options), options);
  }

  /** The same without counting. */
  async peek(limit: string, identifiers: string[], options?: LimitOptions): Promise<Decision> {
    return this.call("peek", this.#of(limit, identifiers, options), options);
  }

  /** Forgets what was counted. */
  async reset(limit: string, identifiers: string[], options?: LimitOptions): Promise<void> {
    await this.call("reset", this.#of(limit, identifiers, options), options);
  }

  #of(limit: string, identifiers: string[], options: LimitOptions | undefined): object {
    const { strategy, cost } = only(options, ["strategy", "cost", "signal"]);
    return { limit: text("limit", limit), identifiers: identifiers.map((one) => text("identifiers", one)), strategy, cost };
  }
}
