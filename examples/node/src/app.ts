/** A receptionist over HTTP: the webhook of WhatsApp, sign-in, flags for administrators, health and metrics. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";

import { type Posada, PosadaError } from "posada";

import { replyTo } from "./receptionist.js";
import { isSigned, messagesOf } from "./whatsapp.js";

/** No notification is longer. */
const LONGEST = 1_000_000;

/** What the app is told. */
export interface Options {
  /** The secret with which WhatsApp signs; without it nothing is checked, for development. */
  whatsappSecret?: string | undefined;
}

type Answer = [status: number, body: unknown, headers?: Record<string, string>];

/** The server of the app, which listens nowhere yet. */
export function app(posada: Posada, options: Options = {}): Server {
  return createServer((request, response) => {
    void answer(posada, options, request)
      .catch(failure)
      .then(([status, body, headers]) => write(response, status, body, headers));
  });
}

async function answer(posada: Posada, options: Options, request: IncomingMessage): Promise<Answer> {
  const route = `${request.method ?? ""} ${(request.url ?? "").split("?")[0] ?? ""}`;
  switch (route) {
    case "GET /health/ready": {
      const health = await posada.health();
      return [health.status === "unhealthy" ? 503 : 200, health];
    }
    case "GET /metrics":
      return [200, (await posada.metrics()) ?? "", { "content-type": "text/plain; version=0.0.4" }];
    case "POST /webhooks/whatsapp": {
      const body = await read(request);
      const signature = request.headers["x-hub-signature-256"];
      if (options.whatsappSecret !== undefined && !isSigned(body, String(signature ?? ""), options.whatsappSecret)) {
        return [403, { detail: "the signature is wrong" }];
      }
      const messages = messagesOf(body);
      if (messages === undefined) return [422, { detail: "this is no notification of WhatsApp" }];
      // A real app would send the replies; this one hands them back.
      const replies = [];
      for (const message of messages) replies.push(await replyTo(posada, message));
      return [200, { replies }];
    }
    case "POST /auth/login": {
      const { username, password } = await form(request);
      const limit = await posada.limits.check("5/minute", [request.socket.remoteAddress ?? "", "/auth/login"]);
      if (!limit.allowed) return [429, { detail: "too many attempts" }, { "retry-after": String(Math.ceil(limit.retryAfterMs / 1000)) }];
      const pair = await posada.auth.login({ username: username ?? "", password: password ?? "" });
      return [200, { access_token: pair.access, refresh_token: pair.refresh, token_type: "bearer" }];
    }
    case "PUT /admin/flags": {
      const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
      const { isSuperuser } = await posada.auth.verifyPrivileged(token);
      if (!isSuperuser) return [403, { detail: "only superusers may" }];
      const { flag, tenant, value } = await form(request);
      await posada.flags.set(flag ?? "", value ?? "", { tenant });
      return [200, { flag, tenant, value }];
    }
    default:
      return [404, { detail: "Not Found" }];
  }
}

function failure(error: unknown): Answer {
  if (error instanceof PosadaError) return [error.http.status, JSON.parse(error.http.body), error.http.headers];
  if (error instanceof RangeError) return [413, { detail: "this is too long" }];
  console.error(error);
  return [500, { detail: "the server failed" }];
}

async function form(request: IncomingMessage): Promise<Record<string, string | undefined>> {
  try {
    return JSON.parse((await read(request)).toString("utf8")) as Record<string, string | undefined>;
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of request) {
    length += (piece as Buffer).length;
    if (length > LONGEST) throw new RangeError("too long");
    pieces.push(piece as Buffer);
  }
  return Buffer.concat(pieces);
}

function write(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(typeof body === "string" ? body : JSON.stringify(body));
}
