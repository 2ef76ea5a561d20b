"""The page on this machine's own address alone, made anew whenever the study's records have changed."""

import hashlib
import os
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from truelift.errors import InputError, one_line, whole
from truelift.records import Study
from truelift.report.page import html_page
from truelift.report.plain import visible
from truelift.report.summary import summarise

ADDRESS = "127.0.0.1"
_ALONE = {"127.0.0.1", "localhost"}
_SECONDS = 30.0
"""That one request may take."""


def serve(folder: Path, port: int, tell: Callable[[str], None]) -> None:
    """Serve a study's page until the process is interrupted.

    Args:
        folder: The study's.
        port: From 0 to 65535; 0 for any that is free.
        tell: Given one line with the address, once it answers.

    Raises:
        InputError: The study cannot be read, or the port cannot be had.
    """
    with server(folder, port) as running:
        tell(f"http://{ADDRESS}:{running.server_address[1]}/ shows {folder} as it grows. Ctrl-C ends it.")
        running.serve_forever()


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server that is bound, and not yet started.

    Raises:
        InputError: As `serve`.
    """
    whole("port", port, 0, 65535)
    page = _Page(folder)
    page.current()  # what is wrong with the study is told here, and not to a browser

    class Handler(_Handler):
        shown = page

    try:
        return ThreadingHTTPServer((ADDRESS, port), Handler)
    except OSError as error:
        raise InputError(f"port must be one that is free on this machine, got {port}: {one_line(error)}.") from None


class _Page:
    """The page as the records are."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._made: tuple[str, bytes] | None = None

    def current(self) -> tuple[str, bytes]:
        """Its version and its bytes; the last that could be made, where records are in the middle of a change.

        Raises:
            InputError: None could be made yet.
        """
        with self._lock:
            try:
                study = Study.read(self._folder)
                version = _version(study)
                if self._made is None or self._made[0] != version:
                    page = visible(html_page(summarise(study), version))
                    self._made = version, page.encode()
            except InputError:
                if self._made is None:
                    raise
            return self._made


def _version(study: Study) -> str:
    """Of the files that the page's numbers come from; another whenever one of them was written."""
    files = [study.folder / "study.json"]
    files += [run.folder / name for run in study.runs for name in ("config.toml", "result.json", "failure.json")]
    states = []
    for file in files:
        try:
            found = os.stat(file)
            states.append((found.st_mtime_ns, found.st_size))
        except OSError:
            states.append((0, -1))
    return hashlib.sha256(repr(states).encode()).hexdigest()[:16]


class _Handler(BaseHTTPRequestHandler):
    """Answers for "/" alone; there is no other path, and no file is ever looked up by what was asked for."""

    shown: _Page
    timeout = _SECONDS
    server_version, sys_version = "truelift", ""

    def do_GET(self) -> None:
        """The page, or for HEAD its version alone."""
        # By another name it is another site's page that asks, whose name was made to lead here.
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if host not in _ALONE:
            self._refuse(HTTPStatus.FORBIDDEN)
        elif self.path != "/":
            self._refuse(HTTPStatus.NOT_FOUND)
        else:
            version, page = self.shown.current()
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", page, version)

    do_HEAD = do_GET  # noqa: N815  # as the base class looks for it

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the terminal stays for what it told."""

    def _refuse(self, status: HTTPStatus) -> None:
        self._send(status, "text/plain; charset=utf-8", f"{status.phrase}\n".encode(), "")

    def _send(self, status: HTTPStatus, kind: str, body: bytes, version: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if version:
            self.send_header("X-Version", version)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
