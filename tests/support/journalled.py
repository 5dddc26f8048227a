"""Journals of programs that ended in every way, and stores that did not take all of it."""

import contextlib
import traceback
from contextlib import closing

from ratelab.runs import description
from ratelab.runs.journal import Journal
from ratelab.runs.record import RunRecord
from ratelab.runs.resuming import plan_runs
from ratelab.tracking import StoreError
from ratelab.tracking.recorded import PROGRAM
from support.configs import VALUES, planned_run
from support.fakes import AtOnce, chunk, diverged_chunk, fake_tracker

SWEEP = {"mode": "sweep", "sweep_id": "a-sweep"}
TEST = {"loss": 0.5, "accuracy": 0.875}


def planned(number, uri=""):
    """A run with a name of its own that is recorded in this store."""
    tracking = {**VALUES["tracking"], "uri": uri or None, "train_loss_every": 3}
    return planned_run(number, seed=number, tracking=tracking)


def broken():
    """An error that was raised somewhere, with a password in what it says."""
    try:
        raise ValueError("no way to postgresql://me:geheim@host/db")
    except ValueError as error:
        error.add_note("said by a worker")
        return error


def end(record, feed, way):
    """Let a run that has begun end in this way; the journal of one that dies says nothing of it."""
    if way == "finished":
        record.finish(TEST)
    elif way == "diverged":
        with record:
            record.add(diverged_chunk(record.epochs))
    elif way == "failed":
        record.close(broken())
    elif way == "stopped":
        record.close(KeyboardInterrupt())
    else:
        feed.storing.end(KeyboardInterrupt())


class Program:
    """What trains runs and records them, in a folder and a store; resumed, it goes on."""

    def __init__(self, folder, tracker, *, uri="", identity=SWEEP, is_resumed=False):
        self.folder, self._tracker, self._uri = folder, tracker, uri
        self.journal = Journal(folder, identity, is_resumed)
        self.journal.begin({"commit": "abc"}, description.shared_files())
        self.feed = None

    def plan(self, runs):
        plan_runs(self.journal, runs, [[run.number] for run in runs])

    def open(self, run, parent_id=None):
        self.feed = self.feed or AtOnce(self._tracker, self.journal, parent_id)
        return RunRecord(run, self.feed, self.journal.of(run.number), (run.number,))

    def train(self, number, way, parent_id=None):
        """Train a run for an epoch and a bit, and let it end in this way."""
        record = self.open(planned(number, self._uri), parent_id)
        for epoch in range(2):
            record.add(chunk(epoch))
        end(record, self.feed, way)

    @contextlib.contextmanager
    def sweep(self, is_over):
        """Open the run of the sweep as a whole, as a sweep does; it is told of the error of `broken`."""
        store, tags = description.store_of(planned(0, self._uri)), {"sweep_id": "a-sweep", "kind": "sweep"}
        self.journal.note_sweep(store, "the sweep", {"varied": "seed"}, tags)
        opened = self._tracker.run(
            "the sweep", params={"varied": "seed"}, tags={**tags, PROGRAM: "x"}, key=self.journal.key()
        )
        with contextlib.suppress(KeyboardInterrupt), opened as parent:
            yield parent
            if not is_over:
                raise KeyboardInterrupt
            self.journal.note_over()

    def end(self):
        self.journal.close()


def ended(folder, tracker, ways, uri="", is_over=True, others=1):
    """The folder of a sweep whose runs have ended in these ways, and of others that never began."""
    folder.mkdir(exist_ok=True)
    program = Program(folder, tracker, uri=uri)
    with closing(program.journal), program.sweep(is_over) as parent:
        program.plan([planned(number, uri) for number in range(len(ways) + others)])
        for number, way in enumerate(ways):
            program.train(number, way, parent.id)
            if way == "failed":
                error = broken()
                parent.fail(str(error), "".join(traceback.format_exception(error)))
    return folder


def lost(*names):
    """A tracker whose store takes no metrics of any run, or of these."""
    tracker = fake_tracker()
    opened = tracker.run.side_effect

    @contextlib.contextmanager
    def open_run(name, **given):
        with opened(name, **given) as run:
            run.lacks_metrics = name in names or not names
            yield run

    tracker.run.side_effect = open_run
    return tracker


def refusing(*names, when):
    """A tracker whose store refuses these runs when they are opened, when they end, or how they failed."""
    tracker = fake_tracker()
    opened = tracker.run.side_effect

    @contextlib.contextmanager
    def open_run(name, **given):
        if name in names and when == "at its beginning":
            raise StoreError(f"not {name}")
        try:
            with opened(name, **given) as run:
                yield run
        except BaseException as error:
            if name in names and when == "as it fails":
                error.add_note(f"and then StoreError: not {name}")
            raise
        if name in names:
            raise StoreError(f"not {name}")

    tracker.run.side_effect = open_run
    return tracker
