"""Metrics from the store, computed when somebody asks: counts, times and types; never a patient."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cm_service.db import connections, cursors, hints, ledger, sync
from cm_service.db.engine import Database

Rows = Iterable[tuple[list[str], float]]
READ = ("complete", "absent")  # of a type: to its end, or there is nothing to read


class Stored(Collector):
    """A snapshot; a store that cannot be asked shows as `cm_store_up 0`, and hides nothing else."""

    def __init__(self, store: Database, doors: Database, now: dt.datetime) -> None:
        self._store, self._doors, self._now = store, doors, now

    def describe(self) -> Iterator[Metric]:
        """Nothing beforehand: registering must not ask the store."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        try:
            found = [*self._of_nights(), *self._of_notifications()]
        except (sa.exc.SQLAlchemyError, OSError):
            yield _gauge("cm_store_up", "Whether the store answers", [], [([], 0)])
            return
        yield _gauge("cm_store_up", "Whether the store answers", [], [([], 1)])
        yield from found

    def _of_nights(self) -> Iterator[Metric]:
        with self._store.read() as connection:
            slugs = [row.slug for row in connections.list_emrs(connection)]
            complete = {slug: sync.last_complete(connection, slug) for slug in slugs}
            last = {slug: sync.last_pull(connection, slug) for slug in slugs}
            runs = {slug: sync.count_runs(connection, slug) for slug in slugs}
            states = {slug: ledger.count_states(connection, slug) for slug in slugs}
            held = {slug: cursors.as_of(connection, slug) for slug in slugs}
        yield _gauge(
            "cm_last_complete_night_timestamp_seconds",
            "As of when the last night was that proved itself complete",
            ["emr"],
            [([slug], moment.timestamp()) for slug, moment in complete.items() if moment],
        )
        yield from _of_last(last)
        yield _gauge("cm_runs", "Runs that are kept", ["emr", "status"], _flat(runs))
        yield _gauge("cm_ledger", "Intents by their state", ["emr", "state"], _flat(states))
        yield _gauge(
            "cm_lag_seconds",
            "How old what is held of a type is, of the patient of whom it is oldest",
            ["emr", "type"],
            [
                ([slug, kind], (self._now - said["oldest"]).total_seconds())
                for slug, types in held.items()
                for kind, said in types.items()
            ],
        )

    def _of_notifications(self) -> Iterator[Metric]:
        with self._doors.read() as connection:
            waiting = hints.waiting(connection)
            known = hints.subscriptions(connection)
        yield _gauge(
            "cm_hints_waiting",
            "Notifications that are not followed yet",
            ["emr"],
            [([emr], number) for emr, (number, _) in waiting.items()],
        )
        yield _gauge(
            "cm_hints_oldest_seconds",
            "Since when the oldest of them waits",
            ["emr"],
            [([emr], (self._now - since).total_seconds()) for emr, (_, since) in waiting.items()],
        )
        labels = ["emr", "subscription"]
        names = [[row.emr, row.subscription] for row in known]
        silent = [(self._now - row.heard_at).total_seconds() for row in known]
        well = [float(row.status not in ("off", "error")) for row in known]
        gaps = [float(row.gaps) for row in known]
        yield _gauge("cm_subscription_silent_seconds", "Since it last spoke", labels, _zip(names, silent))
        yield _gauge("cm_subscription_up", "0 when its EMR says error or off", labels, _zip(names, well))
        yield _gauge(
            "cm_subscription_gaps", "How often event numbers were missing", labels, _zip(names, gaps)
        )


def _of_last(last: dict[str, Any]) -> Iterator[Metric]:
    """What the newest pull that ended was like."""
    runs = {slug: run for slug, run in last.items() if run is not None}
    types = [(slug, kind, said) for slug, run in runs.items() for kind, said in run.types.items()]
    yield _gauge(
        "cm_last_night_complete",
        "1 when the last night proved itself complete, 0 when not",
        ["emr"],
        [([slug], float(run.status == "complete")) for slug, run in runs.items()],
    )
    for figure, words in (("rejects", "Lines in quarantine"), ("holes", "Lines that leave a hole")):
        rows = [([slug], float(run.figures.get(figure, 0))) for slug, run in runs.items()]
        yield _gauge(f"cm_last_night_{figure}", f"{words}, of the last night", ["emr"], rows)
    for figure in ("pages", "resources"):
        rows = [([slug, kind], float(said.get(figure, 0))) for slug, kind, said in types]
        yield _gauge(f"cm_last_night_{figure}", f"{figure} read, of the last night", ["emr", "type"], rows)
    unread = [([slug, kind], float(said["status"] not in READ)) for slug, kind, said in types]
    yield _gauge("cm_last_night_unread", "1: a type was not read to its end", ["emr", "type"], unread)


def _flat(counts: dict[str, dict[str, int]]) -> Rows:
    return [([slug, name], number) for slug, some in counts.items() for name, number in some.items()]


def _zip(names: list[list[str]], values: list[float]) -> Rows:
    return list(zip(names, values, strict=True))


def _gauge(name: str, words: str, labels: list[str], rows: Rows) -> Metric:
    gauge = GaugeMetricFamily(name, words, labels=labels)
    for values, number in rows:
        gauge.add_metric(values, number)
    return gauge
