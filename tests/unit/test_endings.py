"""A clean-up does all of its steps; the first cause is what is told, the others are its notes."""

import pytest

from ratelab.runtime.endings import attempt, clean_up


class Steps:
    """Steps of which some raise; `done` has the numbers of all that were begun."""

    def __init__(self, *errors):
        self.done = []
        self.steps = [self.make(number, error) for number, error in enumerate(errors)]

    def make(self, number, error):
        def step():
            self.done.append(number)
            if error is not None:
                raise error

        return step


def test_every_step_is_done_and_what_goes_wrong_is_noted_at_the_cause():
    steps = Steps(None, OSError("full"), ValueError("odd"), None)
    cause = KeyboardInterrupt()
    clean_up(cause, *steps.steps)
    assert steps.done == [0, 1, 2, 3]
    assert cause.__notes__ == ["and then OSError: full", "and then ValueError: odd"]


def test_without_a_cause_the_first_error_is_raised_after_the_last_step():
    first = OSError("full")
    steps = Steps(first, ValueError("odd"), None)
    with pytest.raises(OSError, match="full") as raised:
        clean_up(None, *steps.steps)
    assert raised.value is first
    assert first.__notes__ == ["and then ValueError: odd"]
    assert steps.done == [0, 1, 2]


@pytest.mark.parametrize("cause", [None, ValueError("mine")], ids=repr)
def test_an_order_to_stop_that_comes_meanwhile_is_raised_when_all_is_done(cause):
    stop = KeyboardInterrupt()
    steps = Steps(OSError("full"), stop, None)
    with pytest.raises(KeyboardInterrupt) as raised:
        clean_up(cause, *steps.steps)
    assert raised.value is stop
    assert steps.done == [0, 1, 2]


def test_a_cause_that_is_raised_again_is_no_note_of_itself():
    cause = OSError("full")
    clean_up(cause, *Steps(cause).steps)
    assert not hasattr(cause, "__notes__")
    assert not attempt(cause, Steps(cause).steps[0])
    assert not hasattr(cause, "__notes__")


def test_an_attempt_lets_an_order_to_stop_pass():
    with pytest.raises(KeyboardInterrupt):
        attempt(OSError("full"), Steps(KeyboardInterrupt()).steps[0])
