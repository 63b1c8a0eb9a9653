"""Arguments are checked before anything is sent, and an error names the argument.

What is of another type than the signature says is a ``TypeError``: a mistake of the program. What is of the right type
and cannot be meant is an ``InvalidError``, because it may come from a guest: a text with half of an emoji, a number
that is out of range, a time without a zone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias, TypeVar

from posada._native import Tenant, seconds
from posada.errors import InvalidError

Seconds: TypeAlias = float | dt.timedelta
"""A length of time: seconds, or a ``timedelta``."""

Whose: TypeAlias = str | Tenant
"""A tenant: its id, or the object that a look-up answered."""

_Each = TypeVar("_Each")
_Other = TypeVar("_Other")


def invalid(name: str, message: str, code: str = "posada.invalid_argument") -> InvalidError:
    """The refusal of a value, which names the argument."""
    return InvalidError(f"{name}: {message}", code=code, context={"field": name})


def optional_seconds(name: str, given: Seconds | None) -> float | None:
    """The seconds of a length of time that may be left out."""
    return None if given is None else seconds(name, given)


def moment(name: str, given: dt.datetime) -> dt.datetime:
    """A moment in UTC. One without a time zone could mean anything and is refused."""
    if not isinstance(given, dt.datetime):
        raise TypeError(f"{name}: expected a datetime, not {type(given).__name__}")
    if given.utcoffset() is None:
        raise invalid(
            name,
            f"expected an aware datetime, not {given!r}; "
            "say which zone it is in, for instance datetime.now(timezone.utc)",
        )
    try:
        return given.astimezone(dt.timezone.utc)
    except OverflowError:
        raise invalid(name, f"expected a time that UTC can say, not {given!r}") from None


def day(name: str, given: dt.date) -> dt.date:
    """A date that is not a moment: the day of a moment depends on the zone."""
    if not isinstance(given, dt.date) or isinstance(given, dt.datetime):
        hint = "; take its .date() in the hotel's zone" if isinstance(given, dt.datetime) else ""
        raise TypeError(f"{name}: expected a date, not {type(given).__name__}{hint}")
    return given


def text(name: str, given: str, code: str = "posada.invalid_argument") -> str:
    """A text that can be sent: one without half a surrogate pair. ``code`` is that of the refusal."""
    if not isinstance(given, str):
        raise TypeError(f"{name}: expected str, not {type(given).__name__}")
    if not given.isascii():
        try:
            given.encode()
        except UnicodeEncodeError as refusal:
            raise invalid(name, f"expected Unicode text, has half a surrogate pair at {refusal.start}", code) from None
    return given


def proof(name: str, given: str) -> str:
    """What a caller sends to sign in: a name, a password or a token.

    A text that cannot be sent is as wrong as any other wrong one, so it becomes one that is never valid.
    """
    try:
        return text(name, given)
    except InvalidError:
        return "\0"


def optional_proof(name: str, given: str | None) -> str | None:
    """The same, where it may be left out."""
    return None if given is None else proof(name, given)


def optional_text(name: str, given: str | None) -> str | None:
    """A text that may be left out."""
    return None if given is None else text(name, given)


def several(name: str, given: Iterable[_Each]) -> list[_Each]:
    """Several values; a text is one and not a list of letters."""
    if isinstance(given, (str, bytes, bytearray)) or not isinstance(given, Iterable):
        raise TypeError(f"{name}: expected several values, not {type(given).__name__}")
    return [*given]


def pairs(name: str, given: Iterable[tuple[_Each, _Other]]) -> list[tuple[_Each, _Other]]:
    """Several pairs."""
    found = several(name, given)
    for each in found:
        if not isinstance(each, Sequence) or isinstance(each, (str, bytes)) or len(each) != 2:
            raise TypeError(f"{name}: expected pairs, not {type(each).__name__}")
    return found


def texts(name: str, given: Iterable[str]) -> list[str]:
    """Several texts."""
    return [text(name, each) for each in several(name, given)]


def optional_whose(name: str, given: Whose | None) -> Whose | None:
    """A tenant that may be left out."""
    return None if given is None else whose(name, given)


def whose(name: str, given: Whose) -> Whose:
    """A tenant."""
    if isinstance(given, Tenant):
        return given
    if not isinstance(given, str):
        raise TypeError(f"{name}: expected str or posada.Tenant, not {type(given).__name__}")
    return text(name, given, "tenants.invalid_id")


def switch(name: str, given: bool) -> bool:
    """A truth value, and nothing that merely counts as one."""
    if not isinstance(given, bool):
        raise TypeError(f"{name}: expected bool, not {type(given).__name__}")
    return given


def optional_whole(name: str, given: int | None, bits: int = 32) -> int | None:
    """A whole number that may be left out."""
    return None if given is None else whole(name, given, bits)


def whole(name: str, given: int, bits: int = 32) -> int:
    """A whole number of zero or more that fits into `bits` bits."""
    if not isinstance(given, int) or isinstance(given, bool):
        raise TypeError(f"{name}: expected int, not {type(given).__name__}")
    if given < 0:
        raise invalid(name, "expected zero or more")
    if given >> bits:
        raise invalid(name, f"expected less than 2**{bits}")
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
