"""Webhooks: told once, signed, tried again, and never more than ids."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cm_service import wiring
from cm_service.db import webhooks
from cm_service.db.engine import Database
from cm_service.flow import notices
from tests.flow.night_world import AS_OF, Practice, out_of_range, practice

SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"


class Listener:
    """A listener of somebody's own: what it heard, and what it answers."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.heard.append((dict(self.headers), body))
                self.send_response(listener.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/told"


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.server.shutdown()
    listener.server.server_close()


def register(clinic: Practice, listener: Listener) -> None:
    sealed = wiring.sealer(clinic.settings).seal(SECRET)
    with clinic.database.write() as connection:
        webhooks.add(
            connection,
            emr="clinic",
            url=listener.url,
            secret=sealed,
            events=list(notices.EVENTS),
            created_at=AS_OF,
        )


def tell(clinic: Practice, now: dt.datetime) -> int:
    http, sealer = wiring.outside(clinic.settings), wiring.sealer(clinic.settings)
    return asyncio.run(notices.deliver(clinic.database, http, sealer, now=now))


def types(listener: Listener) -> list[str]:
    return [json.loads(body)["type"] for _, body in listener.heard]


def test_a_night_is_told_once_signed_and_without_a_name(
    database: Database, tmp_path: Path, listener: Listener
) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        register(clinic, listener)
        clinic.run()
        assert tell(clinic, AS_OF) == len(listener.heard) > 0
        assert {"decision.changed", "sync.finished"} <= set(types(listener))
        headers, body = listener.heard[0]
        told: Any = {name.lower(): value for name, value in headers.items()}
        expected = notices.signature(SECRET, told["webhook-id"], told["webhook-timestamp"], body)
        assert told["webhook-signature"] == expected
        assert "8.6" not in str(listener.heard) and "1976" not in str(listener.heard)
        before = len(listener.heard)
        assert tell(clinic, AS_OF + dt.timedelta(hours=1)) == 0 and len(listener.heard) == before


def test_a_listener_that_fails_is_told_again_and_given_up_at_last(
    database: Database, tmp_path: Path, listener: Listener
) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        register(clinic, listener)
        clinic.run()
        listener.status, now = 500, AS_OF
        for _ in range(10):
            tell(clinic, now)
            now += dt.timedelta(days=2)
        events = len(listener.heard) // (len(notices.WAITS) + 1)
        assert len(listener.heard) == events * (len(notices.WAITS) + 1)
        listener.status = 200
        assert tell(clinic, now) == 0
