"""The capability passport as tables: per type and verb what is promised, by whom, and what was seen.

Days are UTC. The JSON form has the date of every fact; here the day of what is promised stands above.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from cm_service.cli.output import people

_DAY = 10  # characters of a date
_SHORT = {"unknown": "-", "not disproven": "untried", "disproven": "no"}
_PLAIN: dict[str, Any] = {"box": SIMPLE_HEAD, "collapse_padding": True, "pad_edge": False}


def show(slug: str, passport: dict[str, Any]) -> None:
    """`passport` as `flow.passport.told` gives it."""
    verbs = Table(title=f"{slug}: {_promised(passport)}", padding=0, **_PLAIN)
    for name in ("type", "verb", "declared", "granted", "allowed", "last used", "so"):
        verbs.add_column(name, no_wrap=True)
    before = ""
    for row in passport["verbs"]:
        said = (row["declared"]["answer"], row["granted"]["answer"], row["allowed"]["answer"])
        kind = row["resource"] if row["resource"] != before else ""
        verbs.add_row(
            kind,
            row["verb"].partition("-")[0],
            *map(_short, said),
            _used(row["use"]),
            _short(row["standing"]),
        )
        before = row["resource"]
    people.print(verbs)
    if passport["profile"]:
        people.print(_vendor(passport["profile"]))
    facts = Table("fact", "value", "types", **_PLAIN)
    for (name, value), kinds in _grouped(passport["facts"]).items():
        facts.add_row(name, value, ", ".join(kinds))
    people.print(facts)
    for change in passport["changes"]:
        people.print(f"changed on {change['date'][:_DAY]}: {change['text']}", soft_wrap=True)


def show_ladder(ladder: dict[str, Any]) -> None:
    """`ladder` as `flow.ladder_told` gives it."""
    rungs = Table("intent", "goes to", "why no higher", **_PLAIN)
    for each in ladder["intents"]:
        rungs.add_row(each["intent"], each["rung"], each["reason"])
    people.print(rungs)
    for each in ladder["degraded"]:
        people.print(f"{each['count']} on {each['rung']}: {each['reason']}", soft_wrap=True)


def _short(word: str) -> str:
    return _SHORT.get(word, word)


def _promised(passport: dict[str, Any]) -> str:
    profile = passport["profile"]
    days = {row["declared"]["date"][:_DAY] for row in passport["verbs"] if row["declared"]["date"]}
    granted = {row["granted"]["date"][:_DAY] for row in passport["verbs"] if row["granted"]["date"]}
    said = [
        f"declared on {max(days)}" if days else "nothing declared",
        f"granted on {max(granted)}" if granted else "",
        f"profile {profile['name']} of {profile['date']}" if profile else "no vendor profile",
    ]
    return ", ".join(filter(None, said))


def _vendor(profile: dict[str, Any]) -> Table:
    """What the profile says beside what is allowed; what it does not say is left out."""
    table = Table("the vendor says", "", **_PLAIN)
    limit, paging, note = profile["rate_limit"], profile["paging"], profile["note"]
    rows = {
        "rate limit": f"{limit['calls']} calls in {limit['seconds']} s, {limit['per']}" if limit else "",
        "rows of a page": f"{paging['most']} at most" if paging["most"] else "",
        "version of an update": profile["precondition"],
        "a search needs": _of_types(profile["required_search"], lambda rule: " or ".join(rule["any_of"])),
        "_lastUpdated": _of_types(profile["last_updated"], lambda rule: str(rule["support"])),
        "hidden while fresh": ", ".join(profile["holding_tank"]),
        "a note": f"{note['max_characters']} characters at most" if note["max_characters"] else "",
        "ids": f"up to {profile['id_length']} characters" if profile["id_length"] else "",
    }
    for name, text in rows.items():
        if text and text != "unknown":
            table.add_row(name, text)
    return table


def _of_types(rules: Iterable[dict[str, Any]], word: Callable[[dict[str, Any]], str]) -> str:
    said = (f"{word(rule)} ({', '.join(rule['resources']).replace('*', 'all others')})" for rule in rules)
    return "; ".join(said)


def _used(use: dict[str, Any]) -> str:
    return f"{use['status']} {use['date'][:_DAY]}" if use["date"] else "-"


def _grouped(facts: Iterable[dict[str, Any]]) -> dict[tuple[str, str], list[str]]:
    """(name, value) -> the types of which it was seen, by name."""
    found: dict[tuple[str, str], list[str]] = {}
    for fact in facts:
        found.setdefault((fact["name"], fact["value"]), []).append(fact["resource"] or "all")
    return dict(sorted(found.items()))
