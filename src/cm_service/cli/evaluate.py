"""`cm-service evaluate`: FHIR files in, decisions out. No database, no EMR."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from cm_service import wiring
from cm_service.cli.output import COMPLETE, PARTIAL, errors_become_exits, people
from cm_service.errors import BadInput
from cm_service.flow.connection import concept_map_of, pair, parameters_of
from cm_service.flow.in_hand import everybody
from cm_service.flow.judge import line
from cm_service.flow.people import Surroundings, without_survivor
from cm_service.flow.sources import Source, from_folder
from cm_service.rules.decision import Decision, Rule
from cm_service.rules.engine import evaluate_patient
from cm_service.rules.registry import BY_ID, RULES
from cm_service.settings import Settings

SHOWN = 20


def evaluate(
    source: Annotated[
        Path, typer.Option("--from", exists=True, help="Folder of *.ndjson[.gz] or Bundles, or one file.")
    ],
    timezone: Annotated[str, typer.Option(help="The practice's IANA zone.")],
    as_of: Annotated[str | None, typer.Option(help="Instant with offset; default now.")] = None,
    patient: Annotated[str | None, typer.Option(help="Only this Patient id.")] = None,
    rule: Annotated[str | None, typer.Option(help="Only this rule, such as A1C-OUT.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A rule parameter; repeatable.")
    ] = None,
) -> None:
    """One NDJSON line per patient and rule on stdout; exit 3 when the input has holes."""
    with errors_become_exits(as_json=False, stdout_is_data=True):
        moment, zone = wiring.instant(as_of), wiring.zone(timezone)
        rules = _rules(rule)
        pairs = dict(map(pair, settings or ()))
        read = from_folder(
            source,
            base_url=None,
            concept_map=concept_map_of(pairs),
            max_line_bytes=Settings().max_line_bytes,
            full=False,
        )
        around = Surroundings(parameters_of(pairs), read.places, read.unread)
        records = dict(read.patients())
        if patient is not None and patient not in records:
            raise BadInput(f"there is no patient with the id {patient} in {source}")
        for view in everybody(records, around, holes=read.holes, declines={}):
            if patient in (None, view.patient.id):  # type: ignore[union-attr]
                _print(evaluate_patient(view, as_of=moment, zone=zone, rules=rules))
        raise typer.Exit(_tell(read, lost=len(without_survivor(records))))


def _rules(rule: str | None) -> Iterable[Rule]:
    if rule is None:
        return RULES
    if rule not in BY_ID:
        raise BadInput(f"there is no rule {rule}; known are {', '.join(BY_ID)}")
    return (BY_ID[rule],)


def _print(decisions: list[Decision]) -> None:
    for decision in decisions:
        sys.stdout.buffer.write(line(decision) + b"\n")


def _tell(read: Source, *, lost: int) -> int:
    """Holes and oddities for people, and the exit code."""
    holes = [reject for reject in read.rejects if reject.is_hole]
    for reject in holes[:SHOWN]:
        people.print(f"{reject.place}: {reject.sentence}", soft_wrap=True)
    if len(holes) > SHOWN:
        people.print(f"and {len(holes) - SHOWN} more holes")
    if len(read.rejects) > len(holes):
        people.print(f"{len(read.rejects) - len(holes)} resources could not be used as they are")
    strangers = len(read.reading.without_patient)
    if strangers:
        people.print(f"facts of {strangers} patients of whom there is no Patient resource: not judged")
    if lost:
        people.print(
            f"facts of {lost} replaced patients of whose survivor there is no Patient resource: not judged"
        )
    sys.stdout.flush()
    return PARTIAL if holes or read.unread else COMPLETE
