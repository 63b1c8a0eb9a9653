"""Members and parameters of the services are those of the table tests/parity/api.toml."""

from __future__ import annotations

import inspect
import re
from functools import cached_property

import posada
import pytest
from support import ROOT

CORE = ROOT / "core" / "src"

ATTRIBUTES = (property, cached_property)

CLASSES = {
    name: getattr(posada, name)
    for name in re.findall(r"^\[(\w+)\]$", (ROOT / "tests" / "parity" / "api.toml").read_text(), re.MULTILINE)
}
"""The services of `api.toml`."""


def rows(service: str) -> dict[str, str | None]:
    """What `api.toml` says of a service in Python: the parameters of each member, or `None` where Python lacks it."""
    text = (ROOT / "tests" / "parity" / "api.toml").read_text()
    section = text.partition(f"\n[{service}]\n")[2].partition("\n[")[0]
    cells = re.findall(r"^(\w+) = \{ (.*) \}$", section, re.MULTILINE)
    found = {name: re.search(r'\bpython = "([^"]*)"', cell) for name, cell in cells}
    return {name: None if match is None else match[1] for name, match in found.items()}


def parameters(service: type, name: str) -> str:
    """The parameters of a member, as `api.toml` writes them."""
    if isinstance(inspect.getattr_static(service, name), ATTRIBUTES) or not callable(getattr(service, name)):
        return "property"
    written: list[str] = []
    for parameter in inspect.signature(getattr(service, name)).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not any(name.startswith("*") for name in written):
            written.append("*")
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        written.append(stars + parameter.name)
    return ", ".join(name for name in written if name != "self")


@pytest.mark.parametrize("service", CLASSES)
def test_members_and_parameters_are_those_of_the_table(service: str) -> None:
    counterpart = CLASSES[service]
    public = {name for name in dir(counterpart) if not name.startswith("_") and not name.isupper()}
    listed = rows(service)
    assert {name for name, said in listed.items() if said is not None} == public
    assert {name: parameters(counterpart, name) for name in public} == {name: listed[name] for name in public}


def test_every_service_of_the_handle_is_covered() -> None:
    handles = {name for name, value in vars(posada.Posada).items() if isinstance(value, ATTRIBUTES)}
    assert handles == {"settings", "tenant", "tenants", "sessions", "flags", "locks", "pms", "auth", "limits"}


def test_every_option_of_the_settings_exists() -> None:
    table = (CORE / "settings" / "table.rs").read_text()
    options = {*re.findall(r"\]: \w+ => (\w+);", table), *re.findall(r"^\s+(\w+), DEFAULT_\w+:", table, re.M)}
    assert len(options) > 20
    assert options <= set(inspect.signature(posada.Settings.build).parameters)


def test_every_public_name_has_documentation() -> None:
    for name in posada.__all__:
        value = getattr(posada, name)
        if inspect.isclass(value):
            assert inspect.getdoc(value), name
            for word, member in vars(value).items():
                if not word.startswith("_") and (callable(member) or isinstance(member, ATTRIBUTES)):
                    assert inspect.getdoc(member), f"{name}.{word}"
        elif inspect.isfunction(value):
            assert inspect.getdoc(value), name
