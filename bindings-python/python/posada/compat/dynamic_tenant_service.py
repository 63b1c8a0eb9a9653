"""Whose guest a sender is: the app's ``services.dynamic_tenant_service``.

What is different: WhatsApp's numbers without ``+`` are found; changes by other processes are heard of at once; a
tenant that a caller provides is believed only when it exists; what was known stays while Postgres fails. The tenant of
strangers is the one of the settings (``POSADA_DEFAULT_TENANT``), or ``default``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from posada._posada import Posada
from posada.compat._collectors import counter, gauge, histogram
from posada.compat._handles import environment
from posada.errors import PosadaError

__all__ = ["DynamicTenantService", "dynamic_tenant_service"]

tenant_resolution_total: Counter = counter("tenant_resolution_total", "Resolved identifiers", ["result"])
tenants_active_total: Gauge = gauge("tenants_active_total", "Active tenants")
tenant_identifiers_cached_total: Gauge = gauge("tenant_identifiers_cached_total", "Identifiers in memory")
tenant_refresh_latency_seconds: Histogram = histogram("tenant_refresh_latency_seconds", "Time to read all tenants anew")

_log = logging.getLogger(__name__)

_DEFAULT = "default"
_MOST_IDENTIFIERS = 1_000_000
_LOOK = 0.05
"""Seconds between two looks, in memory, at whether tenants changed."""
_PAUSE = 1.0
"""Seconds until tenants that could not be read are read again."""


class DynamicTenantService:
    """Leads identifiers to tenants without waiting, from memory.

    ``posada`` is a handle to use instead of the one on the servers of the settings.
    """

    def __init__(
        self, strict_mode: bool = False, refresh_interval: float = 300, *, posada: Posada | None = None
    ) -> None:
        self.strict_mode = strict_mode
        self.refresh_interval = refresh_interval
        self._given = posada
        self._tenants_meta: dict[str, dict[str, Any]] = {}
        self._last: dict[str, str] = {}
        self._read_changes = 0
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._loop_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Reads all tenants, and again and again. When Postgres fails now, raises, and goes on trying."""
        if self._loop_task is None or self._loop_task.done():
            self._loop_task = asyncio.create_task(self._refresh_for_ever())
        await self.refresh()

    async def stop(self) -> None:
        """Ends what ``start`` began."""
        tasks = [task for task in (self._loop_task, *self._asking.values()) if task is not None]
        self._loop_task = None
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def refresh(self) -> None:
        """Reads all tenants and their identifiers. When Postgres fails, raises, and what was known stays."""
        begun = time.perf_counter()
        await self._posada.tenants.refresh()
        await self._read()
        tenant_refresh_latency_seconds.observe(time.perf_counter() - begun)

    async def _read(self) -> None:
        """Reads all tenants, and the identifiers that nothing is known of, as after a change."""
        tenants = self._posada.tenants
        changes = tenants.stats().changes
        await tenants.warm(_MOST_IDENTIFIERS)
        read = {
            tenant.id: {
                "name": tenant.name,
                "status": tenant.status,
                "business_hours_start": tenant.business_hours_start,
                "business_hours_end": tenant.business_hours_end,
                "business_hours_timezone": tenant.timezone,
            }
            for tenant in await tenants.list()
            if tenant.is_active
        }
        self._tenants_meta, self._read_changes = read, changes
        tenants_active_total.set(len(self._tenants_meta))
        tenant_identifiers_cached_total.set(tenants.stats().cached)

    def resolve_tenant(self, user_id: str, provided_tenant: str | None = None) -> str | None:
        """The tenant of a user, from memory. An unknown user gets the default one, or ``None`` in strict mode.

        What memory does not know is asked for in the background, so that the next message finds it.
        """
        default = self._posada.settings.default_tenant or _DEFAULT
        if provided_tenant and (provided_tenant in self._tenants_meta or provided_tenant == default):
            return self._counted("provided", provided_tenant)
        known = self._known(user_id) if user_id else None
        if known is not None:
            return self._counted("hit", known)
        return self._counted("miss_strict", None) if self.strict_mode else self._counted("default", default)

    def list_tenants(self) -> list[dict[str, Any]]:
        """The active tenants by their ids."""
        return [{"tenant_id": tenant, **meta} for tenant, meta in sorted(self._tenants_meta.items())]

    def get_tenant_meta(self, tenant_id: str) -> dict[str, Any] | None:
        """What is known of an active tenant."""
        return self._tenants_meta.get(tenant_id)

    @property
    def _posada(self) -> Posada:
        return self._given if self._given is not None else environment()

    def _known(self, user_id: str) -> str | None:
        found = self._posada.tenants.remembered(user_id)
        if found is None or found.source in ("stale", "disk"):
            # Perhaps a change made it wrong; until the answer is here the last one counts.
            self._ask(user_id)
        if found is None:
            return self._last.get(user_id)
        if found.tenant is None or found.source == "default":
            self._last.pop(user_id, None)
            return None
        self._last[user_id] = found.tenant.id
        return found.tenant.id

    def _ask(self, user_id: str) -> None:
        with contextlib.suppress(RuntimeError):  # no loop runs: there is no background
            if user_id not in self._asking and asyncio.get_running_loop().is_running():
                self._asking[user_id] = asyncio.create_task(self._resolve(user_id))

    async def _resolve(self, user_id: str) -> None:
        try:
            await self._posada.tenants.resolve(user_id)
        except PosadaError as error:
            _log.warning("tenants.not_resolved", extra={"code": error.code})
        finally:
            self._asking.pop(user_id, None)

    async def _refresh_for_ever(self) -> None:
        fresh = self._posada.settings.tenant_cache_fresh.total_seconds()
        longest = min(self.refresh_interval, fresh)
        due, pause = time.monotonic() + longest, _LOOK
        while True:
            await asyncio.sleep(min(pause, longest))
            pause = _LOOK
            try:
                if time.monotonic() >= due:
                    due = time.monotonic() + longest
                    await self.refresh()
                elif self._posada.tenants.stats().changes != self._read_changes:
                    # Another process made or changed one, and this one heard of it.
                    await self._read()
            except PosadaError as error:
                pause = _PAUSE
                _log.warning("Auto refresh tenants failed", extra={"code": error.code})

    def _counted(self, result: str, tenant: str | None) -> str | None:
        tenant_resolution_total.labels(result=result).inc()
        return tenant

    def _normalize_identifier(self, identifier: str) -> str:
        """As the app's tables spell it."""
        bare = identifier.strip() if identifier else identifier
        if not bare:
            return bare
        if "@" in bare:
            return bare.lower()
        bare = bare.translate(str.maketrans("", "", "() -"))
        return f"+{bare[2:]}" if bare.startswith("00") else bare


dynamic_tenant_service: DynamicTenantService = DynamicTenantService(strict_mode=False)
"""The service on the servers of the settings."""
