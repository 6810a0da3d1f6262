"""A setting that planning goes by takes effect in the next night, for everybody: nobody waits until time
or a new result makes them due."""

from __future__ import annotations

from pathlib import Path

import pytest

from cm_service.db.engine import Database
from tests.flow.night_world import out_of_range, practice

CLINIC = [{"resourceType": "Organization", "id": id_, "name": id_} for id_ in ("12", "13")]
CHANGES = [{"practice": "Organization/12"}, {"owner": "Organization/13"}, {"write_mode": "auto"}]
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@SQLITE
@pytest.mark.parametrize("changed", CHANGES, ids=str)
def test_another_practice_owner_or_write_mode_makes_everybody_due_once(
    changed: dict[str, str], database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, [*CLINIC, *out_of_range("p1"), *out_of_range("p2")]) as clinic:
        clinic.run()
        clinic.run()  # reads our own resources for the first time
        assert clinic.run()["evaluated"] == 0
        clinic.set(**changed)
        assert clinic.run()["evaluated"] == 2
        clinic.run()
        assert clinic.run()["evaluated"] == 0
