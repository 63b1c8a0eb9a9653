"""Sign-in: users, passwords, tokens and their sessions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from posada import _native
from posada._checks import (
    Seconds,
    Whose,
    instance,
    moment,
    optional_proof,
    optional_seconds,
    optional_text,
    optional_whole,
    pairs,
    proof,
    switch,
    text,
    texts,
)
from posada._native import Claims

__all__ = [
    "AuthEvent",
    "AuthEvents",
    "AuthOptions",
    "Authenticator",
    "Claims",
    "ClaimsSource",
    "PasswordPolicy",
    "Permission",
    "Profile",
    "Role",
    "SignInSession",
    "TokenKind",
    "TokenPair",
    "User",
    "legacy_password_hash",
    "own_permission",
    "password_matches",
    "password_violations",
    "role_permissions",
]

Role = Literal["guest", "receptionist", "manager", "admin", "system"]
"""What a user may do."""


class Permission(str, Enum):
    """What a role may do in its hotel. A name that is not among these, nor declared by ``own_permission``, is refused:
    a misspelled one would be a right of every administrator.
    """

    VIEW_OWN_RESERVATIONS = "view_own_reservations"
    MODIFY_OWN_RESERVATIONS = "modify_own_reservations"
    VIEW_RESERVATIONS = "view_reservations"
    CREATE_RESERVATIONS = "create_reservations"
    MODIFY_RESERVATIONS = "modify_reservations"
    CHECK_AVAILABILITY = "check_availability"
    GUEST_CHECKIN = "guest_checkin"
    GUEST_CHECKOUT = "guest_checkout"
    VIEW_REPORTS = "view_reports"
    MANAGE_RATES = "manage_rates"
    MANAGE_INVENTORY = "manage_inventory"
    VIEW_ANALYTICS = "view_analytics"
    CANCEL_RESERVATIONS = "cancel_reservations"

    def __str__(self) -> str:
        return self.value


Profile = Literal["legacy", "strict"]
"""What new tokens look like. Tokens of both profiles are accepted."""

PasswordPolicy = Literal["legacy", "nist"]
"""The rules for new passwords: the app's, or those of NIST SP 800-63B."""

TokenKind = Literal["reset_password", "verify_email"]
"""What a token of ``issue`` lets its holder do."""

ClaimsSource = Literal["local", "redis", "store"]
"""Where the answer to "is this session still alive?" came from."""


@dataclass(frozen=True, slots=True)
class User:
    """A user, without anything secret."""

    id: str
    """A random id."""
    username: str
    """Unique in the whole database, case-sensitive."""
    email: str
    """Unique in the whole database."""
    full_name: str | None
    """For people."""
    tenant: str | None
    """The hotel's id; ``None`` for a user of the installation."""
    role: Role
    """What the user may do."""
    is_active: bool
    """Whether the user may sign in."""
    is_superuser: bool
    """Whether the user may act for other hotels, by an explicit call."""
    must_change_password: bool
    """Whether nothing but a change of the password is possible."""
    password_changed_at: dt.datetime
    """When the password was set (UTC)."""


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a sign-in gives. Its ``repr`` shows no token."""

    access: str = field(repr=False)
    """Opens the API; send it as ``Authorization: Bearer …``."""
    refresh: str = field(repr=False)
    """Gets the next pair, once."""
    access_expires_at: dt.datetime
    """When the access token ends (UTC)."""
    refresh_expires_at: dt.datetime
    """When the session ends unless it is refreshed before (UTC)."""
    session: str
    """The id of the session."""
    must_change_password: bool
    """Whether nothing but a change of the password is possible with it."""


@dataclass(frozen=True, slots=True)
class SignInSession:
    """One place where a user is signed in."""

    id: str
    """The id of the session."""
    created_at: dt.datetime
    """When it began (UTC)."""
    expires_at: dt.datetime
    """When it ends unless it is refreshed before (UTC)."""
    user_agent: str | None
    """The program."""
    address: str | None
    """The address at the sign-in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthOptions:
    """How sign-in behaves. What is ``None`` has its default, which suits an installation whose app reads the tokens."""

    profile: Profile | None = None
    """What new tokens look like. Default: ``legacy``."""
    previous_keys: Sequence[tuple[str, dt.datetime]] = field(default=(), repr=False)
    """Keys that only verify, and until when: at most two.

    The key that signed before and, while programs with the old key still run, the one that signs next. SETTINGS.md says
    in which order a change of the key signs no user out.
    """
    accept_sessionless: bool | None = None
    """Whether tokens that the app made without a session are accepted. Default: yes."""
    issuer: str | None = None
    """Issuer of strict tokens. Default: ``posada``."""
    audience: str | None = None
    """Audience of strict tokens. Default: ``posada``."""
    access_life: Seconds | None = None
    """Life of an access token, 1 minute to 24 hours. Default: the ``jwt_expiry`` of the settings."""
    idle_life: Seconds | None = None
    """A session that is not refreshed for this long ends. Default: 7 days."""
    absolute_life: Seconds | None = None
    """A session ends this long after it began. Default: 30 days."""
    grace: Seconds | None = None
    """For how long a used refresh token gives the same pair again, at most 30 seconds. Default: 10 seconds."""
    max_staleness: Seconds | None = None
    """How old the knowledge may be that a session is alive, at most one minute. Default: 5 seconds."""
    session_limit: int | None = None
    """Live sessions of one user; the oldest gives way to the newest. Default: 10."""
    password_policy: PasswordPolicy | None = None
    """Rules for new passwords. Default: ``nist``."""
    password_min_length: int | None = None
    """The fewest characters under ``nist``. Default: 12. Give the policy with it."""
    password_history: int | None = None
    """How many old passwords cannot be used again. Default: 5."""
    password_life: Seconds | None = None
    """After this long a password must be changed. Default: never, as NIST advises."""

    def __post_init__(self) -> None:
        for name in ("access_life", "idle_life", "absolute_life", "grace", "max_staleness", "password_life"):
            optional_seconds(name, getattr(self, name))
        for name in ("profile", "issuer", "audience", "password_policy"):
            optional_text(name, getattr(self, name))
        for name in ("session_limit", "password_min_length", "password_history"):
            optional_whole(name, getattr(self, name))
        if self.accept_sessionless is not None:
            switch("accept_sessionless", self.accept_sessionless)
        previous = pairs("previous_keys", self.previous_keys)
        keys = tuple((text("previous_keys", key), moment("previous_keys", until)) for key, until in previous)
        object.__setattr__(self, "previous_keys", keys)


@dataclass(frozen=True, slots=True)
class AuthEvent:
    """Something that happened at sign-in, in the words of the OWASP logging vocabulary. It holds no secret."""

    kind: str
    """What happened, such as ``authn_login_fail``."""
    user: str | None
    """A mark of the user, eight characters; the same user has the same mark while the key is the same.

    ``None`` where it is not known whose attempt it is.
    """
    account: str | None
    """Of a sign-in: a mark of the name that was typed, eight characters, also when no user has it."""
    address: str | None
    """Of a sign-in: the address that the program gave with it."""
    tenant: str | None
    """The hotel's id: the user's, or the one that was asked for."""
    detail: str
    """More about it, from a fixed list of words."""
    is_warning: bool
    """Whether a person should look at it."""


class AuthEvents:
    """The audit events of sign-in: ``async for event in p.auth.events()``.

    A listener that is 1024 events behind misses the oldest.
    """

    __slots__ = ("_native",)

    def __init__(self, native: _native.AuthWatch) -> None:
        self._native = native

    def __aiter__(self) -> AuthEvents:
        return self

    async def __anext__(self) -> AuthEvent:
        event = await self.next()
        if event is None:
            raise StopAsyncIteration
        return event

    async def next(self) -> AuthEvent | None:
        """The next event; ``None`` when the handle is gone. Cancel-safe: nothing is lost."""
        parts = await self._native.next()
        return None if parts is None else AuthEvent(*parts)


class Authenticator:
    """Users, passwords, tokens and their sessions.

    A token alone proves nothing: its session must be alive, and role and hotel are those of the database. A fault of
    Postgres, Redis or the hash pool is ``postgres.*``, ``redis.*`` or ``auth.hashing_busy`` (503), never a 401 or
    403, and never counts as a failed attempt.
    """

    __slots__ = ("_native",)

    def __init__(self, handle: _native.Handle) -> None:
        self._native = _native.Auth(handle)

    async def create_user(
        self,
        username: str,
        email: str,
        password: str,
        *,
        tenant: Whose | None = None,
        role: Role = "guest",
        full_name: str | None = None,
        superuser: bool = False,
        must_change_password: bool = False,
    ) -> User:
        """Makes a user. Detached. The address is compared with those of others without regard to case.

        Raises ``auth.weak_password`` or ``auth.invalid_password`` as the policy says, ``auth.user_exists``,
        ``auth.invalid_user``, also for a hotel that does not exist, ``auth.hashing_busy``; ``postgres.*``.
        """
        new = (
            text("username", username),
            text("email", email),
            text("password", password, "auth.invalid_password"),
            optional_text("full_name", full_name),
            tenant,
            text("role", role),
            switch("superuser", superuser),
            switch("must_change_password", must_change_password),
        )
        return User(*await self._native.create_user(new))

    async def login(
        self,
        username: str,
        password: str,
        *,
        tenant: Whose | None = None,
        address: str | None = None,
        user_agent: str | None = None,
        device_cookie: str | None = None,
    ) -> TokenPair:
        """Signs in. Take ``address`` from the socket, never from a header that anybody can send. Detached.

        Raises ``auth.bad_credentials`` (401) for every reason that lies with the user; ``auth.throttled`` with the
        time to wait; ``auth.second_factor_required`` (403); ``auth.hashing_busy``; ``postgres.*`` (503).
        """
        attempt = (
            proof("username", username),
            proof("password", password),
            tenant,
            optional_text("address", address),
            optional_proof("user_agent", user_agent),
            optional_proof("device_cookie", device_cookie),
        )
        return TokenPair(*await self._native.login(attempt))

    async def device_cookie(self, claims: Claims) -> str:
        """A cookie for the device of a user who is signed in: with it, attempts from this device count apart.

        It is good until the password is changed. All cookies of one user share eight quotas.
        """
        return await self._native.device_cookie(instance("claims", claims, Claims))

    async def refresh(self, refresh: str) -> TokenPair:
        """The next pair. Detached: when the answer is lost, the same token gives the same pair within the grace.

        Raises ``auth.invalid_token``, ``auth.token_expired``, ``auth.session_ended``, and ``auth.token_reused`` (all
        401) for a token that was used before: its session is revoked then. ``postgres.*`` (503): not used up.
        """
        return TokenPair(*await self._native.refresh(proof("refresh", refresh)))

    async def logout(self, token: str) -> None:
        """Ends the session of an access or refresh token. Detached. Raises as ``verify``; ``postgres.*``."""
        await self._native.logout(proof("token", token))

    async def logout_session(self, claims: Claims, session: str) -> bool:
        """Ends one session of the user of the claims; answers whether there was one. Detached."""
        return await self._native.logout_session(instance("claims", claims, Claims), text("session", session))

    async def logout_everywhere(self, claims: Claims, *, keep_current: bool = False) -> int:
        """Ends every session of the user of the claims, or all but the one of the claims; answers how many."""
        return await self._native.logout_everywhere(
            instance("claims", claims, Claims), switch("keep_current", keep_current)
        )

    async def sessions(self, claims: Claims) -> list[SignInSession]:
        """Where the user of the claims is signed in, the newest first. Cancel-safe read."""
        return [SignInSession(*parts) for parts in await self._native.sessions(instance("claims", claims, Claims))]

    async def measure(self) -> int:
        """Counts the live sessions of all users, and shows the number as the gauges of sign-in. Cancel-safe read.

        For a scheduler, once a minute or so. Raises ``postgres.*``: the gauges keep their last value then.
        """
        return await self._native.measure()

    async def change_password(self, access: str, current: str, new: str) -> TokenPair:
        """Changes the password of the user of the access token. Every session ends; the answer begins a new one.

        Detached. Raises as ``verify``; ``auth.bad_credentials`` for a wrong current password;
        ``auth.weak_password``, ``auth.password_reused``, ``auth.invalid_password``, ``auth.password_conflict``;
        ``auth.hashing_busy``, ``postgres.*`` (503).
        """
        changed = await self._native.change_password(
            proof("access", access), proof("current", current), text("new", new, "auth.invalid_password")
        )
        return TokenPair(*changed)

    async def set_password(self, user: str, new: str, *, tenant: Whose | None = None, must_change: bool = True) -> None:
        """Sets a user's password, for administrators. Every session of the user ends. Detached.

        The caller has checked that it may. Raises ``auth.user_not_found``, also for a user of another hotel.
        """
        await self._native.set_password(
            text("user", user),
            tenant,
            text("new", new, "auth.invalid_password"),
            switch("must_change", must_change),
        )

    async def issue(self, user: str, kind: TokenKind, *, tenant: Whose | None = None) -> str:
        """A token that lets its holder do one thing for a user, for a quarter of an hour. Cancel-safe read.

        Raises ``auth.user_not_found``; ``auth.invalid_token`` for kinds that only a sign-in gives; ``postgres.*``.
        """
        return await self._native.issue(text("user", user), tenant, text("kind", kind))

    async def reset_password(self, reset: str, new: str) -> None:
        """Sets the password of the user of a token of ``issue``. Works once. Every session ends. Detached."""
        await self._native.reset_password(proof("reset", reset), text("new", new, "auth.invalid_password"))

    async def verify(self, access: str) -> Claims:
        """Whose access token it is. A known session costs no I/O. Cancel-safe read.

        Raises ``auth.invalid_token``, ``auth.token_expired``, ``auth.session_ended`` (401);
        ``auth.password_must_change`` (403); ``settings.*`` without a usable key; ``postgres.*`` (503) when Postgres
        is down and the session is not known, never 401.
        """
        return await self._native.verify(proof("access", access))

    async def verify_privileged(self, access: str) -> Claims:
        """As ``verify``, but the store is asked now: for requests that administer users, hotels or money."""
        return await self._native.verify_privileged(proof("access", access))

    def has_permission(self, claims: Claims, permission: str) -> bool:
        """Whether the role of the claims has a permission; in which hotel is asked by ``Claims.require_for``.

        ``False`` for users of others, where the handle is bound to a tenant. Raises ``auth.invalid_permission``.
        """
        return self._native.has_permission(instance("claims", claims, Claims), text("permission", permission))

    async def act_across_tenants(self, claims: Claims, *, tenant: Whose, reason: str) -> Claims:
        """Claims with which a superuser acts for another hotel. Raises an audit event with ``reason``.

        The store is asked now whether the hotel is there and active. Cancel-safe read. The reason is a constant of 1
        to 200 bytes that says why the program does it; a process has at most 256 of them.

        Raises ``auth.forbidden`` (403) for users who are not superusers, whether there is such a hotel or not;
        ``tenants.not_found``; ``tenants.inactive`` (403); ``posada.invalid_argument`` for a reason that is none;
        ``postgres.*``.
        """
        claims = instance("claims", claims, Claims)
        return await self._native.act_across_tenants(claims, tenant, text("reason", reason))

    def events(self) -> AuthEvents:
        """The audit events of this handle from now on; of one that is bound to a tenant, those of that tenant."""
        return AuthEvents(self._native.events())


def own_permission(name: str) -> str:
    """Declares a permission of the program's own, which administrators have and no other role; answers its name.

    Declare it in one place, as a constant. Raises ``auth.invalid_permission`` for anything but 1 to 64 lower-case
    letters, digits and ``_``; ``posada.invalid_argument`` for the 257th of a process.
    """
    return _native.own_permission(text("name", name))


def role_permissions(role: Role) -> list[str]:
    """The permissions of a role. Raises ``InvalidError`` for what is none."""
    return _native.role_permissions(text("role", role))


def password_matches(password: str, hash: str) -> bool:
    """Whether a password is the one behind a stored hash: argon2 as posada or passlib makes it, bcrypt as the app does.

    Takes tens to hundreds of milliseconds of this thread, without the interpreter's lock; in a coroutine use
    ``asyncio.to_thread``. A sign-in is ``Authenticator.login``, which also counts attempts.
    """
    return _native.password_matches(proof("password", password), proof("hash", hash))


def legacy_password_hash(password: str) -> str:
    """A hash that the app can verify too: bcrypt ``$2b$12$``. Takes as long as ``password_matches``.

    Raises ``auth.invalid_password`` for more than 72 bytes, which is all that bcrypt reads, and for NUL.
    """
    return _native.legacy_password_hash(text("password", password, "auth.invalid_password"))


def password_violations(
    password: str,
    *,
    policy: PasswordPolicy = "nist",
    min_length: int | None = None,
    context: Iterable[str] = (),
) -> list[str]:
    """What a policy has against a password, in its words; empty when it is good enough.

    ``context`` are words that the password must not be made of, such as the username. Takes up to tens of milliseconds
    of this thread, without the interpreter's lock; in a coroutine use ``asyncio.to_thread``.
    """
    shortest = optional_whole("min_length", min_length)
    return _native.password_violations(
        text("policy", policy), shortest, text("password", password), texts("context", context)
    )
