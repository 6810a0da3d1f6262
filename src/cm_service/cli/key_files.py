"""Public keys of others, as an operator registers them: a file that is checked and kept, or a URL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cm_service.api.security import key_sets
from cm_service.errors import BadInput
from cm_service.fhir.outside import require_allowed


def registered(file: Path | None, url: str | None) -> dict[str, Any]:
    """`jwks` and `jwks_url`, one of them None. Raises BadInput. Nothing is fetched."""
    if (file is None) == (url is None):
        raise BadInput("give the keys once: as a file or as a URL")
    if url is not None:
        require_allowed(url)
        return {"jwks": None, "jwks_url": url}
    assert file is not None
    try:
        keys = key_sets.checked_set(json.loads(file.read_text()))
    except OSError as error:
        raise BadInput(f"{file} cannot be read") from error
    except ValueError as error:
        raise BadInput(f"{file} is no JSON") from error
    key_sets.require_usable(keys)
    return {"jwks": {"keys": keys}, "jwks_url": None}
