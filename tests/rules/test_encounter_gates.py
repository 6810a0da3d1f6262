"""Discharges and emergency visits behind the gates, all rules together."""

import pytest

from cm_service.rules.decision import Outcome
from cm_service.rules.engine import evaluate_patient
from cm_service.rules.view import Decline
from tests.rules.builders import AS_OF, ZONE, patient, view
from tests.rules.stay_helpers import emer, enc, imp, stamp

ENCOUNTER_RULES = {"DIS-TCM", "DIS-AMA", "DIS-SNF", "DIS-READMIT", "ED-FU", "ED-OVERUSE"}


def decided(*facts, **changes):
    decisions = evaluate_patient(view(*facts, **changes), as_of=AS_OF, zone=ZONE)
    return {decision.rule: decision for decision in decisions}


@pytest.mark.parametrize("word", ["IMP", "EMER"])
def test_a_death_told_by_an_encounter_stops_every_rule(word):
    lines = decided(enc(word, "11-18 10:00", "11-20 10:00", disposition="exp"))
    assert {line.outcome for line in lines.values()} == {Outcome.NOT_ELIGIBLE}
    assert all("GX-01" in line.reasons for line in lines.values())


def test_a_death_that_is_denied_stops_nothing_and_is_flagged_on_the_encounter_rules():
    dead = imp("11-18 10:00", "11-20 10:00", disposition="exp")
    lines = decided(dead, enc("AMB", "11-21 10:00", "11-21 11:00"))
    assert lines["DIS-TCM"].outcome is Outcome.ELIGIBLE
    assert {rule for rule, line in lines.items() if "expired_conflict" in line.flags} == ENCOUNTER_RULES


def test_hospice_stops_the_discharge_rules_and_leaves_their_facts():
    first = imp("11-01 10:00", "11-10 10:00")
    lines = decided(first, imp("11-15 10:00", "11-20 10:00", disposition="hosp"))
    for rule in ("DIS-TCM", "DIS-READMIT", "ED-FU"):
        assert (lines[rule].outcome, lines[rule].reasons) == (Outcome.NOT_ELIGIBLE, ["GX-02"])
    assert lines["DIS-READMIT"].facts["readmission_date"] == "2026-11-15"
    assert "priority" not in lines["DIS-READMIT"].facts


def test_children_are_followed_after_a_discharge_only_where_the_practice_says_so():
    child, stay = patient(birth="2015-01-01"), imp("11-18 10:00", "11-20 10:00")
    assert decided(stay, person=child)["DIS-TCM"].reasons == ["GX-04"]
    assert decided(stay, person=child, gx_pediatric_discharge=True)["DIS-TCM"].outcome is Outcome.ELIGIBLE


def test_a_decline_never_stops_a_discharge_or_an_emergency_visit():
    declined = (Decline("d", AS_OF.replace(year=2027)),)
    visit, stay = emer("11-20 08:00", "11-20 10:00"), imp("2026-10-01 10:00", "2026-10-05 10:00")
    lines = decided(visit, stay, declines=declined)
    assert lines["ED-FU"].outcome is Outcome.ELIGIBLE


def test_an_unread_hole_in_the_encounters_makes_no_stay_unknown():
    line = decided(holes=frozenset({"Encounter"}))["DIS-TCM"]
    assert line.outcome is Outcome.INSUFFICIENT_DATA
    assert line.reasons[0] == "input_incomplete"


def test_stable_until_of_a_discharge_is_the_end_of_its_period():
    line = decided(imp("11-18 10:00", "11-20 10:00"))["DIS-TCM"]
    assert line.stable_until.astimezone(ZONE).isoformat() == stamp("12-20 00:00")
