"""Calls of a service on a socket, and how long each took, as its caller sees it."""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.parse import urlsplit

Json = dict[str, Any]


class Call(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


class Caller:
    """One connection that stays open; an answer other than 200 ends the measurement."""

    def __init__(self, base: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=30)

    def __call__(self, call: Call) -> tuple[float, bytes]:
        """Seconds from the first byte sent to the last one read, and the body."""
        began = time.perf_counter()
        self._connection.request(call.method, call.path, call.body or None, call.headers)
        answer = self._connection.getresponse()
        body = answer.read()
        seconds = time.perf_counter() - began
        if answer.status != 200:
            raise RuntimeError(f"{call.method} {call.path.partition('?')[0]}: {answer.status} {body[:300]!r}")
        return seconds, body


def one_after_the_other(base: str, calls: Iterable[Call]) -> list[float]:
    caller = Caller(base)
    return [caller(call)[0] for call in calls]


def at_once(base: str, calls: Sequence[Call], *, callers: int) -> tuple[float, list[float]]:
    """Requests per second with so many callers, and the seconds of each call."""
    shares = [calls[number::callers] for number in range(callers)]
    began = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        seconds = [
            each for share in pool.map(lambda s: one_after_the_other(base, s), shares) for each in share
        ]
    return len(calls) / (time.perf_counter() - began), seconds


def milliseconds(seconds: Sequence[float], *percentiles: int) -> Json:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {f"p{each}_ms": round(cuts[each - 1] * 1000, 1) for each in percentiles}


def encoded(body: Json) -> bytes:
    return json.dumps(body).encode()
