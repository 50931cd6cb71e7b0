"""A web server that does what servers do on bad days: every byte of an answer is the test's."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from caravan.clients.crawl.addresses import Addresses
from caravan.clients.crawl.fetching import RequestsFetcher
from caravan.core.crawl import Limits

LIMIT = 100_000
ONCE = Limits(attempts=1)
HASTY = Limits(answer_seconds=0.5, connect_seconds=0.3, attempts=1)
"""For servers that take for ever; others may be slow on a machine that has much to do."""
Talk = Callable[[socket.socket, "HostileServer"], None]


def said(status: str = "200 OK", body: bytes = b"", *headers: str) -> bytes:
    """A whole answer with its true length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class HostileServer:
    """`answers`: request target (of `/`: all others) to bytes that are sent, or to who talks; a list is used up from
    its beginning, its last again and again. Connections stay open unless a talk closes its own."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, bytes | Talk | list[bytes | Talk]] = {}
        self.requests: list[str] = []
        """Heads as they came."""
        self.connections = 0
        self.stopping = threading.Event()
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def close(self) -> None:
        self.stopping.set()
        for each in (self._listener, *self._open):
            each.close()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                made, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(made)
            threading.Thread(target=self._serve, args=(made,), daemon=True).start()

    def _serve(self, made: socket.socket) -> None:
        try:
            made = self._tls.wrap_socket(made, server_side=True) if self._tls else made
            with made:
                while head := _head(made):
                    self.requests.append(head)
                    self._answer(made, head.split(" ")[1])
        except OSError:
            return

    def _answer(self, made: socket.socket, target: str) -> None:
        answer = self.answers.get(target, self.answers.get("/", said("404 Not Found")))
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, bytes):
            made.sendall(answer)
        else:
            answer(made, self)


def _head(made: socket.socket) -> str:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        part = made.recv(1 << 16)
        if not part:
            return ""
        head += part
    return head.decode("latin-1")


def dripping(first: bytes, drop: bytes, seconds: float = 0.02) -> Talk:
    """Sends something at once, then a little again and again, without end."""

    def talk(made: socket.socket, server: HostileServer) -> None:
        made.sendall(first)
        while not server.stopping.is_set():
            time.sleep(seconds)
            made.sendall(drop)

    return talk


def cut(sent: bytes) -> Talk:
    """Sends something and closes."""

    def talk(made: socket.socket, server: HostileServer) -> None:
        made.sendall(sent)
        made.shutdown(socket.SHUT_RDWR)

    return talk


def silent(made: socket.socket, server: HostileServer) -> None:
    server.stopping.wait(10)


def certificate(folder: Path, *names: str) -> tuple[Path, datetime.datetime]:
    """A certificate that its own key signed, with the key, and when it ends: UTC without zone."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    ends = now + datetime.timedelta(days=20)
    given = [x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName(given), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path, ends.replace(tzinfo=None)


def tls_of(path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


class Fetchers:
    """Makes fetchers that never pause but note how long they would have."""

    def __init__(self) -> None:
        self._made: list[RequestsFetcher] = []

    def __call__(self, limits: Limits = ONCE, addresses: Addresses | None = None, **given: Any) -> Any:
        pauses: list[float] = []
        fetcher: Any = RequestsFetcher(
            limits,
            addresses or Addresses(private_addresses=True),
            **{"pause": pauses.append, "random": lambda: 0.0, **given},
        )
        fetcher.pauses = pauses
        self._made.append(fetcher)
        return fetcher

    def close(self) -> None:
        for each in self._made:
            each.close()
