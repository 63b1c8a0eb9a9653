"""Under which name a request is counted: the path of its route with the names of its parameters, never their values.

Nothing here reads a header or ``request.url``: Starlette below 1.0.1 makes that of the ``Host`` header, so that the
client chooses its path (CVE-2026-48710).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from starlette.routing import BaseRoute, Match
from starlette.types import Scope

OTHER: Final = "other"
"""The name of requests of no route."""


def endpoint(asked: Scope, served: Scope) -> str:
    """The name of a request, from its scope as it came and as the routers left it.

    Routes of FastAPI stand in the scope. What does not, or says only the end of the path, because it lies in a mounted
    app or an included router, is looked for once more from the top.
    """
    route = served.get("route")
    if isinstance(route, BaseRoute) and served.get("root_path") == asked.get("root_path"):
        match, found = route.matches(dict(asked))
        if match is not Match.NONE and found.get("path_params") == served.get("path_params"):
            return str(getattr(route, "path", OTHER))
    if "endpoint" not in served:
        return OTHER
    # The router that saw the request first; ``app`` becomes the mounted app.
    router = served.get("router") or asked.get("app") or served.get("app")
    return _path(getattr(router, "routes", ()), asked) or OTHER


def of_route(served: Scope) -> str:
    """The name of a request or websocket, from the scope that its route was given."""
    asked = {**served, "root_path": served.get("app_root_path", served.get("root_path", "")), "path_params": {}}
    name = endpoint(asked, served)
    # Of a router of another make, at least what the route says about itself.
    return name if name != OTHER else str(getattr(served.get("route"), "path", OTHER))


def path_of(served: Scope) -> str:
    """The decoded path of a request or websocket below the root of the app, however the root was spelled."""
    path = str(served["path"])
    root = str(served.get("app_root_path", served.get("root_path", ""))).rstrip("/")
    if root and (path == root or path.startswith(root + "/")):
        path = path[len(root) :]
    return path or "/"


def _path(routes: Iterable[Any], asked: Scope) -> str | None:
    """The path of the route that takes the request, or would take it with another method."""
    other_method = None
    for given in routes:
        # A router that FastAPI includes without copying its routes, and a route of one.
        included = getattr(given, "effective_route_contexts", None)
        if included is not None:
            found = _path(included(), asked)
            if found is not None:
                return found
            continue
        route = getattr(given, "starlette_route", None) or given
        # What is mounted may be of another make, and have routes of another kind.
        match, told = route.matches(dict(asked)) if hasattr(route, "matches") else (Match.NONE, {})
        if match is Match.NONE:
            continue
        path = getattr(route, "path", "")
        if match is Match.PARTIAL:
            other_method = other_method or path
            continue
        if not hasattr(route, "routes"):
            return str(path)
        inner = route.routes if isinstance(route.routes, list) else ()
        # A mounted app: what it does not name itself is counted under its own path.
        return path + (_path(inner, {**asked, **told}) or "") or "/"
    return other_method
