"""The real parts keep their promises, so that a test which leans on them fails for its own reason."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from cm_service.db.engine import Database
from tests.real.loading import with_plain_references
from tests.real.parts import missing, running


def test_a_missing_part_is_skipped_on_a_laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no such part"):
        missing("no such part")


def test_a_missing_part_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no such part"):
        missing("no such part")


def test_every_store_comes_with_the_current_schema(database: Database) -> None:
    database.require_current()


def test_an_empty_store_holds_no_table(empty_database_url: str, tmp_path: Path) -> None:
    database = Database(empty_database_url, lock_dir=tmp_path)
    with database.read() as connection:
        assert sa.inspect(connection).get_table_names() == []
    database.engine.dispose()


@pytest.mark.parametrize("visit", ["first", "second"])
def test_no_test_sees_the_store_of_another(database: Database, visit: str) -> None:
    with database.write() as connection:
        assert not sa.inspect(connection).has_table("left_behind")
        connection.execute(sa.text("CREATE TABLE left_behind (visit TEXT)"))


def test_a_program_ends_with_its_block_also_when_the_test_fails(tmp_path: Path) -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    with pytest.raises(ZeroDivisionError), running(sleeper, log=tmp_path / "log", cwd=tmp_path) as process:
        _ = 1 / 0
    assert process.returncode is not None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie one process to another")
def test_a_program_ends_when_the_test_run_is_killed(tmp_path: Path) -> None:
    runner = (
        "import sys, time; from pathlib import Path; from tests.real.parts import running\n"
        f"here = Path({str(tmp_path)!r})\n"
        "with running(['sleep', '60'], log=Path('/dev/null'), cwd=here) as process:\n"
        "    print(process.pid, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", runner], stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        orphan = Path("/proc") / killed.stdout.readline().strip()
        while (orphan / "comm").read_text() != "sleep\n":  # tied to its parent by then
            time.sleep(0.01)
        killed.kill()
    subprocess.run(["timeout", "10", "tail", f"--pid={orphan.name}", "-f", "/dev/null"], check=True)


def test_a_conditional_reference_becomes_the_id_that_it_means() -> None:
    clinic = {"resourceType": "Organization", "id": "o1", "identifier": [{"system": "s", "value": "v"}]}
    visit = {"resourceType": "Encounter", "serviceProvider": {"reference": "Organization?identifier=s|v"}}
    (plain,) = with_plain_references([visit], [clinic])
    assert plain["serviceProvider"] == {"reference": "Organization/o1"}


def test_a_conditional_reference_that_leads_nowhere_is_an_error() -> None:
    visit = {"resourceType": "Encounter", "serviceProvider": {"reference": "Organization?identifier=s|v"}}
    with pytest.raises(KeyError):
        with_plain_references([visit], [])
