"""The classes of the app ``agente-hotel-api`` as thin shells over posada, so that it changes its imports only.

One module for each of the app's, with its names::

    from posada.compat.session_manager import SessionManager          # was: app.services.session_manager

Same signatures, keys, documents and metrics; not the same defects. ``bindings-python/FROM-THE-APP.md`` has every call.
The shells find their servers as the app does: Redis from the client that they are given, everything else from the
process's environment (``posada.VARIABLES``) and from what ``use`` was told. ``environment`` is the handle on those, for
what the app's classes cannot do.

Needs ``pip install posada[compat]``, which is what the app has installed anyway.
"""

from __future__ import annotations

try:
    from posada.compat._handles import Server, close, environment, use
except ImportError as _missing:
    raise ImportError("posada.compat needs what the app has installed: pip install 'posada[compat]'") from _missing

__all__ = ["Server", "close", "environment", "use"]
