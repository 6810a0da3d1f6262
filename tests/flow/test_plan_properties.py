"""Whatever happened before: planned and applied, the same world asks for nothing more."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cm_service.flow.intents import Change
from cm_service.flow.plan import plan
from cm_service.rules.engine import evaluate_patient
from cm_service.rules.facts import AnyFact
from tests.flow.plan_world import World, context, later
from tests.rules.builders import (
    AS_OF,
    ZONE,
    a1c,
    condition,
    consent,
    diagnosis,
    encounter,
    goal,
    order,
    patient,
    view,
)
from tests.rules.stay_helpers import emer, imp, running, snf

_RESULTS = ("6.4", "7.4", "8.6", "9.4", ">14.0", "unit_wrong")
_STATUS = ("final", "final", "final", "corrected", "entered-in-error", "registered")
_DAYS = ("2025-12-01", "2026-04-01", "2026-11-10", "2026-11-20")
_COUNT = 120

results = st.builds(
    lambda n, text, day, status: a1c(text, day, id=f"o{n}", status=status),
    st.integers(0, 2),
    st.sampled_from(_RESULTS),
    st.sampled_from(_DAYS),
    st.sampled_from(_STATUS),
)
conditions = st.builds(
    lambda code, kind, verified: kind(code, id=code, verification=verified, recorded="2024-01-01"),
    st.sampled_from(("E11.9", "E11.9", "I10", "I50.9", "I13.0")),
    st.sampled_from((condition, condition, diagnosis)),
    st.sampled_from(("confirmed", "confirmed", "confirmed", "refuted")),
)


def _stay(n: int, kind: Any, start: int, days: int, status: str, left: str) -> AnyFact:
    begin = AS_OF.replace(hour=9) - dt.timedelta(days=start)
    end = (begin + dt.timedelta(days=days)).strftime("%m-%d %H:%M") if status != "in-progress" else None
    made = kind(begin.strftime("%m-%d %H:%M"), end, id=f"e{n}", disposition=left)
    return running(made) if status == "in-progress" else made


stays = st.builds(
    _stay,
    st.integers(0, 3),
    st.sampled_from((imp, imp, snf, emer)),
    st.integers(1, 60),
    st.integers(0, 6),
    st.sampled_from(("finished", "finished", "in-progress")),
    st.sampled_from(("home", "home", "home", "home", "aadvice", "aadvice", "snf", "exp")),
)
others = st.sampled_from(
    [
        consent(date="2026-11-01"),
        order("4548-4"),
        goal("<8.0", id="g"),
        encounter("AMB", id="amb", start="2026-11-21T10:00:00-05:00", end="2026-11-21T10:30:00-05:00"),
        encounter("HH", id="hh", status="in-progress", type="305336008", start="2026-11-01"),
    ]
)
people = st.sampled_from([patient()] * 8 + [patient(deceased=True), patient(active=False)])
worlds = st.tuples(
    st.lists(st.one_of(results, conditions, stays, others), max_size=9, unique_by=lambda fact: fact.id),
    people,
)
days = st.sampled_from((0.0, 0.5, 1.0, 2.0, 5.0, 12.0, 31.0, 100.0, 200.0))
deeds = st.lists(
    st.tuples(
        st.sampled_from(("complete", "reject", "accept", "edit", "delete", "reopen")), st.integers(0, 20)
    ),
    max_size=3,
)


def _act(world: World, deed: str, which: int, on: dt.datetime) -> None:
    """What people do with something of ours."""
    there = [each for each in world.known if each.current and not each.deleted]
    if not there:
        return
    each = there[which % len(there)]
    element = "lifecycleStatus" if each.kind == "Goal" else "status"
    words = {
        "Task": {"complete": "completed", "reject": "rejected", "accept": "accepted", "reopen": "requested"},
        "CarePlan": {"complete": "completed", "reject": "revoked", "accept": "active", "reopen": "draft"},
        "Goal": {"complete": "completed", "reject": "rejected", "accept": "active", "reopen": "proposed"},
    }[each.kind]
    if deed == "delete":
        world.delete(each)
    elif deed == "edit":
        world.edit(each, on=on.isoformat(), description={"text": "x"} if each.kind == "Goal" else "x")
    else:
        world.edit(each, on=on.isoformat(), **{element: words[deed]})


@settings(max_examples=_COUNT, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    nights=st.lists(st.tuples(worlds, days, deeds, st.booleans()), min_size=1, max_size=4),
    auto=st.booleans(),
    dq=st.booleans(),
)
def test_what_was_planned_and_applied_is_not_planned_again(nights: list[Any], auto: bool, dq: bool) -> None:
    world = World(emr=context(write_mode="auto" if auto else "propose", dq_tasks=dq))
    now = AS_OF
    for (facts, person), wait, done, delivered in nights:
        now = later(wait, now)
        world.plan(view(*facts, person=person), as_of=now, deliver=delivered)
        assert world.plan(view(*facts, person=person), as_of=now, deliver=delivered) == []
        _hold(world)
        for deed, which in done:
            _act(world, deed, which, now)
        world.plan(view(*facts, person=person), as_of=now, deliver=delivered)
        assert world.plan(view(*facts, person=person), as_of=now, deliver=delivered) == []


def _hold(world: World) -> None:
    """At most one open Task per code, one open HbA1c Task, one open longitudinal plan; never nobody."""
    open_ones = Counter(world.open())
    assert all(count == 1 for count in open_ones.values()), open_ones
    assert open_ones["a1c-outreach"] + open_ones["a1c-test-due"] <= 1
    assert Counter(world.open("CarePlan"))["longitudinal"] <= 1
    assert all(each.resource["owner"] for each in world.known if each.kind == "Task")


@settings(max_examples=_COUNT, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(first=worlds, second=worlds, seed=st.integers(0, 99))
def test_neither_the_order_of_decisions_nor_that_of_the_ledger_matters(
    first: Any, second: Any, seed: int
) -> None:
    world = World()
    world.plan(view(*first[0], person=first[1]))
    seen = view(*second[0], person=second[1])
    decisions = evaluate_patient(seen, as_of=later(1), zone=ZONE)

    def planned(shuffle: random.Random | None) -> list[Change]:
        lists = list(decisions), list(world.known)
        for each in lists if shuffle else ():
            shuffle.shuffle(each)  # type: ignore[union-attr]
        return plan(
            emr=world.emr,
            patient_id="p",
            decisions=lists[0],
            view=seen,
            known=lists[1],
            as_of=later(1),
            zone=ZONE,
        )

    assert planned(random.Random(seed)) == planned(None)


@settings(max_examples=_COUNT, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(world_facts=worlds)
def test_a_lost_store_writes_nothing_whatever_it_had_written(world_facts: Any) -> None:
    facts, person = world_facts
    world = World()
    world.plan(view(*facts, person=person))
    world.lose_store()
    assert world.plan(view(*facts, person=person)) == []


@pytest.mark.parametrize("days_later", [0.02, 1, 3, 8, 20, 29])
def test_time_alone_changes_no_task_that_stands(days_later: float) -> None:
    """Only new findings may come with time; what was written stays as it was."""
    facts = (
        condition("E11.9", id="dm"),
        condition("I10", id="bp"),
        a1c("8.6", "2026-11-10", id="o1"),
        imp("11-16 09:00", "11-20 14:00", id="e9"),
        *(emer(f"{month}-10 20:00", f"{month}-10 23:00", id=month) for month in ("01", "03", "05", "07")),
    )
    world = World()
    world.night(*facts)
    assert [c for c in world.night(*facts, as_of=later(days_later)) if c.known is not None] == []
