"""A Bulk Data client that nobody here wrote: smart-fetch, from PyPI.

make bulk-client                                     once: 90 MB into tests/real/bulk_client/.venv
exported(base, folder, "--type=Patient")             what it wrote: type -> resources
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.real.parts import missing

PROGRAM = Path(__file__).parent / ".venv" / "bin" / "smart-fetch"


def run(base: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`smart-fetch bulk`, without a token."""
    if not PROGRAM.is_file():
        missing("the Bulk Data client is not installed: run `make bulk-client`")
    command = [str(PROGRAM), "bulk", str(folder), f"--fhir-url={base}", "--no-compression", *options]
    home = {**os.environ, "HOME": str(folder.parent)}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=home)


def exported(base: str, folder: Path, *options: str) -> dict[str, list[dict[str, Any]]]:
    """All that it exported, by type (deletions are Bundles)."""
    done = run(base, folder, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, list[dict[str, Any]]] = {}
    for path in folder.rglob("*.ndjson"):
        if path.name != "log.ndjson":
            for line in path.read_text().splitlines():
                resource = json.loads(line)
                found.setdefault(resource["resourceType"], []).append(resource)
    return found
