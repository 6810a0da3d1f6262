"""How far each search of a pull has come, page by page beside what it landed, so that a run that was
killed goes on where it stood: with the next page, or where that link has expired with that one search.

`next` links hold PHI: they are kept sealed. A line is written after the page that it speaks of.
"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import IO

import msgspec

from cm_service.db.sealed import Sealer
from cm_service.errors import Misconfigured
from cm_service.flow.pull.search import Search, Window
from cm_service.flow.pull.walk import Walk

JOURNAL = ".journal"
_DIGEST = 16  # bytes of `landing.digest`
_Key = tuple[str, str, str, str]


class _Step(msgspec.Struct, kw_only=True):
    """One page, or the end of one reading: `end` is the size of the type's file, `rows` the digests that
    this page brought, everything else stands as in `Walk`."""

    key: _Key
    end: int
    turn: int
    passes: int = 0
    pages: int
    hollow: int
    failed: int
    total: int | None
    undated: int
    oldest_new: dt.datetime | None
    date: dt.datetime | None
    newest: dt.datetime | None
    some_undated: bool
    next: str | None
    done: bool
    rows: bytes


class _Head(msgspec.Struct):
    """The first line."""

    plan: str | None = None
    as_of: dt.datetime | None = None


class Journal:
    """Of one landing folder. `plan` says what the pull was about: one about something else begins anew."""

    def __init__(self, folder: Path, sealer: Sealer) -> None:
        self._path, self._sealer = folder / JOURNAL, sealer
        self._walks: dict[_Key, Walk] = {}
        self._earlier: set[_Key] = set()
        self._begun = _head(folder).as_of
        self.ends: dict[str, int] = {}
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Journal:
        for line in self._whole_lines()[1:]:
            self._take(msgspec.json.decode(line, type=_Step))
        self._earlier = set(self._walks)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.fdopen(os.open(self._path, flags, 0o600), "ab")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def begin(self, plan: str, as_of: dt.datetime | None) -> None:
        self._write(msgspec.json.encode(_Head(plan, as_of)))

    def as_of(self, search: Search, window: Window | None) -> dt.datetime | None:
        """Of when what this search brought is, where a run before this one has read some of it."""
        return self._begun if _key(search, window) in self._earlier else None

    def state(self, search: Search, window: Window | None) -> Walk:
        """Where this search stands; the same object for all who ask."""
        return self._walks.setdefault(_key(search, window), Walk())

    def forget(self, type_: str) -> None:
        """Of this type less is there than was noted: the machine died, not only the process."""
        self._walks = {key: walk for key, walk in self._walks.items() if key[0] != type_}

    def keep(self, search: Search, window: Window | None, state: Walk, *, end: int) -> None:
        self.ends[search.type] = end
        step = _Step(
            key=_key(search, window),
            end=end,
            next=None if state.next is None else self._sealer.seal(state.next),
            rows=b"".join(state.last_rows),
            **{name: getattr(state, name) for name in _SHARED},
        )
        self._write(msgspec.json.encode(step))

    def _take(self, step: _Step) -> None:
        walk = self._walks.setdefault(step.key, Walk())
        if walk.passes != step.passes:
            same = walk.before if walk.turn == step.turn else set[bytes]()
            walk.before, walk.rows = same | walk.rows, set()
        walk.rows.update(step.rows[place : place + _DIGEST] for place in range(0, len(step.rows), _DIGEST))
        for name in _SHARED:
            setattr(walk, name, getattr(step, name))
        self.ends[step.key[0]] = step.end
        try:
            walk.next = None if step.next is None else self._sealer.open(step.next)
        except Misconfigured:  # a link that no key of ours opens any more is as good as expired
            self._walks[step.key] = Walk()

    def _whole_lines(self) -> list[bytes]:
        """The last one may have been cut when the process died: it goes."""
        if not self._path.exists():
            return []
        text = self._path.read_bytes()
        os.truncate(self._path, text.rfind(b"\n") + 1)
        return text[: text.rfind(b"\n") + 1].splitlines()

    def _write(self, line: bytes) -> None:
        assert self._file is not None
        self._file.write(line + b"\n")
        self._file.flush()


_SHARED = tuple(sorted(set(_Step.__struct_fields__) - {"key", "end", "next", "rows"}))


def plan_in(folder: Path) -> str | None:
    """What the pull into this folder was about, None where nobody can tell."""
    return _head(folder).plan


def _head(folder: Path) -> _Head:
    try:
        with (folder / JOURNAL).open("rb") as file:
            return msgspec.json.decode(file.readline(), type=_Head)
    except (OSError, ValueError):
        return _Head()


def _key(search: Search, window: Window | None) -> _Key:
    return (*search.key, window.text if window else "")
