"""Which id a reference names, for whoever looks for one type."""

import pytest

from cm_service.rules.references import id_in


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("Encounter/i1", "i1"),
        ("EpisodeOfCare/i1", ""),
        ("Encounter?identifier=http://x/y|1", ""),
        ("i1", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_only_a_reference_to_that_type_names_an_id(reference: str | None, name: str):
    assert id_in(reference, "Encounter") == name
