"""Where the servers are and how to behave."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from posada import _native
from posada._checks import Seconds, Whose, invalid, optional_text, texts, words

__all__ = ["VARIABLES", "Environment", "Pooling", "Settings", "TlsMode"]

Environment = Literal["development", "staging", "production"]
"""The kind of installation. Production refuses placeholders for secrets and servers."""

Pooling = Literal["session", "transaction"]
"""What stands before Postgres: nothing or a session pooler, or a pooler in transaction mode."""

TlsMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
"""libpq's ``sslmode``."""

VARIABLES: Final[Mapping[str, tuple[str, str]]] = {name: (what, default) for name, what, default in _native.variables()}
"""Every variable that ``from_env`` reads, with its meaning and its default."""


class Settings:
    """Where the servers are and how to behave. Its ``repr`` shows no secret.

    Made by ``from_env``, ``from_vars``, ``embedded`` or ``build``; nothing connects.
    """

    __slots__ = ("_native",)

    def __init__(self, native: _native.Settings) -> None:
        self._native = native

    @classmethod
    def embedded(cls) -> Settings:
        """Everything in memory, with the mock PMS."""
        return cls(_native.Settings.embedded())

    @classmethod
    def from_env(cls) -> Settings:
        """Reads the process's environment: the names that the app uses (see ``VARIABLES``).

        Raises ``InvalidError`` (``settings.*``), naming the variable.
        """
        return cls(_native.Settings.from_env())

    @classmethod
    def from_vars(cls, variables: Mapping[str, str]) -> Settings:
        """The same from a mapping. Raises ``InvalidError`` (``settings.*``), naming the variable."""
        return cls(_native.Settings.from_vars(words("variables", variables)))

    @classmethod
    def build(
        cls,
        *,
        environment: Environment | None = None,
        postgres_url: str | None = None,
        postgres_pool_size: int | None = None,
        postgres_max_overflow: int | None = None,
        postgres_sslmode: TlsMode | None = None,
        postgres_root_certificate: str | os.PathLike[str] | None = None,
        postgres_acquire_timeout: Seconds | None = None,
        postgres_statement_timeout: Seconds | None = None,
        postgres_pooler: Pooling | None = None,
        use_supabase: bool | None = None,
        redis_url: str | None = None,
        redis_password: str | None = None,
        redis_connect_timeout: Seconds | None = None,
        redis_command_timeout: Seconds | None = None,
        pms_qloapps: tuple[str, str] | None = None,
        pms_hotel_id: int | None = None,
        pms_timeout: Seconds | None = None,
        pms_availability_timeout: Seconds | None = None,
        pms_booking_timeout: Seconds | None = None,
        pms_max_concurrent: int | None = None,
        pms_max_rate: int | None = None,
        pms_breaker_failures: int | None = None,
        pms_breaker_pause: Seconds | None = None,
        pms_availability_fresh: Seconds | None = None,
        pms_room_types_fresh: Seconds | None = None,
        secret_key: str | None = None,
        jwt_expiry: Seconds | None = None,
        default_tenant: Whose | None = None,
        snapshot_dir: str | os.PathLike[str] | None = None,
        session_ttl: Seconds | None = None,
        tenant_cache_fresh: Seconds | None = None,
        tenant_cache_stale: Seconds | None = None,
        tenant_cache_negative: Seconds | None = None,
        flags_poll: Seconds | None = None,
        hold_ttl: Seconds | None = None,
        hold_extension: Seconds | None = None,
        hold_max_extensions: int | None = None,
        close_deadline: Seconds | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Settings:
        """Options by name; each has the meaning and the default of its variable. ``pms_qloapps`` is address and key.

        An option wins over the ``variables``. Raises ``InvalidError`` (``settings.*``), naming the option.
        """
        given: dict[str, Any] = dict(locals())
        options = {
            name: value
            for name, value in given.items()
            if value is not None and name not in {"cls", "postgres_pooler", "pms_qloapps", "variables"}
        }
        qloapps = None if pms_qloapps is None else texts("pms_qloapps", pms_qloapps)
        if qloapps is not None and len(qloapps) != 2:
            raise invalid("pms_qloapps", f"expected the address and the key, not {len(qloapps)} values")
        pooler = optional_text("postgres_pooler", postgres_pooler)
        named = {} if variables is None else words("variables", variables)
        return cls(_native.Settings.build(options, qloapps, pooler, named))

    @property
    def environment(self) -> Environment:
        """The kind of installation."""
        return self._native.environment

    @property
    def service_variables(self) -> tuple[str, ...]:
        """Variables with names like posada's that Kubernetes or Docker made for a service; they were not read."""
        return tuple(self._native.service_variables)

    @property
    def default_tenant(self) -> str | None:
        """The tenant of identifiers that belong to none."""
        return self._native.default_tenant

    @property
    def snapshot_dir(self) -> Path | None:
        """The folder for snapshots of tenants and flags."""
        return self._native.snapshot_dir

    @property
    def jwt_expiry(self) -> dt.timedelta:
        """Life of an access token."""
        return self._native.time("jwt_expiry")

    @property
    def session_ttl(self) -> dt.timedelta:
        """Life of a conversation after its last write."""
        return self._native.time("session_ttl")

    @property
    def tenant_cache_fresh(self) -> dt.timedelta:
        """Age up to which a resolved tenant is served without asking Postgres."""
        return self._native.time("tenant_cache_fresh")

    @property
    def tenant_cache_stale(self) -> dt.timedelta:
        """Age up to which a resolved tenant is served while Postgres fails."""
        return self._native.time("tenant_cache_stale")

    @property
    def tenant_cache_negative(self) -> dt.timedelta:
        """Time for which an unknown identifier is remembered as unknown."""
        return self._native.time("tenant_cache_negative")

    @property
    def flags_poll(self) -> dt.timedelta:
        """Longest time between two looks at the flags in Redis."""
        return self._native.time("flags_poll")

    @property
    def hold_ttl(self) -> dt.timedelta:
        """Life of a stay hold."""
        return self._native.time("hold_ttl")

    @property
    def hold_extension(self) -> dt.timedelta:
        """What one extension adds to a stay hold."""
        return self._native.time("hold_extension")

    @property
    def hold_max_extensions(self) -> int:
        """How often a stay hold may be extended."""
        return self._native.whole("hold_max_extensions")

    @property
    def close_deadline(self) -> dt.timedelta:
        """Longest time that ``close`` waits for work under way."""
        return self._native.time("close_deadline")

    def __repr__(self) -> str:
        return repr(self._native)
