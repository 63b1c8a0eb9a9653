"""posada in a FastAPI app: a lifespan, dependencies, answers to errors, and the pages for operators.

::

    app = FastAPI(lifespan=lifespan(Posada.from_env))
    add_error_handlers(app)
    app.add_middleware(MetricsMiddleware)
    app.include_router(health_router())
    app.include_router(metrics_router())

    @app.get("/arrivals", dependencies=[Depends(require("guest_checkin")), Depends(rate_limit("30/minute"))])
    async def arrivals(p: CurrentPosada, hotel: CurrentTenant):
        ...

Needs the extra ``posada[fastapi]``. A fault of the servers is answered 503 or 504, never 401 or 403.
"""

# No `from __future__ import annotations`: FastAPI reads the annotations of the functions that are made in functions.

import datetime as dt
import logging
import math
import time
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any, Final, TypeAlias

try:
    from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request, Response
    from fastapi.requests import HTTPConnection
    from fastapi.responses import JSONResponse
    from fastapi.security import OAuth2PasswordBearer
    from starlette.datastructures import Headers, MutableHeaders
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
except ImportError as _missing:
    raise ImportError("posada.fastapi needs FastAPI: pip install 'posada[fastapi]'") from _missing

from posada import _native, metrics
from posada._checks import switch, text
from posada._correlation import within
from posada._posada import Posada
from posada._routes import endpoint
from posada.auth import Claims
from posada.errors import DeniedError, InvalidError, NotFoundError, PosadaError
from posada.limits import Decision, RateLimit
from posada.tenants import Tenant

__all__ = [
    "TOKEN_URL",
    "CorrelationMiddleware",
    "CurrentPosada",
    "CurrentTenant",
    "CurrentUser",
    "MetricsMiddleware",
    "add_error_handlers",
    "current_posada",
    "current_tenant",
    "current_user",
    "flag",
    "health_router",
    "lifespan",
    "metrics_router",
    "peer",
    "privileged_user",
    "rate_limit",
    "require",
    "status_of",
    "superuser",
]

TOKEN_URL: Final = "/admin/token"
"""Where the pages of the API's documentation sign in. An app that signs in elsewhere only loses that button."""

_log: Final = logging.getLogger("posada.fastapi")

_bearer: Final = OAuth2PasswordBearer(tokenUrl=TOKEN_URL, auto_error=False)

_Lifespan: TypeAlias = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def lifespan(
    opens: Callable[[], AbstractAsyncContextManager[Posada]] = Posada.from_env, *, migrate: bool = False
) -> _Lifespan:
    """Opens a handle when the app starts, as ``app.state.posada``, and closes it when the app ends.

    With ``Posada.from_env`` the app starts only when its servers answer; with
    ``lambda: Posada.build(Settings.from_env())`` it starts anyway, and ``/health/ready`` says what is missing.
    ``migrate`` brings the database up to date first. A lifespan of your own can enter this one.
    """

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        async with opens() as p:
            if migrate:
                await p.migrate()
            app.state.posada = p
            yield

    return living


class CorrelationMiddleware:
    """Lets a request be followed: ``app.add_middleware(CorrelationMiddleware)``.

    Its id is what it brings as ``X-Request-ID`` or ``X-Correlation-ID``, or a new one where it brings none that can be
    used. It stands in the answer under both names, and in everything that is asked of a hotel's system meanwhile, as
    does the ``traceparent`` of the request: see ``posada.correlation``.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        brought = headers.get("x-request-id") or headers.get("x-correlation-id")
        ids = _ids(brought) or _native.Ids(str(uuid.uuid4()))
        if "traceparent" in headers:
            ids = _ids(ids.request_id, headers["traceparent"]) or ids

        async def tagged(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer["X-Request-ID"] = answer["X-Correlation-ID"] = ids.request_id
            await send(message)

        with within(ids):
            await self._app(scope, receive, tagged)


class MetricsMiddleware:
    """Counts the requests of the app and how long they take: ``app.add_middleware(MetricsMiddleware)``.

    They are ``http_requests_total`` by ``method``, ``endpoint`` and ``status_code``, and
    ``http_request_duration_seconds`` by the first two, on the page of ``metrics_router``. The endpoint is the route,
    such as ``/guests/{guest}``, in a mounted app behind the path of the mount, such as ``/hotels/{hotel}/guests``; a
    request of no route is ``other``, so that nobody fills the memory with paths. A request that ends with an exception
    counts as 500. Add it last, so that it sees what the others answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status, asked = time.perf_counter(), 500, dict(scope)

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            took = time.perf_counter() - begun
            _native.count_request(scope["method"], endpoint(asked, scope), status, took)


def _ids(request_id: str | None, traceparent: str | None = None) -> _native.Ids | None:
    """These, if they can be sent along."""
    try:
        return _native.Ids(request_id, traceparent) if request_id else None
    except InvalidError:
        return None


async def current_posada(request: Request) -> Posada:
    """The handle of the app."""
    p: Posada | None = getattr(request.app.state, "posada", None)
    if p is None:
        raise RuntimeError("app.state.posada is missing: make the app with lifespan=posada.fastapi.lifespan()")
    return p


CurrentPosada: TypeAlias = Annotated[Posada, Depends(current_posada)]
"""A parameter of a route: the handle of the app."""

_Token: TypeAlias = Annotated[str | None, Depends(_bearer)]


async def current_user(p: CurrentPosada, token: _Token) -> Claims:
    """Whose access token the request carries.

    As in the app: 401 without a token, 403 for a token that is not accepted.
    """
    return await p.auth.verify(_presented(token))


async def privileged_user(p: CurrentPosada, token: _Token) -> Claims:
    """As ``current_user``, but the store is asked now: for routes that administer users, hotels or money."""
    return await p.auth.verify_privileged(_presented(token))


CurrentUser: TypeAlias = Annotated[Claims, Depends(current_user)]
"""A parameter of a route: who is asking."""


async def superuser(user: Annotated[Claims, Depends(privileged_user)]) -> Claims:
    """Somebody of the installation, who stands above the hotels; 403 for everybody else."""
    if not user.is_superuser:
        raise DeniedError("only a superuser may do this", code="auth.forbidden")
    return user


_HOTELS: Final = ("tenant", "tenant_id", "hotel", "hotel_id")
"""Parameters of a path that name a hotel."""


def require(
    permission: str, *, tenant: str | None = None, privileged: bool = False
) -> Callable[..., Coroutine[Any, Any, Claims]]:
    """A dependency: a user with a permission in the hotel of the request; 403 for everybody else.

    The hotel of the request is what the parameter ``tenant`` of the path says. Without that argument it is the user's
    own, and everything in the request that names a hotel must name that one: the header ``X-Tenant-ID``, and the
    parameters ``tenant``, ``tenant_id``, ``hotel`` and ``hotel_id`` of the path. Where a hotel comes in another way, as
    in a body, ask ``Claims.require_for`` in the route. Users without a hotel have permissions in none: see
    ``superuser``, and ``Authenticator.act_across_tenants``.

    ``privileged`` asks the store now. Raises ``InvalidError`` (``auth.invalid_permission``) here and not with the first
    request; a path without its parameter ``tenant`` is a ``RuntimeError`` with the first one.
    """
    wanted = _native.permission(text("permission", permission))
    names = _HOTELS if tenant is None else (text("tenant", tenant),)

    async def allowed(
        request: HTTPConnection,
        user: Annotated[Claims, Depends(privileged_user if privileged else current_user)],
        x_tenant_id: Annotated[str | None, Header()] = None,
    ) -> Claims:
        path = request.path_params
        if tenant is not None and tenant not in path:
            raise RuntimeError(f"require(tenant={tenant!r}): the path of the route has no parameter of that name")
        hotels = [str(path[name]) for name in names if name in path]
        own = user.narrow(x_tenant_id)
        if own is None:
            raise DeniedError("the user belongs to no hotel", code="auth.wrong_tenant")
        for hotel in hotels:
            user.narrow(hotel)
        user.require_for(own, wanted)
        return user

    return allowed


async def current_tenant(
    p: CurrentPosada, user: CurrentUser, x_tenant_id: Annotated[str | None, Header()] = None
) -> Tenant:
    """The hotel of the user. A header ``X-Tenant-ID`` may repeat it, and cannot choose another: 403."""
    hotel = user.narrow(x_tenant_id)
    if hotel is None:
        raise DeniedError("the user belongs to no hotel", code="auth.wrong_tenant")
    tenant = await p.tenants.get(hotel)
    if tenant is None:
        raise NotFoundError("the hotel of the user is gone", code="tenants.not_found")
    if not tenant.is_active:
        raise DeniedError("the hotel is suspended", code="auth.forbidden")
    return tenant


CurrentTenant: TypeAlias = Annotated[Tenant, Depends(current_tenant)]
"""A parameter of a route: the hotel of whoever is asking."""


async def _possible_user(p: CurrentPosada, token: _Token) -> Claims | None:
    return None if token is None else await p.auth.verify(token)


def flag(name: str, *, default: bool = False) -> Callable[..., Coroutine[Any, Any, bool]]:
    """A dependency: whether a flag is on, for the user and the hotel of the token, or for everybody without one."""
    text("name", name)
    switch("default", default)

    async def value(p: CurrentPosada, user: Annotated[Claims | None, Depends(_possible_user)]) -> bool:
        if user is None:
            return p.flags.is_enabled(name, default=default)
        return p.flags.is_enabled(name, default=default, tenant=user.tenant, user=user.user_id)

    return value


def peer(request: Request) -> str:
    """The address at the other end of the socket. Behind a proxy let the server read its headers, as uvicorn does."""
    return request.client.host if request.client else "127.0.0.1"


def rate_limit(
    limit: str | RateLimit, *, key: Callable[[Request], str] = peer
) -> Callable[..., Coroutine[Any, Any, Decision]]:
    """A dependency: so many requests in so much time, for each ``key`` and path; 429 for more.

    They are counted where the app's limiter counts. While Redis is down, each process counts for itself.

    Raises ``InvalidError`` (``limits.invalid``) here and not with the first request.
    """
    parsed = limit if isinstance(limit, RateLimit) else RateLimit(text("limit", limit))

    async def allowed(request: Request, p: CurrentPosada) -> Decision:
        decision = await p.limits.check(parsed, key(request), request.url.path)
        return decision.ensure_allowed()

    return allowed


_STATUS: Final[Mapping[str, int]] = {
    "invalid": 422,
    "unauthenticated": 401,
    "denied": 403,
    "not_found": 404,
    "conflict": 409,
    "exhausted": 429,
    "unavailable": 503,
    "timeout": 504,
    "ambiguous": 503,
    "closed": 503,
    "internal": 500,
}
"""What each kind of error is over HTTP."""

_REFUSED_TOKENS: Final = frozenset({"auth.invalid_token", "auth.session_ended", "auth.token_expired"})
"""The app answers 403 to a token that it does not accept, and 401 only where there is none."""

_OTHERWISE: Final[Mapping[str, int]] = {
    **dict.fromkeys(_REFUSED_TOKENS, 403),
    # It is the server that is exhausted, not the caller.
    "auth.hashing_busy": 503,
    "postgres.contended": 503,
    "postgres.exhausted": 503,
    "redis.out_of_memory": 503,
    # Waiting does not help.
    "locks.max_extensions": 409,
}


def status_of(error: PosadaError) -> int:
    """The HTTP status of an error, by its kind."""
    if error.code.startswith("settings."):  # the operator's mistake, not the caller's
        return 500
    return _OTHERWISE.get(error.code, _STATUS.get(error.kind, 500))


def add_error_handlers(app: FastAPI) -> None:
    """Answers every error of posada with its status and ``{"detail", "code", "message", "facts"}``.

    Answers of 500 and above keep message and facts to the log ``posada.fastapi``. 429, 503 and 504 say in
    ``Retry-After`` how many seconds to wait.
    """
    app.add_exception_handler(PosadaError, _answer)


async def _answer(request: Request, error: Exception) -> Response:
    if not isinstance(error, PosadaError):
        raise error
    status, message, facts = status_of(error), error.message, dict(error.context)
    if status >= 500:
        _log.error("%s was answered %d: %s", request.method, status, error, exc_info=error if status == 500 else None)
        message = "the server failed" if status == 500 else "a server does not answer; try again later"
        facts = {}
    headers = {}
    if status in {429, 503, 504}:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after or 0)))
    if status == 401 or error.code in _REFUSED_TOKENS:
        headers["WWW-Authenticate"] = "Bearer"
    detail = "Could not validate credentials" if error.code in _REFUSED_TOKENS else message
    body = {"detail": detail, "code": error.code, "message": message, "facts": facts}
    return JSONResponse(body, status, headers)


def health_router() -> APIRouter:
    """``/health`` and ``/health/live``: the process answers. ``/health/ready``: guests can be served, or 503.

    The last one answers within a second. It is 503 while Redis is down or takes no writes, and 200 while Postgres is
    down as long as hotels are known, because then guests are served; ``serves`` says what is, and ``status`` is
    ``degraded``. It has the members of the app (``ready``, ``checks``) and of the setup guide (``status``,
    ``postgres``, ``redis``).
    """
    router = APIRouter(tags=["health"])

    @router.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "healthy", "timestamp": _now()}

    @router.get("/health/live")
    async def live() -> dict[str, Any]:
        return {"alive": True, "timestamp": _now()}

    @router.get("/health/ready")
    async def ready(p: CurrentPosada) -> JSONResponse:
        health = await p.health()
        return JSONResponse({**health.to_dict(), **health.to_readiness()}, 200 if health.is_ready else 503)

    return router


def metrics_router(allowed: Collection[str] | None = None) -> APIRouter:
    """``/metrics`` for Prometheus; with ``allowed``, only for these addresses at the other end of the socket.

    Make it before the app starts: counting begins with it.
    """
    metrics.record()
    router = APIRouter(tags=["metrics"])

    @router.get("/metrics")
    async def page(request: Request) -> Response:
        if allowed is not None and peer(request) not in allowed:
            raise HTTPException(403, "Forbidden")
        return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)

    return router


def _presented(token: str | None) -> str:
    if token is None:
        raise HTTPException(401, "Not authenticated", {"WWW-Authenticate": "Bearer"})
    return token


def _now() -> str:
    return dt.datetime.now(dt.timezone.utc).isoformat()
