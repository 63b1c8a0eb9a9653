"""As much of passlib's ``CryptContext`` as the app uses."""

from __future__ import annotations

from posada.auth import legacy_password_hash, password_matches


class Passwords:
    """Hashes with bcrypt, and verifies bcrypt and argon2id."""

    def hash(self, secret: str) -> str:
        """A bcrypt hash. Raises ``auth.invalid_password`` for more than 72 bytes."""
        return legacy_password_hash(secret)

    def verify(self, secret: str, hash: str | None) -> bool:
        """Whether the password is the one behind the hash, bcrypt or argon2id."""
        return hash is not None and password_matches(secret, hash)


pwd_context: Passwords = Passwords()
"""Hashes and verifies passwords."""
