"""Cards: one sentence that fits, the reasons below it, a link to the page. GitHub-flavoured Markdown,
in which nothing that came from a chart can be markup (CH-5, CH-7)."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Iterable
from typing import Any

from cm_service.rules.business_days import business_days_after
from cm_service.rules.decision import Decision, Outcome

LONGEST_SUMMARY = 139
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~&])")
TITLES = {
    "A1C-OUT": "HbA1c out of range",
    "A1C-OVERDUE": "HbA1c test overdue",
    "A1C-NODX": "HbA1c in the diabetic range without a diagnosis",
    "DIS-TCM": "Discharged: transitional care",
    "DIS-AMA": "Left hospital against advice",
    "DIS-SNF": "In skilled nursing",
    "DIS-READMIT": "Readmitted",
    "ED-FU": "Emergency visit to follow up",
    "ED-OVERUSE": "Many emergency visits",
    "CHR-MULTI": "Two or more chronic conditions",
}


def plain(text: str) -> str:
    """Words out of a chart, with all that Markdown or HTML could take for markup made harmless."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def card(summary: str, lines: Iterable[str], *, public_url: str, indicator: str = "info") -> dict[str, Any]:
    detail = "\n".join(f"- {line}" for line in lines)
    short = summary if len(summary) <= LONGEST_SUMMARY else f"{summary[: LONGEST_SUMMARY - 1]}…"
    made: dict[str, Any] = {
        "uuid": str(uuid.uuid4()),
        "summary": short,
        "indicator": indicator,
        "source": {"label": "cm-service"},
        "links": [{"label": "Open care management", "url": f"{public_url}/launch", "type": "smart"}],
    }
    return made | ({"detail": detail} if detail else {})


def status(row: Any | None, decisions: list[Decision], *, public_url: str) -> list[dict[str, Any]]:
    """patient-view: enrolled and by whom, or a candidate and why; what is due; what cannot be told.
    `row` is the patient's row on the worklist, if there is one."""
    found = [decision for decision in decisions if decision.outcome is Outcome.ELIGIBLE]
    lines = [_why(decision) for decision in found]
    lines.extend(due_lines(row))
    enrolled = row is not None and row.status != "candidate"
    if not found and not enrolled and not (row is not None and row.tasks):
        return []
    doubts = [d.rule for d in decisions if d.outcome is Outcome.INSUFFICIENT_DATA]
    if doubts:
        lines.append(f"Cannot be told: {', '.join(TITLES.get(rule, rule) for rule in doubts)}")
    if enrolled and row is not None:
        summary = f"In care management with {row.care_manager.replace('/', ' ')}"
    else:
        reasons = ", ".join(TITLES.get(decision.rule, decision.rule) for decision in found)
        summary = f"Candidate for care management: {reasons or 'open tasks'}"
    urgent = row is not None and row.urgency < 3
    return [card(summary, lines, public_url=public_url, indicator="warning" if urgent else "info")]


def _why(decision: Decision) -> str:
    evidence = decision.evidence[0] if decision.evidence else None
    words = TITLES.get(decision.rule, decision.rule)
    if evidence is None or not evidence.value:
        return plain(words)
    return plain(f"{words}: {evidence.value} {evidence.unit} {evidence.date}".strip())


def due_lines(row: Any | None) -> list[str]:
    """The open Tasks with their last days, as a nurse reads them."""
    if row is None:
        return []
    return [plain(str(task["text"])) for task in row.tasks]


def discharge(today: dt.date, *, is_stay: bool | None, public_url: str) -> list[dict[str, Any]]:
    """encounter-discharge: the days of transitional care (rules.md 2.5) from today's discharge on.
    `is_stay` None: the class of the encounter is not known here, and the card says so."""
    if is_stay is False:
        return []
    contact = business_days_after(today, 2)
    visits = [today + dt.timedelta(days=days) for days in (7, 14)]
    lines = [
        plain(f"Contact by {contact.isoformat()} (end of the second business day)"),
        plain(f"Visit by {visits[0].isoformat()} (high complexity) or {visits[1].isoformat()} (moderate)"),
        plain(f"The 30 days end on {(today + dt.timedelta(days=29)).isoformat()}"),
    ]
    unsure = "" if is_stay else " if this was a hospital stay"
    return [card(f"Transitional care starts now{unsure}: contact by {contact}", lines, public_url=public_url)]


def gaps(row: Any | None, *, public_url: str) -> list[dict[str, Any]]:
    """appointment-book: what is open, so that the visit can serve it."""
    lines = due_lines(row)
    if not lines:
        return []
    return [card(f"{len(lines)} open care management needs before the visit", lines, public_url=public_url)]
