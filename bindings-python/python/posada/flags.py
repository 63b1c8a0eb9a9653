"""Feature flags: read by every request without asking anybody."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from posada import _native
from posada._checks import Whose, several, switch, text, whose, words
from posada._native import Flags, Snapshot

__all__ = [
    "DEFAULT_FLAGS",
    "Evaluation",
    "FeatureFlags",
    "Flag",
    "FlagChange",
    "FlagPayload",
    "FlagReason",
    "FlagSnapshot",
    "FlagSource",
    "FlagStatus",
    "FlagVariant",
    "FlagWatch",
]

FlagReason = Literal["STATIC", "DEFAULT", "TARGETING_MATCH", "SPLIT", "DISABLED", "STALE", "ERROR"]
"""Why a flag has its value, in the words of OpenFeature."""

FlagSource = Literal["tenant", "global", "code_default", "call_default"]
"""The layer that decided."""

DEFAULT_FLAGS: Final[Mapping[str, bool]] = dict(_native.default_flags())
"""The values of flags that were never set."""


@dataclass(frozen=True, slots=True)
class FlagPayload:
    """What a variant carries."""

    kind: str
    """Its type, such as ``string`` or ``json``."""
    value: str
    """Its text."""


@dataclass(frozen=True, slots=True)
class FlagVariant:
    """One of several versions of a feature."""

    name: str
    """Its name."""
    payload: FlagPayload | None
    """What it carries, if anything."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A flag's value for one context, and how it came about."""

    value: bool
    """Whether the flag is on."""
    variant: FlagVariant | None
    """The variant, if the flag has some and is on."""
    reason: FlagReason
    """Why."""
    source: FlagSource
    """The layer that decided."""
    age: dt.timedelta | None
    """How long ago Redis said so; ``None`` when it never did."""
    error: str | None
    """What is wrong with the flag's definition, if anything."""

    def __bool__(self) -> bool:
        return self.value


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag as ``list`` names it."""

    key: str
    """Its name."""
    value: str
    """What is stored: ``1``, ``0``, or the JSON of a definition."""
    enabled: bool
    """Whether its switch is on."""
    source: FlagSource
    """The layer that decides."""
    stale: bool
    """Whether Redis could not confirm it."""
    error: str | None
    """What is wrong with its definition, if anything."""


@dataclass(frozen=True, slots=True)
class FlagStatus:
    """How fresh the flags are."""

    ready: bool
    """Whether they were ever loaded."""
    stale: bool
    """Whether Redis does not answer."""
    age: dt.timedelta | None
    """How long ago Redis answered; ``None`` when it never did."""
    lost: int
    """How many flags have vanished from Redis and are still served."""


@dataclass(frozen=True, slots=True)
class FlagChange:
    """Something that a watch tells."""

    what: Literal["changed", "stale", "fresh", "missed"]
    """A flag changed; Redis went silent; it answers again, or at last; or the listener was too slow and missed some."""
    flag: str | None = None
    """The flag that changed."""
    tenant: str | None = None
    """The tenant whose override changed; ``None`` for the global value."""
    missed: int = 0
    """How many changes were missed."""


class FlagWatch:
    """Tells every change from its making on: ``async for change in p.flags.watch()``. Ends when the handle closes."""

    __slots__ = ("_native",)

    def __init__(self, native: _native.Watch) -> None:
        self._native = native

    def __aiter__(self) -> FlagWatch:
        return self

    async def __anext__(self) -> FlagChange:
        change = await self.next()
        if change is None:
            raise StopAsyncIteration
        return change

    async def next(self) -> FlagChange | None:
        """The next change; ``None`` when the handle was closed. Cancel-safe: nothing is lost."""
        parts = await self._native.next()
        return None if parts is None else FlagChange(*parts)


class _Evaluating:
    """What the flags and a view of them answer alike."""

    __slots__ = ()

    if TYPE_CHECKING:

        def _evaluate(self, flag: str, default: bool, asker: _native._Asker) -> _native._Evaluated: ...
        def _evaluate_all(self, asker: _native._Asker) -> list[tuple[str, _native._Evaluated]]: ...

    def evaluate(
        self,
        flag: str,
        *,
        default: bool = False,
        tenant: Whose | None = None,
        user: str | None = None,
        session: str | None = None,
        remote_address: str | None = None,
        environment: str | None = None,
        app_name: str | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> Evaluation:
        """The value with its variant, its reason, its layer and its age. Never waits."""
        asker = (tenant, user, session, remote_address, environment, app_name, _words(properties))
        return _evaluation(self._evaluate(text("flag", flag), switch("default", default), asker))

    def variant(self, flag: str, **context: Any) -> FlagVariant | None:
        """The variant for this context (named as in ``evaluate``); ``None`` when the flag is off or has none."""
        return self.evaluate(flag, **context).variant

    def evaluate_all(
        self,
        *,
        tenant: Whose | None = None,
        user: str | None = None,
        session: str | None = None,
        remote_address: str | None = None,
        environment: str | None = None,
        app_name: str | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> dict[str, Evaluation]:
        """Every flag that some layer knows, evaluated on one view."""
        asker = (tenant, user, session, remote_address, environment, app_name, _words(properties))
        return {flag: _evaluation(parts) for flag, parts in self._evaluate_all(asker)}


class FlagSnapshot(Snapshot, _Evaluating):
    """One view for a whole request: whatever changes meanwhile, its answers fit together."""

    __slots__ = ()


class FeatureFlags(Flags, _Evaluating):
    """Switches that operators throw in Redis, read from a snapshot in memory.

    A flag is looked for in the tenant's layer, then the global one, then the code defaults, then the default of the
    call. While Redis does not answer, or has lost what it held, the last good values are served as ``STALE``;
    ``adopt`` is for the operator who emptied Redis on purpose.
    """

    __slots__ = ()

    def snapshot(self) -> FlagSnapshot:
        """One view for a whole request."""
        return FlagSnapshot(self)

    def status(self) -> FlagStatus:
        """How fresh the values are."""
        return FlagStatus(*self._status())

    def watch(self) -> FlagWatch:
        """Tells every change from now on, also when flags become stale and fresh again."""
        return FlagWatch(self._watch())

    async def set(self, flag: str, value: bool | str, *, tenant: Whose | None = None) -> None:
        """Sets a flag for everybody, or for one tenant: a switch (a bool, or one of ``1``, ``true``, ``on``, ``yes``,
        ``0``, ``false``, ``off`` and ``no`` in any case), or the JSON of an Unleash feature.

        When this returns, this process evaluates the new value; the others follow within milliseconds. Detached.

        Raises ``flags.invalid_key``, ``flags.invalid_value``; ``redis.*`` when Redis did not take it;
        ``redis.outcome_unknown`` when no answer came.
        """
        if not isinstance(value, (bool, str)):
            raise TypeError(f"value: expected bool or str, not {type(value).__name__}")
        if isinstance(value, str):
            value = text("value", value, "flags.invalid_value")
        await self._set(text("flag", flag), value, tenant)

    async def unset(self, flag: str, *, tenant: Whose | None = None) -> bool:
        """Removes a flag's global value, or a tenant's override; answers whether there was one. Detached."""
        return await self._unset(text("flag", flag), tenant)

    async def list(self, *, tenant: Whose | None = None) -> list[Flag]:
        """Every known flag with the layer that decides, sorted by name: of one tenant, or global. Cancel-safe read.

        When Redis does not answer, lists what is known.
        """
        return [Flag(*parts) for parts in await self._list(tenant)]

    async def warm(self, tenants: Iterable[Whose]) -> None:
        """Loads the overrides of these tenants now, which spares their first request. Raises ``redis.*``."""
        await self._warm([whose("tenants", tenant) for tenant in several("tenants", tenants)])

    async def refresh(self) -> None:
        """Reads everything from Redis now. Raises ``redis.*``; the last good values stay, and are stale."""
        await self._refresh()

    async def adopt(self) -> None:
        """Reads everything from Redis now and believes it, also when flags have vanished there.

        For the operator who emptied the hash on purpose, without posada. Every process has its own opinion.
        """
        await self._adopt()


def _words(properties: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if properties is None else words("properties", properties)


def _evaluation(parts: _native._Evaluated) -> Evaluation:
    value, variant, reason, source, age, error = parts
    return Evaluation(value, _variant(variant), reason, source, age, error)


def _variant(parts: tuple[str, tuple[str, str] | None] | None) -> FlagVariant | None:
    if parts is None:
        return None
    name, payload = parts
    return FlagVariant(name, None if payload is None else FlagPayload(*payload))
