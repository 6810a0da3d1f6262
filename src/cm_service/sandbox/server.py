"""The sandbox EMR on a port: in a thread for a demo or a test, or in the foreground for people."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from cm_service.errors import Misconfigured
from cm_service.sandbox.app import BASE_PATH, CONNECTION, create_app
from cm_service.sandbox.declared import Personality
from cm_service.sandbox.faults import FaultPlan
from cm_service.sandbox.personality import GENEROUS
from cm_service.sandbox.store import Store

LOOPBACK = "127.0.0.1"


class _Protocol(H11Protocol):
    """Hands the connection to the application, so that a fault can break it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        application = self.app

        async def with_connection(scope: Scope, receive: Receive, send: Send) -> None:
            await application({**scope, CONNECTION: transport}, receive, send)

        self.app = with_connection


class _Server(uvicorn.Server):
    """Says when it is up, so that nobody has to poll."""

    def __init__(self, application: ASGIApp) -> None:
        # The access log would hold search URLs, and our clock writes the Date header.
        super().__init__(
            uvicorn.Config(
                application,
                http=_Protocol,
                lifespan="off",
                log_config=None,
                access_log=False,
                date_header=False,
                server_header=False,
                timeout_graceful_shutdown=2,
            )
        )
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@contextmanager
def running(
    store: Store,
    *,
    personality: Personality = GENEROUS,
    faults: FaultPlan | None = None,
    port: int = 0,
) -> Iterator[str]:
    """A server in a thread, on a free port unless one is named; gives its FHIR base URL."""
    with serving(create_app(store, personality=personality, faults=faults), port=port) as base:
        yield base


@contextmanager
def serving(application: ASGIApp, *, port: int = 0) -> Iterator[str]:
    """Any application of ours in a thread; gives the base URL under which a FHIR server answers."""
    listener = _listen(LOOPBACK, port)
    server = _Server(application)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        if not server.ready.wait(timeout=10):
            raise Misconfigured("the sandbox EMR did not start")
        yield base_url(*listener.getsockname()[:2])
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def serve(store: Store, *, personality: Personality = GENEROUS, host: str = LOOPBACK, port: int) -> None:
    """Serve in the foreground until interrupted. Raises Misconfigured if the port is taken."""
    _Server(create_app(store, personality=personality)).run(sockets=[_listen(host, port)])


def base_url(host: str, port: int) -> str:
    return f"http://{host}:{port}{BASE_PATH}"


def _listen(host: str, port: int) -> socket.socket:
    # The protocol is named because asyncio sets TCP_NODELAY only on sockets that name it: without it,
    # every answer waits 40 ms for a delayed acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Misconfigured(f"cannot listen on port {port}: {error.strerror}") from error
    return listener
