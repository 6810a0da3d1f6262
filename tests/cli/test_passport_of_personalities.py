"""`emr check` against each kind of EMR that the sandbox plays, before and after a night."""

from __future__ import annotations

from pathlib import Path

import pytest

from cm_service.sandbox import server
from cm_service.sandbox.personality import adapted, personality_named
from cm_service.sandbox.store import Store
from tests.flow.night_world import AS_OF, out_of_range
from tests.real.command import Home

# Personality: its vendor profile.
PROFILES = {
    **{name: name for name in ("hapi", "medplum", "epic", "oracle", "athena", "ecw", "meditech", "canvas")},
    "nextgen": "nextgen-enterprise",
    "generous": "",
}


@pytest.mark.parametrize("personality", sorted(PROFILES))
def test_check_tells_the_passport_of_each_kind_of_emr_and_writes_nothing(
    personality: str, tmp_path: Path
) -> None:
    kind, emr = personality_named(personality), Store()
    emr.clock = lambda: AS_OF
    emr.load(adapted(out_of_range(), kind))
    home = Home(tmp_path / "data", CM_READ_ATTEMPTS="1", COLUMNS="80")
    with server.running(emr, personality=kind) as base_url:
        profile = PROFILES[personality]
        home.add(base_url, *(["--profile", profile] if profile else []))
        home.run("emr", "set", "clinic", f"test-patient={emr.live('Patient')[0].id}")
        said = home.run("emr", "check", "clinic", "--json")
    (report,) = said.answer["items"]
    passport = report["passport"]
    assert emr.written() == []
    assert said.exit == (3 if report["warnings"] else 0)
    table = said.stderr.partition("declared on")[2].partition("warning:")[0]
    assert max(map(len, table.splitlines())) <= 80
    assert (passport["profile"] or {}).get("name", "") == profile
    for row in passport["verbs"]:
        assert row["declared"]["answer"] in ("yes", "no") and row["declared"]["date"]
        assert row["use"]["answer"] == "unknown" or row["use"]["date"]
        assert row["standing"] in ("proven", "not disproven", "disproven") and row["reason"]
    used = {(row["resource"], row["verb"]) for row in passport["verbs"] if row["use"]["status"] == 200}
    assert ("Condition", "search") in used, "asked about the one patient where the EMR wants that"
    facts = {(fact["resource"], fact["name"]): fact for fact in passport["facts"]}
    assert all(fact["date"] for fact in passport["facts"])
    for name in ("filter:_lastUpdated", "filter:patient", "last-updated", "version"):
        assert facts["Condition", name]["value"] != "unknown", name
