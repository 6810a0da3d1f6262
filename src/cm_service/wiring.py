"""The one place that builds engines, HTTP clients and clocks. `api` and `cli` get theirs here."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import httpx
import sqlalchemy as sa

from cm_service.db import connections
from cm_service.db.engine import Database
from cm_service.db.sealed import Sealer, key_in_file
from cm_service.errors import BadInput, Misconfigured
from cm_service.fhir import vendor
from cm_service.fhir.client import FhirClient
from cm_service.fhir.credentials import Credentials, NoCredentials, StaticBearer
from cm_service.fhir.discovery import MAX_BYTES
from cm_service.fhir.http import EmrHttp, trusted
from cm_service.fhir.keyring import KeyRing
from cm_service.fhir.outside import OutsideHttp
from cm_service.fhir.pace import Pace
from cm_service.fhir.proofs import ClientSecret, PrivateKeyJwt, Prover
from cm_service.fhir.scopes import Wanted
from cm_service.fhir.signing import ALGORITHMS, Signer, signer_of
from cm_service.fhir.smart import Registration, TokenCredentials
from cm_service.fhir.vendor import Answer, Verb
from cm_service.flow import notices, passport, subscribing
from cm_service.flow.passport.paper import WRITTEN
from cm_service.flow.tools import Tools
from cm_service.flow.wanted import CODED, REFERENCED, WHOLE
from cm_service.settings import Settings

_ONE_TOKEN = re.compile(r"[!-~]+")  # what fits into a header
_TOKEN_SECONDS = 30.0  # a token endpoint that takes longer is down


def now() -> dt.datetime:
    """The one clock of the process."""
    return dt.datetime.now(dt.UTC)


def instant(text: str | None) -> dt.datetime:
    """`--as-of`: an RFC 3339 instant with its offset; without one, now."""
    if text is None:
        return now()
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"{text!r} is no instant such as 2026-11-20T20:00:00-05:00") from error
    if moment.tzinfo is None:
        raise BadInput(f"{text!r} needs an offset, such as 2026-11-20T20:00:00-05:00")
    return moment


def zone(name: str) -> ZoneInfo:
    """An IANA zone. Raises BadInput."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadInput(f"{name!r} is no IANA time zone such as America/Detroit") from error


def database(settings: Settings) -> Database:
    """The store as it is, whatever its schema: for `cm-service migrate`. Raises Misconfigured."""
    with _clear_words():
        url = sa.make_url(settings.sqlalchemy_url)
        local = url.get_backend_name() == "sqlite" and url.database
        # Beside the database file: two data folders may share one, and the lease must be one, too.
        home = Path(url.database or "").parent if local else settings.data_dir
        return Database(settings.sqlalchemy_url, lock_dir=home / "locks")


def open_database(settings: Settings) -> Database:
    """The store, with its schema current: the embedded default is migrated at once, a server only
    by `cm-service migrate`. Raises Misconfigured."""
    opened = database(settings)
    with _clear_words():
        if opened.is_sqlite:
            opened.migrate()
        opened.require_current()
        with opened.write() as connection:
            connections.fix_identifier_base(connection, settings.identifier_base)
    return opened


def sealer(settings: Settings) -> Sealer:
    """Encrypts what the store must not hold in clear. Raises Misconfigured."""
    given = [key.strip() for key in settings.secret_key.get_secret_value().split(",") if key.strip()]
    try:
        return Sealer(given or [key_in_file(settings.data_dir / "keys" / "store.key")])
    except OSError as error:
        raise Misconfigured(f"the key of the store cannot be kept ({type(error).__name__})") from None


def both_stores(settings: Settings) -> tuple[Database, Database]:
    """The practice's store, and that of the machine doors: on SQLite a file beside it, because the
    night's writer must not make a chart or a token wait; on PostgreSQL the same. Raises Misconfigured."""
    store = open_database(settings)
    if not store.is_sqlite or not store.engine.url.database:
        return store, store
    place = Path(store.engine.url.database)
    with _clear_words():
        doors = Database(
            f"sqlite:///{place.with_name(f'{place.stem}-doors.sqlite3')}", lock_dir=store.lock_dir
        )
        doors.migrate()
    return store, doors


def outside(settings: Settings) -> OutsideHttp:
    """For what is no EMR, such as key sets and webhooks: no proxy, no redirect, no cookie."""
    hosts = frozenset(filter(None, (host.strip() for host in settings.private_hosts.split(","))))

    def client() -> httpx.AsyncClient:
        known = trusted(by_environment=False)
        return httpx.AsyncClient(verify=known, follow_redirects=False, trust_env=False, timeout=5.0)

    return OutsideHttp(client, private_hosts=hosts)


@contextmanager
def _clear_words() -> Iterator[None]:
    """The driver's own words may hold a password."""
    try:
        yield
    except (sa.exc.SQLAlchemyError, OSError) as error:
        kind = type(error).__name__
        raise Misconfigured(f"the database cannot be opened ({kind}): see CM_DATABASE_URL") from None


@asynccontextmanager
async def fhir_client(settings: Settings, emr: Any) -> AsyncIterator[FhirClient]:
    """A client for one EMR connection (a row of `emr`), bounded as the settings say."""
    limit = vendor.load(emr.profile, extra=settings.extra_profiles).rate_limit
    http = EmrHttp(
        emr.base_url,
        credentials(settings, emr),
        concurrency=settings.read_concurrency,
        timeout_seconds=settings.read_timeout_seconds,
        attempts=settings.read_attempts,
        pace=Pace(limit.calls, limit.seconds) if limit else None,
        open_door=emr.auth_options.get("allow-unauthenticated") == "yes",
    )
    async with http:
        yield FhirClient(http)


@asynccontextmanager
async def client_with_token(settings: Settings, emr: Any, token: str) -> AsyncIterator[FhirClient]:
    """A client with somebody's own token for this EMR: for one call, kept nowhere, and never tried twice."""
    http = EmrHttp(
        emr.base_url,
        StaticBearer(token),
        concurrency=settings.read_concurrency,
        timeout_seconds=settings.read_timeout_seconds,
        attempts=1,
    )
    async with http:
        yield FhirClient(http)


def credentials(settings: Settings, emr: Any) -> Credentials:
    """How we prove to this EMR who we are; keys and secrets are read now, before the EMR is asked for
    anything. Raises Misconfigured."""
    if emr.auth == "none":
        return NoCredentials()
    if emr.auth == "bearer":
        token(emr)  # missing or unreadable: now, not at the first page
        return StaticBearer(lambda: token(emr))
    options = emr.auth_options
    registration = Registration(
        base_url=emr.base_url,
        token_url=options.get("token-url"),
        audience=options.get("aud", "token-url"),
        scope=options.get("scope"),
        scope_style=options.get("scope-style"),
        algorithm=options.get("alg"),
        wanted=_wanted(settings, emr),
    )
    prover = _key_prover(settings, options) if emr.auth == "backend" else _secret_prover(options)

    def connect(base_url: str, attempts: int) -> EmrHttp:
        seconds = min(settings.read_timeout_seconds, _TOKEN_SECONDS)
        limits: dict[str, Any] = {"timeout_seconds": seconds, "max_body_bytes": MAX_BYTES}
        return EmrHttp(base_url, NoCredentials(), attempts=attempts, open_door=True, **limits)

    return TokenCredentials(registration, prover, connect=connect, now=now, attempts=settings.read_attempts)


def plain_http(settings: Settings, base_url: str, *, max_body_bytes: int = MAX_BYTES) -> EmrHttp:
    """Without credentials and without redirects, one try: for documents and token endpoints."""
    seconds = min(settings.read_timeout_seconds, _TOKEN_SECONDS)
    limits: dict[str, Any] = {"timeout_seconds": seconds, "max_body_bytes": max_body_bytes}
    return EmrHttp(base_url, NoCredentials(), attempts=1, open_door=True, **limits)


def launch_prover(settings: Settings, emr: Any) -> Prover | None:
    """How we prove at a launch which client we are; None for a public client. Raises Misconfigured."""
    options = emr.launch_options
    if "client-id" not in options:
        raise Misconfigured("this EMR has no launch.client-id: register the service there, then set it")
    if "secret" in options:
        return _secret_prover(options)
    return None if options.get("public") == "yes" else _key_prover(settings, options)


def notify_secret(emr: Any) -> str:
    """With which this EMR proves that a notification is its own. Raises Misconfigured."""
    return _secret(emr.notify_options.get("secret"), "notification secret")


def keyring(settings: Settings) -> KeyRing:
    """Our own signing keys."""
    return KeyRing(settings.data_dir / "keys" / "signing.json")


def _secret_prover(options: dict[str, str]) -> Prover:
    found = _secret(options.get("secret"), "client secret")
    return ClientSecret(options["client-id"], found, style=options.get("secret-style", "basic"))


def _key_prover(settings: Settings, options: dict[str, str]) -> Prover:
    """A key of this connection's own, where one is named; else those of this installation."""
    kid, alg = options.get("key-id"), options.get("alg")
    if "key" in options:
        own = signer_of(_secret(options["key"], "signing key"), kid=kid)
        if alg not in (None, own.alg):
            raise Misconfigured(f"the signing key signs with {own.alg}, not with {alg}")
        return PrivateKeyJwt(options["client-id"], (own.alg,), lambda _alg, _now: own)
    ring = keyring(settings)

    def signer(wanted: str, moment: dt.datetime) -> Signer:
        found = ring.signer(wanted, moment)
        return found._replace(kid=kid) if kid else found

    algorithms = (alg,) if alg else ALGORITHMS
    for each in algorithms:
        signer(each, now())  # missing or unreadable: now, not at the first page
    return PrivateKeyJwt(options["client-id"], algorithms, signer)


def _wanted(settings: Settings, emr: Any) -> Wanted:
    """The least: what a night reads, and what it may write by the vendor's word and the write mode."""
    reads = frozenset((*WHOLE, *CODED, *REFERENCED, *(["Group"] if emr.group_id else [])))
    if emr.write_mode == "dry-run":
        return Wanted(reads)
    allows = passport.profile_of(settings, emr).allows
    verbs = (Verb.CREATE, Verb.UPDATE)
    writes = (kind for kind in WRITTEN if any(allows(kind, verb).answer != Answer.NO for verb in verbs))
    asks = [subscribing.TYPE] if emr.notify_options.get("subscribe") == "on" else []
    return Wanted(reads, frozenset([*writes, *asks]))


def token(emr: Any) -> str:
    """The static token of this EMR. Raises Misconfigured, without the token and without its place."""
    found = _secret(emr.token_reference, "token")
    if not _ONE_TOKEN.fullmatch(found):
        raise Misconfigured("what `token` leads to is no token: it holds a space, a line's end or the like")
    return found


def _secret(reference: str | None, what: str) -> str:
    """A secret by reference (`env:NAME` or `file:PATH`); the store never holds the secret itself.
    Raises Misconfigured, without the secret and without the path."""
    kind, _, place = (reference or "").partition(":")
    try:
        found = Path(place).read_text() if kind == "file" else os.environ.get(place, "")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a path that can be none
        kind = type(error).__name__
        raise Misconfigured(f"the file with the {what} of this EMR cannot be read ({kind})") from None
    if not found.strip():
        raise Misconfigured(f"the {what} of this EMR is not where it should be (env:NAME or file:PATH)")
    return found.strip()


def night_tools(settings: Settings, database: Database) -> Tools:
    """What `flow.nightly` needs of the process."""
    return Tools(
        settings,
        database,
        lambda emr: fhir_client(settings, emr),
        now,
        sealer=lambda: sealer(settings),
        notify_secret=notify_secret,
    )


def tell(settings: Settings, database: Database) -> int:
    """Send the webhooks that are due; returns how many were heard."""
    return asyncio.run(notices.deliver(database, outside(settings), sealer(settings), now=now()))
