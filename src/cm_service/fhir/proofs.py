"""How we prove to a token endpoint who we are: a signed assertion (SMART Backend Services), or a secret.

An assertion is made anew for every single request: its `jti` is never used twice, not on a retry either.
"""

from __future__ import annotations

import base64
import datetime as dt
import uuid
from collections.abc import Callable
from typing import NamedTuple, Protocol
from urllib.parse import quote_plus

from cm_service.fhir.signing import Signer

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# The specification allows five minutes; the rest is for a clock that is a little ahead of the server's.
LIFE = dt.timedelta(minutes=4)


class Proof(NamedTuple):
    """What goes along with one token request."""

    headers: dict[str, str]
    form: dict[str, str]


class Prover(Protocol):
    @property
    def algorithms(self) -> tuple[str, ...]:
        """Those that it can sign with, in the order of liking; ("",) where nothing is signed."""
        ...

    def prove(self, *, algorithm: str, audience: str, now: dt.datetime) -> Proof:
        """`now` by the server's clock. Raises Misconfigured where the key is gone."""
        ...


class PrivateKeyJwt:
    """`signers` gives the key in use per algorithm at the moment of signing, so that a rotation counts
    at once; `algorithms` are those that it has."""

    def __init__(
        self, client_id: str, algorithms: tuple[str, ...], signer: Callable[[str, dt.datetime], Signer]
    ) -> None:
        self._client_id, self._signer, self.algorithms = client_id, signer, algorithms

    def prove(self, *, algorithm: str, audience: str, now: dt.datetime) -> Proof:
        claims = {
            "iss": self._client_id,
            "sub": self._client_id,
            "aud": audience,
            "iat": int(now.timestamp()),
            "exp": int((now + LIFE).timestamp()),
            "jti": uuid.uuid4().hex,
        }
        assertion = self._signer(algorithm, now).sign(claims)
        return Proof({}, {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion})


class ClientSecret:
    """`style` basic (RFC 6749 prefers it) or post."""

    algorithms = ("",)

    def __init__(self, client_id: str, secret: str, *, style: str) -> None:
        self._client_id, self._secret, self._style = client_id, secret, style

    def prove(self, *, algorithm: str, audience: str, now: dt.datetime) -> Proof:  # noqa: ARG002
        if self._style == "post":
            return Proof({}, {"client_id": self._client_id, "client_secret": self._secret})
        # Each part as in a form, before they are joined: a colon in the id would move the border.
        pair = f"{quote_plus(self._client_id)}:{quote_plus(self._secret)}"
        return Proof({"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}, {})
