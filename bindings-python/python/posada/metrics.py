"""What posada counts, as Prometheus reads it.

The names are those of the app's dashboards and alerts, such as ``lock_operations_total``. A process counts for
itself: when several serve one address, let Prometheus scrape each of them.
"""

from __future__ import annotations

from typing import Final

from posada import _native

__all__ = ["CONTENT_TYPE", "record", "render"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The media type of ``render``."""


def record() -> None:
    """Counts from now on. Call it before the first handle is opened; until then nothing is counted and kept."""
    _native.record_metrics()


def render() -> str:
    """Everything that was counted, in the text format of Prometheus; empty before ``record``."""
    return _native.render_metrics()
