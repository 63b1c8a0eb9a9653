"""The webhook that WhatsApp calls with what guests write.

WhatsApp sends a notification again until it is answered 200, so everything here may happen twice: turns of a
conversation and bookings carry the id of the message.
"""

import hashlib
import hmac
import os
from typing import Annotated

from fastapi import APIRouter, Depends, Header, HTTPException, Request
from posada.fastapi import CurrentPosada
from pydantic import BaseModel, Field

from fastapi_app.receptionist import Message, reply_to


class Text(BaseModel):
    """What was written."""

    body: str


class Incoming(BaseModel):
    """One message."""

    id: str
    sender: str = Field(alias="from")
    text: Text


class Metadata(BaseModel):
    """Which number it was sent to."""

    display_phone_number: str


class Value(BaseModel):
    """Messages to one number. Other notifications, such as receipts, have none."""

    metadata: Metadata
    messages: list[Incoming] = []


class Change(BaseModel):
    """A piece of news."""

    value: Value


class Entry(BaseModel):
    """News of one account."""

    changes: list[Change]


class Notification(BaseModel):
    """What WhatsApp posts."""

    entry: list[Entry]


async def signed(request: Request, x_hub_signature_256: Annotated[str, Header()] = "") -> None:
    """The notification comes from WhatsApp: it is signed with the secret of the account, where there is one."""
    if secret := os.environ.get("WHATSAPP_APP_SECRET"):
        expected = hmac.new(secret.encode(), await request.body(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(f"sha256={expected}".encode(), x_hub_signature_256.encode()):
            raise HTTPException(403, "the signature is wrong")


router = APIRouter()


@router.post("/webhooks/whatsapp", dependencies=[Depends(signed)])
async def receive(p: CurrentPosada, notification: Notification) -> dict[str, list[str]]:
    """Answers every message. A real app would send the replies; this one hands them back."""
    return {
        "replies": [
            await reply_to(p, Message(each.id, each.sender, change.value.metadata.display_phone_number, each.text.body))
            for entry in notification.entry
            for change in entry.changes
            for each in change.value.messages
        ]
    }
