"""Local passwords: argon2id hashes, checked in the same time whether or not the user exists."""

from __future__ import annotations

from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.errors import BadInput

SHORTEST = 12  # NIST SP 800-63B rev. 4 asks for 15 without a second factor and 8 with one; proposal between
LONGEST = 1024  # argon2 reads any length; the cap keeps a form from becoming work


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _nobodys_hash() -> str:
    return _hasher().hash("no user has this password")


def hash_password(password: str) -> str:
    """The argon2id hash to store. Raises BadInput when the password is too short or absurdly long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadInput(f"A password has {SHORTEST} to {LONGEST} characters.", field="password")
    return _hasher().hash(password)


def verify(stored: str | None, password: str) -> bool:
    """Whether the password fits the stored hash; an unknown user (None) costs the same time and is False."""
    try:
        fits = _hasher().verify(stored or _nobodys_hash(), password[:LONGEST])
    except (VerificationError, InvalidHashError):
        return False
    return fits and stored is not None


def outdated(stored: str) -> bool:
    """Whether the hash was made with weaker parameters than today's and should be made anew."""
    return _hasher().check_needs_rehash(stored)
