"""posada's flags for the OpenFeature SDK.

::

    openfeature.api.set_provider_and_wait(provider(p))
    client = openfeature.api.get_client()
    client.get_boolean_value("canary.enabled", False, EvaluationContext("guest-1", {"tenant": "hotel-test"}))

Needs the extra ``posada[openfeature]``. Evaluation never waits; reasons are those of ``FeatureFlags``, and while Redis
is silent the last good values are served as ``STALE``.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import date, time
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, TypeVar, cast

try:
    from openfeature.evaluation_context import EvaluationContext
    from openfeature.event import ProviderEventDetails
    from openfeature.exception import (
        ErrorCode,
        FlagNotFoundError,
        InvalidContextError,
        ProviderFatalError,
        ProviderNotReadyError,
        TypeMismatchError,
    )
    from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType
    from openfeature.provider import AbstractProvider, Metadata
except ImportError as _missing:
    raise ImportError("posada.openfeature needs the SDK: pip install 'posada[openfeature]'") from _missing

from posada._posada import Posada
from posada.errors import ClosedError, PosadaError
from posada.flags import Evaluation, FlagChange

__all__ = ["provider"]

_Value = TypeVar("_Value")

_OWN: Final = frozenset({"tenant", "session", "remote_address", "environment", "app_name"})
"""Attributes of a context that mean something to a flag; all others are its properties."""


def provider(posada: Posada) -> AbstractProvider:
    """Answers from the flags of a handle, which stays its owner's to close.

    A boolean is the flag itself. A string, number or object is the payload of the variant that the flag has for the
    context, and the default where it has none. The targeting key of a context is the user; the attributes ``tenant``,
    ``session``, ``remote_address``, ``environment`` and ``app_name`` are what they say, others are properties.

    It tells that it is ready (also again, after an outage), that a flag changed, that values are stale, and that Redis
    did not answer at the start or that the handle was closed. A thread of its own listens, until it is shut down.
    """
    return _Provider(posada)


class _Provider(AbstractProvider):
    def __init__(self, posada: Posada) -> None:
        super().__init__()
        self._posada = posada
        self._listener: tuple[threading.Thread, asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None

    def get_metadata(self) -> Metadata:
        """Its name."""
        return Metadata(name="posada")

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Loads the flags. Raises ``ProviderNotReadyError`` when Redis does not answer, and goes on trying; and
        ``ProviderFatalError`` when the handle was closed, which nothing mends.
        """
        del evaluation_context
        if self._listener is not None:
            return
        begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = Future()
        loaded: Future[None] = Future()

        async def listening() -> None:
            task = asyncio.current_task()
            assert task is not None
            begun.set_result((asyncio.get_running_loop(), task))
            try:
                await self._listen(loaded)
            except asyncio.CancelledError:
                pass
            except PosadaError as error:  # the handle was closed before
                loaded.set_exception(error)

        thread = threading.Thread(target=asyncio.run, args=(listening(),), name="posada-openfeature", daemon=True)
        thread.start()
        self._listener = (thread, *begun.result())
        try:
            loaded.result()
        except ClosedError as error:
            raise ProviderFatalError(str(error)) from error
        except PosadaError as error:
            raise ProviderNotReadyError(str(error)) from error

    def shutdown(self) -> None:
        """Stops listening. The handle stays open."""
        if self._listener is not None:
            thread, loop, task = self._listener
            self._listener = None
            with suppress(RuntimeError):  # it has ended by itself
                loop.call_soon_threadsafe(task.cancel)
            thread.join()

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """Whether the flag is on."""
        found = self._evaluate(flag_key, default_value, evaluation_context)
        return _details(found, found.value)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """The payload of the variant, or its name when it carries none."""
        return self._variant(flag_key, default_value, evaluation_context, str)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """The payload of the variant as a whole number."""
        return self._variant(flag_key, default_value, evaluation_context, int)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """The payload of the variant as a number."""
        return self._variant(flag_key, default_value, evaluation_context, float)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """The payload of the variant as a JSON object or array."""
        return self._variant(flag_key, default_value, evaluation_context, _structure)

    async def _listen(self, loaded: Future[None]) -> None:
        flags = self._posada.flags
        watch = flags.watch()
        try:
            await flags.refresh()
        except PosadaError as error:
            # The flags go on trying by themselves, and the watch tells when they have something.
            loaded.set_exception(error)
        else:
            # What the loads until now have told the SDK knows from the end of `initialize`.
            watch = flags.watch()
            loaded.set_result(None)
        async for change in watch:
            self._tell(change)
        with suppress(RuntimeError):  # at the end of the process no caller can be told
            self.emit_provider_error(
                ProviderEventDetails(message="the handle was closed", error_code=ErrorCode.PROVIDER_FATAL)
            )

    def _tell(self, change: FlagChange) -> None:
        if change.what == "stale":
            self.emit_provider_stale(ProviderEventDetails(message="Redis does not answer"))
        elif change.what == "fresh":
            self.emit_provider_ready(ProviderEventDetails(message="Redis answers"))
        else:
            changed = None if change.flag is None else [change.flag]
            self.emit_provider_configuration_changed(ProviderEventDetails(flags_changed=changed))

    def _evaluate(self, flag: str, default: bool, context: EvaluationContext | None) -> Evaluation:
        flags = self._posada.flags
        found = flags.evaluate(flag, default=default, **_asker(context or EvaluationContext()))
        if found.source == "call_default":
            raise FlagNotFoundError(flag) if flags.status().ready else ProviderNotReadyError("no flags were loaded yet")
        return found

    def _variant(
        self, flag: str, default: _Value, context: EvaluationContext | None, read: Callable[[str], _Value]
    ) -> FlagResolutionDetails[_Value]:
        found = self._evaluate(flag, False, context)
        if found.variant is None:
            return _details(found, default)
        payload = found.variant.payload
        try:
            return _details(found, read(found.variant.name if payload is None else payload.value))
        except ValueError as error:
            raise TypeMismatchError(f"the variant {found.variant.name!r} carries something else") from error


def _details(found: Evaluation, value: _Value) -> FlagResolutionDetails[_Value]:
    facts: dict[str, bool | int | float | str] = {"source": found.source}
    if found.age is not None:
        facts["age_seconds"] = found.age.total_seconds()
    if found.error is not None:
        facts["error"] = found.error
    variant = None if found.variant is None else found.variant.name
    # The SDK's type says that it can be changed, and its specification that it must not be.
    fixed = cast("dict[str, bool | int | float | str]", MappingProxyType(facts))
    return FlagResolutionDetails(value, reason=found.reason, variant=variant, flag_metadata=fixed)


def _asker(context: EvaluationContext) -> dict[str, Any]:
    """The arguments of an evaluation that a context means."""
    own: dict[str, Any] = {"user": context.targeting_key}
    properties: dict[str, str] = {}
    for name, value in context.attributes.items():
        if value is None:
            continue  # as if it were not there: no rule is about it, and nothing sticks to it
        if name not in _OWN:
            properties[name] = _text(value)
        elif isinstance(value, str):
            own[name] = value
        else:
            raise InvalidContextError(f"{name}: expected a text, not {type(value).__name__}")
    return {**own, "properties": properties}


def _text(value: object) -> str:
    """As a rule compares it: numbers, ids and times as they are written, without quotes."""
    if isinstance(value, Enum):
        return _text(value.value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else str(value)
    if isinstance(value, (bool, int, float, Mapping, list, tuple)):
        return json.dumps(value, default=_text)
    return str(value)


def _structure(text: str) -> Sequence[FlagValueType] | Mapping[str, FlagValueType]:
    read: FlagValueType = json.loads(text)
    if isinstance(read, Mapping) or (isinstance(read, Sequence) and not isinstance(read, str)):
        return read
    raise ValueError("neither an object nor an array")
