"""The run's own record: that it began, how it ended, and the figures by which it is judged."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from cm_service.db import care, ledger, placements, sync
from cm_service.db.engine import Database
from cm_service.flow.deliver import Delivery
from cm_service.flow.departed import ROSTER
from cm_service.flow.ours import KINDS as OUR_KINDS
from cm_service.flow.proof import Proof
from cm_service.flow.records import Stored
from cm_service.flow.sources import Source

SHOWN_HOLES = 20  # problems quoted in the summary; all of them stand in the table of rejects
RUNNING, COMPLETE, PARTIAL, FAILED = "running", "complete", "partial", "failed"


class Run:
    """As a context manager: an error inside ends the run as failed and goes on."""

    def __init__(
        self, db: Database, emr: str, as_of: dt.datetime, source: str, clock: Callable[[], dt.datetime]
    ) -> None:
        self.db, self.emr, self.clock = db, emr, clock
        with db.write() as connection:
            sync.close_dead_runs(connection, emr, ended=clock())
            last = sync.last_as_of(connection, emr)
            if last is not None and as_of < last:
                care.mark_all_due(connection, emr)  # `stable_until` looks forward only
            self.id = sync.start_run(connection, emr=emr, as_of=as_of, started=clock(), source=source)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._close(FAILED, {}, {"reason": kind.__name__})

    def end(
        self,
        source: Source,
        stored: Stored,
        proof: Proof,
        reconciled: Counter[str],
        judged: Counter[str],
        delivery: Delivery | None,
        *,
        dry: bool,
        seconds: float,
    ) -> dict[str, Any]:
        """The summary of the contract; also kept with the run."""
        problems = [*_problems(source, stored, reconciled, delivery), *proof.problems()]
        with self.db.read() as connection:
            outcomes = judged if dry else Counter(care.count_outcomes(connection, self.emr))
            patients = judged["patients"] if dry else len(care.patients(connection, self.emr))
            states = ledger.count_states(connection, self.emr)
            rungs = placements.count_rungs(connection, self.emr)
            degraded = placements.degraded(connection, self.emr)
        written = delivery.book.figures if delivery else Counter[str]()
        figures = {
            "patients": patients,
            "evaluated": judged["patients"],
            "decisions": sum(outcomes[name] for name in ("eligible", "not_eligible", "insufficient_data")),
            "eligible": outcomes["eligible"],
            "insufficient_data": outcomes["insufficient_data"],
            "rejects": len(source.rejects),
            "holes": sum(reject.is_hole for reject in source.rejects),
            "changed_records": stored.changed,
            "removed": stored.removed,
            "departed": len(stored.departed),
            "dropped_filters": sum(said.get("dropped_filters", 0) for said in source.types.values()),
            **{name: reconciled[name] for name in ("adopted", "changed", "deleted", "declined")},
            "intents": judged["intents"],
            "written": written["written"],
            **{name: written[name] for name in ("kept_theirs", "overwritten")},
            **{name: states.get(name, 0) for name in ("refused", "unknown", "conflict", "parked", "pending")},
            "degraded": sum(each["count"] for each in degraded),
            "seconds": round(seconds, 2),
        }
        status = PARTIAL if problems or figures["unknown"] else COMPLETE
        self._keep_rejects(source)
        figures |= {"sample": proof.figures(), "held_back": dict(stored.held_back), "problems": problems}
        self._close(status, source.types, figures)
        head = {"status": status, "emr": self.emr, "run": self.id}
        ladder = {"rungs": rungs, "degraded_by": degraded}
        return head | figures | ladder | {"types": source.types}

    def _keep_rejects(self, source: Source) -> None:
        rows = [
            {
                "run_id": self.id,
                "file": reject.file,
                "line": reject.line,
                "type": reject.type,
                "patient_id": reject.patient_id,
                "reason": reject.reason,
                "sentence": reject.sentence,
                "hole": reject.is_hole,
            }
            for reject in source.rejects
        ]
        with self.db.write() as connection:
            sync.add_rejects(connection, rows)

    def _close(self, status: str, types: dict[str, Any], figures: dict[str, Any]) -> None:
        with self.db.write() as connection:
            sync.end_run(connection, self.id, ended=self.clock(), status=status, types=types, figures=figures)


def _problems(
    source: Source, stored: Stored, reconciled: Counter[str], delivery: Delivery | None
) -> Iterator[str]:
    """What makes a run partial, each in one sentence with its place."""
    unread: dict[str, list[str]] = {}
    for kind, said in source.types.items():
        if said["status"] not in ("complete", "absent"):
            unread.setdefault(said.get("reason", said["status"]), []).append(kind)
    for reason, kinds in unread.items():  # what holds of fourteen types is said once
        yield f"{', '.join(kinds)} {'was' if len(kinds) == 1 else 'were'} not read to the end: {reason}"
    for kind, said in source.types.items():
        if failed := said.get("failed_patients"):
            yield f"{kind} of {failed} patients was not read: {said['first_failure']}"
    yield from source.problems
    holes = [reject for reject in source.rejects if reject.is_hole]
    for reject in holes[:SHOWN_HOLES]:
        yield f"{reject.place}: {reject.sentence}"
    if len(holes) > SHOWN_HOLES:
        yield f"and {len(holes) - SHOWN_HOLES} more lines that could not be read"
    for kind, count in sorted(stored.held_back.items()):
        if kind == ROSTER:
            yield (
                f"the roster lacks so many patients ({count}) that none of them counts as gone: was it cut"
                " short? If they left: cm-service sync approve-deletions with the number of this run"
            )
            continue
        yield (
            f"so many {kind} resources are missing ({count}) that none of them was removed: was a scope lost?"
            " If they were deleted: cm-service sync approve-deletions with the number of this run"
        )
    for kind in OUR_KINDS:
        if count := reconciled[f"missing {kind}"]:
            yield f"{count} {kind} resources that we wrote are missing: too many for people's doing"
        if count := reconciled[f"doubtful {kind}"]:
            yield f"{count} {kind} of ours missing in the search, and the EMR did not say what became of them"
    if delivery is not None and delivery.stopped_by:
        yield f"writing stopped: {delivery.stopped_by}"
