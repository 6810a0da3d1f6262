"""Webhooks out: what a night has to tell, and telling it, signed, until it is heard.

Bodies hold ids only: whoever listens asks our API for the rest, with a token of their own. Signed as
Standard Webhooks are: HMAC-SHA256 over `id.timestamp.body`, so that a body cannot be forged or replayed late.
"""

from __future__ import annotations

import base64
import datetime as dt
import hmac
import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from cm_service.db import webhooks
from cm_service.db.engine import Database
from cm_service.db.sealed import Sealer
from cm_service.fhir.outside import OutsideHttp, OutsideUnreachable

EVENTS = ("decision.changed", "task.due", "write.refused", "sync.finished")
SECRET_PREFIX = "whsec_"
SOON = dt.timedelta(days=1)
# Minutes until the next try; after the last one the event is given up and stays listed.
WAITS = tuple(dt.timedelta(minutes=m) for m in (1, 5, 30, 120, 480, 1440))
_BATCH = 100


def collect(db: Database, emr: str, *, as_of: dt.datetime, summary: dict[str, Any]) -> None:
    """After a night: everything new, for everybody who wants to be told, once."""
    with db.read() as connection:
        if not webhooks.of(connection, emr):
            return
    with db.write() as connection:
        hooks = webhooks.of(connection, emr)
        for type_, key, facts in _news(connection, emr, as_of, summary):
            body = {"type": type_, "timestamp": as_of.isoformat(), "data": {"emr": emr, **facts}}
            for hook in hooks:
                if type_ in hook.events:
                    webhooks.note(connection, hook.id, f"{type_}|{key}"[:255], body, now=as_of)


def _news(
    connection: sa.Connection, emr: str, as_of: dt.datetime, summary: dict[str, Any]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for row in webhooks.changed_decisions(connection, emr, at=as_of):
        facts = {"patient": row.patient_id, "rule": row.rule, "outcome": row.outcome}
        yield "decision.changed", f"{row.patient_id}|{row.rule}|{row.digest}", facts
    for row in webhooks.due_soon(connection, emr, before=as_of + SOON):
        for task in row.tasks:
            if task["due"] and dt.datetime.fromisoformat(task["due"]) < as_of + SOON:
                facts = {"patient": row.patient_id, "task": task["id"], "due": task["due"]}
                yield "task.due", f"{task['id']}|{task['due']}", facts
    for row in webhooks.refused(connection, emr):
        facts = {"patient": row.patient_id, "intent": row.id, "kind": row.kind}
        yield "write.refused", f"{row.id}|{row.attempts}", facts
    figures = {name: value for name, value in summary.items() if isinstance(value, int | float | str)}
    yield "sync.finished", str(summary["run"]), figures


async def deliver(db: Database, http: OutsideHttp, sealer: Sealer, *, now: dt.datetime) -> int:
    """Tell what is due; returns how much was heard. A listener that fails holds up nobody else."""
    with db.read() as connection:
        rows = webhooks.due(connection, now=now, limit=_BATCH)
    heard = 0
    for row in rows:
        status = await _tell(http, sealer, row, now)
        ok = status is not None and 200 <= status < 300
        heard += ok
        columns: dict[str, Any] = {"status": status, "next_at": None}
        if ok:
            columns["delivered_at"] = now
        elif row.attempts < len(WAITS) and status != 410:
            columns["next_at"] = now + WAITS[row.attempts]
        with db.write() as connection:
            webhooks.told(connection, row.id, **columns)
    return heard


async def _tell(http: OutsideHttp, sealer: Sealer, row: Any, now: dt.datetime) -> int | None:
    content = json.dumps(row.body, separators=(",", ":")).encode()
    name, moment = f"msg_{row.id}", str(int(now.timestamp()))
    headers = {
        "Content-Type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": moment,
        "webhook-signature": signature(sealer.open(row.secret), name, moment, content),
    }
    try:
        return (await http.ask("POST", row.url, headers=headers, content=content)).status
    except OutsideUnreachable:
        return None


def signature(secret: str, name: str, moment: str, content: bytes) -> str:
    """`v1,` and the base64 of the HMAC; `secret` is `whsec_` and its bytes in base64."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = b".".join((name.encode(), moment.encode(), content))
    return f"v1,{base64.b64encode(hmac.new(key, signed, sha256).digest()).decode()}"
