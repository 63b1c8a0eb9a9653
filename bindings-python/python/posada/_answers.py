"""How errors of posada are answered over HTTP, and what of them is told to whom."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Final

from fastapi import FastAPI
from fastapi.requests import HTTPConnection
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketState

from posada import _native
from posada._routes import of_route
from posada.errors import PosadaError

_log: Final = logging.getLogger("posada.fastapi")

_QUIET_FOR: Final = 10.0
"""Seconds in which one kind of failure is one line of the log."""

_CLOSED: Final[Mapping[int, int]] = {500: 1011, 503: 1013, 504: 1013, 429: 1013}
"""With which code a websocket is closed; 1008, a violation of the policy, for everything else."""


def status_of(error: PosadaError) -> int:
    """The HTTP status of an error, by its kind."""
    return _native.http_status(error.code, error.kind)


def add_error_handlers(app: FastAPI) -> None:
    """Answers every error of posada with its status and ``{"detail", "code", "message", "facts"}``.

    ``facts`` are of a fixed list, none of which names a guest, a key or another hotel. Answers of 500 and above, but
    for 501, keep message and facts to the log ``posada.fastapi``, where an outage is a line in ten seconds and not one
    for each request. 429, 503 and 504 say in ``Retry-After`` how many seconds to wait. A websocket is closed with the
    error's code as its reason, or refused with the same answer before it was accepted.
    """
    failures = _Failures()

    async def answer(connection: HTTPConnection, error: Exception) -> Response | None:
        if not isinstance(error, PosadaError):
            raise error
        status = status_of(error)
        if status >= 500 and status != 501:
            failures.note(connection, status, error)
        if isinstance(connection, WebSocket) and not _can_answer(connection):
            await connection.close(_CLOSED.get(status, 1008), error.code)
            return None
        return _response(error)

    app.add_exception_handler(PosadaError, answer)  # type: ignore[arg-type]


def _can_answer(websocket: WebSocket) -> bool:
    """Whether the handshake is still open, and the server can refuse it with a whole answer."""
    extensions = websocket.scope.get("extensions") or {}
    return websocket.application_state == WebSocketState.CONNECTING and "websocket.http.response" in extensions


def _response(error: PosadaError) -> Response:
    status, retry_after, www_authenticate, body = _native.http_answer(
        error.code, error.kind, error.message, error.retry_after, list(error.context.items())
    )
    headers = {}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    if www_authenticate is not None:
        headers["WWW-Authenticate"] = www_authenticate
    return Response(body, status, headers, "application/json")


class _Failures:
    """The log of what failed: one line of each code in ten seconds, which says how many there were before it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[tuple[str, str], float] = {}
        self._unsaid: dict[tuple[str, str], int] = {}

    def note(self, connection: HTTPConnection, status: int, error: PosadaError) -> None:
        what, now = (error.code, error.kind), self._clock()
        if now - self._last.get(what, -math.inf) < _QUIET_FOR:
            self._unsaid[what] = self._unsaid.get(what, 0) + 1
            return
        self._last[what] = now
        unsaid = self._unsaid.pop(what, 0)
        _log.error(
            "%s %s was answered %d: %s%s",
            connection.scope.get("method", "WEBSOCKET"),
            of_route(connection.scope),
            status,
            error,
            f" (and {unsaid} more before it)" if unsaid else "",
            exc_info=error if status == 500 else None,
        )
