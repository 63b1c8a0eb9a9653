"""Failures of Redis that are also the classes of redis-py, so that the app's ``except`` clauses go on to work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis.exceptions

from posada.errors import AmbiguousError, PosadaError, TimeoutError, UnavailableError


class RedisUnavailableError(UnavailableError, redis.exceptions.ConnectionError):
    """Redis cannot be reached, and nothing was done."""


class RedisTimeoutError(TimeoutError, redis.exceptions.TimeoutError):
    """Redis did not answer in time, and nothing was done."""


class RedisAmbiguousError(AmbiguousError, redis.exceptions.TimeoutError):
    """A write was sent to Redis and its answer is lost."""


TRANSIENT = (RedisUnavailableError, RedisTimeoutError, RedisAmbiguousError)
"""What may be over a moment later."""


@contextmanager
def as_redis_raises() -> Iterator[None]:
    """Raises errors ``redis.*`` as the classes above; they stay ``PosadaError`` with all they say."""
    try:
        yield
    except PosadaError as error:
        if not error.code.startswith("redis."):
            raise
        for kind in TRANSIENT:
            if error.kind == kind.kind:
                raise kind(
                    error.message,
                    code=error.code,
                    retryable=error.retryable,
                    retry_after=error.retry_after,
                    context=error.context,
                ) from error
        raise
