"""What the kits of all languages answer to the same requests, as the shared vectors have it."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Collection
from typing import Annotated, Any

import httpx
import posada
import pytest
from fastapi import Depends, FastAPI
from posada._peers import Networks, together
from posada.fastapi import (
    CorrelationMiddleware,
    CurrentPosada,
    CurrentScope,
    CurrentTenant,
    CurrentUser,
    MetricsMiddleware,
    add_error_handlers,
    flag,
    health_router,
    metrics_router,
    rate_limit,
    require,
    superuser,
)
from support import VECTORS, asking

CASES: dict[str, Any] = json.loads((VECTORS / "kits" / "kits.json").read_text())

PASSWORD = "el loro pinta mapas de cobre"


def kit_app() -> FastAPI:
    """The routes of the vectors."""
    app = FastAPI()
    add_error_handlers(app)
    app.add_middleware(CorrelationMiddleware)
    app.add_middleware(MetricsMiddleware)
    app.include_router(health_router())
    app.include_router(metrics_router())

    @app.get("/me")
    async def me(user: CurrentUser) -> dict[str, Any]:
        return {"role": user.role, "tenant": user.tenant}

    @app.get("/hotel")
    async def hotel(tenant: CurrentTenant) -> dict[str, Any]:
        return {"id": tenant.id}

    @app.get("/scope")
    async def scope(hotel: CurrentScope) -> dict[str, Any]:
        return {"tenant": hotel.tenant}

    @app.get("/flag")
    async def flagged(on: Annotated[bool, Depends(flag(CASES["flag"]))]) -> dict[str, Any]:
        return {"on": on}

    @app.get("/tenants/{name}")
    async def tenant(name: str, p: CurrentPosada) -> str:
        return (await p.tenants.create(name, name=name)).id

    rates = require("manage_rates", privileged=True)
    welcomed = {
        "/limited": rate_limit("2/minute"),
        "/desk": require("guest_checkin"),
        "/rates": rates,
        "/hotels/{hotel_id}/rates": rates,
        "/properties/{id}/rooms/{room}": rates,
        "/places/{place}/rates": require("manage_rates", tenant_from="place"),
        "/houses/{house}/rates": rates,
        "/guests/{guest}": require("guest_checkin", tenant_from=None),
        "/all": superuser,
    }
    for path, asked in welcomed.items():
        app.add_api_route(path, lambda: "welcome", dependencies=[Depends(asked)], name=path)
    return app


async def tokens(p: posada.Posada) -> dict[str, str]:
    """The access token of every user of the vectors."""
    hotel = await p.tenants.create(CASES["hotel"], name="Hotel Centro")
    await p.flags.set(CASES["flag"], True, tenant=hotel)
    found = {}
    for name, user in CASES["users"].items():
        tenant = None if user["superuser"] else hotel
        await p.auth.create_user(
            name, f"{name}@example.com", PASSWORD, tenant=tenant, role=user["role"], superuser=user["superuser"]
        )
        found[name] = (await p.auth.login(name, PASSWORD)).access
    return found


def check(client: httpx.Client, case: dict[str, Any], token: str | None) -> None:
    headers = dict(case.get("headers", {}))
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    answer = client.get(case["path"], headers=headers)
    assert answer.status_code == case["status"], (case, answer.text)
    for name, wanted in case.get("answer", {}).items():
        assert answer.headers[name], case
        assert wanted is None or answer.headers[name] == wanted, case
    if sent := headers.get("X-Request-ID"):
        assert (answer.headers["x-request-id"] == sent) == (" " not in sent), case
    body = answer.json() if "body" in case else {}
    assert {name: body.get(name) for name in case.get("body", {})} == case.get("body", {}), case


def counted_by_route(page: str) -> Counter[tuple[str, str]]:
    """How many requests of each endpoint were answered with each status."""
    found = re.findall('^http_requests_total{.*endpoint="(.*?)",status_code="(.*?)"} (.*)$', page, re.MULTILINE)
    return Counter({(endpoint, status): int(float(count)) for endpoint, status, count in found})


def test_every_kit_answers_these_requests_alike(posada_handle: posada.Posada) -> None:
    app = kit_app()
    app.state.posada = posada_handle
    known = asyncio.run(tokens(posada_handle))
    with asking(app) as client:
        before = counted_by_route(client.get("/metrics").text)
        for case in CASES["requests"]:
            check(client, case, known[case["as"]] if "as" in case else None)
        page = counted_by_route(client.get("/metrics").text)
    for endpoint, statuses in CASES["counted"].items():
        for status, count in statuses.items():
            assert page[endpoint, status] - before[endpoint, status] == count, (endpoint, status)


@pytest.mark.parametrize(("key", "counted"), CASES["together"])
def test_keys_that_are_addresses_of_one_caller_count_together(key: str, counted: str) -> None:
    assert together(key) == counted


@pytest.mark.parametrize(("allowed", "peer", "contains"), CASES["networks"])
def test_an_address_belongs_to_the_networks_that_the_vectors_say(
    allowed: Collection[str], peer: str | None, contains: bool
) -> None:
    # What is asked about is an address as `peer_of` gives it.
    canonical = peer.removeprefix("::ffff:") if peer else None
    assert (canonical in Networks("allowed", allowed)) == contains


@pytest.mark.parametrize("text", CASES["not_networks"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(posada.InvalidError, match="allowed"):
        Networks("allowed", ["10.0.0.0/8", text])
