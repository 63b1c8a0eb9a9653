/** What the caller should do about an error. */
export type Kind =
  | "invalid"
  | "unauthenticated"
  | "denied"
  | "not_found"
  | "conflict"
  | "exhausted"
  | "unavailable"
  | "timeout"
  | "ambiguous"
  | "unsupported"
  | "closed"
  | "internal";

/** An error as the native part writes it. */
export interface ErrorShape {
  code: string;
  kind: Kind;
  message: string;
  retryable: boolean;
  retry_after_ms: number | null;
  context: Record<string, string>;
  cause: string | null;
  http?: { status: number; retry_after: number | null; www_authenticate: string | null; body: string };
}

/** What to answer over HTTP, as the kits for FastAPI and axum do. Nothing about servers or other hotels is in it. */
export interface HttpAnswer {
  status: number;
  headers: Record<string, string>;
  /** JSON. */
  body: string;
}

/**
 * Every error of posada. `code` is stable, such as `locks.contended`; the class says what to do.
 */
export class PosadaError extends Error {
  /** The stable code. Programs compare this, and never the message. */
  readonly code: string;
  /** What to do about it; each kind has a class. */
  readonly kind: Kind;
  /** Whether the same call may succeed later. */
  readonly retryable: boolean;
  /** After how many milliseconds, when the server said so. */
  readonly retryAfterMs: number | undefined;
  /** Facts by their names. No secret is among them. */
  readonly context: Readonly<Record<string, string>>;

  /** What to answer over HTTP. */
  readonly http: HttpAnswer;

  constructor(shape: ErrorShape) {
    super(shape.message, shape.cause === null ? undefined : { cause: shape.cause });
    this.name = new.target.name;
    this.code = shape.code;
    this.kind = shape.kind;
    this.retryable = shape.retryable;
    this.retryAfterMs = shape.retry_after_ms ?? undefined;
    this.context = shape.context;
    const { status, body, retry_after, www_authenticate } = shape.http ?? refused(shape);
    const headers: Record<string, string> = { "content-type": "application/json" };
    if (retry_after !== null) headers["retry-after"] = String(retry_after);
    if (www_authenticate !== null) headers["www-authenticate"] = www_authenticate;
    this.http = { status, headers, body };
  }

  /** The argument or setting that was refused. */
  get field(): string | undefined {
    return this.context["field"];
  }
}

/** The answer for an argument that was refused here. */
function refused(shape: ErrorShape): NonNullable<ErrorShape["http"]> {
  const body = { detail: shape.message, code: shape.code, message: shape.message, facts: shape.context };
  return { status: 422, retry_after: null, www_authenticate: null, body: JSON.stringify(body) };
}

/** An argument or a setting cannot be; nothing was done. */
export class InvalidError extends PosadaError {}
/** It is not known who asks. */
export class UnauthenticatedError extends PosadaError {}
/** Who asks may not do this. */
export class DeniedError extends PosadaError {}
/** What is asked about does not exist. */
export class NotFoundError extends PosadaError {}
/** Another caller was faster. */
export class ConflictError extends PosadaError {}
/** Too much of something: a limit, or no room left. */
export class ExhaustedError extends PosadaError {}
/** A server is not there; nothing was done. */
export class UnavailableError extends PosadaError {}
/** A server did not answer in time. */
export class TimeoutError extends PosadaError {}
/** Whether it was done is not known: look before doing it again. */
export class AmbiguousError extends PosadaError {}
/** The hotel's system cannot do this. */
export class UnsupportedError extends PosadaError {}
/** The handle, lock or hold was closed. */
export class ClosedError extends PosadaError {}
/** A defect. */
export class InternalError extends PosadaError {}

const CLASSES: Record<Kind, typeof PosadaError> = {
  invalid: InvalidError,
  unauthenticated: UnauthenticatedError,
  denied: DeniedError,
  not_found: NotFoundError,
  conflict: ConflictError,
  exhausted: ExhaustedError,
  unavailable: UnavailableError,
  timeout: TimeoutError,
  ambiguous: AmbiguousError,
  unsupported: UnsupportedError,
  closed: ClosedError,
  internal: InternalError,
};

/** The exception of a JSON text of the native part. */
export function errorOf(text: string): PosadaError {
  const shape = JSON.parse(text) as ErrorShape;
  return new CLASSES[shape.kind](shape);
}

/** Runs something native that throws its error as JSON. */
export function thrown<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("{")) throw errorOf(error.message);
    throw error;
  }
}

/** The refusal of an argument, before anything is done. */
export function invalid(field: string, message: string): InvalidError {
  return new InvalidError({
    code: "posada.invalid_argument",
    kind: "invalid",
    message: `${field}: ${message}`,
    retryable: false,
    retry_after_ms: null,
    context: { field },
    cause: null,
  });
}
