"""posada in a FastAPI app: a lifespan, dependencies, answers to errors, and the pages for operators.

::

    app = FastAPI(lifespan=lifespan(Posada.from_env))
    add_error_handlers(app)
    app.add_middleware(MetricsMiddleware)
    app.include_router(health_router())
    app.include_router(metrics_router())

    @app.get("/arrivals", dependencies=[Depends(require("guest_checkin")), Depends(rate_limit("30/minute"))])
    async def arrivals(hotel: CurrentScope):
        ...

Needs the extra ``posada[fastapi]``. A fault of the servers is answered 503 or 504, never 401 or 403.
"""

# No `from __future__ import annotations`: FastAPI reads the annotations of the functions that are made in functions.

import datetime as dt
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import EllipsisType
from typing import Annotated, Any, Final, Literal, TypeAlias

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
from posada._answers import add_error_handlers, status_of
from posada._checks import switch, text
from posada._correlation import within
from posada._peers import LOOPBACK, Networks, peer_of, together
from posada._posada import Posada
from posada._routes import endpoint, of_route, path_of
from posada.auth import Claims
from posada.errors import DeniedError, InvalidError, NotFoundError
from posada.limits import Decision, RateLimit
from posada.tenants import Tenant

__all__ = [
    "LOOPBACK",
    "TOKEN_URL",
    "CorrelationMiddleware",
    "CurrentPosada",
    "CurrentScope",
    "CurrentTenant",
    "CurrentUser",
    "MetricsMiddleware",
    "add_error_handlers",
    "current_posada",
    "current_scope",
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

_Lifespan: TypeAlias = Callable[[FastAPI], AbstractAsyncContextManager[dict[str, Posada]]]


class _Bearer(OAuth2PasswordBearer):
    """The token of a request or of a websocket's handshake."""

    async def __call__(self, connection: HTTPConnection) -> str | None:
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" else None


_bearer: Final = _Bearer(tokenUrl=TOKEN_URL, scheme_name=OAuth2PasswordBearer.__name__, auto_error=False)


def lifespan(
    opens: Callable[[], AbstractAsyncContextManager[Posada]] = Posada.from_env, *, migrate: bool = False
) -> _Lifespan:
    """Opens a handle when the app starts, and closes it when the app ends.

    It is ``app.state.posada``, and ``posada`` in the lifespan's state: ``request.state.posada``, also in mounted apps.
    With ``Posada.from_env`` the app starts only when its servers answer; with
    ``lambda: Posada.build(Settings.from_env())`` it starts anyway, and ``/health/ready`` says what is missing.
    ``migrate`` brings the database up to date first. A lifespan of your own can enter this one, and yields the state
    that it gives: ``async with lifespan()(app) as state: yield state``.
    """

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[dict[str, Posada]]:
        async with opens() as p:
            if migrate:
                await p.migrate()
            app.state.posada = p
            yield {"posada": p}

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
    request of no route is ``other``, so that no client fills the memory with paths. One that ends with an exception
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


_NO_HANDLE: Final = """\
this app has no handle of posada: neither app.state.posada nor one in the state of the lifespan.
- The app was made without it: FastAPI(lifespan=posada.fastapi.lifespan()), or enter that in a lifespan of your own.
- The lifespan has not run: in tests, enter it (`with TestClient(app)`, `async with app.router.lifespan_context(app)`;
  httpx.ASGITransport does not run it), or set app.state.posada to a handle.
- This is a mounted app, whose own lifespan never runs: give the lifespan to the outermost app, and let a lifespan of
  your own yield the state that posada's gives."""


async def current_posada(connection: HTTPConnection) -> Posada:
    """The handle of the app, of the state of the lifespan, or of the app in which this one is mounted."""
    scope = connection.scope
    # The router that saw the request first knows the outermost app, where FastAPI made it.
    outermost = getattr(scope.get("router"), "dependency_overrides_provider", None)
    for app in (scope.get("app"), outermost):
        p: Posada | None = getattr(getattr(app, "state", None), "posada", None)
        if p is not None:
            return p
    p = scope.get("state", {}).get("posada")
    if p is None:
        raise RuntimeError(_NO_HANDLE)
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
    """A user of the installation, who stands above the hotels; 403 for everybody else."""
    if not user.is_superuser:
        raise DeniedError("only a superuser may do this", code="auth.forbidden")
    return user


_HOTELS: Final = frozenset({"tenant", "tenantid", "hotel", "hotelid"})
"""Parameters of a path that name a hotel, in lower case and without ``_`` and ``-``."""

_TENANTS: Final = frozenset({"tenant", "tenantid"})
"""Parameters of a query that name one. A ``hotel`` there is usually a number of the hotel's system."""

_BEHIND_HOTELS: Final = re.compile(r"/(?:hotels?|tenants?|property|properties)/\{(\w+)(?::\w+)?\}", re.IGNORECASE)
"""A parameter of a path that names a hotel by what stands in front: ``/hotels/{id}/rates``."""

_AMBIGUOUS: Final = """\
require({permission!r}) on {path}: none of the parameters of the path names a hotel, as far as can be told.
- One does: require({permission!r}, tenant_from="...") with its name.
- None does, and the route is about the user's own hotel: require({permission!r}, tenant_from=None)."""


def _named(names: frozenset[str], parameters: Iterable[tuple[str, Any]]) -> list[str]:
    """The values of the parameters of these names, however they are spelled."""
    return [str(value) for name, value in parameters if name.lower().replace("_", "").replace("-", "") in names]


def _hotels_of(connection: HTTPConnection, permission: str) -> list[str]:
    """What the path and the query name as hotels. ``RuntimeError`` for a path of which that cannot be told."""
    path = connection.path_params
    hotels = _named(_HOTELS, path.items())
    if path:
        route = of_route(connection.scope)
        hotels += [str(path[name]) for name in _BEHIND_HOTELS.findall(route) if name in path]
        if not hotels:
            raise RuntimeError(_AMBIGUOUS.format(permission=permission, path=route))
    return hotels + _named(_TENANTS, connection.query_params.multi_items())


def require(
    permission: str, *, tenant_from: str | EllipsisType | None = ..., privileged: bool = False
) -> Callable[..., Coroutine[Any, Any, Claims]]:
    """A dependency: a user with a permission in the hotel of the request; 403 for everybody else.

    The hotel is the user's own, and everything in the request that names a hotel must name that one: the header
    ``X-Tenant-ID``, the parameters ``tenant``, ``tenant_id``, ``hotel`` and ``hotel_id`` of the path (also as
    ``hotelId``), one behind ``/hotels/``, ``/tenants/`` or ``/properties/`` (``/hotels/{id}/rates``), and the
    parameters ``tenant`` and ``tenant_id`` of the query. Users without a hotel have permissions in none: see
    ``superuser``, and ``Authenticator.act_across_tenants``.

    Of a path whose parameters are all of other names it is unknown: such a route lets no caller in (``RuntimeError``)
    until it says ``tenant_from``, the parameter that names the hotel, as in ``/places/{place}/rates``; or ``None``
    where there is none, as in ``/guests/{guest}``, and the route serves the hotel of the user alone. Where a hotel
    comes in another way, as in a body, ask ``Claims.require_for`` in the route.

    ``privileged`` asks the store now. Raises ``InvalidError`` (``auth.invalid_permission``) here and not with the first
    request; a path without the parameter that ``tenant_from`` names is a ``RuntimeError`` with the first one.
    """
    wanted = _native.permission(text("permission", permission))
    if tenant_from is not None and tenant_from is not ...:
        text("tenant_from", tenant_from)

    async def allowed(
        request: HTTPConnection,
        user: Annotated[Claims, Depends(privileged_user if privileged else current_user)],
        x_tenant_id: Annotated[str | None, Header()] = None,
    ) -> Claims:
        if tenant_from is ...:
            hotels = _hotels_of(request, permission)
        elif tenant_from is None:
            hotels = []
        elif tenant_from in request.path_params:
            hotels = [str(request.path_params[tenant_from])]
        else:
            raise RuntimeError(f"require(tenant_from={tenant_from!r}): the path of the route has no such parameter")
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
"""A parameter of a route: the caller's hotel."""


async def current_scope(p: CurrentPosada, tenant: CurrentTenant) -> Posada:
    """The handle of the app, bound to the hotel of the user: see ``Posada.for_tenant``.

    A route that has this and not ``CurrentPosada`` cannot touch another hotel. It needs no close. Where the hotel
    is not that of a user, as in a webhook, bind the handle in the route: ``p.for_tenant(found.tenant)``; where a
    superuser acts for a hotel, ``p.for_claims(claims)``.
    """
    return p.for_tenant(tenant)


CurrentScope: TypeAlias = Annotated[Posada, Depends(current_scope)]
"""A parameter of a route: the handle, bound to the caller's hotel."""


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


def peer(connection: HTTPConnection) -> str | None:
    """The IP address at the other end of the socket; ``None`` where there is none, as behind a Unix socket.

    Behind a proxy let the server read its headers: uvicorn does with ``--proxy-headers``, and trusts those proxies that
    ``--forwarded-allow-ips`` names; behind a Unix socket that is ``'*'``.
    """
    return peer_of(connection.scope)


def rate_limit(
    limit: str | RateLimit,
    *,
    key: Callable[[Any], str | None] = peer,
    per: Literal["route", "path"] = "route",
) -> Callable[..., Coroutine[Any, Any, Decision]]:
    """A dependency: a number of requests in a span of time, for each ``key`` and route; 429 for more.

    A route is its path with the names of its parameters, such as ``/guests/{guest}``, for all guests together; with
    ``per="path"`` each path that is asked for has a quota of its own. The ``key`` is given the request or websocket. A
    key that is an IPv6 address counts by its /64, as in sign-in; requests without an address count together. They are
    counted where the app's limiter counts. While Redis is down, each process counts for itself.

    Raises ``InvalidError`` (``limits.invalid``) here and not with the first request.
    """
    parsed = limit if isinstance(limit, RateLimit) else RateLimit(text("limit", limit))
    if per not in {"route", "path"}:
        raise ValueError(f"per: expected route or path, not {per!r}")
    name = of_route if per == "route" else path_of

    async def allowed(connection: HTTPConnection, p: CurrentPosada) -> Decision:
        whose = key(connection)
        counted = "local" if whose is None else together(whose)
        return (await p.limits.check(parsed, counted, name(connection.scope))).ensure_allowed()

    return allowed


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


def metrics_router(allowed: Collection[str] | None = LOOPBACK) -> APIRouter:
    """``/metrics`` for Prometheus, for these addresses and networks at the other end of the socket.

    Without ``allowed`` only this machine may see it: name the network of Prometheus, such as ``{"10.0.0.0/8"}``.
    ``None`` is everybody, where something in front keeps the public out. See ``peer`` for proxies.

    Make it before the app starts: counting begins with it. A process counts for itself: of several workers behind one
    port Prometheus sees now this one and now that one. Give each a page of its own with ``posada.metrics.serve``.
    """
    metrics.record()
    networks = None if allowed is None else Networks("allowed", allowed)
    router = APIRouter(tags=["metrics"])

    @router.get("/metrics")
    async def page(request: Request) -> Response:
        if networks is not None and peer(request) not in networks:
            raise HTTPException(403, "Forbidden")
        return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)

    return router


def _presented(token: str | None) -> str:
    if token is None:
        raise HTTPException(401, "Not authenticated", {"WWW-Authenticate": "Bearer"})
    return token


def _now() -> str:
    return dt.datetime.now(dt.timezone.utc).isoformat()
