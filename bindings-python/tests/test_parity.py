"""Every public name of the crate's services exists in Python, with the same word."""

from __future__ import annotations

import inspect
import re
from functools import cached_property
from pathlib import Path

import posada
import pytest
from support import ROOT

CORE = ROOT / "core" / "src"

ATTRIBUTES = (property, cached_property)

SERVICES = {
    "TenantResolver": ("tenants", posada.TenantResolver),
    "SessionManager": ("sessions", posada.SessionManager),
    "FeatureFlags": ("flags", posada.FeatureFlags),
    "FlagSnapshot": ("flags", posada.FlagSnapshot),
    "FlagWatch": ("flags", posada.FlagWatch),
    "LockManager": ("locks", posada.LockManager),
    "LockGuard": ("locks", posada.LockGuard),
    "Hold": ("locks", posada.Hold),
    "RateLimiter": ("limits", posada.RateLimiter),
    "Authenticator": ("auth", posada.Authenticator),
    "Claims": ("auth", posada.Claims),
    "PmsClient": ("pms", posada.PmsClient),
    "PmsEvents": ("pms", posada.PmsEvents),
    "MockPms": ("pms", posada.MockPms),
    "Stay": ("stay.rs", posada.Stay),
    "Posada": ("posada.rs", posada.Posada),
    "Settings": ("settings/mod.rs", posada.Settings),
}

ELSEWHERE = {
    "FeatureFlags.is_enabled_or": "is_enabled(default=…)",
    "FeatureFlags.evaluate_or": "evaluate(default=…)",
    "FlagSnapshot.is_enabled_or": "is_enabled(default=…)",
    "FlagSnapshot.evaluate_or": "evaluate(default=…)",
    "MockPms.new": "the constructor",
    "PmsClient.system": "capabilities().system",
    "PmsClient.quote_with_services": "quote(services=…)",
    "Posada.builder": "build(…)",
    "Settings.builder": "build(…)",
    "Stay.new": "the constructor",
    "Settings.postgres": "a URL may hold a password; Python has no use for its parts",
    "Settings.redis": "as postgres",
    "Settings.pms": "as postgres",
    "Settings.secret_key": "a secret stays where it is",
    "Settings.previous_key": "as secret_key",
}
"""Names that Python says in another way, and how."""


def public_names(service: str, place: str) -> set[str]:
    """The public functions in the blocks `impl Service`."""
    files = [
        *([CORE / place] if place.endswith(".rs") else []),
        *sorted((CORE / place.removesuffix(".rs")).rglob("*.rs")),
    ]
    return {name for file in files for name in _functions(file, service)}


def _functions(file: Path, service: str) -> list[str]:
    text = file.read_text()
    begun = re.finditer(rf"^impl {service} \{{$(.*?)^\}}", text, re.MULTILINE | re.DOTALL)
    return [name for block in begun for name in re.findall(r"^    pub (?:const )?(?:async )?fn (\w+)", block[1], re.M)]


@pytest.mark.parametrize("service", SERVICES)
def test_every_name_exists(service: str) -> None:
    place, counterpart = SERVICES[service]
    names = public_names(service, place)
    assert names, f"nothing public was found in impl {service}"
    missing = {name for name in names if not hasattr(counterpart, name) and f"{service}.{name}" not in ELSEWHERE}
    assert not missing, f"{service}: add these to bindings-python, or say in ELSEWHERE how Python says them"


def test_nothing_is_said_elsewhere_without_need() -> None:
    for name in ELSEWHERE:
        service, _, word = name.partition(".")
        place, counterpart = SERVICES[service]
        assert word in public_names(service, place), f"{name} is gone"
        assert not hasattr(counterpart, word), f"{name} exists"


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
