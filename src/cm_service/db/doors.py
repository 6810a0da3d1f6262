"""What the machine doors keep: clients, tokens, what was used up, and the audit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import sqlalchemy as sa

from cm_service.db.door_tables import AccessToken, AuditEntry, CdsFeedback, Client, UsedToken
from cm_service.db.engine import Database
from cm_service.db.sync import Rows, upsert
from cm_service.errors import Lost


class Access(NamedTuple):
    """One line of the audit: `action` is the operation's id, `purpose` an HL7 PurposeOfUse code."""

    at: dt.datetime
    who: str
    emr: str | None
    patient_id: str | None
    action: str
    purpose: str
    outcome: int
    request_id: str


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


# --- clients


def add_client(connection: sa.Connection, **columns: Any) -> None:
    connection.execute(sa.insert(Client).values(disabled_at=None, **columns))


def client(connection: sa.Connection, client_id: str) -> Any | None:
    """The client, also a disabled one; None if there is none of this id."""
    return connection.execute(sa.select(Client.__table__).where(Client.id == client_id)).one_or_none()


def clients(connection: sa.Connection) -> list[Any]:
    return list(connection.execute(sa.select(Client.__table__).order_by(Client.created_at, Client.id)))


def disable_client(connection: sa.Connection, client_id: str, *, now: dt.datetime) -> None:
    """No new tokens, and those that are out end at once. Raises Lost."""
    found = client(connection, client_id)
    if found is None:
        raise Lost("there is no client with this id")
    statement = sa.update(Client).where(Client.id == client_id, Client.disabled_at.is_(None))
    connection.execute(statement.values(disabled_at=now))
    connection.execute(sa.delete(AccessToken).where(AccessToken.client_id == client_id))


# --- single use


def use_once(database: Database, *, issuer: str, jti: str, expires_at: dt.datetime) -> bool:
    """True for the first one ever to come with this (issuer, jti), False for all others, on however
    many processes: the insert itself decides, and it is committed before anything is answered."""
    row = {"issuer_digest": digest(issuer), "jti_digest": digest(jti), "expires_at": expires_at}
    try:
        with database.write() as connection:
            connection.execute(sa.insert(UsedToken).values(**row))
    except sa.exc.IntegrityError:
        return False
    return True


# --- access tokens


def keep_token(
    connection: sa.Connection, token: str, *, client_id: str, scope: str, expires_at: dt.datetime
) -> None:
    row = {"digest": digest(token), "client_id": client_id, "scope": scope, "expires_at": expires_at}
    connection.execute(sa.insert(AccessToken).values(**row))


def token(connection: sa.Connection, text: str, *, now: dt.datetime) -> Any | None:
    """(client_id, scope, emrs) of a token that is alive and whose client is not disabled, else None."""
    statement = (
        sa.select(AccessToken.client_id, AccessToken.scope, Client.emrs)
        .join(Client, Client.id == AccessToken.client_id)
        .where(AccessToken.digest == digest(text), AccessToken.expires_at > now, Client.disabled_at.is_(None))
    )
    return connection.execute(statement).one_or_none()


def forget_expired(connection: sa.Connection, *, now: dt.datetime) -> None:
    """What is past its life can be used by nobody."""
    connection.execute(sa.delete(UsedToken).where(UsedToken.expires_at < now))
    connection.execute(sa.delete(AccessToken).where(AccessToken.expires_at < now))


# --- the audit


def audit(connection: sa.Connection, entries: Sequence[Access]) -> None:
    if entries:
        connection.execute(sa.insert(AuditEntry), [entry._asdict() for entry in entries])


def audited(
    connection: sa.Connection, *, emr: str | None = None, patient_id: str | None = None, limit: int = 1000
) -> list[Any]:
    """The newest lines first."""
    statement = sa.select(AuditEntry.__table__).order_by(AuditEntry.id.desc()).limit(limit)
    if emr is not None:
        statement = statement.where(AuditEntry.emr == emr)
    if patient_id is not None:
        statement = statement.where(AuditEntry.patient_id == patient_id)
    return list(connection.execute(statement))


def keep_feedback(connection: sa.Connection, rows: Rows) -> None:
    """Once per card and outcome; the newest words stand."""
    for row in rows:  # one by one: a list may name a card twice
        upsert(connection, CdsFeedback, [row])
