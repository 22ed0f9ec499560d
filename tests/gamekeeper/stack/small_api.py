"""The few routes of REST that a stack asks for its own node, on a port: each node, its status and its conditions."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NODES = "/api/v1/nodes"


class SmallApi:
    """``nodes`` by their ids; ``asked`` are the calls that change something."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}
        self.parts = {"database": "ok", "temporal": "ok", "control_worker": "ok", "log_store": "ok"}
        self.asked: list[str] = []
        self.port = 0

    def add(self, node: str, status: str, conditions: dict[str, str] | None = None) -> None:
        told = [{"type": name, "reason": reason} for name, reason in (conditions or {}).items()]
        self.nodes[node] = {"id": node, "epoch": 1, "status": status, "conditions": told}

    def get(self, path: str) -> tuple[int, Any]:
        if path == "/readyz":
            return 200, {"ready": True, "parts": self.parts}
        found = self.nodes.get(path.removeprefix(f"{NODES}/"))
        return (200, found) if found else (404, {})

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        self.asked.append(path.removeprefix(NODES))
        if path == NODES:
            self.add(body["id"], "never_seen")
            return 201, self.nodes[body["id"]]
        return 201, {"token": f"token {len(self.asked)}"}


@contextmanager
def serving() -> Iterator[SmallApi]:
    api = SmallApi()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(*api.get(self.path))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
            self._answer(*api.post(self.path, body))

        def _answer(self, status: int, body: Any) -> None:
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
