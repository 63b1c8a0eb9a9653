import { calls, type CallOptions } from "./calls.js";
import type { NativeTarget } from "./native.js";
import { fromNative } from "./names.js";

/** What all services have in common. */
export abstract class Service {
  /** @internal */
  protected readonly target: NativeTarget;
  readonly #name: string;

  /** @internal */
  constructor(target: NativeTarget, name: string) {
    this.target = target;
    this.#name = name;
  }

  /** @internal */
  protected async call<T>(method: string, args: object, options?: CallOptions): Promise<T> {
    return fromNative(await this.raw(method, args, options)) as T;
  }

  /** @internal */
  protected raw(method: string, args: object, options?: CallOptions): Promise<unknown> {
    return calls.call(this.target, `${this.#name}.${method}`, args, options?.signal);
  }
}

/** Releases what is behind a number when JavaScript has no reference to it any more. */
export const forgotten = new FinalizationRegistry<{ target: NativeTarget; number: number }>(({ target, number }) =>
  target.forget(number),
);
