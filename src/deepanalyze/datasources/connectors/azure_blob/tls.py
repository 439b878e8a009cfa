"""Which certificates are trusted."""

from __future__ import annotations

import ssl


def trusting(ca_certificate: str) -> ssl.SSLContext:
    """What this machine trusts, and these (PEM). Raises ValueError for a text that holds none."""
    context = ssl.create_default_context()
    before = context.cert_store_stats()["x509"]
    try:
        context.load_verify_locations(cadata=ca_certificate)
    except (ssl.SSLError, ValueError) as error:
        raise ValueError("must be one or more certificates in PEM form, the text itself") from error
    if context.cert_store_stats()["x509"] == before:
        raise ValueError("holds no certificate that this machine does not trust already")
    return context
