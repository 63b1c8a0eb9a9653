"""posada in a FastAPI app beyond plain requests: quotas, websockets, mounted apps, and what callers are told."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import posada
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, WebSocket
from posada import metrics
from posada._peers import peer_of, together
from posada.fastapi import (
    CurrentPosada,
    CurrentTenant,
    CurrentUser,
    MetricsMiddleware,
    add_error_handlers,
    flag,
    lifespan,
    metrics_router,
    peer,
    rate_limit,
    require,
)
from posada.testing import SignIn
from starlette.applications import Starlette
from starlette.routing import Mount
from support import NO_REUSE, asking, in_process, run

PHONE = "5491187654321"


async def ask(
    app: Any, path: str, *, client: tuple[str, int] | None = ("203.0.113.9", 5), host: str = "app", **more: Any
) -> tuple[int, bytes]:
    """The status and body of a request of which every byte is chosen: no client of HTTP tidies it up."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", host.encode())],
        "client": client,
        "server": ("app", 80),
        **more,
    }
    told: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    await app(scope, receive, send)
    return told[0]["status"], b"".join(message.get("body", b"") for message in told)


async def handshake(app: Any, path: str, *, headers: dict[str, str] | None = None, **more: Any) -> list[dict[str, Any]]:
    """What a server is told when somebody opens a websocket."""
    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        "client": ("203.0.113.9", 5),
        "server": ("app", 80),
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
        **more,
    }
    told: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    await app(scope, receive, send)
    return told


def limited_app(**options: Any) -> FastAPI:
    app = FastAPI()
    add_error_handlers(app)
    limit = Depends(rate_limit("3/hour", **options))

    @app.get("/guests/{guest}", dependencies=[limit])
    @app.head("/guests/{guest}", dependencies=[limit])
    async def guest(guest: str) -> str:
        return guest

    @app.get("/plain", dependencies=[limit])
    async def plain() -> str:
        return "here"

    inner = APIRouter(prefix="/v1")

    @inner.get("/rooms/{room}", dependencies=[limit])
    async def room(room: str) -> str:
        return room

    app.include_router(inner, prefix="/api")
    hotel = FastAPI()
    add_error_handlers(hotel)
    hotel.include_router(inner)
    app.mount("/hotels/{hotel}", hotel)
    app.mount("/fixed", hotel)
    return app


async def statuses(app: FastAPI, wanted: list[dict[str, Any]]) -> list[int]:
    async with posada.Posada.embedded() as p:
        app.state.posada = p
        return [(await ask(app, **each))[0] for each in wanted]


SPELLINGS: dict[str, Callable[[int], dict[str, Any]]] = {
    "the Host header": lambda n: {"path": "/plain", "host": f"h/{n}?"},
    "a Host header without a path": lambda n: {"path": "/plain", "host": f"h{n}.example"},
    "values of parameters": lambda n: {"path": f"/guests/{n}"},
    "encoded values": lambda n: {"path": f"/guests/é{n} %"},
    "a query": lambda n: {"path": "/plain", "query_string": f"n={n}".encode()},
    "raw paths": lambda n: {"path": "/plain", "raw_path": f"/%70lain{n}".encode()},
    "HEAD and GET": lambda n: {"path": f"/guests/{n}", "method": ("HEAD", "GET")[n % 2]},
    "an included router": lambda n: {"path": f"/api/v1/rooms/{n}"},
    "a mounted app": lambda n: {"path": f"/hotels/{n}/v1/rooms/{n}"},
    "a mounted app whose name is its parameter": lambda n: {
        "path": f"/hotels/{('hotels', 'v1', 'rooms', '1')[n]}/v1/rooms/v1"
    },
    "ports of the other end": lambda n: {"path": "/plain", "client": ("203.0.113.9", n)},
    "addresses of one /64": lambda n: {"path": "/plain", "client": (f"2001:db8:7:7:{n}::{n}", 5)},
    "spellings of one address": lambda n: {
        "path": "/plain",
        "client": (("2001:DB8::1", "2001:db8:0:0::1", "2001:db8::1%eth0", "2001:0db8::0001")[n], 5),
    },
    "IPv4 in IPv6": lambda n: {"path": "/plain", "client": (("203.0.113.9", "::ffff:203.0.113.9")[n % 2], 5)},
    "no address": lambda n: {"path": "/plain", "client": (None, ("", n), ("/run/app.sock", n), ("testclient", n))[n]},
    "a forwarded header": lambda n: {
        "path": "/plain",
        "headers": [(b"host", b"app"), (b"x-forwarded-for", f"10.0.0.{n}".encode())],
    },
    "a root path": lambda n: {"path": ("/plain", "/behind/plain")[n % 2], "root_path": "/behind"},
}


@pytest.mark.parametrize("what", SPELLINGS)
def test_no_spelling_of_a_request_has_a_quota_of_its_own(what: str) -> None:
    wanted = [SPELLINGS[what](number) for number in range(4)]
    assert run(statuses(limited_app(), wanted)) == [200, 200, 200, 429]


def test_routes_have_quotas_of_their_own_and_paths_when_that_is_asked_for() -> None:
    paths = ["/plain", "/guests/1", "/api/v1/rooms/1", "/hotels/1/v1/rooms/1", "/fixed/v1/rooms/1"]
    assert run(statuses(limited_app(), [{"path": path} for path in paths * 4])) == [200] * 15 + [429] * 5
    each = [{"path": f"/guests/{number}"} for number in (1, 2, 1, 2, 1, 2, 1, 2)]
    assert run(statuses(limited_app(per="path"), each)) == [200] * 6 + [429] * 2
    wrong: Any = "guest"
    with pytest.raises(ValueError, match="per: expected route or path"):
        rate_limit("3/hour", per=wrong)


def test_networks_count_apart() -> None:
    clients = ["2001:db8:7:7::1", "2001:db8:7:8::1", "203.0.113.9", "203.0.113.10"]
    wanted = [{"path": "/plain", "client": (client, 5)} for client in clients * 3]
    assert run(statuses(limited_app(), wanted)) == [200] * 12
    assert together("2001:db8:7:7::1") == "2001.db8.7.7/64"
    assert together("user:17") == "user:17"
    assert together("203.0.113.9:40001") == together("203.0.113.9:40002") == "203.0.113.9"
    assert together("[2001:db8:7:7::1]:443") == together("[2001:db8:7:7::2]") == "2001.db8.7.7/64"


def test_behind_a_unix_socket_there_is_no_address() -> None:
    for client in (None, ("", 0), ("/run/app.sock", 0)):
        assert peer_of({"client": client}) is None
    assert peer_of({"client": ("203.0.113.9:41234", 0)}) == "203.0.113.9"
    assert peer_of({"client": ("[2001:db8::1]:80", 0)}) == "2001:db8::1"


@pytest.mark.parametrize(
    ("allowed", "client", "status"),
    [
        (None, None, 200),
        ((), ("127.0.0.1", 5), 403),
        ({"127.0.0.1"}, None, 403),
        ({"127.0.0.1"}, ("", 0), 403),
        ({"127.0.0.1"}, ("127.0.0.1", 5), 200),
        ({"127.0.0.1"}, ("::ffff:127.0.0.1", 5), 200),
        ({"127.0.0.1"}, ("127.0.0.2", 5), 403),
        ({"10.0.0.0/8", "2001:db8::/32"}, ("10.3.2.1", 5), 200),
        ({"10.0.0.0/8", "2001:db8::/32"}, ("2001:DB8:0::7", 5), 200),
        ({"10.0.0.0/8"}, ("11.0.0.1", 5), 403),
    ],
)
def test_the_page_of_metrics_is_for_those_who_may_see_it(allowed: Any, client: Any, status: int) -> None:
    app = FastAPI()
    app.include_router(metrics_router(allowed))
    assert run(ask(app, "/metrics", client=client))[0] == status


def test_without_a_word_the_page_of_metrics_is_for_this_machine() -> None:
    app = FastAPI()
    app.include_router(metrics_router())
    for client, status in ((("127.0.0.1", 5), 200), (("::1", 5), 200), (("203.0.113.9", 5), 403), (None, 403)):
        assert run(ask(app, "/metrics", client=client))[0] == status
    for wrong in ("127.0.0.1", {"localhost"}, {5}):
        with pytest.raises((TypeError, ValueError), match="allowed: expected"):
            metrics_router(wrong)  # type: ignore[arg-type]


def sockets_app() -> FastAPI:
    app = FastAPI(dependencies=[Depends(rate_limit("2/hour"))])
    app.add_middleware(MetricsMiddleware)
    add_error_handlers(app)

    @app.websocket("/desk/{guest}")
    async def desk(
        websocket: WebSocket,
        p: CurrentPosada,
        user: CurrentUser,
        hotel: CurrentTenant,
        on: Annotated[bool, Depends(flag("chat.enabled"))],
    ) -> None:
        await websocket.accept()
        await websocket.send_json([user.role, hotel.id, on, p is websocket.app.state.posada])
        await websocket.close()

    @app.websocket("/rates", dependencies=[Depends(require("manage_rates"))])
    async def rates(websocket: WebSocket) -> None:
        await websocket.accept()

    @app.websocket("/late")
    async def late(websocket: WebSocket, p: CurrentPosada) -> None:
        await websocket.accept()
        await p.tenants.get("a!\n")

    return app


def test_dependencies_work_in_websocket_routes(
    posada_handle: posada.Posada, posada_hotel: posada.Tenant, posada_sign_in: SignIn
) -> None:
    app, headers = sockets_app(), posada_sign_in("receptionist")
    app.state.posada = posada_handle
    asyncio.run(posada_handle.flags.set("chat.enabled", True, tenant=posada_hotel))
    for guest in (PHONE, "2"):
        accepted, sent, closed = run(handshake(app, f"/desk/{guest}", headers=headers))
        assert accepted["type"] == "websocket.accept"
        assert sent["text"] == f'["receptionist","{posada_hotel.id}",true,true]'
        assert closed["type"] == "websocket.close"
    # The quota of the route, whichever guest is named.
    refused = run(handshake(app, "/desk/3", headers=headers))
    assert (refused[0]["type"], refused[0]["status"]) == ("websocket.http.response.start", 429)
    denied = run(handshake(app, "/rates", headers=headers))
    assert denied[0]["status"] == 403
    nobody = run(handshake(app, "/rates"))
    assert (nobody[0]["type"], nobody[0]["status"]) in {
        ("websocket.http.response.start", 401),
        ("websocket.http.response.start", 429),
    }
    # A server that cannot answer a handshake, and a websocket that was accepted already, are told why they are closed.
    told = run(handshake(app, "/rates", headers=headers, extensions={}, client=("203.0.113.77", 5)))
    assert told == [{"type": "websocket.close", "code": 1008, "reason": "auth.forbidden"}]
    _, closed = run(handshake(app, "/late"))
    assert (closed["code"], closed["reason"]) == (1008, "tenants.invalid_id")


def test_mounted_apps_find_the_handle_of_the_outermost() -> None:
    inner = FastAPI()

    @inner.get("/hotel")
    async def hotel(p: CurrentPosada, request: Request) -> bool:
        return p is getattr(request.state, "posada", p)

    outer = FastAPI(lifespan=lifespan(posada.Posada.embedded))
    outer.mount("/inner", inner)

    async def mounted() -> None:
        async with in_process(outer) as client:
            assert (await client.get("/inner/hotel")).json() is True

    run(mounted())
    # Where the outermost app is none of FastAPI's, the state of the lifespan tells; a server hands it on.
    plain: Any = Starlette(routes=[Mount("/inner", inner)], lifespan=lifespan(posada.Posada.embedded))  # type: ignore[arg-type]
    with asking(plain) as client:
        assert client.get("/inner/hotel").json() is True


def test_an_app_without_a_handle_names_every_cause() -> None:
    app = FastAPI()

    @app.get("/hotel")
    async def hotel(p: CurrentPosada) -> str:
        return repr(p)

    with pytest.raises(RuntimeError) as refused:
        run(ask(app, "/hotel"))
    for cause in ("lifespan=", "TestClient", "ASGITransport", "app.state.posada", "mounted"):
        assert cause in str(refused.value)


def test_a_lifespan_of_ones_own_hands_the_state_on() -> None:
    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[dict[str, posada.Posada]]:
        async with lifespan(posada.Posada.embedded)(app) as state:
            yield state

    app = FastAPI(lifespan=living)

    @app.get("/hotel")
    async def hotel(request: Request) -> bool:
        return request.state.posada is request.app.state.posada

    with asking(app) as client:
        assert client.get("/hotel").json() is True


def facts_app(error: posada.PosadaError) -> FastAPI:
    app = FastAPI()
    add_error_handlers(app)

    @app.get("/raise/{guest}")
    async def raises() -> None:
        raise error

    return app


EVERYTHING = {
    "field": "tenant",
    "owner": "another-hotel",
    "tenant": "another-hotel",
    "key": f"session:hotel-c:{PHONE}",
    "lock": f"guest:{PHONE}",
    "holder": "ana@example.com",
    "constraint": "users_email_key",
    "reason": "in /var/www/html",
    "booking": "17",
    "nights": "2027-03-10",
}


def test_callers_are_told_facts_of_a_fixed_list() -> None:
    for kind in ("invalid", "denied", "not_found", "conflict", "exhausted"):
        error = posada.errors.KINDS[kind]("no", code="x.y", context=EVERYTHING)
        _, body = run(ask(facts_app(error), f"/raise/{PHONE}"))
        assert httpx.Response(200, content=body).json()["facts"] == {"field": "tenant", "nights": "2027-03-10"}


def test_what_the_hotels_system_cannot_do_is_said_with_501_and_no_outage(caplog: pytest.LogCaptureFixture) -> None:
    facts = {"feature": "bookings.change", "system": "hotel.example.com", "instead": "cancel it"}
    error = posada.errors.KINDS["unsupported"]("the system cannot do this", code="pms.unsupported", context=facts)
    assert isinstance(error, posada.UnsupportedError)
    status, body = run(ask(facts_app(error), "/raise/1"))
    told = httpx.Response(200, content=body).json()
    assert (status, told["code"], told["message"]) == (501, "pms.unsupported", "the system cannot do this")
    assert told["facts"] == {"feature": "bookings.change", "instead": "cancel it"}
    assert not caplog.records


def test_nobody_learns_why_a_token_was_refused() -> None:
    for code in ("auth.invalid_token", "auth.session_ended", "auth.token_expired"):
        error = posada.UnauthenticatedError(
            "the signature is wrong", code=code, context={"reason": "x", "field": "exp"}
        )
        status, body = run(ask(facts_app(error), "/raise/1"))
        told = httpx.Response(200, content=body).json()
        assert (status, told["facts"]) == (403, {})
        assert told["message"] == told["detail"] == "Could not validate credentials"


def test_an_outage_is_a_line_of_the_log_and_names_no_guest(caplog: pytest.LogCaptureFixture) -> None:
    error = posada.UnavailableError("Redis cannot be reached", code="redis.unavailable", retryable=True)
    app = facts_app(error)

    async def job() -> None:
        for _ in range(500):
            assert (await ask(app, f"/raise/{PHONE}"))[0] == 503

    with caplog.at_level(logging.INFO, "posada.fastapi"):
        run(job())
    (line,) = [record.getMessage() for record in caplog.records if record.name == "posada.fastapi"]
    assert line == "GET /raise/{guest} was answered 503: redis.unavailable: Redis cannot be reached"


def test_each_worker_can_have_a_page_of_its_own() -> None:
    async def job() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            ports = [taken.getsockname()[1], 0]
            async with metrics.serve(ports) as port, httpx.AsyncClient(limits=NO_REUSE) as client:
                assert port != ports[0]
                page = await client.get(f"http://127.0.0.1:{port}/metrics")
                assert (page.status_code, page.headers["content-type"]) == (200, metrics.CONTENT_TYPE)
                assert page.text == metrics.render()
                assert (await client.get(f"http://127.0.0.1:{port}/")).status_code == 404
                assert (await client.post(f"http://127.0.0.1:{port}/metrics")).status_code == 404
                # Whoever says nothing, or too much, holds nobody up.
                _, silent = await asyncio.open_connection("127.0.0.1", port)
                _, loud = await asyncio.open_connection("127.0.0.1", port)
                loud.write(b"x" * 200_000)
                assert (await client.get(f"http://127.0.0.1:{port}/metrics?x=1")).status_code == 200
                for writer in (silent, loud):
                    writer.close()
            with pytest.raises(OSError):  # noqa: PT011 - the words are the system's
                async with metrics.serve(ports[:1]):
                    pass

    run(job())


def test_the_peer_of_a_request_is_what_sign_in_takes(posada_handle: posada.Posada) -> None:
    app = FastAPI()
    add_error_handlers(app)
    app.state.posada = posada_handle

    @app.get("/sign-in")
    async def sign_in(p: CurrentPosada, address: Annotated[str | None, Depends(peer)]) -> None:
        await p.auth.login("nobody", "el loro pinta mapas", address=address)

    for client in (None, ("testclient", 50000), ("203.0.113.9", 5), ("::ffff:203.0.113.9", 5)):
        assert run(ask(app, "/sign-in", client=client))[0] == 401
