"""A token that grants less than was asked for: the pull is never complete in silence."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from cm_service.fhir.credentials import StaticBearer
from cm_service.flow.check import check
from cm_service.flow.landing import PullReport, run_folder
from cm_service.flow.pull import Source, pull
from cm_service.flow.wanted import CODED, REFERENCED, WHOLE
from tests.fhir.builders import ask
from tests.fhir.scripted import scripted_emr

ALL = " ".join(f"system/{type_}.rs" for type_ in (*WHOLE, *CODED, *REFERENCED))


class Granted(StaticBearer):
    def __init__(self, scope: str | None) -> None:
        super().__init__("t0ken")
        self.scope = scope  # type: ignore[misc, assignment]


def read(folder: Path, scope: str | None) -> PullReport:
    """Of an EMR that answers everything well, as one does that filters by scope."""
    place = run_folder(folder, "east", "run-1")
    with scripted_emr() as emr:
        return ask(
            emr,
            lambda client: pull(client, Source("east"), place, progress=lambda _: None),
            credentials=Granted(scope),
        )


def warnings(scope: str | None) -> list[str]:
    """What `emr check` says of the token."""
    now = dt.datetime(2026, 11, 20, 20, 0, tzinfo=dt.UTC)
    with scripted_emr() as emr:
        found = ask(emr, lambda c: check(c, as_of=now, zone=dt.UTC), credentials=Granted(scope))
    return [warning for warning in found["warnings"] if "token" in warning]


@pytest.mark.parametrize("scope", [ALL, "system/*.read", "user/*.cruds", None])
def test_BS_7_with_every_read_scope_or_no_word_of_it_the_pull_is_complete(
    tmp_path: Path, scope: str | None
) -> None:
    assert read(tmp_path, scope).complete


@pytest.mark.parametrize("lost", ["Condition", "Observation", "Location"])
@pytest.mark.parametrize("instead", ["", ".r", ".rs?category=laboratory", ".write"])
def test_BS_7_1A_F02_a_type_that_the_token_does_not_show_in_full_is_no_complete_type(
    tmp_path: Path, lost: str, instead: str
) -> None:
    narrower = ALL.replace(f"system/{lost}.rs", f"system/{lost}{instead}" if instead else "")
    report = read(tmp_path, narrower)
    assert not report.complete
    held = {name for name, holder in REFERENCED.items() if holder == lost}  # read by the references in it
    assert {name for name, each in report.types.items() if each.status != "complete"} == {lost, *held}
    assert report.types[lost].reason == f"the token does not grant reading all of {lost}"


def test_BS_7_1A_F02_an_empty_scope_makes_no_type_complete(tmp_path: Path) -> None:
    assert read(tmp_path, "").of_status("complete") == frozenset()


def test_BS_7_a_check_names_what_the_token_leaves_out_before_any_night_does() -> None:
    assert warnings(None) == warnings(f"{ALL} system/*.cud") == []
    assert warnings(f"{ALL} system/Goal.c system/CarePlan.cu") == ["the token does not grant writing Task"]
    assert warnings(f"{ALL} system/*.cud".replace("system/Consent.rs", "")) == [
        "the token does not grant reading all of Consent: no night is complete"
    ]
