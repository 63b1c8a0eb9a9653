"""The stores on which tests run."""

from __future__ import annotations

import os

import posada
import pytest
from posada import compat
from support import Open, server_settings


@pytest.fixture(params=["memory", "servers"])
def opened(request: pytest.FixtureRequest) -> Open:
    """The same test on both kinds of store. Without servers the second one fails, and says what it needs."""
    if request.param == "memory":
        return posada.Posada.embedded
    if "DATABASE_URL" not in os.environ or "REDIS_URL" not in os.environ:
        pytest.fail("DATABASE_URL and REDIS_URL are not set: run `make test-python`, which starts servers")
    return lambda: posada.Posada.connect(server_settings())


@pytest.fixture
def app_environment() -> None:
    """The environment of the app, without a ``.env`` file, for its classes."""
    if "DATABASE_URL" not in os.environ or "REDIS_URL" not in os.environ:
        pytest.fail("DATABASE_URL and REDIS_URL are not set: run `make test-python`, which starts servers")
    key = "the key of the tests, long enough for HS256"
    compat.use({name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL")} | {"SECRET_KEY": key})
