"""What is written down stays true: settings, commands, OpenAPI, migrations."""

from __future__ import annotations

import json
from pathlib import Path

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from typer.testing import CliRunner

from cm_service.cli import app
from cm_service.db.engine import MIGRATIONS, Database
from cm_service.db.every_table import Base
from cm_service.rules.registry import RULES
from cm_service.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def settings_table() -> str:
    rows = []
    for name, field in Settings.model_fields.items():
        default = f"`{field.default}`" if str(field.default) else "empty"
        rows.append(f"| `CM_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def test_the_readme_lists_every_setting_with_its_default() -> None:
    listed = README.partition("<!-- settings -->\n")[2].partition("\n<!-- /settings -->")[0]
    assert listed == settings_table()


def test_the_readme_lists_every_rule() -> None:
    assert [rule.id for rule in RULES if f"| {rule.id} |" not in README] == []


def test_the_licence_is_there_and_the_notice_names_every_owner_of_code_sets() -> None:
    licence, notice = ((ROOT / name).read_text() for name in ("LICENSE", "NOTICE"))
    assert "Version 2.0, January 2004" in licence and "END OF TERMS AND CONDITIONS" in licence
    owners = {"LOINC": "Regenstrief Institute", "SNOMED": "SNOMED International"}
    for path in (ROOT / "src" / "cm_service" / "rules" / "data").glob("*.json"):
        said = json.loads(path.read_text())["licence_notice"]
        for name, owner in owners.items():
            assert name not in said or (owner in said and owner in notice), path.name


def test_the_readme_names_the_two_commands() -> None:
    assert "make demo" in README and "make test" in README


def test_the_openapi_document_is_the_one_that_the_service_makes() -> None:
    written = json.loads((ROOT / "openapi" / "cm_service.json").read_text())
    made = json.loads(CliRunner().invoke(app, ["openapi"]).stdout)
    assert written == made, "run `make openapi`"


def test_every_command_has_help() -> None:
    runner = CliRunner()
    for command in (
        *([name] for name in ("demo", "evaluate", "sync", "emr", "ledger", "serve", "sandbox")),
        *([name] for name in ("migrate", "doctor", "openapi", "panel")),
        *(["emr", name] for name in ("add", "list", "set", "check", "remove")),
        *(["keys", name] for name in ("rotate", "list")),
        ["sync", "status"],
        ["ledger", "list"],
    ):
        answer = runner.invoke(app, [*command, "--help"])
        assert answer.exit_code == 0, command
        assert "Usage" in answer.output


def test_the_migrations_make_exactly_the_tables_that_the_code_uses(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        drift = compare_metadata(context, Base.metadata)
    assert [change for change in drift if not _is_alembics_own(change)] == []


def test_the_migrations_are_one_road_from_one_beginning_to_one_head() -> None:
    scripts = ScriptDirectory(str(MIGRATIONS))
    assert (len(scripts.get_bases()), len(scripts.get_heads())) == (1, 1)
    steps = [script.down_revision for script in scripts.walk_revisions()]
    assert len(steps) == len(set(steps)) == len(list(MIGRATIONS.glob("versions/*.py")))


def _is_alembics_own(change: object) -> bool:
    table = change[1] if isinstance(change, tuple) else None
    return isinstance(table, sa.Table) and table.name == "alembic_version"


def test_the_care_managers_pictures_are_there_small_and_all_in_the_text() -> None:
    text = (ROOT / "docs" / "care-manager.md").read_text()
    pictures = sorted((ROOT / "docs" / "pictures").iterdir())
    assert 6 <= len(pictures) <= 10
    assert [each.name for each in pictures if f"(pictures/{each.name})" not in text] == []
    assert text.count("](pictures/") == len(pictures)
    assert [each.name for each in pictures if not 0 < each.stat().st_size <= 150_000] == []
