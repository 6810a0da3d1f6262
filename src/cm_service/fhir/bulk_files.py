"""Files of a bulk export, streamed to a disk: whole or not at all.

Whether a body is zipped its first bytes say, because servers send zipped files without saying so and plain
ones that call themselves zipped.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx

from cm_service.errors import EmrError, EmrUnreachable, ExportBroken, IncompleteAnswer, LinkExpired, NotFhir
from cm_service.fhir import rawjson
from cm_service.fhir.answers import Answer
from cm_service.fhir.bulk import Bulk, File
from cm_service.fhir.credentials import is_loopback
from cm_service.fhir.http import Ask
from cm_service.fhir.outside import OutsideUnreachable, address_of

LARGEST = 50_000_000_000  # bytes of one file, unzipped
_HEADERS = {"Accept": "application/fhir+ndjson", "Accept-Encoding": "gzip"}
_TRIES = 4
_EXPIRED = frozenset({401, 403, 404, 410})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_PIECE = 1 << 20
_MAGIC, _BOM = b"\x1f\x8b", b"\xef\xbb\xbf"
_WHAT = "a file of an export"


async def download(bulk: Bulk, file: File, path: Path, *, with_token: bool) -> None:
    """Into `path` (0600). The token goes to the EMR itself only, never where it is not required.

    Raises LinkExpired, IncompleteAnswer for a file that is cut or has not as many lines as it should,
    EmrRefused, EmrUnreachable, ExportBroken."""
    error: EmrError | None = None
    for attempt in range(1, _TRIES + 1):
        try:
            headers = await _try(bulk, file, path, with_token)
            if headers is None:
                return
            error = EmrUnreachable(f"{bulk.http.host} does not hand out {_WHAT} at present")
        except (httpx.TransportError, TimeoutError):
            headers, error = httpx.Headers(), IncompleteAnswer(f"{bulk.http.host} cut {_WHAT}")
        except IncompleteAnswer as failure:
            headers, error = httpx.Headers(), failure
        if attempt < _TRIES:
            await bulk.pause(attempt, headers, "does not hand out a file of an export")
    assert error is not None
    raise error


async def _try(bulk: Bulk, file: File, path: Path, with_token: bool) -> httpx.Headers | None:
    """None when it is there, else the headers of an answer after which another try is worth it."""
    url = await _checked(bulk, file.url, with_token)
    for _ in range(2):
        ask = Ask("GET", url, _WHAT, dict(_HEADERS))
        async with bulk.http.streamed(ask, with_token=with_token) as response:
            if response.status_code == 200:
                await _save(response, path)
                _check_lines(path, file)
                return None
            if response.status_code in _AGAIN:
                return response.headers
            if response.status_code in _EXPIRED:
                raise LinkExpired(f"{bulk.http.host} does not give {_WHAT} ({response.status_code})")
            if response.status_code not in _REDIRECTS:
                raise bulk.http.refusal(_WHAT, Answer(response.status_code, response.headers, None))
            # To a store of files as a rule, whose address is a secret in itself: our token stays here.
            with_token = False
            url = await _checked(bulk, urljoin(url, response.headers.get("location", "")), with_token)
    raise ExportBroken(f"{bulk.http.host} redirects {_WHAT} again and again")


async def _checked(bulk: Bulk, url: str, with_token: bool) -> str:
    """Raises ExportBroken for an address that we do not call."""
    try:
        place, ours = httpx.URL(url), bulk.http.is_ours(url)
        if place.userinfo or (with_token and not ours):
            raise ExportBroken(f"{_WHAT} stands on another server than {bulk.http.host}: no token goes there")
        if not ours:
            loopback = is_loopback(place.host) and is_loopback(bulk.http.base_url.host)
            if is_loopback(place.host) is not loopback or (place.scheme != "https" and not loopback):
                raise ExportBroken(f"{_WHAT} stands where this service does not call")
            await address_of(place.host, place.port or 443)
    except (httpx.InvalidURL, OutsideUnreachable, OSError):
        raise ExportBroken(f"{_WHAT} stands where this service does not call") from None
    return url


async def _save(response: httpx.Response, path: Path) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    size = 0
    with os.fdopen(handle, "wb") as out:
        async for piece in _plain(response.aiter_raw()):
            size += out.write(piece)
            if size > LARGEST:
                raise ExportBroken(f"{_WHAT} has more than {LARGEST} bytes")


async def _plain(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    unzip, begin, begun = None, b"", False
    async for piece in pieces:
        begin += piece
        if not begun and len(begin) < len(_MAGIC):
            continue
        if not begun and begin.startswith(_MAGIC):
            unzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
        here, begin, begun = begin, b"", True
        if unzip is None:
            yield here
            continue
        for part in _unzipped(unzip, here):
            yield part
    if begin:
        yield begin
    if unzip is not None and not unzip.eof:
        raise IncompleteAnswer(f"{_WHAT} ends in the middle of its zip")


def _unzipped(unzip: zlib._Decompress, piece: bytes) -> Iterator[bytes]:
    """In pieces of bounded size, whatever a small body unfolds to."""
    try:
        while piece:
            yield unzip.decompress(piece, _PIECE)
            piece = unzip.unconsumed_tail
    except zlib.error:
        raise IncompleteAnswer(f"{_WHAT} is a broken zip") from None


def lines_of(path: Path) -> Iterator[bytes]:
    """Its lines without their ends, and without blank ones."""
    with path.open("rb") as file:
        for number, line in enumerate(file):
            text = (line.removeprefix(_BOM) if number == 0 else line).strip(b"\r\n\t ")
            if text:
                yield text


def _check_lines(path: Path, file: File) -> None:
    """A file that is cut at the end of a line only its count betrays."""
    count, last = 0, b""
    for line in lines_of(path):
        count, last = count + 1, line
    if file.lines not in (None, count):
        raise IncompleteAnswer(f"{_WHAT} ({file.type}) has {count} lines, and should have {file.lines}")
    with path.open("rb") as whole:
        whole.seek(max(0, path.stat().st_size - 1))
        ends_well = whole.read(1) in (b"\n", b"")
    if not ends_well and not _is_json(last):
        raise IncompleteAnswer(f"{_WHAT} ({file.type}) ends in the middle of a line")


def _is_json(line: bytes) -> bool:
    try:
        rawjson.loads(rawjson.clean(line))
    except NotFhir:
        return False
    return True
