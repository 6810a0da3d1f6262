"""Make src/cm_service/rules/data/*.json from a folder of code tables (CSV).

    python tools/build_code_sets.py DIR_WITH_CSV

A maintainer runs this when the tables change and reviews the diff: one code a line. The date in
`version` moves only for a file whose rows changed. CPT descriptors never leave the tables.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "src" / "cm_service" / "rules" / "data"
CPT = "http://www.ama-assn.org/go/cpt"
SNOMED_NOTICE = (
    "Contains SNOMED CT content, copyright of SNOMED International. Use needs a SNOMED CT affiliate licence; "
    "in the United States it is available without charge through the National Library of Medicine."
)
LOINC_NOTICE = (
    "Contains LOINC content. LOINC is copyright Regenstrief Institute, Inc. and the LOINC Committee, "
    "and available at no cost under the licence at https://loinc.org/license."
)
# What the rules read of the registry table; the other concepts belong to rules that do not exist yet.
REGISTRY = ("hospice_", "palliative_", "nursing_home_", "pregnancy", "encounter_")
HBA1C = {
    "59261-8": "hba1c_ifcc",
    "71875-9": "hba1c_fraction",
    "62388-4": "hba1c_jds",
    "41995-2": "hba1c_mass",
    "97506-0": "hba1c_gmi",
}
Row = dict[str, str]


def read(folder: Path, name: str) -> list[Row]:
    with (folder / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def hba1c(folder: Path) -> Iterator[Row]:
    for row in read(folder, "hba1c_loinc"):
        concept = HBA1C.get(row["code"], "hba1c_percent")
        yield {"concept": concept, **row, "note": row["conversion_to_ngsp_percent"]}


def context(folder: Path) -> Iterator[Row]:
    """The context table; notes that decide something become concepts of their own."""
    for row in read(folder, "context_codes"):
        yield row
        if row["concept"] == "dialysis":
            part = _dialysis_part(row["note"])
            if part:
                yield {**row, "concept": part}
        if "GX-02" in row["note"]:
            yield {**row, "concept": "hospice_service"}


def _dialysis_part(note: str) -> str:
    if note.startswith("status"):
        return "dialysis_status"
    return "" if "not a dialysis session" in note else "dialysis_service"


def registry(folder: Path) -> Iterator[Row]:
    for row in read(folder, "registry_codes"):
        if row["concept"].startswith(REGISTRY):
            yield {**row, "display": "" if row["system"] == CPT else row["display"]}


def chronic(folder: Path) -> Iterator[Row]:
    """Chronic conditions in the order of the table, each with the reference years of its category."""
    years = {row["category"]: row["ccw_reference_years"] for row in read(folder, "ccw30_icd10cm_exact")}
    for row in read(folder, "chronic_conditions"):
        yield {**row, "code": row["code_or_prefix"], "years": years.get(row["category"], "2")}


def words(folder: Path) -> Iterator[Row]:
    """What the reasons and flags of decisions mean, for people."""
    for row in read(folder, "flags"):
        yield {**row, "system": "", "source": "words of the rules"}


SETS = ("concept", "system", "code", "display", "note")
CHRONIC = (
    "category",
    "system",
    "code",
    "match",
    "count_default",
    "counting_group",
    "years",
    "display",
    "note",
)
WORDS = ("word", "kind", "meaning")
FILES: dict[str, tuple[Any, tuple[str, ...], str]] = {
    "hba1c": (hba1c, SETS, "HbA1c observations: VSAC CMS122 value set and LOINC tests beside it"),
    "context": (context, SETS, "Context of a patient: VSAC value sets, CMS and PEDSnet tables, see each row"),
    "registry": (registry, SETS, "VSAC value sets through the published eCQM content, see each row"),
    "words": (words, WORDS, "Reasons and flags of decisions, in our own words"),
    "chronic": (
        chronic,
        CHRONIC,
        "CCW 30 chronic conditions (02/2022) as prefixes, SNOMED CT codes, extensions",
    ),
}


def write(name: str, rows: Iterable[Row], columns: tuple[str, ...], source: str) -> None:
    listed = list(rows)
    sources = list(dict.fromkeys(row["source"] for row in listed))
    body = [[*(row[column] for column in columns), sources.index(row["source"])] for row in listed]
    head = {
        "source": source,
        "version": _version(DATA / f"{name}.json", body),
        "licence_notice": " ".join(_notices(listed)),
        "columns": [*columns, "source"],
        "sources": sources,
    }
    parts = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in body)
    text = "{\n" + ",\n".join(parts) + ',\n"rows": [\n' + lines + "\n]\n}\n"
    (DATA / f"{name}.json").write_text(text, encoding="utf-8")


def _notices(rows: list[Row]) -> Iterator[str]:
    systems = {row["system"] for row in rows}
    if "http://snomed.info/sct" in systems:
        yield SNOMED_NOTICE
    if "http://loinc.org" in systems:
        yield LOINC_NOTICE


def _version(path: Path, body: list[list[Any]]) -> str:
    if path.exists():
        old = json.loads(path.read_text(encoding="utf-8"))
        if old["rows"] == body:
            return str(old["version"])
    return dt.datetime.now(dt.UTC).date().isoformat()


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)  # noqa: T201 - a maintainer's script talks to its terminal
        return 2
    for name, (make, columns, source) in FILES.items():
        write(name, make(Path(arguments[0])), columns, source)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
