"""The example app over real HTTP: step by step as a program of its own, and with two hundred clients at once."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import posada
import pytest
import uvicorn
from fastapi_app import receptionist
from fastapi_app.app import make_app
from support import NO_REUSE, ROOT, Gate, asking, in_process, listening, number, run, server_settings, unique, wamid

PASSWORD = "el loro pinta mapas de cobre"
SECRET = "the secret of the account"
EXAMPLES = ROOT / "examples" / "python"
SERVERS = {"memory": (), "servers": ("DATABASE_URL", "REDIS_URL")}


@pytest.fixture(params=SERVERS)
def store(request: pytest.FixtureRequest) -> str:
    missing = [name for name in SERVERS[request.param] if name not in os.environ]
    if missing:
        pytest.fail(f"{missing} are not set: run `make test-python`, which starts servers")
    return str(request.param)


@pytest.fixture
def client(store: str) -> Iterator[httpx.Client]:
    """A client of `python -m fastapi_app`, with nothing in its environment but what its README says."""
    environment = {name: os.environ[name] for name in ("PATH", *SERVERS[store])} | {
        "ADMIN_PASSWORD": PASSWORD,
        "WEBHOOK_LIMIT": "1000/minute",
        "WHATSAPP_APP_SECRET": SECRET,
    }
    if store == "servers":
        environment["SECRET_KEY"] = "the key of the example, long enough for HS256"
    with listening() as socket:
        command = [sys.executable, "-m", "fastapi_app", "--fd", str(socket.fileno()), "--log-level", "warning"]
        program = subprocess.Popen(command, cwd=EXAMPLES, env=environment, pass_fds=[socket.fileno()])
        try:
            address = f"http://127.0.0.1:{socket.getsockname()[1]}"
            with httpx.Client(base_url=address, timeout=60, limits=NO_REUSE) as client:
                yield client
        finally:
            program.terminate()
            assert program.wait(30) in {0, -15}


def notification(id: str, sender: str, to: str, text: str) -> dict[str, Any]:
    """What WhatsApp posts for one message."""
    message = {"id": id, "from": sender, "type": "text", "text": {"body": text}}
    value = {"messaging_product": "whatsapp", "metadata": {"display_phone_number": to}, "messages": [message]}
    return {"object": "whatsapp_business_account", "entry": [{"changes": [{"field": "messages", "value": value}]}]}


def write(client: httpx.Client, sender: str, to: str, text: str, *, id: str | None = None) -> str:
    """Sends a signed message and answers the reply."""
    body = json.dumps(notification(id or wamid(sender), sender, to, text)).encode()
    signature = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Hub-Signature-256": signature}
    answer = client.post("/webhooks/whatsapp", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    (reply,) = answer.json()["replies"]
    return str(reply)


def test_from_the_first_sign_in_to_a_booking(client: httpx.Client) -> None:
    refused = client.post("/admin/token", data={"username": "admin", "password": "a guess"})
    assert (refused.status_code, refused.json()["code"]) == (401, "auth.bad_credentials")
    signed_in = client.post("/admin/token", data={"username": "admin", "password": PASSWORD}).json()
    headers = {"Authorization": f"Bearer {signed_in['access_token']}"}

    hotel, to, guest = unique("hotel"), number(), number()
    tenant = {"tenant_id": hotel, "name": "Hotel Test", "status": "active"}
    assert client.post("/api/admin/tenants", json=tenant).status_code == 401
    created = client.post("/api/admin/tenants", json=tenant, headers=headers)
    assert (created.status_code, created.json()) == (201, tenant)
    assert client.post("/api/admin/tenants", json=tenant, headers=headers).status_code == 409
    assert tenant in client.get("/api/admin/tenants", headers=headers).json()
    wanted = {"identifier": f"+{to}", "channel": "whatsapp"}
    assert client.post(f"/api/admin/tenants/{hotel}/identifiers", json=wanted, headers=headers).status_code == 201

    assert write(client, guest, number(), "hello") == receptionist.NO_HOTEL
    assert write(client, guest, to, "hello") == receptionist.HOW_TO_ASK
    assert write(client, guest, to, "half of an emoji \ud83d") == receptionist.HOW_TO_ASK
    wish = "book 2027-03-10 2027-03-12 for 2"
    assert write(client, guest, to, wish) == receptionist.A_COLLEAGUE
    switch = f"/api/admin/tenants/{hotel}/flags/{receptionist.BOOKING_FLAG}"
    assert client.put(switch, params={"enabled": True}, headers=headers).status_code == 204
    once = wamid(guest)
    booked = write(client, guest, to, wish, id=once)
    assert booked.startswith("Booked: ")
    assert write(client, guest, to, wish, id=once) == booked
    assert write(client, guest, to, "book 2027-03-12 2027-03-10 for 2") == receptionist.NO_SUCH_NIGHTS

    forged = client.post("/webhooks/whatsapp", json=notification("x", guest, to, wish))
    assert forged.status_code == 403

    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "healthy")
    page = client.get("/metrics").text
    route = "/api/admin/tenants/{tenant_id}/identifiers"
    assert f'http_requests_total{{method="POST",endpoint="{route}",status_code="201"}} 1\n' in page
    assert 'tenant_resolution_total{result="hit"} 6\n' in page
    assert 'lock_operations_total{operation="acquire",result="success"} 5\n' in page


def test_support_reads_what_guests_of_any_hotel_wrote_and_hotels_only_their_own(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ADMIN_PASSWORD", raising=False)
    settings = posada.Settings.embedded() if store == "memory" else server_settings()
    handles: list[posada.Posada] = []
    hotel, other, to, guest = unique("hotel"), unique("hotel"), number(), number()
    path, who = f"/api/support/tenants/{hotel}/conversations", {"guest": guest}

    def opens() -> posada.Posada:
        handles.append(posada.Posada.build(settings))
        return handles[-1]

    def signed_in(role: posada.auth.Role, tenant: str | None, *, superuser: bool = False) -> dict[str, str]:
        async def job() -> str:
            name = unique(role)
            await p.auth.create_user(
                name, f"{name}@example.com", PASSWORD, role=role, tenant=tenant, superuser=superuser
            )
            return (await p.auth.login(name, PASSWORD)).access

        return {"Authorization": f"Bearer {run(job())}"}

    async def heard() -> posada.auth.AuthEvent:
        async for event in events:
            if event.kind.startswith("authz"):
                return event
        raise AssertionError("the events ended")

    with asking(make_app(opens)) as client:
        assert client.get("/health/live").status_code == 200
        (p,) = handles
        for each in (hotel, other):
            run(p.tenants.create(each, name="Hotel Test"))
        run(p.tenants.add_identifier(hotel, f"+{to}", "whatsapp"))
        posted = client.post("/webhooks/whatsapp", json=notification(wamid(guest), guest, to, "is there a pool?"))
        assert posted.status_code == 200
        support = signed_in("admin", None, superuser=True)
        own, stranger, guests = (
            signed_in("manager", hotel),
            signed_in("admin", other),
            signed_in("guest", hotel),
        )

        # As the app answers: 401 without a token, 403 for one that is not accepted.
        nobody = client.post(path, json=who)
        assert (nobody.status_code, nobody.json()) == (401, {"detail": "Not authenticated"})
        assert nobody.headers["www-authenticate"] == "Bearer"
        forged = client.post(path, json=who, headers={"Authorization": "Bearer garbage"})
        assert (forged.status_code, forged.json()["detail"]) == (403, "Could not validate credentials")
        assert forged.headers["www-authenticate"] == "Bearer"

        events = p.auth.events()
        read = client.post(path, json=who, headers=support)
        assert read.status_code == 200, read.text
        assert [turn["content"] for turn in read.json()["history"]] == ["is there a pool?", receptionist.HOW_TO_ASK]
        assert client.post(path, json=who, headers=own).json() == read.json()
        refused = client.post(path, json=who, headers=stranger)
        assert (refused.status_code, refused.json()["code"]) == (403, "auth.forbidden")
        assert "www-authenticate" not in refused.headers
        told = [run(heard()) for _ in range(2)]
        assert [(event.kind, event.detail) for event in told] == [
            ("authz_admin", "support reads a conversation"),
            ("authz_fail", "not a superuser"),
        ]
        assert all(event.tenant == hotel and event.is_warning for event in told)
        assert client.post(path, json={"guest": guest + "0"}, headers=support).status_code == 404
        assert client.post(path, json=who, headers=guests).status_code == 403


def test_two_hundred_guests_at_once_lose_nothing(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that was acknowledged is in the conversation, and no room is sold twice."""
    monkeypatch.setenv("ADMIN_PASSWORD", PASSWORD)
    mock, hotel, to = posada.MockPms(), unique("hotel"), number()
    mock.set_gap(3)
    settings = posada.Settings.embedded() if store == "memory" else server_settings()
    handles: list[posada.Posada] = []

    def opens() -> posada.Posada:
        handles.append(posada.Posada.build(settings, mock_pms=mock))
        return handles[-1]

    def asking(address: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=address, timeout=120, verify=False)  # plain HTTP: no certificates to load

    messages: dict[tuple[str, int], str] = {}

    def message(sender: str, turn: int) -> str:
        return messages.setdefault((sender, turn), wamid(sender))

    async def guest(address: str, place: int) -> list[str]:
        """Greets, books one of three weeks, asking again while others are faster, and thanks. Answers all replies."""
        sender, week = f"54911{place:08d}", place % 3
        wish = f"book 2027-0{week + 3}-10 2027-0{week + 3}-12 for 2"
        replies: list[str] = []
        async with asking(address) as client:
            for text in ("hello", wish, "thank you"):
                reply = receptionist.JUST_TAKEN
                while reply == receptionist.JUST_TAKEN:
                    body = notification(message(sender, len(replies)), sender, to, text)
                    answer = await client.post("/webhooks/whatsapp", json=body)
                    assert answer.status_code == 200, answer.text
                    (reply,) = answer.json()["replies"]
                    replies.append(reply)
        return replies

    async def job() -> None:
        asyncio.get_running_loop().set_debug(False)  # it is the load that is looked at
        app = make_app(opens, webhook_limit="100000/minute")
        # A guest that waits for its turn keeps its connection, however slow the machine is.
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_keep_alive=3600))
        with listening() as socket:
            serving = asyncio.create_task(server.serve(sockets=[socket]))
            address = f"http://127.0.0.1:{socket.getsockname()[1]}"
            async with asking(address) as client:
                assert (await client.get("/health/ready")).status_code == 200
            (p,) = handles
            await p.tenants.create(hotel, name="Hotel Test")
            await p.tenants.add_identifier(hotel, f"+{to}", "whatsapp")
            await p.flags.set(receptionist.BOOKING_FLAG, True, tenant=hotel)
            told = await asyncio.gather(*(guest(address, place) for place in range(200)))
            for place, replies in enumerate(told):
                sender = f"54911{place:08d}"
                session = await p.sessions.get(sender, tenant=hotel)
                assert session is not None
                turns = [(turn["id"], turn["content"]) for turn in session.document["history"]]
                asked = [message(sender, turn) for turn in range(len(replies))]
                # A conversation keeps its last fifty turns: a message, its reply, and so on.
                assert [name for name, _ in turns] == [name for each in asked for name in (each, f"{each}:reply")][-50:]
                assert [content for _, content in turns][1::2] == replies[-25:]
            server.should_exit = True
            await serving
        references = [reply.rpartition(" ")[2] for replies in told for reply in replies if reply.startswith("Booked")]
        assert len(references) == len(set(references)) == mock.bookings() == 60
        assert mock.double_booked_nights() == 0

    run(job())


def test_a_message_that_is_delivered_twice_at_once_is_decided_once_and_a_cancelled_booking_is_told_as_cancelled(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ADMIN_PASSWORD", raising=False)
    mock, hotel, to = posada.MockPms(), unique("hotel"), number()
    mock.set_gap(20)
    settings = posada.Settings.embedded() if store == "memory" else server_settings()

    async def job() -> None:
        app = make_app(lambda: posada.Posada.build(settings, mock_pms=mock))
        async with in_process(app) as client:
            p: posada.Posada = app.state.posada
            await p.tenants.create(hotel, name="Hotel Test")
            await p.tenants.add_identifier(hotel, f"+{to}", "whatsapp")
            await p.flags.set(receptionist.BOOKING_FLAG, True, tenant=hotel)

            async def deliver(sender: str, id: str) -> str:
                body = notification(id, sender, to, "book 2027-03-10 2027-03-12 for 2")
                answer = await client.post("/webhooks/whatsapp", json=body)
                assert answer.status_code == 200, answer.text
                return str(answer.json()["replies"][0])

            # Of twenty rooms the last ones: every guest whose message came twice hears the same both times.
            senders = [number() for _ in range(22)]
            names = [wamid(sender) for sender in senders]
            twice = [(sender, name) for sender, name in zip(senders, names, strict=True) for _ in range(2)]
            replies = await asyncio.gather(*(deliver(sender, name) for sender, name in twice))
            assert replies[::2] == replies[1::2]
            for sender, name, reply in zip(senders, names, replies[::2], strict=True):
                session = await p.sessions.get(sender, tenant=hotel)
                assert session is not None
                assert [turn["content"] for turn in session.document["history"]][1:] == [reply]
                assert await deliver(sender, name) == reply
            booked = next(place for place, reply in enumerate(replies[::2]) if reply.startswith("Booked"))
            key = posada.IdempotencyKey.of("whatsapp", names[booked])
            booking = await p.pms.find_booking(key)
            assert booking is not None
            await p.pms.cancel(booking.id)
            assert await deliver(senders[booked], names[booked]) == receptionist.CANCELLED

    run(job())


def test_a_message_during_an_outage_is_sent_again_and_kept_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """WhatsApp repeats whatever was not answered 200, so an outage costs time and nothing else."""
    monkeypatch.delenv("ADMIN_PASSWORD", raising=False)
    hotel, to, sender = unique("hotel"), number(), number()

    async def job(gate: Gate) -> None:
        app = make_app(lambda: posada.Posada.build(server_settings(redis_url=gate.url)))
        async with in_process(app) as client:
            p: posada.Posada = app.state.posada
            await p.tenants.create(hotel, name="Hotel Test")
            await p.tenants.add_identifier(hotel, f"+{to}", "whatsapp")
            message = wamid(sender)
            body = notification(message, sender, to, "hello")
            gate.shut()
            refused = await client.post("/webhooks/whatsapp", json=body)
            assert refused.status_code in {503, 504}, refused.text
            assert int(refused.headers["retry-after"]) >= 1
            assert (await client.get("/health/ready")).json()["redis"] == "error"
            gate.open()
            while (await client.post("/webhooks/whatsapp", json=body)).status_code != 200:
                await asyncio.sleep(0.05)
            assert (await client.post("/webhooks/whatsapp", json=body)).status_code == 200
            session = await p.sessions.get(sender, tenant=hotel)
            assert session is not None
            assert [turn["id"] for turn in session.document["history"]] == [message, f"{message}:reply"]

    with Gate("REDIS_URL") as gate:
        run(job(gate))


def test_the_test_of_the_setup_guide(store: str) -> None:
    """It runs as it stands in `examples/python`, twice, because the second time everything is there already."""
    environment = {name: os.environ[name] for name in ("PATH", *SERVERS[store])}
    for _ in range(2):
        ran = subprocess.run(
            [sys.executable, "-W", "error", EXAMPLES / "tenant_resolution.py"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (ran.stdout, ran.stderr) == ("Tenant resolved: hotel-test\n", "")
