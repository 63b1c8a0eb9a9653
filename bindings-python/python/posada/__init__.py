"""The data layer of a multi-tenant hotel backend.

A message of a guest asks questions, and each is one service of a ``Posada``::

    async with posada.Posada.embedded() as p:          # on servers: posada.Posada.from_env()
        found = await p.tenants.resolve("5491112345678", channel="whatsapp")     # which hotel is it?
        session = await p.sessions.get_or_create("5491187654321", "whatsapp")    # what was said before?
        may = p.flags.is_enabled("canary.enabled", tenant="hotel-test")          # may the agent do this?
        async with p.locks.acquire("housekeeping:101", wait=5):            # only one at a time
            ...
        hotels = await p.pms.hotels()                                            # the hotel's own system

Who may ask all this is the business of ``p.auth``, and how often that of ``p.limits``. Names are flat, as in
``posada.StayHold``; each also stands in the module of its service, as in ``posada.locks.StayHold``, and ``__all__`` is
in that order. Everything that goes wrong is a ``PosadaError``. Coroutines are *cancel-safe reads*, *detached*
(cancelling loses only the answer), or *owned* (cancelling leaves nothing behind); each says which.
"""

from __future__ import annotations

import atexit
import os
from typing import TYPE_CHECKING

from posada import _native
from posada._checks import Seconds, Whose
from posada._correlation import correlation, correlation_headers
from posada._native import Resolution, Tenant, set_workers, workers
from posada._posada import Applied, Connecting, Posada
from posada.errors import (
    AmbiguousError,
    ClosedError,
    ConflictError,
    DeniedError,
    ExhaustedError,
    InternalError,
    InvalidError,
    NotFoundError,
    PosadaError,
    TimeoutError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedError,
)
from posada.settings import VARIABLES, Environment, Pooling, Settings, TlsMode

if TYPE_CHECKING:
    from posada.auth import (
        Authenticator,
        AuthEvent,
        AuthEvents,
        AuthOptions,
        Claims,
        ClaimsSource,
        PasswordPolicy,
        Permission,
        Profile,
        Role,
        SignInSession,
        TokenKind,
        TokenPair,
        User,
        legacy_password_hash,
        own_permission,
        password_matches,
        password_violations,
        role_permissions,
    )
    from posada.doctor import FINDING_CODES, Diagnosis, Finding, Severity
    from posada.flags import (
        DEFAULT_FLAGS,
        Evaluation,
        FeatureFlags,
        Flag,
        FlagChange,
        FlagPayload,
        FlagReason,
        FlagSnapshot,
        FlagSource,
        FlagStatus,
        FlagVariant,
        FlagWatch,
    )
    from posada.health import Health
    from posada.limits import Decision, FailurePolicy, RateLimit, RateLimiter, Strategy
    from posada.locks import (
        AuditEntry,
        AuditEvent,
        Hold,
        HoldState,
        LockGuard,
        LockManager,
        LockState,
        LossCause,
        Release,
        StayHold,
        Taking,
    )
    from posada.pms import (
        Availability,
        BookedService,
        Booking,
        BookingChange,
        BookingRequest,
        BookingStatus,
        CancellationTerms,
        Capabilities,
        Change,
        Changes,
        Charge,
        ChargeKind,
        ChosenService,
        Collision,
        Created,
        Due,
        Folio,
        FolioLine,
        Guest,
        GuestProfile,
        Hotel,
        IdempotencyKey,
        Invoice,
        MissingPermission,
        MockPms,
        Money,
        Occupancy,
        OccupancyLimits,
        Offer,
        Payment,
        PmsClient,
        PmsEvent,
        PmsEvents,
        Price,
        Quote,
        QuotedService,
        RoomStay,
        RoomType,
        Service,
    )
    from posada.sessions import ActiveSession, Session, SessionManager
    from posada.stay import Stay
    from posada.tenants import BusinessHours, Channel, Identifier, TenantResolver, TenantStats, TenantStatus
else:
    # Making the classes takes longer than all the rest, and few programs need them all: each module is imported when
    # one of its names is first used.
    _MODULES = {
        "auth": (
            "Authenticator AuthEvent AuthEvents AuthOptions Claims ClaimsSource PasswordPolicy Permission Profile Role "
            "SignInSession TokenKind TokenPair User legacy_password_hash own_permission password_matches "
            "password_violations role_permissions"
        ),
        "doctor": "FINDING_CODES Diagnosis Finding Severity",
        "flags": (
            "DEFAULT_FLAGS Evaluation FeatureFlags Flag FlagChange FlagPayload FlagReason FlagSnapshot FlagSource "
            "FlagStatus FlagVariant FlagWatch"
        ),
        "health": "Health",
        "limits": "Decision FailurePolicy RateLimit RateLimiter Strategy",
        "locks": (
            "AuditEntry AuditEvent Hold HoldState LockGuard LockManager LockState LossCause Release StayHold Taking"
        ),
        "pms": (
            "Availability BookedService Booking BookingChange BookingRequest BookingStatus CancellationTerms "
            "Capabilities Change Changes Charge ChargeKind ChosenService Collision Created Due Folio FolioLine Guest "
            "GuestProfile Hotel "
            "IdempotencyKey Invoice MissingPermission MockPms Money Occupancy OccupancyLimits Offer Payment PmsClient "
            "PmsEvent PmsEvents "
            "Price Quote QuotedService RoomStay RoomType Service Recheck"
        ),
        "sessions": "ActiveSession Session SessionManager",
        "stay": "Stay",
        "tenants": "BusinessHours Channel Identifier TenantResolver TenantStats TenantStatus",
    }
    _HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}

    def __getattr__(name):
        from importlib import import_module

        if name in _MODULES:
            return import_module(f"posada.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(f"posada.{_HOMES[name]}"), name)
        return found

    def __dir__():
        return sorted({*globals(), *_MODULES, *_HOMES})


__all__ = [
    # the handle
    "Applied",
    "Connecting",
    "Posada",
    "Seconds",
    "__version__",
    "correlation",
    "correlation_headers",
    "set_workers",
    "workers",
    # settings: where the servers are
    "VARIABLES",
    "Environment",
    "Pooling",
    "Settings",
    "TlsMode",
    # errors: what went wrong
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
    # tenants: which hotel is it?
    "BusinessHours",
    "Channel",
    "Identifier",
    "Resolution",
    "Tenant",
    "TenantResolver",
    "TenantStats",
    "TenantStatus",
    "Whose",
    # sessions: what was said before?
    "ActiveSession",
    "Session",
    "SessionManager",
    # flags: may the agent do this?
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
    # locks: one at a time, and nights that are kept
    "AuditEntry",
    "AuditEvent",
    "Hold",
    "HoldState",
    "LockGuard",
    "LockManager",
    "LockState",
    "LossCause",
    "Release",
    "StayHold",
    "Taking",
    # pms: the hotel's own system
    "Availability",
    "BookedService",
    "Booking",
    "BookingChange",
    "BookingRequest",
    "BookingStatus",
    "CancellationTerms",
    "Capabilities",
    "Change",
    "Changes",
    "Charge",
    "ChargeKind",
    "ChosenService",
    "Collision",
    "Created",
    "Due",
    "Folio",
    "FolioLine",
    "Guest",
    "GuestProfile",
    "Hotel",
    "IdempotencyKey",
    "Invoice",
    "MissingPermission",
    "MockPms",
    "Money",
    "Occupancy",
    "OccupancyLimits",
    "Offer",
    "Payment",
    "PmsClient",
    "PmsEvent",
    "PmsEvents",
    "Price",
    "Quote",
    "QuotedService",
    "Recheck",
    "RoomStay",
    "RoomType",
    "Service",
    "Stay",
    # auth: who is asking, and may they?
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
    # limits: how often?
    "Decision",
    "FailurePolicy",
    "RateLimit",
    "RateLimiter",
    "Strategy",
    # health and doctor: how the servers are
    "FINDING_CODES",
    "Diagnosis",
    "Finding",
    "Health",
    "Severity",
]

__version__: str = _native.__version__

_SECONDS_AT_EXIT = 3.0
"""How long the end of the process waits for handles that were not closed."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_native._forked)
atexit.register(_native._shutdown, _SECONDS_AT_EXIT)
