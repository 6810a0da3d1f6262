"""What an export says beside its data: errors, and what was deleted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from cm_service.fhir.values import is_id

_BAD = frozenset({"error", "fatal"})
_CODE = re.compile(r"[a-z][a-z-]{2,30}", re.ASCII)
_DELETED = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/([^/?#]+)$", re.ASCII)


def problems(outcomes: list[Any]) -> list[str]:
    """Of those that are more than information, how many of each code ("3 exception"): their texts may hold
    PHI. What is no OperationOutcome is one, too."""
    found = Counter[str]()
    for outcome in outcomes:
        issues = outcome.get("issue") if isinstance(outcome, dict) else None
        for issue in issues if isinstance(issues, list) else [{"severity": "error"}]:
            said = issue if isinstance(issue, dict) else {"severity": "error"}
            if said.get("severity") in _BAD:
                code = str(said.get("code"))
                found[code if _CODE.fullmatch(code) else "error"] += 1
    return [f"{count} {code}" for code, count in sorted(found.items())]


def deletions(bundles: list[Any]) -> Iterator[str]:
    """`Type/id` of every DELETE in these Bundles."""
    for bundle in bundles:
        entries = bundle.get("entry") if isinstance(bundle, dict) else None
        for entry in entries if isinstance(entries, list) else ():
            request = entry.get("request") if isinstance(entry, dict) else None
            if isinstance(request, dict) and request.get("method") == "DELETE":
                key = _DELETED.search(str(request.get("url")))
                if key and is_id(key.group(2)):
                    yield f"{key.group(1)}/{key.group(2)}"
