"""Reasons and flags in words that a nurse can read."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from cm_service.rules import value_sets


@cache
def meanings() -> dict[str, str]:
    """Each word of a decision with its meaning."""
    return {row["word"]: row["meaning"] for row in value_sets.load("words").rows}


def in_words(words: Iterable[str]) -> str:
    """One readable line; a word without a meaning speaks for itself."""
    return "; ".join(meanings().get(word, word.replace("_", " ")) for word in words)
