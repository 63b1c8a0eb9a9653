"""``import posada`` is quick: what a program does not use is not loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import posada
import pytest

ROOMS = ("auth", "doctor", "flags", "health", "limits", "locks", "pms", "sessions", "stay", "tenants")


def in_a_new_process(program: str) -> str:
    """What the program prints, in an interpreter that has imported nothing yet."""
    package = Path(posada.__file__).parent.parent
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(package)},
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_an_import_loads_no_room() -> None:
    program = "import posada, sys; print([name for name in sys.modules if name.startswith('posada.')])"
    loaded = in_a_new_process(program)
    assert "posada._native" in loaded
    assert [room for room in ROOMS if f"'posada.{room}'" in loaded] == []


def test_every_public_name_is_there_before_and_after_its_first_use() -> None:
    program = """
import posada
missing = set(posada.__all__) - set(dir(posada))
assert not missing, missing
for name in posada.__all__:
    first = getattr(posada, name)
    assert getattr(posada, name) is first, name
from posada import *
print(Booking.__name__, Stay.__name__, is_rooms := posada.pms.__name__)
"""
    assert in_a_new_process(program) == "Booking Stay posada.pms"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_an_attribute_although_nobody_imported_it(room: str) -> None:
    assert in_a_new_process(f"import posada; print(posada.{room}.__name__)") == f"posada.{room}"


HINTS = """
import functools, importlib, inspect, pkgutil, sys, typing, posada
assert "posada.tenants" not in sys.modules
found = typing.get_type_hints(posada.Posada.tenants.func)
assert found == {"return": posada.TenantResolver}, found
def is_public(name):
    return not name.startswith("_") or name in ("__init__", "__call__", "__aenter__", "__anext__")
names = [module.name for module in pkgutil.walk_packages(posada.__path__, "posada.")]
modules = [posada, *(importlib.import_module(name) for name in names if "._" not in name)]
looked, lost = 0, []
def look(name, thing):
    global looked
    looked += 1
    try:
        typing.get_type_hints(thing)
    except Exception as error:
        lost.append(f"{name}: {error}")
def functions(thing):
    if isinstance(thing, functools.cached_property):
        return [thing.func]
    parts = (thing.fget, thing.fset) if isinstance(thing, property) else (getattr(thing, "__func__", thing),)
    return [part for part in parts if inspect.isfunction(part)]
for module in modules:
    for name in getattr(module, "__all__", None) or filter(is_public, dir(module)):
        thing = getattr(module, name)
        if not (inspect.isclass(thing) or inspect.isfunction(thing)) or not thing.__module__.startswith("posada"):
            continue
        look(f"{module.__name__}.{name}", thing)
        for member, value in vars(thing).items() if inspect.isclass(thing) else ():
            for part in functions(value) if is_public(member) else ():
                look(f"{module.__name__}.{name}.{member}", part)
print(len(modules) > 15, looked > 500, lost)
"""


def test_the_annotations_of_everything_public_can_be_resolved() -> None:
    assert in_a_new_process(HINTS) == "True True []"


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Bookings'"):
        _ = posada.Bookings  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="Bookings"):
        from posada import Bookings  # type: ignore[attr-defined]  # noqa: F401


def test_threads_that_use_a_room_first_get_the_same_classes() -> None:
    program = """
import threading, posada
names = ("Booking", "Claims", "Flag", "StayHold", "Identifier", "Money", "Decision", "Session")
start, seen = threading.Barrier(8), []
def use(number):
    start.wait()
    seen.append(tuple(getattr(posada, name) for name in names[number:] + names[:number]))
threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(seen), len({frozenset(classes) for classes in seen}))
"""
    assert in_a_new_process(program) == "8 1"


def test_a_value_is_unpickled_by_a_process_that_has_imported_nothing() -> None:
    program = """
import pickle, subprocess, sys
from decimal import Decimal
import posada
pickled = pickle.dumps(posada.Money(Decimal("12.50"), "USD"))
code = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read()))"
print(subprocess.run([sys.executable, "-c", code], input=pickled, capture_output=True, check=True).stdout.decode())
"""
    assert in_a_new_process(program) == "12.50 USD"
