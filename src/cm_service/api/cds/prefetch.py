"""What came along with a call, held against its template; what did not is read with the given token.

CH-10: a key that is absent is not satisfied, null is "no data", an OperationOutcome an error. Rows of
another patient make the whole call refused: whoever mixes two patients up once does it again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

from starlette.exceptions import HTTPException

from cm_service.api.cds.services import ENCOUNTER, PATIENT, Service, Template
from cm_service.errors import EmrError

Json = dict[str, Any]
Read = Callable[[Template], Awaitable[list[Json] | None]]
_SUBJECTS = ("subject", "patient", "for", "beneficiary")


class Chart(NamedTuple):
    """`unread` are types that could not be had to their end."""

    resources: list[Json]
    unread: frozenset[str]


async def gather(service: Service, sent: Json, context: Json, *, read: Read | None) -> Chart:
    """Everything of the templates that can be had. Raises HTTPException: 400 for another patient's
    rows or another encounter, 412 when not even the patient can be had."""
    resources: list[Json] = []
    unread: set[str] = set()
    for key, template in service.prefetch.items():
        found = _sent(sent, key, template)
        if found is None and read is not None:
            found = await _read(read, template)
        if found is None and key == PATIENT:
            raise HTTPException(412, "the patient came neither along nor can be read")
        if found is None:
            unread.add(template.type)
        for resource in found or ():
            _require_same_patient(resource, context["patientId"])
            if key == ENCOUNTER and resource.get("id") != context.get("encounterId"):
                raise HTTPException(400, "the prefetch is about another encounter than the context")
            resources.append(resource)
    return Chart(resources, frozenset(unread))


async def _read(read: Read, template: Template) -> list[Json] | None:
    try:
        return await read(template)
    except EmrError:
        return None  # counted as not read: what it could change is then "cannot be told"


def _sent(sent: Json, key: str, template: Template) -> list[Json] | None:
    """Resources of one key; [] for "no data", None where it does not satisfy its template."""
    if key not in sent:
        return None
    value = sent[key]
    if value is None:
        return []
    if not isinstance(value, dict) or value.get("resourceType") == "OperationOutcome":
        return None
    if value.get("resourceType") == template.type and "?" not in template.query:
        return [value]
    return list(_entries(value, template)) if _is_whole(value) else None


def _is_whole(bundle: Json) -> bool:
    """A searchset that is all there: no further page, and not fewer matches than it counts itself."""
    if bundle.get("resourceType") != "Bundle":
        return False
    links, entries = bundle.get("link") or [], bundle.get("entry") or []
    if not isinstance(links, list) or not isinstance(entries, list):
        return False
    more = any(isinstance(link, dict) and link.get("relation") == "next" for link in links)
    total = bundle.get("total")
    return not more and not (isinstance(total, int) and total > len(entries))


def _entries(bundle: Json, template: Template) -> Iterator[Json]:
    for entry in bundle.get("entry") or []:
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict) and resource.get("resourceType") == template.type:
            yield resource


def _require_same_patient(resource: Json, patient_id: str) -> None:
    if resource.get("resourceType") == "Patient":
        if resource.get("id") != patient_id:
            raise HTTPException(400, "the prefetch is about another patient than the context")
        return
    named = [resource[name] for name in _SUBJECTS if isinstance(resource.get(name), dict)]
    for reference in (str(each.get("reference", "")) for each in named):
        kind, _, id_ = reference.partition("/_history/")[0].rpartition("/")
        if kind.rpartition("/")[2] == "Patient" and id_ != patient_id:
            raise HTTPException(400, "the prefetch is about another patient than the context")
