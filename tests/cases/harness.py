"""Raw FHIR resources in, decisions out, through `cm-service evaluate` itself.

What goes in is what an export would hold: one NDJSON file per type in a temporary folder. Nothing
of the rules or the normaliser is touched directly, so a case says what a stranger would see.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from typer.testing import CliRunner

from cm_service.cli import app

AS_OF = "2026-11-22T15:00-05:00"
DETROIT = "America/Detroit"
RULES = frozenset(
    "A1C-OUT A1C-OVERDUE A1C-NODX DIS-TCM DIS-AMA DIS-SNF DIS-READMIT ED-FU ED-OVERUSE CHR-MULTI".split()
)
YES, NO, CANNOT_TELL = "eligible", "not_eligible", "insufficient_data"

Json = dict[str, Any]
ByRule = dict[str, Json]


class Evaluated(NamedTuple):
    """`patients`: id -> rule -> decision; `code`: the exit code; `said`: what people were told."""

    patients: dict[str, ByRule]
    code: int
    said: str


def evaluate(
    resources: Iterable[Json],
    *,
    as_of: str = AS_OF,
    timezone: str = DETROIT,
    settings: Mapping[str, str] | None = None,
    raw_lines: Mapping[str, list[str]] | None = None,
) -> Evaluated:
    """Everybody's decisions. `raw_lines`: file name -> lines written as they are, for damaged input."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, resources, raw_lines or {})
        pairs = [part for key, value in (settings or {}).items() for part in ("--set", f"{key}={value}")]
        arguments = ["evaluate", "--from", str(folder), "--timezone", timezone, "--as-of", as_of, *pairs]
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code in (0, 3), (result.exit_code, result.stderr, result.exception)
    return Evaluated(_by_patient(result.stdout), result.exit_code, result.stderr)


def decide(resources: Iterable[Json], *, patient: str = "p1", code: int = 0, **options: Any) -> ByRule:
    """One patient's decision per rule; every rule has spoken, and the exit code is `code`."""
    answer = evaluate(resources, **options)
    assert answer.code == code, (answer.code, answer.said)
    decisions = answer.patients[patient]
    assert decisions.keys() == RULES
    return decisions


def _write(folder: Path, resources: Iterable[Json], raw_lines: Mapping[str, list[str]]) -> None:
    files: dict[str, list[str]] = defaultdict(list)
    for resource in resources:
        files[f"{resource['resourceType']}.ndjson"].append(json.dumps(resource))
    for name, lines in raw_lines.items():
        files[name] += lines
    for name, lines in files.items():
        (folder / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def _by_patient(text: str) -> dict[str, ByRule]:
    patients: dict[str, ByRule] = defaultdict(dict)
    for line in text.splitlines():
        decision = json.loads(line)
        rules = patients[decision["patient"]]
        assert decision["rule"] not in rules, "one line per patient and rule"
        rules[decision["rule"]] = decision
    return dict(patients)
