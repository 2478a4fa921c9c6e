"""Secrets that people read from a screen or from paper, and type: no character is easily taken for another."""

from __future__ import annotations

import secrets

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def readable_secret(groups: int, size: int) -> str:
    """So many random groups of so many characters, of almost 5 bits each."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(size)) for _ in range(groups))
