"""The handle: every service behind one object. Each is imported when it is first asked for.

Annotations say ``posada.TenantResolver``, so that ``typing.get_type_hints`` finds the class, and only then imports it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType

import posada
from posada import _native
from posada._checks import Whose, instance, mapping, switch
from posada.errors import ClosedError
from posada.errors import TimeoutError as LateError
from posada.settings import Settings

_log = logging.getLogger("posada")


@dataclass(frozen=True, slots=True)
class Applied:
    """What ``migrate`` did."""

    migrations: tuple[str, ...]
    """The migrations that were applied now."""
    version: int
    """The version of the database after them."""


class Posada:
    """Every service of posada, in memory or on servers. Close it, or use it with ``async with``.

    >>> async with Posada.connect(Settings.from_env()) as p:
    ...     found = await p.tenants.resolve("5491112345678", channel="whatsapp")

    One handle serves any number of tasks, event loops and threads of one process. It may be made before a fork and
    used after it, but not both: the first use binds it to its process.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        default_flags: Mapping[str, bool] | None = None,
        auth_options: posada.AuthOptions | None = None,
        mock_pms: posada.MockPms | None = None,
    ) -> None:
        self._settings = instance("settings", settings, Settings)
        self._default_flags = None if default_flags is None else _switches(default_flags)
        if auth_options is not None:
            instance("auth_options", auth_options, posada.AuthOptions)
        if mock_pms is not None:
            instance("mock_pms", mock_pms, posada.MockPms)
        self._options = auth_options
        self._mock_pms = mock_pms
        self._native: _native.Handle | None = None
        self._tenant: str | None = None
        self._whole: Posada | None = None
        self._closed = False

    @classmethod
    def embedded(cls) -> Posada:
        """Everything in memory, with the mock PMS: for a first look, for tests, and for programs without servers."""
        return cls(Settings.embedded())

    @classmethod
    def build(
        cls,
        settings: Settings,
        *,
        default_flags: Mapping[str, bool] | None = None,
        auth_options: posada.AuthOptions | None = None,
        mock_pms: posada.MockPms | None = None,
    ) -> Posada:
        """A handle that connects when it is first used: for programs that start although a server is down.

        ``default_flags`` are the values of flags that were never set. ``mock_pms`` is a mock hotel to book in,
        whatever the settings say.
        """
        return cls(settings, default_flags=default_flags, auth_options=auth_options, mock_pms=mock_pms)

    @classmethod
    def connect(
        cls,
        settings: Settings,
        *,
        default_flags: Mapping[str, bool] | None = None,
        auth_options: posada.AuthOptions | None = None,
        mock_pms: posada.MockPms | None = None,
    ) -> Connecting:
        """A handle whose servers have all answered: ``async with Posada.connect(settings) as p``, or ``await`` it.

        The options are those of ``build``. Raises ``settings.*``, ``postgres.*`` or ``redis.*``.
        """
        return Connecting(cls(settings, default_flags=default_flags, auth_options=auth_options, mock_pms=mock_pms))

    @classmethod
    def from_env(cls) -> Connecting:
        """``connect`` with the settings of the process's environment."""
        return cls.connect(Settings.from_env())

    @property
    def settings(self) -> Settings:
        """The settings that this handle was made from."""
        return self._settings

    def for_tenant(self, tenant: Whose) -> Posada:
        """The same handle, bound to one tenant: nothing of another can be read or written through it.

        >>> hotel = p.for_tenant("hotel-centro")
        ... session = await hotel.sessions.get("5491187654321")

        Make one for each request: it costs about a cached resolve, does no I/O, and does not ask whether the tenant
        exists. A missing ``tenant=`` means this one. Another tenant's id, ``Session``, ticket, hold, claims or token
        is refused with ``DeniedError`` (``tenants.out_of_scope``) before anything is asked of a server, and after it
        was read where only the answer tells whose it is; in Python the evaluation of a flag is refused, too. So is
        what is about all tenants: ``tenants.list``, ``create``, ``refresh`` and ``warm``, the ``measure`` of sessions
        and of sign-in, ``flags.adopt``, ``locks.sweep``, ``migrate``, and users without a hotel.
        ``sessions.purge_user`` deletes the conversation with this tenant; limits are the tenant's own, on keys that
        begin with ``tenant:{id}/``; watches and audit events are those of the tenant.

        Closing it, or leaving its ``async with``, closes nothing; it ends with the handle that it was made from.

        Raises ``tenants.out_of_scope`` when this handle is bound to another tenant; ``posada.closed``.
        """
        return self._scope(self._handle().for_tenant(tenant))

    def for_claims(self, claims: posada.Claims) -> Posada:
        """As ``for_tenant``, for the hotel of a user, or for that for which a superuser acts.

        Raises ``auth.wrong_tenant`` for a user without a hotel; ``tenants.out_of_scope`` when this handle is bound to
        another tenant; ``posada.closed``.
        """
        return self._scope(self._handle().for_claims(instance("claims", claims, _native.Claims)))

    @property
    def tenant(self) -> str | None:
        """The id of the tenant to which this handle is bound; ``None`` for a handle of all tenants."""
        return self._tenant

    def _scope(self, native: _native.Handle) -> Posada:
        scope = object.__new__(Posada)
        scope._settings = self._settings
        scope._native = native
        scope._tenant = native.tenant
        # At the end of the process, what is under way is waited for only while the whole handle is alive.
        scope._whole = self
        # It needs no close.
        scope._closed = True
        return scope

    @cached_property
    def tenants(self) -> posada.TenantResolver:
        """Tenants, and whose guest a sender is."""
        from posada.tenants import TenantResolver

        return TenantResolver(self._handle())

    @cached_property
    def sessions(self) -> posada.SessionManager:
        """Conversations."""
        from posada.sessions import SessionManager

        return SessionManager(self._handle())

    @cached_property
    def flags(self) -> posada.FeatureFlags:
        """Feature flags."""
        from posada.flags import FeatureFlags

        return FeatureFlags(self._handle())

    @cached_property
    def locks(self) -> posada.LockManager:
        """Locks and stay holds."""
        from posada.locks import LockManager

        return LockManager(self._handle())

    @cached_property
    def pms(self) -> posada.PmsClient:
        """The property management system."""
        from posada.pms import PmsClient

        return PmsClient(self._handle())

    @cached_property
    def auth(self) -> posada.Authenticator:
        """Sign-in."""
        from posada.auth import Authenticator

        return Authenticator(self._handle())

    @cached_property
    def limits(self) -> posada.RateLimiter:
        """Rate limits."""
        from posada.limits import RateLimiter

        return RateLimiter(self._handle())

    async def health(self) -> posada.Health:
        """Asks every server for a sign of life, and Redis whether it takes writes, without writing anything.

        The answer comes within a second, also from servers that are silent. ``Health.is_ready`` says whether guests can
        be served. Never raises ``postgres.*`` or ``redis.*``; cancel-safe read.
        """
        from posada.health import Health

        return Health(*await self._handle().health())

    async def doctor(self) -> posada.Diagnosis:
        """Looks for everything that usually is wrong with an installation, and names the remedies.

        Every server is examined at the same time, each within 15 seconds. A server that is down is a finding, and so
        is a closed handle: it never raises. It writes nothing and shows no secret. Cancel-safe read.
        """
        from posada.doctor import Diagnosis

        return Diagnosis._of(await self._handle().doctor())

    async def migrate(self) -> Applied:
        """Brings the database to the state that this version needs. Safe to run from every replica at every start.

        In memory there is nothing to do. Detached. Raises ``postgres.migration``; ``postgres.*``.
        """
        migrations, version = await self._handle().migrate()
        return Applied(tuple(migrations), version)

    async def close(self) -> None:
        """Waits for writes that are under way, flushes the audit, and gives the connections back.

        Every later call raises ``posada.closed``. May be called again. Of a handle that is bound to a tenant it does
        nothing.

        Raises ``posada.close_timeout`` when work was still under way at the deadline of the settings.
        """
        self._closed = True
        if self._native is not None and self._tenant is None:
            await self._native.close()

    async def __aenter__(self) -> Posada:
        self._handle()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.close()
        except LateError as late:
            # Everything is closed; what was under way ends by itself. A program that ends has no caller to tell.
            _log.warning("closed with work under way: %s", late)

    def __repr__(self) -> str:
        if self._tenant is not None:
            return f"<posada.Posada for {self._tenant!r}>"
        state = "closed" if self._closed else "unused" if self._native is None else "open"
        return f"<posada.Posada {state}>"

    def __del__(self) -> None:
        if getattr(self, "_native", None) is not None and not self._closed:
            warnings.warn(f"unclosed {self!r}: await its close()", ResourceWarning, source=self, stacklevel=2)

    def _handle(self) -> _native.Handle:
        if self._native is None:
            if self._closed:
                raise ClosedError("this handle was closed; connect a new one", code="posada.closed")
            self._native = _native.Handle.build(*self._parts())
        return self._native

    def _parts(self) -> _native._HandleParts:
        return self._settings._native, self._default_flags, self._options, self._mock_pms


def _switches(flags: Mapping[str, bool]) -> list[tuple[str, bool]]:
    return [(name, switch("default_flags", on)) for name, on in mapping("default_flags", flags).items()]


class Connecting:
    """A handle on its way: ``await`` it, or enter it with ``async with``, which also closes the handle."""

    __slots__ = ("_posada",)

    def __init__(self, posada: Posada) -> None:
        self._posada = posada

    def __await__(self) -> Generator[object, None, Posada]:
        return self._connect().__await__()

    async def __aenter__(self) -> Posada:
        return await self._connect()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._posada.close()

    async def _connect(self) -> Posada:
        posada = self._posada
        if posada._native is None:
            posada._native = await _native.Handle.connect(*posada._parts())
        return posada
