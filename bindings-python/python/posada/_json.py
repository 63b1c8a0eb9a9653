"""How an unusual document is written; the usual ones never come here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def write(name: str, document: Mapping[str, Any]) -> str:
    """The document as JSON. Refusals name the argument."""
    if not isinstance(document, Mapping):
        raise TypeError(f"{name}: expected a mapping, not {type(document).__name__}")
    try:
        return json.dumps(document if isinstance(document, dict) else dict(document))
    except (TypeError, ValueError) as refusal:
        raise type(refusal)(f"{name}: {refusal}") from None
