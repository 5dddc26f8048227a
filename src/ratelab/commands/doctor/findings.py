"""What a check finds."""

from dataclasses import dataclass
from typing import Literal

OK: Literal["ok"] = "ok"
WARNING: Literal["warning"] = "warning"
PROBLEM: Literal["problem"] = "problem"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        mark: "ok"; "warning": runs can begin, but something is not as one would want it; "problem": they
            cannot, or what they do would be lost.
        subject: what was looked at, in a word or two.
        seen: what was seen.
        advice: what to do; "" where nothing is to be done.
    """

    mark: Literal["ok", "warning", "problem"]
    subject: str
    seen: str
    advice: str = ""
