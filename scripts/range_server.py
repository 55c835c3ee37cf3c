"""A stand-in for an object store: files over HTTP by ranges of bytes, on loopback, and fsspec's side of it."""

from __future__ import annotations

import asyncio
import http.client
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from fsspec.asyn import AsyncFileSystem

__all__ = ["RangeFileSystem", "RangeServer", "parse_range"]

_AT_ONCE = 32  # connections; as many as s3fs and gcsfs keep open


def parse_range(header: str | None, size: int) -> tuple[int, int]:
    """Positions (start, end) in a file of some bytes that an HTTP Range header of one range asks for."""
    if not header:
        return 0, size
    first, last = header.removeprefix("bytes=").split("-")
    if not first:
        return max(size - int(last), 0), size
    return int(first), min(int(last) + 1, size) if last else size


class _Handler(SimpleHTTPRequestHandler):
    server: RangeServer

    def do_GET(self) -> None:
        time.sleep(self.server.delay_s)
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.server.count(0)
            self.send_error(404)
            return
        start, end = parse_range(self.headers.get("Range"), path.stat().st_size)
        with open(path, "rb") as file:
            file.seek(start)
            body = file.read(end - start)
        self.server.count(len(body))
        self.send_response(206)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


class RangeServer(ThreadingHTTPServer):
    """Serves a folder on loopback while in its ``with`` block, and counts what is asked for.

    Args:
        folder: the folder.
        delay_s: wait before every answer, as a network would.
    """

    daemon_threads = True
    request_queue_size = _AT_ONCE

    def __init__(self, folder: Path, delay_s: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), lambda *args: _Handler(*args, directory=str(folder)))
        self.delay_s = delay_s
        self.requests = self.bytes_sent = 0
        self._lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def count(self, size: int) -> None:
        """Counts one request."""
        with self._lock:
            self.requests += 1
            self.bytes_sent += size

    def taken(self) -> tuple[int, int]:
        """Requests and bytes since the last call."""
        with self._lock:
            counted = self.requests, self.bytes_sent
            self.requests = self.bytes_sent = 0
        return counted

    def __exit__(self, *error: Any) -> None:
        self.shutdown()
        super().__exit__(*error)


class RangeFileSystem(AsyncFileSystem):
    """Reads a :class:`RangeServer`, several ranges at a time, with one connection each."""

    cachable = False

    def __init__(self, port: int, asynchronous: bool = False) -> None:
        super().__init__(asynchronous=asynchronous)
        self.port = port
        self._pool = ThreadPoolExecutor(_AT_ONCE)

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._get, path, start, end)

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "size": len(await self._cat_file(path)), "type": "file"}

    def _get(self, path: str, start: int | None, end: int | None) -> bytes:
        headers = {}
        if start is not None and start < 0:
            headers["Range"] = f"bytes={start}"
        elif start is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        try:
            connection.request("GET", "/" + path.lstrip("/"), headers=headers)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status == 404:
            raise FileNotFoundError(path)
        return body

    def ranges(self, path: str, starts: Sequence[int], size: int) -> bytes:
        """Reads pieces of one size from a file, all at once, and joins them."""
        return b"".join(self.cat_ranges([path] * len(starts), list(starts), [start + size for start in starts]))
