"""A row of `emr` and what its passport says, as a pull needs them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from cm_service.db import sync
from cm_service.fhir.vendor import Answer
from cm_service.flow.connection import concept_map_of
from cm_service.flow.passport.standing import Passport
from cm_service.flow.pull.reach import reaches
from cm_service.flow.pull.roster import listed
from cm_service.flow.pull.source import Source


def source_of(connection: sa.Connection, emr: Any, passport: Passport, *, now: dt.datetime) -> Source:
    """Raises BadInput for a roster file that cannot be used."""
    paging = passport.profile.paging
    return Source(
        slug=emr.slug,
        concept_map=concept_map_of(emr.settings),
        named=tuple(filter(None, (emr.practice, emr.owner))),
        reach=reaches(passport),
        listed=listed(emr.roster),
        group=emr.group_id,
        panel=tuple(sorted(sync.held_records(connection, emr.slug))),
        count=paging.count,
        snapshots=paging.snapshot == Answer.YES,
        now=now,
    )
