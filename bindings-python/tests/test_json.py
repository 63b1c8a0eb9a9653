"""Documents, against the module ``json``: what it reads and writes is what the package reads and writes."""

from __future__ import annotations

import enum
import json
import math
import random
import struct
from typing import Any

import posada
import pytest
from posada import _json, _native
from support import VECTORS, Open, run, unique

TEXTS = sorted((VECTORS / "sessions").glob("*.json"))
ODD_TEXT = 'aé\u00ff\u0100\u20ac\ufffd\uffff😀\U0010ffff"\\/\b\f\n\r\t\0\x1f\x7f\x80 ñ'


class Colour(enum.IntEnum):
    """A number that is an object of the app."""

    RED = 1


class Words(str):
    """A text that is one."""

    __slots__ = ()


class Members(dict[str, Any]):
    """A document that is one."""


def text(dice: random.Random) -> str:
    alphabet = dice.choice(
        ("abc xyz-_09", ODD_TEXT, "ñandú café 😀", "\ud83d\ude00\udfff x" if dice.random() < 0.2 else "ab")
    )
    return "".join(dice.choices(alphabet, k=dice.choice((0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 70))))


def number(dice: random.Random) -> Any:
    kind = dice.randrange(6)
    if kind == 0:
        return dice.randint(-10, 300)
    if kind == 1:
        return dice.choice((1, -1)) * (2 ** dice.randrange(70) + dice.randint(-1, 1))
    if kind == 2:
        return round(dice.uniform(-1000, 1000), dice.randrange(5))
    if kind == 3:
        return dice.choice((0.0, -0.0, 1e15, 1e16, 1e17, 1e-4, 1e-5, 9.999e-5, 9999999999999998.0, 1e22, 5e-324))
    if kind == 4:
        return dice.choice((math.nan, math.inf, -math.inf)) if dice.random() < 0.1 else 1.5
    (float_of_any_size,) = struct.unpack("d", dice.randbytes(8))
    return float_of_any_size if math.isfinite(float_of_any_size) else 0.5


def value(dice: random.Random, depth: int) -> Any:
    kind = dice.randrange(9 if depth else 6)
    if kind <= 2:
        return text(dice)
    if kind == 3:
        return number(dice)
    if kind == 4:
        return dice.choice((None, True, False))
    if kind == 5:
        rare = (Colour.RED, Words("x"), Members(a=1), 10**30)
        return dice.choice(rare) if dice.random() < 0.05 else dice.choice(((), [], {}))
    if kind == 6:
        return document(dice, depth - 1)
    items = [value(dice, depth - 1) for _ in range(dice.randrange(4))]
    return items if kind == 7 else tuple(items)


def document(dice: random.Random, depth: int) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    for _ in range(dice.randrange(6)):
        rare = (7, 1.5, True, None, Words("key"))
        key = dice.choice(rare) if dice.random() < 0.02 else dice.choice(("state", "context", text(dice)))
        made[key] = value(dice, depth)
    return made


def same(one: Any, other: Any) -> bool:
    """Equal, of the same types, in the same order, down to the sign of a zero."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)


@pytest.mark.parametrize("seed", range(8))
def test_random_documents_are_written_and_read_as_json_does(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(500):
        made = document(dice, 4)
        written = json.dumps(made)
        assert _native._write_json("document", made) == written
        assert same(_native._read_json(written), json.loads(written))


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_documents_of_the_app_are_read_and_written_as_json_does(path: Any) -> None:
    stored = path.read_text()
    read = json.loads(stored)
    assert same(_native._read_json(stored), read)
    assert _native._write_json("document", read) == json.dumps(read)


def test_every_character_and_every_length_of_a_string() -> None:
    for code in [*range(0x300), *range(0xD7F0, 0xE010), *range(0xFFF0, 0x10010), 0x1F600, 0x10FFFF]:
        for before in ("", "abcdefg", "abcdefghijklmnop"):
            made = {before + chr(code) + "tail": before + chr(code)}
            written = json.dumps(made)
            assert _native._write_json("document", made) == written, hex(code)
            assert same(_native._read_json(written), made) or 0xD800 <= code < 0xE000, hex(code)
    for length in range(80):
        for place in range(length):
            made = {"x": "a" * place + '"' + "b" * (length - place)}
            assert same(_native._read_json(_native._write_json("document", made)), made)


def test_floats_are_spelt_as_python_spells_them() -> None:
    dice = random.Random(5)
    floats: list[float] = [float(f"{mantissa}e{power}") for power in range(-25, 25) for mantissa in (1, 9.5, 123456789)]
    floats += [1801514316094494.25, 140737488355328.125, 0.1 + 0.2]
    floats += [struct.unpack("d", dice.randbytes(8))[0] for _ in range(20_000)]
    made = {"floats": [number for number in floats if math.isfinite(number)]}
    written = json.dumps(made)
    assert _native._write_json("document", made) == written
    assert same(_native._read_json(written), made)


@pytest.mark.parametrize(
    "stored",
    [
        '{"a": 1, "b": 2, "a": 3}',
        '{"k\\u0065y": 1, "b": 2, "key": 3}',
        '{"a": 1e400, "b": -1e400, "c": -0, "d": -0.0, "e": 1E5, "f": 1e-400, "g": 0e1}',
        '{"a": NaN, "b": Infinity, "c": -Infinity}',
        '{"a": 9223372036854775807, "b": -9223372036854775808, "c": 9223372036854775808, "d": 1' + "0" * 99 + "}",
        '{"a": "\\ud83d", "b": "\\ude00\\ud83d", "c": "\\ud83d\\ud83d\\ude00", "d": "\\ud83dx", "e": "\\ud83d\\n"}',
        '{"\\ud83d": 1, "\\u00E9\\u00e9\\/": 2}',
        ' \t\r\n{ "a" :\t[ 1 , [ ] , { } ]\n}\n',
        '{"a": ' + "[" * 127 + "]" * 127 + "}",
        '{"a": ' + "[" * 200 + "]" * 200 + "}",
        '{"é": "ñ 😀 \x7f"}',
        '"text"',
        "-1",
        "[]",
        "null",
    ],
)
def test_odd_texts_mean_the_same(stored: str) -> None:
    assert same(_native._read_json(stored), json.loads(stored))


@pytest.mark.parametrize(
    "broken",
    [
        *(
            "",
            " ",
            "{",
            "[1,]",
            '{"a":1,}',
            "{1: 2}",
            '{"a" 1}',
            "01",
            "1.",
            ".5",
            "-",
            "+1",
            "1e",
            "1e+",
            "truth",
            "tru",
        ),
        *('"\n"', '"\\x"', '"\\u12g4"', '"\\u123', '"open', "[1 2]", "{} {}", "-Inf", "'a'", "\ufeff{}", "1_0", "0x1"),
        '{"a": ' + "9" * 5000 + "}",
        "[" * 100_000,
    ],
)
def test_what_json_refuses_is_refused_in_its_words(broken: str) -> None:
    with pytest.raises((ValueError, RecursionError)) as expected:
        json.loads(broken)
    with pytest.raises(expected.type) as refused:
        _native._read_json(broken)
    assert str(refused.value) == str(expected.value)


def circular() -> dict[str, Any]:
    made: dict[str, Any] = {}
    made["self"] = [made]
    return made


def deep(levels: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for _ in range(levels):
        made = {"in": [made]}
    return made


@pytest.mark.parametrize(
    ("refused", "place"),
    [
        (circular(), "context.self[0].self[0].self[0].self…"),
        (deep(3200), "context.in[0].in[0].in[0].in…"),
        ({"a": [1, {"b": 10**5000}]}, "context.a[1].b"),
        ({"a": {10**5000: 1}}, "context.a"),
        ({"a": [{1: "x", "1": "y"}]}, "context.a[0].1"),
        ({"a": {True: 1, "true": 2}}, "context.a.true"),
        ({"a": {None: 1, "null": 2}}, "context.a.null"),
        ({"a": {1.0: 1, "1.0": 2}}, "context.a.1.0"),
        ({"a": {math.nan: 1, "NaN": 2}}, "context.a.NaN"),
        ({"a": {Colour.RED: 1, Words("1"): 2}}, "context.a.1"),
    ],
    ids=["circular", "deep", "digits", "key", "number", "truth", "none", "float", "nan", "enum"],
)
def test_what_cannot_be_stored_is_refused_by_its_place(refused: Any, place: str) -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            session = await p.sessions.get_or_create("user", "whatsapp")
            session.document["context"] = refused
            with pytest.raises(posada.InvalidError) as failed:
                await p.sessions.save(session)
            assert (failed.value.code, failed.value.field) == ("sessions.invalid_document", "document")
            assert failed.value.context["place"] == place
            assert failed.value.message.startswith(f"document: {place}: ")
            with pytest.raises(posada.InvalidError, match="more: "):
                await p.sessions.append_turn("user", "user", "hola", more={"x": refused})
            with pytest.raises(posada.InvalidError, match="patch: "):
                await p.sessions.update("user", {"x": refused})

    run(job())


@pytest.mark.parametrize(
    ("refused", "kind"),
    [
        ({"a": object()}, TypeError),
        ({"a": {1, 2}}, TypeError),
        ({"a": b"bytes"}, TypeError),
        ({(1, 2): "tuple"}, TypeError),
    ],
    ids=["object", "set", "bytes", "key"],
)
def test_what_json_does_not_write_is_refused_in_its_words(refused: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind) as expected:
        json.dumps(refused)

    async def job() -> None:
        async with posada.Posada.embedded() as p:
            session = await p.sessions.get_or_create("user", "whatsapp")
            session.document["context"] = refused
            with pytest.raises(kind) as failed:
                await p.sessions.save(session)
            assert str(failed.value) == f"document: {expected.value}"
            with pytest.raises(kind, match=r"^more: "):
                await p.sessions.append_turn("user", "user", "hola", more={"x": refused})
            with pytest.raises(kind, match=r"^patch: "):
                await p.sessions.update("user", {"x": refused})

    run(job())


def test_what_is_saved_is_what_is_read(opened: Open) -> None:
    async def job() -> None:
        dice = random.Random(11)
        async with opened() as p:
            user = unique("user")
            session = await p.sessions.get_or_create(user, "whatsapp")
            for _ in range(100):
                made = {"a": 1, **document(dice, 4)}
                session.document["context"] = made
                await p.sessions.save(session)
                read = await p.sessions.get(user)
                assert read is not None
                assert same(read.document["context"], json.loads(json.dumps(made)))
                assert read.document["last_activity"] == session.document["last_activity"]

    run(job())


ODD_NUMBERS = (
    '{"price": 120.50, "a": [1e400, -1e400, 1E5, 1e5, 0.10, 1.0e0, 100.000, 0.00001, 1e-400, 12345678901234567890.0], '
    f'"whole": 1{"0" * 5000}, "less": -7{"1" * 9000}, "usual": [120.5, 0.1, 1e+16, 1e-05, 5e-324, 0.30000000000000004, '
    '0.0, -0.0, 0.0001, 123456789012345.6, NaN, Infinity, 10000000000000000000000], "old": 1.50}'
)


def test_numbers_that_nobody_touched_keep_their_digits(opened: Open) -> None:
    async def job() -> None:
        async with opened() as p:
            user = unique("user")
            await p.sessions.get_or_create(user, "whatsapp")
            await write_raw(p, user, ODD_NUMBERS)
            session = await p.sessions.get(user)
            assert session is not None
            context = session.document["context"]
            assert same(context["price"], 120.5)
            assert same(context["a"][0], math.inf)
            assert context["whole"] == 10**5000
            for _ in range(3):
                await p.sessions.save(session)
                assert await read_raw(p, user) == ODD_NUMBERS
            # Moved, they are still the same numbers; what is computed is another one.
            context["a"].insert(0, context.pop("price"))
            context["a"].append(Words("unusual"))
            context["old"] = context["old"] * 1
            await p.sessions.save(session)
            stored = await read_raw(p, user)
            assert stored.startswith('{"a": [120.50, 1e400, ')
            assert '12345678901234567890.0, "unusual"]' in stored
            assert stored.endswith('"old": 1.5}')

    run(job())


async def write_raw(p: posada.Posada, user: str, context: str) -> None:
    """Stores a context with just these digits, as another program would."""
    session = await p.sessions.get(user)
    assert session is not None
    # Digits that no float of Python has can only be handed in as the package does when it has read them.
    value, spelled = _json.read(context)
    session.document["context"] = value
    session._spelled = spelled
    await p.sessions.save(session)


async def read_raw(p: posada.Posada, user: str) -> str:
    """The context as it is stored."""
    session = await p.sessions.get(user)
    assert session is not None
    text = session._state.text()
    start = text.index('"context": ') + len('"context": ')
    # Not read as numbers, because Python has a limit for their digits.
    _, end = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode(text, start)
    return text[start:end]


def test_half_of_an_emoji_is_kept(opened: Open) -> None:
    half = "I like \ud83d"

    async def job() -> None:
        async with opened() as p:
            user = unique("user")
            await p.sessions.get_or_create(user, "whatsapp")
            for turn in (half, half[::-1], "😀"):
                await p.sessions.append_turn(user, "user", turn, more={half: half})
            session = await p.sessions.get(user)
            assert session is not None
            assert [turn["content"] for turn in session.document["history"]] == [half, half[::-1], "😀"]
            assert session.document["history"][0][half] == half

    run(job())


def test_documents_share_their_keys_but_no_value() -> None:
    stored = '{"context": {"a": []}, "state": "x"}'
    one, other = _native._read_json(stored), _native._read_json(stored)
    assert [id(key) for key in one] == [id(key) for key in other]
    one["context"]["a"].append(1)
    assert other["context"] == {"a": []}


def test_a_finaliser_may_read_a_document_in_the_middle_of_another() -> None:
    read = []

    class Last:
        def __del__(self) -> None:
            read.append(_native._read_json('{"key": "inner"}'))

    class Broken(dict[str, Any]):
        """Takes the writer's slow way, where Python's code runs."""

        def items(self) -> Any:
            Last()
            return super().items()

    assert _native._write_json("document", Broken(key="outer")) == '{"key": "outer"}'
    assert read == [{"key": "inner"}]
