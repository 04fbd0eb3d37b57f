"""A program for a pod: by HTTP it tells callers its own name and their address, and as a DNS it knows all names.

It is sent to a pod of the image as the text of `python -c`, so it imports nothing but the standard library.
"""

from __future__ import annotations

import os
import socketserver
import threading
from ipaddress import IPv4Address

HTTP_PORT, DNS_PORT = 8080, 5353
KNOWN = IPv4Address("203.0.113.53")
"""The address that every name has."""
_HEADER_BYTES = 12
_OF_ONE_ANSWER = b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"
_ADDRESS_OF_THE_QUESTION = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04" + KNOWN.packed


class TellCaller(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass  # the request's headers, up to the empty line
        self.wfile.write(f"HTTP/1.0 200 OK\r\n\r\n{os.environ['HOSTNAME']} {self.client_address[0]}\n".encode())


class KnowAllNames(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        query, answering = self.request
        answering.sendto(answer(query), self.client_address)


def answer(query: bytes) -> bytes:
    """Return the answer to a DNS query of one question (RFC 1035 §4.1), as if it asked for an address."""
    end = query.index(b"\0", _HEADER_BYTES) + 5  # its type and class
    return query[:2] + _OF_ONE_ANSWER + query[_HEADER_BYTES:end] + _ADDRESS_OF_THE_QUESTION


def serve() -> None:
    dns = socketserver.ThreadingUDPServer(("0.0.0.0", DNS_PORT), KnowAllNames)
    threading.Thread(target=dns.serve_forever, daemon=True).start()
    socketserver.ThreadingTCPServer(("0.0.0.0", HTTP_PORT), TellCaller).serve_forever()


if __name__ == "__main__":
    serve()
