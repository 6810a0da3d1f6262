"""Links of a searchset: `next` is followed only within our EMR, `self` shows what was really asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx

from cm_service.errors import FilterDropped, PagingBroken

Params = Sequence[tuple[str, str]]
# These shape an answer; they do not select what is in it.
_SHAPING = frozenset(
    {"_count", "_maxresults", "_sort", "_total", "_format", "_pretty", "_summary", "_elements"}
)


def next_url(base: httpx.URL, type_: str, link: str) -> str:
    """The link as an absolute URL, its query untouched. Raises PagingBroken for a link that leaves
    scheme, host, port or path of the EMR, or carries a user: our token would go there with it."""
    try:
        url = httpx.URL(_absolute(base, type_, link))
    except (httpx.InvalidURL, ValueError):
        raise PagingBroken(f"the next link of {type_} is no URL") from None
    if url.userinfo:
        raise PagingBroken(f"the next link of {type_} carries a user name")
    if origin(url) != origin(base):
        raise PagingBroken(
            f"the next link of {type_} leads to another server ({url.host}), not to {base.host}"
        )
    path, root = unquote(url.path), base.path.rstrip("/")
    if ".." in path.split("/") or not (path == root or path.startswith(root + "/")):
        raise PagingBroken(f"the next link of {type_} leads outside of the EMR's base path")
    return str(url)


def _absolute(base: httpx.URL, type_: str, link: str) -> str:
    root = str(base).rstrip("/")
    if urlsplit(link).scheme:
        return link
    if link.startswith("//"):
        return f"{base.scheme}:{link}"
    if link.startswith("/"):
        return f"{base.scheme}://{base.netloc.decode()}{link}"
    return f"{root}/{type_}{link}" if link.startswith("?") else f"{root}/{link}"


def origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Scheme, host and port."""
    return url.scheme, url.host.lower(), url.port or {"http": 80, "https": 443}.get(url.scheme)


def check_filters(type_: str, sent: Params, self_link: str) -> None:
    """Raises FilterDropped if the self link lacks a filter that we sent, or some of its values."""
    used = _values(parse_qsl(self_link.partition("?")[2], keep_blank_values=True))
    for name, values in _values(sent).items():
        if name not in _SHAPING and len(used.get(name, ())) < len(values):
            raise FilterDropped(f"the EMR ignored the parameter {name} of a search on {type_}")


def _values(params: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Parameter name without modifier -> its values, the OR-list taken apart."""
    found: dict[str, set[str]] = {}
    for name, value in params:
        found.setdefault(name.split(":")[0], set()).update(part for part in value.split(",") if part)
    return found
