/** What WhatsApp posts: who wrote what to which number. */
import { createHmac, timingSafeEqual } from "node:crypto";

import type { Message } from "./receptionist.js";

/** Whether a notification is signed with the secret of the account. */
export function isSigned(body: Buffer, signature: string | undefined, secret: string): boolean {
  const expected = Buffer.from(`sha256=${createHmac("sha256", secret).update(body).digest("hex")}`);
  const given = Buffer.from(signature ?? "");
  return expected.length === given.length && timingSafeEqual(expected, given);
}

/** The text messages of a notification; others, such as receipts, have none. `undefined` when it is no notification. */
export function messagesOf(body: Buffer): Message[] | undefined {
  let notification: unknown;
  try {
    notification = JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
  const messages: Message[] = [];
  for (const entry of list(member(notification, "entry"))) {
    for (const change of list(member(entry, "changes"))) {
      const value = member(change, "value");
      const number = member(member(value, "metadata"), "display_phone_number");
      for (const one of list(member(value, "messages"))) {
        const [id, guest, text] = [member(one, "id"), member(one, "from"), member(member(one, "text"), "body")];
        if ([id, guest, number, text].every((part) => typeof part === "string")) {
          messages.push({ id, guest, number, text } as Message);
        }
      }
    }
  }
  return Array.isArray(member(notification, "entry")) ? messages : undefined;
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
