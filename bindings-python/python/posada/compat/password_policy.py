"""Rules for passwords: the app's ``security.password_policy``.

What is different: a history that cannot be read refuses the password instead of letting every one pass, and bcrypt is
given nothing that it would not read. ``Authenticator.change_password`` does all of this in one step, and writes the
history.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

from posada.auth import legacy_password_hash, password_matches, password_violations
from posada.compat._passwords import pwd_context

__all__ = ["PasswordPolicy", "PasswordPolicyViolation", "get_password_policy", "password_policy", "pwd_context"]


_SPECIAL = r"!@#$%^&*()_+\-=\[\]{};':\"\\|,.<>\/?"
"""The special characters, as the app's messages name them."""


class PasswordPolicyViolation(Exception):  # noqa: N818 - the app's name
    """A password that the policy refuses; ``violations`` says why."""

    def __init__(self, message: str, violations: list[str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.violations: list[str] = violations or []


class PasswordPolicy:
    """The app's rules: a length, and one of each class of characters."""

    def __init__(
        self,
        min_length: int = 12,
        require_uppercase: bool = True,
        require_lowercase: bool = True,
        require_digit: bool = True,
        require_special: bool = True,
        history_size: int = 5,
        rotation_days: int = 90,
    ) -> None:
        self.min_length = min_length
        self.require_uppercase = require_uppercase
        self.require_lowercase = require_lowercase
        self.require_digit = require_digit
        self.require_special = require_special
        self.history_size = history_size
        self.rotation_days = rotation_days
        self.special_chars = _SPECIAL

    def validate_password_strength(self, password: str) -> tuple[bool, list[str]]:
        """Whether a password is good enough, and what is wrong with it, in the app's words and order."""
        wanted = {
            "one uppercase letter": self.require_uppercase,
            "one lowercase letter": self.require_lowercase,
            "one digit": self.require_digit,
            "one special character": self.require_special,
        }
        violations = []
        if len(password) < self.min_length:
            violations.append(f"Password must be at least {self.min_length} characters long")
        for violation in password_violations(password, policy="legacy"):
            if any(rule in violation and on for rule, on in wanted.items()):
                violations.append(violation)
        return not violations, violations

    async def validate_password_history(self, session: Any, user_id: str, new_password: str) -> tuple[bool, str | None]:
        """Whether a password is not among the user's last ones. ``session`` is an ``AsyncSession`` of SQLAlchemy.

        Raises what the session raises: what cannot be read is not "never used".
        """
        from sqlalchemy import text

        asked = text(
            "SELECT password_hash FROM password_history WHERE user_id = :user ORDER BY created_at DESC LIMIT :size"
        ).bindparams(user=user_id, size=self.history_size)
        rows = await session.execute(asked)
        for hashed in rows.scalars().all():
            if await asyncio.to_thread(password_matches, new_password, hashed):
                return False, f"Password was used recently. Cannot reuse last {self.history_size} passwords"
        return True, None

    def check_rotation_required(self, last_changed: dt.datetime | None) -> bool:
        """Whether a password is older than the policy allows. A moment without a zone is meant in UTC."""
        if last_changed is None:
            return True
        if last_changed.tzinfo is None:
            last_changed = last_changed.replace(tzinfo=dt.timezone.utc)
        return (dt.datetime.now(dt.timezone.utc) - last_changed).days >= self.rotation_days

    async def validate_password_complete(
        self,
        password: str,
        session: Any,
        user_id: str,
        last_changed: dt.datetime | None = None,  # noqa: ARG002 - the app only logs it
        skip_history: bool = False,
    ) -> None:
        """Raises ``PasswordPolicyViolation`` when the strength or the history refuses the password."""
        _, violations = self.validate_password_strength(password)
        if not skip_history:
            fresh, message = await self.validate_password_history(session, user_id, password)
            if not fresh and message is not None:
                violations.append(message)
        if violations:
            raise PasswordPolicyViolation("Password does not meet policy requirements", violations)

    def hash_password(self, password: str) -> str:
        """A bcrypt hash. Takes hundreds of milliseconds: in a coroutine use ``asyncio.to_thread``."""
        return legacy_password_hash(password)

    def verify_password(self, plain_password: str, hashed_password: str) -> bool:
        """Whether the password is the one behind the hash, bcrypt or argon2id. As slow as ``hash_password``."""
        return password_matches(plain_password, hashed_password)


password_policy: PasswordPolicy = PasswordPolicy()
"""The policy with the app's rules."""


def get_password_policy() -> PasswordPolicy:
    """The same."""
    return password_policy
