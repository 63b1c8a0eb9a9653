"""The settings of the app for its classes over posada, and the metrics that both sides count."""

from __future__ import annotations

import enum
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import posada
import pydantic
import pytest
from posada import compat
from posada.compat import _handles
from posada.compat.tenant_context import get_tenant_id, reset_tenant_id, set_tenant_id
from prometheus_client import REGISTRY
from sqlalchemy.engine import make_url
from support import assert_quiet, python


class Secret:
    """As much of pydantic's ``SecretStr`` as anybody uses."""

    def __init__(self, value: str) -> None:
        self._value = value

    def get_secret_value(self) -> str:
        return self._value

    def __str__(self) -> str:
        return "**********"


class PMSType(str, enum.Enum):
    QLOAPPS = "qloapps"
    MOCK = "mock"


class Environment(str, enum.Enum):
    PROD = "production"
    DEV = "development"


class Url:
    """As pydantic's URLs: its text is the address."""

    scheme = "redis"

    def __str__(self) -> str:
        return "redis://cache.example:6380/3"


def apps_settings(**others: Any) -> SimpleNamespace:
    """The app's object, as far as posada reads it."""
    members: dict[str, Any] = {
        "app_name": "Agente Hotel API",
        "debug": True,
        "environment": Environment.DEV,
        "pms_type": PMSType.MOCK,
        "pms_base_url": "http://localhost:8080",
        "pms_api_key": Secret("dev-pms-key"),
        "pms_timeout": 30,
        "postgres_url": "postgresql+asyncpg://hotel:p%40ss@db.example:5432/hotels",
        "postgres_host": None,
        "postgres_password": None,
        "postgres_pool_size": 10,
        "redis_url": "redis://cache.example:6380/3",
        "redis_host": "localhost",
        "redis_port": 6379,
        "redis_password": Secret("s3cret"),
        "secret_key": Secret("the key of the tests, long enough for HS256"),
        "jwt_algorithm": "HS256",
        "jwt_expiration_minutes": 60,
        "use_supabase": False,
        "metrics_allowed_ips": ["127.0.0.1", "::1"],
    }
    return SimpleNamespace(**{**members, **others})


@pytest.fixture(autouse=True)
def _nothing_given() -> Any:
    yield
    compat.use({})


def test_the_apps_settings_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere.example/other")
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere.example")
    monkeypatch.setenv("POSADA_DEFAULT_TENANT", "reception")
    compat.use(apps_settings())
    variables = _handles.variables()
    assert variables["SECRET_KEY"] == "the key of the tests, long enough for HS256"
    assert (variables["PMS_TYPE"], variables["ENVIRONMENT"], variables["USE_SUPABASE"]) == (
        "mock",
        "development",
        "false",
    )
    assert variables["REDIS_PASSWORD"] == "s3cret"
    assert "DATABASE_URL" not in variables, "the app's own address counts"
    settings = posada.Settings.from_vars(variables)
    assert settings.default_tenant == "reception", "the environment is still read"
    shown = repr(settings)
    assert all(part in shown for part in ('"db.example"', '"cache.example"', "port: 6380", "database: 3"))
    assert "elsewhere" not in shown
    *_, password, _ = settings._native.redis_server()
    assert password == "s3cret"


def test_the_environment_is_overlaid_and_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    compat.use({"redis_url": "redis://cache.example", "SECRET_KEY": Secret("x" * 32), "REDIS_PASSWORD": None})
    assert _handles.variables()["ENVIRONMENT"] == "production"
    with pytest.raises(posada.InvalidError, match="PMS_TYPE: is needed in production"):
        _handles.environment()
    monkeypatch.setenv("REDIS_PASSWORD", "s3cret")
    assert _handles.variables()["REDIS_PASSWORD"] == "s3cret", "nothing given is nothing said"


@pytest.mark.parametrize(
    ("given", "gone"),
    [
        ({"REDIS_HOST": "cache.example"}, "REDIS_URL"),
        ({"POSTGRES_HOST": "db.example", "POSTGRES_USER": "hotel"}, "DATABASE_URL"),
        ({"POSTGRES_URL": "postgresql://db.example/hotels"}, "DATABASE_URL"),
    ],
)
def test_a_server_that_is_given_is_not_overruled_by_an_address_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], gone: str
) -> None:
    monkeypatch.setenv(gone, "memory:")
    compat.use(given)
    assert gone not in _handles.variables()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Url(), "redis://cache.example:6380/3"),
        (urlsplit("redis://cache.example:6380/3"), "redis://cache.example:6380/3"),
        (b"redis://cache.example", "redis://cache.example"),
        (Secret("redis://:s3cret@cache.example"), "redis://:s3cret@cache.example"),
    ],
)
def test_what_settings_are_made_of_is_understood(value: Any, text: str) -> None:
    compat.use({"REDIS_URL": value})
    assert _handles.variables()["REDIS_URL"] == text


def test_the_urls_of_pydantic_and_sqlalchemy_are_understood() -> None:
    address = "postgresql+asyncpg://hotel:p%40ss@db.example:5432/hotels"
    for url in (pydantic.PostgresDsn(address), make_url(address)):
        compat.use(SimpleNamespace(postgres_url=url, secret_key=pydantic.SecretStr("x" * 32), pms_type=PMSType.MOCK))
        variables = _handles.variables()
        assert (variables["POSTGRES_URL"], variables["SECRET_KEY"]) == (address, "x" * 32)


def test_a_path_and_numbers_are_understood() -> None:
    compat.use({"POSADA_SNAPSHOT_DIR": Path("/var/lib/posada"), "REDIS_PORT": 6380, "POSADA_SESSION_TTL": 900.0})
    variables = _handles.variables()
    assert [variables[name] for name in ("POSADA_SNAPSHOT_DIR", "REDIS_PORT", "POSADA_SESSION_TTL")] == [
        "/var/lib/posada",
        "6380",
        "900.0",
    ]


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"SECRET_KEY": ["x"]}, posada.InvalidError, "SECRET_KEY.*not list"),
        (SimpleNamespace(redis_url={"host": "h"}), posada.InvalidError, "REDIS_URL.*not dict"),
        ({"SECRET_KEY": b"\xff"}, posada.InvalidError, "SECRET_KEY.*not bytes"),
        (object(), TypeError, "settings.*not object"),
        (None, TypeError, "settings.*not NoneType"),
        ({1: "x"}, TypeError, "settings.*not int"),
    ],
)
def test_an_unreadable_setting_is_named(settings: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        compat.use(settings)
    if isinstance(caught.value, posada.PosadaError):
        assert caught.value.code == "settings.invalid"
        assert caught.value.context["field"] in words


def test_a_misspelt_variable_of_posada_is_named() -> None:
    compat.use({"POSADA_SESION_TTL": "900"})
    with pytest.raises(posada.InvalidError, match="POSADA_SESSION_TTL"):
        _handles.environment()


REGISTER = """
    from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest

    def register():
        return [
            Gauge("feature_flag_enabled", "Estado actual de un feature flag", ["flag"], registry=REGISTRY),
            Gauge("session_active_total", "Sesiones activas"),
            Counter("session_cleanup_total", "Limpiezas", ["result"]),
            Counter("session_expirations_total", "Expiradas", ["reason"]),
            Counter("session_save_retries_total", "Reintentos", ["operation", "result"]),
            Counter("lock_operations_total", "Operaciones", ["operation", "result"]),
            Counter("lock_conflicts_total", "Conflictos", ["room_id"]),
            Counter("lock_extensions_total", "Extensiones", ["result"]),
            Counter("tenant_resolution_total", "Resoluciones", ["result"]),
            Gauge("tenants_active_total", "Tenants"),
            Gauge("tenant_identifiers_cached_total", "Identificadores"),
            Histogram("tenant_refresh_latency_seconds", "Latencia"),
        ]

    def count():
        session_manager.active_sessions.set(3)
        session_manager.session_cleanups.labels(result="success").inc()
        session_manager.session_expirations.labels(reason="corrupted").inc()
        session_manager.session_save_retries.labels(operation="create", result="retry").inc()
        lock_service.lock_operations_total.labels(operation="acquire", result="success").inc()
        lock_service.lock_conflicts_total.labels(room_id="101").inc()
        lock_service.lock_extensions_total.labels(result="success").inc()
        feature_flag_service.feature_flag_enabled.labels(flag="canary.enabled").set(1)
        dynamic_tenant_service.tenant_resolution_total.labels(result="hit").inc()
        dynamic_tenant_service.tenants_active_total.set(2)
        dynamic_tenant_service.tenant_identifiers_cached_total.set(4)
        dynamic_tenant_service.tenant_refresh_latency_seconds.observe(0.1)

    def is_shown_once(name):
        text = generate_latest().decode()
        return text.count(f"# TYPE {name} ") == 1 and REGISTRY.get_sample_value("session_active_total") == 3.0
"""

IMPORT = "from posada.compat import dynamic_tenant_service, feature_flag_service, lock_service, session_manager\n"


@pytest.mark.parametrize("order", ["app first", "shells first", "shells first, and have counted", "shells alone"])
def test_the_shells_count_in_the_collectors_that_the_app_registers(order: str) -> None:
    steps = {
        "app first": f"theirs = register()\n{IMPORT}",
        "shells first": f"{IMPORT}theirs = register()\n",
        "shells first, and have counted": f"{IMPORT}count()\ntheirs = register()\n",
        "shells alone": f"{IMPORT}theirs = []\n",
    }
    check = """
        count()
        for name in ("feature_flag_enabled", "session_active_total", "lock_operations_total",
                     "tenant_resolution_total", "tenant_refresh_latency_seconds"):
            assert is_shown_once(name), name
        assert REGISTRY.get_sample_value("feature_flag_enabled", {"flag": "canary.enabled"}) == 1
        assert REGISTRY.get_sample_value("lock_conflicts_total", {"room_id": "101"}) == 1
        assert REGISTRY.get_sample_value("tenant_refresh_latency_seconds_count") == 1
        if theirs:
            assert theirs[1]._value.get() == 3 == session_manager.active_sessions._value.get()
            assert sum(sample.value for sample in next(iter(theirs[11].collect())).samples) > 1
    """
    assert_quiet(python(textwrap.dedent(REGISTER) + steps[order] + textwrap.dedent(check)))


def test_a_name_that_the_app_uses_otherwise_is_left_to_it(caplog: pytest.LogCaptureFixture) -> None:
    program = """
        import logging, sys
        from prometheus_client import REGISTRY, Counter, Gauge, generate_latest
        odd = Gauge("lock_conflicts_total", "By hotel", ["hotel"])
        from posada.compat import lock_service
        typed = Counter("session_active_total", "Sessions ever")
        from posada.compat import session_manager
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        for _ in range(2):
            lock_service.lock_conflicts_total.labels(room_id="101").inc()
            session_manager.active_sessions.set(5)
        odd.labels(hotel="a").inc()
        assert REGISTRY.get_sample_value("lock_conflicts_total", {"hotel": "a"}) == 1
        assert REGISTRY.get_sample_value("session_active_total") == 0
        generate_latest()
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=45,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = done.stderr + done.stdout
    assert said.count("metrics.name_taken: lock_conflicts_total") == 1
    assert said.count("metrics.name_taken: session_active_total") == 1
    assert caplog.records == []


def test_a_tenant_that_was_set_through_the_apps_own_module_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    apps = ModuleType("app.core.tenant_context")
    apps.get_tenant_id = lambda: "hotel-a"  # type: ignore[attr-defined]
    assert get_tenant_id() is None
    monkeypatch.setitem(sys.modules, apps.__name__, apps)
    assert get_tenant_id() == "hotel-a"
    token = set_tenant_id("hotel-b")
    assert get_tenant_id() == "hotel-b"
    reset_tenant_id(token)
    token = set_tenant_id(None)
    assert get_tenant_id() is None, "this was said here"
    reset_tenant_id(token)
    assert get_tenant_id() == "hotel-a"


def test_a_module_that_is_loaded_again_shows_its_numbers_once() -> None:
    from importlib import reload

    from posada.compat import feature_flag_service

    flags = reload(feature_flag_service)
    flags.feature_flag_enabled.labels(flag="reload.test").set(1)
    shown = [
        sample
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "feature_flag_enabled" and sample.labels == {"flag": "reload.test"}
    ]
    assert [sample.value for sample in shown] == [1.0]
