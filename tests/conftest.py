"""Fixtures for every test: the two stores and the foreign EMR (tests/real)."""

from __future__ import annotations

import pytest

pytest_plugins = ["tests.real.postgresql", "tests.real.stores", "tests.real.foreign_emr"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several workers (`-n`), a file stays in one of them, for its fixtures' sake, and so does
    everything that needs the foreign EMR: one server takes 20 seconds to start, and 1 GB."""
    foreign = {item.path for item in items if "foreign_emr" in getattr(item, "fixturenames", ())}
    for item in items:
        item.add_marker(pytest.mark.xdist_group("foreign EMR" if item.path in foreign else str(item.path)))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-points",
        action="store_true",
        help="kill the service at every point with every EMR, not at a sample of them",
    )
