"""Fixtures for every test: the two stores and the foreign EMR (tests/real)."""

pytest_plugins = ["tests.real.postgresql", "tests.real.stores", "tests.real.foreign_emr"]
