"""What the two servers say about themselves, and what only one of them says.

Whatever the sandbox's `hapi` declares of a type, the foreign server declares as well, apart from
ONLY_SANDBOX. The foreign server declares more than any test here needs: ONLY_FOREIGN has it by kind.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.foreign_emr

ONLY_SANDBOX = {
    "updateCreate": "both do it (test_writing.py); the foreign server does not say so",
    "readHistory": "both do it (test_reading.py); the foreign server does not say so",
    "batch": "both take batches (test_bundles.py); the foreign server names transactions only",
    "_count": "both know it (test_searching.py); the foreign server never names it",
    "_summary": "both know _summary=count (test_searching.py); the foreign server never names it",
}
ONLY_FOREIGN = {
    "xml": "the sandbox speaks JSON, as our client does",
    "history-system": "nobody here asks for the history of everything",
    "conditionalUpdate": "our client updates what it has read, by its id",
    "conditionalDelete": "our client deletes nothing",
    "searchInclude": "our client asks type by type",
    "operation": "the foreign server's own ($expunge, $validate) are for tests to prepare and to check with",
}


def rest_of(base: str) -> dict[str, Any]:
    (rest,) = httpx.get(f"{base}/metadata", timeout=60).json()["rest"]
    return dict(rest)


def told(part: dict[str, Any]) -> set[str]:
    """Codes of interactions, names of parameters, and switches that are on."""
    switches = {name for name, value in part.items() if value is True or value == "multiple"}
    codes = {each["code"] for each in part.get("interaction", ())}
    more = {name for name in ("searchInclude", "operation") if part.get(name)}
    return codes | switches | more | {each["name"] for each in part.get("searchParam", ())}


@pytest.fixture(scope="module")
def both(sandbox_hapi: str, foreign_emr: str) -> tuple[dict[str, Any], dict[str, Any]]:
    return rest_of(sandbox_hapi), rest_of(foreign_emr)


def test_the_sandbox_declares_nothing_that_the_foreign_server_does_not(
    both: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    ours, theirs = both
    known = {each["type"]: told(each) for each in theirs["resource"]}
    more = {each["type"]: told(each) - known[each["type"]] - ONLY_SANDBOX.keys() for each in ours["resource"]}
    assert {kind: names for kind, names in more.items() if names} == {}
    assert told(ours) - told(theirs) <= ONLY_SANDBOX.keys()


def test_every_exception_is_one(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    (ours, our_types), (theirs, their_types) = (
        (told(rest), set().union(*map(told, rest["resource"]))) for rest in both
    )
    assert ONLY_SANDBOX.keys() == (ours | our_types) - (theirs | their_types)
    assert ONLY_FOREIGN.keys() - {"xml"} <= (theirs | their_types) - (ours | our_types)
    assert "_lastUpdated" not in our_types | their_types
