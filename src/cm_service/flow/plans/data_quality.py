"""Findings about the record itself: Tasks only where the practice wants them (dq.tasks=on)."""

from __future__ import annotations

from collections.abc import Iterator

from cm_service.flow.plans import inputs, words
from cm_service.flow.plans.board import Item
from cm_service.flow.plans.context import Night, gate_of
from cm_service.flow.plans.due import Due
from cm_service.flow.plans.episodes import Found, encounter_of, episodes
from cm_service.flow.plans.needs import Memory, TaskNeed
from cm_service.rules.decision import Decision, Outcome

_DAYS = 30  # at most one per patient and rule in so many days
_MEMORY = Memory(_DAYS, _DAYS, of_rule=True)
QUALITY, PROBLEM_LIST, DISCHARGE = "data-quality", "confirm-problem-list", "discharge-review"
CODES = frozenset({QUALITY, PROBLEM_LIST, DISCHARGE})
_NO_END = frozenset({"status_stale", "discharge_date_missing", "transfer_unseen"})
_WHAT = {
    "no_usable_result": "HbA1c results cannot be used",
    "comparator_undecided": "HbA1c result is only a bound",
    "age_unknown": "Birth date is missing or too vague",
    "deceased_conflict": "Date of death lies in the future",
    "newer_unusable_result": "A newer HbA1c result cannot be used",
    "expired_conflict": "A recorded death is contradicted by later entries",
    "status_stale": "Encounter is open though it should have ended",
    "discharge_date_missing": "Encounter has no end",
}
_ABOUT_RESULTS = frozenset({"no_usable_result", "comparator_undecided", "newer_unusable_result"})
_BY_FLAG = ("newer_unusable_result", "expired_conflict")


def needs(night: Night) -> Iterator[TaskNeed]:
    """All that could be asked for; `dq_tasks` decides whether any of it is."""
    if (stay := _without_end(night)) is not None:
        yield _discharge(night, stay)
    told: set[str] = set()  # several rules see the same fault: the first one speaks of it
    for rule, decision in sorted(night.decisions.items()):
        if gate_of(decision):
            continue
        if decision.outcome is Outcome.INSUFFICIENT_DATA and "unconfirmed_conditions" in decision.reasons:
            yield _problem_list(decision)
        for cause in _causes(night, rule, decision):
            if cause not in told:
                yield _quality(night, decision, cause)
            told.add(cause)


def is_settled(night: Night, item: Item) -> bool:
    """Has the record been put right, as far as its rule can tell?"""
    decision = night.decisions.get(item.rule)
    if decision is None or decision.outcome is Outcome.INSUFFICIENT_DATA:
        return False
    if item.code != DISCHARGE:
        return not any(need.code == item.code and need.rule == item.rule for need in needs(night))
    stays = [stay for stay in episodes(night, item.rule) if stay.subject == item.subject]
    return any(stay.facts.get("reasons") != ["period_over"] for stay in stays)


def _without_end(night: Night) -> Found | None:
    decision = night.decisions.get("DIS-TCM")
    if decision is None or gate_of(decision) or "input_incomplete" in decision.reasons:
        return None
    stays = [s for s in episodes(night, "DIS-TCM") if not _NO_END.isdisjoint(s.facts.get("reasons", ()))]
    return stays[-1] if stays else None


def _causes(night: Night, rule: str, decision: Decision) -> list[str]:
    """The words of what is wrong, without those for which another Task carries the action already."""
    doubtful = decision.outcome is Outcome.INSUFFICIENT_DATA
    found = [*(decision.reasons if doubtful else ()), *(f for f in _BY_FLAG if f in decision.flags)]
    taken = _ABOUT_RESULTS if night.eligible("A1C-OVERDUE") else frozenset[str]()
    taken |= _NO_END if rule.startswith("DIS-") else frozenset()
    return [word for word in found if word in _WHAT and word not in taken]


def _discharge(night: Night, stay: Found) -> TaskNeed:
    encounter = encounter_of(night, stay.encounter)
    begun = words.fact_day(encounter.start.raw, night.zone) if encounter and encounter.start else None
    return TaskNeed(
        rule="DIS-TCM",
        code=DISCHARGE,
        text=f"Stay since {words.day_text(begun)} without a usable end",
        ask="has the patient gone home? Find out by",
        priority="urgent",
        due=Due(business_days=1),
        memory=Memory(_DAYS, _DAYS),
        subject=stay.subject,
        source=stay.source,
        focus=stay.source,
        encounter=stay.source,
        inputs=(inputs.evidence(stay.source, night.zone),),
    )


def _problem_list(decision: Decision) -> TaskNeed:
    groups = ", ".join(str(group).replace("_", " ") for group in decision.facts.get("possible", ()))
    return TaskNeed(
        rule=decision.rule,
        code=PROBLEM_LIST,
        text=f"Old diagnoses without a problem-list entry ({groups})",
        ask="confirm or close by",
        priority="routine",
        due=Due(days=30),
        memory=_MEMORY,
        inputs=((inputs.GROUPS, "valueString", groups or "none named"),),
        performer="primary care provider",
        to_provider=True,
    )


def _quality(night: Night, decision: Decision, cause: str) -> TaskNeed:
    first = next(iter(decision.evidence), None)
    source = words.source_of(first) if first else ""
    return TaskNeed(
        rule=decision.rule,
        code=QUALITY,
        text=f"{_WHAT[cause]}: {source or 'record of the patient'}",
        ask="correct by",
        priority="routine",
        due=Due(days=14),
        memory=_MEMORY,
        source=source,
        inputs=(
            (inputs.CAUSE, "valueString", cause),
            *((inputs.evidence(first, night.zone),) if first else ()),
        ),
        performer="registry staff",
    )
