"""Results of other programs give the numbers of our own, to the bit, or one message that says why not."""

import contextlib
import csv
import io
import math
import shutil
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelab.commands.imported import read_imported
from ratelab.commands.imported.files import read_file
from ratelab.commands.imported.logged import Question, read_logged
from ratelab.commands.imported.results import make_outcome
from ratelab.commands.recorded_study import read_study
from ratelab.comparison import Pair, Result, Summary, study
from ratelab.report import as_csv, as_json, as_markdown
from ratelab.tasks import ACCURACY, Outcome
from ratelab.tracking import find_store
from ratelab.tracking.links import STORE
from ratelab.validation import UserError
from support.stored import store_sweep

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]
LOSS = Outcome("loss", higher_is_better=False)
RULES = {  # how far groups lie apart, what of each seed they share, what is their own; of which metric
    "accuracies of ten thousand examples": (ACCURACY, 0.002, 0.001, 0.0004, 4),
    "accuracies that hardly differ": (ACCURACY, 0.0001, 0.00003, 0.00003, 16),
    "losses": (LOSS, 0.05, 0.02, 0.01, 16),
    "losses that hardly differ": (LOSS, 1e-7, 1e-6, 1e-7, 16),
}


def own_runs(rule, names, seeds=12, missing=()):
    """Runs of ours that finished, in the order of a sweep."""
    outcome, apart, shared, own, decimals = RULES[rule]
    drawn = np.random.default_rng(7)
    noise = drawn.normal(0, shared, seeds)
    return [
        Result(
            seed,
            {"schedule": name, "data": "digits"},
            status="finished",
            outcome=outcome,
            test={outcome.metric: round(0.9 + apart * place + noise[seed] + drawn.normal(0, own), decimals)},
        )
        for place, name in enumerate(names)
        for seed in range(seeds)
        if (name, seed) not in missing
    ]


def numbers(found):
    """All that was computed of groups and pairs, but for the name of the metric."""
    [comparison] = found.comparisons
    asides = {"sentence", "outcome", "digits", "final_rate", "seconds", "reached"}  # and what follows curves
    asides |= {"target", "steps_to_target", "seconds_to_target", "examples_to_target"}
    groups = [[getattr(one, field.name) for field in fields(Summary) if field.name not in asides]
              for one in comparison.groups]  # fmt: skip
    pairs = [[getattr(one, field.name) for field in fields(Pair) if field.name not in asides]
             for one in comparison.pairs]  # fmt: skip
    return groups, pairs


def write(path, rows, header=("group", "seed", "value")):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def read(path, metric=None, *, higher=None, baseline=None):
    return read_file(path, metric, higher=higher, baseline=baseline)


def log(client, experiment_id, params, metrics=(), *, tags=None, status="FINISHED", name=None):
    """Log a run as code does that knows nothing of ratelab; of each metric the last value counts."""
    from mlflow.entities import Metric, Param

    run = client.create_run(experiment_id, tags=tags, run_name=name)
    points = [
        Metric(key, logged, timestamp=0, step=step)
        for key, value in dict(metrics).items()
        for step, logged in enumerate((0.1, 0.5, value))
    ]
    texts = [Param(key, str(value)) for key, value in params.items()]
    client.log_batch(run.info.run_id, metrics=points, params=texts)
    if status != "RUNNING":
        client.set_terminated(run.info.run_id, status)
    return run.info.run_id


@pytest.fixture
def client(fresh_store, tmp_path):
    """MLflow's own client of a store that is empty."""
    from mlflow import MlflowClient

    shutil.copy(fresh_store, tmp_path)
    return MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")


def read_back(client, group_by=("params.lr_schedule",), metric="test_acc", *, higher=None, baseline=None):
    asked = Question("resnet", group_by, "params.seed", metric)
    return read_logged(client.tracking_uri, asked, higher=higher, baseline=baseline)


CASES = [
    *((rule, ("fixed", "cosine", "rex"), ()) for rule in RULES),
    ("losses", ("fixed", "cosine", "rex"), {("rex", 3), ("rex", 4), ("fixed", 11)}),
    ("accuracies of ten thousand examples", tuple("abcdefgh"), {("c", 0)}),
]


@pytest.mark.parametrize(("rule", "names", "missing"), CASES)
@pytest.mark.parametrize("baseline", [None, "cosine"])
def test_a_file_gives_the_numbers_of_our_own_runs(rule, names, missing, baseline, tmp_path):
    runs = own_runs(rule, names, missing=missing)
    baseline = None if baseline is None else names[1]
    rows = [(run.choices["schedule"], run.seed, run.value) for run in runs]
    path = write(tmp_path / "a.csv", rows, ("group", "seed", runs[0].outcome.metric))
    assert numbers(read(path, baseline=baseline)) == numbers(study(runs, baseline=baseline))


@pytest.mark.parametrize(("rule", "names", "missing"), CASES[::2])
def test_plain_runs_in_a_store_give_the_numbers_of_our_own_runs(rule, names, missing, client):
    runs, experiment_id = own_runs(rule, names, 8, missing), client.create_experiment("resnet")
    for run in runs:
        params = {"lr_schedule": run.choices["schedule"], "seed": run.seed, "lr": 0.1}
        log(client, experiment_id, params, {f"test_{run.outcome.metric}": run.value, "other": 7.0})
    found = read_back(client, metric=f"test_{runs[0].outcome.metric}")
    assert numbers(found) == numbers(study(runs))


def test_our_own_store_read_as_if_it_were_of_others_gives_the_same_numbers(fresh_store, tmp_path):
    uri = find_store(f"sqlite:///{store_sweep(fresh_store, tmp_path)}", tmp_path)
    asked = Question("ratelab", ["tags.schedule"], "params.seed", "test_accuracy")
    found = read_logged(uri, asked, higher=None, baseline=None)
    # a run that diverged is FAILED, which counts only where we know why
    _, own = read_study(uri)
    finished = study([run for run in own.results if run.status == "finished"], by=["schedule"])
    assert numbers(found) == numbers(finished)
    assert "failed, not counted: wsd seed=2" in found.notes
    assert "cannot be read, left out: the sweep: it has no tags.schedule" in found.notes


NAMES = st.text(min_size=1, max_size=30).map(str.strip).filter(lambda name: name and name.isprintable())
SEEDS = st.integers(-(10**20), 10**20)
VALUES = st.floats(-1e70, 1e70)


@given(
    st.dictionaries(NAMES, st.dictionaries(SEEDS, VALUES, min_size=1, max_size=4), min_size=2, max_size=4),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["", "\ufeff"]),
)
def test_any_file_is_read_back(tmp_path_factory, groups, ending, quoting, mark):
    text = io.StringIO(newline="")
    out = csv.writer(text, lineterminator=ending, quoting=quoting)
    rows = [(name, seed, value) for name, values in groups.items() for seed, value in values.items()]
    out.writerows([("group", "seed", "value"), *rows])
    path = tmp_path_factory.mktemp("any") / "any.csv"
    path.write_text(mark + text.getvalue(), encoding="utf-8", newline="")
    found = read(path, higher=True)
    assert [(one.choices["schedule"], one.seed, one.value) for one in found.results] == rows
    assert {one.name for one in found.comparisons[0].groups} == set(groups)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: f"group,seed,value\n{text}".encode()))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "any.csv"
    path.write_bytes(data)
    with contextlib.suppress(UserError):
        assert read(path, higher=True).results


def test_blanks_columns_and_empty_lines_are_no_difference(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("lr, group ,seed,value,\n\n0.1, fixed ,0, 0.5,\n,,,,\n0.2,cosine,0.0,0.75,\n")
    found = read(path, "value", higher=True)
    assert [(one.choices["schedule"], one.seed, one.value) for one in found.results] == [
        ("fixed", 0, 0.5),
        ("cosine", 0, 0.75),
    ]
    assert "columns that were not read: lr, " in found.notes[0]


BAD_FILES = {
    "": "there is no value in it; below the line group,seed,value one a line.",
    "group,seed,value\n": "there is no value in it",
    "group;seed;value\na;0;1\n": ", line 1, columns: there is no 'group'. Known: group;seed;value.",
    "Group,seed,value\na,0,1\n": ", line 1, columns: there is no 'group'; did you mean 'Group'?",
    "group,value\na,1\n": ", line 1, columns: there is no 'seed'. Known: group, value.",
    "group,seed\na,1\n": ", line 1, --metric: there is no 'value'. Known: none.",
    "group,seed,a,b\na,1,1,1\n": ", line 1, --metric: there is no 'value'. Known: a, b.",
    "group,seed,value,seed\na,1,1,1\n": ", line 1: the column 'seed' is there twice",
    "group,seed,value\na,0,1\nb,0\n": ", line 3: 2 cells, where the header has 3.",
    "group,seed,value\na,0,1\n\nb,0,one\n": ", line 4: value must be a number, not infinite, got 'one'",
    "group,seed,value\na,0,nan\n": ", line 2: value must be a number, not infinite, got 'nan'",
    "group,seed,value\na,0,-inf\n": ", line 2: value must be a number, not infinite, got '-inf'",
    "group,seed,value\na,0,1e99\n": "for a run that diverged write what it is to count as.",
    "group,seed,value\na,0,1_0\n": ", line 2: value must be a number",
    "group,seed,value\na,0,\n": ", line 2: value must be a number, not infinite, got ''",
    'group,seed,value\na,0,"0,5"\n': ", line 2: value must be a number, not infinite, got '0,5'",
    "group,seed,value\na,0.5,1\n": ", line 2: seed must be a whole number, got '0.5'.",
    "group,seed,value\na,x,1\n": ", line 2: seed must be a whole number, got 'x'.",
    f"group,seed,value\na,{'1' * 5000},1\n": ", line 2: seed must be a whole number, got '1111",
    "group,seed,value\n,0,1\n": ", line 2: group must be a name that can be printed, got ''.",
    "group,seed,value\na\x1b[31m,0,1\n": ", line 2: group must be a name that can be printed",
    "group,seed,value\na,3,1\nb,3,1\na,3.0,2\n": ": lines 2 and 4 are both of 'a', seed 3; leave one",
    "group,seed,value\na,0,1\na,1,1\n": ": there is only one group, 'a'; it takes two to compare.",
    'group,seed,value\na,0,"1\n': ", line 2: it is no CSV: unexpected end of data.",
    "group,seed,value\na,0,1\0\n": ", line 2: value must be a number, not infinite, got '1\\x00'",
}


@pytest.mark.parametrize("text", BAD_FILES, ids=range(len(BAD_FILES)))
def test_a_file_with_something_else_in_it_is_refused(text, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(UserError) as refused:
        read(path, higher=True)
    assert str(refused.value).startswith(f"--from {path}")
    assert BAD_FILES[text] in str(refused.value)
    assert "\n" not in str(refused.value)


def test_so_many_seeds_that_no_memory_would_do_are_refused(tmp_path):
    rows = [(name, seed, 0.5) for name in "ab" for seed in range(1_001)]
    with pytest.raises(UserError, match="a group has 1,001 seeds; give 1,000 of each at most"):
        read(write(tmp_path / "a.csv", rows), higher=True)


def test_what_is_no_file_of_text_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"^--from /.*/a\.csv: No such file or directory\.$"):
        read(tmp_path / "a.csv")
    with pytest.raises(UserError, match="Is a directory"):
        read(tmp_path)
    (tmp_path / "utf-16.csv").write_text("group,seed,value\n", encoding="utf-16")
    with pytest.raises(UserError, match="it is not UTF-8; save it as a CSV file in UTF-8"):
        read(tmp_path / "utf-16.csv")


@pytest.mark.parametrize(
    ("metric", "higher"),
    [
        ("accuracy", True), ("test_acc", True), ("Val/F1", True), ("macro-f1-score", True), ("roc_auc", True),
        ("loss", False), ("val_loss", False), ("eval/perplexity", False), ("root_mean_squared_error", False),
        ("rmse", False), ("test_WER", False), ("value", None), ("neg_mean_squared_error", None),
        ("accuracy_loss", None), ("acc_std", None), ("learning_rate", None), ("test", None), ("", None),
    ],
)  # fmt: skip
def test_a_name_tells_the_direction_or_nothing_is_guessed(metric, higher):
    if higher is None:
        with pytest.raises(
            UserError, match="does not tell whether more of it is better; give --higher-is-be"
        ):
            make_outcome(metric, None)
    else:
        outcome, [note] = make_outcome(metric, None)
        assert outcome == Outcome(metric, higher)
        taken, other = ("higher", "lower") if higher else ("lower", "higher")
        assert note.startswith(f"that {taken} is better is taken from the name {metric}; --{other}-is-better")
    assert make_outcome(metric, False) == (Outcome(metric, False), [])


def test_the_direction_decides_the_verdict_and_is_in_every_form(tmp_path):
    rows = [(name, seed, value + seed / 100) for name, value in (("a", 1.0), ("b", 2.0)) for seed in range(8)]
    path = write(tmp_path / "a.csv", rows)
    for higher, word, verdict in ((True, "higher", "better"), (False, "lower", "worse")):
        found = read(path, higher=higher)
        assert found.comparisons[0].pairs[0].verdict == verdict
        for text in (as_csv(found, "groups"), as_json(found), as_markdown(found)):
            assert f"Imported value, {word} is better" in text


def test_no_table_has_a_column_of_what_others_do_not_have(tmp_path):
    rows = [(name, seed, seed / 7) for name in ("a", "b", "c", "d") for seed in range(3)]
    found = read(write(tmp_path / "a.csv", rows), higher=True, baseline="a")
    text = as_markdown(found)
    assert "schedule" not in text
    assert "validation" not in text
    lines = csv.DictReader(as_csv(found, "groups").splitlines())
    ours = ("final_rate", "seconds", "target", "reached", "steps_to_target", "seconds_to_target")
    assert {line[key] for line in lines for key in ours} == {""}


def test_seeds_without_a_partner_are_named(tmp_path):
    rows = [("a", 0, 1.0), ("a", 1, 2.0), ("b", 1, 3.0), ("b", 5, 1.0), ("c", 9, 1.0)]
    found = read(write(tmp_path / "a.csv", rows), higher=True)
    assert found.notes[0] == "groups that lack seeds which others have: a (5, 9), b (0, 9), c (0, 1, 5)"
    sentences = [pair.sentence for pair in found.comparisons[0].pairs]
    assert sentences[0].startswith(
        "b and a: no conclusion is possible from one seed (seed 1: +1.000); more seeds"
    )
    assert sentences[1] == "c and a: not compared, they have no seed in common."


def test_of_runs_only_those_that_finished_count_and_all_others_are_named(client):
    experiment_id = client.create_experiment("resnet")
    for seed in range(3):
        for name in ("step", "cosine"):
            log(client, experiment_id, {"lr_schedule": name, "seed": seed}, {"test_acc": 0.8 + seed / 100})
    bad = {"lr_schedule": "step", "seed": 3}
    log(client, experiment_id, bad, {"test_acc": 0.1}, status="FAILED")
    log(client, experiment_id, {**bad, "seed": 4}, {"test_acc": 0.1}, status="KILLED")
    log(client, experiment_id, {**bad, "seed": 5}, status="RUNNING")
    log(client, experiment_id, {**bad, "seed": 6}, {"val_acc": 0.5}, name="measured otherwise")
    log(client, experiment_id, {"lr_schedule": "step"}, {"test_acc": 0.5}, name="of no seed")
    log(client, experiment_id, {"lr_schedule": "step", "seed": "x"}, {"test_acc": 0.5}, name="of a word")
    log(client, experiment_id, {"seed": 0}, {"test_acc": 0.5}, name="a parent")
    client.delete_run(log(client, experiment_id, {**bad, "seed": 7}, {"test_acc": 0.1}))
    found = read_back(client)
    assert found.notes[1:] == (
        "cannot be read, left out: measured otherwise: it is FINISHED, but has no test_acc",
        "cannot be read, left out: of no seed: it has no params.seed",
        "cannot be read, left out: of a word: params.seed must be a whole number, got 'x'",
        "cannot be read, left out: a parent: it has no params.lr_schedule",
        "failed, not counted: step seed=3",
        "killed, not counted: step seed=4",
        "running, not counted: step seed=5",
    )
    assert [len(one.seeds) for one in found.comparisons[0].groups] == [3, 3]


def test_groups_may_be_made_of_several_params_and_tags(client):
    experiment_id = client.create_experiment("resnet")
    for seed in range(2):
        for model in ("mlp", "a\nb", ""):
            params = {"optim/lr": "0.1", "seed": seed}
            log(client, experiment_id, params, {"test_acc": 0.5}, tags={"model": model})
    found = read_back(client, ["params.optim/lr", "tags.model"])
    names = [one.name for one in found.comparisons[0].groups]
    assert names == ["optim/lr=0.1 model=mlp", r"optim/lr=0.1 model='a\nb'", "optim/lr=0.1 model=''"]
    found = read_back(client, ["tags.model"])
    assert [one.name for one in found.comparisons[0].groups] == ["mlp", r"'a\nb'", "''"]


def test_a_run_that_was_made_again_takes_the_place_of_the_one_before(client):
    experiment_id = client.create_experiment("resnet")
    for value in (0.25, 0.5):
        for name in ("step", "cosine"):
            log(client, experiment_id, {"lr_schedule": name, "seed": 1}, {"test_acc": value})
    [comparison] = read_back(client).comparisons
    assert [one.mean for one in comparison.groups] == [0.5, 0.5]
    assert "step: 1 of its runs repeat others; the newest of each counts" in comparison.notes


def test_runs_of_one_seed_that_differ_in_a_param_are_refused(client):
    experiment_id = client.create_experiment("resnet")
    for lr in (0.1, 0.2):
        for seed in range(2):
            for name in ("step", "cosine"):
                log(client, experiment_id, {"lr_schedule": name, "seed": seed, "lr": lr}, {"test_acc": lr})
    with pytest.raises(UserError, match=r"two runs are of step, seed 0, and differ in params\.lr: .* and "):
        read_back(client)
    assert len(read_back(client, ["params.lr_schedule", "params.lr"]).comparisons[0].groups) == 4


def test_params_in_which_runs_of_a_group_differ_are_told(client):
    experiment_id = client.create_experiment("resnet")
    for seed in range(2):
        for name in ("step", "cosine"):
            params = {"lr_schedule": name, "seed": seed, "lr": seed, "gamma": len(name)}
            log(client, experiment_id, params, {"test_acc": 0.5})
    assert "beside the seed, runs of one group differ in params.lr" in read_back(client).notes


def test_a_run_that_gave_no_number_counts_as_the_worst(client):
    experiment_id = client.create_experiment("resnet")
    for seed, value in enumerate((math.nan, math.inf, 0.5)):
        log(client, experiment_id, {"lr_schedule": "step", "seed": seed}, {"loss": value})
        log(client, experiment_id, {"lr_schedule": "cosine", "seed": seed}, {"loss": 0.25})
    [comparison] = read_back(client, metric="loss").comparisons
    assert comparison.groups[0].values == (0.5, 0.5, 0.5)
    assert "gave no number, and counted with loss 0.5: step: 2" in comparison.notes


def test_runs_that_are_all_still_going_say_so(client):
    experiment_id = client.create_experiment("resnet")
    log(client, experiment_id, {"lr_schedule": "step", "seed": 0}, status="RUNNING")
    assert "no run has ended yet: there is nothing to compare" in as_markdown(read_back(client))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"experiment": "resne"}, "--experiment: there is no 'resne'; did you mean 'resnet'?"),
        ({"experiment": "Default"}, "--experiment: 'Default' has no run yet."),
        (
            {"group_by": ["params.lr_schedul"]},
            "--group-by: there is no 'params.lr_schedul'; did you mean 'pa",
        ),
        ({"group_by": ["lr_schedule"]}, "--group-by: there is no 'lr_schedule'; did you mean 'params.lr_sch"),
        (
            {"group_by": [""]},
            "--group-by: there is no ''. Known: params.lr_schedule, params.seed, tags.model.",
        ),
        ({"seed": "params.sed"}, "--seed: there is no 'params.sed'; did you mean 'params.seed'?"),
        ({"metric": "test_ac"}, "--metric: there is no 'test_ac'; did you mean 'test_acc'? Known: test_acc."),
        (
            {"group_by": ["tags.model"]},
            "--group-by: there is only one group, 'mlp'; it takes two to compare.",
        ),
    ],
)
def test_what_no_run_has_is_refused_with_what_there_is(changed, message, client):
    experiment_id = client.create_experiment("resnet")
    for seed, name in enumerate(("step", "cosine")):
        params = {"lr_schedule": name, "seed": seed}
        log(client, experiment_id, params, {"test_acc": 0.5}, tags={"model": "mlp"})
    asked = replace(Question("resnet", ["params.lr_schedule"], "params.seed", "test_acc"), **changed)
    with pytest.raises(UserError) as refused:
        read_logged(client.tracking_uri, asked, higher=None, baseline=None)
    assert str(refused.value).startswith(message)


NOTHING = {
    "from": None, "group_by": None, "seed": None, "higher": None, "run_ids": (), "uri": STORE, "by": None,
    "sweep_id": None, "experiment": None, "target": None, "metric": None, "baseline": None,
}  # fmt: skip
PLAIN = {"experiment": "a", "group_by": "params.b", "seed": "params.c", "metric": "loss"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"from": "a.csv", "run_ids": ("1",)}, "--from does not go together with RUN_ID;"),
        ({"from": "a.csv", "sweep_id": "1", "by": "x"}, "--from does not go together with --sweep, --by;"),
        ({"from": "a.csv", "target": 0.0}, "--from does not go together with --target;"),
        ({"from": "a.csv", "uri": "sqlite:///b.db"}, "--from does not go together with --uri;"),
        ({"from": "a.csv", "experiment": "a"}, "--from does not go together with --experiment;"),
        ({"from": "a.csv", **PLAIN}, "--from does not go together with --experiment, --group-by, --seed;"),
        ({**PLAIN, "run_ids": ("1",)}, "--group-by does not go together with RUN_ID;"),
        ({**PLAIN, "sweep_id": "1"}, "--group-by does not go together with --sweep;"),
        ({**PLAIN, "seed": None}, "results of other programs are compared by --from FILE, or by"),
        ({"seed": "params.c"}, "results of other programs are compared by --from FILE, or by"),
        ({"higher": False}, "results of other programs are compared by --from FILE, or by"),
    ],
)
def test_options_that_do_not_go_together_are_refused(given, message):
    with pytest.raises(UserError) as refused:
        read_imported({**NOTHING, **given})
    assert str(refused.value).startswith(message)
    lacking = [f"--{key.replace('_', '-')}" for key in PLAIN if not {**NOTHING, **given}[key]]
    if message.startswith("results"):
        assert str(refused.value).endswith(f"not given: {', '.join(lacking)}.")
