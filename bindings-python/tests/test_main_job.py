"""The main job, in memory and on servers: a message, its hotel, its conversation, a hold and a booking."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import datetime as dt
import pickle
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import posada
import pytest
from support import Open, number, run, server_settings, unique

GUEST = posada.Guest("Ana", "Pérez", "ana@example.com", "+5491187654321")


def test_a_guest_books_a_room(opened: Open) -> None:
    async def job() -> None:
        async with opened() as p:
            await p.migrate()
            hotel, to = unique("hotel"), number()
            await p.tenants.create(hotel, name="Hotel Test")
            await p.tenants.add_identifier(hotel, f"+{to}", "whatsapp")
            found = await p.tenants.resolve(to, channel="whatsapp")
            assert found
            assert found.tenant.id == hotel
            assert found.source == "fresh"
            assert found.age >= dt.timedelta(0)
            assert p.tenants.cached(to, "whatsapp") is not None

            session = await p.sessions.get_or_create(to, "whatsapp", tenant=found.tenant)
            session.document["context"]["last_intent"] = "book"
            await p.sessions.save(session)
            merged = await p.sessions.update(to, {"context": {"nights": 2}}, tenant=hotel)
            assert merged.document["context"] == {"last_intent": "book", "nights": 2}
            with pytest.raises(posada.ConflictError) as conflict:
                await p.sessions.save(session)
            assert conflict.value.code == "sessions.conflict"

            flag = unique("flag")
            assert not p.flags.is_enabled(flag, tenant=found.tenant)
            await p.flags.set(flag, True, tenant=hotel)
            assert p.flags.is_enabled(flag, tenant=hotel)
            assert not p.flags.is_enabled(flag)

            stay = posada.Stay(dt.date(2027, 3, 10), dt.date(2027, 3, 12))
            offers = await p.pms.availability(hotel=1, stay=stay, adults=2)
            assert isinstance(offers[0].total.amount, Decimal)
            async with p.locks.hold_stay(
                "room_type:1/1",
                stay.check_in,
                stay.check_out,
                tenant=hotel,
                session_id=session.id,
                user_id=to,
                capacity=offers[0].available,
            ) as hold:
                quote = await p.pms.quote(1, offers[0].room_type, stay, adults=2)
                assert (quote.resource, quote.total) == (hold.resource, offers[0].total)
                request = posada.BookingRequest.from_quote(quote, GUEST, unique("wa"))
                booking = await p.pms.book(request, hold=hold)
                again = await p.pms.book(request, hold=hold)
            assert (booking.id, booking.created, again.created) == (again.id, "created", "found_again")
            assert booking.status == "confirmed"
            assert await p.locks.holds("room_type:1/1", stay, tenant=hotel) == []

            async with p.locks.acquire(unique("reservation"), ttl=30, wait=5) as lock:
                assert lock.fence > 0
                assert dt.timedelta(0) < lock.remaining() <= dt.timedelta(seconds=30)
                assert await p.locks.try_acquire(lock.name) is None

            assert (await p.limits.check("30/minute", unique("address"))).remaining == 29
            health = await p.health()
            assert health
            assert health.to_dict()["status"] == "healthy"

    run(job())


def test_a_user_signs_in_and_out(opened: Open) -> None:
    async def job() -> None:
        async with opened() as p:
            await p.migrate()
            hotel, name, password = unique("hotel"), unique("ana"), "el loro pinta mapas de cobre"
            await p.tenants.create(hotel, name="Hotel Test")
            events = p.auth.events()
            user = await p.auth.create_user(name, f"{name}@example.com", password, tenant=hotel, role="receptionist")
            assert (user.role, user.tenant) == ("receptionist", hotel)
            assert (await events.next()).kind == "user_created"

            tokens = await p.auth.login(name, password, tenant=hotel, address="203.0.113.9")
            assert tokens.access not in repr(tokens)
            claims = await p.auth.verify(tokens.access)
            assert claims.has_permission("guest_checkin")
            assert claims.narrow(None) == hotel
            claims.require_for(hotel, posada.Permission.GUEST_CHECKIN)
            with pytest.raises(posada.DeniedError, match=r"auth\.forbidden"):
                claims.require_for(hotel, "manage_rates")
            with pytest.raises(posada.DeniedError, match=r"auth\.wrong_tenant"):
                claims.require_for("another-hotel", "guest_checkin")
            with pytest.raises(posada.InvalidError, match=r"auth\.invalid_permission"):
                claims.require_for(hotel, "guest_check_in")
            own = posada.own_permission("rebuild_everything")
            with pytest.raises(posada.DeniedError, match=r"auth\.forbidden"):
                claims.require_for(hotel, own)
            with pytest.raises(PermissionError, match=r"auth\.wrong_tenant"):
                claims.narrow("another-hotel")

            following = await p.auth.refresh(tokens.refresh)
            assert [each.id for each in await p.auth.sessions(claims)] == [following.session]
            assert await p.auth.measure() >= 1
            await p.auth.logout(following.access)
            with pytest.raises(posada.UnauthenticatedError) as ended:
                await p.auth.verify(following.access)
            assert ended.value.code == "auth.session_ended"
            with pytest.raises(posada.UnauthenticatedError):
                await p.auth.login(name, "another password altogether")

    run(job())


def test_a_guest_chooses_services_and_pays_what_the_quote_says() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            stay = posada.Stay(dt.date(2027, 3, 10), dt.date(2027, 3, 12))
            services = {service.name: service for service in await p.pms.services(1, 1)}
            assert services["Room Maintenance Fees"].automatic
            breakfast, dinner = services["Breakfast"], services["Dinner"]
            assert (breakfast.per_night, breakfast.max_quantity, dinner.max_quantity) == (True, 1, 4)
            chosen = [posada.ChosenService(breakfast.id), posada.ChosenService(dinner.id, 2)]
            rooms = [posada.Occupancy(2), posada.Occupancy(1)]

            plain = await p.pms.quote(1, 1, stay, party=rooms)
            quote = await p.pms.quote(1, 1, stay, party=rooms, services=chosen)
            items = {item.name: (item.quantity, item.total.amount) for item in quote.services}
            assert items == {
                "Breakfast": (1, breakfast.price.amount * 4),
                "Dinner": (2, dinner.price.amount * 8),
            }
            assert quote.rooms_total == plain.total
            assert quote.total.amount == plain.total.amount + sum(amount for _, amount in items.values())

            wish: dict[str, Any] = {
                "hotel": 1,
                "room_type": 1,
                "stay": stay,
                "party": tuple(rooms),
                "guest": GUEST,
                "idempotency_key": "breakfast",
            }
            with pytest.raises(posada.InvalidError, match="quote"):
                await p.pms.book(posada.BookingRequest(**wish, quote=quote))
            request = posada.BookingRequest(**wish, services=chosen, quote=quote)  # type: ignore[arg-type]
            assert request.services == tuple(chosen)
            booking = await p.pms.book(request)
            assert booking.total == quote.total
            assert booking.services == (
                posada.BookedService(breakfast.id, "Breakfast", 2),
                posada.BookedService(dinner.id, "Dinner", 4),
            )
            with pytest.raises(posada.ConflictError, match=r"pms\.key_reused"):
                await p.pms.book(posada.BookingRequest(**wish))

            for wrong in (99, services["Room Maintenance Fees"].id):
                with pytest.raises(posada.InvalidError) as refused:
                    await p.pms.quote(1, 1, stay, adults=2, services=[posada.ChosenService(wrong)])
                assert refused.value.field == "services"
            for quantity in (0, 5):
                with pytest.raises(posada.InvalidError):
                    await p.pms.quote(1, 1, stay, adults=2, services=[posada.ChosenService(dinner.id, quantity)])
            with pytest.raises(TypeError, match="ChosenService"):
                await p.pms.quote(1, 1, stay, adults=2, services=[9])  # type: ignore[list-item]

    run(job())


def test_a_quote_that_was_kept_elsewhere_is_as_good() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            stay = posada.Stay(dt.date(2027, 3, 10), dt.date(2027, 3, 12))
            services = (posada.ChosenService(7),)
            quote = await p.pms.quote(1, 2, stay, adults=1, child_ages=[4], services=services)
            request = posada.BookingRequest(
                hotel=1,
                room_type=2,
                stay=stay,
                adults=1,
                child_ages=(4,),
                guest=GUEST,
                idempotency_key="kept",
                services=services,
                quote=quote,
            )
            ways: list[Callable[[Any], Any]] = [
                copy.copy,
                copy.deepcopy,
                lambda value: pickle.loads(pickle.dumps(value)),
            ]
            for number, way in enumerate(ways):
                again = way(quote)
                assert again == quote
                assert (again.services, again.rooms_total) == (quote.services, quote.rooms_total)
                asked = dataclasses.replace(way(request), idempotency_key=f"kept-{number}", quote=again)
                assert asked.quote == quote
                assert (await p.pms.book(asked)).total == quote.total

            longer = posada.Stay(stay.check_in, dt.date(2027, 3, 13))
            forged = dataclasses.replace(request, idempotency_key="longer", stay=longer)
            with pytest.raises(posada.InvalidError, match="quote"):
                await p.pms.book(forged)

    run(job())


def test_the_life_of_a_booking() -> None:
    async def job() -> None:
        async with posada.Posada.embedded() as p:
            begun = dt.datetime.now(dt.timezone.utc) - dt.timedelta(minutes=1)
            stay = posada.Stay(dt.date(2027, 3, 10), dt.date(2027, 3, 12))
            quote = await p.pms.quote(1, 1, stay, adults=2)
            request = posada.BookingRequest(
                hotel=1, room_type=1, stay=stay, adults=2, guest=GUEST, idempotency_key="life", quote=quote
            )
            booking = await p.pms.book(request)
            assert booking.total == quote.total
            assert booking.guest is not None
            assert booking.guest.email == GUEST.email
            assert GUEST.email not in repr(booking)

            longer = posada.BookingChange(stay=posada.Stay(stay.check_in, dt.date(2027, 3, 13)))
            price = await p.pms.quote_change(booking.id, longer)
            changed = await p.pms.modify(booking.id, longer)
            assert (changed.id, changed.stay, changed.total) == (booking.id, longer.stay, price.total)

            assert [each.id for each in await p.pms.arrivals(1, stay.check_in)] == [booking.id]
            assert (await p.pms.check_in(booking.id)).status == "checked_in"
            with pytest.raises(posada.ConflictError, match=r"pms\.wrong_state"):
                await p.pms.cancel(booking.id)
            folio = await p.pms.invoices(booking.id)
            assert folio.total == changed.total
            assert (await p.pms.check_out(booking.id)).status == "checked_out"

            changes = p.pms.changes_since(begun)
            assert booking.id in {change.id async for change in changes}
            assert changes.cursor is not None
            assert await p.pms.changes_since(changes.cursor).next() is None
            assert (await p.pms.create_guest(GUEST)).email == GUEST.email
            assert await p.pms.guest("nobody@example.com") is None

    run(job())


def test_a_hold_is_extended_by_what_the_settings_say() -> None:
    async def job() -> None:
        settings = posada.Settings.build(
            postgres_url="memory:", redis_url="memory:", hold_ttl=60, hold_extension=5, hold_max_extensions=1
        )
        async with posada.Posada.connect(settings) as p:
            hold = await p.locks.hold_stay("room:101", dt.date(2027, 3, 10), dt.date(2027, 3, 12))
            before = hold.expires_at
            await hold.extend()
            assert hold.expires_at - before == dt.timedelta(seconds=5)
            with pytest.raises(posada.PosadaError) as refused:
                await hold.extend()
            assert refused.value.code == "locks.max_extensions"

    run(job())


def test_a_handle_that_was_only_built_follows_its_flags() -> None:
    """Nothing of it was awaited, and it asks Redis nevertheless."""

    async def job() -> None:
        flag = unique("flag")
        async with posada.Posada.connect(server_settings()) as p, posada.Posada.build(server_settings()) as other:
            await p.flags.set(flag, True)
            while not other.flags.is_enabled(flag):
                await asyncio.sleep(0.01)
            assert other.flags.status().ready

    run(job())
