import { Auth, Limits } from "./auth.js";
import { calls, type CallOptions } from "./calls.js";
import { invalid, thrown } from "./errors.js";
import { Locks } from "./locks.js";
import { fromNative, text } from "./names.js";
import { native, type NativeTarget } from "./native.js";
import { Pms } from "./pms.js";
import { Sessions } from "./sessions.js";
import { Flags, Tenants } from "./tenants.js";
import type { Diagnosis, Health } from "./values.js";

/**
 * Settings by the names of the variables that SETTINGS.md lists, such as `DATABASE_URL` and `REDIS_URL`. A misspelt name
 * that begins with `POSADA_` is refused.
 */
export type Settings = Record<string, string | number | boolean | undefined>;

/** What holds where no layer knows a flag. */
export interface OpenOptions extends CallOptions {
  defaultFlags?: Record<string, boolean> | undefined;
}

/**
 * The data layer of a hotel backend, on the servers of its settings or in memory.
 *
 * One handle serves a whole process. `await using` closes it; one that was not closed keeps no process alive.
 */
export class Posada implements AsyncDisposable {
  /** Hotels, and whose guest a sender is. */
  readonly tenants: Tenants;
  /** Conversations. */
  readonly sessions: Sessions;
  /** Feature flags. */
  readonly flags: Flags;
  /** Locks and stay holds. */
  readonly locks: Locks;
  /** The hotel's own system. */
  readonly pms: Pms;
  /** Sign-in. */
  readonly auth: Auth;
  /** Rate limits. */
  readonly limits: Limits;
  readonly #target: NativeTarget;

  private constructor(target: NativeTarget) {
    this.#target = target;
    this.tenants = new Tenants(target);
    this.sessions = new Sessions(target);
    this.flags = new Flags(target);
    this.locks = new Locks(target);
    this.pms = new Pms(target);
    this.auth = new Auth(target);
    this.limits = new Limits(target);
  }

  /** Everything in the memory of this process, with a small hotel: for development and tests. */
  static embedded(options?: OpenOptions): Posada {
    return new Posada(thrown(() => native.Target.embedded(flagsText(options))));
  }

  /** Builds every service. Nothing connects, and nothing fails because a server is down. */
  static build(settings: Settings, options?: OpenOptions): Posada {
    return new Posada(thrown(() => native.Target.build(variablesText(settings), flagsText(options))));
  }

  /** Builds every service and makes sure that every server answers. */
  static async connect(settings: Settings, options?: OpenOptions): Promise<Posada> {
    const number = await calls.connect(variablesText(settings), flagsText(options), options?.signal);
    return new Posada(thrown(() => native.Target.opened(number as number)));
  }

  /** The same on what the variables of this process say. */
  static async fromEnv(options?: OpenOptions): Promise<Posada> {
    return Posada.connect(process.env, options);
  }

  /** The hotel to which this handle is bound. */
  get tenant(): string | undefined {
    return this.#target.tenant ?? undefined;
  }

  /**
   * The same handle, bound to one hotel: another's, by whatever argument, is refused (`tenants.out_of_scope`) before
   * anything is asked. It costs microseconds, so make one for each request; closing it closes nothing.
   */
  forTenant(tenant: string): Posada {
    return new Posada(thrown(() => this.#target.forTenant(text("tenant", tenant))));
  }

  /** Whether the servers answer now, within 750 ms. */
  async health(options?: CallOptions): Promise<Health> {
    return this.#call("health", options) as Promise<Health>;
  }

  /** Everything that usually is wrong with an installation, looked at. It writes nothing. */
  async doctor(options?: CallOptions): Promise<Diagnosis> {
    return this.#call("doctor", options) as Promise<Diagnosis>;
  }

  /** Brings the database to what this version needs. Safe at every start, from every process at once. */
  async migrate(options?: CallOptions): Promise<{ migrations: string[]; version: number }> {
    return this.#call("migrate", options) as Promise<{ migrations: string[]; version: number }>;
  }

  /** Counts from now on, for {@link metrics}. */
  async recordMetrics(): Promise<void> {
    await this.#call("recordMetrics");
  }

  /** What was counted, in the text format of Prometheus; `null` before {@link recordMetrics}. */
  async metrics(): Promise<string | null> {
    return this.#call("metrics") as Promise<string | null>;
  }

  /** Ends what is under way and closes the connections. May be repeated. */
  async close(options?: CallOptions): Promise<void> {
    await this.#call("close", options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #call(method: string, options?: CallOptions): Promise<unknown> {
    return fromNative(await calls.call(this.#target, method, {}, options?.signal));
  }
}

function variablesText(settings: Settings): string {
  if (typeof settings !== "object" || settings === null) throw invalid("settings", "expected an object");
  const variables: Record<string, string> = {};
  for (const [name, value] of Object.entries(settings)) {
    if (value === undefined) continue;
    if (!["string", "number", "boolean"].includes(typeof value)) throw invalid(name, "expected a string, number or boolean");
    variables[name] = String(value);
  }
  return JSON.stringify({ variables });
}

function flagsText(options: OpenOptions | undefined): string {
  return JSON.stringify({ flags: options?.defaultFlags });
}
