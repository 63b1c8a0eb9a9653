import type { CallOptions } from "./calls.js";
import { changesOf, type Document, type Json } from "./documents.js";
import { only, text } from "./names.js";
import type { NativeTarget } from "./native.js";
import { forgotten, Service } from "./service.js";
import type { TenantOptions } from "./tenants.js";

interface Shape {
  user: string;
  tenant: string | null;
  channel: string | null;
  expires: number | null;
  is_new: boolean;
  document: Document;
  session: number;
}

/**
 * A conversation as it was read. Change `document` as you like and save it: what changed is written back, and nothing
 * else, so that what other writers keep in it survives.
 */
export class Session {
  /** The guest. */
  readonly user: string;
  /** The hotel. */
  readonly tenant: string | undefined;
  /** On which channel it began. */
  readonly channel: string | undefined;
  /** Whether this call began it. */
  readonly isNew: boolean;
  /** The conversation, as a plain object. */
  document: Document;
  /** When it ends unless it is written or touched. */
  expires: Date | undefined;
  /** @internal */
  readonly number: number;
  /** @internal */
  before: Document;

  /** @internal */
  constructor(target: NativeTarget, shape: Shape) {
    this.user = shape.user;
    this.tenant = shape.tenant ?? undefined;
    this.channel = shape.channel ?? undefined;
    this.isNew = shape.is_new;
    this.document = shape.document;
    this.before = structuredClone(shape.document);
    this.expires = shape.expires === null ? undefined : new Date(shape.expires);
    this.number = shape.session;
    forgotten.register(this, { target, number: shape.session });
  }
}

/** Conversations. One of two writers at the same time is stopped, so that no update is lost. */
export class Sessions extends Service {
  /** @internal */
  constructor(target: NativeTarget) {
    super(target, "sessions");
  }

  /** The conversation of a guest; `null` when there is none. Fails while Redis is down: it is never read as new. */
  async get(user: string, options?: TenantOptions): Promise<Session | null> {
    const found = await this.raw("get", this.#of(user, options), options);
    return found === null ? null : new Session(this.target, found as Shape);
  }

  /** The conversation of a guest, begun on this channel when there is none. */
  async getOrCreate(user: string, channel: string, options?: TenantOptions): Promise<Session> {
    const args = { ...this.#of(user, options), channel: text("channel", channel) };
    return new Session(this.target, (await this.raw("getOrCreate", args, options)) as Shape);
  }

  /**
   * Writes what was changed in `session.document`.
   *
   * @throws ConflictError `sessions.conflict` when another writer was faster: read it again.
   */
  async save(session: Session, options?: CallOptions): Promise<void> {
    const changes = changesOf(session.before, session.document);
    const after = structuredClone(session.document);
    const saved = await this.raw("save", { session: session.number, changes }, options);
    session.before = after;
    const { expires } = saved as { expires: number | null };
    session.expires = expires === null ? undefined : new Date(expires);
  }

  /** Merges a patch (RFC 7396) into the conversation as it is now, and answers the result. */
  async update(user: string, patch: { [key: string]: Json }, options?: TenantOptions): Promise<Session> {
    const args = { ...this.#of(user, options), patch };
    return new Session(this.target, (await this.raw("update", args, options)) as Shape);
  }

  /** Appends a message to the history. */
  async appendTurn(
    user: string,
    turn: { role: string; content: string; id?: string },
    options?: TenantOptions,
  ): Promise<Session> {
    const { role, content, id } = only(turn, ["role", "content", "id"]);
    const args = { ...this.#of(user, options), role: text("role", role), content: text("content", content), id };
    return new Session(this.target, (await this.raw("appendTurn", args, options)) as Shape);
  }

  /** Puts the end of a conversation off; answers whether there is one. */
  async touch(user: string, options?: TenantOptions): Promise<boolean> {
    return this.call("touch", this.#of(user, options), options);
  }

  /** Deletes a conversation; answers whether there was one. */
  async delete(user: string, options?: TenantOptions): Promise<boolean> {
    return this.call("delete", this.#of(user, options), options);
  }

  /** Who is in a conversation. */
  async list(options?: TenantOptions): Promise<{ user: string; expires: Date }[]> {
    return this.call("list", { tenant: only(options, ["tenant", "signal"]).tenant }, options);
  }

  /** How many conversations there are. */
  async count(options?: TenantOptions): Promise<number> {
    return this.call("count", { tenant: only(options, ["tenant", "signal"]).tenant }, options);
  }

  #of(user: string, options: TenantOptions | undefined): { user: string; tenant: string | undefined } {
    return { user: text("user", user), tenant: only(options, ["tenant", "signal"]).tenant };
  }
}
