"""The rules of the house that a reviewer would otherwise have to remember."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "cm_service"
MODULES = sorted(SOURCE.rglob("*.py"))
OPEN_TO_ALL = {"errors", "settings", "logs"}
# Imports go one way; what a part may use besides itself and what is open to all.
MAY_USE = {
    "rules": set(),
    "fhir": set(),
    "db": set(),
    "flow": {"rules", "fhir", "db"},
    "sandbox": {"rules", "fhir"},
    "wiring": {"rules", "fhir", "db", "flow"},
    "api": {"rules", "fhir", "db", "flow", "wiring"},
    "cli": {"rules", "fhir", "db", "flow", "wiring", "api", "sandbox"},
}
CLOCKS = {"now", "utcnow", "today"}
BUILDERS = {"create_engine", "Database", "Client", "AsyncClient", "EmrHttp", "FhirClient"}
# Where the classes themselves are made of their parts.
MAY_BUILD = {"wiring.py", "db/engine.py", "fhir/http.py"}


def part_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Dotted names of what a module imports, wherever in the file it does so."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def called(path: Path) -> Iterator[str]:
    """The last word of every function or method that a module calls."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
            yield str(name)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_one_way(path: Path) -> None:
    part = part_of(path)
    used = {name.split(".")[1] for name in imported(path) if name.startswith("cm_service.")}
    assert used - OPEN_TO_ALL - {part, "__version__"} <= MAY_USE.get(part, set())


def test_only_one_module_imports_the_fhir_models() -> None:
    users = {path for path in MODULES if any(name.startswith("fhir.") for name in imported(path))}
    assert users <= {SOURCE / "fhir" / "resources.py"}


@pytest.mark.parametrize("part", ["rules", "fhir", "db", "flow"])
def test_nothing_below_the_wiring_reads_the_wall_clock(part: str) -> None:
    readers = [path.name for path in (SOURCE / part).rglob("*.py") if CLOCKS & set(called(path))]
    assert readers == []


def test_rules_know_neither_the_machine_nor_chance() -> None:
    outside = {"time", "os", "random", "socket", "subprocess"}
    for path in (SOURCE / "rules").rglob("*.py"):
        assert not outside & {name.split(".")[0] for name in imported(path)}, path


def test_only_wiring_builds_engines_and_clients() -> None:
    builders = {path.relative_to(SOURCE).as_posix() for path in MODULES if BUILDERS & set(called(path))}
    assert builders <= MAY_BUILD


def test_no_file_is_longer_than_500_lines() -> None:
    assert [path.name for path in MODULES if len(path.read_text().splitlines()) > 500] == []


def test_no_committed_file_names_a_path_of_somebodys_machine() -> None:
    machine = re.compile(r"(?<![\w.~$}/-])/(?:root|home|Users|work)/\w")
    found = [path.relative_to(ROOT).as_posix() for path in committed() if machine.search(path.read_text())]
    assert found == []


def committed() -> Iterator[Path]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, names.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.endswith((".gz", ".png", ".ico")):
            yield ROOT / name


@pytest.mark.parametrize("path", sorted(ROOT.glob("requirements*.txt")), ids=lambda path: path.name)
def test_every_requirement_is_pinned_and_hashed_and_names_no_index(path: Path) -> None:
    text = re.sub(r"\s*#.*", "", path.read_text()).replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip()]
    assert lines
    assert [line for line in lines if "==" not in line or "--hash=sha256:" not in line] == []
    assert not re.search(r"https?:|--(?:extra-)?index-url|--find-links", text)


def test_the_image_runs_the_versions_that_were_tested() -> None:
    tested, shipped = (pins(ROOT / name) for name in ("requirements.txt", "requirements-image.txt"))
    assert shipped <= tested


def pins(path: Path) -> set[str]:
    return set(re.findall(r"^[\w.\[\]-]+==\S+", path.read_text(), re.MULTILINE))
