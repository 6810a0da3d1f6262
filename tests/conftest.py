"""Fixtures for every test: the two stores and the foreign EMR (tests/real)."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler.loadfile import LoadFileScheduling

pytest_plugins = ["tests.real.postgresql", "tests.real.stores", "tests.real.foreign_emr"]


class ByFile(LoadFileScheduling):
    """A file stays in one worker, for its fixtures' sake, and so does everything that needs the foreign
    EMR: one server takes 20 seconds to start, and 1 GB. (Groups of xdist 3.8 come to nothing on pytest 9.)"""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return "the foreign EMR" if file.startswith(("tests/contract/", "tests/foreign/")) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-points",
        action="store_true",
        help="kill the service at every point with every EMR, not at a sample of them",
    )
