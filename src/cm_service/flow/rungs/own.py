"""Our own store: the worklist and the page are the view. Nothing goes to the EMR, so this rung is there
for every intent; why it came to that stands beside it, in words."""

from __future__ import annotations

from collections.abc import Iterable

ACCEPTANCE = "waits until a person accepts it: a {what} cannot be taken back"
_NAMES = {
    "care-gap": "care gap",
    "questionnaire-response": "form",
    "document-reference": "note",
    "communication": "message",
}


def waits_for_acceptance(rung: str) -> str:
    return ACCEPTANCE.format(what=_NAMES[rung])


def reason(obstacles: Iterable[tuple[str, str]]) -> str:
    """Why no rung of the EMR takes it: (rung, sentence), from the highest on."""
    return "only on the page: " + "; ".join(f"{rung}: {why}" for rung, why in obstacles)
