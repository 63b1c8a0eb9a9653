import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { Worker } from "node:worker_threads";

import { calls } from "../ts/calls.js";
import { changesOf } from "../ts/documents.js";
import { ConflictError, InvalidError, Posada, PosadaError } from "../ts/index.js";
import { number, places, servers, unique } from "./support.js";

const INDEX = new URL("../ts/index.js", import.meta.url).href;

/** A process that runs this module, with the servers of the tests. */
function ran(program: string): { status: number | null; signal: string | null; output: string } {
  const run = spawnSync(process.execPath, ["--input-type=module", "--eval", `const { Posada } = await import(${JSON.stringify(INDEX)}); ${program}`], {
    encoding: "utf8",
    timeout: 120_000,
  });
  return { status: run.status, signal: run.signal, output: run.stdout + run.stderr };
}

test("a wrong argument is refused by its name, before anything is asked", async () => {
  await using posada = Posada.embedded();
  const wrong: [string, () => Promise<unknown>][] = [
    ["identifier", () => posada.tenants.resolve(5491112345678 as unknown as string)],
    ["user", () => posada.sessions.get("half \ud83d")],
    ["wait", () => posada.locks.acquire("x", { wait: 5 } as object)],
    ["ttl", () => posada.locks.acquire("x", { ttlMs: -1 })],
    ["stay", () => posada.locks.holdStay("room:101", { checkIn: "2027-03-12", checkOut: "2027-03-10" })],
    ["party", () => posada.pms.availability(1, { checkIn: "2027-03-10", checkOut: "2027-03-12" }, { adults: 0 })],
    ["hotel", () => posada.pms.roomTypes(1.5)],
    ["limit", () => posada.limits.check("5 per eon", ["x"])],
  ];
  for (const [field, call] of wrong) {
    await assert.rejects(call, (error: unknown) => {
      assert.ok(error instanceof PosadaError, `${field}: ${String(error)}`);
      assert.ok(error.kind === "invalid", `${field}: ${error.kind} ${error.message}`);
      assert.equal(error.field, field, error.message);
      return true;
    });
  }
  assert.throws(() => Posada.build({ POSADA_HOLD_TLL: 5 }), { field: "POSADA_HOLD_TLL" });
  assert.throws(() => posada.flags.isEnabled("x", { tenannt: "y" } as object), { field: "tenannt" });
});

test("only what was changed in a document is written", () => {
  const before = { context: { nights: 2, rate: 1.5 }, history: [1, 2], state: "initial", gone: true };
  const after = { context: { nights: 3, rate: 1.5 }, history: [1, 2], state: "initial", new: null };
  assert.deepEqual(changesOf(before, after), [
    { path: ["gone"], removed: true },
    { path: ["context", "nights"], value: 3 },
    { path: ["new"], value: null },
  ]);
  assert.deepEqual(changesOf(after, structuredClone(after)), []);
  for (const value of [Number.NaN, 1n, () => 1]) {
    assert.throws(() => changesOf({}, { place: { value } } as never), InvalidError);
  }
  const itself: { [key: string]: never } = {};
  (itself as { [key: string]: unknown })["itself"] = itself;
  assert.throws(() => changesOf({}, itself), InvalidError);
});

test("what JavaScript cannot hold survives a save", { skip: servers === undefined }, async () => {
  await using posada = await Posada.connect(servers ?? {});
  const guest = number();
  const session = await posada.sessions.getOrCreate(guest, "whatsapp");
  // As Python writes them.
  const python = `
import asyncio, os, posada
async def main():
    async with await posada.Posada.from_env() as p:
        s = await p.sessions.get(${JSON.stringify(guest)})
        s.document["context"].update(long=12345678901234567890, nothing=float("nan"))
        await p.sessions.save(s)
asyncio.run(main())`;
  const interpreter = process.env["POSADA_TEST_PYTHON"];
  if (interpreter !== undefined) {
    const wrote = spawnSync(interpreter, ["-c", python], { encoding: "utf8" });
    assert.equal(wrote.status, 0, wrote.stderr);
    const read = await posada.sessions.get(guest);
    assert.ok(read !== null);
    read.document["state"] = "booking";
    await posada.sessions.save(read);
    const check = python.replace(/s\.document\["context"\][^]*save\(s\)/, 'print(s.document["state"], s.document["context"]["long"], s.document["context"]["nothing"])');
    const seen = spawnSync(interpreter, ["-c", check], { encoding: "utf8" });
    assert.equal(seen.stdout.trim(), "booking 12345678901234567890 nan", seen.stderr);
  }
  assert.ok(await posada.sessions.delete(session.user));
});

for (const [place, open] of places) {
  test(`a call that is given up leaves nothing behind, ${place}`, async () => {
    await using posada = await open();
    const name = unique("given-up");
    const lock = await posada.locks.acquire(name);
    const attempts = Array.from({ length: 500 }, (_, attempt) => {
      const controller = new AbortController();
      const waiting = posada.locks.acquire(name, { waitMs: 60_000, signal: controller.signal });
      if (attempt % 2 === 0) controller.abort(new Error("gone"));
      else setImmediate(() => controller.abort(new Error("gone")));
      return assert.rejects(waiting, /gone/);
    });
    await Promise.all(attempts);
    assert.equal(calls.waiting, 0);
    await lock.release();
    const next = await posada.locks.acquire(name, { waitMs: 30_000 });
    await next.release();
    await assert.rejects(posada.tenants.list({ signal: AbortSignal.abort(new Error("before")) }), /before/);
  });

  test(`two hundred guests at a time lose no update, ${place}`, async () => {
    await using posada = await open();
    const guest = number();
    await posada.sessions.getOrCreate(guest, "whatsapp");
    await Promise.all(
      Array.from({ length: 200 }, async (_, at) => {
        for (;;) {
          try {
            return await posada.sessions.update(guest, { [`member_${at}`]: at });
          } catch (error) {
            // So many at once on one conversation: a caller who lost every try is told, and tries again.
            if (!(error instanceof ConflictError)) throw error;
          }
        }
      }),
    );
    const session = await posada.sessions.get(guest);
    assert.equal(Object.keys(session?.document ?? {}).filter((key) => key.startsWith("member_")).length, 200);
  });
}

test("after close every call that asks something says so", async () => {
  const posada = Posada.embedded();
  await posada.close();
  await posada.close();
  const refused = { code: "posada.closed", kind: "closed" };
  await assert.rejects(posada.tenants.list(), refused);
  await assert.rejects(posada.sessions.get("5491187654321"), refused);
  await assert.rejects(posada.locks.acquire("x"), refused);
});

test("errors have the answers over HTTP that the other kits give", async () => {
  await using posada = Posada.embedded();
  const refused = await posada.tenants.suspend("nowhere").catch((error: unknown) => error);
  assert.ok(refused instanceof PosadaError);
  assert.deepEqual([refused.http.status, JSON.parse(refused.http.body).code], [404, "tenants.not_found"]);
  const unknown = await posada.auth.verify("x").catch((error: unknown) => error);
  assert.ok(unknown instanceof PosadaError);
  assert.equal(unknown.http.headers["content-type"], "application/json");
});

test("a server that is not there is a typed error", async () => {
  const settings = { DATABASE_URL: "postgresql://app@127.0.0.1:1/app", REDIS_URL: "redis://127.0.0.1:1/0" };
  await assert.rejects(Posada.connect(settings), { kind: "unavailable", retryable: true });
  await using posada = Posada.build(settings);
  await assert.rejects(posada.sessions.get("5491187654321"), { code: "redis.unavailable" });
  assert.equal((await posada.health()).status, "unhealthy");
  assert.equal((await posada.doctor()).healthy, false);
});

test("a process ends by itself, with handles open or calls under way", () => {
  const programs = [
    "Posada.embedded();",
    "const p = Posada.embedded(); await p.locks.acquire('x'); console.log('held');",
    "const p = Posada.embedded(); await p.locks.acquire('x'); p.locks.acquire('x', { waitMs: 60000 }).catch(() => {}); process.exit(0);",
    "const p = Posada.embedded(); await p.close();",
  ];
  for (const program of programs) {
    const { status, signal, output } = ran(program);
    assert.deepEqual([status, signal], [0, null], `${program}: ${output}`);
  }
  // A call that is under way keeps the process until it has its answer.
  const waited = ran(
    "const p = Posada.embedded(); const l = await p.locks.acquire('x', { ttlMs: 300 }); const next = await p.locks.acquire('x', { waitMs: 60000 }); console.log(next.isHeld);",
  );
  assert.equal(waited.output.trim(), "true");
  const ended = ran("const p = Posada.embedded(); await p.locks.acquire('x'); process.kill(process.pid, 'SIGTERM'); await p.locks.acquire('x', { waitMs: 60000 });");
  assert.equal(ended.signal, "SIGTERM");
});

test("workers load the package, use it and end in every way", async () => {
  const program = `
    const { parentPort, workerData } = require("node:worker_threads");
    import(workerData.index).then(async ({ Posada }) => {
      const p = Posada.embedded();
      const s = await p.sessions.getOrCreate("5491187654321", "web");
      parentPort.postMessage(s.user);
      if (workerData.way === 0) await p.close();
      if (workerData.way === 1) process.exit(0);
      if (workerData.way === 2) await p.locks.acquire("x").then(() => p.locks.acquire("x", { waitMs: 60000 }));
    });`;
  const workers = Array.from({ length: 12 }, (_, at) => {
    const worker = new Worker(program, { eval: true, workerData: { index: INDEX, way: at % 4 } });
    return new Promise<void>((resolve, reject) => {
      worker.once("error", reject);
      worker.once("message", (user) => {
        assert.equal(user, "5491187654321");
        if (at % 4 === 2) void worker.terminate();
      });
      worker.once("exit", () => resolve());
    });
  });
  await Promise.all(workers);
});
