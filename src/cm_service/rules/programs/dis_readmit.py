"""DIS-READMIT: back in hospital, unplanned, 1 to 30 days after a discharge (rules.md 2.6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from cm_service.rules import stays
from cm_service.rules.clock import Clock, Span
from cm_service.rules.decision import Evidence, Finding, Outcome, Rule
from cm_service.rules.facts import EncounterFact
from cm_service.rules.programs.episodes import (
    LOOK_BACK_DAYS,
    Episode,
    common_flags,
    conclude,
    of_disposition,
    of_end,
    of_start,
    recent,
)
from cm_service.rules.stay_groups import State, Stay
from cm_service.rules.stay_members import Member
from cm_service.rules.stays import History
from cm_service.rules.value_sets import SNOMED, normal
from cm_service.rules.view import PatientView

WATCH_DAYS = 30
_ELECTIVE_PRIORITY = ("http://terminology.hl7.org/CodeSystem/v3-ActPriority", "EL")
_ELECTIVE_TYPE = (SNOMED, "8715000")
_TRANSFER = frozenset({"transfer", "transfer_snf"})
_NO_END = dict.fromkeys((State.UNDATED, State.SUPERSEDED, State.PARTIAL), "discharge_date_missing")
Answer = tuple[Outcome, tuple[str, ...]]
_BACK: Answer = (Outcome.ELIGIBLE, ("readmitted",))
_NO: Answer = (Outcome.NOT_ELIGIBLE, ("no_stay",))


def evaluate(view: PatientView, clock: Clock) -> Finding:
    history = view.derive(stays.build, clock)
    observation = view.parameters.dis_observation_readmit
    seen = recent(history.stays, view.parameters.dis_backfill_days, clock)
    flags = [flag for stay in seen for flag in stay.flags]
    episodes: list[Episode] = []
    for new, before in _pairs(history):
        fresh = clock.within_days(new.start, WATCH_DAYS) is True
        if fresh:
            flags += [*new.flags, *(before.flags if before else ())]
        episodes += _across(new, before, observation=observation, fresh=fresh)
        episodes += _inside(new, clock, observation=observation)
    shown = [one for one in episodes if one.reasons != ("period_over",)] or episodes[-1:]
    return conclude(shown, [*common_flags(history, LOOK_BACK_DAYS, clock), *flags])


def _pairs(history: History) -> Iterator[tuple[Stay, Stay | None]]:
    """Each stay with the latest one before it. A start is a fact: one that was never closed may be the
    new stay, but tells no discharge."""
    for new in sorted((*history.stays, *history.lone_stays), key=lambda stay: stay.members[0].first):
        earlier = [one for one in history.stays if one.members[0].first < new.members[0].first]
        yield new, earlier[-1] if earlier else None


def _counts(member: Member, *, observation: bool) -> bool:
    return member.is_acute or (observation and member.word == "OBSENC")


def _across(new: Stay, before: Stay | None, *, observation: bool, fresh: bool) -> Iterator[Episode]:
    """A stay of its own after another stay."""
    acute = [member for member in new.members if _counts(member, observation=observation)]
    if before is None or not acute or before.left.kind == "expired":
        return
    began = new.start
    if before.day is not None and began.low <= before.day:
        began = acute[0].start  # through an ED visit on the day of discharge
    answer = _after(before, began)
    if answer is _NO:
        return
    if before.left.planned or any(_is_elective(member.encounter) for member in new.members):
        answer = Outcome.NOT_ELIGIBLE, ("planned",)
    yield _episode(new.key, acute[0], answer=answer, index=before.last, began=began, fresh=fresh)


def _after(before: Stay, began: Span) -> Answer:
    if before.day is not None:
        days = (began.low - before.day).days
        continues = before.left.kind in _TRANSFER and days <= 1  # sent on: the same care
        return _BACK if 1 <= days <= WATCH_DAYS and not continues else _NO
    if before.end is None and before.state is State.OPEN:
        return _NO
    if before.state is State.PARTIAL and before.end and (began.low - before.end.high).days > WATCH_DAYS:
        return _NO
    return Outcome.INSUFFICIENT_DATA, (_NO_END.get(before.state, "status_stale"),)


def _inside(stay: Stay, clock: Clock, *, observation: bool) -> Iterator[Episode]:
    """Hospital, skilled nursing, hospital inside one stay (the TCM clock sees one)."""
    nursing = [member.first for member in stay.members if member.is_snf]
    acute = [member for member in stay.members if _counts(member, observation=observation)]
    if not nursing:
        return
    for place, new in enumerate(acute[1:], start=1):
        before = _last_to_end(acute[:place])
        if new.first <= min(nursing) or before is None:
            continue
        answer = _return(before, new)
        if answer is not _NO:
            fresh = clock.within_days(new.start, WATCH_DAYS) is True
            yield _episode(new.key, new, answer=answer, index=before, began=new.start, fresh=fresh)


def _last_to_end(acute: Iterable[Member]) -> Member | None:
    """The acute member before; one that never ended hides what came before it."""
    held = list(acute)
    if any(member.end is None and member.is_open for member in held):
        return None
    undated = [member for member in held if member.end is None]
    if undated:
        return undated[-1]
    return max(held, key=lambda member: (member.end.high if member.end else member.start.high, member.first))


def _return(before: Member, new: Member) -> Answer:
    dated = before.end is not None and before.end.exact
    if dated and before.end and not 1 <= (new.start.low - before.end.high).days <= WATCH_DAYS:
        return _NO
    if _is_elective(new.encounter) or before.left.planned:
        return Outcome.NOT_ELIGIBLE, ("planned",)
    return _BACK if dated else (Outcome.INSUFFICIENT_DATA, ("discharge_date_missing",))


def _is_elective(encounter: EncounterFact) -> bool:
    codings = encounter.priority.codings if encounter.priority else ()
    if any((coding.system, coding.code) == _ELECTIVE_PRIORITY for coding in codings):
        return True
    return any(
        normal(coding.system, coding.code) == _ELECTIVE_TYPE
        for concept in encounter.types
        for coding in concept.codings
    )


def _episode(
    subject: str, new: Member, *, answer: Answer, index: Member, began: Span, fresh: bool
) -> Episode:
    outcome, reasons = answer if fresh else (Outcome.NOT_ELIGIBLE, ("period_over",))
    facts: dict[str, Any] = {"readmission_date": str(began.low)}
    if index.end and index.end.exact and index.encounter.status == "finished":
        facts["index_discharge_date"] = str(index.end.high)
    if outcome is Outcome.ELIGIBLE:
        facts["priority"] = "urgent"
    evidence: tuple[Evidence, ...] = (of_start(new), of_end(index), of_disposition(index))
    return Episode(
        subject=subject,
        encounter=new.encounter.id,
        outcome=outcome,
        reasons=reasons,
        facts=facts,
        evidence=evidence,
    )


RULE = Rule(
    id="DIS-READMIT",
    version="1.1",
    title="30-day readmission",
    inputs=frozenset({"Encounter"}),
    gates=("GX-01", "GX-04", "GX-02"),
    evaluate=evaluate,
)
