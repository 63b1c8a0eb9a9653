import { existsSync } from "node:fs";
import { createRequire } from "node:module";

/** The calls of one environment. */
export interface NativeBridge {
  readonly waiting: number;
  begin(target: NativeTarget, method: string, args: string): string;
  connect(variables: string, flags: string): string;
  settled(): string[];
  giveUp(number: number): void;
}

/** A handle, bound to a tenant or not. */
export interface NativeTarget {
  readonly tenant: string | null;
  forTenant(tenant: string): NativeTarget;
  isEnabled(flag: string, context: string, fallback: boolean): boolean;
  evaluate(flag: string, context: string, fallback: boolean): string;
  cached(identifier: string, channel?: string | null): string | null;
  isHeld(number: number): boolean;
  forget(number: number): void;
}

interface Native {
  Bridge: new (wake: () => void) => NativeBridge;
  Target: {
    idempotencyKey(namespace: string, messageId: string): string;
    embedded(flags: string): NativeTarget;
    build(variables: string, flags: string): NativeTarget;
    opened(number: number): NativeTarget;
  };
}

/** `linux-x64-gnu` and the like: the name of the library for this machine. */
function platform(): string {
  const parts: string[] = [process.platform, process.arch];
  if (process.platform === "linux") {
    const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined;
    parts.push(report?.header?.glibcVersionRuntime === undefined ? "musl" : "gnu");
  }
  return parts.join("-");
}

function load(): Native {
  const name = `posada.${platform()}.node`;
  const file = new URL(name, import.meta.url);
  if (!existsSync(file)) {
    throw new Error(
      `posada has no native library for this machine: ${name} is not beside ${import.meta.url}. ` +
        "Packages are built for each platform; from the sources, `make develop-node` builds the one of this machine.",
    );
  }
  return createRequire(import.meta.url)(file.pathname) as Native;
}

/** The native part. */
export const native: Native = load();
