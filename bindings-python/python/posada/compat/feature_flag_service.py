"""Feature flags: the app's ``services.feature_flag_service``.

What is different: while Redis fails, the last good value is served and not the default; the default of one caller is
not served to another; a change by posada is seen within milliseconds. None of this holds on a client that is used as it
is, such as a fake: there the shell does what the app does.
"""

from __future__ import annotations

import logging
import time

from prometheus_client import Gauge

from posada.compat._collectors import gauge
from posada.compat._handles import Server, environment, handle, is_over, plain
from posada.compat._plain import PlainClient
from posada.compat._raised import as_redis_raises
from posada.errors import PosadaError
from posada.flags import DEFAULT_FLAGS as _DEFAULTS

__all__ = ["DEFAULT_FLAGS", "FeatureFlagService", "feature_flag_enabled", "get_feature_flag_service"]

DEFAULT_FLAGS: dict[str, bool] = dict(_DEFAULTS)
"""The values of flags that were never set. Programs may read and change it: it is looked at by every call."""

feature_flag_enabled: Gauge = gauge("feature_flag_enabled", "Whether a flag is on", ["flag"])

_HASH = "feature_flags"
_ON = ("1", "true", "on", "yes")
_LONGEST_POLL = 30
"""The longest time between two looks that posada's settings allow, in seconds."""

_log = logging.getLogger(__name__)


class FeatureFlagService:
    """The flags of the hash ``feature_flags``, then ``DEFAULT_FLAGS``, then the default of the call, then off.

    Changes by the app's own processes are seen within ``ttl_seconds``; with zero, every call asks Redis.

    Any client that has ``hget``, and ``hset`` for ``set_flag``, will do. It is used as the app uses it: what it said is
    believed for ``ttl_seconds``, and so is a default after a failure.
    """

    def __init__(self, redis_client: Server = None, ttl_seconds: float = 30) -> None:
        self.redis = redis_client
        self.ttl = ttl_seconds
        self._plain = plain(self, redis_client, "hget")
        self._cache: dict[str, tuple[float, bool]] = {}
        if self._plain is None:
            self._posada = handle(redis_client, flags_poll=min(max(ttl_seconds, 1), _LONGEST_POLL))

    async def is_enabled(self, flag: str, default: bool | None = None) -> bool:
        """Whether a flag is on. Never fails."""
        if self._plain is not None:
            return await self._look_plainly(self._plain, flag, default)
        flags = self._posada.flags
        if self.ttl == 0 or not flags.status().ready:
            try:
                await flags.refresh()
            except PosadaError as error:
                _log.warning("feature_flags.not_refreshed", extra={"code": error.code})
        evaluation = flags.evaluate(flag)
        value = evaluation.value
        if evaluation.source not in ("tenant", "global"):
            value = bool(DEFAULT_FLAGS.get(flag, bool(default)))
        feature_flag_enabled.labels(flag=flag).set(int(value))
        return value

    async def set_flag(self, flag: str, value: bool) -> None:
        """Sets a flag for everybody. Raises a ``redis.exceptions.RedisError`` when Redis did not take it."""
        if self._plain is not None:
            self._cache.pop(flag, None)
            await self._plain.set_field(_HASH, flag, int(value))
            self._cache.pop(flag, None)
        else:
            with as_redis_raises():
                await self._posada.flags.set(flag, bool(value))
        feature_flag_enabled.labels(flag=flag).set(int(value))

    async def _look_plainly(self, client: PlainClient, flag: str, default: bool | None) -> bool:
        cached = self._cache.get(flag)
        if cached is not None and time.monotonic() - cached[0] < self.ttl:
            return cached[1]
        try:
            stored = await client.field(_HASH, flag)
        except Exception as error:
            _log.warning("feature_flags.not_read", extra={"error_type": type(error).__name__})
            stored = None
        value = bool(DEFAULT_FLAGS.get(flag, bool(default))) if stored is None else stored.lower() in _ON
        self._cache[flag] = time.monotonic(), value
        feature_flag_enabled.labels(flag=flag).set(int(value))
        return value


_feature_flag_service: FeatureFlagService | None = None


async def get_feature_flag_service() -> FeatureFlagService:
    """The service on the servers of the settings, always the same."""
    global _feature_flag_service
    if _feature_flag_service is None or is_over(_feature_flag_service):
        _feature_flag_service = FeatureFlagService(environment())
    return _feature_flag_service
