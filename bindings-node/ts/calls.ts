import { errorOf } from "./errors.js";
import { native, type NativeBridge, type NativeTarget } from "./native.js";

interface Pending {
  resolve(value: unknown): void;
  reject(reason: unknown): void;
  release(): void;
}

/** What every asynchronous method takes. */
export interface CallOptions {
  /**
   * Gives the call up. A read stops; a write ends all the same, and only its answer is not waited for. An `acquire` that
   * is given up leaves no lock behind.
   */
  signal?: AbortSignal | undefined;
}

/**
 * The calls of this environment, which is a main thread or a worker. Answers that ended meanwhile are fetched together,
 * and one timer keeps the process alive while calls wait.
 */
class Calls {
  readonly #bridge: NativeBridge = new native.Bridge(() => this.#settle());
  readonly #pending = new Map<number, Pending>();
  readonly #alive = setInterval(() => undefined, 0x7fffffff).unref();

  /** Calls a method of a handle. */
  call(target: NativeTarget, method: string, args: object, signal?: AbortSignal): Promise<unknown> {
    return this.#start(() => this.#bridge.begin(target, method, JSON.stringify(args)), signal);
  }

  /** Connects, and answers the number of the handle. */
  connect(variables: string, flags: string, signal?: AbortSignal): Promise<unknown> {
    return this.#start(() => this.#bridge.connect(variables, flags), signal);
  }

  /** How many calls wait: for tests. */
  get waiting(): number {
    return this.#pending.size;
  }

  async #start(begin: () => string, signal?: AbortSignal): Promise<unknown> {
    signal?.throwIfAborted();
    const begun = begin();
    if (!begun.startsWith("#")) return outcome(begun);
    const number = Number(begun.slice(1));
    if (this.#pending.size === 0) this.#alive.ref();
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#bridge.giveUp(number);
        this.#take(number)?.reject(signal?.reason);
      };
      signal?.addEventListener("abort", giveUp, { once: true });
      const release = (): void => signal?.removeEventListener("abort", giveUp);
      this.#pending.set(number, { resolve, reject, release });
    });
  }

  #take(number: number): Pending | undefined {
    const pending = this.#pending.get(number);
    if (pending === undefined) return undefined;
    this.#pending.delete(number);
    if (this.#pending.size === 0) this.#alive.unref();
    pending.release();
    return pending;
  }

  #settle(): void {
    const told = this.#bridge.settled();
    for (let at = 0; at + 1 < told.length; at += 2) {
      const pending = this.#take(Number(told[at]));
      if (pending === undefined) continue;
      try {
        pending.resolve(outcome(told[at + 1] as string));
      } catch (error) {
        pending.reject(error);
      }
    }
  }
}

function outcome(text: string): unknown {
  if (text.startsWith("=")) return JSON.parse(text.slice(1));
  throw errorOf(text.slice(1));
}

/** The calls of this environment. */
export const calls = new Calls();
