"""What a hotel's system can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from posada._checks import invalid, text


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the hotel's system can do. What it cannot do raises ``UnsupportedError``, before anything is asked."""

    system: str
    """The stable name of the system, such as ``mock``, or the host of a QloApps server."""
    guards: Mapping[str, bool]
    """Which promises the system keeps by itself: ``once``, ``stock`` and ``price``. posada keeps the others."""
    features: Mapping[str, str]
    """``yes``, ``no``, or the limit in words, of every feature by its name, such as ``bookings.change``."""

    def has(self, feature: str) -> bool:
        """Whether the system has a feature, wholly or up to a limit.

        Raises ``posada.invalid_argument`` (field ``feature``) for a name that is none.
        """
        if text("feature", feature) not in self.features:
            raise invalid("feature", f"expected one of {', '.join(self.features)}")
        return self.features[feature] != "no"
