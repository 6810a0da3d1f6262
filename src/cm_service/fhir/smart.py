"""Tokens for one EMR: client_credentials (SMART Backend Services), renewed early, fetched one at a time."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlencode

import httpx

from cm_service.errors import EmrError, EmrUnreachable, NotFhir, TokenRefused
from cm_service.fhir import scopes
from cm_service.fhir.answers import Answer
from cm_service.fhir.discovery import SmartConfiguration, discover, is_safe, same_host
from cm_service.fhir.http import Ask, EmrHttp
from cm_service.fhir.proofs import Prover
from cm_service.fhir.retry import retry_after, wait_before
from cm_service.fhir.token import Token, error_in, token_in
from cm_service.logs import log

MAX_ANSWER_BYTES = 100_000
_EARLY_SECONDS, _EARLY_SHARE = 30.0, 0.2
# Neither is asked for again at once: everybody who waits would ask, and servers lock out who keeps failing.
_STAYS_FAILED = dt.timedelta(seconds=30)
_CLOCK_SECONDS, _CLOCK_LIMIT = 5.0, 900.0
_WHAT = "POST token request"
_EVERY_STATUS = frozenset(range(200, 600))


class Registration(NamedTuple):
    """What was agreed when this client was registered at the EMR. `token_url` pins the endpoint; `audience`
    is "token-url" (SMART), "issuer" (RFC 7523bis) or the value itself; `scope`, `scope_style`
    (v1, v2) and `algorithm` are None where discovery decides."""

    base_url: str
    token_url: str | None = None
    audience: str = "token-url"
    scope: str | None = None
    scope_style: str | None = None
    algorithm: str | None = None
    wanted: scopes.Wanted = scopes.Wanted()


class _Place(NamedTuple):
    """Where and how a token is asked for."""

    endpoint: str
    audience: str
    algorithms: tuple[str, ...]
    scope: str


class TokenCredentials:
    """`connect` gives the HTTP of a base URL, without credentials, that makes one try."""

    def __init__(
        self,
        registration: Registration,
        prover: Prover,
        *,
        connect: Callable[[str, int], EmrHttp],
        now: Callable[[], dt.datetime],
        attempts: int = 4,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._registration, self._prover, self._connect = registration, prover, connect
        self._now, self._attempts, self._sleep = now, attempts, sleep
        self._lock = asyncio.Lock()
        self._place: _Place | None = None
        self._token: Token | None = None
        self._renew_at: dt.datetime | None = None
        self._failure: tuple[dt.datetime, EmrUnreachable] | None = None
        self._offset = dt.timedelta(0)  # the server's clock less ours
        self._scope: str | None = None  # what was granted last, also while a new token is on its way

    @property
    def scope(self) -> str | None:
        return self._scope

    async def authorization(self) -> str:
        """Raises EmrUnreachable, TokenRefused, Misconfigured."""
        if not self._is_fresh():
            async with self._lock:
                if not self._is_fresh():  # somebody fetched one while we waited
                    await self._fetch()
        assert self._token is not None
        return self._token.header

    async def renew(self, rejected: str | None) -> bool:
        """A new token in place of this one, unless somebody else fetched one already."""
        async with self._lock:
            if self._token is not None and self._token.header == rejected:
                await self._fetch()
        return True

    def _is_fresh(self) -> bool:
        return self._token is not None and self._renew_at is not None and self._now() < self._renew_at

    async def _fetch(self) -> None:
        self._token = None
        if self._failure is not None and self._now() < self._failure[0]:
            raise type(self._failure[1])(str(self._failure[1]))
        try:
            place = self._place = self._place or await self._find()
            token = await self._granted(place)
        except EmrUnreachable as failure:
            self._failure = (self._now() + _STAYS_FAILED, failure)
            raise
        early = min(_EARLY_SECONDS, token.seconds * _EARLY_SHARE)
        self._token = token
        self._renew_at = self._now() + dt.timedelta(seconds=token.seconds - early)
        missing = scopes.missing(place.scope, token.scope)
        # Words of a server's own, granted as they were asked for, tell nothing of FHIR types.
        self._scope = token.scope if missing or scopes.are_smart(token.scope) else None
        if missing:
            log.warning("fewer scopes granted than asked", host=_host(place.endpoint), scopes=missing)

    # --- where

    async def _find(self) -> _Place:
        """Discovery, held against what was agreed at registration."""
        own, found = self._registration, await self._discovered()
        endpoint = own.token_url or found.token_endpoint
        if endpoint is None:
            raise TokenRefused(f"{_host(own.base_url)} names no token endpoint: set token-url")
        if not is_safe(endpoint):
            raise TokenRefused("the token endpoint is neither https nor on loopback: nothing is sent to it")
        if own.token_url is None and not same_host(endpoint, own.base_url):
            text = f"{_host(own.base_url)} names a token endpoint on {_host(endpoint)}: if that is what you"
            raise TokenRefused(f"{text} registered with, set token-url to it")
        if found.token_endpoint is not None and found.token_endpoint != endpoint:
            log.warning("the EMR names another token endpoint than registered", host=_host(own.base_url))
        scope = own.scope or scopes.asked(own.wanted, style=own.scope_style or _style(found))
        return _Place(endpoint, self._audience(endpoint, found), self._algorithms(endpoint, found), scope)

    async def _discovered(self) -> SmartConfiguration:
        """Where the endpoint is pinned, a missing or broken document costs nothing."""
        base = self._registration.base_url
        try:
            async with self._connect(base, self._attempts) as http:
                return await discover(http)
        except EmrUnreachable:
            if self._registration.token_url is None:
                raise
        except EmrError as error:
            if self._registration.token_url is None:
                raise TokenRefused(f"no token endpoint was found, set token-url: {error}") from None
        log.warning("smart-configuration cannot be read", host=_host(base))
        return SmartConfiguration()

    def _audience(self, endpoint: str, found: SmartConfiguration) -> str:
        """Never a foreign value out of a document: it would make our signature good elsewhere."""
        if self._registration.audience == "token-url":
            return endpoint
        if self._registration.audience != "issuer":
            return self._registration.audience
        if found.issuer is None or not is_safe(found.issuer) or not same_host(found.issuer, endpoint):
            raise TokenRefused(f"{_host(endpoint)} names no issuer on its own host: set aud to it")
        return found.issuer

    def _algorithms(self, endpoint: str, found: SmartConfiguration) -> tuple[str, ...]:
        ours = self._prover.algorithms
        if self._registration.algorithm is not None:
            return ours  # documents err, a person has tried it
        usable = tuple(each for each in ours if found.algorithms is None or each in found.algorithms)
        if ours == ("",) or usable:
            return usable or ours
        raise TokenRefused(f"{_host(endpoint)} takes none of {', '.join(ours)}, with which our keys sign")

    # --- the request

    async def _granted(self, place: _Place) -> Token:
        """One algorithm after the other, as long as the server says that it does not know us by it."""
        answer = None
        for algorithm in place.algorithms:
            answer = await self._asked(place, algorithm)
            if _knows_us_not(answer) and self._learns_the_time(answer):
                answer = await self._asked(place, algorithm)
            if not _knows_us_not(answer):
                self._place = place._replace(algorithms=(algorithm,))
                break
        assert answer is not None
        return self._judged(place, answer)

    async def _asked(self, place: _Place, algorithm: str) -> Answer:
        """The answer, after as many tries as allowed, each with a proof of its own."""
        async with self._connect(_origin(place.endpoint), 1) as http:
            for attempt in range(1, self._attempts + 1):
                last = attempt == self._attempts
                try:
                    answer = await http.read(self._ask(place, algorithm), _as_it_is, accept=_EVERY_STATUS)
                except NotFhir as error:
                    raise TokenRefused(f"odd answer to a token request: {error}") from None
                except EmrUnreachable:
                    if last:
                        raise
                    wait = None
                else:
                    if last or not _may_pass(answer.status):
                        return answer
                    wait = retry_after(answer.headers)
                if wait is None:  # else `http` holds the next one back itself
                    await self._sleep(wait_before(attempt))
        raise AssertionError("unreachable")

    def _ask(self, place: _Place, algorithm: str) -> Ask:
        proof = self._prover.prove(
            algorithm=algorithm, audience=place.audience, now=self._now() + self._offset
        )
        form = {"grant_type": "client_credentials", "scope": place.scope, **proof.form}
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
            **proof.headers,
        }
        return Ask("POST", place.endpoint, _WHAT, headers, urlencode(form).encode())

    def _learns_the_time(self, answer: Answer) -> bool:
        """A refusal may be about clocks that differ: then the server's `Date` mends it, within limits."""
        try:
            told = parsedate_to_datetime(answer.headers.get("date", ""))
        except (ValueError, TypeError):
            return False
        offset = (told.replace(tzinfo=told.tzinfo or dt.UTC) - self._now()).total_seconds()
        news = abs(offset - self._offset.total_seconds())
        if news <= _CLOCK_SECONDS or abs(offset) > _CLOCK_LIMIT:
            return False
        log.warning("the clocks differ", seconds=round(offset))
        self._offset = dt.timedelta(seconds=offset)
        return True

    def _judged(self, place: _Place, answer: Answer) -> Token:
        host = _host(place.endpoint)
        if answer.status == 200:
            try:
                return token_in(answer)
            except NotFhir as error:
                raise TokenRefused(f"{host} answered a token request oddly: {error}") from None
        if _may_pass(answer.status):
            text = f"{host} answered {answer.status} to a token request, and again after every wait"
            raise EmrUnreachable(text, status=None)
        code = error_in(answer)
        raise TokenRefused(f"{host} gives us no token: {answer.status} {code}".rstrip() + _hint(code))


def _as_it_is(answer: Answer) -> Answer:
    return answer


def _knows_us_not(answer: Answer) -> bool:
    return answer.status in (400, 401) and error_in(answer) in ("invalid_client", "invalid_request", "")


def _may_pass(status: int) -> bool:
    return status in (408, 425, 429) or (status >= 500 and status not in (501, 505))


def _style(found: SmartConfiguration) -> str:
    return "v2" if "permission-v2" in found.capabilities else "v1"


def _hint(code: str) -> str:
    words = {
        "invalid_client": " (client-id, key, aud, or a key set that it has not read again since)",
        "invalid_scope": " (set scope to what was registered there)",
    }
    return words.get(code, "")


def _host(url: str) -> str:
    return httpx.URL(url).netloc.decode()


def _origin(url: str) -> str:
    parsed = httpx.URL(url)
    return f"{parsed.scheme}://{parsed.netloc.decode()}"
