"""Filling a FHIR server with resources of somebody else's making, and emptying the foreign EMR again."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx

Resource = dict[str, Any]
BATCH = 100


def read_folder(folder: Path, *types: str, mentioning: str = "") -> list[Resource]:
    """The resources of `folder`/TYPE.ndjson.gz whose line holds the text `mentioning`, type by type in
    the order named."""
    found: list[Resource] = []
    for name in types:
        with gzip.open(folder / f"{name}.ndjson.gz", "rt", encoding="utf-8") as lines:
            found += [json.loads(line) for line in lines if mentioning in line]
    return found


def with_plain_references(resources: Iterable[Resource], targets: Iterable[Resource]) -> list[Resource]:
    """Copies in which `Practitioner?identifier=s|v` is the `Practitioner/id` among `targets`.

    A server resolves such a conditional reference only for entries of a transaction that it creates.
    Raises KeyError for one that leads nowhere.
    """
    known = dict(_by_identifier(targets))
    return [_plain(resource, known) for resource in resources]


def load(base_url: str, resources: Iterable[Resource]) -> int:
    """PUT every resource under its own id, in transactions of 100, one after the other: on this server
    parallel first writes with the same tag or profile collide. Ids of digits only are refused. `meta` is
    left out: it comes from another server, and looking up its profiles costs most of the time.
    Returns how many were written; raises httpx.HTTPStatusError when a transaction was refused.
    """
    wanted = list(resources)
    with httpx.Client(timeout=120, headers={"Prefer": "return=minimal"}) as client:
        for start in range(0, len(wanted), BATCH):
            batch = wanted[start : start + BATCH]
            client.post(base_url, json=_transaction(batch)).raise_for_status()
    return len(wanted)


def empty(base_url: str) -> None:
    """Delete everything that the foreign EMR holds, with its history (its own $expunge)."""
    everything = {"name": "expungeEverything", "valueBoolean": True}
    body = {"resourceType": "Parameters", "parameter": [everything]}
    httpx.post(f"{base_url}/$expunge", json=body, timeout=120).raise_for_status()


def errors_found_by(base_url: str, resource: Resource) -> list[str]:
    """What the server's own $validate calls an error (R4 with its invariants); empty when it finds none."""
    answer = httpx.post(f"{base_url}/{resource['resourceType']}/$validate", json=resource, timeout=60)
    issues = answer.json()["issue"]
    return [issue["diagnostics"] for issue in issues if issue["severity"] in ("error", "fatal")]


def _transaction(batch: list[Resource]) -> Resource:
    entries = [
        {
            "resource": {name: value for name, value in each.items() if name != "meta"},
            "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"},
        }
        for each in batch
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _by_identifier(targets: Iterable[Resource]) -> Iterator[tuple[str, str]]:
    for target in targets:
        kind = target["resourceType"]
        for identifier in target.get("identifier", []):
            search = f"{kind}?identifier={identifier['system']}|{identifier['value']}"
            yield search, f"{kind}/{target['id']}"


def _plain(value: Any, known: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_plain(each, known) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: known[each] if _is_conditional(name, each) else _plain(each, known)
        for name, each in value.items()
    }


def _is_conditional(name: str, value: Any) -> bool:
    return name == "reference" and isinstance(value, str) and "?" in value
