"""JSON as FHIR needs it: a decimal keeps its digits, so that 1.00 is written back as 1.00.

`fhir.resources` and the plain json module would make it 1.0 and change what a clinician entered.
"""

from __future__ import annotations

import codecs
from decimal import Decimal
from typing import Any

import msgspec

from cm_service.errors import NotFhir

_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def loads(body: bytes) -> Any:
    """Dicts, lists, str, int, Decimal, bool, None. Raises NotFhir without quoting the body."""
    try:
        return _DECODER.decode(clean(body))
    except (ValueError, RecursionError) as error:
        raise NotFhir(broken_json(error)) from None


def dumps(value: Any) -> bytes:
    """Compact UTF-8 JSON, decimals with the digits they have."""
    return _ENCODER.encode(value)


def clean(body: bytes) -> bytes:
    """The body without a byte order mark. Raises NotFhir when it is empty or no UTF-8: the JSON
    decoder reads strings that it skips without looking at their bytes."""
    body = body.removeprefix(codecs.BOM_UTF8)
    if not body.strip():
        raise NotFhir("the body is empty")
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise NotFhir(f"the body is no UTF-8 (byte {error.start})") from None
    return body


def broken_json(error: Exception) -> str:
    """A sentence for a decoder's error; msgspec names places and types, never values."""
    if isinstance(error, RecursionError):
        return "the JSON is nested too deeply"
    return f"the body is no FHIR JSON ({error})"
