"""JSON, instants and version tags as they stand on the wire. Decimals keep every digit that was sent."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import msgspec

JSON_TYPE = "application/fhir+json"

Resource = dict[str, Any]
SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_ETAG = re.compile(r'(?:W/)?"([^"]+)"', re.ASCII)


def decode(body: bytes) -> Any:
    """Raises msgspec.DecodeError (a ValueError) for anything that is not JSON in UTF-8."""
    return _DECODER.decode(body)


def encode(value: object) -> bytes:
    return _ENCODER.encode(value)


def subset(body: bytes, elements: frozenset[str]) -> bytes:
    """A resource with no more than these elements, and the tag that says so."""
    whole: Resource = decode(body)
    kept = {name: value for name, value in whole.items() if name in elements}
    meta = whole.get("meta", {})
    tagged = {**meta, "tag": [*meta.get("tag", ()), {**SUBSETTED}]}
    return encode({"resourceType": whole["resourceType"], "id": whole["id"], "meta": tagged, **kept})


def instant(moment: dt.datetime) -> str:
    """A FHIR instant in UTC with milliseconds, the precision at which the store keeps time."""
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds")


def http_date(moment: dt.datetime) -> str:
    return format_datetime(moment.astimezone(dt.UTC), usegmt=True)


def etag(version: str) -> str:
    return f'W/"{version}"'


def version_of(tag: str) -> str:
    """The version in an If-Match header; raises ValueError if it is no version tag."""
    found = _ETAG.fullmatch(tag.strip())
    if found is None:
        raise ValueError("not a version tag")
    return found.group(1)
