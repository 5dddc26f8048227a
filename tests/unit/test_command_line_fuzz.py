"""Any value for any key: a run is planned, or one short message refuses it, in seconds, in little memory."""

import functools
import resource
import time

import pytest
import yaml
from hydra.errors import HydraException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratelab.config import read_words
from ratelab.runs.planned import plan_run
from ratelab.validation import UserError
from support import ROOT
from support.composing import composed

GROUPS = ("schedule", "warmup", "model", "optimizer", "batch", "device", "tracking")
BASE = ("data=digits", "tracking=none", "batch_size=24")
LONGEST = 500  # letters of a message, but for what Hydra repeats of a word
SECONDS = 5.0  # of this process, so that others on the machine do not count
MEBIBYTES = 3000

NUMBERS = [
    "0",
    "-1",
    "1",
    "3",
    "0.5",
    "1.0",
    "1e8",
    "100000000",
    "1e308",
    "-1e308",
    "5e-324",
    "1e400",
    "-0.0",
]
NUMBERS += [
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "1" * 400,
    "1" * 5000,
    "1_000",
    "1:30",
]
ODD = ["nan", ".nan", "inf", ".inf", "-inf", "true", "false", "null", "~", "''", "yes", "2020-01-01", "1.5.2"]
ODD += ["' '", "'a=b'", "'a,b'", "'%s{0}'", "[]", "{}", "[1]", "[0]", "[null]", "[[1]]", "{a:1}", "[1,nan]"]
ODD += ["['x']", "'[bold]'", "'\\\\'", "'é漢😀'", "'a\nb'", "../..", "/", ".", "keras.layers.Dense", "0x10"]
ODD += [
    "${seed}",
    "${nothing}",
    "${oc.env:NOTHING}",
    "${oc.env:HOME}",
    "${schedule}",
    "${oc.decode:1}",
    "'${'",
]
LONG = ["x" * 255, "x" * 256, "x" * 10_000, "é" * 200, "[" * 50 + "]" * 50, "[" * 400 + "]" * 400]
LONG += [f"[{','.join(map(str, range(2000)))}]", "'../" + "x/" * 3000 + "'", f"[{','.join(['0.5'] * 400)}]"]
UNREADABLE = ["\0", "a\0b", "\ud800", "'\ud800'", "'\0'", "/dev/zero", "/dev/null"]
ADDRESSES = [
    "http://h:99999",
    "'http://[::1'",
    "http://h:x",
    "sqlite:///",
    "sqlite://",
    "sqlite:////dev/null",
]
ADDRESSES += ["postgresql://h:99999/x", "'postgresql://[::1'", "file:///x", "http://", "://", "mysql://u:p@h"]
ANYTHING = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=20),
    st.text(max_size=20).map(lambda text: "'" + text.replace("\\", "").replace("'", "") + "'"),
    st.lists(st.one_of(st.integers(), st.floats(), st.none()), max_size=4).map(str),
)
VALUES = st.one_of(*map(st.sampled_from, (NUMBERS, ODD, LONG, UNREADABLE, ADDRESSES)), ANYTHING)
ROOT_KEYS = ["seed", "epochs", "batch_size", "learning_rate", "validation_size", "test", "print_schedule"]
ROOT_KEYS += [
    "allow_targets",
    "data._target_",
    "data.dir",
    "data.validation_size",
    "data",
    "experiment",
    *GROUPS,
]

# What once ended in a traceback, in minutes, in gigabytes or in a page of text.
FOUND = [
    ["schedule=cosine_restarts", "schedule.t_mul=1e308"],
    ["epochs=100000000"],
    ["epochs=9223372036854775807"],
    [f"epochs={'1' * 5000}"],
    ["batch=growing", "batch.decay_steps=5e-324"],
    ["device.threads=1000000"],
    ["model=mlp", "model.hidden=[1000000000]"],
    ["print_schedule=true", "epochs=5000"],
    ["seed=1e400"],
    ["tracking.uri=http://h:99999"],
    ["tracking.uri='http://[::1'"],
    ["data.dir='/a\0b'"],
    ["tracking.experiment=\ud800"],
    [f"tracking.experiment={'x' * 10_000}"],
    [f"tracking.experiment='{'漢' * 100}'"],
    [f"epochs={'[' * 400}{']' * 400}"],
    [f"device={'x' * 10_000}"],
    ["device='../" + "x/" * 3000 + "'"],
    ["device=[[[]]]"],
    ["schedule=[0,1]"],
    ["model=true"],
    ["model=1_000"],
    ["~tracking=5e-324"],
    ["batch_size=[" + ",".join(map(str, range(2000))) + "]"],
    ["schedule=piecewise", "schedule.boundaries=[" + ",".join(["x"] * 2000) + "]"],
    [f"~batch_size={'x/' * 3000}"],
    [f"model._target_={'x' * 255}"],
    ["batch='${'"],
]


@functools.cache
def options(group):
    # Whether there is a GPU, only TensorFlow knows.
    return sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml") if path.stem != "gpu")


@functools.cache
def keys_of(group, option):
    values = yaml.safe_load((ROOT / "conf" / group / f"{option}.yaml").read_text())
    return sorted(f"{group}.{key}" for key in values)


@st.composite
def command_lines(draw):
    """An option of a group, and a value for one of its keys or for any other key."""
    group = draw(st.sampled_from(GROUPS))
    option = draw(st.sampled_from(options(group)))
    key = draw(st.sampled_from([*keys_of(group, option), *ROOT_KEYS]))
    prefix = draw(st.sampled_from(["", "", "", "+", "++", "~"]))
    return [f"{group}={option}", f"{prefix}{key}={draw(VALUES)}"]


def plan(words):
    """Plan a run as `train.py` does with these words; return what was said if it was refused."""
    begun = time.process_time()
    said = ""
    try:
        config = composed(*BASE, *read_words(words))
        plan_run(config, config.hydra)
    except UserError as error:
        said = str(error)
        assert said
    except HydraException as error:
        said = str(error) or str(error.__cause__)
        assert said
        # It repeats the word, as given or as it has read it.
        for text in (words[-1], words[-1].partition("=")[2].strip("'")):
            said = said.replace(text, "...") if text else said
    assert time.process_time() - begun < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < MEBIBYTES * 1024
    return said


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(command_lines())
def test_whatever_is_given_is_planned_or_refused_with_one_short_message(words):
    assert len(plan(words)) < LONGEST


@pytest.mark.parametrize("words", FOUND, ids=lambda words: words[-1][:40].encode("ascii", "replace").decode())
def test_what_once_went_wrong_is_refused_with_one_short_message_or_works(words):
    assert len(plan(words)) < LONGEST
