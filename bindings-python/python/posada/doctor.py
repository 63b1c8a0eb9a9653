"""What usually is wrong with an installation, looked at for real. ``python -m posada doctor`` prints it."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from posada import _native
from posada._checks import text

if TYPE_CHECKING:
    from posada._native import _DiagnosisParts

__all__ = ["FINDING_CODES", "Diagnosis", "Finding", "Severity"]

Severity = Literal["ok", "warning", "error"]
"""How bad a finding is. A warning works now; under load, on another day or in production it may not."""

FINDING_CODES: Final[dict[str, str]] = dict(_native.finding_codes())
"""Every code that a finding may have, and what it is about."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the doctor looked at. It never holds a secret."""

    code: str
    """The stable name of what was looked at, such as ``postgres.session_port``."""
    severity: Severity
    """How bad it is."""
    seen: str
    """What was seen, in a sentence."""
    remedy: str | None
    """What to do about it, in a sentence or two; ``None`` when nothing is to be done."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The answer of ``Posada.doctor``. ``str()`` is a report for people."""

    findings: tuple[Finding, ...]
    """Everything that was looked at, the worst first."""
    timestamp: dt.datetime
    """When the examination began (UTC)."""
    _shape: str = field(repr=False)
    _report: str = field(repr=False)

    @classmethod
    async def from_env(cls) -> Diagnosis:
        """Examines the installation that the variables of this process describe, without a handle.

        Also when the settings cannot be used, which is a finding then. Never raises. Cancel-safe read.
        """
        return cls._of(await _native.diagnose_environment())

    @classmethod
    def _of(cls, parts: _DiagnosisParts) -> Diagnosis:
        findings, timestamp, shape, report = parts
        return cls(tuple(Finding(*each) for each in findings), timestamp, shape, report)

    @property
    def severity(self) -> Severity:
        """The worst that was found."""
        return self.findings[0].severity if self.findings else "ok"

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is an error. There may be warnings."""
        return self.severity != "error"

    def finding(self, code: str) -> Finding | None:
        """The first finding with this code."""
        text("code", code)
        return next((finding for finding in self.findings if finding.code == code), None)

    def to_dict(self) -> dict[str, Any]:
        """``{"severity": "error", "timestamp": "…", "findings": [{"code", "severity", "seen", "remedy"}]}``."""
        shape: dict[str, Any] = json.loads(self._shape)
        return shape

    def __str__(self) -> str:
        return self._report
