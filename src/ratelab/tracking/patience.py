"""Waiting for a store that another program holds."""

from collections.abc import Callable
from typing import TypeVar

R = TypeVar("R")

_SECONDS = 120.0


def wait_patiently(call: Callable[[], R], will_pass: Callable[[BaseException], bool], pause: float) -> R:
    """Return what a call returns, which is made again while its error is one that will pass.

    It blocks as long as the calls take, and two minutes at most between the first and the last of them.

    Args:
        call: changes nothing if it fails.
        will_pass: says of an error whether to call again; any other is raised at once.
        pause: seconds between two calls.

    Raises:
        BaseException: the error of the last call.
    """
    from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

    attempts = Retrying(
        retry=retry_if_exception(will_pass),
        wait=wait_fixed(pause),
        stop=stop_after_delay(_SECONDS),
        reraise=True,
    )
    return attempts(call)
