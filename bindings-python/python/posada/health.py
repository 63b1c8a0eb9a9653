"""Whether the servers answer, and what can be served without those that do not."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Health"]


@dataclass(frozen=True, slots=True)
class Health:
    """The answer of ``Posada.health``. It is true when everything answered; ``is_ready`` when guests can be served."""

    postgres_error: str | None
    """The code of the error of Postgres, if it did not answer."""
    redis_error: str | None
    """The code of the error of Redis, if it did not answer or does not take writes."""
    knows_hotels: bool
    """Whether there are hotels whose guests resolve without Postgres."""
    timestamp: dt.datetime
    """When the servers were asked (UTC)."""
    _shape: str = field(repr=False)
    _readiness: str = field(repr=False)

    @property
    def is_healthy(self) -> bool:
        """Whether everything answered."""
        return self.postgres_error is None and self.redis_error is None

    @property
    def is_ready(self) -> bool:
        """Whether guests can be served: Redis takes writes, and hotels are found, in Postgres or without it.

        No user can sign in meanwhile if Postgres is down.
        """
        return self.redis_error is None and (self.postgres_error is None or self.knows_hotels)

    @property
    def status(self) -> Literal["healthy", "degraded", "unhealthy"]:
        """``degraded`` when something did not answer and guests are served all the same."""
        if self.is_healthy:
            return "healthy"
        return "degraded" if self.is_ready else "unhealthy"

    @property
    def postgres(self) -> Literal["ok", "error"]:
        """Postgres, or the memory that stands for it."""
        return "ok" if self.postgres_error is None else "error"

    @property
    def redis(self) -> Literal["ok", "error"]:
        """Redis, or the memory that stands for it."""
        return "ok" if self.redis_error is None else "error"

    def to_dict(self) -> dict[str, Any]:
        """``{"status": "healthy", "postgres": "ok", "redis": "ok", "timestamp": "…"}``."""
        shape: dict[str, Any] = json.loads(self._shape)
        return shape

    def to_readiness(self) -> dict[str, Any]:
        """``{"ready": true, "checks": {…}, "serves": {…}, "timestamp": "…"}``, as at ``/health/ready``.

        ``checks`` are those of the app; ``serves`` is ``{"guests": true, "sign_in": true}``.
        """
        readiness: dict[str, Any] = json.loads(self._readiness)
        return readiness

    def __bool__(self) -> bool:
        return self.is_healthy
