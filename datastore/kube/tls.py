"""What a TLS connection to an API server is made with: whom it is verified by, who we are, which protocol is spoken.

An edge: it reads files. Imports little: short commands ask an API server without an event loop.
"""

from __future__ import annotations

import ssl


def client_tls(
    protocol: str,
    *,
    authorities: str | None = None,
    authorities_text: str | None = None,
    certificate: str | None = None,
    key: str | None = None,
    verify: bool = True,
) -> ssl.SSLContext:
    """Return what a client's connections are made with. Raises OSError, ssl.SSLError.

    protocol: as ALPN names it. authorities, certificate, key: files; without authorities, the system's count.
    """
    context = ssl.create_default_context(cafile=authorities, cadata=authorities_text)
    if certificate:
        context.load_cert_chain(certificate, key)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python 3.13's; clusters have certificates that Go's clients take
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    return context
