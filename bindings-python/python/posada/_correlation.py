"""To which request the current task belongs, so that it can be followed into the hotels' own systems."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from posada import _native
from posada._checks import optional_text, text

__all__ = ["correlation", "correlation_headers"]

current: ContextVar[_native.Ids | None] = ContextVar("posada.correlation", default=None)
"""The native half reads it with every call of ``p.pms``."""


@contextmanager
def correlation(request_id: str, *, traceparent: str | None = None) -> Iterator[None]:
    """Whatever is asked of a hotel's system in here, and in tasks that begin in here, belongs to this request.

    The id is sent as ``X-Request-ID`` and ``X-Correlation-ID``; ``traceparent``, as W3C Trace Context writes it, under
    its own name. Scopes may be nested; the inner one counts.

    Raises ``InvalidError`` (``pms.invalid_request``, field ``request_id``) unless the id has 1 to 128 visible ASCII
    characters, and (field ``traceparent``) for what is no place in a trace.
    """
    text("request_id", request_id)
    optional_text("traceparent", traceparent)
    with within(_native.Ids(request_id, traceparent)):
        yield


@contextmanager
def within(ids: _native.Ids) -> Iterator[None]:
    """As :func:`correlation`, for ids that were made already."""
    before = current.set(ids)
    try:
        yield
    finally:
        current.reset(before)


def correlation_headers() -> dict[str, str]:
    """What belongs into a request of your own to another system; empty outside of :func:`correlation`."""
    ids = current.get()
    if ids is None:
        return {}
    headers = {"X-Request-ID": ids.request_id, "X-Correlation-ID": ids.request_id}
    if ids.traceparent is not None:
        headers["traceparent"] = ids.traceparent
    return headers
