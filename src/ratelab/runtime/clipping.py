"""Texts cut to a length, so that it shows; and so that two of them stay two."""

import hashlib

_DIGITS = 12


def clip(text: str, length: int) -> str:
    """Return `text`, if it is longer than `length` cut there, visibly.

    >>> clip("abcdefgh", 6)
    'abc...'
    """
    return text if len(text) <= length else text[: length - 3] + "..."


def clip_apart(text: str, length: int) -> str:
    """Return the same with digits of its SHA-256 at the end: so texts that differ behind the cut stay apart.

    >>> clip_apart("x" * 100, 20), clip_apart("x" * 101, 20), clip_apart("x" * 20, 20)
    ('xxxx... 09ecb6ebc8bc', 'xxxx... c675a2e604b0', 'xxxxxxxxxxxxxxxxxxxx')
    """
    if len(text) <= length:
        return text
    # what is no text of its own, half of a pair of surrogates, has a digest as well
    digits = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:_DIGITS]
    return f"{clip(text, length - _DIGITS - 1)} {digits}"
