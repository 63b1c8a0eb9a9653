"""Arguments are checked before anything is sent, and an error names the argument."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import TypeAlias, TypeVar

from posada._native import Tenant, seconds

Seconds: TypeAlias = float | dt.timedelta
"""A length of time: seconds, or a ``timedelta``."""

Whose: TypeAlias = str | Tenant
"""A tenant: its id, or the object that a look-up answered."""

_Each = TypeVar("_Each")


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
    """A text that can be sent: one without half a surrogate pair."""
    if not isinstance(given, str):
        raise TypeError(f"{name}: expected str, not {type(given).__name__}")
    if not given.isascii():
        try:
            given.encode()
        except UnicodeEncodeError as refusal:
            raise ValueError(f"{name}: {refusal}") from None
    return given


def optional_text(name: str, given: str | None) -> str | None:
    """A text that may be left out."""
    return None if given is None else text(name, given)


def several(name: str, given: Iterable[_Each]) -> list[_Each]:
    """Several values; a text is one and not a list of letters."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"{name}: expected several values, not {type(given).__name__}")
    return [*given]


def texts(name: str, given: Iterable[str]) -> list[str]:
    """Several texts."""
    return [text(name, each) for each in several(name, given)]


def optional_whose(name: str, given: Whose | None) -> Whose | None:
    """A tenant that may be left out."""
    if given is not None and not isinstance(given, Tenant):
        if not isinstance(given, str):
            raise TypeError(f"{name}: expected str or posada.Tenant, not {type(given).__name__}")
        text(name, given)
    return given


def switch(name: str, given: bool) -> bool:
    """A truth value, and nothing that merely counts as one."""
    if not isinstance(given, bool):
        raise TypeError(f"{name}: expected bool, not {type(given).__name__}")
    return given


def optional_whole(name: str, given: int | None, bits: int = 32) -> int | None:
    """A whole number that may be left out."""
    return None if given is None else whole(name, given, bits)


def whole(name: str, given: int, bits: int = 32) -> int:
    """A whole number of zero or more that fits into so many bits."""
    if not isinstance(given, int) or isinstance(given, bool):
        raise TypeError(f"{name}: expected int, not {type(given).__name__}")
    if given < 0:
        raise ValueError(f"{name}: expected zero or more, not {given}")
    if given >> bits:
        raise ValueError(f"{name}: expected less than 2**{bits}")
    return given


def identifier(name: str, given: int | str) -> str:
    """An id of the property management system: text, or a number, which is written in digits."""
    if isinstance(given, str):
        return text(name, given)
    if not isinstance(given, int) or isinstance(given, bool):
        raise TypeError(f"{name}: expected int or str, not {type(given).__name__}")
    return str(whole(name, given, bits=64))


def optional_identifier(name: str, given: int | str | None) -> str | None:
    """An id that may be left out."""
    return None if given is None else identifier(name, given)


def mapping(name: str, given: Mapping[str, _Each]) -> Mapping[str, _Each]:
    """Values by their names."""
    if not isinstance(given, Mapping):
        raise TypeError(f"{name}: expected a mapping, not {type(given).__name__}")
    for key in given:
        text(name, key)
    return given


def words(name: str, given: Mapping[str, str]) -> dict[str, str]:
    """Texts by their names."""
    return {key: text(name, value) for key, value in mapping(name, given).items()}


def optional_instance(name: str, given: _Each | None, kind: type[_Each]) -> _Each | None:
    """An object of a class of ours that may be left out."""
    return None if given is None else instance(name, given, kind)


def instance(name: str, given: _Each, kind: type[_Each]) -> _Each:
    """An object of a class of ours."""
    if not isinstance(given, kind):
        raise TypeError(f"{name}: expected posada.{kind.__name__}, not {type(given).__name__}")
    return given
