"""What an EMR declares, and what that means: asked before the first night, not at 02:00."""

from __future__ import annotations

import datetime as dt
from typing import Any

from cm_service.errors import EmrError, EmrRefused
from cm_service.fhir.capability import Capability
from cm_service.fhir.client import FhirClient
from cm_service.fhir.scopes import granted, may_read_all
from cm_service.fhir.vendor import Answer
from cm_service.flow.ours import KINDS
from cm_service.flow.wanted import CODED, REFERENCED, WHOLE

READ = (*WHOLE, *CODED)
BLIND_DAYS = 60
BLIND = f"no inpatient encounters in {BLIND_DAYS} days: discharge rules are blind here"
UNSEEN = "inpatient encounters could not be searched for: whether discharges are seen is unknown"
HIDDEN = "the EMR does not show /metadata: what it declares is unknown"
_GATED = frozenset({401, 403})


async def check(
    client: FhirClient, *, as_of: dt.datetime, zone: dt.tzinfo, last_stay: str | None = None
) -> dict[str, Any]:
    """Declared interactions per type that we use, with warnings in words. `last_stay` is the day of the
    newest stay that a night has read, "" for none, None where no night has.

    An EMR may keep /metadata behind its gate (401, 403: Elation does): then nothing is declared and
    nothing denied. Raises EmrUnreachable, EmrRefused or NotFhir when it cannot be read otherwise.
    """
    try:
        capability = await client.capability()
        warnings = [*_missing(capability)]
    except EmrRefused as refusal:
        if refusal.status not in _GATED:
            raise
        capability, warnings = Capability(), [HIDDEN]
    since = ((as_of.astimezone(zone)).date() - dt.timedelta(days=BLIND_DAYS)).isoformat()
    if (last_stay or "") < since:
        seen = await _inpatient_seen(client, since)
        if seen is None and last_stay is None:
            warnings.append(UNSEEN)
        elif not seen:
            warnings.append(BLIND)
    warnings += _not_granted(client.scope)
    types = {}
    for kind in READ:
        declared = capability.of(kind)
        types[kind] = {
            "interactions": sorted(declared.interactions),
            "search_params": sorted(declared.search_params),
            "conditional_create": declared.conditional_create,
        }
    return {"fhir_version": capability.fhir_version, "types": types, "warnings": warnings}


def _not_granted(scope: str | None) -> list[str]:
    """What the token leaves out of what a night reads and writes."""
    unread = [kind for kind in (*READ, *REFERENCED) if not may_read_all(scope, kind)]
    unwritten = [kind for kind in KINDS if granted(scope, kind, "create") == Answer.NO]
    return [
        *(
            [f"the token does not grant reading all of {', '.join(unread)}: no night is complete"]
            if unread
            else []
        ),
        *([f"the token does not grant writing {', '.join(unwritten)}"] if unwritten else []),
    ]


def _missing(capability: Capability) -> list[str]:
    warnings = []
    unread = [kind for kind in READ if "search-type" not in capability.of(kind).interactions]
    if unread:
        warnings.append(
            f"search is not declared for {', '.join(unread)}: rules that need them say cannot tell"
        )
    unwritten = [kind for kind in KINDS if "create" not in capability.of(kind).interactions]
    if unwritten:
        warnings.append(f"create is not declared for {', '.join(unwritten)}: they cannot be written as such")
    return warnings


async def _inpatient_seen(client: FhirClient, since: str) -> bool | None:
    """Is there any inpatient Encounter since that day? None when the EMR does not answer that."""
    params = [("class", "IMP,ACUTE,NONAC,OBSENC"), ("date", f"ge{since}"), ("_count", "1")]
    try:
        async for page in client.search("Encounter", params):
            if page.resources:
                return True
    except EmrError:
        return None  # said in words by the caller: not seen and not asked must not look alike
    return False
