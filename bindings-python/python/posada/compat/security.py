"""Tokens: the app's ``core.security``.

What is different: a token alone proves nothing. Its user must exist and be active, a session that was ended is
refused, and a failing database is a 503 and never a 403.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import time
from calendar import timegm
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, HTTPException
from fastapi.security import OAuth2PasswordBearer

from posada.compat._handles import environment, variables
from posada.compat._passwords import pwd_context
from posada.errors import DeniedError, InvalidError, PosadaError, UnauthenticatedError

__all__ = ["create_access_token", "get_current_user", "oauth2_scheme", "pwd_context"]

oauth2_scheme: OAuth2PasswordBearer = OAuth2PasswordBearer(tokenUrl="/admin/token")


def create_access_token(data: dict[str, Any]) -> str:
    """A token with these claims and an ``exp``, signed with ``SECRET_KEY``, that the app's own code reads too.

    ``iat`` and ``nbf`` may be a ``datetime``, in UTC if it names no zone, as in python-jose. The token lives for
    ``JWT_EXPIRATION_MINUTES``. For sign-ins use ``Authenticator.login``: its tokens have a session that can be ended.
    """
    claims = {**data, "exp": int(time.time() + environment().settings.jwt_expiry.total_seconds())}
    for name in ("iat", "nbf"):
        if isinstance(moment := claims.get(name), datetime):
            claims[name] = timegm(moment.utctimetuple())
    key = variables().get("SECRET_KEY") or variables().get("secret_key")
    if not key:
        raise InvalidError("SECRET_KEY is not set", code="settings.missing", context={"field": "SECRET_KEY"})
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
    return f"{signed}.{_base64(hmac.digest(key.encode(), signed.encode(), hashlib.sha256))}"


async def get_current_user(token: Annotated[str, Depends(oauth2_scheme)]) -> dict[str, str]:
    """``{"username": …}`` of the request's token: a dependency of FastAPI.

    401 without a token, 403 for one that is not accepted, 503 with ``Retry-After`` when that cannot be found out.
    Settings that cannot be used, such as a missing ``SECRET_KEY``, are no fault of a server, and raised as they are.
    """
    try:
        await environment().auth.verify(token)
    except (UnauthenticatedError, DeniedError):
        raise HTTPException(403, "Could not validate credentials", {"WWW-Authenticate": "Bearer"}) from None
    except InvalidError:
        raise
    except PosadaError as error:
        seconds = max(1, math.ceil(error.retry_after or 1))
        raise HTTPException(503, "Service unavailable", {"Retry-After": str(seconds)}) from error
    claims = token.split(".")[1]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    return {"username": str(read["sub"])}


def _part(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
