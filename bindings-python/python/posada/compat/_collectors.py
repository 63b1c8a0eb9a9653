"""Counters and gauges whose names the app registers, too.

A registry takes each name once, and either side may come first: the app registers ``feature_flag_enabled`` in its
central ``metrics_service``, and every module that the shells replace registers its own. So what is made here registers
no name. It counts in the app's collector as soon as there is one, and otherwise in one of its own, which the registry
shows.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, cast

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, Metric

_log = logging.getLogger(__name__)
_Kind = TypeVar("_Kind", Counter, Gauge, Histogram)

_made: dict[str, _Shared] = {}


class _Shared:
    """A collector of ``prometheus_client`` by all its attributes, wherever it counts at the moment."""

    def __init__(self, kind: type[Any], name: str, meaning: str, labels: Sequence[str]) -> None:
        self._called = name
        self._kind = kind
        self._wanted = frozenset(labels)
        self._own = kind(name, meaning, labels, registry=None)
        self._apps: Any = None
        self._refused: Any = None
        self._choose()

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._choose(), attribute)

    def describe(self) -> Iterable[Metric]:
        """No name, so that the app can register its own."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """What was counted here; nothing while another collector has the name."""
        is_shown = self._choose() is self._own and _registered(self._called) is None
        shown: Iterable[Metric] = self._own.collect() if is_shown else ()
        return shown

    def _choose(self) -> Any:
        """Where to count: in the app's collector once it was seen, also when the registry forgets it."""
        registered = _registered(self._called)
        if registered is not None and registered is not self._apps:
            if isinstance(registered, self._kind) and frozenset(registered._labelnames) == self._wanted:
                self._apps = registered
            elif registered is not self._refused:
                self._refused = registered
                _log.warning(
                    "metrics.name_taken: %s is registered as another type or with other labels than %s; what posada "
                    "counts under this name is not shown",
                    self._called,
                    sorted(self._wanted),
                )
        return self._own if self._apps is None else self._apps


def _registered(name: str) -> Any:
    """The collector that has a name: in the registry, which has no public way to ask, or in the app's
    ``metrics_service``, whose collectors stay in use when tests empty the registry.
    """
    registered = REGISTRY._names_to_collectors.get(name)
    if registered is None and (module := sys.modules.get("app.services.metrics_service")) is not None:
        registered = getattr(getattr(module, "metrics_service", None), name, None)
    return registered


def _shared(kind: type[_Kind], name: str, meaning: str, labels: Sequence[str]) -> _Kind:
    if name not in _made:
        _made[name] = _Shared(kind, name, meaning, labels)
        REGISTRY.register(cast(Any, _made[name]))
    return cast(_Kind, _made[name])


def counter(name: str, meaning: str, labels: Sequence[str] = ()) -> Counter:
    """A counter, as ``prometheus_client.Counter``."""
    return _shared(Counter, name, meaning, labels)


def gauge(name: str, meaning: str, labels: Sequence[str] = ()) -> Gauge:
    """A gauge, as ``prometheus_client.Gauge``."""
    return _shared(Gauge, name, meaning, labels)


def histogram(name: str, meaning: str, labels: Sequence[str] = ()) -> Histogram:
    """A histogram, as ``prometheus_client.Histogram``."""
    return _shared(Histogram, name, meaning, labels)
