"""Pages over a practice that had its night: sessions as a launch leaves them, forms as the script sends."""

from __future__ import annotations

import datetime as dt
import secrets
from pathlib import Path
from typing import Any

import httpx

from cm_service.db import launches, worklist
from tests.api.practice_world import OpenPractice
from tests.flow.night_world import condition, out_of_range

NURSE = "Practitioner/n"
ADA, BOB = "Ada Lovelace (1976-05-01)", "Bob Boole (1976-05-01)"
TWO_PATIENTS = [
    *out_of_range(),
    condition("bp", "I10"),
    *out_of_range("p2"),
    condition("bp2", "I10", "p2"),
    {"resourceType": "Practitioner", "id": "n", "name": [{"text": "Nora Nurse"}]},
]


class Page:
    """One launched page; `get` and `post` speak with its token."""

    def __init__(self, practice: OpenPractice, token: str) -> None:
        self.practice, self.token = practice, token

    def get(self, path: str = "/app/part", **params: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return self.practice.doors.http.get(path, headers=headers, params=params)

    def post(self, path: str, form: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        usual = {"Authorization": f"Bearer {self.token}", **headers}
        return self.practice.doors.http.post(path, data=form or {}, headers=usual)

    def act(self, name: str, **form: Any) -> str:
        answer = self.post(f"/app/acts/{name}", form)
        assert answer.status_code == 200, answer.text
        return answer.text


def two_patients(folder: Path) -> OpenPractice:
    return OpenPractice(folder, TWO_PATIENTS)


def open_page(practice: OpenPractice, patient: str | None = "p1", **changes: Any) -> Page:
    """A session as the callback leaves it."""
    door, now, token = practice.doors.app.state.doorway, practice.doors.now, secrets.token_urlsafe(32)
    names = {"p1": ADA, "p2": BOB}
    columns = {
        "emr": "clinic",
        "patient_id": patient,
        "encounter_id": None,
        "user": NURSE,
        "user_name": "Nora Nurse",
        "patient_name": names.get(patient or "", ""),
        "subject": "nora",
        "bound": True,
        "confirmed": True,
        "browser_digest": "b" * 64,
        "scope": "launch openid fhirUser patient/*.read",
        "access_token": "access",
        "refresh_token": "",
        "token_endpoint": "http://127.0.0.1:9/token",
        "token_until": now + dt.timedelta(hours=1),
        "context": {"banner": True, "intent": "", "style": {}},
        "created_at": now,
        "idle_until": now + dt.timedelta(minutes=30),
    } | changes
    for name in ("user_name", "patient_name", "access_token"):
        columns[name] = door.sealer.seal(columns[name])
    with practice.doors.database.write() as connection:
        launches.open_session(connection, token, **columns)
    return Page(practice, token)


def many(practice: OpenPractice, count: int, **changes: Any) -> None:
    """Candidates in the projection; every fifth of another program, due one after the other."""
    rules = ["A1C-OUT", "CHR-MULTI", "ED-FU", "DIS-TCM", "A1C-OVERDUE"]
    rows = []
    for n in range(count):
        due = practice.doors.now + dt.timedelta(hours=(n * 37) % count - count // 2)
        task = {"id": n, "code": "a1c-outreach", "rule": rules[n % 5], "text": f"Call number {n}"}
        rows.append(
            {
                "emr": "clinic",
                "patient_id": f"many-{n}",
                "name": f"Person {n}",
                "birth_date": "1970-01-01",
                "status": "candidate",
                "urgency": n % 4,
                "due_at": due,
                "tasks": [{**task, "status": "requested", "due": due.isoformat(), "urgency": n % 4}],
                "rules": [rules[n % 5]],
                "cannot_tell": [],
                "part": 0,
                "labels": "",
                "care_manager": "",
                "snoozed_until": None,
                "appointment_at": None,
            }
            | changes
        )
    with practice.doors.store.write() as connection:
        worklist.save(connection, rows)
