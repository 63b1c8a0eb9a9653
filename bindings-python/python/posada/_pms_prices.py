"""What values of the property management system are made of: money, the guests of a room, prices."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from posada._checks import invalid, several, text, whole

ChargeKind = Literal["tax", "city_tax", "fee", "other"]
"""What a charge is."""

Due = Literal["at_booking", "at_hotel"]
"""When a charge is paid: with the price of the rooms, or by the guest in the hotel."""

CancellationTerms = Literal["unknown"]
"""What becomes of the money when a booking is cancelled; ``unknown`` when the system does not tell."""


_MOST_DIGITS: Final = 12
"""Of an amount, before the point."""
_MOST_DECIMALS: Final = 6
"""Of an amount, after the point."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of a currency. Never a float.

    Raises ``money.invalid`` for NaN, the infinities and amounts of more than 12 digits before the point or 6 behind it.
    """

    amount: Decimal
    """How much."""
    currency: str
    """Its ISO 4217 code, such as ``USD``."""

    def __post_init__(self) -> None:
        if not isinstance(self.amount, Decimal):
            raise TypeError(f"amount: expected Decimal, not {type(self.amount).__name__}")
        if not self.amount.is_finite():
            raise invalid("amount", f"expected a number, not {self.amount}", "money.invalid")
        if self.amount.adjusted() >= _MOST_DIGITS:
            raise invalid("amount", f"expected at most {_MOST_DIGITS} digits before the point", "money.invalid")
        exponent = self.amount.as_tuple().exponent
        if int(exponent) < -_MOST_DECIMALS and self.amount != round(self.amount, _MOST_DECIMALS):
            raise invalid("amount", f"expected at most {_MOST_DECIMALS} digits after the point", "money.invalid")
        text("currency", self.currency, "money.invalid")

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


@dataclass(frozen=True, slots=True)
class Occupancy:
    """The guests of one room."""

    adults: int
    """How many adults, at least one."""
    child_ages: tuple[int, ...] = ()
    """The age of each child, 0 to 17."""

    def __post_init__(self) -> None:
        whole("adults", self.adults)
        object.__setattr__(
            self, "child_ages", tuple(whole("child_ages", age) for age in several("child_ages", self.child_ages))
        )

    @property
    def children(self) -> int:
        """How many children."""
        return len(self.child_ages)

    @property
    def guests(self) -> int:
        """How many people."""
        return self.adults + self.children


@dataclass(frozen=True, slots=True)
class OccupancyLimits:
    """How many guests a room takes."""

    max_adults: int
    """The most adults."""
    max_children: int
    """The most children."""
    max_guests: int
    """The most people, adults and children."""


@dataclass(frozen=True, slots=True)
class Charge:
    """A tax or a fee."""

    name: str
    """What it is called, in the system's words."""
    kind: ChargeKind
    """What it is."""
    amount: Money
    """How much, for the whole stay and all rooms."""
    included: bool
    """Whether the prices of the nights contain it already; otherwise it comes on top of them."""
    due: Due
    """When it is paid."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a guest pays, and what is known of its parts."""

    payable: Money
    """Everything that the guest pays, also what is paid at the hotel. It binds; its parts may differ by rounding."""
    net: Money | None = None
    """The same without tax; ``None`` when the system does not tell."""
    charges: tuple[Charge, ...] = ()
    """The taxes and fees that the system names, inside of the prices of the nights and on top of them."""
