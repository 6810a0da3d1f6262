"""Lines that could not be used are kept with their place, whatever the place is called."""

from __future__ import annotations

import sqlalchemy as sa

from cm_service.db import sync
from cm_service.db.engine import Database
from cm_service.db.tables import Reject
from tests.db.builders import NOW, add_emr


def test_a_reject_keeps_a_place_longer_than_255_characters(database: Database) -> None:
    add_emr(database)
    file = "/".join(["a-long-folder-name"] * 40) + "/Observation.ndjson"
    with database.write() as connection:
        run = sync.start_run(connection, emr="clinic", as_of=NOW, started=NOW, source="folder")
        row = {"file": file, "line": 7, "type": "Observation", "patient_id": None, "hole": True}
        said = {"reason": "malformed_json", "sentence": "this is no JSON"}
        sync.add_rejects(connection, [{"run_id": run, **row, **said}])
    with database.read() as connection:
        assert connection.scalars(sa.select(Reject.file)).all() == [file]
