"""Jobs of another launcher: how far they are, and what they say at the end."""

import io
import time
from dataclasses import replace

import pytest
from hydra.core.utils import JobReturn, JobStatus

from ratelab.runs.past import read_past
from ratelab.runs.resuming import open_journal, plan_runs
from ratelab.runtime.lost_metrics import told_at_the_end
from ratelab.sweeps import elsewhere
from ratelab.sweeps.elsewhere import run_elsewhere
from ratelab.sweeps.jobs import Jobs
from ratelab.tracking import Recorded, RecordedRun
from ratelab.validation import UserError
from support.composing import SWEEP_ID, hydra_program
from support.configs import VALUES, planned_run
from support.studies import result


@pytest.fixture
def program(tmp_path):
    """A sweep in a folder that Hydra has made."""
    return hydra_program(tmp_path, None)


def jobs_of(number, uri):
    runs = [planned_run(n, tracking={**VALUES["tracking"], "uri": uri}) for n in range(number)]
    return Jobs((), tuple(runs), frozenset())


def ended(value):
    done = JobReturn(status=JobStatus.COMPLETED)
    done.return_value = value
    return done


def failed():
    done = JobReturn(status=JobStatus.FAILED)
    done.return_value = RuntimeError("a bug")
    return done


def test_the_runs_that_ended_are_compared_and_the_commands_that_show_them_are_named(program, capsys):
    returns = [ended(result("fixed", 0)), failed(), ended(result("wsd", 0)), ended("of no run")]
    assert run_elsewhere(program, jobs_of(4, "sqlite:////a b/x.db"), lambda: returns) is returns
    said = capsys.readouterr().out
    assert "wsd and fixed: no conclusion is possible from one seed" in " ".join(said.split())
    assert said.endswith(f"ratelab report --sweep {SWEEP_ID} --uri 'sqlite:////a b/x.db'\n")


def test_without_a_store_they_are_compared_all_the_same(program, capsys):
    run_elsewhere(program, jobs_of(1, None), lambda: [ended(result("fixed", 0))])
    said = capsys.readouterr().out
    assert "fixed" in said
    assert "ratelab report" not in said


def test_it_is_noted_of_which_runs_another_process_has_lost_metrics(program):
    lacking = [replace(result("fixed", seed), run_id=str(seed), lacks_metrics=seed > 0) for seed in range(3)]
    returns = [*map(ended, lacking), failed()]
    with pytest.raises(UserError, match="the store lacks metrics of 2 of 3 runs"), told_at_the_end():
        run_elsewhere(program, jobs_of(3, None), lambda: returns)


@pytest.mark.parametrize("returns", [[], [failed()], [ended("of another program")]])
def test_jobs_without_a_result_say_nothing(program, capsys, returns):
    assert run_elsewhere(program, jobs_of(1, None), lambda: returns) is returns
    assert run_elsewhere(program, Jobs((), (), frozenset()), lambda: returns) is returns
    assert capsys.readouterr().out == ""


def test_what_is_raised_but_by_submitit_is_a_bug(program):
    def launch():
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        run_elsewhere(program, jobs_of(1, None), launch)


def test_it_says_how_far_they_are_while_the_launcher_blocks(program, monkeypatch):
    seen = iter(
        [None, ("RUNNING",), ("FINISHED", "RUNNING"), ("FINISHED", "RUNNING"), ("FINISHED", "FAILED")]
    )

    def find(uri, sweep_id):
        assert (uri, sweep_id) == ("sqlite:////x.db", SWEEP_ID)
        statuses = next(seen, ("FINISHED", "FAILED"))
        if statuses is None:
            raise UserError("there is no run of it yet")
        return Recorded(
            "1", tuple(RecordedRun(str(n), "", one, {}, {}, {}) for n, one in enumerate(statuses)), ""
        )

    said = io.StringIO()  # pytest's own loses what a thread writes while it is read

    def launch():
        while "2 of 2" not in said.getvalue():
            time.sleep(0.001)
        return []

    monkeypatch.setattr("sys.stdout", said)

    monkeypatch.setattr(elsewhere, "_SECONDS", 0.001)
    monkeypatch.setattr(elsewhere, "find_runs", find)
    run_elsewhere(program, jobs_of(2, "sqlite:////x.db"), launch)
    assert said.getvalue().splitlines() == [
        "0 of 2 runs have begun",
        "0 of 2 runs have ended, 1 running",
        "1 of 2 runs have ended, 1 running",
        "2 of 2 runs have ended, 0 running",
    ]


def end_job(program, run, folder, is_stored=True):
    """What a launcher does with a job: it ends, in a folder below that of the sweep."""
    place = program.folder / folder
    place.mkdir(parents=True, exist_ok=True)
    journal = open_journal(place, program.config.hydra, program.config, "run", SWEEP_ID)
    plan_runs(journal, [run], [[run.number]])
    journal.of(run.number).note_ended(status="finished", test=None)
    if is_stored:
        journal.finish()
    journal.close()


@pytest.mark.parametrize(
    ("ended", "stored", "is_done"),
    [([0, 1, 2], [0, 1, 2], True), ([0, 2], [0, 2], False), ([0, 1, 2], [0, 1], False), ([], [], False)],
)
def test_a_sweep_is_done_when_all_of_its_jobs_have_ended_and_are_stored(program, ended, stored, is_done):
    jobs = jobs_of(3, None)

    def launch():
        for number in ended:
            end_job(program, jobs.runs[number], f"a/{number}", number in stored)
        return [failed()]  # whatever it returns: a run that diverged has ended

    run_elsewhere(program, jobs, launch)
    past = read_past(program.folder)
    assert (past.program["mode"], past.program["sweep_id"]) == ("sweep", SWEEP_ID)
    assert [*past.runs] == [0, 1, 2]
    assert past.has_finished is is_done


def test_a_sweep_that_goes_on_says_how_much_had_ended_and_launches_all_of_its_jobs(program, capsys):
    jobs = jobs_of(3, None)
    run_elsewhere(program, jobs, lambda: end_job(program, jobs.runs[1], "1") or [])
    assert capsys.readouterr().out == ""
    run_elsewhere(program, jobs, lambda: end_job(program, jobs.runs[0], "0") or [])
    assert capsys.readouterr().out == "1 of 3 runs had ended; the rest goes on.\n"


def test_a_sweep_that_would_go_on_otherwise_launches_nothing(program):
    run_elsewhere(program, jobs_of(2, None), list)
    changed = Jobs((), (planned_run(0), planned_run(1, epochs=7)), frozenset())
    with pytest.raises(UserError, match=r"fixed seed=0 was begun otherwise:\n  epochs: \d -> 7\n"):
        run_elsewhere(program, changed, lambda: pytest.fail("it was launched"))
