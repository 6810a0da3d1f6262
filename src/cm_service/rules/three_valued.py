"""Logic with an unknown: None means that the record leaves it open (rules.md 0.3)."""

from __future__ import annotations

from collections.abc import Iterable

Maybe = bool | None


def any_of(answers: Iterable[Maybe]) -> Maybe:
    """True if one is, else None if one is unknown, else False."""
    unknown = False
    for answer in answers:
        if answer:
            return True
        unknown = unknown or answer is None
    return None if unknown else False


def all_of(answers: Iterable[Maybe]) -> Maybe:
    """False if one is, else None if one is unknown, else True."""
    unknown = False
    for answer in answers:
        if answer is False:
            return False
        unknown = unknown or answer is None
    return None if unknown else True


def negation(answer: Maybe) -> Maybe:
    return None if answer is None else not answer
