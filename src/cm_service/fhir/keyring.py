"""Our signing keys: one file that holds the key in use, its successor, and those of before.

A key is published before it is used, by construction: `rotate` puts the successor to use only when it
has been in our published set for `LEAD`, and until then the old one goes on signing. A key that was
replaced stays published for a while without its private part (SMART App Launch 2.2, registration of
confidential asymmetric clients).
"""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from joserfc.jwk import ECKey, RSAKey

from cm_service.errors import Misconfigured
from cm_service.fhir.signing import ALGORITHMS, Signer, key_of, public_jwk

LEAD = dt.timedelta(hours=24)  # EMRs keep our key set in a cache; most ask again within a day
STAYS_PUBLISHED = dt.timedelta(days=7)
_RSA_BITS = 3072


class _Key(msgspec.Struct, kw_only=True):
    """`used_from` is None for a successor, and may lie ahead; `replaced_at` is when the next one takes
    over. `jwk` has no private part any more once that is past."""

    kid: str
    alg: str
    jwk: dict[str, Any]
    made_at: dt.datetime
    used_from: dt.datetime | None = None
    replaced_at: dt.datetime | None = None

    def state(self, now: dt.datetime) -> str:
        if self.used_from is None or self.used_from > now:
            return "next"
        return "current" if self.replaced_at is None or self.replaced_at > now else "old"

    def is_published(self, now: dt.datetime) -> bool:
        return self.replaced_at is None or now < self.replaced_at + STAYS_PUBLISHED


class KeyRing:
    """The file is read at every use: a running process signs with what another one rotated in."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def signer(self, alg: str, now: dt.datetime) -> Signer:
        """The key in use. Raises Misconfigured where there is none, or it cannot be read."""
        for key in self._read():
            if key.alg == alg and key.state(now) == "current":
                return Signer(kid=key.kid, alg=alg, key=key_of(key.jwk))
        raise Misconfigured("there is no signing key yet: run `cm-service keys rotate`")

    def published(self, now: dt.datetime) -> list[dict[str, Any]]:
        """Public JWKs of all keys that an EMR may meet: current, next and lately replaced."""
        return [
            public_jwk(key.jwk, kid=key.kid, alg=key.alg) for key in self._read() if key.is_published(now)
        ]

    def listed(self, now: dt.datetime) -> list[dict[str, Any]]:
        """kid, alg, state (next, current or old) and instants, without any key material."""
        return [
            {
                "kid": key.kid,
                "alg": key.alg,
                "state": key.state(now),
                "made_at": key.made_at,
                "used_from": key.used_from,
                "replaced_at": key.replaced_at,
            }
            for key in self._read()
        ]

    def rotate(self, now: dt.datetime, *, compromised: bool = False) -> None:
        """Put each successor to use as soon as it may be, and publish new ones. `compromised`: no key of
        before is used or published any more; EMRs refuse us until they read the new set."""
        with self._locked():
            old = [] if compromised else [key for key in self._read() if key.is_published(now)]
            keys = [key for alg in ALGORITHMS for key in _rotated([k for k in old if k.alg == alg], alg, now)]
            self._write(keys)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._path.with_suffix(".lock").open("w") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield
        except OSError as error:  # of writing, too: a full disk, a folder that may only be read
            raise _unusable(error) from None

    def _read(self) -> list[_Key]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=list[_Key])
        except FileNotFoundError:
            return []
        except (OSError, msgspec.MsgspecError) as error:
            raise _unusable(error) from None

    def _write(self, keys: list[_Key]) -> None:
        """Whole or not at all; `mkstemp` makes the file 0600."""
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".new-")
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(keys))
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(self._path)


def _rotated(keys: list[_Key], alg: str, now: dt.datetime) -> list[_Key]:
    """The keys of one algorithm after a rotation, oldest first."""
    successors = [key for key in keys if key.used_from is None]
    if not keys:
        return [_made(alg, now, used_from=now), _made(alg, now)]
    takes_over = now
    for key in successors:
        takes_over = key.used_from = max(now, key.made_at + LEAD)
    for key in keys:
        if key not in successors and key.replaced_at is None:
            key.replaced_at = takes_over
        if key.state(now) == "old":
            key.jwk = public_jwk(key.jwk, kid=key.kid, alg=alg)
    return [*keys, _made(alg, now)]


def _made(alg: str, now: dt.datetime, *, used_from: dt.datetime | None = None) -> _Key:
    key = RSAKey.generate_key(_RSA_BITS) if alg == "RS384" else ECKey.generate_key("P-384")
    jwk = dict(key.as_dict(private=True))
    return _Key(kid=key.thumbprint(), alg=alg, jwk=jwk, made_at=now, used_from=used_from)


def _unusable(error: Exception) -> Misconfigured:
    return Misconfigured(f"the signing keys in CM_DATA_DIR/keys cannot be used ({type(error).__name__})")
