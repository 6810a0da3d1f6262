"""The choice of a rung: the highest that nothing speaks against, in words that say why not a higher one."""

from __future__ import annotations

from typing import Any

import pytest

from cm_service.errors import BadInput
from cm_service.fhir import vendor
from cm_service.flow.ladder import (
    Meaning,
    NoteEncounter,
    Rung,
    choose,
    climbs,
    meaning_of,
    obstacle,
    write_settings_of,
)
from tests.flow.ladder_world import FORM, everything_set, verb, wanted, world

N, G, F, D, M, O = Rung  # noqa: E741
ELIGIBLE, PLAN, FOLLOW_UP, CONTACT = Meaning
STAY = "Encounter/stay"

# Profile: rungs of (eligible, plan, follow-up) in write mode auto, with nothing set and no encounter;
# then with a questionnaire, and the stay that the intent is about.
BEST = {
    "hapi": ((N, N, N), (N, N, N)),
    "medplum": ((N, N, N), (N, N, N)),
    "canvas": ((N, D, N), (N, F, N)),
    "oracle": ((D, D, D), (D, D, D)),
    "epic": ((O, O, O), (D, D, D)),
    "athena": ((G, O, O), (G, F, F)),
    "ecw": ((O, O, O), (F, F, F)),
    "meditech": ((M, M, M), (F, F, F)),
    "nextgen-enterprise": ((O, O, O), (O, O, O)),
    "nextgen-office": ((O, O, O), (O, O, O)),
}
# In write mode propose: what the EMR cannot take back waits on the page.
PROPOSED = {
    "hapi": (N, N, N),
    "medplum": (N, N, N),
    "canvas": (N, O, N),
    "oracle": (D, D, D),
    "epic": (O, O, O),
    "athena": (O, O, O),
    "ecw": (O, O, O),
    "meditech": (O, O, O),
    "nextgen-enterprise": (O, O, O),
    "nextgen-office": (O, O, O),
}


def rungs(
    profile: str, *, encounter: str | None = None, accepted: bool = False, **changes: Any
) -> tuple[Rung, ...]:
    there = world(profile, **changes)
    return tuple(
        choose(wanted(meaning, encounter=encounter, accepted=accepted), there).rung
        for meaning in (ELIGIBLE, PLAN, FOLLOW_UP)
    )


@pytest.mark.parametrize("profile", sorted(BEST))
def test_each_kind_of_emr_gets_the_best_rung_that_its_profile_leaves(profile: str) -> None:
    bare, equipped = BEST[profile]
    assert rungs(profile) == bare
    assert rungs(profile, encounter=STAY, **everything_set()) == equipped


@pytest.mark.parametrize("profile", sorted(PROPOSED))
def test_in_write_mode_propose_what_cannot_be_taken_back_waits_for_a_person(profile: str) -> None:
    assert rungs(profile, encounter=STAY, propose=True, **everything_set()) == PROPOSED[profile]
    accepted = rungs(profile, encounter=STAY, propose=True, accepted=True, **everything_set())
    assert accepted == BEST[profile][1]


def test_an_emr_of_which_nothing_is_known_is_tried_natively_first() -> None:
    assert choose(wanted(), world()) == (Rung.NATIVE, "", False)


def test_a_plan_is_native_only_where_its_goals_are_too() -> None:
    there = world(None, verb("Goal", refused=403))
    assert choose(wanted(PLAN), there).rung is not Rung.NATIVE
    assert choose(wanted(PLAN, kinds=("CarePlan",)), there).rung is Rung.NATIVE


def test_why_it_is_no_higher_rung_is_said_in_words() -> None:
    choice = choose(wanted(), world("oracle"))
    assert choice.reason.startswith("native: the vendor profile (2024-05-02) says no: there is no Task page")
    assert "care-gap" in choice.reason and "questionnaire-response" in choice.reason
    page = choose(wanted(PLAN), world("epic")).reason
    assert page.startswith("only on the page: native: ")
    assert "a note needs an encounter here, and none is set (note-encounter)" in page


def test_a_note_that_needs_an_encounter_never_invents_one() -> None:
    there = world("epic", note_encounter=NoteEncounter.OPEN)
    assert "there is none of this kind (open)" in obstacle(Rung.NOTE, wanted(), there)
    assert obstacle(Rung.NOTE, wanted(encounter=STAY), there) == ""


def test_a_refusal_of_the_verb_moves_everybody_one_rung_down() -> None:
    there = world(None, verb("Task", refused=405), questionnaire=FORM)
    assert choose(wanted(FOLLOW_UP), there).rung is Rung.FORM


def test_a_refusal_of_one_intent_moves_that_one_down_and_nobody_else() -> None:
    there = world(None, verb("Task", worked=201, refused=403))
    alone = wanted(FOLLOW_UP, refused={Rung.NATIVE: "refused with 403"})
    assert choose(alone, there).rung is Rung.NOTE
    assert choose(wanted(FOLLOW_UP), there).rung is Rung.NATIVE


def test_the_others_of_a_rung_wait_until_its_canary_has_an_answer() -> None:
    out = frozenset({("Task", "create")})
    assert choose(wanted(), world(out=out)) == (Rung.NATIVE, "", True)
    assert not choose(wanted(PLAN), world(out=out)).waits
    assert not choose(wanted(), world(None, verb("Task", worked=201), out=out)).waits


def test_climbing_is_to_a_proven_rung_only_and_from_one_that_can_be_closed() -> None:
    proven = [verb("CarePlan", worked=201), verb("Goal", worked=201)]
    assert climbs(Rung.NOTE, wanted(PLAN), world("hapi", *proven)) is Rung.NATIVE
    assert climbs(Rung.NOTE, wanted(PLAN), world("hapi", proven[0])) is None
    assert climbs(Rung.MESSAGE, wanted(PLAN), world("hapi", *proven)) is None
    assert climbs(Rung.NOTE, wanted(PLAN), world(None, *proven)) is None
    closes = verb("DocumentReference", "update", worked=200)
    assert climbs(Rung.NOTE, wanted(PLAN), world(None, closes, *proven)) is Rung.NATIVE


def test_nothing_climbs_to_a_rung_on_which_it_was_refused() -> None:
    there = world("hapi", verb("Task", worked=201))
    assert climbs(Rung.NOTE, wanted(), there) is Rung.NATIVE
    assert climbs(Rung.NOTE, wanted(refused={Rung.NATIVE: "refused with 403"}), there) is None


def test_what_waits_for_a_person_does_not_climb_to_what_cannot_be_taken_back() -> None:
    there = world("meditech", verb("QuestionnaireResponse", worked=201), questionnaire=FORM)
    assert climbs(Rung.FORM, wanted(), there) is None
    assert climbs(Rung.MESSAGE, wanted(), there) is None


def test_findings_are_care_gaps_and_what_follows_a_stay_is_not() -> None:
    assert meaning_of("Task", "A1C-OUT") is ELIGIBLE
    assert meaning_of("Task", "DIS-TCM") is FOLLOW_UP
    assert meaning_of("Goal", "A1C-OUT") is PLAN


def test_the_rungs_of_the_vendor_profiles_are_those_of_the_ladder() -> None:
    assert {str(rung) for rung in vendor.Rung} - {"task", "care-plan"} == {
        str(rung) for rung in (Rung.CARE_GAP, Rung.FORM, Rung.NOTE, Rung.MESSAGE)
    }


@pytest.mark.parametrize(
    "settings",
    [
        {"note-encounter": "any"},
        {"form-questionnaire": "care plan"},
        {"message-recipient": "the nurses"},
    ],
)
def test_a_setting_that_means_nothing_is_refused(settings: dict[str, str]) -> None:
    with pytest.raises(BadInput, match=next(iter(settings))):
        write_settings_of(settings)


def test_a_contact_is_what_it_is_else_a_note_else_a_message() -> None:
    call = wanted(CONTACT)
    assert choose(call, world("hapi")).rung is Rung.NATIVE
    assert choose(call, world("oracle")).rung is Rung.NATIVE
    assert choose(call, world("canvas")).rung is Rung.NOTE
    assert choose(call, world("meditech", questionnaire=FORM)).rung is Rung.MESSAGE
    assert choose(wanted(CONTACT, encounter=STAY), world("epic")).rung is Rung.NOTE
    assert choose(call, world("ecw", questionnaire=FORM)).rung is Rung.OWN
    assert meaning_of("Encounter", "") is CONTACT
