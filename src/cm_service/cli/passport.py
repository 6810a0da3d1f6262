"""The capability passport as tables: per type and verb what is promised, by whom, and what was seen.

Days are UTC. The JSON form has the date of every fact; here the day of what is promised stands above.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from cm_service.cli.output import people

_DAY = 10  # characters of a date
_SHORT = {"unknown": "-", "not disproven": "untried", "disproven": "no"}
_PLAIN: dict[str, Any] = {"box": SIMPLE_HEAD, "collapse_padding": True, "pad_edge": False}


def show(slug: str, passport: dict[str, Any]) -> None:
    """`passport` as `flow.passport.told` gives it."""
    verbs = Table(title=f"{slug}: {_promised(passport)}", **_PLAIN)
    for name in ("type", "verb", "declared", "granted", "allowed", "last used", "so"):
        verbs.add_column(name, no_wrap=name in ("type", "last used"))
    before = ""
    for row in passport["verbs"]:
        said = (row["declared"]["answer"], row["granted"]["answer"], row["allowed"]["answer"])
        kind = row["resource"] if row["resource"] != before else ""
        verbs.add_row(kind, row["verb"], *map(_short, said), _used(row["use"]), _short(row["standing"]))
        before = row["resource"]
    people.print(verbs)
    facts = Table("fact", "value", "types", **_PLAIN)
    for (name, value), kinds in _grouped(passport["facts"]).items():
        facts.add_row(name, value, ", ".join(kinds))
    people.print(facts)
    for change in passport["changes"]:
        people.print(f"changed on {change['date'][:_DAY]}: {change['text']}", soft_wrap=True)


def _short(word: str) -> str:
    return _SHORT.get(word, word)


def _promised(passport: dict[str, Any]) -> str:
    profile = passport["profile"]
    days = {row["declared"]["date"][:_DAY] for row in passport["verbs"] if row["declared"]["date"]}
    declared = f"declared on {max(days)}" if days else "nothing declared"
    return f"{declared}, " + (
        f"profile {profile['name']} of {profile['date']}" if profile else "no vendor profile"
    )


def _used(use: dict[str, Any]) -> str:
    return f"{use['status']} {use['date'][:_DAY]}" if use["date"] else "-"


def _grouped(facts: Iterable[dict[str, Any]]) -> dict[tuple[str, str], list[str]]:
    """(name, value) -> the types of which it was seen, by name."""
    found: dict[tuple[str, str], list[str]] = {}
    for fact in facts:
        found.setdefault((fact["name"], fact["value"]), []).append(fact["resource"] or "all")
    return dict(sorted(found.items()))
