"""A search index that lags behind shows a version of ours that our own update has replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cm_service.db.engine import Database
from cm_service.fhir import rawjson
from cm_service.flow.ours import Json
from cm_service.flow.reconcile import Connected, reconcile
from cm_service.flow.updating import Updating
from cm_service.sandbox.personality import personality_named
from tests.flow.night_world import AS_OF, BASE, Practice, a1c, out_of_range
from tests.flow.passport_world import serve
from tests.flow.test_night_faults import DAY, SQLITE, KilledError


def shown(clinic: Practice) -> Json:
    """Our Task as the EMR has shown it."""
    found: Json = rawjson.loads(clinic.row("Task").current.encode())
    return found


@SQLITE
def test_the_version_that_an_update_replaced_is_no_persons_change_though_versions_have_no_order(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare = Updating._compare

    def dies_over_a_task(self: Updating, row: Any, *said: Any) -> None:
        if row.kind == "Task":
            raise KilledError
        compare(self, row, *said)

    emr, base_url = serve(personality_named("medplum"))
    emr.load(out_of_range())
    clinic = Practice(database, emr, base_url, tmp_path)
    clinic.run()
    replaced = shown(clinic)
    emr.load([a1c(9.8, id_="newer", effectiveDateTime="2026-11-19")])
    with monkeypatch.context() as broken, pytest.raises(KilledError):
        broken.setattr(Updating, "_compare", dies_over_a_task)
        clinic.run(AS_OF + DAY)
    written = clinic.row("Task").version
    assert written != replaced["meta"]["versionId"]

    on = Connected(emr="clinic", base=BASE, cooloff_days=180, now=AS_OF + DAY)
    reconcile(database, on, [replaced])
    assert (clinic.row("Task").version, clinic.row("Task").human) == (written, [])
    clinic.edit("Task", priority="stat")
    clinic.run(AS_OF + DAY)
    assert clinic.row("Task").human == ["priority"]
    assert shown(clinic)["reasonReference"] == {"reference": "Observation/newer"}
