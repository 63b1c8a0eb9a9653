"""python-jose and PyJWT, called as the app calls them, behind a pipe: one JSON request a line in, one answer out."""

import json
import sys

import jwt
from jose import jwt as jose

KEY = sys.argv[1]


def attempt(work):
    """The result, or None: whatever a library raises means that it refuses the token."""
    try:
        return work()
    except Exception:  # noqa: BLE001
        return None


for line in sys.stdin:
    request = json.loads(line)
    if request["operation"] == "encode":
        encode = {"jose": jose.encode, "pyjwt": jwt.encode}[request["library"]]
        answer = {"token": attempt(lambda: encode(request["claims"], KEY, algorithm="HS256"))}
    else:
        token = request["token"]
        answer = {
            "jose": attempt(lambda: jose.decode(token, KEY, algorithms=["HS256"])),
            "pyjwt": attempt(lambda: jwt.decode(token, KEY, algorithms=["HS256"])),
            "header": attempt(lambda: jwt.get_unverified_header(token)),
        }
    print(json.dumps(answer), flush=True)
