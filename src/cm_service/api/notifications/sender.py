"""Who may notify us, and how much: judged before anything that was sent is looked at."""

from __future__ import annotations

import hmac
import zlib
from hashlib import sha256
from typing import Any

from fastapi import Request
from starlette.exceptions import HTTPException

from cm_service import wiring
from cm_service.api.doorway import Doorway
from cm_service.db import connections
from cm_service.errors import Lost, Misconfigured
from cm_service.logs import log

HEADER = "x-notify-secret"
_JSON = frozenset({"application/fhir+json", "application/json"})
_GZIP = 16 + zlib.MAX_WBITS


def sender(door: Doorway, slug: str, request: Request) -> Any:
    """The EMR's row. Raises HTTPException 401, the same for an EMR that does not exist, has no secret, or
    another one: in `Authorization: Bearer` or X-Notify-Secret, compared in constant time."""
    row, expected = _expected(door, slug)
    fits = hmac.compare_digest(_digest(_given(request)), _digest(expected or ""))
    if row is None or not expected or not fits:
        log.warning("a notification without the right secret")
        raise HTTPException(401, "the secret of this EMR is needed", headers={"WWW-Authenticate": "Bearer"})
    return row


def _expected(door: Doorway, slug: str) -> tuple[Any | None, str | None]:
    with door.store.read() as connection:
        try:
            row = connections.get_emr(connection, slug)
        except Lost:
            return None, None
    try:
        return row, wiring.notify_secret(row)
    except Misconfigured:
        return row, None


def _given(request: Request) -> str:
    """Exactly one of the two, once."""
    words = [*request.headers.getlist("authorization"), *request.headers.getlist(HEADER)]
    if len(words) != 1:
        return ""
    kind, _, text = words[0].partition(" ")
    return text.strip() if kind.lower() == "bearer" and text else words[0]


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogateescape")).digest()


async def body_of(request: Request, *, longest: int) -> bytes:
    """What was sent, unpacked; empty for none. Raises HTTPException 413, 415 or 400."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > longest:
            raise HTTPException(413, f"a notification may have {longest} bytes at most")
    if not raw:
        return b""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _JSON:
        raise HTTPException(415, "a notification is application/fhir+json")
    packed = request.headers.get("content-encoding", "identity").strip().lower()
    if packed == "identity":
        return bytes(raw)
    if packed != "gzip":
        raise HTTPException(415, "a notification may be packed with gzip only")
    return _unpacked(bytes(raw), longest)


def _unpacked(raw: bytes, longest: int) -> bytes:
    """Never more than `longest`, however small it came."""
    unpacker = zlib.decompressobj(_GZIP)
    try:
        body = unpacker.decompress(raw, longest)
    except zlib.error as error:
        raise HTTPException(400, "the body is no gzip") from error
    if unpacker.unconsumed_tail:
        raise HTTPException(413, f"a notification may have {longest} bytes at most")
    return body
