"""A proxy between the service and the EMR that fails as networks and gateways fail, when told to.

What it passes on goes to the EMR unchanged; `fail` puts faults in the way of the next requests that
match, each fault for one request.
"""

from __future__ import annotations

import http.client
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
from urllib.parse import urlsplit

_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"})


@dataclass
class Reply:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """`reaches`: the EMR gets the request (and acts), without the headers that it `strips`. Then `reply`,
    else silence: hang up at once, or after `late` seconds (below 0: the EMR's own answer); `cut`: that
    answer, with half of its body. `first` runs before anything else, `then` when the EMR has acted."""

    reaches: bool
    reply: Reply | None = None
    late: float = 0.0
    cut: bool = False
    strips: tuple[str, ...] = ()
    first: Callable[[], object] | None = None
    then: Callable[[], object] | None = None


DROPPED_BEFORE = Fault(reaches=False)
DROPPED_AFTER = Fault(reaches=True)
TOO_LATE = Fault(reaches=True, late=1.4)
NEVER = Fault(reaches=False, late=1.4)
CUT = Fault(reaches=True, cut=True)
FINE = Fault(reaches=True, late=-1)


def answers(status: int, text: str = "no", *, reaches: bool = False, **headers: str) -> Fault:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "diagnostics": text}]}
    named = {"Content-Type": "application/fhir+json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return Fault(reaches, Reply(status, json.dumps(outcome).encode(), named))


def html(*, reaches: bool) -> Fault:
    return Fault(reaches, Reply(200, b"<html>Sign in</html>", {"Content-Type": "text/html"}))


def empty() -> Fault:
    """A correct search set of nothing: what a lost scope looks like."""
    body = {"resourceType": "Bundle", "type": "searchset", "entry": []}
    return Fault(False, Reply(200, json.dumps(body).encode(), {"Content-Type": "application/fhir+json"}))


def meanwhile(act: Callable[[], object]) -> Fault:
    """Somebody is quicker: `act` happens just before the request reaches the EMR."""
    return Fault(reaches=True, first=act, late=-1)


class Network:
    """`plain`: the EMR behind it does not say that it can create conditionally."""

    def __init__(self, emr: str) -> None:
        self.emr = urlsplit(emr)
        self.plain = False
        self.base = ""
        self.log: list[str] = []
        self._plan: list[tuple[str, list[Fault], bool]] = []
        self._lock = threading.Lock()

    def fail(self, what: str, *faults: Fault, always: bool = False) -> None:
        """`what` is the beginning of "POST Task", "PUT Goal/", "GET Observation?"; with `always` the
        last fault stays."""
        self._plan.append((what, list(faults), always))

    def heal(self) -> None:
        self._plan.clear()

    def fault_of(self, method: str, target: str) -> Fault | None:
        line = f"{method} {target}"
        with self._lock:
            self.log.append(line)
            for what, faults, always in self._plan:
                if faults and line.startswith(what):
                    return faults[0] if always and len(faults) == 1 else faults.pop(0)
        return None

    def sent(self, what: str) -> int:
        return sum(line.startswith(what) for line in self.log)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        target = self.path.removeprefix("/fhir").removeprefix("/")
        fault = self.server.network.fault_of(self.command, target)
        if fault is not None and fault.first is not None:
            fault.first()
        strips = fault.strips if fault is not None else ()
        reply = self._pass_on(body, strips) if fault is None or fault.reaches else None
        if fault is not None and fault.then is not None:
            fault.then()
        try:
            self._answer(fault, reply)
        except OSError:
            self.close_connection = True

    def _answer(self, fault: Fault | None, reply: Reply | None) -> None:
        if fault is not None and fault.reply is not None:
            reply = fault.reply
        elif fault is not None and not fault.cut and fault.late >= 0:
            time.sleep(fault.late)
            self._hang_up()
            return
        assert reply is not None
        self.send_response_only(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if fault is not None and fault.cut:
            self.wfile.write(reply.body[: len(reply.body) // 2])
            self.wfile.flush()
            self._hang_up()
        else:
            self.wfile.write(reply.body)

    def _pass_on(self, body: bytes, strips: tuple[str, ...]) -> Reply:
        network = self.server.network
        emr, gone = network.emr, {*_HOP, "accept-encoding", *strips}
        connection = http.client.HTTPConnection(emr.hostname or "", emr.port)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in gone}
        connection.request(self.command, self.path, body or None, headers)
        answer = connection.getresponse()
        # Some servers name themselves in links, whoever is asked: from here on that is us.
        named = emr.geturl()
        kept = {
            name: value.replace(named, network.base)
            for name, value in answer.getheaders()
            if name.lower() not in _HOP
        }
        reply = Reply(answer.status, answer.read().replace(named.encode(), network.base.encode()), kept)
        connection.close()
        if network.plain and self.path.endswith("/metadata"):
            reply.body = reply.body.replace(b'"conditionalCreate":true', b'"conditionalCreate":false')
        return reply

    def _hang_up(self) -> None:
        """An RST, as a proxy that dies sends it."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    do_GET = do_POST = do_PUT = do_DELETE = _serve


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    network: Network

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that was killed


@contextmanager
def bad_network(emr: str, network: Network | None = None) -> Iterator[Network]:
    """`emr` is the base URL of the EMR behind it; `base` of what is given is the one to use."""
    network = network or Network(emr)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.network = network
    network.base = f"http://127.0.0.1:{server.server_address[1]}/fhir"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield network
    finally:
        server.shutdown()
        server.server_close()
