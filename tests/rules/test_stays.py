"""How encounters form stays and visits, and how each of them stands."""

import msgspec
import pytest

from cm_service.rules import stays
from cm_service.rules.facts import Coding, Concept
from cm_service.rules.stay_groups import State
from tests.rules.builders import observation, view
from tests.rules.stay_helpers import emer, enc, groups, history, imp, moment, obs, running, snf, stamp


def one(*facts, **changes):
    """The only stay."""
    (stay,) = history(*facts, **changes).stays
    return stay


# --- linking


def test_ed_and_observation_flow_into_the_admission():
    ed, watch = emer("11-15 20:00", "11-15 23:30"), obs("11-15 23:30", "11-16 10:00")
    stay = one(ed, watch, imp("11-16 10:00", "11-18 15:00"))
    assert len(stay.members) == 3
    assert (stay.start.low.isoformat(), stay.day.isoformat()) == ("2026-11-15", "2026-11-18")
    assert history(ed, watch).visits == ()


def test_a_same_day_return_is_one_stay():
    assert len(groups(imp("11-12 00:30", "11-12 09:00"), imp("11-12 21:00", "11-15 10:00"))) == 1


def test_a_home_discharge_followed_by_an_admission_next_day_makes_two_stays():
    assert len(groups(imp("11-15", "11-17 20:00"), imp("11-18 15:00", "11-20 11:00"))) == 2


def test_the_local_date_decides_what_a_same_day_return_is():
    first = imp("11-15 10:00", "2026-11-18T04:30:00Z")  # 17 November, 23:30 in Detroit
    assert len(groups(first, imp("2026-11-18T06:00:00Z", "11-20 10:00"))) == 2


@pytest.mark.parametrize(("disposition", "count"), [("other-hcf", 1), ("snf", 1), ("home", 2), ("oth", 2)])
def test_within_24_hours_a_transfer_links_and_other_dispositions_do_not(disposition, count):
    first = imp("11-10 10:00", "11-12 18:00", disposition=disposition)
    assert len(groups(first, imp("11-13 18:00", "11-15 10:00"))) == count


def test_the_link_after_a_transfer_reaches_exactly_24_hours():
    first = imp("11-10 10:00", "11-12 18:00", disposition="other-hcf")
    assert len(groups(first, imp("11-13 18:00:01", "11-15 10:00"))) == 2


def test_the_24_hours_are_hours_not_a_clock_face():
    """Clocks went back on 1 November: 18:00 to 18:00 are 25 hours."""
    first = imp("10-28 10:00", "10-31 18:00", disposition="other-hcf")
    assert len(groups(first, imp("11-01 17:00", "11-03 10:00"))) == 1
    assert len(groups(first, imp("11-01 17:30", "11-03 10:00"))) == 2


def test_an_unmapped_disposition_is_one_and_does_not_link():
    local = Concept((Coding("urn:local", "H"),))
    first = imp("11-10 10:00", "11-12 18:00", disposition=local)
    assert len(groups(first, imp("11-13 10:00", "11-15 10:00"))) == 2


def test_a_pair_merged_only_because_the_disposition_is_missing_says_so():
    first = imp("11-10 10:00", "11-12 18:00", disposition=None)
    second = imp("11-13 10:00", "11-15 10:00")
    assert "possible_readmission" in one(first, second).flags
    related = msgspec.structs.replace(second, part_of="Encounter/" + first.id)
    assert "possible_readmission" not in one(first, related).flags


def test_a_part_that_began_before_its_whole_is_related_too():
    part = imp("11-10 10:00", "11-12 18:00", disposition=None, part_of="Encounter/whole")
    assert "possible_readmission" not in one(part, imp("11-13 10:00", "11-15 10:00", id="whole")).flags


def test_an_ed_visit_within_24_hours_before_an_admission_flows_into_it_without_doubt():
    stay = one(emer("11-12 10:00", "11-12 18:00"), imp("11-13 17:00", "11-15 10:00"))
    assert "possible_readmission" not in stay.flags


def test_an_ed_visit_after_the_stay_is_never_folded_back():
    built = history(imp("11-10 10:00", "11-12 09:00"), emer("11-12 20:00", "11-12 23:00"))
    assert [len(built.stays), len(built.visits)] == [1, 1]
    assert str(built.stays[0].day) == "2026-11-12"


def test_an_ed_visit_that_overlaps_the_end_of_the_stay_belongs_to_it_but_does_not_move_its_day():
    stay = one(imp("11-10 10:00", "11-12 23:00"), emer("11-12 22:00", "11-13 05:00"))
    assert (len(stay.members), str(stay.day)) == (2, "2026-11-12")


def test_touching_is_not_overlapping():
    assert len(groups(emer("11-12 10:00", "11-12 12:00"), emer("11-12 12:00", "11-12 14:00"))) == 2
    assert len(groups(emer("11-12 10:00", "11-12 12:00"), emer("11-12 11:59", "11-12 14:00"))) == 1


def test_two_ed_visits_link_only_by_part_of_or_overlap():
    first, second = emer("11-12 10:00", "11-12 12:00"), emer("11-12 15:00", "11-12 18:00")
    assert len(groups(first, second)) == 2
    assert len(groups(first, msgspec.structs.replace(second, part_of="Encounter/" + first.id))) == 1


def test_part_of_links_through_what_is_no_stay_but_siblings_under_it_do_not_link():
    clinic = enc("AMB", "11-01 10:00", "11-01 11:00", id="clinic")
    top = imp("11-01 08:00", "11-03 10:00", id="top")
    below = imp("11-08 08:00", "11-09 10:00", id="below", part_of="Encounter/clinic")
    beside = imp("11-12 08:00", "11-13 10:00", id="beside", part_of="Encounter/clinic")
    assert len(groups(clinic, top, below, beside)) == 3
    linked = msgspec.structs.replace(clinic, part_of="Encounter/top")
    assert len(groups(linked, top, below, beside)) == 1


def test_siblings_under_a_parent_that_is_a_stay_are_one_stay_and_a_loop_ends():
    top = imp("11-01 08:00", "11-14 10:00", id="top", part_of="Encounter/a")
    a = imp("11-01 08:00", "11-03 10:00", id="a", part_of="Encounter/top")
    assert len(groups(top, a, imp("11-08 08:00", "11-09 10:00", id="b", part_of="Encounter/top"))) == 1


def test_a_part_of_another_type_links_nothing():
    first, second = emer("11-12 10:00", "11-12 12:00"), emer("11-12 15:00", "11-12 18:00")
    other = msgspec.structs.replace(second, part_of="EpisodeOfCare/" + first.id)
    assert len(groups(first, other)) == 2


def test_days_without_a_time_touch_when_they_only_share_a_day():
    assert len(groups(imp("11-10", "11-12"), emer("11-12", "11-12"))) == 2
    assert len(groups(imp("11-10", "11-12"), emer("11-11", "11-11"))) == 1
    assert len(groups(imp("11-10", "11-12"), imp("11-12", "11-14"))) == 1
    assert len(groups(emer("11-10", "11-10"), imp("11-11", "11-14"))) == 1
    assert len(groups(emer("11-10", "11-10"), imp("11-12", "11-14"))) == 2
    assert len(groups(emer("11-10", "11-10", id="a"), emer("11-10", "11-10", id="b"))) == 2


def test_an_ed_visit_with_a_time_flows_into_an_admission_of_that_day_without_one():
    assert len(groups(emer("11-10 10:00", "11-10 18:00"), imp("11-10", "11-14"))) == 1
    assert len(groups(emer("11-10", "11-10"), imp("11-10 20:00", "11-14 10:00"))) == 1


@pytest.mark.parametrize("status", ["cancelled", "planned", "entered-in-error", "unknown", ""])
def test_encounters_of_other_status_are_ignored(status):
    assert groups(imp("11-10 10:00", "11-12 10:00", status=status)) == []


def test_classes_that_are_no_stay_form_no_groups():
    assert groups(*(enc(word, "11-10 10:00", "11-12 10:00") for word in ("AMB", "HH", "PRENC", "SS"))) == []
    assert len(groups(enc("SS", "11-10 10:00", "11-10 20:00"), dis_include_short_stay=True)) == 1


# --- which member decides


def test_the_stay_class_member_with_the_latest_end_decides():
    first = imp("11-10 10:00", "11-14 10:00", disposition="aadvice")
    second = snf("11-13 10:00", "11-18 10:00")
    stay = one(first, second, emer("11-10 08:00", "11-19 20:00"))
    assert (stay.last.is_snf, stay.left.kind, str(stay.day)) == (True, "community", "2026-11-18")


def test_of_equal_ends_the_more_acute_class_decides_then_the_later_start():
    same = {"end": "11-14 10:00"}
    assert one(obs("11-12 10:00", **same), imp("11-10 10:00", **same)).last.word == "IMP"
    assert one(enc("NONAC", "11-10 10:00", **same), obs("11-11 10:00", **same)).last.word == "NONAC"
    later = one(imp("11-10 10:00", id="a", **same), imp("11-11 10:00", id="b", **same)).last
    assert later.encounter.id == "b"


def test_a_day_without_a_time_ties_with_a_time_on_that_day():
    stay = one(imp("11-10", "11-14"), obs("11-10 10:00", "11-14 10:00"))
    assert stay.last.word == "IMP"


def test_the_key_is_the_identifier_of_the_first_encounter_else_its_id():
    later = imp("11-10 10:00", "11-14 10:00", identifier="s|later")
    assert one(emer("11-10 08:00", "11-10 10:00", identifier="s|first"), later).key == "s|first"
    assert one(emer("11-10 08:00", "11-10 10:00", id="first"), later).key == "first"


# --- open and undated encounters


def test_a_stay_with_an_open_member_is_open():
    assert one(running(imp("11-20 10:00"))).state is State.OPEN
    assert one(emer("11-20 10:00", "11-20 12:00"), running(imp("11-20 12:00"))).state is State.OPEN


def test_an_end_in_the_future_is_an_expected_discharge():
    assert one(running(imp("11-20 10:00", "11-25"))).state is State.OPEN
    assert one(imp("11-20 10:00", "11-25")).state is State.UNDATED
    assert str(one(imp("11-20 10:00", "11-22")).day) == "2026-11-22"


def test_an_end_before_the_start_is_no_end():
    assert one(imp("11-20", "11-19")).state is State.UNDATED
    assert one(imp("11-20 10:00", "11-19 10:00")).state is State.UNDATED


def test_an_open_encounter_reaches_to_now_and_a_finished_one_without_end_to_its_start_day():
    assert len(groups(running(imp("11-10 10:00")), emer("11-20 10:00", "11-20 12:00"))) == 1
    assert len(groups(imp("11-10 10:00", disposition=None), emer("11-20 10:00", "11-20 12:00"))) == 2
    assert len(groups(imp("11-10 10:00"), imp("11-10 20:00", "11-12 10:00"))) == 1


@pytest.mark.parametrize(
    ("build", "kept", "left_out"),
    [
        (imp, "2026-09-23 12:00", "2026-09-22 12:00"),  # 60 days
        (obs, "2026-11-19 12:00", "2026-11-18 12:00"),  # 3 days
        (emer, "2026-11-19 12:00", "2026-11-18 12:00"),
        (snf, "2026-07-25 12:00", "2026-07-24 12:00"),  # 120 days
    ],
)
def test_an_open_encounter_is_left_out_when_it_is_too_old(build, kept, left_out):
    assert len(groups(running(build(kept)))) == 1
    old = history(running(build(left_out)))
    assert (old.stays, old.visits) == ((), ())
    assert "status_stale" in old.reading.flags(60, moment())


def test_the_sixty_days_are_a_parameter():
    assert groups(running(imp("11-10 12:00")), dis_open_max_days=11) == []


def test_open_though_the_end_is_more_than_24_hours_past_is_stale():
    fact = running(imp("11-15 10:00", "11-21 15:00"))
    assert one(fact, as_of="11-22 15:00").state is State.OPEN
    assert one(fact, as_of="11-22 15:01").state is State.STALE
    assert groups(running(imp("2026-09-01 10:00", "11-21 10:00"))) == []


def test_an_open_member_overtaken_by_one_that_ended_more_than_24_hours_ago_makes_the_stay_stale():
    ward = running(imp("11-15 10:00", id="ward"))
    later = imp("11-16 10:00", "11-21 15:00", id="later")
    assert one(ward, later, as_of="11-22 15:00").state is State.OPEN
    assert one(ward, later, as_of="11-22 15:01").state is State.STALE


def test_an_undated_ed_visit_overtaken_by_the_admission_makes_the_stay_stale():
    stay = one(emer("11-19 20:00"), imp("11-19 22:00", "11-20 15:00"))
    assert (stay.state, "status_stale" in stay.flags) == (State.STALE, True)


def test_a_forgotten_ed_visit_no_longer_hides_the_discharge():
    stay = one(emer("11-15 20:00"), imp("11-15 22:00", "11-20 15:00"))
    assert (stay.state, len(stay.members)) == (State.CLOSED, 1)


def test_an_ed_account_that_was_never_closed_is_left_out_after_three_days_whatever_its_end():
    account = running(emer("11-15 20:00", "11-15 22:00"))
    assert one(account, imp("11-15 22:00", "11-20 15:00")).state is State.CLOSED
    assert one(account, imp("11-15 22:00", "11-17 15:00"), as_of="11-18 20:00").state is State.STALE


def test_an_undated_member_that_began_last_makes_the_stay_undated_not_stale():
    first = imp("11-10 10:00", "11-12 10:00", disposition="other-hcf")
    assert one(first, imp("11-12 11:00")).state is State.UNDATED


def test_an_open_member_that_began_last_decides():
    facts = running(emer("11-20 08:00")), obs("11-20 10:00", "11-21 10:00"), running(imp("11-21 09:00"))
    assert one(*facts).state is State.OPEN


def test_finished_without_end_is_undated_until_a_later_stay_or_ed_visit_begins():
    first = imp("11-10 10:00")
    assert one(first).state is State.UNDATED
    assert history(first, emer("11-15 10:00", "11-15 12:00")).stays[0].state is State.SUPERSEDED
    assert history(first, imp("11-15 10:00", "11-16 12:00")).stays[0].state is State.SUPERSEDED
    assert history(first, running(emer("11-15 10:00"))).stays[0].state is State.SUPERSEDED


def test_a_skilled_nursing_stay_without_end_counts_for_sixty_days_only():
    assert one(snf("2026-09-23 10:00")).state is State.UNDATED
    assert one(snf("2026-09-22 10:00")).state is State.SUPERSEDED


# --- odd dates


@pytest.mark.parametrize("start", ["2026-11", "2026", None])
def test_a_start_without_a_day_is_left_out_with_a_flag(start):
    built = history(imp(start, None))
    assert built.stays == ()
    assert built.reading.flags(60, moment()) == ["partial_date"]


def test_a_start_more_than_24_hours_ahead_is_ignored_with_a_flag():
    assert history(running(imp("11-23 15:01"))).reading.flags(60, moment()) == ["future_date"]
    assert len(groups(running(imp("11-23 15:00")))) == 1


def test_a_partial_end_is_an_end_and_links_by_its_bounds():
    stay = one(imp("11-10", "2026-11"), emer("11-21 10:00", "11-21 12:00"))
    assert (stay.state, "partial_date" in stay.flags) == (State.PARTIAL, True)


def test_a_partial_end_of_another_member_leaves_the_day_open_unless_it_is_surely_earlier():
    assert one(obs("11-10", "2026-11"), imp("11-10", "11-14")).state is State.PARTIAL
    assert one(obs("10-30", "2026-10"), imp("10-31", "11-14")).state is State.CLOSED


def test_an_unmapped_class_is_flagged_while_it_is_recent():
    fact = enc("", "11-01 10:00", "11-03 10:00", classes=())
    assert history(fact).reading.flags(60, moment()) == ["dq_class_unmapped"]
    old = enc("", "2026-06-01", "2026-06-02", classes=())
    assert history(old).reading.flags(60, moment()) == []
    assert history(old).reading.flags(365, moment()) == ["dq_class_unmapped"]


def test_a_time_without_offset_is_read_as_local_with_a_flag():
    stay = one(imp("11-15 10:00", "2026-11-20T23:30:00"))
    assert (str(stay.day), "dq_no_offset" in stay.flags) == ("2026-11-20", True)


# --- death


def dead(*facts, **changes):
    return stays.death(view(*facts, **changes), moment())


def test_an_expired_disposition_of_any_finished_member_is_a_death():
    assert dead(emer("11-10 10:00", "11-10 12:00", disposition="exp"))
    assert dead(imp("11-10 10:00", "11-12 12:00", disposition="exp"), obs("11-09 10:00", "11-10 12:00"))
    assert not dead(imp("11-24 10:00", disposition="exp"))  # dated in the future
    assert not dead(running(imp("11-10 10:00", disposition="exp")))
    assert not dead(enc("AMB", "11-10 10:00", "11-10 11:00", disposition="exp"))


@pytest.mark.parametrize(
    ("later", "believed"),
    [
        (enc("AMB", "11-13 09:00", "11-13 10:00"), False),
        (enc("AMB", "11-12 20:00", "11-12 21:00"), True),  # the same local day
        (enc("AMB", "11-13 09:00", status="planned"), True),
        (enc("AMB", "11-13 09:00", status="in-progress"), True),
        (enc("AMB", "11-13 09:00", "11-13 10:00", type="308646001"), True),  # death certification
        (imp("11-10 08:00", "11-14 10:00"), True),  # began before that end
        (enc("AMB", "11-25 09:00", "11-25 10:00"), True),  # dated in the future
        (observation("4548-4", effective="2026-11-13"), False),
        (observation("4548-4", effective="2026-11-12"), True),
        (observation("4548-4", effective="2026-11"), True),
        (observation("4548-4", effective="2026-11-10", issued=stamp("11-14 10:00")), True),
        (observation("4548-4", effective="2026-11-13", status="entered-in-error"), True),
    ],
)
def test_a_death_is_denied_only_by_what_happened_on_a_later_local_day(later, believed):
    facts = imp("11-10 10:00", "11-12 12:00", disposition="exp"), later
    assert bool(dead(*facts)) is believed
    assert history(*facts).died_flags == (() if believed else ("expired_conflict",))


@pytest.mark.parametrize("end", [None, "2027-11-05T10:00:00-05:00", "11-10 10:00"])
def test_a_death_whose_end_is_not_believed_is_measured_by_its_start(end):
    """In the future, or before the start: read as if absent."""
    stay = imp("11-14 08:00", end, disposition="exp")
    assert bool(dead(stay, enc("AMB", "11-12 09:00", "11-12 10:00")))
    assert not dead(stay, enc("AMB", "11-20 09:00", "11-20 10:00"))


def test_a_stay_whose_death_is_denied_reads_as_disposition_missing():
    stay = one(imp("11-10 10:00", "11-12 12:00", disposition="exp"), enc("AMB", "11-14", "11-14"))
    assert stay.left.missing
    assert {"expired_conflict", "disposition_missing"} <= set(stay.flags)
