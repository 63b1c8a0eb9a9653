"""Tenants, and whose guest a sender is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from posada import _native
from posada._checks import Whose, instance, optional_text, optional_whole, several, text, whole
from posada._native import Resolution, Tenant, Tenants
from posada.errors import InvalidError, PosadaError

__all__ = [
    "BusinessHours",
    "Channel",
    "Identifier",
    "Resolution",
    "Tenant",
    "TenantResolver",
    "TenantStats",
    "TenantStatus",
]

Channel = Literal["whatsapp", "email", "web", "sms", "voice", "telegram", "instagram", "messenger"]
"""Where a message came from; it says how its sender's identifier is read."""

TenantStatus = Literal["active", "inactive"]
"""Whether a tenant is served. Guests of an inactive one get a polite refusal, not another hotel."""


@dataclass(frozen=True, slots=True)
class BusinessHours:
    """When a reception answers, in the hotel's own time. What is ``None`` is not known."""

    start: int | None = None
    """The hour at which it opens, 0 to 23."""
    end: int | None = None
    """The hour at which it closes, 0 to 23; before ``start`` when it is open over midnight."""
    timezone: str | None = None
    """The time zone by its IANA name, such as ``America/Argentina/Buenos_Aires``."""

    def __post_init__(self) -> None:
        optional_whole("start", self.start, bits=8)
        optional_whole("end", self.end, bits=8)
        optional_text("timezone", self.timezone)


@dataclass(frozen=True, slots=True)
class Identifier:
    """An e-mail address, phone number or host name, in the spelling that is stored."""

    kind: Literal["email", "phone", "host", "account"]
    """What it is."""
    canonical: str
    """The spelling that is stored."""
    candidates: tuple[str, ...]
    """Every spelling that is looked up, such as a Brazilian number with and without the ninth digit."""

    @staticmethod
    def parse(identifier: str, channel: Channel | None = None) -> Identifier:
        """Reads an identifier without asking anybody.

        Raises ``InvalidError`` (``tenants.invalid_identifier``, ``tenants.invalid_channel``).
        """
        return _identifier(
            _native.parse_identifier(text("identifier", identifier, _NO_IDENTIFIER), optional_text("channel", channel))
        )

    def __str__(self) -> str:
        return self.canonical


@dataclass(frozen=True, slots=True)
class TenantStats:
    """What a resolver has done and holds: for health pages and tests."""

    cached: int
    """Identifiers and tenants that are cached."""
    unknown: int
    """Texts that are remembered as unknown."""
    lookups: int
    """How often the store was asked."""
    changes: int
    """Grows with every change of a tenant or identifier that this process made or heard of, and with every refresh."""


class _Keep:
    """What is not named stays as it is."""

    def __repr__(self) -> str:
        return "..."


_KEEP: Final = _Keep()

_NO_IDENTIFIER: Final = "tenants.invalid_identifier"


class TenantResolver(Tenants):
    """Leads identifiers to tenants, from a cache that survives outages of Postgres.

    Answers are fresh for 300 seconds by default and are asked for again a little earlier, in the background. While
    Postgres does not answer, older ones are served up to 24 hours and say so. "Unknown" is believed for 30 seconds.
    """

    __slots__ = ()

    async def resolve(self, identifier: str, channel: Channel | None = None) -> Resolution:
        """Whose guest a sender is. Cached answers need no server and no thread.

        However many callers ask for one identifier at once, Postgres is asked once. While Postgres is down,
        identifiers of the last 24 hours resolve as ``stale`` or ``disk``. Cancel-safe read.

        Raises ``tenants.invalid_identifier``, ``tenants.invalid_channel``; ``postgres.*`` when Postgres fails and
        nothing older is known; ``posada.closed``.
        """
        found = self.cached(identifier, channel)
        if found is not None:
            return found
        return await self._resolve(identifier, channel)

    async def resolve_many(
        self, identifiers: Iterable[str], channel: Channel | None = None
    ) -> list[Resolution | PosadaError]:
        """Resolves many identifiers of one channel, with one statement for every 500 that are not cached.

        One answer for each, in their order: a resolution, or the exception that ``resolve`` would have raised.
        Cancel-safe read.
        """
        asked = [_readable(each) for each in several("identifiers", identifiers)]
        readable = [each for each in asked if isinstance(each, str)]
        found = iter(await self._resolve_many(readable, optional_text("channel", channel)))
        return [next(found) if isinstance(each, str) else each for each in asked]

    async def get(self, tenant: Whose) -> Tenant | None:
        """A tenant by its id, whatever its status; ``None`` when there is none. Cached like identifiers are.

        Cancel-safe read. Raises ``postgres.*`` when Postgres fails and nothing older is known.
        """
        return await self._get(tenant)

    async def list(self) -> list[Tenant]:
        """All tenants, by id, whatever their status. Always asks Postgres. Cancel-safe read."""
        return await self._list()

    async def create(
        self,
        tenant_id: str,
        *,
        name: str,
        status: TenantStatus = "active",
        business_hours: BusinessHours | None = None,
    ) -> Tenant:
        """Creates a tenant. The id has 2 to 50 characters of ``a-z``, ``0-9``, ``_`` and ``-``. Detached.

        Raises ``tenants.exists``; ``tenants.invalid_id``, ``tenants.invalid_field``; ``postgres.*``, of which
        ``postgres.outcome_unknown`` leaves open whether it happened.
        """
        hours = BusinessHours() if business_hours is None else instance("business_hours", business_hours, BusinessHours)
        return await self._create(
            text("tenant_id", tenant_id),
            text("name", name),
            text("status", status),
            hours.start,
            hours.end,
            hours.timezone,
        )

    async def update(
        self,
        tenant: Whose,
        *,
        name: str | None = None,
        status: TenantStatus | None = None,
        start: int | _Keep | None = _KEEP,
        end: int | _Keep | None = _KEEP,
        timezone: str | _Keep | None = _KEEP,
    ) -> Tenant:
        """Changes a tenant, and answers its new state. What is not named stays; ``None`` forgets an hour or the zone.

        Detached. Raises ``tenants.not_found``, ``tenants.invalid_field``; ``postgres.*``.
        """
        return await self._update(
            tenant,
            optional_text("name", name),
            optional_text("status", status),
            [] if isinstance(start, _Keep) else [optional_whole("start", start, bits=8)],
            [] if isinstance(end, _Keep) else [optional_whole("end", end, bits=8)],
            [] if isinstance(timezone, _Keep) else [optional_text("timezone", timezone)],
        )

    async def suspend(self, tenant: Whose) -> Tenant:
        """Makes a tenant inactive: its identifiers resolve as ``suspended`` from then on. Detached."""
        return await self._suspend(tenant)

    async def add_identifier(self, tenant: Whose, identifier: str, channel: Channel | None = None) -> Identifier:
        """Gives a tenant an identifier, and answers it as it is stored. Does nothing when the tenant has it already.

        Host patterns such as ``*.example.com`` are identifiers too. Detached.

        Raises ``tenants.identifier_taken`` when it belongs to another tenant in any spelling;
        ``tenants.invalid_identifier``, ``tenants.not_found``; ``postgres.*``.
        """
        added = await self._add_identifier(
            tenant, text("identifier", identifier, _NO_IDENTIFIER), optional_text("channel", channel)
        )
        return _identifier(added)

    async def remove_identifier(self, tenant: Whose, identifier: str, channel: Channel | None = None) -> None:
        """Takes an identifier away from a tenant, in all its spellings. Detached.

        Raises ``tenants.identifier_not_found``, ``tenants.not_found``, ``tenants.invalid_identifier``;
        ``postgres.*``.
        """
        await self._remove_identifier(
            tenant, text("identifier", identifier, _NO_IDENTIFIER), optional_text("channel", channel)
        )

    async def refresh(self) -> int:
        """Asks Postgres again for everything that is cached, and answers how many identifiers that were.

        For after changes that others made in the tables. When Postgres fails, what is cached stays. Cancel-safe.
        """
        return await self._refresh()

    async def warm(self, limit: int) -> int:
        """Fills the cache with up to ``limit`` identifiers; answers how many were filled in. Cancel-safe."""
        return await self._warm(whole("limit", limit))

    def stats(self) -> TenantStats:
        """What the resolver holds and did."""
        return TenantStats(*self._stats())


def _readable(identifier: str) -> str | InvalidError:
    try:
        return text("identifiers", identifier, _NO_IDENTIFIER)
    except InvalidError as refusal:
        return refusal


def _identifier(parts: tuple[Literal["email", "phone", "host", "account"], str, list[str]]) -> Identifier:
    kind, canonical, candidates = parts
    return Identifier(kind, canonical, tuple(candidates))
