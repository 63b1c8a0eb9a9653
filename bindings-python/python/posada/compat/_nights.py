"""The nights of a stay in the app's spellings: ``2027-03-10``, ``2027-03-10T12:00:00Z``, ``…+00:00``."""

from __future__ import annotations

import datetime as dt

from posada.errors import InvalidError
from posada.stay import Stay


def stay(check_in: str, check_out: str) -> Stay:
    """The nights from one day to another, whatever the time of day. A stay that begins and ends on one day takes the
    night of that day.

    Raises ``stay.invalid`` for what is no date, and for an end before the beginning.
    """
    arrival, departure = _moment("check_in", check_in), _moment("check_out", check_out)
    if arrival.date() == departure.date() and arrival.replace(tzinfo=None) <= departure.replace(tzinfo=None):
        return Stay(arrival.date(), arrival.date() + dt.timedelta(days=1))
    return Stay(arrival.date(), departure.date())


def _moment(name: str, given: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(given.replace("Z", "+00:00"))
    except (AttributeError, TypeError, ValueError):
        raise InvalidError(
            f"expected a date such as 2027-03-10, not {given!r}", code="stay.invalid", context={"field": name}
        ) from None
