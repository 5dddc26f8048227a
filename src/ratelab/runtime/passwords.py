"""Passwords in URIs stay out of everything that is printed or recorded."""

import re
from urllib.parse import unquote

__all__ = ["without_password"]


def without_password(text: str, uri: str | None = None) -> str:
    """Return `text` with the password of `uri` (or of `text`, if that is the URI) replaced by stars.

    Args:
        text: a URI, or a message in which one may stand.
        uri: whose password may stand in `text` by itself; None: only what looks like one is replaced.

    >>> without_password("postgresql://me:se/cret@host/db")
    'postgresql://me:***@host/db'
    """
    # Up to the last @ of the word, since a password may hold @ and / itself: rather a host too few than a
    # password too much.
    text = re.sub(r"(://[^:/@\s]*):[^\s]*@", r"\1:***@", text)
    text = re.sub(r"(?i)([?&\s]password=)[^&\s]*", r"\1***", text)
    found = re.search(r"://[^:/@\s]*:([^\s]*)@", uri or "")
    if found is not None:
        # Drivers name it in their messages as it is in the URI, or decoded.
        for password in {found[1], unquote(found[1])} - {""}:
            text = text.replace(password, "***")
    return text
