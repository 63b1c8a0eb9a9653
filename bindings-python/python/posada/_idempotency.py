"""The name of an intended booking."""

from __future__ import annotations

from posada import _native
from posada._checks import text

__all__ = ["IdempotencyKey"]


class IdempotencyKey(str):
    """The name of an intended booking: a text of 1 to 255 visible ASCII characters, of which the same books once.

    It is stored beside the booking, where the hotel's staff see it, and ids of messages may hold personal data: those
    of WhatsApp hold the guest's phone number in base64. ``of`` hashes them.
    """

    __slots__ = ()

    @classmethod
    def of(cls, namespace: str, message_id: str) -> IdempotencyKey:
        """The key of a message: a hash of its id, 64 characters long, the same in every language.

        ``namespace`` tells ids of one source from those of another, such as the channel (``"whatsapp"``), or what is
        done with the message when it can be more than one thing.

        Raises ``InvalidError`` (``pms.invalid_request``, field ``namespace`` or ``message_id``) for an empty one.
        """
        return cls(_native.idempotency_key(text("namespace", namespace), text("message_id", message_id)))
