"""JSON Web Key Sets of others: which key may verify a signature, and which sets are no sets at all.

RFC 7517, 7518. Only public RSA keys of at least 2048 bits for RS384 and P-384 keys for ES384
(SMART App Launch 2.2, asymmetric client authentication) are ever used.
"""

from __future__ import annotations

from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from cm_service.errors import BadInput

ALGORITHMS = ("RS384", "ES384")
MOST_KEYS = 100
LEAST_RSA_BITS, MOST_RSA_BITS = 2048, 8192  # a longer one makes each signature cost seconds
_KTY = {"RS384": "RSA", "ES384": "EC"}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
PublicKey = RSAKey | ECKey


def checked_set(raw: Any) -> list[dict[str, Any]]:
    """The keys of a JWKS. Raises BadInput for what is no set of public keys: too many keys, a private
    or symmetric key, no key that could ever be used."""
    keys = raw.get("keys") if isinstance(raw, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise BadInput("this is no JSON Web Key Set: it needs an array `keys` of objects")
    if len(keys) > MOST_KEYS:
        raise BadInput(f"a key set of {len(keys)} keys is refused: {MOST_KEYS} are the most")
    if any(_PRIVATE & set(key) or key.get("kty") == "oct" for key in keys):
        raise BadInput("the key set holds a private or symmetric key: only public keys may be registered")
    return keys


def require_usable(keys: list[dict[str, Any]]) -> None:
    """Raises BadInput when no key of the set can verify anything."""
    if not any(_usable(key, algorithm) for key in keys for algorithm in ALGORITHMS):
        raise BadInput("the key set has no usable key: RSA of 2048 bits or more, or EC P-384, with a kid")


def fitting_key(keys: list[dict[str, Any]], *, kid: str, algorithm: str) -> PublicKey | None:
    """The one key with this kid and of the type that the algorithm needs; None for none, and for two."""
    found = [key for key in keys if key.get("kid") == kid and key.get("kty") == _KTY[algorithm]]
    return _usable(found[0], algorithm) if len(found) == 1 else None


def _usable(key: dict[str, Any], algorithm: str) -> PublicKey | None:
    """Raises nothing: a key that cannot be read cannot be used."""
    if not isinstance(key.get("kid"), str) or not key["kid"]:
        return None
    if key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm:
        return None
    try:
        if "verify" not in key.get("key_ops", ["verify"]):
            return None
        return _rsa(key) if algorithm == "RS384" else _ec(key)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _rsa(key: dict[str, Any]) -> RSAKey | None:
    if key.get("kty") != "RSA":
        return None
    read = RSAKey.import_key(key)
    numbers = read.public_key.public_numbers()
    strong = LEAST_RSA_BITS <= read.public_key.key_size <= MOST_RSA_BITS
    strong = strong and 65537 <= numbers.e < 2**32 and numbers.e % 2 == 1
    return read if strong else None


def _ec(key: dict[str, Any]) -> ECKey | None:
    """cryptography itself refuses a point that is not on the curve."""
    if key.get("kty") != "EC" or key.get("crv") != "P-384":
        return None
    read = ECKey.import_key(key)
    read.public_key.public_numbers()
    return read
