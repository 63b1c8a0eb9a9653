"""The port of each event loop, and how a loop is called that cannot watch a descriptor."""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from posada._native import Port


class Ports:
    """Which port belongs to which loop.

    Neither is kept alive by this: a loop keeps its port by what it watches. A port knows the tasks that wait, and those
    know their loop, so whoever kept a port would keep a loop that everybody else has forgotten.
    """

    def __init__(self) -> None:
        self._known: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[Port]]
        self._known = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def get(self, loop: asyncio.AbstractEventLoop) -> Port | None:
        """The port of a loop that has one."""
        known = self._known.get(loop)
        return None if known is None else known()

    def add(self, loop: asyncio.AbstractEventLoop, port: Port) -> None:
        """Notes the port of a loop, and lets go what waits in loops that were closed meanwhile."""
        with self._lock:
            closed = [known for known in self._known if known.is_closed()]
            left = [self._known.pop(known, None) for known in closed]
            self._known[loop] = weakref.ref(port)
        for reference in left:
            gone = None if reference is None else reference()
            if gone is not None:
                gone.abandon()

    def clear(self) -> None:
        """Forgets all."""
        self._known.clear()

    def __len__(self) -> int:
        return sum(reference() is not None for reference in list(self._known.values()))


ports = Ports()
"""The ports of this process."""

_relayed: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Port] = weakref.WeakKeyDictionary()
"""The ports of loops that watch nothing, and so keep nothing."""

_LOOK_SECONDS = 1.0
"""How often the thread of a relay looks whether its loop is still there."""


def relay(loop: asyncio.AbstractEventLoop, port: Port) -> None:
    """Calls ``port.drain`` in ``loop`` after each ring, from a thread of Python's own, one call per batch.

    For loops without ``add_reader``, such as Windows' proactor loop.
    """
    _relayed[loop] = port
    threading.Thread(
        target=_relay, args=(weakref.ref(loop), weakref.ref(port)), name="posada-relay", daemon=True
    ).start()


def _relay(watched: weakref.ref[asyncio.AbstractEventLoop], listening: weakref.ref[Port]) -> None:
    while True:
        loop, port = watched(), listening()
        if loop is None or port is None:
            return
        if loop.is_closed():
            _relayed.pop(loop, None)
            return
        if port.wait(_LOOK_SECONDS):
            drained = threading.Event()
            try:
                loop.call_soon_threadsafe(_drain, port, drained)
            except RuntimeError:  # the loop was closed just now
                _relayed.pop(loop, None)
                return
            # Until the loop has looked, the bell goes on ringing.
            while not drained.wait(_LOOK_SECONDS):
                if loop.is_closed():
                    _relayed.pop(loop, None)
                    return


def _drain(port: Port, drained: threading.Event) -> None:
    port.drain()
    drained.set()
