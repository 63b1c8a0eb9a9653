"""Arguments are checked before anything is sent, and an error names the argument."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TypeAlias

from posada._native import Tenant, seconds

Seconds: TypeAlias = float | dt.timedelta
"""A length of time: seconds, or a ``timedelta``."""

Whose: TypeAlias = str | Tenant
"""A tenant: its id, or the object that a look-up answered."""


def optional_seconds(name: str, given: Seconds | None) -> float | None:
    """The seconds of a length of time that may be left out."""
    return None if given is None else seconds(name, given)


def moment(name: str, given: dt.datetime) -> dt.datetime:
    """A moment in UTC. One without a time zone could mean anything and is refused."""
    if not isinstance(given, dt.datetime):
        raise TypeError(f"{name}: expected a datetime, not {type(given).__name__}")
    if given.utcoffset() is None:
        raise ValueError(
            f"{name}: expected an aware datetime, not {given!r}; "
            "say which zone it is in, for instance datetime.now(timezone.utc)"
        )
    return given.astimezone(dt.timezone.utc)


def day(name: str, given: dt.date) -> dt.date:
    """A date that is not a moment: the day of a moment depends on the zone."""
    if not isinstance(given, dt.date) or isinstance(given, dt.datetime):
        hint = "; take its .date() in the hotel's zone" if isinstance(given, dt.datetime) else ""
        raise TypeError(f"{name}: expected a date, not {type(given).__name__}{hint}")
    return given


def text(name: str, given: str) -> str:
    """A text."""
    if not isinstance(given, str):
        raise TypeError(f"{name}: expected str, not {type(given).__name__}")
    return given


def texts(name: str, given: Iterable[str]) -> list[str]:
    """Several texts; a single one is a mistake and not a list of letters."""
    if isinstance(given, str):
        raise TypeError(f"{name}: expected several texts, not one str")
    return [text(name, each) for each in given]


def whole(name: str, given: int) -> int:
    """A whole number of zero or more."""
    if not isinstance(given, int) or isinstance(given, bool):
        raise TypeError(f"{name}: expected int, not {type(given).__name__}")
    if given < 0:
        raise ValueError(f"{name}: expected zero or more, not {given}")
    return given
