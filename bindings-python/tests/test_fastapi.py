"""posada in a FastAPI app, over HTTP."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import re
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import posada
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from posada import _answers
from posada.fastapi import (
    CurrentPosada,
    CurrentTenant,
    CurrentUser,
    MetricsMiddleware,
    add_error_handlers,
    flag,
    health_router,
    lifespan,
    metrics_router,
    rate_limit,
    require,
    status_of,
    superuser,
)
from posada.testing import SignIn
from starlette.applications import Starlette
from starlette.routing import Route
from support import ROOT, Open, asking, in_process, run, unique

KEY = "the key of the tests, long enough for HS256"


def errors_app() -> FastAPI:
    """An app with a route for each thing that the tests ask."""
    app = FastAPI()
    add_error_handlers(app)
    app.include_router(health_router())
    app.include_router(metrics_router())

    @app.get("/me")
    async def me(user: CurrentUser) -> dict[str, Any]:
        return {"id": user.user_id, "role": user.role}

    @app.get("/hotel")
    async def hotel(tenant: CurrentTenant) -> str:
        return tenant.id

    @app.get("/desk", dependencies=[Depends(require("guest_checkin"))])
    async def desk() -> str:
        return "welcome"

    @app.get("/rates", dependencies=[Depends(require("manage_rates", privileged=True))])
    async def rates() -> str:
        return "welcome"

    @app.get("/hotels/{hotel_id}/rates", dependencies=[Depends(require(posada.Permission.MANAGE_RATES))])
    async def rates_of(hotel_id: str) -> str:
        return hotel_id

    @app.get("/places/{place}/rates", dependencies=[Depends(require("manage_rates", tenant_from="place"))])
    async def rates_at(place: str) -> str:
        return place

    @app.get("/nowhere/rates", dependencies=[Depends(require("manage_rates", tenant_from="place"))])
    async def rates_nowhere() -> str:
        return "never"

    @app.get("/hotels/{id}/rooms/{room}", dependencies=[Depends(require("manage_rates"))])
    async def rates_by_id(id: str, room: int) -> str:
        return f"{id} {room}"

    @app.get("/houses/{house}/rates", dependencies=[Depends(require("manage_rates"))])
    async def rates_of_house(house: str) -> str:
        return house

    @app.get("/guests/{guest}", dependencies=[Depends(require("guest_checkin", tenant_from=None))])
    async def guest(guest: int) -> int:
        return guest

    @app.get("/all", dependencies=[Depends(superuser)])
    async def everything() -> str:
        return "welcome"

    @app.get("/flag")
    async def flagged(on: Annotated[bool, Depends(flag("chat.enabled"))]) -> bool:
        return on

    @app.get("/limited", dependencies=[Depends(rate_limit("2/minute"))])
    async def limited() -> str:
        return "welcome"

    @app.get("/tenants/{name}")
    async def tenant(name: str, p: CurrentPosada) -> str:
        await p.tenants.create(name, name=name)
        return name

    @app.get("/raise/{kind}")
    async def raises(kind: str, request: Request) -> None:
        raise posada.errors.KINDS[kind]("a secret place", code=request.query_params.get("code", "x.y"), retryable=True)

    return app


@pytest.fixture
def client(posada_handle: posada.Posada) -> Iterator[httpx.Client]:
    app = errors_app()
    app.state.posada = posada_handle
    with asking(app) as client:
        yield client


def test_a_wrong_argument_of_a_dependency_is_refused_when_it_is_made() -> None:
    wrong: Any = 5
    with pytest.raises(TypeError, match="permission: expected str"):
        require(wrong)
    with pytest.raises(TypeError, match="tenant_from: expected str"):
        require("guest_checkin", tenant_from=wrong)
    with pytest.raises(TypeError, match="name: expected str"):
        flag(wrong)
    with pytest.raises(TypeError, match="default: expected bool"):
        flag("canary.enabled", default=wrong)
    with pytest.raises(TypeError, match="limit: expected str"):
        rate_limit(wrong)


def test_without_a_token_the_answer_is_the_apps_401(client: httpx.Client) -> None:
    for headers in ({}, {"Authorization": "Basic YTpi"}):
        answer = client.get("/me", headers=headers)
        assert (answer.status_code, answer.json()) == (401, {"detail": "Not authenticated"})
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("token", ["", "garbage", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."])
def test_a_token_that_is_not_accepted_is_the_apps_403(client: httpx.Client, token: str) -> None:
    answer = client.get("/me", headers={"Authorization": f"Bearer {token}".strip()})
    assert answer.status_code == 403
    assert answer.headers["www-authenticate"] == "Bearer"
    body = answer.json()
    assert body["detail"] == "Could not validate credentials"
    assert body["code"] == "auth.invalid_token"
    assert not token or token not in answer.text


def test_a_session_that_has_ended_is_403_too(
    client: httpx.Client, posada_handle: posada.Posada, posada_sign_in: SignIn
) -> None:
    headers = posada_sign_in("receptionist")
    assert client.get("/me", headers=headers).json()["role"] == "receptionist"
    asyncio.run(posada_handle.auth.logout(headers["Authorization"].removeprefix("Bearer ")))
    answer = client.get("/me", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "auth.session_ended")


def test_a_permission_opens_a_route(client: httpx.Client, posada_sign_in: SignIn) -> None:
    receptionist, manager = posada_sign_in("receptionist"), posada_sign_in("manager")
    assert client.get("/desk").status_code == 401
    assert client.get("/desk", headers=posada_sign_in("guest")).status_code == 403
    assert client.get("/desk", headers=receptionist).status_code == 200
    refused = client.get("/rates", headers=receptionist)
    assert refused.status_code == 403
    assert refused.json() == {
        "detail": "the role does not have this permission",
        "code": "auth.forbidden",
        "message": "the role does not have this permission",
        "facts": {"permission": "manage_rates", "role": "receptionist"},
    }
    assert client.get("/rates", headers=manager).status_code == 200


def test_a_permission_is_one_in_the_hotel_that_the_request_names(
    client: httpx.Client, posada_hotel: posada.Tenant, posada_sign_in: SignIn
) -> None:
    admin, own = posada_sign_in("admin"), posada_hotel.id
    for path in ("/hotels", "/places"):
        assert client.get(f"{path}/{own}/rates", headers=admin).json() == own
        for other in ("another-hotel", own.upper(), f"{own}%20", "%C3%B1"):
            refused = client.get(f"{path}/{other}/rates", headers=admin)
            assert (refused.status_code, refused.json()["code"]) == (403, "auth.wrong_tenant"), (path, other)
        lacks = client.get(f"{path}/{own}/rates", headers=posada_sign_in("receptionist"))
        assert (lacks.status_code, lacks.json()["code"]) == (403, "auth.forbidden")
        nowhere = client.get(f"{path}/{own}/rates", headers=posada_sign_in("admin", superuser=True))
        assert (nowhere.status_code, nowhere.json()["code"]) == (403, "auth.wrong_tenant")
    header = {**admin, "X-Tenant-ID": "another-hotel"}
    assert client.get("/rates", headers=header).json()["code"] == "auth.wrong_tenant"
    for name in ("tenant_id", "tenantId", "tenant", "Tenant-ID"):
        assert client.get("/rates", params={name: own}, headers=admin).status_code == 200
        refused = client.get(f"/rates?{name}={own}&{name}=another-hotel", headers=admin)
        assert refused.json()["code"] == "auth.wrong_tenant", name
    # A route that cannot say which hotel it is about lets nobody in.
    assert client.get("/nowhere/rates", headers=admin).status_code == 500


def test_a_parameter_of_the_path_names_a_hotel_or_says_that_it_does_not(
    client: httpx.Client, posada_hotel: posada.Tenant, posada_sign_in: SignIn
) -> None:
    admin, own = posada_sign_in("admin"), posada_hotel.id
    assert client.get(f"/hotels/{own}/rooms/7", headers=admin).json() == f"{own} 7"
    refused = client.get("/hotels/another-hotel/rooms/7", headers=admin)
    assert (refused.status_code, refused.json()["code"]) == (403, "auth.wrong_tenant")
    for hotel in (own, "another-hotel"):
        assert client.get(f"/houses/{hotel}/rates", headers=admin).status_code == 500, hotel
    assert client.get("/guests/7", headers=admin).json() == 7
    assert client.get("/guests/7").status_code == 401


def test_the_administrator_of_a_hotel_is_no_superuser(client: httpx.Client, posada_sign_in: SignIn) -> None:
    assert client.get("/all", headers=posada_sign_in("admin")).status_code == 403
    assert client.get("/all", headers=posada_sign_in("admin", superuser=True)).status_code == 200


def test_what_is_written_wrong_is_refused_before_the_first_request() -> None:
    with pytest.raises(posada.InvalidError, match=r"auth\.invalid_permission"):
        require("Guest Checkin!")
    with pytest.raises(posada.InvalidError, match=r"auth\.invalid_permission"):
        require("manage_rate")
    assert callable(require(posada.own_permission("manage_numbers")))
    with pytest.raises(posada.InvalidError, match=r"limits\.invalid"):
        rate_limit("often")


def test_the_token_chooses_the_hotel(
    client: httpx.Client, posada_handle: posada.Posada, posada_hotel: posada.Tenant, posada_sign_in: SignIn
) -> None:
    headers = posada_sign_in("receptionist")
    assert client.get("/hotel", headers=headers).json() == posada_hotel.id
    assert client.get("/hotel", headers={**headers, "X-Tenant-ID": posada_hotel.id}).json() == posada_hotel.id
    other = client.get("/hotel", headers={**headers, "X-Tenant-ID": "another-hotel"})
    assert (other.status_code, other.json()["code"]) == (403, "auth.wrong_tenant")
    nowhere = client.get("/hotel", headers=posada_sign_in("admin", superuser=True))
    assert (nowhere.status_code, nowhere.json()["code"]) == (403, "auth.wrong_tenant")
    asyncio.run(posada_handle.tenants.suspend(posada_hotel))
    assert client.get("/hotel", headers=headers).json()["message"] == "the hotel is suspended"


def test_a_flag_is_that_of_the_hotel_of_the_token(
    client: httpx.Client, posada_handle: posada.Posada, posada_hotel: posada.Tenant, posada_sign_in: SignIn
) -> None:
    asyncio.run(posada_handle.flags.set("chat.enabled", True, tenant=posada_hotel))
    assert client.get("/flag").json() is False
    assert client.get("/flag", headers=posada_sign_in()).json() is True
    assert client.get("/flag", headers={"Authorization": "Bearer garbage"}).status_code == 403


def test_too_many_requests_say_how_long_to_wait(client: httpx.Client) -> None:
    assert [client.get("/limited").status_code for _ in range(2)] == [200, 200]
    refused = client.get("/limited")
    assert (refused.status_code, refused.json()["code"]) == (429, "limits.exceeded")
    assert 1 <= int(refused.headers["retry-after"]) <= 60


def test_errors_have_the_status_of_their_kind(client: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "posada.fastapi")
    statuses = {kind: client.get(f"/raise/{kind}").status_code for kind in posada.errors.KINDS}
    assert statuses == {
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
        "unsupported": 501,
        "internal": 500,
    }
    assert client.get("/raise/unauthenticated").headers["www-authenticate"] == "Bearer"
    assert client.get("/tenants/a!").json()["facts"]["field"]
    client.get("/tenants/twice-here")
    assert client.get("/tenants/twice-here").json()["code"] == "tenants.exists"


def test_the_failure_of_a_server_tells_callers_nothing_but_the_log_everything(
    client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    for kind in ("unavailable", "timeout", "ambiguous", "closed", "internal"):
        answer = client.get(f"/raise/{kind}")
        assert "secret" not in answer.text
        assert answer.json()["code"] == "x.y"
        assert ("retry-after" in answer.headers) == (kind != "internal")
    assert caplog.text.count("a secret place") >= 5
    # Not the caller's mistake, although their kinds would say so.
    assert client.get("/raise/invalid", params={"code": "settings.missing"}).status_code == 500
    assert client.get("/raise/exhausted", params={"code": "postgres.exhausted"}).status_code == 503


def test_no_fault_of_a_server_looks_like_a_refusal() -> None:
    codes = (posada.errors.KINDS[kind](code=code) for code, kind in parity().items())
    for error in codes:
        room = error.code.partition(".")[0]
        if room in {"postgres", "redis", "settings", "posada"} or error.kind in {"unavailable", "timeout", "ambiguous"}:
            assert status_of(error) not in {401, 403}, error.code


def test_every_code_has_the_status_that_the_crate_gives_it() -> None:
    vectors = json.loads((ROOT / "tests" / "vectors" / "errors" / "http.json").read_text())
    for code, kind in parity().items():
        wanted = vectors["codes"].get(code, vectors["kinds"][kind])
        assert status_of(posada.errors.KINDS[kind](code=code)) == wanted, code


def test_callers_are_told_what_the_crate_tells_them() -> None:
    vectors = json.loads((ROOT / "tests" / "vectors" / "errors" / "http.json").read_text())
    for case in vectors["public"]:
        code, kind, message, retry_after, facts = case["error"]
        error = posada.errors.KINDS[kind](message, code=code, retry_after=retry_after, context=dict(facts))
        answer = _answers._response(error)
        wait, challenge = answer.headers.get("retry-after"), answer.headers.get("www-authenticate")
        assert (answer.status_code, wait and int(wait), challenge) == (
            case["status"],
            case["retry_after"],
            case["www_authenticate"],
        ), code
        assert json.loads(answer.body) == case["body"], code


def parity() -> dict[str, str]:
    """Every code and its kind."""
    lines = (ROOT / "tests" / "parity" / "errors.toml").read_text().splitlines()
    pairs = (line.split(" = ") for line in lines if line.startswith('"'))
    return {code.strip('"'): kind.strip('"') for code, kind in pairs}


def down() -> posada.Posada:
    """A handle whose servers refuse connections."""
    return posada.Posada.build(
        posada.Settings.build(
            postgres_url="postgresql://posada:hunter2@127.0.0.1:1/posada",
            redis_url="redis://127.0.0.1:1/0",
            secret_key=KEY,
        )
    )


def test_a_good_token_while_postgres_is_down_is_503(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "posada.fastapi")

    async def signed() -> str:
        settings = posada.Settings.build(postgres_url="memory:", redis_url="memory:", secret_key=KEY)
        async with posada.Posada.build(settings) as p:
            await p.auth.create_user("ana", "ana@example.com", "el loro pinta mapas de cobre")
            return (await p.auth.login("ana", "el loro pinta mapas de cobre")).access

    async def job() -> None:
        app = errors_app()
        app.router.lifespan_context = lifespan(down)
        async with in_process(app) as client:
            headers = {"Authorization": f"Bearer {await signed()}"}
            for path in ("/me", "/hotel", "/desk", "/rates", "/all"):
                answer = await client.get(path, headers=headers)
                assert answer.status_code in {503, 504}, (path, answer.text)
                assert int(answer.headers["retry-after"]) >= 1
                assert "hunter2" not in answer.text
            # What memory can answer works on.
            assert (await client.get("/flag")).status_code == 200
            assert (await client.get("/limited")).status_code == 200
            ready = await client.get("/health/ready")
            assert ready.status_code == 503
            assert ready.json()["checks"] == {"database": False, "redis": False, "pms": True}
            assert (await client.get("/health/live")).json()["alive"] is True
            assert (await client.get("/health")).json()["status"] == "healthy"

    run(job())


def test_the_pages_for_operators(opened: Open) -> None:
    async def job() -> None:
        app = errors_app()
        app.router.lifespan_context = lifespan(opened, migrate=True)
        async with in_process(app) as client:
            ready = await client.get("/health/ready")
            assert ready.status_code == 200
            body = ready.json()
            assert (body["status"], body["postgres"], body["redis"], body["ready"]) == ("healthy", "ok", "ok", True)
            assert body["checks"] == {"database": True, "redis": True, "pms": True}
            assert (await client.get(f"/tenants/{unique('hotel')}")).status_code == 200

            page = await client.get("/metrics")
            assert page.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert "# TYPE readiness_up gauge\nreadiness_up 1\n" in page.text
            assert 'dependency_up{name="database"} 1\n' in page.text
        assert repr(app.state.posada) == "<posada.Posada closed>"

    run(job())


def test_requests_are_counted_by_their_routes() -> None:
    def counted(page: str) -> dict[str, float]:
        lines = (line.rsplit(" ", 1) for line in page.splitlines() if line.startswith("http_request"))
        return {series: float(value) for series, value in lines}

    async def job() -> None:
        app = errors_app()
        app.add_middleware(MetricsMiddleware)
        app.router.lifespan_context = lifespan(posada.Posada.embedded)

        @app.get("/bug/{name}")
        async def bug(name: str) -> None:
            raise ZeroDivisionError(name)

        async with in_process(app) as client:
            before = counted((await client.get("/metrics")).text)
            for number in range(3):
                assert (await client.get(f"/tenants/{unique('hotel')}")).status_code == 200
                assert (await client.get("/tenants/a!")).status_code == 422
                assert (await client.get(f"/nowhere/{number}")).status_code == 404
                assert (await client.delete("/me")).status_code == 405
                assert (await client.request(f"BREW{number}", "/me")).status_code == 405
                with pytest.raises(ZeroDivisionError):
                    await client.get(f"/bug/{number}")
            after = counted((await client.get("/metrics")).text)
        grown = {series: value - before.get(series, 0) for series, value in after.items() if "_total" in series}
        assert {series: value for series, value in grown.items() if value} == {
            'http_requests_total{method="GET",endpoint="/tenants/{name}",status_code="200"}': 3,
            'http_requests_total{method="GET",endpoint="/tenants/{name}",status_code="422"}': 3,
            'http_requests_total{method="GET",endpoint="other",status_code="404"}': 3,
            'http_requests_total{method="DELETE",endpoint="/me",status_code="405"}': 3,
            'http_requests_total{method="OTHER",endpoint="/me",status_code="405"}': 3,
            'http_requests_total{method="GET",endpoint="/bug/{name}",status_code="500"}': 3,
            'http_requests_total{method="GET",endpoint="/metrics",status_code="200"}': 1,
        }
        took = 'http_request_duration_seconds_count{method="GET",endpoint="/tenants/{name}"}'
        assert after[took] - before.get(took, 0) == 6

    run(job())


def test_requests_of_mounted_apps_and_included_routers_are_counted_by_their_whole_route() -> None:
    async def text(_: Request) -> Response:
        return PlainTextResponse("here")

    inner = APIRouter(prefix="/guests")

    @inner.get("/{guest}")
    async def guest(guest: str) -> str:
        return guest

    @inner.get("/files/{path:path}")
    async def files(path: str) -> str:
        return path

    async def room(room: str) -> str:
        return room

    outer = APIRouter()
    outer.include_router(inner, prefix="/v1")
    hotel = FastAPI()
    hotel.include_router(outer, prefix="/api")
    hotel.add_api_route("/rooms/{room}", room)
    app = FastAPI(lifespan=lifespan(posada.Posada.embedded))
    app.include_router(outer, prefix="/api")
    app.include_router(metrics_router())
    app.mount("/hotels/{hotel}", hotel)
    app.mount("/pages", Starlette(routes=[Route("/page/{page}", text)]))
    app.mount("/raw", PlainTextResponse("raw"))
    app.add_route("/plain/{plain}", text)
    app.add_middleware(MetricsMiddleware)
    wanted = {
        ("GET", "/docs"): "/docs",
        ("GET", "/openapi.json"): "/openapi.json",
        ("POST", "/docs"): "/docs",
        ("GET", "/plain/{}"): "/plain/{plain}",
        ("GET", "/api/v1/guests/{}"): "/api/v1/guests/{guest}",
        ("PUT", "/api/v1/guests/{}"): "/api/v1/guests/{guest}",
        ("GET", "/api/v1/guests/files/{}/api/v1"): "/api/v1/guests/files/{path:path}",
        ("GET", "/hotels/{}/rooms/7"): "/hotels/{hotel}/rooms/{room}",
        ("GET", "/hotels/{}/docs"): "/hotels/{hotel}/docs",
        ("GET", "/hotels/{}/api/v1/guests/8"): "/hotels/{hotel}/api/v1/guests/{guest}",
        ("GET", "/hotels/{}/nowhere"): "/hotels/{hotel}",
        ("GET", "/pages/page/{}"): "/pages/page/{page}",
        ("GET", "/raw/{}"): "/raw",
        ("GET", "/nowhere/{}"): "other",
    }

    async def job() -> None:
        async with in_process(app) as client:
            page = (await client.get("/metrics")).text
            for (method, path), name in wanted.items():
                counted = counts((await client.get("/metrics")).text)
                for _ in range(3):
                    await client.request(method, path.format(unique("x")))
                page = (await client.get("/metrics")).text
                grown = counts(page) - counted
                del grown["/metrics"]
                assert grown == {name: 3}, (method, path)
            assert not [name for name in counts(page) if "x-" in name], "a path is a name"

    run(job())


def counts(page: str) -> Counter[str]:
    """How many requests of each endpoint were counted."""
    found: Counter[str] = Counter()
    for name, count in re.findall('^http_requests_total{.*endpoint="(.*?)".*} (.*)$', page, re.MULTILINE):
        found[name] += int(float(count))
    return found


def test_metrics_are_for_the_addresses_that_may_see_them() -> None:
    async def job() -> None:
        for allowed, status in (({"127.0.0.1"}, 200), ({"10.0.0.1"}, 403)):
            app = FastAPI()
            app.include_router(metrics_router(allowed))
            async with in_process(app) as client:
                answer = await client.get("/metrics", headers={"X-Forwarded-For": "10.0.0.1"})
                assert answer.status_code == status

    run(job())


def test_an_app_without_a_lifespan_says_what_is_missing() -> None:
    async def job() -> None:
        async with in_process(errors_app()) as client:
            with pytest.raises(RuntimeError, match="lifespan"):
                await client.get("/me")

    run(job())


def test_fastapi_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.delitem(sys.modules, "posada.fastapi")
    with pytest.raises(ImportError, match=r"pip install 'posada\[fastapi\]'"):
        importlib.import_module("posada.fastapi")
