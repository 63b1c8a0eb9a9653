"""Rate limits, on the keys of the Python package ``limits``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from posada import _native
from posada._checks import optional_text, pairs, texts, whole
from posada._checks import text as _text

__all__ = ["Decision", "FailurePolicy", "RateLimit", "RateLimiter", "Strategy"]

Strategy = Literal["fixed_window", "moving_window", "sliding_window_counter"]
"""How requests are counted: by a counter that starts again (the default), exactly, or close to exactly."""

FailurePolicy = Literal["open", "closed", "local_share"]
"""What happens while Redis is down: all is allowed, the check fails, or this process enforces its share."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a check. It is true when the request may go on."""

    allowed: bool
    """Whether the request may go on."""
    limit: int
    """The limit's amount."""
    remaining: int
    """Requests that are left in the window."""
    reset_after: dt.timedelta
    """Time until the window gives something back."""
    retry_after: dt.timedelta
    """Time after which the refused request may be repeated; never zero then. Zero if it was allowed.

    For a request that costs more than the limit's amount it is the whole window.
    """
    degraded: bool
    """Whether Redis was down and the failure policy decided."""

    def __bool__(self) -> bool:
        return self.allowed

    def ensure_allowed(self) -> Decision:
        """Answers itself, or raises ``ExhaustedError`` (``limits.exceeded``) with the time to wait."""
        if not self.allowed:
            _native.refuse(self.limit, self.remaining, self.reset_after, self.retry_after, self.degraded)
        return self


class RateLimit:
    """A number of requests in a span of time: ``RateLimit("30/minute")``.

    Raises ``InvalidError`` (``limits.invalid``) for a text that is no limit.
    """

    __slots__ = ("_native",)

    def __init__(self, text: str, *, strategy: Strategy | None = None) -> None:
        self._native = _native.Limit.parse(_text("text", text), optional_text("strategy", strategy))

    @classmethod
    def parse_many(cls, text: str) -> list[RateLimit]:
        """Reads several limits, separated by ``;``, ``,`` or ``|``, such as ``5/second; 100/hour``."""
        return [cls._of(limit) for limit in _native.Limit.parse_many(_text("text", text))]

    @classmethod
    def _of(cls, limit: _native.Limit) -> RateLimit:
        made = object.__new__(cls)
        made._native = limit
        return made

    @property
    def amount(self) -> int:
        """How many requests."""
        return self._native.amount

    @property
    def window(self) -> dt.timedelta:
        """In how much time."""
        return self._native.window

    @property
    def strategy(self) -> Strategy:
        """How they are counted."""
        return self._native.strategy

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RateLimit) and self._native == other._native

    def __hash__(self) -> int:
        return hash(self._native)

    def __str__(self) -> str:
        return str(self._native)

    def __repr__(self) -> str:
        return f"RateLimit({str(self)!r}, strategy={self.strategy!r})"


class RateLimiter:
    """Decides whether one more request is allowed."""

    __slots__ = ("_native",)

    def __init__(self, handle: _native.Handle) -> None:
        self._native = _native.Limits(handle)

    def failure_policy(self, policy: FailurePolicy, *, processes: int = 1) -> RateLimiter:
        """The same limiter with another answer to an outage of Redis.

        ``local_share`` is the number of processes that share the limit.
        """
        other = object.__new__(RateLimiter)
        other._native = self._native.failure_policy(_text("policy", policy), whole("processes", processes))
        return other

    async def check(self, limit: str | RateLimit, *identifiers: str, cost: int = 1) -> Decision:
        """Takes ``cost`` requests from the quota of these identifiers (such as an address and a path).

        While Redis is down, or refuses to work, the failure policy decides; by default this process counts.

        A refused request still counts in a fixed window, as in ``limits``. A cancelled call may have counted.

        Raises ``limits.invalid``, ``limits.invalid_identifier``; ``redis.*`` only under the policy ``closed``.
        """
        parts = await self._native.check(_limit(limit), texts("identifiers", identifiers), whole("cost", cost))
        return Decision(*parts)

    async def check_cost(self, limit: str | RateLimit, identifiers: Iterable[str], cost: int) -> Decision:
        """As ``check``, for identifiers that come as a list."""
        return await self.check(limit, *texts("identifiers", identifiers), cost=cost)

    async def check_many(self, limits: Iterable[tuple[str | RateLimit, Sequence[str]]]) -> list[Decision]:
        """Takes one request from every limit, or from none if one of them refuses. One decision per limit, in order.

        Raises as ``check``, and ``limits.invalid`` for none or more than 16 limits.
        """
        wanted = [(_limit(limit), texts("identifiers", identifiers)) for limit, identifiers in pairs("limits", limits)]
        return [Decision(*parts) for parts in await self._native.check_many(wanted)]

    async def peek(self, limit: str | RateLimit, *identifiers: str) -> Decision:
        """What a check would answer now, without taking anything. Cancel-safe read."""
        return Decision(*await self._native.peek(_limit(limit), texts("identifiers", identifiers)))

    async def reset(self, limit: str | RateLimit, *identifiers: str) -> None:
        """Gives the identifiers their whole quota back. Raises ``redis.*`` when Redis is down."""
        await self._native.reset(_limit(limit), texts("identifiers", identifiers))


def _limit(limit: str | RateLimit) -> _native.Limit:
    if isinstance(limit, RateLimit):
        return limit._native
    if isinstance(limit, str):
        return _native.Limit.parse(_text("limit", limit))
    raise TypeError(f"limit: expected str or RateLimit, not {type(limit).__name__}")
