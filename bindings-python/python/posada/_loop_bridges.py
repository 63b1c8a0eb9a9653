"""The bridge of each event loop, and how a loop is woken that cannot watch a descriptor."""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from posada._native import LoopBridge


class LoopBridges:
    """Which bridge belongs to which loop.

    Neither is kept alive by this: a loop keeps its bridge by what it watches. A bridge knows the tasks that wait, and
    those know their loop, so a reference to a bridge would keep a loop alive that nothing else knows any more.
    """

    def __init__(self) -> None:
        self._known: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[LoopBridge]]
        self._known = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def get(self, loop: asyncio.AbstractEventLoop) -> LoopBridge | None:
        """The bridge of a loop that has one."""
        known = self._known.get(loop)
        return None if known is None else known()

    def add(self, loop: asyncio.AbstractEventLoop, bridge: LoopBridge) -> None:
        """Notes the bridge of a loop, and lets go what waits in loops that were closed meanwhile."""
        with self._lock:
            closed = [known for known in self._known if known.is_closed()]
            left = [self._known.pop(known, None) for known in closed]
            self._known[loop] = weakref.ref(bridge)
        for reference in left:
            gone = None if reference is None else reference()
            if gone is not None:
                gone.abandon()

    def clear(self) -> None:
        """Forgets all."""
        self._known.clear()

    def __len__(self) -> int:
        return sum(reference() is not None for reference in list(self._known.values()))


loop_bridges = LoopBridges()
"""The bridges of this process."""

_relayed: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopBridge] = weakref.WeakKeyDictionary()
"""The bridges of loops that watch nothing, and so keep nothing."""

_LOOK_SECONDS = 1.0
"""How often the thread of a relay looks whether its loop is still there."""


def relay(loop: asyncio.AbstractEventLoop, bridge: LoopBridge) -> None:
    """Calls ``bridge.drain`` in ``loop`` whenever it is woken, from a thread of Python's own, one call per batch.

    For loops without ``add_reader``, such as Windows' proactor loop.
    """
    _relayed[loop] = bridge
    threading.Thread(
        target=_relay, args=(weakref.ref(loop), weakref.ref(bridge)), name="posada-relay", daemon=True
    ).start()


def _relay(watched: weakref.ref[asyncio.AbstractEventLoop], listening: weakref.ref[LoopBridge]) -> None:
    while True:
        loop, bridge = watched(), listening()
        if loop is None or bridge is None:
            return
        if loop.is_closed():
            _relayed.pop(loop, None)
            return
        if bridge.wait(_LOOK_SECONDS):
            drained = threading.Event()
            try:
                loop.call_soon_threadsafe(_drain, bridge, drained)
            except RuntimeError:  # the loop was closed just now
                _relayed.pop(loop, None)
                return
            # Until the loop has drained, waiting for the waker returns at once.
            while not drained.wait(_LOOK_SECONDS):
                if loop.is_closed():
                    _relayed.pop(loop, None)
                    return


def _drain(bridge: LoopBridge, drained: threading.Event) -> None:
    bridge.drain()
    drained.set()
