/** Starts the app: in memory, or on the servers that the environment names. Ctrl-C and SIGTERM end it in good order. */
import { Posada } from "posada";

import { app } from "./app.js";
import { BOOKING_FLAG } from "./receptionist.js";

const onServers = process.env["DATABASE_URL"] !== undefined;
const posada = onServers ? await Posada.fromEnv() : Posada.embedded({ defaultFlags: { [BOOKING_FLAG]: true } });
await posada.recordMetrics();
await posada.migrate();
if (!onServers) {
  await posada.tenants.create({ id: "hotel-mirador", name: "Hotel Mirador del Lago" });
  await posada.tenants.addIdentifier("hotel-mirador", "+5491112345678");
}
const server = app(posada, { whatsappSecret: process.env["WHATSAPP_APP_SECRET"] });
server.listen(Number(process.env["PORT"] ?? 8003), "127.0.0.1", () => console.log("listening", server.address()));

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    // Requests that are under way get their answers.
    server.close(() => void posada.close());
    server.closeIdleConnections();
  });
}
