"""Whose request it is: the app's ``core.tenant_context``.

Where a tenant was set by a module that still imports the app's own, it counts here, too.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar, Token
from typing import Final

__all__ = ["clear_tenant_id", "get_tenant_id", "reset_tenant_id", "set_tenant_id"]


class _Unset:
    """Nothing was said here."""


_UNSET: Final = _Unset()
_tenant_id: ContextVar[str | _Unset | None] = ContextVar("tenant_id", default=_UNSET)


def set_tenant_id(tenant_id: str | None) -> Token[str | _Unset | None]:
    """Sets the tenant of the current task; give what it answers to ``reset_tenant_id``."""
    return _tenant_id.set(tenant_id)


def reset_tenant_id(token: Token[str | _Unset | None]) -> None:
    """Undoes a ``set_tenant_id``."""
    _tenant_id.reset(token)


def get_tenant_id() -> str | None:
    """The tenant of the current task."""
    tenant = _tenant_id.get()
    return _of_the_app() if isinstance(tenant, _Unset) else tenant


def clear_tenant_id() -> None:
    """Forgets the tenant of the current task."""
    _tenant_id.set(None)


def _of_the_app() -> str | None:
    ask = getattr(sys.modules.get("app.core.tenant_context"), "get_tenant_id", None)
    tenant = ask() if callable(ask) else None
    return tenant if isinstance(tenant, str) else None
