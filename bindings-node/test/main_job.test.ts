import assert from "node:assert/strict";
import { test } from "node:test";

import { ConflictError, NotFoundError, Posada } from "../ts/index.js";
import { number, places, unique } from "./support.js";

const STAY = { checkIn: "2027-03-10", checkOut: "2027-03-12" };

for (const [place, open] of places) {
  test(`a guest's message becomes one booking, ${place}`, async () => {
    await using posada = await open();
    const hotel = unique("hotel-mirador");
    const made = await posada.tenants.create({
      id: hotel,
      name: "Hotel Mirador del Lago",
      businessHours: { start: 7, end: 23, timezone: "America/Argentina/Buenos_Aires" },
    });
    assert.deepEqual([made.id, made.status, made.businessHoursStart], [hotel, "active", 7]);
    const [reception, guest] = [number(), number()];
    assert.equal(await posada.tenants.addIdentifier(hotel, reception), `+${reception}`);
    const resolved = await posada.tenants.resolve(reception, { channel: "whatsapp" });
    assert.equal(resolved.outcome, "found");
    assert.equal(resolved.tenant?.id, hotel);
    assert.equal(posada.tenants.cached(reception, { channel: "whatsapp" })?.tenant?.id, hotel);
    assert.equal((await posada.tenants.resolve(number())).outcome, "unknown");

    const scope = posada.forTenant(hotel);
    assert.equal(scope.tenant, hotel);
    const session = await scope.sessions.getOrCreate(guest, "whatsapp");
    assert.ok(session.isNew);
    session.document["context"] = { nights: 2 };
    await scope.sessions.save(session);
    await scope.sessions.appendTurn(guest, { role: "user", content: "¿Tienen habitación del 10 al 12 de marzo? 🏔️" });

    await posada.flags.set("booking.enabled", true, { tenant: hotel });
    assert.equal(scope.flags.isEnabled("booking.enabled"), true);
    assert.equal(posada.flags.isEnabled("booking.enabled"), false);

    const inn = (await posada.pms.hotels())[0];
    assert.ok(inn !== undefined);
    const place = inn.id;
    const { offers } = await posada.pms.availability(place, STAY, { adults: 2 });
    const offer = offers[0];
    assert.ok(offer !== undefined && offer.available > 0);
    const quote = await posada.pms.quote(place, offer.roomType, STAY, { adults: 2 });
    assert.match(quote.price.payable.amount, /^\d+\.\d\d$/);
    await using hold = await scope.locks.holdStay(`room_type:${place}/${offer.roomType}`, STAY, {
      capacity: offer.available,
      sessionId: guest,
    });
    assert.ok(hold.expiresAt > new Date());
    const again = await scope.locks.resumeHold(hold.ticket);
    assert.equal(again.id, hold.id);
    await assert.rejects(
      scope.locks.holdStay(hold.resource, STAY, { capacity: offer.available, quantity: offer.available, sessionId: number() }),
      (error: unknown) => error instanceof ConflictError && error.code === "locks.nights_taken",
    );
    const request = {
      quote,
      guest: { firstName: "Ana", lastName: "Gómez Núñez", email: "ana.gomez@example.com", phone: `+${guest}` },
      key: `wamid.HBgN${unique("NTQ5MTE4NzY1NDMyMRUCABIYFDNBQ")}`,
      hold,
    };
    const booking = await posada.pms.book(request);
    const twice = await posada.pms.book(request);
    assert.deepEqual([twice.id, twice.created], [booking.id, "found_again"]);
    assert.deepEqual(booking.price.payable, quote.price.payable);
    assert.equal((await posada.pms.findBooking(request.key))?.reference, booking.reference);
    assert.equal((await posada.pms.cancel(booking.id)).status, "cancelled");
    assert.equal(await posada.pms.booking("999999"), null);
  });

  test(`a second writer with an old copy is stopped, ${place}`, async () => {
    await using posada = await open();
    const guest = number();
    const first = await posada.sessions.getOrCreate(guest, "web");
    const second = await posada.sessions.get(guest);
    assert.ok(second !== null);
    first.document["last_intent"] = "book";
    await posada.sessions.save(first);
    second.document["last_intent"] = "cancel";
    await assert.rejects(posada.sessions.save(second), ConflictError);
    const merged = await posada.sessions.update(guest, { nights: 2 });
    assert.deepEqual([merged.document["last_intent"], merged.document["nights"]], ["book", 2]);
    first.document["last_intent"] = "ask";
    await assert.rejects(posada.sessions.save(first), ConflictError);
    assert.equal(await posada.sessions.delete(guest), true);
    assert.equal(await posada.sessions.get(guest), null);
  });

  test(`a lock has one holder, ${place}`, async () => {
    await using posada = await open();
    const name = unique("night-audit");
    await using lock = await posada.locks.acquire(name, { ttlMs: 30_000, owner: "node" });
    assert.ok(lock.isHeld && BigInt(lock.fence) > 0n);
    assert.equal(await posada.locks.tryAcquire(name), null);
    assert.equal((await posada.locks.inspect(name))?.owner, "node");
    await lock.extend(60_000);
    const waiting = posada.locks.acquire(name, { waitMs: 20_000 });
    assert.equal(await lock.release(), "released");
    const next = await waiting;
    assert.ok(BigInt(next.fence) > BigInt(lock.fence) && !lock.isHeld);
    await next.release();
    assert.equal(await posada.locks.inspect(name), null);
  });

  test(`users sign in, and limits count, ${place}`, async () => {
    await using posada = await (place === "in memory" ? Posada.build({ SECRET_KEY: "0f8fad5bd9cb469fa16570867728950e-node" }) : open());
    const username = unique("ana");
    const password = "correct horse battery staple";
    const user = await posada.auth.createUser({ username, email: `${username}@mirador.example`, password, role: "manager" });
    const pair = await posada.auth.login({ username, password });
    const claims = await posada.auth.verify(pair.access);
    assert.deepEqual([claims.userId, claims.role, claims.isSuperuser], [user.id, "manager", false]);
    assert.ok(claims.expiresAt > new Date());
    const next = await posada.auth.refresh(pair.refresh);
    await posada.auth.logout(next.access);
    await assert.rejects(posada.auth.verify(next.access), { code: "auth.session_ended" });
    await assert.rejects(posada.auth.login({ username, password: "wrong" }), { name: "UnauthenticatedError" });

    const who = [unique("203.0.113.7"), "/login"];
    for (const left of [1, 0]) assert.equal((await posada.limits.check("2/minute", who)).remaining, left);
    const refused = await posada.limits.check("2/minute", who);
    assert.ok(!refused.allowed && refused.retryAfterMs > 0);
    await posada.limits.reset("2/minute", who);
    assert.equal((await posada.limits.peek("2/minute", who)).remaining, 2);
  });

  test(`a handle of one hotel reaches no other, ${place}`, async () => {
    await using posada = await open();
    const [own, other] = [unique("own"), unique("other")];
    for (const id of [own, other]) await posada.tenants.create({ id, name: id });
    const scope = posada.forTenant(own);
    const refused = { code: "tenants.out_of_scope", kind: "denied" };
    await assert.rejects(scope.tenants.get(other), refused);
    await assert.rejects(scope.sessions.get("5491187654321", { tenant: other }), refused);
    await assert.rejects(scope.flags.set("x", true, { tenant: other }), refused);
    await assert.rejects(scope.locks.inspect("x", { tenant: other }), refused);
    await assert.rejects(scope.locks.acquire("x", { tenant: other }), refused);
    assert.throws(() => scope.flags.isEnabled("x", { tenant: other }), refused);
    await assert.rejects(scope.migrate(), refused);
    await assert.rejects(posada.tenants.suspend(unique("nowhere")), NotFoundError);
  });
}
