"""From a chart in hand to cards: what the store knows of the patient, overlaid with what is in hand."""

from __future__ import annotations

import datetime as dt
from typing import Any

from cm_service.api.cds import cards
from cm_service.api.cds.prefetch import Chart, Json
from cm_service.api.cds.services import Service, Template
from cm_service.api.doorway import Doorway
from cm_service.db import care, sync, worklist
from cm_service.fhir import rawjson
from cm_service.fhir.client import FhirClient
from cm_service.flow import record
from cm_service.flow.confidential import cleared_for_pages, without_labelled
from cm_service.flow.connection import concept_map_of, parameters_of
from cm_service.flow.normalise import OWNED
from cm_service.flow.people import Surroundings, views
from cm_service.flow.sieve import read_bundle
from cm_service.rules.decision import Decision
from cm_service.rules.encounters import class_word, is_stay_class
from cm_service.rules.engine import evaluate_patient
from cm_service.rules.facts import EncounterFact
from cm_service.rules.view import Decline, PatientView

_MOST = 500  # rows of one template that are read with a token


async def read(client: FhirClient, template: Template, context: Json) -> list[Json] | None:
    """What a template asks for, with the caller's token. None where it is more than can be read here."""
    path, _, query = template.query.partition("?")
    if not query:
        kind, _, name = path.partition("/")
        member = name.removeprefix("{{context.").removesuffix("}}")
        id_ = context.get(member)
        return [await client.read(kind, str(id_))] if id_ else []
    pairs = (each.partition("=") for each in query.split("&"))
    params = [(name, _filled(value, context)) for name, _, value in pairs]
    found: list[Json] = []
    async for page in client.search(path, params):
        parsed = (rawjson.loads(each) for each in page.resources)
        found.extend(each for each in parsed if each.get("resourceType") == template.type)
        if len(found) > _MOST:
            return None
    return found


def _filled(value: str, context: Json) -> str:
    return value.replace("{{context.patientId}}", str(context["patientId"]))


def cards_for(
    door: Doorway, emr: Any, service: Service, patient_id: str, chart: Chart, zone: dt.tzinfo
) -> list[Json]:
    """Runs on a thread: rules are plain Python."""
    with door.store.read() as connection:
        cleared = cleared_for_pages(emr.settings)
        row = worklist.of(connection, emr.slug, patient_id, cleared=cleared)
        stored = sync.load_facts(connection, emr.slug, [patient_id]).get(patient_id)
        declines = care.declines_of(connection, emr.slug, [patient_id]).get(patient_id, [])
    if service.hook == "appointment-book":
        return cards.gaps(row, public_url=door.public_url)
    view = _view(emr, patient_id, chart, stored, declines)
    if view is None:
        return []
    if service.hook == "encounter-discharge":
        today = door.clock().astimezone(zone).date()
        return cards.discharge(today, is_stay=_is_stay(view, chart), public_url=door.public_url)
    decisions: list[Decision] = evaluate_patient(view, as_of=door.clock(), zone=zone)
    return cards.status(row, decisions, public_url=door.public_url)


def _view(
    emr: Any, patient_id: str, chart: Chart, stored: bytes | None, declines: list[tuple[str, dt.datetime]]
) -> PatientView | None:
    """The record of the last night, overlaid by what is in hand. Of a patient whom no night has read,
    the types that did not come along are not known."""
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": each} for each in chart.resources],
    }
    reading = read_bundle(bundle, base_url=emr.base_url, concept_map=concept_map_of(emr.settings))
    in_hand = reading.patients.get(patient_id, {})
    whole = {**(record.decode(stored) if stored else {}), **in_hand}
    facts = without_labelled(whole, cleared_for_pages(emr.settings))
    came = {str(each.get("resourceType")) for each in chart.resources}
    unread = chart.unread if stored else frozenset(OWNED) - came
    around = Surroundings(parameters_of(emr.settings), reading.places, unread)
    found = views(
        patient_id,
        {patient_id: facts},
        around=around,
        declines={patient_id: [Decline(*item) for item in declines]},
        holes=reading.holes,
    )
    return next(found, None)


def _is_stay(view: PatientView, chart: Chart) -> bool | None:
    """Is the encounter that ends an inpatient one? None where its class is not known here."""
    ids = [str(each.get("id")) for each in chart.resources if each.get("resourceType") == "Encounter"]
    for fact in view.of(EncounterFact):
        if fact.id == (ids[-1] if ids else ""):
            word = class_word(fact)
            return is_stay_class(word, short_stay=True) if word else None
    return None
