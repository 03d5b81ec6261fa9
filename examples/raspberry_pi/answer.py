"""Answer lines of text on a Unix socket, a JSON document for each; albert-edge.service starts it.

python answer.py BUNDLE SOCKET
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import socketserver
from pathlib import Path

import albert_edge
from albert_edge.errors import AlbertEdgeError
from albert_edge.runtime.pipeline import Pipeline

LONGEST_LINE = 100_000  # bytes
# Longer texts are cut: what the longest one needs stays allocated, see README.md.
MAX_LENGTH = 64  # tokens


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A thread for each connection; all use one pipeline."""

    daemon_threads = True  # a client that stays connected does not keep the program running

    def __init__(self, path: Path, pipeline: Pipeline) -> None:
        if path.is_socket():  # left by a process that was killed
            path.unlink()
        super().__init__(str(path), Connection)
        path.chmod(0o666)  # any user of this computer may ask
        self.pipeline = pipeline


class Connection(socketserver.StreamRequestHandler):
    """One client: a line of UTF-8 in, a line of JSON out, until it hangs up."""

    server: Server

    def handle(self) -> None:
        while line := self.rfile.readline(LONGEST_LINE + 1):
            answer: object = {"error": f"The line is longer than {LONGEST_LINE} bytes."}
            if len(line) <= LONGEST_LINE:
                answer = self.answer(line)
            self.wfile.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
            if len(line) > LONGEST_LINE:  # its rest would be taken for the next text
                return

    def answer(self, line: bytes) -> object:
        try:
            return self.server.pipeline(line.decode().rstrip("\r\n"))
        except (AlbertEdgeError, TypeError, UnicodeDecodeError) as error:
            return {"error": str(error)}


def tell_systemd(state: str) -> None:
    """Report a state to systemd if it started this program (sd_notify(3))."""
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect(address.replace("@", "\0", 1))
            notify.send(state.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description="Answer lines of text on a Unix socket.")
    parser.add_argument("bundle", help="the folder of a bundle")
    parser.add_argument("socket", type=Path, help="where to listen")
    parser.add_argument("--threads", type=int, help="default: all processors")
    options = parser.parse_args()
    try:
        pipeline = albert_edge.pipeline(
            model=options.bundle, threads=options.threads, truncation=True, max_length=MAX_LENGTH
        )
    except AlbertEdgeError as error:
        parser.exit(1, f"{error}\n{error.tip or ''}\n")
    with pipeline, Server(options.socket, pipeline) as server:
        tell_systemd("READY=1")
        server.serve_forever()


if __name__ == "__main__":
    main()
