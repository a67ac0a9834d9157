"""A small HTTP server that serves one file well or badly, by the first part of the path, and counts."""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = 1 << 14


class Server:
    def __init__(self, content: bytes) -> None:
        self.content = content
        self.requests: list[str] = []  # path and range
        self.sent = 0
        self.pause_at: int | None = None  # the connection stands still here, for ever
        self.paused = threading.Event()
        self.url = ""

    def reset(self) -> None:
        self.requests, self.sent, self.pause_at = [], 0, None


class Handler(BaseHTTPRequestHandler):
    server: ThreadingHTTPServer

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        state: Server = self.server.state
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        state.requests.append(f"{self.path} {self.headers.get('Range')}")
        kind = self.path.split("/")[1]
        content = {"longer": state.content + b"x", "shorter": state.content[:-1], "other": state.content[::-1]}.get(
            kind, state.content
        )
        if kind.isdigit() and int(kind) >= 400:
            self.send_response(int(kind))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start, stop = 0, len(content)
        if wanted and kind != "norange":
            start = int(wanted[1])
            stop = min(int(wanted[2]) + 1, stop) if wanted[2] else stop
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        end = min(stop, start + len(content) // 2) if kind in {"breaks", "stalls"} else stop
        for position in range(start, end, PIECE):
            if state.pause_at is not None and position >= state.pause_at:
                state.paused.set()
                while state.pause_at is not None:
                    time.sleep(0.002)
            piece = content[position : min(position + PIECE, end)]
            try:
                self.wfile.write(piece)
            except ConnectionError:
                return
            state.sent += len(piece)
        if kind == "stalls":
            time.sleep(1.5)
        if end < stop:
            self.close_connection = True


@contextmanager
def serving(content: bytes, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    state = Server(content)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.state = state
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    state.url = f"http{'' if tls is None else 's'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.pause_at = None
        server.shutdown()
        server.server_close()
        thread.join()
