"""Whose request it is: the app's ``core.tenant_context``."""

from __future__ import annotations

from contextvars import ContextVar, Token

__all__ = ["clear_tenant_id", "get_tenant_id", "reset_tenant_id", "set_tenant_id"]

_tenant_id: ContextVar[str | None] = ContextVar("tenant_id", default=None)


def set_tenant_id(tenant_id: str | None) -> Token[str | None]:
    """Sets the tenant of the current task; give what it answers to ``reset_tenant_id``."""
    return _tenant_id.set(tenant_id)


def reset_tenant_id(token: Token[str | None]) -> None:
    """Undoes a ``set_tenant_id``."""
    _tenant_id.reset(token)


def get_tenant_id() -> str | None:
    """The tenant of the current task."""
    return _tenant_id.get()


def clear_tenant_id() -> None:
    """Forgets the tenant of the current task."""
    _tenant_id.set(None)
