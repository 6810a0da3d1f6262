"""Feedback on cards: kept once per card and outcome, however often and late it comes (CH-15)."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any

from starlette.exceptions import HTTPException

from cm_service.api.doorway import Doorway
from cm_service.db import doors

_OUTCOMES = ("accepted", "overridden")
_MOST = 100


def keep(door: Doorway, emr: str, service: str, body: dict[str, Any]) -> None:
    """Raises HTTPException 400. A user's comment may hold anything about a patient: it is sealed."""
    items = body.get("feedback")
    if not isinstance(items, list) or not 0 < len(items) <= _MOST:
        raise HTTPException(400, f"feedback is an array of 1 to {_MOST} items")
    rows = [_row(door, emr, service, item) for item in items]
    with door.database.write() as connection:
        doors.keep_feedback(connection, rows)


def _row(door: Doorway, emr: str, service: str, item: Any) -> dict[str, Any]:
    if not isinstance(item, dict) or item.get("outcome") not in _OUTCOMES:
        raise HTTPException(400, "each item has an outcome, accepted or overridden")
    try:
        card = str(uuid.UUID(str(item.get("card"))))
        at = dt.datetime.fromisoformat(str(item.get("outcomeTimestamp")))
    except ValueError as error:
        raise HTTPException(400, "card is a UUID, outcomeTimestamp an instant") from error
    if at.tzinfo is None:
        raise HTTPException(400, "outcomeTimestamp needs an offset")
    said = {name: item[name] for name in ("acceptedSuggestions", "overrideReason") if name in item}
    return {
        "emr": emr,
        "card": card,
        "outcome": item["outcome"],
        "service": service,
        "outcome_at": at,
        "said": door.sealer.seal(json.dumps(said)) if said else "",
        "received_at": door.clock(),
    }
