"""How an unusual document is read and written; the usual ones never come here."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from posada.errors import InvalidError

Spelled: TypeAlias = list[tuple[float, str]]
"""Numbers of a document, and the digits with which they were stored, which Python would not write again."""

_DEEPEST: Final = 128
"""How deep lists and objects may stand in each other: as deep as every reader of posada takes them."""

_DIGITS: Final = 4000
"""How many digits Python reads at once: fewer than it ever refuses."""

_SHOWN: Final = 8
"""How many steps of a place are shown."""


def read(text: str) -> tuple[Any, Spelled | None]:
    """What a text means, and which of its numbers keep their digits."""
    spelled: Spelled = []

    def decimal(digits: str) -> float:
        number = float(digits)
        if repr(number) != digits:
            spelled.append((number, digits))
        return number

    def whole(digits: str) -> int:
        if len(digits) <= _DIGITS:
            return int(digits)
        number = 0
        for start in range(digits.startswith("-"), len(digits), _DIGITS):
            part = digits[start : start + _DIGITS]
            number = number * 10 ** len(part) + int(part)
        number = -number if digits.startswith("-") else number
        spelled.append((number, digits))
        return number

    document = json.loads(text, parse_float=decimal, parse_int=whole)
    return document, spelled or None


def write(name: str, document: Mapping[str, Any], spelled: Spelled | None = None) -> str:
    """The document as JSON. Refusals name the argument, and the place in it."""
    if not isinstance(document, Mapping):
        raise TypeError(f"{name}: expected a mapping, not {type(document).__name__}")
    copy = _Copy(name, spelled or [])
    given = document if isinstance(document, dict) else dict(document)
    plain = copy.value(given, [])
    try:
        text = json.dumps(plain)
    except TypeError as refusal:
        raise TypeError(f"{name}: {refusal}") from None
    for place, digits in copy.placed.items():
        text = text.replace(f'"{place}"', digits)
    return text


class _Copy:
    """Makes of a document what ``json`` writes as it is meant, or refuses it."""

    def __init__(self, name: str, spelled: Spelled) -> None:
        self._name = name
        self._digits = {id(number): digits for number, digits in spelled}
        # A text that is in no document, so that digits can be put in its place.
        self._mark = secrets.token_hex(16) if spelled else ""
        self.placed: dict[str, str] = {}

    def value(self, value: Any, place: list[str]) -> Any:
        if isinstance(value, dict):
            self._step(place)
            return self._members(value, place)
        if isinstance(value, (list, tuple)):
            self._step(place)
            return [self.value(item, [*place, f"[{number}]"]) for number, item in enumerate(value)]
        if id(value) in self._digits:
            mark = f"{self._mark}:{len(self.placed)}"
            self.placed[mark] = self._digits[id(value)]
            return mark
        if isinstance(value, int) and value.bit_length() > _DIGITS:
            self._number(value, place)
        return value

    def _members(self, members: Mapping[Any, Any], place: list[str]) -> dict[Any, Any]:
        copied: dict[Any, Any] = {}
        for key, value in members.items():
            try:
                text = _key(key)
            except ValueError:
                raise self._refusal(place, "a key is a number of more digits than Python writes") from None
            at = [*place, text if isinstance(text, str) else repr(text)]
            if text in copied:
                raise self._refusal(at, f"two members would be written as {text!r}, and one of them lost")
            copied[text] = self.value(value, at)
        return copied

    def _step(self, place: list[str]) -> None:
        if len(place) >= _DEEPEST:
            raise self._refusal(place, f"lists and objects stand more than {_DEEPEST} deep in each other, or in itself")

    def _number(self, value: int, place: list[str]) -> None:
        try:
            int.__repr__(value)
        except ValueError:
            raise self._refusal(place, "the number has more digits than Python writes") from None

    def _refusal(self, place: list[str], what: str) -> InvalidError:
        shown = ".".join(place[:_SHOWN]).replace(".[", "[") + ("…" if len(place) > _SHOWN else "")
        message = f"{self._name}: {shown}: {what}"
        return InvalidError(message, code="sessions.invalid_document", context={"field": self._name, "place": shown})


def _key(key: Any) -> Any:
    """A key as ``json`` writes it. What it refuses stays as it is."""
    if isinstance(key, str) or key is None or isinstance(key, (bool, int, float)):
        written = key if isinstance(key, str) else _NAMES.get(id(key)) or json.dumps(key)
        return str.__str__(written)
    return key


_NAMES: Final = {id(None): "null", id(True): "true", id(False): "false"}
