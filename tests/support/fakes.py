"""A store that is none: fakes of the tracking interface, and epochs that nobody trained."""

from contextlib import contextmanager
from pathlib import Path
from unittest.mock import create_autospec

import numpy as np
from rich.text import Text

from ratelab.runs.checkpoints import Checkpoints
from ratelab.runs.feed import Feed
from ratelab.runs.journal import Journal, RunJournal
from ratelab.runs.past import Past
from ratelab.runs.storing import Storing
from ratelab.sweeps.resources import Workers
from ratelab.sweeps.stacks import Ended, Epoch, Started
from ratelab.tracking import Run, Tracker
from ratelab.training import Chunk, Training

START = 1_700_000_000_000  # milliseconds since 1970


def fake_tracker():
    """A tracker whose runs are fakes as well.

    `opened` has each by its name; `ended` has the error that left its block, None where it ended well.
    """
    tracker = create_autospec(Tracker, instance=True)
    tracker.uri, tracker.is_lost, tracker.seconds_asked = "sqlite:////store.db", False, 0.0
    tracker.opened, tracker.ended = {}, {}
    tracker.__enter__.return_value = tracker
    tracker.__exit__.return_value = None  # an error passes
    tracker.links.return_value = [Text("See it in MLflow:"), Text("  http://[store]")]

    @contextmanager
    def open_run(name, is_resumed=False, **_):
        assert is_resumed or name not in tracker.opened
        run = create_autospec(Run, instance=True)
        run.id, run.name, run.lacks_metrics = f"id of {name}", name, False
        tracker.opened[name] = run
        try:
            yield run
        except BaseException as error:
            tracker.ended[name] = error
            raise
        tracker.ended[name] = None

    tracker.run.side_effect = open_run
    return tracker


def fake_journal(number=0):
    """The part of a journal that is about one run and holds nothing; the mock keeps what is noted."""
    journal = create_autospec(RunJournal, instance=True)
    journal.key, journal.past, journal.steps = f"key of {number}", None, 0
    journal.path = Path("/a/journal")
    journal.chunks.side_effect = lambda: iter([])
    journal.note_tested.side_effect = lambda now: now
    return journal


def fake_journals():
    """A journal that holds nothing; `parts` has those of the runs by their numbers, fakes as well."""
    journal = create_autospec(Journal, instance=True)
    journal.past, journal.is_resumed, journal.parts = Past(), False, {}
    journal.of.side_effect = lambda number: journal.parts.setdefault(number, fake_journal(number))
    journal.key.side_effect = lambda number=None: f"key of {'sweep' if number is None else number}"
    return journal


class FakeModel:
    """What of a Keras model is kept when its program dies."""

    def __init__(self, *weights):
        self.weights = list(weights)

    def get_weights(self):
        return self.weights

    def set_weights(self, weights):
        self.weights = weights


class Journals:
    """The journal of a folder, opened as by one program after another."""

    def __init__(self, folder, identity):
        self._folder, self._identity = folder, identity
        self._opened = None

    def begin(self, identity=None, is_resumed=False):
        """Open it as a program does that begins, or goes on, when the one before has died."""
        self.close()
        self._opened = Journal(self._folder, identity or self._identity, is_resumed)
        self._opened.begin({"commit": "abc"}, {"packages.txt": "numpy\n"})
        return self._opened

    def close(self):
        if self._opened is not None:
            self._opened.close()


def fake_checkpoints():
    """Checkpoints that keep nothing."""
    checkpoints = create_autospec(Checkpoints, instance=True)
    checkpoints.load.return_value = None
    return checkpoints


def chunk(epoch=0, steps=50, **changes):
    """An epoch of `steps` updates with batches of 24, half a second of training, and round numbers."""
    first = epoch * steps
    values = {
        "epoch": epoch,
        "first_step": first,
        "learning_rate": np.full(steps, 0.1, np.float32),
        "train_loss": np.arange(first, first + steps, dtype=np.float32) / 8,
        "timestamps": START + np.arange(first, first + steps),
        "validation": {"loss": 0.25, "accuracy": 0.5 + epoch / 8},
        "seconds": 0.5,
        "batch_size": np.full(steps, 24, np.int32),
        "examples_seen": None,
        "momentum": None,
        "noise_scale": None,
    }
    return Chunk(**values | changes)


def diverged_chunk(epoch=0, steps=50):
    """An epoch that ends with a loss that is not finite."""
    losses = np.ones(steps, np.float32)
    losses[-1] = np.inf
    return chunk(epoch, steps, train_loss=losses)


def fake_workers(stacks):
    """Workers who train these stacks to the end in no time; those of a later job are a bit more accurate."""

    def events():
        for stack in stacks:
            yield Started(0, stack)
            for run in stack.runs:
                steps = run.steps // run.config.epochs
                for epoch in range(run.config.epochs):
                    yield Epoch(0, run.number, chunk(epoch, steps), stack.numbers)
                test = {"loss": 0.25, "accuracy": 0.5 + run.number / 64} if run.config.test else None
                yield Ended(0, run.number, test, None)

    workers = create_autospec(Workers, instance=True)
    workers.__enter__.return_value = workers
    workers.__exit__.return_value = None
    workers.__iter__.side_effect = events
    workers.stop.side_effect = lambda: iter([])
    return workers


def fake_training(*epochs):
    """A training that gives these chunks of its only run."""
    training = create_autospec(Training, instance=True)
    training.__iter__.side_effect = lambda: iter([[one] for one in epochs])
    training.passed = None
    training.test.return_value = [{"loss": 0.25, "accuracy": 0.875}]
    training.model.return_value = FakeModel()
    return training


def journal_in(folder, sweep_id=None, runs=8):
    """The journal of a program that has just begun and planned so many runs, each to train by itself."""
    journal = Journal(folder, {"mode": "sweep" if sweep_id else "run", "sweep_id": sweep_id}, False)
    journal.begin({"commit": "abc"}, {"packages.txt": "numpy\n"})
    journal.plan({number: {"seed": 0} for number in range(runs)}, [[number] for number in range(runs)])
    return journal


class AtOnce(Feed):
    """A feed without a thread: what it is given has been handed over when it returns."""

    def __init__(self, tracker, journal, parent_id=None):
        self.storing = Storing(tracker, journal, parent_id)
        super().__init__(self.storing, tracker, journal.path.parent)

    def _run(self):
        """Let the thread end: the steps are taken elsewhere."""

    def _put(self, steps, step):
        step()
