"""The provider, through the official SDK."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import posada
import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import EventDetails, ProviderEvent
from openfeature.exception import ErrorCode, ProviderFatalError, ProviderNotReadyError
from openfeature.flag_evaluation import Reason
from openfeature.provider import ProviderStatus
from posada.openfeature import provider
from support import Gate, server_settings, unique


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """The SDK remembers providers and listeners for the whole process."""
    yield
    api.shutdown()


@pytest.fixture
def client(posada_handle: posada.Posada) -> OpenFeatureClient:
    api.set_provider_and_wait(provider(posada_handle))
    return api.get_client()


def told(event: ProviderEvent) -> queue.SimpleQueue[EventDetails]:
    """Everything that is told of one kind from now on."""
    heard: queue.SimpleQueue[EventDetails] = queue.SimpleQueue()
    api.add_handler(event, heard.put)
    return heard


def variants(*payloads: tuple[str, str]) -> str:
    """A flag that is on and whose only variant carries something."""
    ((kind, value),) = payloads
    variant = {"name": "only", "weight": 1000, "payload": {"type": kind, "value": value}}
    return json.dumps({"enabled": True, "strategies": [{"name": "default"}], "variants": [variant]})


def test_a_boolean_is_the_flag(client: OpenFeatureClient, posada_handle: posada.Posada) -> None:
    asyncio.run(posada_handle.flags.set("chat", True))
    details = client.get_boolean_details("chat", False)
    assert (details.value, details.reason, details.error_code) == (True, Reason.STATIC, None)
    assert details.flag_metadata["source"] == "global"
    assert asyncio.run(client.get_boolean_value_async("chat", False)) is True


def test_a_code_default_is_known_and_anything_else_is_not_found(client: OpenFeatureClient) -> None:
    name = next(iter(posada.DEFAULT_FLAGS))
    assert client.get_boolean_details(name, not posada.DEFAULT_FLAGS[name]).value == posada.DEFAULT_FLAGS[name]
    details = client.get_boolean_details("nobody.knows", True)
    assert (details.value, details.reason, details.error_code) == (True, Reason.ERROR, ErrorCode.FLAG_NOT_FOUND)


def test_the_context_says_who_asks(client: OpenFeatureClient, posada_handle: posada.Posada) -> None:
    only = {
        "name": "default",
        "constraints": [
            {"contextName": "userId", "operator": "IN", "values": ["ana"]},
            {"contextName": "vip", "operator": "IN", "values": ["true"]},
            {"contextName": "since", "operator": "IN", "values": ["2026-01-01T00:00:00+00:00"]},
        ],
    }
    asyncio.run(posada_handle.flags.set("vip", json.dumps({"enabled": True, "strategies": [only]}), tenant="hotel-a"))
    facts = {"tenant": "hotel-a", "vip": True, "since": datetime(2026, 1, 1, tzinfo=timezone.utc)}
    assert client.get_boolean_value("vip", False, EvaluationContext("ana", facts))
    assert not client.get_boolean_value("vip", False, EvaluationContext("eva", facts))
    assert not client.get_boolean_value("vip", False, EvaluationContext("ana", {**facts, "vip": False}))
    elsewhere = client.get_boolean_details("vip", False, EvaluationContext("ana", {**facts, "tenant": "hotel-b"}))
    assert elsewhere.error_code == ErrorCode.FLAG_NOT_FOUND


def test_a_context_that_cannot_be_is_refused(client: OpenFeatureClient) -> None:
    details = client.get_boolean_details("chat", True, EvaluationContext("ana", {"tenant": 7}))
    assert (details.value, details.error_code) == (True, ErrorCode.INVALID_CONTEXT)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("120.50"), "120.50"),
        (date(2027, 3, 10), "2027-03-10"),
        (UUID("9b2f0c7e-1d7a-4a53-8c63-0d5a3b6f1e11"), "9b2f0c7e-1d7a-4a53-8c63-0d5a3b6f1e11"),
        (True, "true"),
        (3, "3"),
    ],
)
def test_a_fact_of_a_context_arrives_as_it_is_written(
    client: OpenFeatureClient, posada_handle: posada.Posada, value: Any, text: str
) -> None:
    rule = {"contextName": "fact", "operator": "IN", "values": [text]}
    strategies = [{"name": "default", "constraints": [rule]}]
    asyncio.run(posada_handle.flags.set("facts", json.dumps({"enabled": True, "strategies": strategies})))
    details = client.get_boolean_details("facts", False, EvaluationContext("ana", {"fact": value}))
    assert (details.value, details.reason) == (True, Reason.TARGETING_MATCH)


def test_what_is_none_is_not_there_and_what_falls_through_may_not_be_kept(
    client: OpenFeatureClient, posada_handle: posada.Posada
) -> None:
    rule = {"contextName": "plan", "operator": "IN", "values": ["null", "None"]}
    strategies = [
        {"name": "default", "constraints": [rule], "variants": [{"name": "vip", "weight": 1000}]},
        {"name": "default"},
    ]
    asyncio.run(posada_handle.flags.set("facts", json.dumps({"enabled": True, "strategies": strategies})))
    nothing: dict[str, Any] = {"plan": None, "tenant": None, "session": None}
    details = client.get_boolean_details("facts", False, EvaluationContext("ana", nothing))
    assert (details.value, details.reason, details.error_code) == (True, Reason.DEFAULT, None)
    with pytest.raises(TypeError):
        details.flag_metadata["source"] = "mine"


def test_other_types_are_what_the_variant_carries(client: OpenFeatureClient, posada_handle: posada.Posada) -> None:
    for name, payload in (("word", ("string", "hola")), ("number", ("number", "3")), ("thing", ("json", '{"a": [1]}'))):
        asyncio.run(posada_handle.flags.set(name, variants(payload)))
    word = client.get_string_details("word", "")
    assert (word.value, word.variant) == ("hola", "only")
    assert client.get_integer_value("number", 0) == 3
    assert client.get_float_value("number", 0.0) == 3.0
    assert client.get_object_value("thing", {}) == {"a": [1]}
    for details in (client.get_integer_details("word", 7), client.get_object_details("number", {"a": 7})):
        assert details.error_code == ErrorCode.TYPE_MISMATCH
    assert client.get_integer_details("word", 7).value == 7


def test_a_flag_that_is_off_gives_the_default(client: OpenFeatureClient, posada_handle: posada.Posada) -> None:
    asyncio.run(posada_handle.flags.set("word", False))
    details = client.get_string_details("word", "adios")
    assert (details.value, details.reason, details.error_code) == ("adios", "STATIC", None)


@pytest.mark.usefixtures("client")
def test_a_change_is_told(posada_handle: posada.Posada) -> None:
    assert told(ProviderEvent.PROVIDER_READY).get(timeout=30).provider_name == "posada"
    heard = told(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED)
    asyncio.run(posada_handle.flags.set("chat", True))
    assert heard.get(timeout=30).flags_changed == ["chat"]


@pytest.mark.usefixtures("client")
def test_the_end_of_the_handle_is_told(posada_handle: posada.Posada) -> None:
    heard = told(ProviderEvent.PROVIDER_ERROR)
    asyncio.run(posada_handle.close())
    assert heard.get(timeout=30).error_code == ErrorCode.PROVIDER_FATAL


@pytest.mark.usefixtures("client")
def test_nothing_listens_after_a_shutdown(posada_handle: posada.Posada) -> None:
    assert "posada-openfeature" in {thread.name for thread in threading.enumerate()}
    api.clear_providers()
    assert "posada-openfeature" not in {thread.name for thread in threading.enumerate()}
    assert repr(posada_handle) == "<posada.Posada open>"


def test_a_handle_that_was_closed_before_cannot_get_ready(posada_handle: posada.Posada) -> None:
    asyncio.run(posada_handle.close())
    with pytest.raises(ProviderFatalError, match=r"posada\.closed"):
        api.set_provider_and_wait(provider(posada_handle))


def test_an_outage_is_told_and_its_end_too() -> None:
    """The same provider, while its Redis goes and comes back."""
    flag = unique("flag")
    with Gate("REDIS_URL") as gate, posada_of(gate.url) as p:
        asyncio.run(p.flags.set(flag, True))
        api.set_provider_and_wait(provider(p))
        client = api.get_client()
        stale, ready = told(ProviderEvent.PROVIDER_STALE), told(ProviderEvent.PROVIDER_READY)
        assert ready.get(timeout=30)
        gate.shut()
        assert stale.get(timeout=60)
        assert client.get_provider_status() == ProviderStatus.STALE
        details = client.get_boolean_details(flag, False)
        assert (details.value, details.reason) == (True, Reason.STALE)
        gate.open()
        assert ready.get(timeout=60)
        assert client.get_boolean_details(flag, False).reason == Reason.STATIC


def test_a_start_without_redis_is_an_error_that_mends_itself() -> None:
    with Gate("REDIS_URL") as gate, posada_of(gate.url) as p:
        gate.shut()
        with pytest.raises(ProviderNotReadyError):
            api.set_provider_and_wait(provider(p))
        client = api.get_client()
        assert client.get_provider_status() == ProviderStatus.ERROR
        details = client.get_boolean_details("nobody.knows", True)
        assert (details.value, details.error_code) == (True, ErrorCode.PROVIDER_NOT_READY)
        ready = told(ProviderEvent.PROVIDER_READY)
        gate.open()
        assert ready.get(timeout=60)
        assert client.get_provider_status() == ProviderStatus.READY


@contextmanager
def posada_of(redis_url: str) -> Iterator[posada.Posada]:
    """A handle that looks at its flags every second."""
    p = posada.Posada.build(server_settings(redis_url=redis_url, flags_poll=1))
    try:
        yield p
    finally:
        asyncio.run(p.close())


def test_a_handle_of_one_hotel_answers_for_that_hotel_and_for_no_other(posada_handle: posada.Posada) -> None:
    asyncio.run(posada_handle.flags.set("late.checkout", True, tenant="hotel-a"))
    asyncio.run(posada_handle.flags.set("late.checkout", True, tenant="hotel-b"))
    api.set_provider_and_wait(provider(posada_handle.for_tenant("hotel-a")))
    client = api.get_client()
    details = client.get_boolean_details("late.checkout", False)
    assert (details.value, details.error_code) == (True, None)
    details = client.get_boolean_details("late.checkout", False, EvaluationContext("guest-1", {"tenant": "hotel-b"}))
    assert (details.value, details.reason, details.error_code) == (False, Reason.ERROR, ErrorCode.GENERAL)
    assert "hotel-b" not in (details.error_message or "")
