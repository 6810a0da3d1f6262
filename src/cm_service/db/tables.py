"""The tables, in the order of the flow. Every row carries its EMR connection (`emr`, its slug).

Instants are stored in UTC. Ids of FHIR resources are up to 128 characters (Epic's have 88).
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcDateTime(sa.TypeDecorator[dt.datetime]):
    """An aware instant; SQLite keeps no offset, so it goes in and comes out as UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        if value is None:
            return None
        utc = value.astimezone(dt.UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: dt.datetime | None, _dialect: Dialect) -> dt.datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


class Base(DeclarativeBase):
    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        dt.datetime: UtcDateTime(),
        dict[str, Any]: sa.JSON(),
        list[str]: sa.JSON(),
        str: sa.String(255),
    }


def emr_key(**options: Any) -> Any:
    return mapped_column(sa.ForeignKey("emr.slug", ondelete="CASCADE"), **options)


class Instance(Base):
    """One row: what must never change under a running installation (rules.md 6.11)."""

    __tablename__ = "instance"
    id: Mapped[int] = mapped_column(primary_key=True)
    identifier_base: Mapped[str] = mapped_column(sa.Text)


class Emr(Base):
    """An EMR connection. `settings` holds rule parameters and connection settings as KEY: VALUE."""

    __tablename__ = "emr"
    slug: Mapped[str] = mapped_column(primary_key=True)
    base_url: Mapped[str] = mapped_column(sa.Text)
    timezone: Mapped[str]
    auth: Mapped[str]
    token_reference: Mapped[str | None] = mapped_column(sa.Text)  # "env:NAME" or "file:PATH", never a secret
    # How tokens are asked for: KEY: VALUE of `emr set auth.KEY`, secrets and private keys by reference.
    auth_options: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    group_id: Mapped[str | None]
    practice: Mapped[str | None]
    owner: Mapped[str | None]
    write_mode: Mapped[str]
    settings: Mapped[dict[str, Any]]
    profile: Mapped[str | None]  # name of a vendor profile (fhir/profiles)
    pull: Mapped[str | None]  # search, export, export-system; None: as the profile says
    roster: Mapped[str | None] = mapped_column(sa.Text)  # "file:PATH" with one Patient id a line
    test_patient: Mapped[str | None]  # the one patient in whose chart a probe may write
    paused_at: Mapped[dt.datetime | None]  # since then nothing is written to it
    max_writes: Mapped[int | None]  # requests that write, in one night; None: the usual number
    # How this service is registered for SMART launches: KEY: VALUE of `emr set launch.KEY`.
    launch_options: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    restored_at: Mapped[dt.datetime | None]  # the ledger lacks what an older store sent (lost, or a backup)
    # How it notifies us: KEY: VALUE of `emr set notify-KEY`, the secret by reference.
    notify_options: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    # Who signs CDS Hooks calls for this EMR, and with which keys (one of the two).
    cds_issuer: Mapped[str | None] = mapped_column(sa.Text)
    cds_jwks: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    cds_jwks_url: Mapped[str | None] = mapped_column(sa.Text)
    created_at: Mapped[dt.datetime]
    __table_args__ = (sa.Index("uq_emr_cds_issuer", "cds_issuer", unique=True),)


class Run(Base):
    """One night. `types` says per FHIR type how its reading ended; `figures` is the summary."""

    __tablename__ = "run"
    id: Mapped[int] = mapped_column(primary_key=True)
    emr: Mapped[str] = emr_key(index=True)
    as_of: Mapped[dt.datetime]
    started_at: Mapped[dt.datetime]
    ended_at: Mapped[dt.datetime | None]
    source: Mapped[str]
    status: Mapped[str]
    types: Mapped[dict[str, Any]]
    figures: Mapped[dict[str, Any]]


class ExportJob(Base):
    """A bulk export that the EMR makes for us. `url` is sealed, `asked` says what of."""

    __tablename__ = "export_job"
    emr: Mapped[str] = emr_key(primary_key=True)
    url: Mapped[str] = mapped_column(sa.Text)
    asked: Mapped[str] = mapped_column(sa.Text)
    since: Mapped[dt.datetime | None]
    begun: Mapped[dt.datetime]


class Reject(Base):
    """A line that could not be used: its place and why. `hole` makes the run partial."""

    __tablename__ = "reject"
    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(sa.ForeignKey("run.id", ondelete="CASCADE"), index=True)
    file: Mapped[str] = mapped_column(sa.Text)  # as long as a path may be
    line: Mapped[int]
    type: Mapped[str]
    patient_id: Mapped[str | None]
    reason: Mapped[str]
    sentence: Mapped[str] = mapped_column(sa.Text)
    hole: Mapped[bool]


class Record(Base):
    """All facts of one patient id in one row. `survivor` is the id under which decisions are made
    (after merges); `evaluated_by` names rules, parameters, zone and unread types of the decision."""

    __tablename__ = "record"
    emr: Mapped[str] = emr_key(primary_key=True)
    patient_id: Mapped[str] = mapped_column(primary_key=True)
    survivor: Mapped[str]
    facts: Mapped[bytes]
    digest: Mapped[str]
    holes: Mapped[list[str]]
    due: Mapped[bool]
    stable_until: Mapped[dt.datetime | None]
    evaluated_by: Mapped[str]
    __table_args__ = (
        sa.Index("ix_record_survivor", "emr", "survivor"),
        sa.Index("ix_record_stable", "emr", "stable_until"),
    )


class Absence(Base):
    """A patient whom the roster of this EMR does not name: since the night `since`, and `again` in a later
    one. The id is that of the survivor."""

    __tablename__ = "absence"
    emr: Mapped[str] = emr_key(primary_key=True)
    patient_id: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[dt.datetime]
    again: Mapped[bool]


class ResourceOwner(Base):
    """(EMR, Type/id) -> patient: serves deletions and resources that change their subject."""

    __tablename__ = "resource_owner"
    emr: Mapped[str] = emr_key(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    patient_id: Mapped[str]
    __table_args__ = {"sqlite_with_rowid": False}


class Place(Base):
    """A Location or Organization, shared between patients."""

    __tablename__ = "place"
    emr: Mapped[str] = emr_key(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fact: Mapped[bytes]


class DecisionRow(Base):
    """The last decision per patient and rule, as the JSON line of the contract. It is under `labels`
    (db.confidential); whoever may not read those is shown `others_line` instead (None: nothing)."""

    __tablename__ = "decision"
    emr: Mapped[str] = emr_key(primary_key=True)
    patient_id: Mapped[str] = mapped_column(primary_key=True)
    rule: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[str]
    line: Mapped[bytes]
    digest: Mapped[str]
    changed_at: Mapped[dt.datetime]
    labels: Mapped[str] = mapped_column(server_default="")
    others_outcome: Mapped[str | None]
    others_line: Mapped[bytes | None]
    __table_args__ = (sa.Index("ix_decision_outcome", "emr", "rule", "outcome"),)


class DeclineRow(Base):
    """Our own record that a patient said no to an offer: leave alone until `until` (GX-03)."""

    __tablename__ = "decline"
    id: Mapped[int] = mapped_column(primary_key=True)
    emr: Mapped[str] = emr_key()
    patient_id: Mapped[str]
    intent_id: Mapped[int] = mapped_column(sa.ForeignKey("intent.id"), unique=True)
    at: Mapped[dt.datetime]
    until: Mapped[dt.datetime]
    __table_args__ = (sa.Index("ix_decline_patient", "emr", "patient_id"),)


class Intent(Base):
    """A thing wanted in the EMR, under one business identifier for ever (rules.md 6.11). `labels` of what
    it was ever made from stay with it (db.confidential)."""

    __tablename__ = "intent"
    id: Mapped[int] = mapped_column(primary_key=True)
    emr: Mapped[str] = emr_key()
    patient_id: Mapped[str]  # the survivor today
    kind: Mapped[str]
    business_key: Mapped[str] = mapped_column(sa.Text)
    system: Mapped[str]
    value: Mapped[str]
    rule: Mapped[str]
    code: Mapped[str]
    subject: Mapped[str] = mapped_column(sa.Text)
    urgency: Mapped[int]
    wanted: Mapped[str] = mapped_column(sa.Text)  # FHIR JSON text: decimals keep their zeros
    held_until: Mapped[dt.datetime | None]  # nothing is sent before: a person may still undo it
    created_at: Mapped[dt.datetime]
    updated_at: Mapped[dt.datetime]
    accepted_at: Mapped[dt.datetime | None]  # a person took it: it may go where it cannot be taken back
    accepted_by: Mapped[str | None]
    labels: Mapped[str] = mapped_column(server_default="")
    __table_args__ = (
        sa.UniqueConstraint("emr", "system", "value"),
        sa.Index("ix_intent_patient", "emr", "patient_id"),
    )


class Placement(Base):
    """Where an intent was put. `sent` is what we last sent (an element that we took out is null in it);
    `base` the EMR's own JSON when we last knew whose every element was (None: adopted and not yet
    planned), `current` the same as last read (None: not read back yet, and `base` is what our write
    replaced), `human` the top-level elements that somebody else made theirs, `deleted` that somebody
    deleted it there. `sent_at` is when the last request left that may have arrived (None: none ever did),
    `astray` what was sent before the last time and was never seen to arrive, `missed_at` when a search
    first did not show what an answer that was lost may have brought; both moments by the real clock,
    whatever night is being calculated.
    `attempts` counts what was sent since the last success."""

    __tablename__ = "placement"
    id: Mapped[int] = mapped_column(primary_key=True)
    intent_id: Mapped[int] = mapped_column(sa.ForeignKey("intent.id", ondelete="CASCADE"))
    rung: Mapped[str]
    state: Mapped[str]
    reference: Mapped[str | None]
    version: Mapped[str | None]
    sent: Mapped[str | None] = mapped_column(sa.Text)
    astray: Mapped[list[str]] = mapped_column(server_default="[]")
    base: Mapped[str | None] = mapped_column(sa.Text)
    current: Mapped[str | None] = mapped_column(sa.Text)
    human: Mapped[list[str]]
    deleted: Mapped[bool]
    reason: Mapped[str | None] = mapped_column(sa.Text)
    attempts: Mapped[int]
    sent_at: Mapped[dt.datetime | None]
    missed_at: Mapped[dt.datetime | None]
    degraded: Mapped[str | None] = mapped_column(sa.Text)  # why it is on no higher rung, in words
    refused_status: Mapped[int | None]  # with which the EMR refused the last request, if it did
    # Superseded by a higher rung, and the EMR does not show that yet.
    closing: Mapped[bool] = mapped_column(server_default=sa.false())
    updated_at: Mapped[dt.datetime]
    __table_args__ = (
        # The promise "at most one placement is open" is kept by the database, not by code.
        sa.Index(
            "uq_placement_open",
            "intent_id",
            unique=True,
            sqlite_where=sa.text("state <> 'superseded'"),
            postgresql_where=sa.text("state <> 'superseded'"),
        ),
        sa.Index("ix_placement_state", "state"),
        sa.Index("ix_placement_intent", "intent_id"),
    )


class PassportVerb(Base):
    """What one EMR can do with one resource type by one verb: four facts, each with its date.

    `declared`, `granted` and `allowed` are yes, no or unknown; `allowed_on` is the date of the vendor
    profile's source. `worked_*` is the last success, `refused_*` the last refusal that speaks against
    the verb itself, `refusals` how many of them came since the last success."""

    __tablename__ = "passport_verb"
    emr: Mapped[str] = emr_key(primary_key=True)
    resource: Mapped[str] = mapped_column(primary_key=True)
    verb: Mapped[str] = mapped_column(primary_key=True)
    declared: Mapped[str]
    declared_at: Mapped[dt.datetime | None]
    granted: Mapped[str]
    granted_at: Mapped[dt.datetime | None]
    allowed: Mapped[str]
    allowed_on: Mapped[str | None]
    allowed_note: Mapped[str] = mapped_column(sa.Text)
    worked_status: Mapped[int | None]
    worked_at: Mapped[dt.datetime | None]
    refused_status: Mapped[int | None]
    refused_at: Mapped[dt.datetime | None]
    refusals: Mapped[int]


class PassportFact(Base):
    """Anything else that was seen of an EMR; `resource` is "" for what holds of all its types."""

    __tablename__ = "passport_fact"
    emr: Mapped[str] = emr_key(primary_key=True)
    resource: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    detail: Mapped[dict[str, Any]]
    at: Mapped[dt.datetime]


class PassportChange(Base):
    """A fact that is no longer what the passport said, in words."""

    __tablename__ = "passport_change"
    id: Mapped[int] = mapped_column(primary_key=True)
    emr: Mapped[str] = emr_key(index=True)
    at: Mapped[dt.datetime]
    text: Mapped[str] = mapped_column(sa.Text)


class DeletionApproval(Base):
    """A person looked at run `run_id`: up to `most` resources of this type were really deleted."""

    __tablename__ = "deletion_approval"
    emr: Mapped[str] = emr_key(primary_key=True)
    type: Mapped[str] = mapped_column(primary_key=True)
    most: Mapped[int]
    run_id: Mapped[int]
    at: Mapped[dt.datetime]


class SyncCursor(Base):
    """What one search gave for the next one of its kind. `query` says what is asked for ("": the whole
    type), `patient_id` within whom ("": everybody). `value` is the server's moment from which on the next
    one asks (None: it reads everything), `as_of` that of the last night in which it was read to its end,
    `whole_at` of the last one in which not only changes were."""

    __tablename__ = "sync_cursor"
    emr: Mapped[str] = emr_key(primary_key=True)
    type: Mapped[str] = mapped_column(primary_key=True)
    query: Mapped[str] = mapped_column(primary_key=True)
    patient_id: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[dt.datetime | None]
    as_of: Mapped[dt.datetime]
    whole_at: Mapped[dt.datetime | None]
