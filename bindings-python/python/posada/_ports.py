"""The port of each event loop, and how a loop is called that cannot watch a descriptor."""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from posada._native import Port

ports: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Port] = weakref.WeakKeyDictionary()
"""Which port belongs to which loop. A port holds its loop weakly, so both go together."""

_LOOK_SECONDS = 1.0
"""How often the thread of a relay looks whether its loop is still there."""


def relay(loop: asyncio.AbstractEventLoop, port: Port) -> None:
    """Calls ``port.drain`` in ``loop`` after each ring, from a thread of Python's own, one call per batch.

    For loops without ``add_reader``, such as Windows' proactor loop.
    """
    threading.Thread(
        target=_relay, args=(weakref.ref(loop), weakref.ref(port)), name="posada-relay", daemon=True
    ).start()


def _relay(watched: weakref.ref[asyncio.AbstractEventLoop], listening: weakref.ref[Port]) -> None:
    while True:
        loop, port = watched(), listening()
        if loop is None or port is None or loop.is_closed():
            return
        if port.wait(_LOOK_SECONDS):
            drained = threading.Event()
            try:
                loop.call_soon_threadsafe(_drain, port, drained)
            except RuntimeError:  # the loop was closed just now
                return
            # Until the loop has looked, the bell goes on ringing.
            while not drained.wait(_LOOK_SECONDS):
                if loop.is_closed():
                    return


def _drain(port: Port, drained: threading.Event) -> None:
    port.drain()
    drained.set()
