"""A small EMR on a real socket that answers what a test tells it to, well or badly."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Json = dict[str, Any]
DATE = "Fri, 20 Nov 2026 20:00:00 GMT"  # by this server's clock it is always then


@dataclass
class Request:
    method: str
    target: str  # below the base path: "Patient?_count=200"
    headers: dict[str, str]
    body: bytes

    @property
    def params(self) -> dict[str, str]:
        query = self.body.decode() if self.target.endswith("_search") else urlsplit(self.target).query
        return dict(parse_qsl(query, keep_blank_values=True))


@dataclass
class Reply:
    """`cut`: hang up after so many bytes of the body. `reset`: hang up before any byte. `drip`:
    seconds between bytes. `length`: a Content-Length that is not true."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    reset: bool = False
    delay: float = 0.0
    drip: float = 0.0
    length: int | None = None


Answering = Reply | Callable[["Request"], Reply]


class ScriptedEmr:
    """Answers by the longest matching key ("GET Patient", "GET Patient?page=2", "POST Task"); of
    several replies the last one is repeated. What no key names is an empty, correct searchset."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.script: dict[str, list[Answering]] = {}
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self.on("GET metadata", as_json({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}))

    def on(self, key: str, *replies: Answering) -> None:
        self.script[key] = list(replies)

    def answer(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            line = f"{request.method} {request.target}"
            keys = [key for key in self.script if line.startswith(key)]
            replies = self.script[max(keys, key=len)] if keys else [searchset()]
            reply = replies.pop(0) if len(replies) > 1 else replies[0]
        return reply if isinstance(reply, Reply) else reply(request)

    def seen(self, key: str) -> list[Request]:
        return [r for r in self.requests if f"{r.method} {r.target}".startswith(key)]


def as_json(body: Any, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    kind = {"Content-Type": "application/fhir+json;charset=UTF-8"}
    return Reply(status, json.dumps(body).encode(), kind | named)


def html(status: int = 200) -> Reply:
    return Reply(status, b"<!DOCTYPE html><html>Sign in</html>", {"Content-Type": "text/html"})


def zipped(body: bytes) -> Reply:
    return Reply(200, gzip.compress(body), {"Content-Type": "application/json", "Content-Encoding": "gzip"})


def outcome(severity: str = "error", text: str = "no") -> Json:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "diagnostics": text}]}


def bundle(
    *resources: Json | None, next: str | None = None, self_link: str | None = None, **other: Any
) -> Json:
    links = [{"relation": "self", "url": self_link}, {"relation": "next", "url": next}]
    entries = [{"resource": r, "search": {"mode": "match"}} if r else {"fullUrl": "x"} for r in resources]
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [link for link in links if link["url"]],
        "entry": entries,
    } | other


def searchset(*resources: Json | None, next: str | None = None, **other: Any) -> Callable[[Request], Reply]:
    """A page whose self link names every parameter that was sent."""

    def answer(request: Request) -> Reply:
        path, _, query = request.target.partition("?")
        query = request.body.decode() if path.endswith("_search") else query
        self_link = f"http://emr/fhir/{path.removesuffix('/_search')}?{query}"
        return as_json(bundle(*resources, next=next, self_link=self_link, **other))

    return answer


@contextmanager
def scripted_emr() -> Iterator[ScriptedEmr]:
    server = _Server(("127.0.0.1", 0), _Handler)
    emr = ScriptedEmr(f"http://127.0.0.1:{server.server_address[1]}/fhir")
    server.emr = emr
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield emr
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    emr: ScriptedEmr


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body go out apart; together with delayed ACK: 40 ms
    server: _Server

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        target = self.path.removeprefix("/fhir").removeprefix("/")
        reply = self.server.emr.answer(Request(self.command, target, headers, body))
        time.sleep(reply.delay)
        try:
            self._hang_up() if reply.reset else self._send(reply)
        except OSError:
            self.close_connection = True  # the client had enough, as it should

    def _send(self, reply: Reply) -> None:
        self.send_response_only(reply.status)
        length = len(reply.body) if reply.length is None else reply.length
        for name, value in ({"Content-Length": str(length), "Date": DATE} | reply.headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()
        body = reply.body[: reply.cut]
        step = 1 if reply.drip else max(len(body), 1)
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            self.wfile.flush()
            time.sleep(reply.drip)
        if reply.cut is not None or reply.length is not None:
            self._hang_up()

    def _hang_up(self) -> None:
        """An RST, as a proxy that dies sends it."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    do_GET = do_POST = do_PUT = do_DELETE = _serve
