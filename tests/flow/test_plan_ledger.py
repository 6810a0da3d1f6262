"""Business keys, the lost store, links and what is compared with what."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from cm_service.flow.intents import State
from cm_service.flow.plans import compare
from cm_service.flow.plans.identity import Identity, plan_key, read_key, task_key
from cm_service.rules.facts import AnyFact
from tests.flow.plan_world import World, later, made
from tests.rules.builders import a1c, condition, view
from tests.rules.stay_helpers import emer, imp

DM, BP = condition("E11.9", id="dm"), condition("I10", id="bp")
OUT = a1c("8.6", "2026-11-10", id="o1")
STAY = imp("11-16 09:00", "11-20 14:00", id="e9", identifier="urn:mercy|77")
EVERYTHING: tuple[AnyFact, ...] = (
    DM,
    BP,
    OUT,
    STAY,
    *(emer(f"{month}-10 20:00", f"{month}-10 23:00", id=f"v{month}") for month in ("03", "05", "07", "09")),
)


@pytest.mark.parametrize(
    ("key", "identity"),
    [
        ("A1C-OUT|p|-|a1c-outreach|2", Identity("A1C-OUT", "a1c-outreach")),
        (
            "DIS-TCM|p|urn:x|7|post-discharge-contact|1",
            Identity("DIS-TCM", "post-discharge-contact", "urn:x|7"),
        ),
        ("plan|p|longitudinal|3", Identity("", "longitudinal", "", "3")),
        ("plan|p|transition|urn:x|7", Identity("DIS-TCM", "transition", "urn:x|7")),
        ("goal|p|4548-4|1", Identity("A1C-OUT", "4548-4", "", "1")),
        (
            "goal|p|no-unplanned-readmission|urn:x|7",
            Identity("DIS-TCM", "no-unplanned-readmission", "urn:x|7"),
        ),
    ],
)
def test_a_key_tells_rule_code_subject_and_enrolment(key: str, identity: Identity) -> None:
    assert read_key(key) == identity


@pytest.mark.parametrize("text", ["", "plan", "plan|p", "A1C-OUT|p|-", "||x|y"])
def test_a_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="business key"):
        read_key(text)


def test_keys_are_made_in_one_place() -> None:
    assert task_key("p", rule="R", subject="", code="c", sequence=1) == "R|p|-|c|1"
    assert plan_key("p", "longitudinal", "1") == "plan|p|longitudinal|1"


def test_every_change_carries_the_identity_that_its_key_tells() -> None:
    changes = World().night(*EVERYTHING)
    assert len(changes) == 12
    for change in changes:
        found = read_key(change.want.business_key)
        want = change.want
        assert (want.rule, want.code, want.subject) == (found.rule, found.code, found.subject)


def test_a_lost_store_adopts_what_the_emr_holds_and_writes_nothing() -> None:
    world = World()
    world.night(*EVERYTHING)
    world.lose_store()
    assert world.night(*EVERYTHING, as_of=later(0.1)) == []


def test_what_people_ended_before_the_store_was_lost_still_counts() -> None:
    world = World()
    world.night(*EVERYTHING)
    for code, status in (("a1c-outreach", "completed"), ("post-discharge-contact", "rejected")):
        world.edit(world.one(code), status=status)
    world.edit(world.one("enrolment-offer"), status="cancelled", statusReason={"text": "not now"})
    world.lose_store()
    assert world.night(*EVERYTHING, as_of=later(1)) == []


def test_what_the_service_had_withdrawn_is_known_after_the_store_was_lost() -> None:
    world = World()
    world.night(DM, OUT)
    wrong = a1c("8.6", "2026-11-10", id="o1", status="entered-in-error")
    world.night(DM, wrong, a1c("6.4", "2026-08-01", id="o0"), as_of=later(1))
    world.lose_store()
    changes = world.night(DM, a1c("8.8", "2026-11-23", id="o2"), as_of=later(2))
    keys = [c.want.business_key for c in changes]
    assert keys == ["goal|p|4548-4|2", "plan|p|longitudinal|2", "A1C-OUT|p|-|a1c-outreach|2"]


def test_an_accepted_goal_is_a_persons_also_after_the_store_was_lost() -> None:
    world = World()
    world.night(DM, OUT)
    world.edit(world.one("4548-4"), lifecycleStatus="active")
    world.lose_store()
    wrong = a1c("8.6", "2026-11-10", id="o1", status="entered-in-error")
    changes = made(world.night(DM, wrong, a1c("6.4", "2026-08-01", id="o0"), as_of=later(1)))
    assert "4548-4" not in changes and "goal-review" in changes


def test_a_persons_words_survive_the_loss_of_the_store() -> None:
    world = World()
    world.night(DM, OUT)
    world.edit(world.one("4548-4"), description={"text": "Get to 8 by summer"})
    world.edit(world.one("a1c-outreach"), description="Call the daughter")
    world.lose_store()
    assert world.night(DM, OUT, as_of=later(1)) == []


def test_an_emr_that_keeps_one_identifier_only_is_recognised_by_its_value() -> None:
    world = World()
    world.night(*EVERYTHING)
    world.lose_store()
    for each in list(world.known):
        kept = {**each.resource, "identifier": each.resource["identifier"][:1]}
        world._replace(msgspec.structs.replace(each, resource=kept, current=kept))
    changes = world.night(*EVERYTHING, as_of=later(0.1))
    assert [c for c in changes if c.known is None] == [], "no second copy"


def test_a_change_that_never_reached_the_emr_is_not_asked_for_twice() -> None:
    world = World()
    world.night(DM, OUT)
    newer = a1c("9.8", "2026-11-24", id="o2")
    world.plan(view(DM, OUT, newer), as_of=later(3), deliver=False)
    assert world.one("a1c-outreach").state is State.PENDING
    assert world.night(DM, OUT, newer, as_of=later(4)) == []


def test_a_pending_change_is_taken_back_when_the_reason_for_it_goes() -> None:
    world = World()
    world.night(DM, OUT)
    newer = a1c("9.8", "2026-11-24", id="o2")
    world.plan(view(DM, OUT, newer), as_of=later(3), deliver=False)
    changes = made(world.night(DM, OUT, as_of=later(4)))
    assert changes["a1c-outreach"]["description"].startswith("HbA1c 8.6 %")


def test_numbers_links_and_missing_elements_are_compared_as_a_reader_would() -> None:
    places = {"intent:X": "Goal/1"}
    assert compare.same({"value": 7}, {"value": Decimal("7.0")}, places)
    assert compare.same({"reference": "intent:X"}, {"reference": "Goal/1/_history/2"}, places)
    assert compare.same({"a": 1, "b": []}, {"a": 1}, places)
    assert not compare.same({"reference": "intent:X"}, {"reference": "Goal/2"}, places)
