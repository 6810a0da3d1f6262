"""Was a backup put back? The newest run of each EMR is also noted beside the store, in the data folder: a
store that knows less than that is older than what was sent to the EMR."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from cm_service.db import sync
from cm_service.db.engine import Database
from cm_service.errors import Misconfigured

FILE = "newest-runs.json"
_RESTORED = (
    "this store is older than the last night that ran here: if a backup was put back, say so with "
    "`cm-service ledger restored --since INSTANT` before anything is written"
)


def check(db: Database, data_dir: Path, emr: str) -> None:
    """Raises Misconfigured. A store without any run was lost, not restored: that one finds by itself what
    it had written."""
    noted = _noted(data_dir).get(emr)
    with db.read() as connection:
        newest = sync.newest_run(connection, emr)
    if noted is not None and newest is not None and newest < noted:
        raise Misconfigured(_RESTORED)


def was_lost(db: Database, data_dir: Path, emr: str) -> bool:
    """Nights ran here, and the store knows of none: it was lost, or the EMR was removed and added again."""
    with db.read() as connection:
        return emr in _noted(data_dir) and sync.newest_run(connection, emr) is None


def forget(data_dir: Path, emr: str) -> None:
    """The EMR was removed: any store is new enough for it, but nights ran here."""
    if emr in _noted(data_dir):
        note(data_dir, emr, 0)


def note(data_dir: Path, emr: str, run_id: int | None) -> None:
    """From here on the store must know at least this run; None: whatever it knows."""
    runs = {**_noted(data_dir), emr: run_id}
    kept = {slug: number for slug, number in runs.items() if number is not None}
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = data_dir / f".{FILE}-{os.getpid()}"
    draft.write_bytes(msgspec.json.encode(kept))
    draft.replace(data_dir / FILE)


def _noted(data_dir: Path) -> dict[str, int]:
    try:
        return msgspec.json.decode((data_dir / FILE).read_bytes(), type=dict[str, int])
    except (FileNotFoundError, msgspec.MsgspecError):
        return {}
