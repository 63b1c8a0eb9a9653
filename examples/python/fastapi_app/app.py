"""The app: what it is put together from. In memory, or on the servers that the environment names."""

import logging
import os
import secrets
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import Depends, FastAPI
from posada import ConflictError, Posada
from posada.fastapi import (
    LOOPBACK,
    CorrelationMiddleware,
    MetricsMiddleware,
    add_error_handlers,
    health_router,
    lifespan,
    metrics_router,
    rate_limit,
)

from fastapi_app import admin, whatsapp

log = logging.getLogger("uvicorn.error")


def opens() -> AbstractAsyncContextManager[Posada]:
    """The handle of the app."""
    return Posada.from_env() if "DATABASE_URL" in os.environ else Posada.embedded()


def make_app(
    opens: Callable[[], AbstractAsyncContextManager[Posada]] = opens,
    *,
    webhook_limit: str = "120/minute",
    metrics_allowed: Collection[str] = LOOPBACK,
) -> FastAPI:
    """The app on a handle, which it opens when it starts."""

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[dict[str, Posada]]:
        async with lifespan(opens, migrate=True)(app) as state:
            await seed_administrator(state["posada"])
            yield state

    app = FastAPI(title="Receptionist", lifespan=living)
    add_error_handlers(app)
    app.add_middleware(CorrelationMiddleware)
    app.add_middleware(MetricsMiddleware)
    for router in (health_router(), metrics_router(metrics_allowed), admin.router):
        app.include_router(router)
    app.include_router(whatsapp.router, dependencies=[Depends(rate_limit(webhook_limit))])
    return app


async def seed_administrator(p: Posada) -> None:
    """The first user. Without a password in the environment there is one only in memory, where no client reaches it."""
    password = os.environ.get("ADMIN_PASSWORD")
    if password is None:
        if "DATABASE_URL" in os.environ:
            return
        password = secrets.token_urlsafe(16)
        log.info("sign in as admin with the password %s", password)
    try:
        await p.auth.create_user("admin", "admin@example.com", password, role="admin", superuser=True)
    except ConflictError:
        log.info("the user admin exists already")


app = make_app(
    webhook_limit=os.environ.get("WEBHOOK_LIMIT", "120/minute"),
    metrics_allowed=os.environ.get("METRICS_ALLOWED", ",".join(LOOPBACK)).split(","),
)
