"""A party's key set on a real socket, as bad as asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class KeyServer:
    """`keys` are served with `headers`; `raw` instead of a set, `seconds` before each byte of it."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.headers: dict[str, str] = {}
        self.status = 200
        self.raw: bytes | None = None
        self.seconds = 0.0
        self.calls = 0
        self.url = ""

    @contextmanager
    def running(self) -> Iterator[None]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{server.server_address[1]}/jwks.json"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        keys = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                keys.calls += 1
                body = keys.raw if keys.raw is not None else json.dumps({"keys": keys.keys}).encode()
                self.send_response(keys.status)
                for name, value in {"Content-Type": "application/json", **keys.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self._give(body)
                except OSError:
                    return  # whoever asked has had enough

            def _give(self, body: bytes) -> None:
                if not keys.seconds:
                    self.wfile.write(body)
                    return
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(keys.seconds)

            def log_message(self, *_: object) -> None:
                return None

        return Handler
