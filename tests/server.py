"""A server on this machine's loopback that says byte for byte what a test wants, at the pace that it wants."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

Script = Callable[[str], Iterable[bytes]]
"""Given the path of a request: what is sent, part by part, with pauses as it likes. Then the connection is closed."""


class Server:
    """Listens on a free port of 127.0.0.1, one thread for each connection. With `tls`, it speaks TLS from the start."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self._script, self._tls = script, tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.asked: list[str] = []
        """The first line of every request."""
        Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
            with line:
                request = b""
                while b"\r\n\r\n" not in request and (data := line.recv(65_536)):
                    request += data
                if b"\r\n\r\n" not in request:
                    return
                self.asked.append(request.partition(b"\r\n")[0].decode())
                for part in self._script(self.asked[-1].split(" ")[1]):
                    line.sendall(part)

    def close(self) -> None:
        """Stop listening."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for a caller
        self._listener.close()


@contextmanager
def serving(script: Script, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server for as long as it is needed."""
    server = Server(script, tls)
    try:
        yield server
    finally:
        server.close()


def certificate(folder: Path, *names: str) -> tuple[Path, Path]:
    """A certificate of some host names that vouches for itself, and its key, made by the `openssl` of this machine."""
    key, made = folder / f"{names[0]}.key", folder / f"{names[0]}.crt"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={names[0]}"]
    extensions = {
        "basicConstraints": "critical,CA:FALSE",
        "keyUsage": "critical,digitalSignature,keyEncipherment",
        "extendedKeyUsage": "serverAuth",
        "subjectAltName": ",".join(f"DNS:{name}" for name in names),
    }
    for name, value in extensions.items():
        command += ["-addext", f"{name}={value}"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True)
    return made, key
