"""What of a store is let in when a run is rebuilt, and what it is refused for; nothing is trained."""

import json
import shutil
from contextlib import closing
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import yaml

from ratelab.commands.replay import reading, surroundings
from ratelab.commands.replay.command import _tell
from ratelab.commands.replay.comparing import Difference, Kept
from ratelab.commands.replay.reading import Recording, read_recording
from ratelab.commands.replay.rebuilding import Permissions, rebuild_run
from ratelab.commands.replay.replaying import check_plans
from ratelab.runs.description import digest_config
from ratelab.runs.steps_file import StepsFile
from ratelab.runtime.machine import describe_machine, write_machine
from ratelab.runtime.provenance import Provenance
from ratelab.tracking import RecordedRun
from ratelab.validation import UserError
from support.configs import VALUES, planned_run
from support.damaged import good_run, having, without
from support.fakes import chunk
from support.in_process import ratelab

RUN_ID = f"{7:032x}"
LOGGED = {**VALUES, "tracking": {key: value for key, value in VALUES["tracking"].items() if key != "uri"}}


def recorded(values=LOGGED, **tags):
    own = {"schedule": "fixed", "config_digest": digest_config(values), "data_digest": "sha256:1", **tags}
    return RecordedRun(RUN_ID, "fixed seed=0", "FINISHED", {}, own, {})


def rebuild(values=LOGGED, text=None, targets=(), variables=()):
    text = yaml.safe_dump(values) if text is None else text
    return rebuild_run(recorded(values), text, Permissions(targets, variables))


def changed(group, **keys):
    return LOGGED | {group: {**LOGGED[group], **keys}}


def test_a_run_is_rebuilt_as_it_was_and_recorded_nowhere():
    planned = rebuild()
    assert planned.config.tracking.uri is None
    not_described = {"allow_targets", "tracking", "resume", "resume_anyway", "checkpoint", "decide"}
    assert planned.config.model_dump(by_alias=True, exclude=not_described) == {
        key: value for key, value in VALUES.items() if key not in {"allow_targets", "tracking"}
    }


def test_what_the_run_was_allowed_does_not_count():
    assert LOGGED["allow_targets"] == ["own_models"]
    assert rebuild().config.allow_targets == []
    own = changed("model", _target_="own_models.tiny")
    with pytest.raises(UserError, match=r"names own_models\.tiny\. .*--allow-targets own_models$"):
        rebuild(own)
    with pytest.raises(UserError, match=r"--allow-targets own_models$"):
        rebuild(own, targets=["own"])
    assert rebuild(own, targets=["own_models"]).config.model.target == "own_models.tiny"


@pytest.mark.parametrize("target", ["os.system", "ratelab.tracking.open_tracker", "pathlib.Path.write_text"])
def test_what_no_run_may_call_is_refused(target):
    with pytest.raises(UserError, match=f"config.yaml of run {RUN_ID}: model._target_"):
        rebuild(changed("model", _target_=target))


@pytest.mark.parametrize("targets", [(), ("__main__",)])
def test_a_function_of_a_notebook_is_refused_whatever_is_allowed(targets):
    values = changed("model", _target_="__main__.build") | {"allow_targets": ["__main__"]}
    with pytest.raises(UserError, match=r"__main__\.build was a function of a script or a notebook.*module"):
        rebuild(values, targets=targets)


@pytest.mark.parametrize(
    "text",
    [
        "${oc.env:HOME}/data",
        "${oc.env:API_KEY,none}",
        "${oc.decode:${oc.env:API_KEY}}",
        "${hydra.runtime.cwd}",
        "${ratelab.unique:}",
        "a ${seed}",
    ],
)
def test_nothing_is_resolved_but_a_variable_by_itself(monkeypatch, text):
    monkeypatch.setenv("API_KEY", "hush")
    values = changed("data", _target_="ratelab.data.mnist", dir=text)
    with pytest.raises(UserError, match=r"data\.dir is .*a replay resolves nothing but") as refused:
        rebuild(values, variables=["API_KEY", "HOME"])
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("text", ["${oc.env:API_KEY}", "${oc.env:'API_KEY'}"])
def test_a_secret_is_given_to_a_run_only_by_name(monkeypatch, text):
    monkeypatch.setenv("API_KEY", "hush")
    values = changed("data", _target_="ratelab.data.mnist", dir=text)
    for permitted in ([], ["ANOTHER"]):
        with pytest.raises(UserError, match=r"data\.dir is the value of .*--allow-env API_KEY$"):
            rebuild(values, variables=permitted)
    assert rebuild(values, variables=["API_KEY"]).config.data.arguments["dir"] == "hush"
    monkeypatch.delenv("API_KEY")
    with pytest.raises(UserError, match="API_KEY, which is not set"):
        rebuild(values, variables=["API_KEY"])


def test_a_configuration_that_was_changed_is_refused():
    text = yaml.safe_dump(LOGGED | {"seed": 1})
    with pytest.raises(UserError, match="is not what the run was made from"):
        rebuild(text=text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "cannot be read"),
        ("a: !!python/object/apply:os.system ['true']", "cannot be read"),
        ("a: ${", "cannot be read"),
        ("[1, 2]", "must hold keys and values"),
        ("", "is not the configuration of a run"),
        ("seed: 0", "is not the configuration of a run"),
        ("data: 3", "is not the configuration of a run"),
    ],
)
def test_what_is_no_configuration_is_refused(text, message):
    with pytest.raises(UserError, match=message):
        rebuild(text=text)


@pytest.mark.parametrize("extra", [{"hydra": {"callbacks": {"x": {"_target_": "os.mkdir"}}}}, {"more": 1}])
def test_keys_that_are_not_ours_are_refused(extra):
    with pytest.raises(UserError, match=f"config.yaml of run {RUN_ID}"):
        rebuild(LOGGED | extra)


def test_a_configuration_that_lacks_a_key_is_refused():
    values = {key: value for key, value in LOGGED.items() if key != "epochs"}
    with pytest.raises(UserError, match="epochs"):
        rebuild(values)


def recording(run, changes="", members=None):
    members = members or [run]
    return Recording(run, members, [], changes, Kept({}, {}, {}, True, False))


def test_other_data_are_refused():
    planned = rebuild()
    with pytest.raises(UserError, match=rf"the data of run {RUN_ID} are not those .* gives sha256:\w+ now"):
        check_plans(recording(recorded()), [planned])
    check_plans(recording(recorded(data_digest=planned.job.data.digest)), [planned])


def test_runs_that_cannot_be_one_stack_are_refused():
    plans = [rebuild(), rebuild(LOGGED | {"seed": 1})]
    run = recorded(data_digest=plans[0].job.data.digest)
    with pytest.raises(UserError, match="differ in more than what runs of one stack may"):
        check_plans(recording(run, members=[run, run]), plans)


NOW = Provenance("abc", "", "numpy==2.0\n", "ratelab replay")


@pytest.fixture
def now(monkeypatch):
    monkeypatch.setattr(surroundings, "collect", lambda: NOW)
    monkeypatch.setattr(surroundings, "read_checkout", lambda folder: ("abc", ""))
    planned = planned_run(0)
    facts = describe_machine(planned.config.device, {})
    tags = {"versions": NOW.versions, "mlflow.source.git.commit": "abc", "machine": write_machine(facts)}

    def restore(changes="", without=(), **others):
        own = {key: value for key, value in (tags | others).items() if key not in without}
        return surroundings.restore_surroundings(recording(recorded(**own), changes), planned)

    restore.facts = facts
    return restore


def test_where_nothing_has_changed_nothing_is_said(now):
    assert now() == []


def test_what_has_changed_is_said_as_it_was_and_is(now):
    facts = now.facts | {"features": "avx", "XLA_FLAGS": "--a"}
    lines = now(
        versions=NOW.versions.replace("2.0", "1.0"),
        machine=json.dumps(facts),
        changes="diff",
        **{"mlflow.source.git.commit": "012"},
    )
    assert lines == [
        "numpy: was 1.0, is 2.0",
        "git commit: was 012, is abc",
        "local changes to the checkout: were some, are none",
        f"features: was avx, is {now.facts['features'] or 'none'}",
        "XLA_FLAGS: was --a, is none",
    ]


def test_what_an_old_run_has_not_recorded_is_said(now):
    lines = now(changes=None, without=["machine", "versions"], sweep_id="a sweep")
    assert lines == [
        "not recorded, so not known: versions",
        "not recorded, so not known: local changes to the checkout (git.diff)",
        "not recorded, so not known: processor, oneDNN, flags of XLA (tag machine)",
        "not recorded, so not known: with which runs it was trained together (tag stack)",
    ]


@pytest.mark.parametrize(
    ("here", "own", "expected"),
    [
        (("abc", ""), ("xyz", ""), "abc"),
        (("xyz", ""), ("abc", ""), "abc"),
        (("", ""), ("xyz", ""), "xyz"),
        (("xyz", ""), ("", ""), "xyz"),
        (("", ""), ("", ""), ""),
    ],
)
def test_the_checkout_is_the_one_at_the_commit_of_the_run_else_one_that_there_is(
    monkeypatch, here, own, expected
):
    found = iter([here, own])
    monkeypatch.setattr(surroundings, "read_checkout", lambda folder: next(found))
    assert surroundings._find_checkout("abc") == (expected, "")


@pytest.fixture
def artifacts(monkeypatch, tmp_path):
    """Files of every run, by name; those of a good run."""
    folder = tmp_path / "artifacts"
    folder.mkdir()
    steps = {"step": np.arange(20), "learning_rate": np.full(20, 0.1, np.float32)}
    steps |= {"train_loss": np.ones(20, np.float32), "batch_size": np.full(20, 24, np.int32)}
    pyarrow.parquet.write_table(pa.table(steps), folder / "steps.parquet")
    (folder / "config.yaml").write_text(yaml.safe_dump(LOGGED))

    def read(store, run_id, names, target):
        there = [name for name in names if (folder / name).exists()]
        return {name: shutil.copy(folder / name, target) for name in there}

    monkeypatch.setattr(reading, "read_artifacts", lambda *args: as_paths(read(*args), args[-1]))
    return folder


def as_paths(copied, target):
    return {name: target / name for name in copied}


def test_a_run_is_read_with_the_others_of_its_stack_in_their_order(store, artifacts):
    runs = [having(good_run(number), "tags", stack="2,0") for number in (0, 2)]
    runs += [good_run(1), having(without(good_run(3), "tags", "sweep_id"), "tags", job="2")]
    found = read_recording(store(*runs), runs[0].run_id)
    assert [member.run_id for member in found.members] == [runs[1].run_id, runs[0].run_id]
    assert found.place == 1
    assert found.kept.steps == 20
    assert found.kept.looks == {"val_accuracy": {9: 0.5, 19: 0.75}}
    assert found.kept.test == {"test_accuracy": 0.75}
    assert found.kept.is_finished


def test_a_run_of_a_stack_that_has_gone_is_refused(store, artifacts):
    run = having(good_run(0), "tags", stack="0,4")
    with pytest.raises(UserError, match="as one program with job 4 of its sweep, which is not in the store"):
        read_recording(store(run), run.run_id)


@pytest.mark.parametrize("tag", ["1,2", "nonsense", ","])
def test_a_stack_that_lacks_the_run_itself_is_refused(store, artifacts, tag):
    run = having(good_run(0), "tags", stack=tag)
    with pytest.raises(UserError, match="does not name its own job"):
        read_recording(store(run), run.run_id)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (replace(good_run(0), status="RUNNING"), "is RUNNING; replay it when it has ended"),
        (having(good_run(0), "tags", kind="sweep"), "is a sweep; replay takes one of its runs"),
        (without(good_run(0), "tags", "config_digest"), "is not a run that ratelab has trained"),
    ],
)
def test_a_run_that_cannot_be_replayed_is_refused(store, artifacts, tmp_path, run, message):
    done = ratelab(tmp_path, "replay", run.run_id, "--uri", store(run))
    assert done.status == 1
    assert message in done.err
    assert len(done.err.splitlines()) == 1


def test_a_run_that_is_not_there_is_refused(store, tmp_path):
    done = ratelab(tmp_path, "replay", "abc", "--uri", store(good_run(0)))
    assert (done.status, done.err) == (1, "'abc' is not the id of a run in this store.\n")


@pytest.mark.parametrize("name", ["steps.parquet", "config.yaml"])
def test_a_run_without_its_files_is_refused(store, artifacts, name):
    (artifacts / name).unlink()
    with pytest.raises(UserError, match=f"has no artifact {name}"):
        read_recording(store(good_run(0)), good_run(0).run_id)


def damage(table, kind):
    if kind == "no column":
        return table.drop_columns(["train_loss"])
    if kind == "a gap":
        return pa.concat_tables([table.slice(0, 5), table.slice(6)])
    return table.set_column(1, "learning_rate", [["text"] * len(table)])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("no column", "has no column train_loss"),
        ("a gap", "a row for every step"),
        ("a text", "cannot be read"),
        ("cut", "cannot be read"),
    ],
)
def test_a_table_that_was_damaged_is_refused(store, artifacts, kind, message):
    path = artifacts / "steps.parquet"
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        pyarrow.parquet.write_table(damage(pyarrow.parquet.read_table(path), kind), path)
    with pytest.raises(UserError, match=message):
        read_recording(store(good_run(0)), good_run(0).run_id)


def test_of_a_table_that_is_cut_or_has_a_byte_flipped_no_other_step_is_read(tmp_path):
    with closing(StepsFile()) as file:
        for epoch in range(2):
            file.add(chunk(epoch, 5))
        whole = file.finish().read_bytes()
    path = tmp_path / "steps.parquet"
    path.write_bytes(whole)
    sound = reading._read_steps(path)
    contents = [whole[:length] for length in range(len(whole))]
    for place, byte in enumerate(whole):
        contents += [whole[:place] + bytes([byte ^ bits]) + whole[place + 1 :] for bits in (0x01, 0xFF)]
    refused = 0
    for content in contents:
        path.write_bytes(content)
        try:
            found = reading._read_steps(path)
        except UserError:
            refused += 1
        else:
            assert found.keys() == sound.keys()
            assert all(np.array_equal(found[name], sound[name]) for name in sound)
    assert refused > len(contents) // 2


def test_an_infinity_is_read_as_one(store, artifacts):
    run = having(good_run(0), "metrics", val_loss={9: 1.7976931348623157e308, 19: None})
    looks = read_recording(store(run), run.run_id).kept.looks["val_loss"]
    assert looks[9] == np.inf
    assert np.isnan(looks[19])


@pytest.mark.parametrize("tolerance", ["nan", "-0.1", "inf"])
def test_a_tolerance_that_is_none_is_refused(tmp_path, tolerance):
    done = ratelab(tmp_path, "replay", "abc", f"--tolerance={tolerance}")
    assert done.status == 1
    assert "--tolerance must be 0 or above, and finite" in done.err


def test_a_difference_is_told_in_as_many_digits_as_it_needs():
    near = np.float32(0.1), np.nextafter(np.float32(0.1), np.float32(1))
    told = _tell(Difference(27_499, "train_loss", *map(float, near)))
    assert told == (
        "different from step 27,499 on: train_loss was 0.100000001, is 0.100000009, a relative difference of "
        "7.5e-08"
    )
    assert "was 0.5, is 0.50000000000000011, " in _tell(Difference(1, "val_loss", 0.5, np.nextafter(0.5, 1)))
    assert _tell(Difference(1, "val_f1", None, 0.5)).endswith("val_f1 was nothing, is 0.5")
