"""Passwords in URIs stay out of everything that is printed or recorded."""

import re
from urllib.parse import unquote

__all__ = ["without_password"]


def without_password(text: str, uri: str | None = None) -> str:
    """Return `text` with the password of `uri` (or of `text`, if that is the URI) replaced by stars.

    >>> without_password("postgresql://me:se/cret@host/db")
    'postgresql://me:***@host/db'
    """
    text = re.sub(r"(://[^:/@\s]*):[^\s]*@", r"\1:***@", text)
    text = re.sub(r"(?i)([?&\s]password=)[^&\s]*", r"\1***", text)
    secret = re.search(r"://[^:/@\s]*:([^\s]*)@", uri or "")
    for form in {secret[1], unquote(secret[1])} - {""} if secret else ():
        text = text.replace(form, "***")
    return text
