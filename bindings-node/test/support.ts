import { Posada, type Settings } from "../ts/index.js";

/** The servers of the tests, when there are some. */
export const servers: Settings | undefined =
  process.env["DATABASE_URL"] && process.env["REDIS_URL"]
    ? { DATABASE_URL: process.env["DATABASE_URL"], REDIS_URL: process.env["REDIS_URL"], SECRET_KEY: "0f8fad5bd9cb469fa16570867728950e-node" }
    : undefined;

/** The ways in which each test runs: in memory, and on servers when there are some. */
export const places: [string, () => Promise<Posada>][] = [
  ["in memory", async () => Posada.embedded()],
];
if (servers !== undefined) {
  const on = servers;
  places.push([
    "on servers",
    async () => {
      const posada = await Posada.connect(on);
      await posada.migrate();
      return posada;
    },
  ]);
}

let next = 0;

/** A name that no other test uses. */
export function unique(word: string): string {
  next += 1;
  return `${word}-${process.pid}-${next}`;
}

/** A telephone number of real length that no other test uses. */
export function number(): string {
  next += 1;
  return `54911${String(process.pid % 10000).padStart(4, "0")}${String(next).padStart(4, "0")}`;
}
