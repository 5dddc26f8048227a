"""How what was begun is ended: every step of a clean-up is done, and the first cause is what is told."""

from collections.abc import Callable


def attempt(error: BaseException, step: Callable[[], object]) -> bool:
    """Say whether a step of a clean-up succeeded; why it did not is noted at the error that is on its way.

    >>> cause = KeyboardInterrupt()
    >>> attempt(cause, lambda: 1 / 0), cause.__notes__
    (False, ['and then ZeroDivisionError: division by zero'])
    """
    try:
        step()
    except Exception as second:
        _note(error, second)
        return False
    return True


def clean_up(error: BaseException | None, *steps: Callable[[], object]) -> None:
    """Do every step, whatever the others raise.

    Args:
        error: that is on its way already; what the steps raise becomes its notes.
        steps: in their order.

    Raises:
        BaseException: without an error on its way the first of the steps, which has the others as notes; also
            an order to stop that came meanwhile, when all is done.
    """
    raised: BaseException | None = None
    for step in steps:
        try:
            step()
        except BaseException as second:
            if error is None:
                error = raised = second
            else:
                _note(error, second)
            if not isinstance(second, Exception) and isinstance(error, Exception):
                raised = second
    if raised is not None:
        raise raised


def _note(error: BaseException, second: BaseException) -> None:
    if second is not error:  # a writer raises its error at every call
        error.add_note(f"and then {type(second).__name__}: {second}")
