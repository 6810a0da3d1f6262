"""One patient's record as bytes: `Type/id` -> fact, in msgpack. Equal facts give equal bytes."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

import msgspec

from cm_service.rules.facts import AnyFact, PlaceFact

_ENCODER = msgspec.msgpack.Encoder(order="deterministic")  # the order of reading must not show
_RECORD = msgspec.msgpack.Decoder(dict[str, AnyFact])
_PLACE = msgspec.msgpack.Decoder(PlaceFact)


def encode(facts: Mapping[str, AnyFact]) -> bytes:
    return _ENCODER.encode(facts)


def decode(stored: bytes) -> dict[str, AnyFact]:
    return _RECORD.decode(stored)


def digest_of(encoded: bytes) -> str:
    """The same for the same facts, in whatever order they were read: is anything new here?"""
    return blake2b(encoded, digest_size=16).hexdigest()


def encode_one(place: AnyFact) -> bytes:
    """A shared place."""
    return _ENCODER.encode(place)


def decode_one(stored: bytes) -> PlaceFact:
    return _PLACE.decode(stored)
