"""Locations and Organizations, which patients share: kept once, and a change makes their users due."""

from __future__ import annotations

from collections.abc import Mapping

from cm_service.db import care, sync
from cm_service.db.engine import Database
from cm_service.flow import record
from cm_service.flow.vanished import too_many
from cm_service.rules.facts import PlaceFact


def store_places(
    db: Database, emr: str, read: Mapping[str, PlaceFact], *, replaces: frozenset[str]
) -> dict[str, PlaceFact]:
    """Take in what was read; returns every place that is held now, by `Type/id`."""
    encoded = {key: record.encode_one(fact) for key, fact in read.items()}
    with db.write() as connection:
        held = sync.held_places(connection, emr)
        changed = {key for key, fact in encoded.items() if held.get(key) != fact}
        gone = {key for key in held.keys() - encoded.keys() if key.partition("/")[0] in replaces}
        if too_many(len(gone), len(held)):
            gone = set()
        sync.save_places(connection, emr, [(key, encoded[key]) for key in changed])
        sync.drop_places(connection, emr, gone)
        if changed | gone:
            care.mark_due(connection, emr, sync.users_of_places(connection, emr, changed | gone))
    left = {key: record.decode_one(fact) for key, fact in held.items() if key not in encoded.keys() | gone}
    return {**left, **read}
