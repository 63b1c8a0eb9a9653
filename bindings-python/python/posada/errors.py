"""Everything that posada raises.

There is one class per *kind*, which says what to do, and a stable ``code``, which says what happened::

    try:
        await p.sessions.save(session)
    except posada.ConflictError:      # read again and decide again
        ...
    except posada.PosadaError as error:
        if error.retryable:
            await asyncio.sleep(error.retry_after or 0.1)
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

__all__ = [
    "KINDS",
    "AmbiguousError",
    "ClosedError",
    "ConflictError",
    "DeniedError",
    "ExhaustedError",
    "InternalError",
    "InvalidError",
    "NotFoundError",
    "PosadaError",
    "TimeoutError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnsupportedError",
]


_LONGEST_MESSAGE: Final = 1001
"""What the crate keeps of a message."""


class PosadaError(Exception):
    """The root of everything that posada raises. It can be pickled.

    ``str(error)`` is for people and may change; compare ``code``.
    """

    kind: ClassVar[str] = "internal"
    """What the caller should do, the same for every error of one class."""

    code: str
    """What happened: a stable name such as ``sessions.conflict``."""

    message: str
    """A sentence for people."""

    retryable: bool
    """Whether the same call may succeed later."""

    retry_after: float | None
    """Seconds that have to pass before a repeat can succeed, where that is known."""

    context: Mapping[str, str]
    """Facts about it, such as ``nights`` or ``holder``. Never a secret."""

    def __init__(
        self,
        message: str = "",
        *,
        code: str = "posada.internal",
        retryable: bool = False,
        retry_after: float | None = None,
        context: Mapping[str, str] | None = None,
    ) -> None:
        if len(message) > _LONGEST_MESSAGE:  # it repeats what was given
            message = message[:_LONGEST_MESSAGE] + "…"
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after
        self.context = MappingProxyType(dict(context or {}))

    def __str__(self) -> str:
        facts = ", ".join(f"{name}: {fact}" for name, fact in self.context.items())
        return f"{self.code}: {self.message} ({facts})" if facts else f"{self.code}: {self.message}"

    @property
    def field(self) -> str | None:
        """The argument or part of the request that is wrong, where there is one."""
        return self.context.get("field")

    def __reduce__(self) -> tuple[Any, ...]:
        facts = (self.message, self.code, self.retryable, self.retry_after, dict(self.context))
        return _unpickle, (type(self), *facts), self._own_state()

    def _own_state(self) -> dict[str, Any] | None:
        """What others have put on the exception, such as notes."""
        known = {"code", "message", "retryable", "retry_after", "context"}
        return {name: value for name, value in vars(self).items() if name not in known} or None


class InvalidError(PosadaError, ValueError):
    """The request cannot be: correct it. ``field`` names the part."""

    kind = "invalid"


class UnauthenticatedError(PosadaError):
    """It is not known who is asking, or not any more: sign in (401)."""

    kind = "unauthenticated"


class DeniedError(PosadaError, PermissionError):
    """The caller may not do this (403)."""

    kind = "denied"

    def __str__(self) -> str:
        return PosadaError.__str__(self)


class NotFoundError(PosadaError, LookupError):
    """What the call is about does not exist."""

    kind = "not_found"


class ConflictError(PosadaError):
    """Another caller was first: read again and decide again."""

    kind = "conflict"


class ExhaustedError(PosadaError):
    """A limit is reached: wait as long as ``retry_after`` says, or ask for less (429)."""

    kind = "exhausted"


class UnavailableError(PosadaError):
    """A server cannot be reached, and nothing was done: try again later (503)."""

    kind = "unavailable"


class TimeoutError(PosadaError, builtins.TimeoutError):  # noqa: A001 - the same word in every language
    """No answer came in time, and nothing was done: try again later (504)."""

    kind = "timeout"

    def __str__(self) -> str:
        return PosadaError.__str__(self)


class AmbiguousError(PosadaError):
    """A write was sent and its answer is lost: read before you repeat it."""

    kind = "ambiguous"


class UnsupportedError(PosadaError):
    """The system in use cannot do this, and nothing was asked of it.

    The facts name the ``feature`` and the ``system``, and ``instead`` what can be done.
    """

    kind = "unsupported"


class ClosedError(PosadaError):
    """The handle was closed, or belongs to the process from before a fork: open a new one."""

    kind = "closed"


class InternalError(PosadaError):
    """A defect of posada, or data that cannot be: report it."""

    kind = "internal"


KINDS: Mapping[str, type[PosadaError]] = MappingProxyType(
    {
        error.kind: error
        for error in (
            InvalidError,
            UnauthenticatedError,
            DeniedError,
            NotFoundError,
            ConflictError,
            ExhaustedError,
            UnavailableError,
            TimeoutError,
            AmbiguousError,
            UnsupportedError,
            ClosedError,
            InternalError,
        )
    }
)
"""The class of each kind."""


class _BeneathError(Exception):
    """What lay beneath an error of posada, as text: the ``__cause__`` of the error."""


def _make(
    code: str,
    kind: str,
    message: str,
    retryable: bool,
    retry_after: float | None,
    context: list[tuple[str, str]],
    beneath: str | None,
) -> PosadaError:
    """Makes the exception of an error of the crate."""
    error = KINDS.get(kind, InternalError)(
        message, code=code, retryable=retryable, retry_after=retry_after, context=dict(context)
    )
    if beneath is not None:
        error.__cause__ = _BeneathError(beneath)
    return error


def _unpickle(
    error: type[PosadaError],
    message: str,
    code: str,
    retryable: bool,
    retry_after: float | None,
    context: dict[str, str],
) -> PosadaError:
    return error(message, code=code, retryable=retryable, retry_after=retry_after, context=context)
