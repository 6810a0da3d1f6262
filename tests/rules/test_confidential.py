"""Which labels restrict a resource."""

from __future__ import annotations

import pytest

from cm_service.rules.confidential import ACT_CODE, CONFIDENTIALITY, restrictions


@pytest.mark.parametrize(
    ("label", "found"),
    [
        (f"{CONFIDENTIALITY}|R", {"R"}),
        (f"{CONFIDENTIALITY}|V", {"V"}),
        (f"{CONFIDENTIALITY}|N", set()),
        (f"{CONFIDENTIALITY}|U", set()),
        ("http://hl7.org/fhir/v3/Confidentiality|R", {"R"}),
        ("urn:oid:2.16.840.1.113883.5.25|V", {"V"}),
        ("|R", {"R"}),
        (f"{CONFIDENTIALITY}|", {"V"}),
        (f"{CONFIDENTIALITY}|secret", {"V"}),
        (f"{ACT_CODE}|42CFRPart2", {"42CFRPart2"}),
        (f"{ACT_CODE}|HTEST", set()),
        ("http://practice.example/color|R", set()),
        ("", set()),
    ],
)
def test_what_a_label_restricts(label: str, found: set[str]) -> None:
    """A confidentiality that nobody can read is the highest."""
    assert restrictions([label]) == found


def test_labels_add_up() -> None:
    both = [f"{CONFIDENTIALITY}|N", f"{ACT_CODE}|42CFRPart2", f"{CONFIDENTIALITY}|R"]
    assert restrictions(both) == {"R", "42CFRPart2"}
