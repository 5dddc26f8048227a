"""What once ended in a traceback or in silence: one message, or the work is done."""

from pathlib import Path

import pytest
from omegaconf import open_dict

from ratelab.config import read_words
from ratelab.runs.planned import plan_run
from ratelab.sweeps.recorder import _error_of
from ratelab.sweeps.stacks import Broke
from ratelab.validation import UserError
from ratelab.validation.blame import blame
from support.composing import composed
from support.in_process import ratelab, train

MISSPELT = {
    "learning_rat=0.1": "Did you mean learning_rate?",
    "~learning_rat": "Did you mean learning_rate?",
    "~shedule.alpha": "Did you mean schedule?",
    "~optimizer.momentun=0.9": "Did you mean optimizer.momentum?",
    "~hydra.launcher.worker": "Did you mean hydra.launcher.workers?",
    "~schedule=exponental": "Did you mean schedule=exponential?",
    "schedule.decay_step=3": "Did you mean schedule.decay_steps?",
    "optimizer.momentun=0.9": "Did you mean optimizer.momentum?",
    "shedule=cosine": "Did you mean schedule?",
    "schedul.decay_steps=3": "Did you mean schedule?",
    "momentum=0.9": "Did you mean optimizer.momentum?",
    "experimnt=toy": "Did you mean experiment?",
    "hydra/launchr=ray": "Did you mean hydra/launcher?",
    "hydra.launcher.worker=2": "Did you mean hydra.launcher.workers?",
    "data.flie=a.csv": "data.file needs data=arrays or data=table or data=text.",
    "task.class_wieghts=balanced": "task.class_weights needs task=classification.",
    "optimizer.centered=true": "optimizer.centered needs optimizer=rmsprop.",
}
DEFAULTS = {
    "a mapping": "defaults: {config: 3}\n",
    "a number": "defaults: 3\n",
    "an option that is a number": "defaults: [config, {schedule: 3}, _self_]\n",
    "no option": "defaults: [config, null, _self_]\n",
    "two keys": "defaults: [config, {schedule: fixed, model: mlp}]\n",
    "itself": "defaults: [config, own, _self_]\n",
    "no part of Hydra's": "defaults: [config, _self_]\nhydra: null\n",
    "a number of loggers": "defaults: [config, _self_]\nhydra: {verbose: 3}\n",
    "an alias of itself": "defaults: [config, _self_]\nseed: &a [*a]\n",
    "a number as a key": "defaults: [config, _self_]\n1: 3\n",
}


@pytest.mark.parametrize(("word", "question"), MISSPELT.items(), ids=list(MISSPELT))
@pytest.mark.parametrize("sweep", [[], ["-m"]], ids=["run", "sweep"])
def test_a_misspelt_key_is_answered_with_the_nearest(tmp_path, word, question, sweep):
    ended = train(tmp_path, *sweep, "data=digits", "tracking=none", word)
    assert (ended.status, ended.err.splitlines()[-1]) == (1, question)
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("words", "question"),
    [
        (["data=table", "data.flie=a.csv"], "Did you mean data.file?"),
        (["data=table", "data.taget=y"], "Did you mean data.target?"),
        (["task=classification", "task.class_wieghts=balanced"], "Did you mean task.class_weights?"),
        (["data=tabel"], "Did you mean data=table?"),
        (["task=regresion"], "Did you mean task=regression?"),
    ],
)
def test_a_misspelt_key_of_the_chosen_data_or_task(tmp_path, words, question):
    ended = train(tmp_path, *words)
    assert (ended.status, ended.err.splitlines()[-1]) == (1, question)


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["data=table"], "data.file"),
        (["data=table", "data.file=a.csv"], "data.target"),
        (["data=arrays"], "data.file"),
        (["-m", "data=arrays", "seed=0,1"], "data.file"),
    ],
)
def test_a_key_without_a_default_is_named_whole(tmp_path, words, key):
    ended = train(tmp_path, *words)
    assert (ended.status, ended.out) == (1, "")
    assert f"{key} has no default and must be given: {key}=..." in ended.err


def test_preview_asks_as_well(tmp_path):
    ended = ratelab(tmp_path, "preview", "schedule.decay_step=3")
    assert (ended.status, ended.err.splitlines()[-1]) == (1, "Did you mean schedule.decay_steps?")


@pytest.mark.parametrize(
    "words",
    [
        ["zzzzz=1"],
        ["~zzzzz"],
        ["~seed=77"],
        ["learning_rate='${'"],
        ["optimizer=lion", "~optimizer.decay_on=matrix"],
        ["model=transformer", "model.layers='${'"],
    ],
    ids=" ".join,
)
def test_a_key_like_no_other_or_a_wrong_value_is_answered_without_a_question(tmp_path, words):
    ended = train(tmp_path, *words)
    assert ended.status == 1
    assert "Did you mean" not in ended.err
    assert " needs " not in ended.err


def test_an_added_option_of_the_launcher_is_answered_with_the_nearest(tmp_path):
    ended = train(tmp_path, "-m", "data=digits", "tracking=none", "+hydra.launcher.worker=2")
    assert "there is no key 'hydra.launcher.worker': did you mean 'workers'?" in ended.err


@pytest.mark.parametrize(
    "word",
    ["schedule=null", "model=null", "data=null", "schedule=null,fixed", "device=NULL", "+warmup=null"],
)
def test_null_is_no_option_of_a_group(word):
    with pytest.raises(UserError, match=r"(?i)=.*null.*: must be the name of an option\."):
        read_words([word])


@pytest.mark.parametrize("value", ["null", "[null]", "[quick,null]", "quick,null"])
def test_null_is_no_experiment(value):
    with pytest.raises(UserError, match="must name experiments; for none leave it out"):
        read_words([f"experiment={value}"])


@pytest.mark.parametrize("command", [["preview"], ["lr-find"]])
def test_commands_refuse_null_too(tmp_path, command):
    ended = ratelab(tmp_path, *command, "model=null")
    assert (ended.status, ended.err) == (1, "model=null: must be the name of an option.\n")


@pytest.mark.parametrize("text", DEFAULTS.values(), ids=list(DEFAULTS))
def test_a_mistake_in_a_primary_configuration_is_one_message(tmp_path, text):
    (tmp_path / "own.yaml").write_text(text)
    ended = train(tmp_path, "--config-dir", ".", "--config-name", "own", "data=digits", "tracking=none")
    assert ended.status == 1
    assert "Traceback" not in ended.err
    assert 0 < len(ended.err.strip().partition("\n\nSet the")[0]) < 300


def test_a_schedule_that_is_no_option_is_named_after_its_function():
    config = composed("schedule=cosine", "data=digits", "tracking=none", "batch_size=24")
    with open_dict(config):
        del config.hydra.runtime.choices["schedule"]
    assert plan_run(config, config.hydra).name == "cosine seed=0"


def test_an_mlp_of_too_many_weights_is_refused_when_it_is_planned():
    config = composed("model=mlp", "model.hidden=[1000000,1000000]", "data=digits", "tracking=none")
    with pytest.raises(UserError, match=r"mlp: hidden makes 1,000,076,000,010 weights, .* 14,902 GiB"):
        plan_run(config, config.hydra)


def test_memory_that_there_is_not_is_told_in_gibibytes():
    text = (
        "{{function_node __wrapped__}} OOM when allocating tensor with shape[64,1000000000] and type float on"
    )
    with pytest.raises(UserError) as refusal, blame("model: big()"):
        raise RuntimeError(text)
    needs = "an array of [64, 1000000000], float, needs 238 GiB, more than there is"
    assert str(refusal.value).startswith(f"model: big() raised RuntimeError: {needs}")


def test_what_a_users_function_raised_is_one_message_that_keeps_its_frames():
    error = _error_of(Broke(0, 1, "model: broken", "Traceback: in own.py", is_blamed=True))
    assert isinstance(error, UserError)
    assert (str(error), error.__notes__) == ("model: broken", ["Traceback: in own.py"])


def test_a_report_that_cannot_be_written_is_one_message():
    from ratelab.commands.figure_files import refuse_unwritable

    with (
        pytest.raises(UserError, match=r"--output must be a file that can be written: .*No space left"),
        refuse_unwritable("--output"),
        Path("/dev/full").open("w") as file,
    ):
        file.write("text")
