import { invalid } from "./errors.js";

const camels = new Map<string, string>();

function camel(name: string): string {
  let known = camels.get(name);
  if (known === undefined) {
    known = name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
    camels.set(name, known);
  }
  return known;
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

const SECONDS = new Set(["age", "reset_after", "retry_after"]);

/**
 * A value of the native part as JavaScript has it: names in camel case, moments as `Date`, lengths of time in
 * milliseconds under a name that ends with `Ms`.
 */
export function fromNative(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromNative);
  if (typeof value !== "object" || value === null) return value;
  const made: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value)) {
    if (SECONDS.has(name)) made[`${camel(name)}Ms`] = typeof member === "number" ? Math.ceil(member * 1000) : member;
    else if ((name.endsWith("_at") || name === "expires") && (typeof member === "number" || typeof member === "string"))
      made[camel(name)] = new Date(member);
    else made[camel(name)] = fromNative(member);
  }
  return made;
}

/** The way back. */
export function toNative(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toNative);
  if (value instanceof Date) return value.toISOString();
  if (typeof value !== "object" || value === null) return value;
  const made: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value)) made[snake(name)] = toNative(member);
  return made;
}

/** A text that a method needs. */
export function text(name: string, value: unknown): string {
  if (typeof value !== "string") throw invalid(name, `expected a string, not ${kindOf(value)}`);
  if (!value.isWellFormed()) throw invalid(name, "has half of a surrogate pair");
  return value;
}

/** An id of a hotel's system, which may be given as a number. */
export function id(name: string, value: unknown): string {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return String(value);
  return text(name, value);
}

/** The options of a method, of which a misspelt one is refused. */
export function only<T extends object>(options: T | undefined, names: readonly string[]): T {
  if (options === undefined) return {} as T;
  if (typeof options !== "object" || options === null) throw invalid("options", `expected an object, not ${kindOf(options)}`);
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) throw invalid(name, `there is no such option; there are ${names.join(", ")}`);
  }
  return options;
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "an array" : typeof value;
}
