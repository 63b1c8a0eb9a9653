import { invalid } from "./errors.js";

/** What a document may hold. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A conversation's document. */
export type Document = { [key: string]: Json };

/** One change: the value at a path, or that it was removed. */
export interface Change {
  path: string[];
  value?: Json;
  removed?: true;
}

/**
 * What differs between two documents. Members that are the same in JavaScript are left out, however they are stored:
 * numbers with more digits than JavaScript holds, NaN, and members of other writers stay as they are.
 */
export function changesOf(before: Document, after: Document): Change[] {
  const changes: Change[] = [];
  compare(before, after, [], changes);
  return changes;
}

function compare(before: Document, after: Document, path: string[], changes: Change[]): void {
  if (path.length > 100) throw invalid("document", "is nested too deeply, or holds itself");
  for (const key of Object.keys(before)) {
    if (after[key] === undefined) changes.push({ path: [...path, key], removed: true });
  }
  for (const [key, value] of Object.entries(after)) {
    if (value === undefined) continue;
    const known = Object.hasOwn(before, key) ? before[key] : undefined;
    if (isObject(known) && isObject(value)) compare(known, value, [...path, key], changes);
    else if (!same(known, value)) changes.push({ path: [...path, key], value: checked(value, [...path, key]) });
  }
}

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function same(one: Json | undefined, other: Json): boolean {
  return one === other || (typeof one === typeof other && JSON.stringify(one) === JSON.stringify(other));
}

/** What JSON would write as something else is refused: nothing is lost silently. */
function checked(value: Json, path: string[]): Json {
  const place = path.join(".");
  if (typeof value === "number" && !Number.isFinite(value)) throw invalid(place, "is no finite number");
  if (["bigint", "function", "symbol"].includes(typeof value)) throw invalid(place, `a ${typeof value} is no JSON`);
  if (typeof value === "object" && value !== null) {
    if (path.length > 100) throw invalid("document", "is nested too deeply, or holds itself");
    for (const [key, member] of Object.entries(value)) checked(member as Json, [...path, key]);
  }
  return value;
}
