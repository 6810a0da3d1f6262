"""What an EMR leaves open is said, and what a failed night leaves behind does not pile up."""

from __future__ import annotations

from pathlib import Path

import pytest

from cm_service.db.engine import Database
from cm_service.errors import EmrError
from tests.flow.bad_network import Fault, answers, empty
from tests.flow.night_world import far_practice, out_of_range

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@SQLITE
@pytest.mark.parametrize("fault", [answers(500), answers(403)], ids=["500", "403"])
def test_a_missing_task_whose_fate_the_emr_does_not_tell_makes_the_night_partial(
    fault: Fault, database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        clinic.run()
        network.fail("GET Task?", empty(), always=True)
        network.fail("GET Task/", fault, always=True)
        report = clinic.run()
        assert (report["status"], report["deleted"]) == ("partial", 0)
        assert any("1 Task" in problem and "did not say" in problem for problem in report["problems"])
        network.heal()
        assert clinic.run()["status"] == "complete"
        assert not clinic.row("Task").deleted


@SQLITE
def test_nights_that_fail_keep_no_more_landing_folders_than_others(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        clinic.settings = clinic.settings.model_copy(update={"keep_landing_runs": 2})
        clinic.tools = clinic.tools._replace(settings=clinic.settings)
        network.fail("", answers(403), always=True)
        for _ in range(4):
            with pytest.raises(EmrError):
                clinic.run()
        landing = tmp_path / "data" / "landing"
        assert 1 <= len(list((landing / "clinic").iterdir())) <= 2, "and a night goes on in the last one's"
        private = {path.stat().st_mode & 0o777 for path in (landing, *landing.rglob("*")) if path.is_dir()}
        files = {path.stat().st_mode & 0o777 for path in landing.rglob("*") if path.is_file()}
        assert (private, files) == ({0o700}, {0o600})
