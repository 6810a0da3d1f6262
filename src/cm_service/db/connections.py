"""EMR connections and the instance's own fixed facts."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from cm_service.db.tables import Emr, Instance
from cm_service.errors import BadInput, Lost, Misconfigured

_OF_SLUG = sa.select(Emr.__table__).where(Emr.slug == sa.bindparam("of_slug"))  # asked at every step


def fix_identifier_base(connection: sa.Connection, base: str) -> None:
    """Store the base at the first run; raises Misconfigured when another one comes later, since
    every identifier in every EMR was minted under the first."""
    stored = connection.scalar(sa.select(Instance.identifier_base))
    if stored is None:
        connection.execute(sa.insert(Instance).values(id=1, identifier_base=base))
    elif stored != base:
        raise Misconfigured(
            f"CM_IDENTIFIER_BASE is {base} but this installation began with {stored}: set it back"
        )


def add_emr(connection: sa.Connection, *, now: dt.datetime, **columns: Any) -> None:
    if connection.scalar(sa.select(Emr.slug).where(Emr.slug == columns["slug"])) is not None:
        raise BadInput(f"an EMR with the slug {columns['slug']} is already there: use `emr set`")
    connection.execute(sa.insert(Emr).values(created_at=now, **columns))


def get_emr(connection: sa.Connection, slug: str) -> Any:
    row = connection.execute(_OF_SLUG, {"of_slug": slug}).one_or_none()
    if row is None:
        raise Lost(f"there is no EMR with the slug {slug}")
    return row


def emr_of_cds_issuer(connection: sa.Connection, issuer: str) -> Any | None:
    """The EMR for which this issuer signs CDS Hooks calls, None if there is none."""
    return connection.execute(sa.select(Emr.__table__).where(Emr.cds_issuer == issuer)).one_or_none()


def list_emrs(connection: sa.Connection) -> list[Any]:
    return list(connection.execute(sa.select(Emr.__table__).order_by(Emr.slug)))


def remove_emr(connection: sa.Connection, slug: str) -> None:
    """The connection, and with it every row that carries its slug."""
    get_emr(connection, slug)
    connection.execute(sa.delete(Emr).where(Emr.slug == slug))


def update_emr(connection: sa.Connection, slug: str, **columns: Any) -> None:
    get_emr(connection, slug)
    connection.execute(sa.update(Emr).where(Emr.slug == slug).values(**columns))
