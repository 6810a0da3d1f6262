"""What may leave the process in a log."""

from __future__ import annotations

from cm_service.logs import keep_allowed


def test_a_key_that_nobody_allowed_is_dropped_and_counted() -> None:
    event = {
        "event": "type_read",
        "type": "Patient",
        "name": "Quackenbush",
        "url": "/Patient?name=Quackenbush",
    }
    assert keep_allowed(None, "info", event) == {
        "event": "type_read",
        "type": "Patient",
        "count_dropped_keys": 2,
    }
