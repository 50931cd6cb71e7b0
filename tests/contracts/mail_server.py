"""An SMTP server that misbehaves where a test says so: it speaks plain SMTP, line by line, and keeps what it gets."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from typing import Any

CLOSE = "close"
"""Instead of an answer: the connection is closed."""
HELLO = "250-mx.example.com\r\n250 SIZE 1000000"
_USUAL = {"EHLO": HELLO, "DATA": "354 go on", "mail": "250 2.0.0 Ok: queued as 4F2B9C01"}


class MailServer:
    """`says`: by verb, answers in turn instead of the usual ones; `banner` greets, `mail` is said to a whole mail,
    `line` after the first line of one. `mails`: what was brought whole, whatever was answered."""

    def __init__(self) -> None:
        self.says: dict[str, list[str]] = {}
        self.slow_seconds = 0.0
        self.mails: list[bytes] = []
        self.recipients: list[str] = []
        self.verbs: list[str] = []
        self.connections = 0
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                outer.connections += 1
                self.is_in_transaction = False
                if not self._say("banner"):
                    return
                while line := self.rfile.readline():
                    verb = line[:4].decode().strip().upper()
                    outer.verbs.append(verb)
                    if verb == "RCPT":
                        outer.recipients.append(line.decode().strip()[8:])
                    if verb == "MAIL" and self.is_in_transaction:
                        self.wfile.write(b"503 5.5.1 nested MAIL command\r\n")
                        continue
                    if not self._say(verb) or verb == "QUIT":
                        return
                    if verb in ("MAIL", "RSET"):
                        self.is_in_transaction = verb == "MAIL" and outer.last.startswith("250")
                    if verb == "DATA" and outer.last.startswith("354") and not self._take_mail():
                        return

            def _take_mail(self) -> bool:
                content = self.rfile.readline()
                if "line" in outer.says and not self._say("line"):
                    return False
                while (line := self.rfile.readline()) != b".\r\n":
                    if not line:
                        return False
                    content += line[1:] if line.startswith(b".") else line
                outer.mails.append(content)
                self.is_in_transaction = False
                time.sleep(outer.slow_seconds)
                return self._say("mail")

            def _say(self, verb: str) -> bool:
                turns = outer.says.get(verb)
                outer.last = turns.pop(0) if turns else _USUAL.get(verb, "220 hello" if verb == "banner" else "250 OK")
                if outer.last == CLOSE:
                    return False
                self.wfile.write(outer.last.encode() + b"\r\n")
                return not outer.last.startswith("421")

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

            def handle_error(self, *arguments: Any) -> None:
                """A client that has gone is what some tests are about."""

        self.last = ""
        self._server = Server(("127.0.0.1", 0), Handler)
        # Small: what the server has not read must not be with it already.
        self._server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
