"""Conversations: what was said before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from posada import _native
from posada._checks import Whose, instance, moment, optional_text, text

__all__ = ["ActiveSession", "Session", "SessionManager"]


class Session:
    """A conversation as it was read: change ``document`` and ``save`` it."""

    __slots__ = ("_document", "_spelled", "_state")

    def __init__(self, state: _native.SessionState) -> None:
        self._state = state
        self._document: dict[str, Any] | None = None
        self._spelled: list[tuple[float, str]] | None = None

    @property
    def document(self) -> dict[str, Any]:
        """What is known of the conversation, as Python's own objects.

        Numbers that are not touched keep their digits, ``120.50`` and ``1e400`` among them, wherever in the document
        they are put. (An integer that was stored as ``-0`` is ``0``.)
        """
        if self._document is None:
            self._document, self._spelled = self._state.document()
        return self._document

    @document.setter
    def document(self, document: dict[str, Any]) -> None:
        if not isinstance(document, dict):
            raise TypeError(f"document: expected dict, not {type(document).__name__}")
        self._document = document

    @property
    def id(self) -> str:
        """A stable name of the conversation, the same in every process. Use it as the session id of stay holds."""
        return self._state.id

    @property
    def user(self) -> str:
        """The user to whom the conversation belongs, as its channel knows it."""
        return self._state.user

    @property
    def tenant(self) -> str | None:
        """The tenant's id, if there is one."""
        return self._state.tenant

    @property
    def channel(self) -> str | None:
        """Where the conversation takes place, such as ``whatsapp``."""
        return self._state.channel

    @property
    def expires(self) -> dt.datetime | None:
        """When it ends unless it is written or touched (UTC); ``None`` when another program stored it without end."""
        return self._state.expires

    @property
    def is_new(self) -> bool:
        """Whether the call that answered this session began the conversation."""
        return self._state.is_new

    def __repr__(self) -> str:
        return f"Session(id={self.id!r}, expires={self.expires!r}, is_new={self.is_new!r})"


@dataclass(frozen=True, slots=True)
class ActiveSession:
    """A live conversation, as ``list`` names it."""

    user: str
    """The user to whom it belongs."""
    expires: dt.datetime
    """When it ends unless it is written or touched (UTC)."""


class SessionManager:
    """The conversations of guests: no lost update, and none overwritten because a read failed.

    Every call may raise ``sessions.invalid_user`` for a user id that is empty, longer than 255 bytes or holds control
    characters. When Redis is down, every call raises ``redis.unavailable`` or ``redis.timeout``, and nothing was
    done; ``redis.outcome_unknown`` (``AmbiguousError``) when a write was sent and could not be looked up either.
    """

    __slots__ = ("_native",)

    def __init__(self, handle: _native.Handle) -> None:
        self._native = _native.Sessions(handle)

    async def get_or_create(self, user: str, channel: str, *, tenant: Whose | None = None) -> Session:
        """The conversation of a user, begun now if there is none. Reading does not renew its life.

        Any number of callers who begin it at once get the same one. ``channel`` matters only when it begins.
        Cancel-safe: at worst an empty conversation has begun.

        Raises ``sessions.invalid_channel``; ``sessions.corrupt`` when something else is stored there, which stays.
        """
        return Session(await self._native.get_or_create(user, channel, tenant))

    async def get(self, user: str, *, tenant: Whose | None = None) -> Session | None:
        """The conversation of a user, if there is one. Cancel-safe read. Raises ``sessions.corrupt``."""
        state = await self._native.get(user, tenant)
        return None if state is None else Session(state)

    async def save(self, session: Session) -> None:
        """Stores a changed conversation, sets its ``last_activity`` and renews its life.

        After a success the session can be changed and saved again. After a conflict read it again, or use
        ``update``, which does that. Detached: it ends although the caller stops waiting.

        Raises ``sessions.conflict`` when another caller wrote since it was read; ``sessions.gone`` when it expired or
        was deleted (it is not brought back); ``sessions.too_large`` beyond 256 KiB; ``sessions.invalid_document`` for
        what cannot be stored, with its place; ``TypeError`` for what JSON has no word for.
        """
        document = instance("session", session, Session).document
        state = await self._native.save(session._state, document, session._spelled)
        session._state = state
        stored = state.last_activity
        if stored is not None:
            document["last_activity"] = stored

    async def update(self, user: str, patch: Mapping[str, Any], *, tenant: Whose | None = None) -> Session:
        """Applies a JSON merge patch (RFC 7396) again and again while others write too; answers what is stored then.

        ``None`` removes a member, lists are replaced as a whole. Detached.

        Raises ``sessions.gone`` when there is no such conversation; ``sessions.conflict`` when others kept writing
        for five seconds; ``sessions.too_large``, ``sessions.invalid_document``, ``sessions.corrupt``.
        """
        return Session(await self._native.update(user, patch, tenant))

    async def append_turn(
        self,
        user: str,
        role: str,
        content: str,
        *,
        tenant: Whose | None = None,
        id: str | None = None,
        at: dt.datetime | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> Session:
        """Appends a turn to the list ``history``, and answers what is stored then. Detached.

        The oldest turns go when there are more than 50 or when they take more than 64 KiB. A turn whose ``id`` is
        there already changes nothing. ``more`` are further members of the turn.
        ``content`` is kept as it is, half of an emoji too.

        Raises as ``update``; ``sessions.too_large`` also for a single turn beyond 64 KiB.
        """
        return Session(
            await self._native.append_turn(
                user,
                text("role", role),
                content,
                optional_text("id", id),
                None if at is None else moment("at", at),
                more,
                tenant,
            )
        )

    async def touch(self, user: str, *, tenant: Whose | None = None) -> bool:
        """Renews the life of a conversation without writing it; answers whether there is one. Detached.

        Raises ``sessions.corrupt`` or ``redis.wrong_type`` when something else is stored there, which stays as it is.
        """
        return await self._native.touch(user, tenant)

    async def delete(self, user: str, *, tenant: Whose | None = None) -> bool:
        """Ends a conversation; answers whether there was one. Sessions in hand cannot bring it back. Detached."""
        return await self._native.delete(user, tenant)

    async def list(self, *, tenant: Whose | None = None) -> list[ActiveSession]:
        """The live conversations of a tenant (or of none), the first to end first. Cancel-safe read."""
        return [ActiveSession(*parts) for parts in await self._native.list(tenant)]

    async def count(self, *, tenant: Whose | None = None) -> int:
        """How many conversations ``list`` would name. Cancel-safe read."""
        return await self._native.count(tenant)

    async def measure(self) -> int:
        """Counts the live conversations of all tenants and of none; for a scheduler. Cancel-safe read."""
        return await self._native.measure()

    async def purge_tenant(self, tenant: Whose) -> int:
        """Deletes every conversation of a tenant, also those that only the app has written; answers how many.

        Detached. On one Redis server it walks all keys, so it is for the rare case.
        """
        return await self._native.purge_tenant(tenant)

    async def purge_user(self, user: str) -> int:
        """Deletes the conversations of a user with every tenant and with none; answers how many. Detached."""
        return await self._native.purge_user(user)
