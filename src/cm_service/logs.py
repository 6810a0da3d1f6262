"""Structured logs on stderr, by allow-list: a key that is not listed here never leaves the process.

PHI cannot be logged by accident: names, values, search URLs and exception texts of other libraries
have no key. Whoever logs a new one adds it here, and says to the reviewer why it holds no PHI.
"""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import EventDict, WrappedLogger

ALLOWED = frozenset(
    {
        *("event", "host", "status", "type", "pages", "resources", "intent", "kind"),
        *("scopes", "seconds"),  # SMART's words without patients; by how much two clocks differ
    }
)


def keep_allowed(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Drop every key that is not on the list, and say how many were dropped."""
    kept = {key: value for key, value in event.items() if key in ALLOWED}
    if len(kept) < len(event):
        kept["count_dropped_keys"] = len(event) - len(kept)
    return kept


def configure(level: str) -> None:
    structlog.configure(
        processors=[
            keep_allowed,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # as it is when something is said
    )


log = structlog.get_logger()
configure("WARNING")  # structlog's own default writes everything to stdout, which is for data
