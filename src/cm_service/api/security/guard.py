"""The guard of each operation behind the gate: scope, connection, media types, repeated calls, audit.

In this order, before the body is parsed: a scope that is missing is 403, a connection that the client
may not see is 404 as if it were not there. Every access is in the audit before its answer leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, NamedTuple, TypeVar

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from cm_service.api import problems
from cm_service.api.doorway import Doorway, doorway
from cm_service.api.security.gate import Principal
from cm_service.api.security.repeats import repeated
from cm_service.db import doors
from cm_service.db.confidential import Cleared
from cm_service.db.doors import Access
from cm_service.errors import Lost

JSON_TYPES = ("application/json", "application/fhir+json")
# HL7 v3 PurposeOfUse; what is not said is care management, which is what this service is for.
PURPOSES = frozenset("CAREMGT COORD ETREAT HOPERAT HPAYMT HQUALIMP HSYSADMIN PATADMIN PATRQT TREAT".split())
USUAL_PURPOSE = "CAREMGT"
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
Handler = Callable[[Request], Coroutine[Any, Any, Response]]
E = TypeVar("E", bound=Callable[..., Any])


class Need(NamedTuple):
    """The scope that an operation needs: `right` is one of c, r, u, d, s."""

    type: str
    right: str


def needs(type_: str, right: str) -> Callable[[E], E]:
    """Says of an endpoint what it needs; a route without it does not start."""

    def mark(endpoint: E) -> E:
        endpoint.needs = Need(type_, right)  # type: ignore[attr-defined]
        return endpoint

    return mark


def principal(request: Request) -> Principal:
    found: Principal = request.state.principal
    return found


def cleared(request: Request) -> Cleared:
    """The confidentiality labels under which this operation may show things to this client."""
    found: Cleared = request.state.cleared
    return found


def saw(request: Request, patients: Iterable[tuple[str, str]]) -> None:
    """The answer shows these (EMR, patient id): each gets a line in the audit."""
    request.state.seen = [*getattr(request.state, "seen", ()), *patients]


class GuardedRoute(APIRoute):
    def get_route_handler(self) -> Handler:
        original, need = super().get_route_handler(), _need_of(self.endpoint)

        async def guarded(request: Request) -> Response:
            outcome = 500
            try:
                _admit(request, need)
                # What only reads may simply be asked again, and its answer is kept nowhere.
                response = await (original(request) if need.right in "rs" else repeated(request, original))
                outcome = response.status_code
            except Exception as refusal:
                outcome = problems.status_of(refusal)
                raise
            finally:
                await self._audit(request, outcome)
            return response

        return guarded

    async def _audit(self, request: Request, outcome: int) -> None:
        door = doorway(request)
        entries = list(_entries(request, door, self.operation_id or self.name, outcome))
        await run_in_threadpool(_append, door, entries)


def _need_of(endpoint: Callable[..., Any]) -> Need:
    need = getattr(endpoint, "needs", None)
    if not isinstance(need, Need):
        raise TypeError(f"{endpoint.__name__} does not say which scope it needs")
    return need


def _admit(request: Request, need: Need) -> None:
    who = principal(request)
    if not who.may(*need):
        scope = f"system/{need.type}.{need.right}"
        challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
        raise HTTPException(403, f"the token lacks {scope}", {"WWW-Authenticate": challenge})
    request.state.cleared = who.labels(*need)
    emr = request.path_params.get("emr")
    if emr is not None and not who.sees(emr):
        raise Lost("there is nothing here under this name")
    _media_types(request)
    if _purpose(request) not in PURPOSES:
        raise HTTPException(400, "X-Purpose-Of-Use is no code that is known here")


def _media_types(request: Request) -> None:
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    if request.method in _WITH_BODY and has_body and sent not in JSON_TYPES:
        raise HTTPException(415, "a body must be application/json")
    wanted = request.headers.get("accept", "*/*").lower()
    if not any(kind in wanted for kind in ("*/*", "application/*", "application/json", "+json")):
        raise HTTPException(406, "the answer is application/json")


def _purpose(request: Request) -> str:
    return request.headers.get("x-purpose-of-use", USUAL_PURPOSE).upper()


def _entries(request: Request, door: Doorway, action: str, outcome: int) -> Iterable[Access]:
    """One line per patient that was shown; one without a patient where nobody was."""
    path = request.path_params
    named = [(path.get("emr"), path.get("patient"))]
    purpose = _purpose(request) if _purpose(request) in PURPOSES else "?"
    for emr, patient in dict.fromkeys(getattr(request.state, "seen", None) or named):
        yield Access(
            at=door.clock(),
            who=principal(request).client_id,
            emr=emr if emr and emr.isprintable() and len(emr) < 256 else None,
            patient_id=patient if patient and patient.isprintable() and len(patient) < 256 else None,
            action=action,
            purpose=purpose,
            outcome=outcome,
            request_id=request.state.request_id,
        )


def _append(door: Doorway, entries: list[Access]) -> None:
    with door.database.write() as connection:
        doors.audit(connection, entries)
