"""Makes tokens.json and passwords.json with the libraries that the app uses, called as the app calls them.

Needs python-jose, PyJWT, passlib and bcrypt < 5; see tests/python/requirements.txt.
"""

import json
import pathlib

import jwt
from jose import jwt as jose
from passlib.context import CryptContext

KEY = "c0ffee5ecret0123456789abcdef0123456789abcdef"
NOW = 1_800_000_000
HERE = pathlib.Path(__file__).parent


def write(name, value):
    (HERE / name).write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def of_jose(claims, algorithm="HS256"):
    return jose.encode(claims, KEY, algorithm=algorithm)


def of_pyjwt(kind, extra, life=1800):
    claims = {"sub": "4f0c9d1e", "type": kind, "exp": NOW + life, "iat": NOW, "jti": "a" * 43, **extra}
    return jwt.encode(claims, KEY, algorithm="HS256")


receptionist = {"role": "receptionist", "permissions": ["view_own_reservations", "modify_own_reservations"]}
write("tokens.json", {
    "key": KEY,
    "now": NOW,
    "tokens": [
        {"name": "jose", "kind": "access", "subject": "admin", "role": None,
         "token": of_jose({"sub": "admin", "exp": NOW + 3600})},
        {"name": "jose, escaped letters", "kind": "access", "subject": "ñandú 🦤", "role": None,
         "token": of_jose({"sub": "ñandú 🦤", "exp": NOW + 3600})},
        {"name": "pyjwt access", "kind": "access", "subject": "4f0c9d1e", "role": "receptionist",
         "token": of_pyjwt("access", receptionist)},
        {"name": "pyjwt refresh", "kind": "refresh", "subject": "4f0c9d1e", "role": None,
         "token": of_pyjwt("refresh", {}, 604800)},
        {"name": "jose, the end as a text", "kind": "access", "subject": "admin", "role": None,
         "token": of_jose({"sub": "admin", "exp": str(NOW + 3600)})},
    ],
    "refused": [
        {"name": "without an end", "token": of_jose({"sub": "admin"})},
        {"name": "HS512", "token": of_jose({"sub": "admin", "exp": NOW + 3600}, "HS512")},
        {"name": "an audience", "token": of_jose({"sub": "admin", "exp": NOW + 3600, "aud": "x"})},
        {"name": "a refresh token as access", "token": of_pyjwt("refresh", {}, 604800)},
    ],
})

passlib = CryptContext(schemes=["bcrypt"], deprecated="auto")
cheap = CryptContext(schemes=["bcrypt"], bcrypt__rounds=4)
passwords = ["Verano2025!!", "contraseña", "x" * 71, "x" * 72, "x" * 80, "pass word ", "🦤🦤"]
hashes = []
for password in passwords:
    for ident in ["2a", "2b", "2y"]:
        hashed = cheap.handler("bcrypt").using(ident=ident, rounds=4).hash(password)
        hashes.append({"password": password, "hash": hashed, "verifies": cheap.verify(password, hashed)})
        hashes.append({"password": "other", "hash": hashed, "verifies": cheap.verify("other", hashed)})
for tail in ["y", "yy"]:
    hashed = cheap.hash("x" * 72)
    hashes.append({"password": "x" * 72 + tail, "hash": hashed, "verifies": cheap.verify("x" * 72 + tail, hashed)})
app = passlib.hash("Verano2025!!")
hashes.append({"password": "Verano2025!!", "hash": app, "verifies": True})
write("passwords.json", hashes)
