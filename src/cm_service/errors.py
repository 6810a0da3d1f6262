"""The one tree of errors. Each leaf says what the caller should do: retry, stop, or tell a person.

Texts never carry PHI: ids of our own, FHIR types, file names, line numbers, HTTP status codes and
hosts are allowed; names, values and URLs with search parameters are not.
"""

from __future__ import annotations

from enum import StrEnum


class Advice(StrEnum):
    """What to do about an error, for whoever started the command: told with `--json`, never by text."""

    RETRY = "retry"
    STOP = "stop"
    TELL = "tell a person"


class CmError(Exception):
    """Anything the service raises on purpose: one clear sentence with its place."""

    advice = Advice.STOP


class BadInput(CmError):
    """A person or program gave us something unusable: usage errors, settings, files."""

    advice = Advice.TELL


class NothingToRead(CmError):
    """A folder without input: never the same as "nothing changed"."""

    advice = Advice.TELL


class Misconfigured(CmError):
    """Settings contradict each other or what was stored; nothing may run until a person decides."""

    advice = Advice.TELL


class Busy(CmError):
    """Another run holds this EMR's lease."""

    advice = Advice.RETRY


class InvalidResource(CmError):
    """A resource of our own making that is no valid FHIR R4: never sent, a fault of ours to report."""

    advice = Advice.TELL


class EmrError(CmError):
    """The EMR, or the way to it."""


class EmrUnreachable(EmrError):
    """No usable answer to a read after all retries (`status`: the last 429 or 5xx, None without any
    answer), or no connection for a write, so that nothing was sent."""

    advice = Advice.RETRY

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class TokenRefused(EmrUnreachable):
    """No token for this EMR, so nothing was sent to it: the token endpoint said no, or may not be asked."""

    advice = Advice.TELL


class EmrBusy(EmrError):
    """429, or 503 with Retry-After, to a write: not taken; the same write may go again later."""

    advice = Advice.RETRY

    def __init__(self, message: str, *, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EmrRefused(EmrError):
    """The EMR answered no (4xx): status and place are kept. `outcome`, the EMR's own words, may hold
    PHI: it goes to the ledger and nowhere else; `codes` are the codes in it."""

    advice = Advice.TELL

    def __init__(
        self, message: str, *, status: int, outcome: str = "", codes: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.outcome = outcome
        self.codes = codes


class DeliveryStopped(EmrError):
    """Nothing more is written to this EMR tonight (it does not answer, is busy, paused, or had enough);
    what is left stays pending."""

    advice = Advice.RETRY


class NotFhir(EmrError):
    """An answer that is no FHIR: HTML with 200, cut JSON, a wrong resourceType."""

    advice = Advice.TELL


class AnswerTooBig(NotFhir):
    """A body over our cap (or a gzip bomb): asking again would bring the same."""


class PagingBroken(EmrError):
    """A `next` link that loops, leaves the server, or never ends."""

    advice = Advice.TELL


class FilterDropped(EmrError):
    """The server's self link lacks a parameter that we sent: the answer is not what was asked."""

    advice = Advice.TELL


class IncompleteAnswer(EmrError):
    """A search that ended well and yet has a hole: entries without a resource, an error reported
    inside it, or fewer resources than the EMR itself counts."""

    advice = Advice.TELL


class PagesShift(IncompleteAnswer):
    """Several pages of one search that are another list at every reading: people write faster than they
    can be read."""


class ExportUnderWay(EmrError):
    """A bulk export that is not done yet, or another one of ours in its place: a later run goes on."""

    advice = Advice.RETRY


class ExportGone(EmrError):
    """The EMR does not know an export any more that it took: it must be asked for again."""

    advice = Advice.RETRY


class LinkExpired(EmrError):
    """A file of an export that its address does not give any more: the manifest may have a new one."""

    advice = Advice.RETRY


class ExportBroken(EmrError):
    """A bulk export that cannot be used: an answer against the rules, or an address where no token of
    ours may go."""

    advice = Advice.TELL


class WriteOutcomeUnknown(EmrError):
    """A write whose answer was lost: never sent again blindly, looked up in the EMR instead."""

    advice = Advice.TELL


class WriteConflict(EmrError):
    """409 or 412: somebody changed the resource since we read it."""

    advice = Advice.RETRY


class Lost(CmError):
    """What a caller named does not exist (an EMR slug, an intent id)."""

    advice = Advice.TELL


class NotNow(CmError):
    """What was asked is understood, and the case does not allow it at present."""

    advice = Advice.TELL


class Stopped(CmError):
    """A person ended a night before its time; the next one goes on from there."""

    advice = Advice.RETRY
