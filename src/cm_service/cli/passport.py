"""The capability passport as a table: per type and verb what is promised, by whom, and what was seen."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from cm_service.cli.output import people

_DAY = 10  # characters of a date


def show(slug: str, passport: dict[str, Any]) -> None:
    """`passport` as `flow.passport.told` gives it. Pairs of which nobody says anything are left out."""
    profile = passport["profile"]
    named = f"profile {profile['name']}, {profile['date']}" if profile else "no vendor profile"
    table = Table("type", "verb", "declared", "granted", "allowed", "seen", "so", title=f"{slug} ({named})")
    for row in passport["verbs"]:
        cells = [_cell(row[name]) for name in ("declared", "granted", "allowed", "use")]
        if any(cells):
            table.add_row(row["resource"], row["verb"], *cells, row["standing"])
    people.print(table)
    facts = Table("type", "fact", "value", "seen on")
    for fact in passport["facts"]:
        facts.add_row(fact["resource"] or "all", fact["name"], fact["value"], fact["date"][:_DAY])
    if passport["facts"]:
        people.print(facts)
    for change in passport["changes"]:
        people.print(f"changed on {change['date'][:_DAY]}: {change['text']}", soft_wrap=True)


def _cell(said: dict[str, Any]) -> str:
    """`no (403) 2026-11-20`; empty where nothing is known."""
    if said["answer"] == "unknown":
        return ""
    status = f" ({said['status']})" if said.get("status") else ""
    return f"{said['answer']}{status} {(said['date'] or '')[:_DAY]}".rstrip()
