"""Stays and emergency visits of one patient, and whether an encounter tells of a death.

A group with a stay-class member is a stay, one with EMER members only an ED visit (rules.md 2.2).
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from cm_service.rules.clock import Clock
from cm_service.rules.encounters import class_word, disposition, is_finished, is_stay_class
from cm_service.rules.facts import EncounterFact
from cm_service.rules.stay_groups import State, Stay, alone, group
from cm_service.rules.stay_links import between, connected
from cm_service.rules.stay_members import Member, Reading, is_contradicted, read
from cm_service.rules.view import PatientView


class History(NamedTuple):
    """`stays` and `visits` in the order of their start. `lone` are visits without an end that are
    too old for any group; `lone_stays` the same of stay classes; `absorbed` are EMER encounters
    that flowed into a stay. `died_flags` is `expired_conflict` where a death is not believed."""

    stays: tuple[Stay, ...]
    visits: tuple[Stay, ...]
    lone: tuple[Stay, ...]
    lone_stays: tuple[Stay, ...]
    absorbed: tuple[Member, ...]
    reading: Reading
    died_flags: tuple[str, ...]


class Death(NamedTuple):
    """`encounters`: ids of believed deaths; without any the whole is false. `flags`:
    `expired_conflict` where later encounters or results deny one."""

    encounters: tuple[str, ...]
    flags: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.encounters)


def build(view: PatientView, clock: Clock) -> History:
    """Use as `view.derive(stays.build, clock)`: once per patient."""
    reading = read(view, clock)
    linked = any(member.encounter.part_of for member in reading.kept)
    by_id = {e.id: e for e in view.of(EncounterFact)} if linked else {}
    found = [group(members, clock, assumed=assumed) for members, assumed in connected(reading.kept, by_id)]
    groups = [_supersede(one, found, reading, view, clock) for one in found]
    stays = tuple(one for one in groups if one.last.is_stay)
    lone = [alone(member) for member in reading.left_out]
    flowed = [one for one in lone if not one.last.is_stay and _joins(one.last, reading)]
    emergency = [m for stay in stays for m in stay.members if not m.is_stay]
    return History(
        stays=stays,
        visits=tuple(one for one in groups if not one.last.is_stay),
        lone=tuple(one for one in lone if not one.last.is_stay and one not in flowed),
        lone_stays=tuple(one for one in lone if one.last.is_stay),
        absorbed=(*emergency, *(one.last for one in flowed)),
        reading=reading,
        died_flags=view.derive(death, clock).flags,
    )


def death(view: PatientView, clock: Clock) -> Death:
    """Use as `view.derive(stays.death, clock)`. A disposition `expired` of a finished stay or ED
    visit, unless the patient was seen, or blood taken, on a later local day (rules.md 2.4)."""
    believed: list[str] = []
    denied = False
    for encounter in view.of(EncounterFact):
        if encounter.disposition is None or not is_finished(encounter):
            continue
        if disposition(encounter).kind != "expired" or not _is_stay_or_visit(encounter, view):
            continue
        if encounter.start and clock.is_future(encounter.start):
            continue
        if is_contradicted(encounter, view, clock):
            denied = True
        else:
            believed.append(encounter.id)
    return Death(tuple(sorted(set(believed))), ("expired_conflict",) if denied else ())


def _is_stay_or_visit(encounter: EncounterFact, view: PatientView) -> bool:
    word = class_word(encounter)
    return word == "EMER" or is_stay_class(word, short_stay=view.parameters.dis_include_short_stay)


def _joins(visit: Member, reading: Reading) -> bool:
    """Did a forgotten ED visit flow into a stay, by what its start says?"""
    closed = msgspec.structs.replace(visit, end=visit.end or visit.start)
    for stay in reading.kept:
        if stay.is_stay and stay.encounter.id != visit.encounter.id:
            pair = sorted((closed, stay), key=lambda member: member.first)
            if between(*pair):
                return True
    return False


def _supersede(one: Stay, others: list[Stay], reading: Reading, view: PatientView, clock: Clock) -> Stay:
    """An end that is missing counts for 60 days, and until a later stay or ED visit begins."""
    if one.state is not State.UNDATED:
        return one
    last = max((m for m in one.members if m.end is None), key=lambda member: member.first)
    began = [*(other.members[0].first for other in others), *(m.first for m in reading.left_out)]
    overtaken = any(first > last.first for first in began)
    if not overtaken and clock.within_days(last.start, view.parameters.dis_open_max_days):
        return one
    flags = tuple(dict.fromkeys((*one.flags, "status_stale")))
    return msgspec.structs.replace(one, state=State.SUPERSEDED, flags=flags)
