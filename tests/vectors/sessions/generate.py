"""Writes the documents of this folder as the Python app would store them. Run it in this folder."""

import json
import pathlib

NEW = {
    "user_id": "5491112345678",
    "canal": "whatsapp",
    "state": "initial",
    "context": {},
    "tts_enabled": False,
    "created_at": "2026-11-24T02:36:53.041624+00:00",
    "last_activity": "2026-11-24T02:36:53.041651+00:00",
}

DOCUMENTS = {
    "new": NEW,
    "new_with_tenant": NEW | {"tenant_id": "hotel-test"},
    "whole_second": NEW | {"last_activity": "2026-11-24T02:36:53+00:00"},
    "booking": NEW
    | {
        "state": "awaiting_payment",
        "context": {
            "reservation_pending": True,
            "qr_code": None,
            "last_intent": "make_reservation",
            "review_request_Ñandú": {"sent": 2, "stars": [5, 4.5]},
        },
        "reservation_pending": True,
        "deposit_amount": 6000,
        "pending_late_checkout": {"booking_id": "HTL-001", "checkout_time": "14:00", "fee": 50.0},
        "awaiting_booking_id_for": "late_checkout",
        "booking_id": "HTL-001",
        "reservation_id": 17,
        "booking_confirmed": True,
        "qr_generated": False,
        "escalated": True,
        "escalation_timestamp": "2026-11-24T02:40:00+00:00",
        "escalation_reason": "¿Dónde está mi habitación? 😡",
        "transfer_requested": False,
        "history": [{"role": "user", "content": "hola \U0001f600"}, "free text", [], {}],
        "guest_name": 'Zoë "Zo" O\'Neill \\ Sons',
        "room_number": "007",
        "check_in_date": "2027-03-10",
        "check_out_date": "2027-03-12",
        "group_size": 2,
        "business_trip": False,
        "family_trip": True,
    },
    "numbers": NEW
    | {
        "nan": float("nan"),
        "up": float("inf"),
        "down": float("-inf"),
        "one": 1,
        "one_as_float": 1.0,
        "zero": -0.0,
        "small": 1e-05,
        "tiny": 5e-324,
        "large": 1e16,
        "larger": 1.7976931348623157e308,
        "third": 1 / 3,
        "beyond_64_bits": 2**200,
        "below_64_bits": -(2**100),
    },
    "texts": NEW
    | {
        "half": "cut \ud83d",
        "other_half": "\ude00 cut",
        "\udfff": "a broken key",
        "whole": "\U0001f600",
        "controls": "".join(map(chr, range(0x21))) + "\x7f\x80\u2028\u2029\ufeff\uffff",
        "escapes": '"\\/\b\f\n\r\t',
        "": "no key",
        "ключ": "אב 漢字",
    },
    "nested": NEW | {"context": {"a": [[[[[[{"b": [{}, [], [{}]]}]]]]]], "c": {"d": {"e": {"f": None}}}}},
    "order": {"zeta": 1, "last_activity": "2026-11-24T02:36:53+00:00", "alpha": 2, "state": "x", "user_id": "5491112345678"},
}

for name, document in DOCUMENTS.items():
    pathlib.Path(f"{name}.json").write_text(json.dumps(document), encoding="ascii")
