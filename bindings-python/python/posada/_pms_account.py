"""The account of a booking, and how it is made of what the native half answers."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from posada._pms_prices import Money


@dataclass(frozen=True, slots=True)
class FolioLine:
    """One line of a folio."""

    name: str
    """What it is, such as the name of a room type."""
    quantity: int
    """How many; of a room, usually its nights."""
    net_total: Money
    """The price of all of them, without tax."""
    total: Money
    """The price of all of them, with tax."""


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice."""

    number: str
    """Its number in the hotel's books, as it is written there."""
    made_at: dt.datetime
    """When it was made (UTC)."""
    net_total: Money
    """Its amount, without tax."""
    total: Money
    """Its amount, with tax."""


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment."""

    amount: Money
    """The amount; below zero for money that was given back."""
    method: str
    """How it was paid, in the system's words."""
    transaction: str | None
    """The number that the payment provider gave it, if any."""
    paid_at: dt.datetime
    """When it was taken (UTC)."""


@dataclass(frozen=True, slots=True)
class Folio:
    """Everything about the money of one booking. posada only reads it."""

    booking: str
    """The booking."""
    lines: tuple[FolioLine, ...]
    """What it consists of, as the system wrote it. Discounts are not lines, so ``total`` binds."""
    invoices: tuple[Invoice, ...]
    """The invoices that were made, oldest first."""
    payments: tuple[Payment, ...]
    """The payments that were taken, oldest first."""
    total: Money
    """What the guest pays for all of it, with tax."""
    paid: Money
    """The sum of the payments."""
