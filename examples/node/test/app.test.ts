import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";

import { Posada } from "posada";

import { app } from "../src/app.js";
import { BOOKING_FLAG } from "../src/receptionist.js";

const SECRET = "the secret of the account";
let next = 0;

function number(): string {
  next += 1;
  return `54911${String(process.pid % 10000).padStart(4, "0")}${String(next).padStart(4, "0")}`;
}

async function opened(): Promise<Posada> {
  if (process.env["DATABASE_URL"] === undefined) return Posada.build({ SECRET_KEY: "0f8fad5bd9cb469fa16570867728950e-node" });
  const { DATABASE_URL, REDIS_URL } = process.env;
  const posada = await Posada.connect({ DATABASE_URL, REDIS_URL, SECRET_KEY: "0f8fad5bd9cb469fa16570867728950e-node" });
  await posada.migrate();
  return posada;
}

function notification(id: string, from: string, to: string, body: string): string {
  const messages = [{ from, id, timestamp: "1793000000", type: "text", text: { body } }];
  const value = { messaging_product: "whatsapp", metadata: { display_phone_number: to, phone_number_id: "106540352242922" }, messages };
  return JSON.stringify({ object: "whatsapp_business_account", entry: [{ id: "102290129340398", changes: [{ value, field: "messages" }] }] });
}

async function deliver(url: string, body: string, secret = SECRET): Promise<{ status: number; replies: string[] }> {
  const signature = `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
  const response = await fetch(`${url}/webhooks/whatsapp`, { method: "POST", body, headers: { "x-hub-signature-256": signature } });
  const answer = (await response.json()) as { replies?: string[] };
  return { status: response.status, replies: answer.replies ?? [] };
}

test("guests book over the webhook, each message once, and never more than there are rooms", async () => {
  const posada = await opened();
  const server = app(posada, { whatsappSecret: SECRET }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const [hotel, reception] = [`hotel-${process.pid}`, number()];
  await posada.tenants.create({ id: hotel, name: "Hotel Mirador del Lago" });
  await posada.tenants.addIdentifier(hotel, reception);
  try {
    const hello = notification(`wamid.hello${process.pid}`, number(), reception, "¿Tienen lugar? 🏔️");
    assert.match((await deliver(url, hello)).replies[0] ?? "", /^Write for instance/);
    assert.equal((await deliver(url, hello, "another secret")).status, 403);
    assert.equal((await deliver(url, "no JSON")).status, 422);
    const wish = (id: string, guest: string): string =>
      notification(id, guest, reception, "book 2027-03-10 2027-03-12 for 2");
    const early = await deliver(url, wish(`wamid.early${process.pid}`, number()));
    assert.equal(early.replies[0], "A colleague will answer you soon.");
    await posada.flags.set(BOOKING_FLAG, true, { tenant: hotel });

    // Every message comes twice, at the same time.
    const guests = Array.from({ length: 200 }, (_, at) => wish(`wamid.HBgNNTQ5MTE4NzY1NDMyMRUCABIYFDNB${process.pid}${at}`, number()));
    const answers = await Promise.all(guests.flatMap((body) => [deliver(url, body), deliver(url, body)]));
    assert.ok(answers.every(({ status }) => status === 200));
    const references = new Set<string>();
    for (let at = 0; at < answers.length; at += 2) {
      const [one, other] = [answers[at]?.replies[0] ?? "", answers[at + 1]?.replies[0] ?? ""];
      assert.equal(one, other, "both deliveries hear the same");
      const reference = /^Booked: 2027-03-10\.\.2027-03-12 for \d+\.\d\d USD, reference (\S+)$/.exec(one)?.[1];
      if (reference !== undefined) references.add(reference);
      else assert.match(one, /^(Another guest was faster|There is no room)/);
    }
    const [inn] = await posada.pms.hotels();
    const left = await posada.pms.availability(inn?.id ?? "", { checkIn: "2027-03-10", checkOut: "2027-03-12" }, { adults: 2 });
    const free = left.offers.reduce((sum, offer) => sum + offer.available, 0);
    assert.equal(references.size + free, 20, "every room is free or has one booking");

    const login = await fetch(`${url}/auth/login`, { method: "POST", body: JSON.stringify({ username: "nobody", password: "x" }) });
    assert.equal(login.status, 401);
    assert.equal((await fetch(`${url}/admin/flags`, { method: "PUT", body: "{}" })).status, 403);
    assert.equal((await fetch(`${url}/health/ready`)).status, 200);
    assert.equal((await fetch(`${url}/nowhere`)).status, 404);
  } finally {
    server.closeAllConnections();
    server.close();
    await posada.close();
  }
});
