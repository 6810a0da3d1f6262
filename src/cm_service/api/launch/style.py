"""`smart_style_url`: the EMR's look, as far as it is harmless (EL-11).

Fetched by us, from the EMR's own host only; the known keys only; each value by its own small grammar.
"""

from __future__ import annotations

import re
from typing import Any

from cm_service import wiring
from cm_service.api.doorway import Doorway
from cm_service.errors import CmError
from cm_service.fhir.answers import Answer
from cm_service.fhir.discovery import is_safe, same_host
from cm_service.fhir.http import Ask

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_LENGTH = re.compile(r"\d{1,3}(?:\.\d{1,2})?(?:px|rem|em)")
_FONT = re.compile(r"[A-Za-z0-9 ,'\-]{1,200}")
_KEYS = {
    **dict.fromkeys(
        (
            "color_background",
            "color_error",
            "color_highlight",
            "color_modal_backdrop",
            "color_success",
            "color_text",
        ),
        _COLOUR,
    ),
    **dict.fromkeys(("dim_border_radius", "dim_font_size", "dim_spacing_size"), _LENGTH),
    **dict.fromkeys(("font_family_body", "font_family_heading"), _FONT),
}
LARGEST = 20_000


async def style_of(door: Doorway, emr: Any, url: str) -> dict[str, str]:
    """Known keys with harmless values; {} whenever something is odd: a look is never worth an error."""
    base = emr.base_url.rstrip("/")
    if not url or len(url) > 2000 or not is_safe(url) or not same_host(url, base):
        return {}
    try:
        async with wiring.plain_http(door.tools.settings, base, max_body_bytes=LARGEST) as http:
            ask = Ask("GET", url, "GET smart-style", {"Accept": "application/json"})
            said = await http.read(ask, _object)
    except CmError:
        return {}
    return {
        key: value
        for key, grammar in _KEYS.items()
        if isinstance(value := said.get(key), str) and grammar.fullmatch(value)
    }


def _object(answer: Answer) -> dict[str, Any]:
    body = answer.json()
    return body if isinstance(body, dict) else {}
