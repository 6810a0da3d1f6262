"""Our own Subscriptions at an EMR, one for each criterion: made, renewed before they end and after an error.

They are found again by the address that they notify, which is ours alone, so that there are never two.
What a person turned off stays off. All of it only hastens what the night finds anyway: nothing here makes
a night partial.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from cm_service.db.engine import Database
from cm_service.errors import CmError, EmrRefused
from cm_service.fhir import rawjson
from cm_service.fhir.client import FhirClient, search_value
from cm_service.fhir.vendor import Answer, Verb
from cm_service.flow import passport
from cm_service.flow.passport.standing import State

TYPE = "Subscription"
CRITERIA = ("Encounter?",)  # what brings somebody home is what cannot wait
LASTS, RENEWED = dt.timedelta(days=14), dt.timedelta(days=4)
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_WHY = "cm-service: patients whose stays change are read again"
_GOING = frozenset({"active", "requested"})
Json = dict[str, Any]


class Wanted(NamedTuple):
    """`endpoint` is our address for this EMR, `secret` what it has to send with every notification."""

    endpoint: str
    secret: str
    now: dt.datetime


def wanted(emr: Any, public_url: str, secret: Callable[[Any], str], *, now: dt.datetime) -> Wanted | None:
    """None where the operator did not ask for any. Raises Misconfigured where the secret is missing."""
    if emr.notify_options.get("subscribe") != "on":
        return None
    return Wanted(f"{public_url.rstrip('/')}/notifications/{emr.slug}", secret(emr), now)


async def keep(db: Database, client: FhirClient, emr: Any, profile: Any, want: Wanted) -> list[str]:
    """Returns sentences for the operator: what was done, and what only a person can do."""
    if urlsplit(want.endpoint).scheme != "https" and urlsplit(want.endpoint).hostname not in _LOOPBACK:
        return ["no Subscription was made: CM_PUBLIC_URL must be an https address"]
    with db.read() as connection:
        known = passport.load(connection, emr.slug, profile)
    row, standing = known.verbs.get((TYPE, Verb.CREATE)), known.effective(TYPE, Verb.CREATE)
    if row is None or row.declared != Answer.YES or standing.state == State.DISPROVEN:
        return [f"no Subscription can be made in this EMR: {standing.reason}"]
    try:
        ours = await _ours(client, want)
        return [said for each in CRITERIA for said in await _one(db, client, emr.slug, want, each, ours)]
    except CmError as error:
        return [f"the Subscriptions of this EMR could not be looked after: {error}"]


async def _ours(client: FhirClient, want: Wanted) -> list[Json]:
    """By their address. An EMR that cannot search by it is asked for all; the address decides either way."""
    try:
        return await _found(client, want, [("url", search_value(want.endpoint))])
    except EmrRefused as refusal:
        if refusal.status not in (400, 422, 501):
            raise
        return await _found(client, want, [])


async def _found(client: FhirClient, want: Wanted, params: list[tuple[str, str]]) -> list[Json]:
    found: dict[str, Json] = {}
    async for page in client.search(TYPE, params, headers={"Cache-Control": "no-cache"}):
        for resource in map(rawjson.loads, page.resources):
            if (resource.get("channel") or {}).get("endpoint") == want.endpoint:
                found[str(resource.get("id"))] = resource
    return [found[id_] for id_ in sorted(found)]


async def _one(
    db: Database, client: FhirClient, emr: str, want: Wanted, criteria: str, ours: list[Json]
) -> list[str]:
    mine = [each for each in ours if each.get("criteria") == criteria]
    if len(mine) > 1:
        return [f"there are {len(mine)} Subscriptions for {criteria} that notify us: turn off all but one"]
    if not mine:
        return await _make(db, client, emr, want, criteria)
    (held,) = mine
    status, ends = held.get("status"), _instant(held.get("end"))
    over = ends is not None and ends <= want.now
    if status == "off" and not over:
        return [f"somebody turned off our Subscription for {criteria} in the EMR: it stays off"]
    if status in _GOING and (ends is None or ends > want.now + RENEWED):
        return []
    renewed = {**held, "status": "requested", "end": _end(want)}
    version = (held.get("meta") or {}).get("versionId")
    await client.update(renewed, if_match=f'W/"{version}"' if version else None)
    return [f"our Subscription for {criteria} was renewed: it {'had ended' if over else f'was {status}'}"]


async def _make(db: Database, client: FhirClient, emr: str, want: Wanted, criteria: str) -> list[str]:
    """An answer that is lost is no second copy: the next night looks for it first."""
    resource: Json = {
        "resourceType": TYPE,
        "status": "requested",
        "reason": _WHY,
        "criteria": criteria,
        "end": _end(want),
        "channel": {
            "type": "rest-hook",
            "endpoint": want.endpoint,
            "header": [f"Authorization: Bearer {want.secret}"],
        },
    }
    try:
        done = await client.create(resource)
    except EmrRefused as refusal:
        _note(db, emr, want, refusal.status)
        raise
    _note(db, emr, want, done.status)
    return [f"a Subscription for {criteria} was made"]


def _note(db: Database, emr: str, want: Wanted, status: int) -> None:
    with db.write() as connection:
        passport.note(connection, emr=emr, resource=TYPE, verb=Verb.CREATE, status=status, now=want.now)


def _end(want: Wanted) -> str:
    return (want.now + LASTS).astimezone(dt.UTC).isoformat(timespec="seconds")


def _instant(text: Any) -> dt.datetime | None:
    try:
        found = dt.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else None
