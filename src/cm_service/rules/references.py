"""References as facts keep them: `Type/id`, still to be resolved."""

from __future__ import annotations


def id_in(reference: str | None, kind: str) -> str:
    """The id of the resource of this type that is meant, "" where none is: one of another type may bear
    the same id."""
    named, _, name = (reference or "").partition("/")
    return name if named == kind else ""
