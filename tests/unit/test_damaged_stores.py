"""A store is not to be trusted: a run that cannot be read is named and left out, the others are read."""

import io
import json
import shutil
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from rich.console import Console

from ratelab.commands.recorded_study import read_study
from ratelab.report import as_csv, as_json, as_markdown, make_report, print_study
from ratelab.report.figures import read_curves
from ratelab.tracking import find_runs
from ratelab.validation import UserError
from support.damaged import TAGS, good_run, having, without, write_runs

GOOD = [
    good_run(4 * place + seed, name, seed) for place, name in enumerate(("fixed", "wsd")) for seed in (0, 1)
]
NEXT = replace(good_run(99, "cosine", 0), name="the damaged one")
SWEEP = TAGS["sweep_id"]


def groups_of(study):
    return {group.name: len(group.seeds) for comparison in study.comparisons for group in comparison.groups}


def show_in_every_form(uri, study):
    """Return what each form says but the report, of which only the curves are read; none of them may fail."""
    printed = io.StringIO()
    print_study(Console(file=printed, width=400), study)
    for table in ("groups", "pairs", "tuning"):
        as_csv(study, table)
    read_curves(uri, study)
    return {"terminal": printed.getvalue(), "markdown": as_markdown(study), "json": as_json(study)}


POINTS = dict.fromkeys(range(9, 40, 10), 0.5)
DAMAGE = {
    "foreign": (
        without(NEXT, "tags", "config_digest"),
        "it is no run of ratelab's, for it has no tag 'config_digest'",
    ),
    "killed before its parameters": (
        replace(without(NEXT, "params", *NEXT.params), metrics={}, status="RUNNING"),
        "it has no parameters: it was stopped as it began, or begins just now (RUNNING)",
    ),
    "no schedule": (without(NEXT, "params", "schedule._target_"), "it has no parameter 'schedule._target_'"),
    "no seed": (without(NEXT, "params", "seed"), "its seed is None, no such number"),
    "seed": (having(NEXT, "params", seed="zero"), "its seed is 'zero', no such number"),
    "batch size": (having(NEXT, "params", batch_size="1e400"), "its batch_size is '1e400', no such number"),
    "distance": (
        having(NEXT, "params", tracking__train_loss_every="0"),
        "its tracking.train_loss_every is '0', no such number",
    ),
    "rate": (having(NEXT, "params", learning_rate="fast"), "its learning_rate is 'fast', no rate"),
    "status": (replace(NEXT, status="PAUSED"), "its status, 'PAUSED', is not known here"),
    "one metric longer": (
        having(NEXT, "metrics", val_accuracy=POINTS),
        "val_accuracy has 4 points, train_seconds 2, not at the same steps",
    ),
    "no test accuracy": (
        without(NEXT, "metrics", "test_accuracy"),
        "it is FINISHED, but has no test_accuracy",
    ),
    "metrics not kept": (
        having(without(NEXT, "metrics", "test_accuracy"), "tags", not_kept="steps.parquet, metrics"),
        "it is FINISHED, but its metrics could not all be stored (tag not_kept)",
    ),
    "metrics not kept of a trial, whose last look may be missing": (
        having(having(NEXT, "params", test="False"), "tags", not_kept="metrics"),
        "it is FINISHED, but its metrics could not all be stored (tag not_kept)",
    ),
    "no validation": (
        having(without(NEXT, "metrics", "val_accuracy"), "params", test="False"),
        "it is FINISHED, but has no val_accuracy",
    ),
    "accuracy": (having(NEXT, "metrics", test_accuracy={19: 7.5}), "its accuracy is 7.5"),
    "text in a column of numbers": (
        having(NEXT, "metrics", test_accuracy={19: "good"}),
        "it is FINISHED, but has no test_accuracy",
    ),
    "not a number": (
        having(NEXT, "metrics", val_accuracy={9: None, 19: 0.5}),
        "val_accuracy or train_seconds has points that no run gives",
    ),
    "negative steps": (
        having(NEXT, "metrics", val_accuracy={-1: 0.5, 19: 0.5}, train_seconds={-1: 1.0, 19: 2.0}),
        "val_accuracy or train_seconds has points that no run gives",
    ),
    "divergence": (
        having(replace(NEXT, status="FAILED"), "tags", diverged_step="early"),
        "its diverged_step is 'early', no such number",
    ),
    "outcomes": (
        having(NEXT, "tags", outcomes='{"judge": "accuracy", "metrics": {}}'),
        "its tag 'outcomes' names 'accuracy', which is not among its metrics",
    ),
    "cut outcomes": (
        having(NEXT, "tags", outcomes='{"judge": "accuracy", "metrics": {"accu... 0123456789ab'),
        "its tag 'outcomes' is none that ratelab has written",
    ),
    "growing batch": (
        having(having(NEXT, "tags", batch="growing"), "metrics", examples_seen={9: 240.0}),
        "examples_seen lacks a step of val_accuracy's",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_run_that_cannot_be_read_is_named_with_the_reason_and_left_out(store, kind):
    damaged, reason = DAMAGE[kind]
    uri = store(*GOOD, damaged)
    found, study = read_study(uri, SWEEP)
    assert groups_of(study) == {"fixed": 2, "wsd": 2}
    assert [(run.name, run.reason) for run in study.unreadable] == [("the damaged one", reason)]
    assert len(found.runs) == 4
    said = show_in_every_form(uri, study)
    for form in ("terminal", "markdown"):
        assert f"cannot be read, left out: the damaged one: {reason}" in " ".join(said[form].split()), form
    assert f"cannot be read, left out: the damaged one: {reason}" in json.loads(said["json"])["notes"]


def test_a_report_names_it_too(store, tmp_path):
    uri = store(*GOOD, DAMAGE["one metric longer"][0])
    found, study = read_study(uri, SWEEP)
    make_report(study, found, uri, tmp_path / "report.html")
    assert "cannot be read, left out: the damaged one: val_accuracy" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("status", ["RUNNING", "KILLED", "FAILED"])
def test_a_run_that_does_not_count_may_lack_the_end_of_a_metric(store, status):
    uri = store(*GOOD, replace(having(NEXT, "metrics", val_accuracy=POINTS), status=status))
    _, study = read_study(uri, SWEEP)
    assert study.unreadable == ()
    assert [look.step for look in study.results[-1].validation] == [9, 19]


def test_a_run_that_diverged_counts_although_its_metrics_were_not_all_kept(store):
    diverged = having(
        replace(NEXT, status="FAILED"), "tags", diverged_step="25", not_kept="metrics, the model"
    )
    _, study = read_study(store(*GOOD, having(diverged, "metrics", val_accuracy=POINTS)), SWEEP)
    assert (study.unreadable, study.results[-1].status) == ((), "diverged")
    assert [look.step for look in study.results[-1].validation] == [9, 19]


def test_a_run_that_lacks_an_artifact_is_read(store):
    _, study = read_study(store(*GOOD, having(NEXT, "tags", not_kept="steps.parquet, the model")), SWEEP)
    assert (study.unreadable, len(study.results)) == ((), 5)


@pytest.mark.parametrize("kind", ["foreign", "no schedule"])
def test_a_run_of_another_program_does_not_decide_which_sweep_is_the_newest(store, kind):
    foreign = replace(
        without(DAMAGE[kind][0], "tags", "config_digest", "sweep_id"), started=2_000_000_000_000
    )
    assert find_runs(store(*GOOD, foreign)).title == f"sweep {SWEEP}"


def test_a_store_with_runs_of_another_program_only_is_one_message(store):
    uri = store(DAMAGE["foreign"][0])
    with pytest.raises(UserError, match="there is no run of ratelab's in this store"):
        find_runs(uri)
    with pytest.raises(UserError, match="'Default' has no run of ratelab's here"):
        find_runs(uri, experiment="Default")


def test_many_runs_with_one_reason_share_a_note(store):
    many = [replace(DAMAGE["foreign"][0], run_id=f"{n:032x}", name=f"run {n}") for n in range(100, 108)]
    _, study = read_study(store(*GOOD, *many), SWEEP)
    names = "run 100, run 101, run 102, run 103, run 104 and 3 more"
    assert study.notes[0] == f"cannot be read, left out: {names}: {DAMAGE['foreign'][1]}"
    assert len(study.unreadable) == 8


def test_a_sweep_without_any_readable_run_says_so(store):
    found, study = read_study(store(DAMAGE["killed before its parameters"][0]))
    assert (found.runs, study.comparisons, len(study.unreadable)) == ((), (), 1)
    assert "cannot be read, left out" in study.notes[0]
    assert as_markdown(study).startswith("no run can be read: there is nothing to compare")


TEXTS = st.sampled_from(
    ["", "0", "1", "-1", "0.5", "1e400", "nan", "None", "False", "True", "ü'\"", "9" * 30, "[1, 2]"]
)
NUMBERS = st.one_of(
    st.none(), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["x", b"\x00\x01", 2**62])
)
POINTS_OF_ANY_KIND = st.dictionaries(st.integers(-2, 2**62), NUMBERS, max_size=4)
CHANGES = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["FINISHED", "FAILED", "KILLED", "RUNNING", "SCHEDULED", "PAUSED"]),
        "started": st.sampled_from([None, 0, -5, 1_700_000_000_500, 10**18]),
        "tags": st.dictionaries(
            st.sampled_from([*TAGS, "batch", "diverged_step", "kind", "outcomes"]), TEXTS, max_size=3
        ),
        "params": st.dictionaries(st.sampled_from(sorted(NEXT.params)), TEXTS, max_size=3),
        "metrics": st.dictionaries(
            st.sampled_from([*NEXT.metrics, "examples_seen"]), POINTS_OF_ANY_KIND, max_size=3
        ),
        "lost": st.sets(st.sampled_from([*TAGS, *NEXT.params, *NEXT.metrics]), max_size=3),
    }
)


def damage(changes):
    """Return the run with these changes."""
    run = replace(NEXT, status=changes["status"], started=changes["started"])
    for part in ("tags", "params", "metrics"):
        kept = without(run, part, *changes["lost"])
        run = replace(kept, **{part: {**getattr(kept, part), **changes[part]}})
    return having(run, "tags", sweep_id=SWEEP, schedule=run.tags.get("schedule", "cosine"))


@examples(max_examples=50)
@given(changes=CHANGES)
def test_whatever_a_run_holds_the_others_are_compared(fresh_store, tmp_path_factory, changes):
    folder = tmp_path_factory.mktemp("damaged")
    shutil.copy(fresh_store, folder / "mlflow.db")
    write_runs(folder / "mlflow.db", [*GOOD, damage(changes)])
    uri = f"sqlite:///{folder}/mlflow.db"
    try:
        _, study = read_study(uri, SWEEP, by=["schedule"])
    except UserError:  # it can be read, and does not go together with the others
        return
    assert groups_of(study).items() >= {"fixed": 2, "wsd": 2}.items()
    assert len(study.results) + len(study.unreadable) == 5
    show_in_every_form(uri, study)
