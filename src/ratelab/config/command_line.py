"""The words of a command line, looked at before Hydra: what it would answer with a traceback is refused."""

import re
from collections.abc import Sequence

from ratelab.config.search_path import CONF
from ratelab.config.secrets import hide_passwords
from ratelab.validation import UserError, shorten

LONGEST_NAME = 255  # bytes, of a file: nothing that a word can name has a longer one
LONGEST_PATH = 1000  # a system may allow four times as much; the names of jobs come behind it
LONGEST_WORD = 10_000
MOST_DIGITS = 300  # more are beyond float64
DEEPEST = 20


def read_words(words: Sequence[str]) -> list[str]:
    """Return the words for Hydra: each can be read, and none has a password, see `hide_passwords`.

    Raises:
        UserError: for bytes that are no text, for what is too long or too deep, and for an option of a group
            that is no name.

    >>> read_words(["schedule=[fixed]"])
    Traceback (most recent call last):
    ratelab.validation.UserError: schedule=[fixed]: must be the name of an option.
    """
    for word in words:
        _check_text(word)
        key, _, value = word.partition("=")
        _check_size(key, value)
        _check_option(key.lstrip("+~"), value.strip())
    return hide_passwords(words)


def _check_text(word: str) -> None:
    # What is no UTF-8 on a command line comes as surrogates, which no file and no store can take.
    if "\0" in word or (not word.isascii() and re.search("[\ud800-\udfff]", word)):
        raise UserError(f"{shorten(word)}: holds bytes that are no text in UTF-8; write it anew.")


def _check_size(key: str, value: str) -> None:
    texts = re.split(r"[][,{}()\s='\":]", value)
    names = [name for text in texts for name in text.split("/") if not name.isdigit()]
    rules = [
        (len(value) > LONGEST_WORD, f"has more than {LONGEST_WORD:,} letters"),
        (_count_depth(value) > DEEPEST, f"is nested more than {DEEPEST} deep"),
        (_is_longer(names, LONGEST_NAME), f"holds a name of more than {LONGEST_NAME} bytes"),
        (_is_longer(texts, LONGEST_PATH), f"holds a path of more than {LONGEST_PATH:,} bytes"),
        (re.search(rf"\d{{{MOST_DIGITS + 1}}}", value), f"holds a number of more than {MOST_DIGITS} digits"),
        (key.startswith("~") and len(value) > LONGEST_NAME, "is to be deleted, which needs no value"),
    ]
    for is_broken, problem in rules:
        if is_broken:
            raise UserError(
                f"{key[:LONGEST_NAME]} {problem}, got {shorten(value)}; long values go into a file."
            )


def _count_depth(value: str) -> int:
    depth = deepest = 0
    for letter in re.findall(r"[][{}()]", value):
        depth += 1 if letter in "[{(" else -1
        deepest = max(deepest, depth)
    return deepest


def _is_longer(texts: list[str], most: int) -> bool:
    return any(len(text.encode()) > most for text in texts)


def _check_option(group: str, value: str) -> None:
    """Refuse lists, numbers, truth values and null where an option of one of our groups is to be named.

    Of experiments a list may be chosen: each is on top of the one before.
    """
    if not value or not group.isidentifier() or not (CONF / group).is_dir():
        return
    listed = re.fullmatch(r"\[([^][{}()]+)\]", value) if group == "experiment" else None
    names = [name.strip() for name in (value if listed is None else listed[1]).split(",")]
    if group == "experiment" and "null" in names:
        raise UserError(f"{group}={value[:80]}: must name experiments; for none leave it out.")
    plain = r"[-+]?[\d._]+(e[-+]?\d+)?|true|false|null|[+-]?\.?(nan|inf)"
    is_named = all(re.fullmatch(plain, name, re.IGNORECASE) is None for name in names)
    if not is_named or names[0].startswith(("[", "{")):
        raise UserError(f"{group}={value[:80]}: must be the name of an option.")
