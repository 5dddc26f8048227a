"""Items made by a thread, while the main thread does something else."""

import threading
import time

import pytest

from ratelab.training import background, prefetch

SECONDS = 10  # nothing here takes as long; a test that hangs shall end


def test_items_come_in_order_and_all_of_them():
    with prefetch(range(100), depth=3) as items:
        assert list(items) == list(range(100))


def test_at_most_depth_items_wait_to_be_taken():
    made, third = [], threading.Event()

    def make():
        for number in range(10):
            made.append(number)
            if number == 2:
                third.set()
            yield number

    with prefetch(make(), depth=2):
        assert third.wait(SECONDS)  # two are in the queue, the third is in the hands of the thread
        time.sleep(0.3)
        assert made == [0, 1, 2]


@pytest.mark.parametrize("error", [ValueError("spoilt"), KeyboardInterrupt("spoilt")])
def test_what_the_thread_raises_comes_after_the_items_before_it(error):
    def make():
        yield 1
        raise error

    with prefetch(make(), depth=5) as items:
        assert next(items) == 1
        with pytest.raises(type(error), match="spoilt"):
            next(items)


def test_a_caller_who_stops_early_ends_the_thread_after_its_item():
    made = []

    def make():
        for number in range(1000):
            made.append(number)
            yield number

    with prefetch(make(), depth=1) as items:
        next(items)
    assert "training" not in {thread.name for thread in threading.enumerate()}
    assert len(made) <= 4


def test_a_caller_does_not_wait_for_ever_for_an_item_that_takes_long(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr("ratelab.training.background.PATIENCE", 0.1)

    def make():
        yield 1
        release.wait(SECONDS)
        yield 2

    with prefetch(make(), depth=1) as items:
        next(items)
    assert not release.is_set()
    release.set()


def test_a_signal_that_was_swallowed_is_raised_although_no_item_comes(monkeypatch):
    release, looks = threading.Event(), []

    def look():
        looks.append(1)
        if len(looks) == 3:
            raise KeyboardInterrupt

    def make():
        release.wait(SECONDS)
        yield 1

    monkeypatch.setattr(background, "LOOK_AROUND", 0.01)
    monkeypatch.setattr(background, "raise_if_told_to_stop", look)
    monkeypatch.setattr(background, "PATIENCE", 0.1)
    with pytest.raises(KeyboardInterrupt), prefetch(make(), depth=1) as items:
        next(items)
    release.set()
