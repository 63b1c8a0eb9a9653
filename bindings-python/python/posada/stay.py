"""The nights of a stay."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass

from posada._checks import day, instance, invalid, text
from posada.errors import InvalidError

__all__ = ["Stay"]

_MOST_NIGHTS = 366
_MOST_SHOWN = 40
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_COMPACT = re.compile("20[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])")
_GUEST = re.compile("[0-9]{8}|@|wamid")


@dataclass(frozen=True, slots=True, order=True)
class Stay:
    """The nights from ``check_in`` to ``check_out``, the last day not included: 1 to 366 of them.

    >>> stay = Stay(dt.date(2027, 3, 10), dt.date(2027, 3, 12))
    >>> stay.nights
    2

    Raises ``InvalidError`` (``stay.invalid``) for dates that are reversed or too far apart, and ``TypeError`` for a
    ``datetime``, whose day depends on the zone.
    """

    check_in: dt.date
    """The day of arrival."""
    check_out: dt.date
    """The day of departure."""

    def __post_init__(self) -> None:
        check_in = day("check_in", self.check_in)
        nights = (day("check_out", self.check_out) - check_in).days
        if not 1 <= nights <= _MOST_NIGHTS:
            raise InvalidError(
                f"expected 1 to {_MOST_NIGHTS} nights, not {nights}",
                code="stay.invalid",
                context={"field": "check_out"},
            )

    @classmethod
    def parse(cls, check_in: str, check_out: str) -> Stay:
        """Reads two dates ``YYYY-MM-DD``. Raises ``InvalidError`` (``stay.invalid``) for anything else."""
        dates: list[dt.date] = []
        for name, given in (("check_in", check_in), ("check_out", check_out)):
            try:
                # Newer versions of Python also read weeks, `2027-W10-3`.
                if _DATE.fullmatch(text(name, given, "stay.invalid")) is None:
                    raise invalid(name, _no_date(given), "stay.invalid")
                dates.append(dt.date.fromisoformat(given))
            except InvalidError:
                raise
            except ValueError:
                raise invalid(name, _no_date(given), "stay.invalid") from None
        return cls(dates[0], dates[1])

    @property
    def nights(self) -> int:
        """How many nights."""
        return (self.check_out - self.check_in).days

    def each_night(self) -> Iterator[dt.date]:
        """The evening of each night."""
        return (self.check_in + dt.timedelta(days=night) for night in range(self.nights))

    def overlaps(self, other: Stay) -> bool:
        """Whether the two share a night. Back-to-back stays do not."""
        instance("other", other, Stay)
        return self.check_in < other.check_out and other.check_in < self.check_out

    def covers(self, other: Stay) -> bool:
        """Whether every night of the other is in this one."""
        instance("other", other, Stay)
        return self.check_in <= other.check_in and other.check_out <= self.check_out

    def __str__(self) -> str:
        return f"{self.check_in.isoformat()}/{self.check_out.isoformat()}"


def _no_date(given: str) -> str:
    """What is wrong with a text that is no date. It is repeated unless it is a whole message, or a guest."""
    expected = "expected a date YYYY-MM-DD such as 2027-03-10, not "
    if _COMPACT.fullmatch(given):
        return f"{expected}{given!r}: the hyphens are missing"
    return expected + (repr(given) if len(given) <= _MOST_SHOWN and _GUEST.search(given) is None else "another text")
