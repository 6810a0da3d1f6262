"""Fixtures for every test: the two stores and the foreign EMR (tests/real)."""

from __future__ import annotations

import pytest

pytest_plugins = ["tests.real.postgresql", "tests.real.stores", "tests.real.foreign_emr"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-points",
        action="store_true",
        help="kill the service at every point with every EMR, not at a sample of them",
    )
