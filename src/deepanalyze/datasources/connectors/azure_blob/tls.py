"""Which certificates are trusted."""

from __future__ import annotations

import ssl


def trusting(ca_certificate: str) -> ssl.SSLContext:
    """What this machine trusts, and these (PEM). Raises ValueError for a text that holds none."""
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cadata=ca_certificate)
    except (ssl.SSLError, ValueError, TypeError) as error:  # a TypeError for what is not ASCII
        raise ValueError("must be one or more certificates in PEM form, the text itself") from error
    return context
