import type { CallOptions } from "./calls.js";
import { thrown } from "./errors.js";
import { fromNative, only, text, toNative } from "./names.js";
import type { NativeTarget } from "./native.js";
import { Service } from "./service.js";
import type { Evaluation, Flag, Resolution, Tenant } from "./values.js";

/** On which channel an identifier is meant. */
export interface ChannelOptions extends CallOptions {
  /** `whatsapp`, `email`, `web` and others; without it any. */
  channel?: string | undefined;
}

/** When the reception answers: hours of the day in a zone such as `America/Argentina/Buenos_Aires`. */
export interface BusinessHours {
  start?: number | null;
  end?: number | null;
  timezone?: string | null;
}

/** Which hotel a guest reaches. */
export class Tenants extends Service {
  /** @internal */
  constructor(target: NativeTarget) {
    super(target, "tenants");
  }

  /**
   * Whose guest writes to this number, account or address. Memory answers what it knows; while Postgres is down, what was
   * known before is served as stale. An unknown identifier is no error.
   */
  async resolve(identifier: string, options?: ChannelOptions): Promise<Resolution> {
    const { channel } = only(options, ["channel", "signal"]);
    return this.call("resolve", { identifier: text("identifier", identifier), channel }, options);
  }

  /** What {@link resolve} answers at once, or `undefined` when it has something to do. Never waits. */
  cached(identifier: string, options?: { channel?: string | undefined }): Resolution | undefined {
    const held = thrown(() => this.target.cached(text("identifier", identifier), options?.channel ?? null));
    return held === null ? undefined : (fromNative(JSON.parse(held)) as Resolution);
  }

  /** A hotel by its id; `null` when there is none. */
  async get(tenant: string, options?: CallOptions): Promise<Tenant | null> {
    return this.call("get", { tenant: text("tenant", tenant) }, options);
  }

  /** Every hotel, by id. */
  async list(options?: CallOptions): Promise<Tenant[]> {
    return this.call("list", {}, options);
  }

  /** Adds a hotel. Its id has 2 to 50 characters of `a-z`, `0-9`, `_` and `-`. */
  async create(
    tenant: { id: string; name: string; status?: "active" | "inactive"; businessHours?: BusinessHours },
    options?: CallOptions,
  ): Promise<Tenant> {
    const { id, name, status, businessHours } = only(tenant, ["id", "name", "status", "businessHours"]);
    const hours = only(businessHours, ["start", "end", "timezone"]);
    const created = { tenant_id: text("id", id), name: text("name", name), status: status ?? "active" };
    return this.call("create", { new: { ...created, business_hours: hours } }, options);
  }

  /** Changes a hotel; what is not named stays. */
  async update(
    tenant: string,
    update: { name?: string; status?: string; start?: number | null; end?: number | null; timezone?: string | null },
    options?: CallOptions,
  ): Promise<Tenant> {
    return this.call("update", { tenant: text("tenant", tenant), update: toNative(update) }, options);
  }

  /** Suspends a hotel: its guests get a polite refusal from then on, everywhere. */
  async suspend(tenant: string, options?: CallOptions): Promise<Tenant> {
    return this.call("suspend", { tenant: text("tenant", tenant) }, options);
  }

  /** Gives a hotel an identifier, and answers its canonical spelling. */
  async addIdentifier(tenant: string, identifier: string, options?: ChannelOptions): Promise<string> {
    const { channel } = only(options, ["channel", "signal"]);
    return this.call(
      "addIdentifier",
      { tenant: text("tenant", tenant), identifier: text("identifier", identifier), channel },
      options,
    );
  }

  /** Takes an identifier away from a hotel, in all its spellings. */
  async removeIdentifier(tenant: string, identifier: string, options?: ChannelOptions): Promise<void> {
    const { channel } = only(options, ["channel", "signal"]);
    await this.call(
      "removeIdentifier",
      { tenant: text("tenant", tenant), identifier: text("identifier", identifier), channel },
      options,
    );
  }
}

/** Who asks for a flag. */
export interface FlagContext {
  tenant?: string | undefined;
  user?: string | undefined;
  session?: string | undefined;
  remoteAddress?: string | undefined;
  environment?: string | undefined;
  appName?: string | undefined;
  properties?: Record<string, string> | undefined;
  /** What holds when no layer knows the flag; `false` by default. */
  default?: boolean | undefined;
}

const CONTEXT = ["tenant", "user", "session", "remoteAddress", "environment", "appName", "properties", "default"];

/** Feature flags. Reading them never waits and never fails because a server is down. */
export class Flags extends Service {
  /** @internal */
  constructor(target: NativeTarget) {
    super(target, "flags");
  }

  /** Whether a flag is on for this context. */
  isEnabled(flag: string, context?: FlagContext): boolean {
    return thrown(() => this.target.isEnabled(text("flag", flag), contextText(context), context?.default ?? false));
  }

  /** The same with its reason, its variant and where it comes from. */
  evaluate(flag: string, context?: FlagContext): Evaluation {
    const found = thrown(() =>
      this.target.evaluate(text("flag", flag), contextText(context), context?.default ?? false),
    );
    return fromNative(JSON.parse(found)) as Evaluation;
  }

  /** Sets a flag for all hotels, or for one: `true`, `false` or a definition. */
  async set(flag: string, value: boolean | string | object, options?: TenantOptions): Promise<void> {
    const { tenant } = only(options, ["tenant", "signal"]);
    await this.call("set", { flag: text("flag", flag), value, tenant }, options);
  }

  /** Removes a value, so that the next layer counts; answers whether there was one. */
  async unset(flag: string, options?: TenantOptions): Promise<boolean> {
    const { tenant } = only(options, ["tenant", "signal"]);
    return this.call("unset", { flag: text("flag", flag), tenant }, options);
  }

  /** Every known flag with the layer that decides. */
  async list(options?: TenantOptions): Promise<Flag[]> {
    const { tenant } = only(options, ["tenant", "signal"]);
    return this.call("list", { tenant }, options);
  }

  /** Reads the flags again now. */
  async refresh(options?: CallOptions): Promise<void> {
    await this.call("refresh", {}, options);
  }
}

/** Which hotel is meant; without it what belongs to none, or the hotel of the handle. */
export interface TenantOptions extends CallOptions {
  tenant?: string | undefined;
}

function contextText(context: FlagContext | undefined): string {
  if (context === undefined) return "";
  const { default: _, properties, ...asked } = only(context, CONTEXT);
  const written = toNative(asked) as Record<string, unknown>;
  return JSON.stringify(properties === undefined ? written : { ...written, properties });
}
