"""Texts and lists of them as DuckDB's SQL writes them."""

from __future__ import annotations

from collections.abc import Iterable


def list_of(texts: Iterable[str], brackets: str = "()") -> str:
    return brackets[0] + ", ".join(map(text_of, texts)) + brackets[1]


def text_of(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
