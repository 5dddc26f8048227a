import contextlib
import functools
import inspect
import itertools
import math
import random
import re
import sys
from collections.abc import Mapping

import numpy as np
import pytest
from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf import OmegaConf

from ratelab import config as configuration
from ratelab.config import (
    Config,
    Device,
    Tracking,
    Warmup,
)
from ratelab.config.composing import read_composed
from ratelab.config.targets import call, locate
from ratelab.runs.job_of import job_of, make_schedule
from ratelab.schedules import exponential, fixed, tabulate
from ratelab.validation import UserError
from support import ROOT
from support.composing import composed

CONF = ROOT / "conf"
SUPPLIED = {
    "batch_size",
    "examples",
    "learning_rate",
    "steps",
    "input_shape",
    "outputs",
    "targets",
    "classes",
}


def options_of(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


NAMES = ("data", "task", "model", "optimizer", "schedule", "warmup", "batch", "device", "tracking")
GROUPS = {name: options_of(name) for name in NAMES}
FILES = [path for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]

# What has no default, since it is the user's.
NEEDED = {"arrays": ["data.file=a.npz"], "table": ["data.file=a.csv", "data.target=y"]}


def pairs_of(choice):
    """Which pairs of options a choice has."""
    return set(itertools.combinations(choice, 2))


def all_pairs():
    """Every pair of options of two groups."""
    named = [[f"{name}={option}" for option in options] for name, options in GROUPS.items()]
    return {pair for one, other in itertools.combinations(named, 2) for pair in itertools.product(one, other)}


@functools.cache
def covering_choices():
    """Choices of all groups in which every pair of options, of whatever two groups, occurs."""
    draw, missing, covering = random.Random(0), all_pairs(), []  # noqa: S311 - the same choices each time
    while missing:
        wanted = dict(option.split("=") for option in min(missing))
        tried = [{name: draw.choice(options) for name, options in GROUPS.items()} | wanted for _ in range(20)]
        choices = [tuple(f"{name}={option}" for name, option in one.items()) for one in tried]
        covering.append(max(choices, key=lambda choice: len(missing & pairs_of(choice))))
        missing -= pairs_of(covering[-1])
    return covering


def read(*overrides):
    return read_composed(composed(*overrides))


def refusal(*overrides):
    with pytest.raises(UserError) as caught:
        read(*overrides)
    return str(caught.value)


def test_a_key_without_a_default_is_named_whole():
    assert refusal("data=table") == "data.file has no default and must be given: data.file=..."
    assert refusal("data=table", "data.file=a.csv").startswith("data.target has no default")


# What is in conf/


@pytest.mark.parametrize("choice", covering_choices(), ids=" ".join)
def test_all_pairs_of_options_compose(choice):
    options = dict(text.split("=") for text in choice)
    config = read(*choice, *NEEDED.get(options["data"], ()))
    assert config.data.target == f"ratelab.data.{options['data']}"
    assert config.device.kind == options["device"]
    assert config.model.target == f"ratelab.models.{options['model']}"
    assert config.optimizer.target == f"ratelab.optimizers.{options['optimizer']}"
    assert (config.tracking.uri is None) == (options["tracking"] == "none")
    assert config.validation_size == config.data.arguments["validation_size"]


def test_every_pair_of_options_is_among_them():
    assert set().union(*map(pairs_of, covering_choices())) == all_pairs()


@pytest.mark.parametrize("experiment", options_of("experiment"))
def test_every_experiment_composes(experiment):
    config = read(f"experiment={experiment}")
    assert isinstance(config, Config)
    make_schedule(config, 50)


@pytest.mark.parametrize("experiment", options_of("experiment"))
def test_every_experiment_can_be_run_with_every_schedule_that_has_the_keys_it_sets(experiment):
    needed = set(OmegaConf.load(CONF / "experiment" / f"{experiment}.yaml").get("schedule", {}))
    fitting = [
        name
        for name in GROUPS["schedule"]
        if needed <= set(OmegaConf.load(CONF / "schedule" / f"{name}.yaml"))
    ]
    assert len(fitting) > 1
    for schedule in fitting:
        make_schedule(read(f"experiment={experiment}", f"schedule={schedule}"), 50)


def test_the_default_is_the_tutorials_program():
    default, tutorial = read("data=mnist"), read("experiment=tutorial")
    assert default == tutorial
    assert (default.epochs, default.batch_size, default.learning_rate) == (50, 100, 0.1)
    assert default.schedule.arguments == {"decay_steps": 1000, "decay_rate": 0.9, "staircase": False}


def test_the_toy_is_the_tutorials_table():
    schedule = make_schedule(read("experiment=toy"), 50)
    assert [str(rate) for rate in tabulate(schedule, 50)[::10]] == [
        "0.1",
        "0.05",
        "0.025",
        "0.0125",
        "0.00625",
    ]


def keys_with_comment(path):
    """The top-level keys of a YAML file, each with whether a comment line stands right above it."""
    lines = path.read_text().splitlines()
    found = {}
    for above, line in itertools.pairwise(["", *lines]):
        match = re.match(r"([\w.]+):", line)
        if match:
            found[match[1]] = above.startswith("# ") and len(above) > 3
    return found


def test_every_key_of_the_schema_is_in_the_main_file_or_is_a_group():
    keys = keys_with_comment(CONF / "config.yaml")
    own = set(keys) - {"defaults", "hydra"}
    assert own | set(GROUPS) == set(Config.model_fields)
    assert own & set(GROUPS) == set()


def test_every_group_has_a_folder_and_is_in_the_defaults():
    defaults = OmegaConf.load(CONF / "config.yaml").defaults
    named = {key for entry in defaults if isinstance(entry, Mapping) for key in entry}
    assert set(GROUPS) < named
    assert {path.name for path in CONF.iterdir() if path.is_dir()} == {*GROUPS, "experiment", "hydra"}


def test_every_key_of_the_main_file_has_a_comment_above_it():
    keys = keys_with_comment(CONF / "config.yaml")
    assert [key for key, commented in keys.items() if not commented and key != "hydra"] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_file_of_a_group_has_every_key_each_with_a_comment_above_it(path):
    models = {"device": Device, "tracking": Tracking, "warmup": Warmup}
    keys = keys_with_comment(path)
    if path.parent.name in models:
        expected = set(models[path.parent.name].model_fields)
    else:
        function = locate(OmegaConf.load(path)["_target_"])
        expected = {"_target_", *inspect.signature(function).parameters} - SUPPLIED
        if path.parent.name == "optimizer":
            expected.add("clip_norm")  # of every optimizer, whatever its function takes
    assert set(keys) == expected
    assert [key for key, commented in keys.items() if not commented] == []


@pytest.mark.parametrize("group", ["model", "optimizer"])
def test_the_files_say_the_defaults_of_the_functions(group):
    for option in GROUPS[group]:
        values = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{option}.yaml"))
        for name, parameter in inspect.signature(locate(values["_target_"])).parameters.items():
            if parameter.default not in (inspect.Parameter.empty, None):
                assert values[name] == (
                    list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
                )


# What is refused


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("learning_rate=-1", "learning_rate", "-1"),
        ("learning_rate=nan", "learning_rate", "nan"),
        ("learning_rate=inf", "learning_rate", "inf"),
        ("learning_rate=-inf", "learning_rate", "-inf"),
        ("learning_rate=abc", "learning_rate", "'abc'"),
        ("learning_rate=null", "learning_rate", "None"),
        ("learning_rate=1e400", "learning_rate", "inf"),
        ("learning_rate=true", "learning_rate", "True"),
        ("learning_rate='0.1'", "learning_rate", "'0.1'"),
        ("learning_rate=[0.1]", "learning_rate", "[0.1]"),
        ("schedule.decay_steps=0", "decay_steps", "0"),
        ("schedule.decay_steps=-5", "decay_steps", "-5"),
        ("schedule.decay_steps=null", "decay_steps", "None"),
        ("schedule.decay_rate=0", "decay_rate", "0"),
        ("schedule.decay_rate=-1", "decay_rate", "-1"),
        ("schedule.decay_rate=nan", "decay_rate", "nan"),
        ("schedule.staircase=1", "staircase", "1"),
        ("epochs=0", "epochs", "0"),
        ("epochs=-1", "epochs", "-1"),
        ("epochs=1.0", "epochs", "1.0"),
        ("epochs=1e3", "epochs", "1000.0"),
        ("batch_size=0", "batch_size", "0"),
        ("validation_size=0", "validation_size", "0"),
        ("data.validation_size=0", "validation_size", "0"),
        ("seed=-1", "seed", "-1"),
        ("seed=4294967296", "seed", "4294967296"),
        ("seed=100000000000000000000", "seed", "100000000000000000000"),
        ("seed=1.0", "seed", "1.0"),
        ("seed=true", "seed", "True"),
        ("seed='1'", "seed", "'1'"),
        ("seed=null", "seed", "None"),
        ("print_schedule=1", "print_schedule", "1"),
        ("print_schedule=maybe", "print_schedule", "'maybe'"),
        ("allow_targets=mine", "allow_targets", "'mine'"),
        ("allow_targets=[1]", "allow_targets.0", "1"),
        ("data._target_=3", "data._target_", "3"),
        ("data.dir=3", "dir", "3"),
        ("device.kind=tpu", "device.kind", "'tpu'"),
        ("device.index=-1", "device.index", "-1"),
        ("device.threads=0", "device.threads", "0"),
        ("device.precision=float16", "device.precision", "'float16'"),
        ("device.xla=1", "device.xla", "1"),
        ("device.deterministic=null", "device.deterministic", "None"),
        ("tracking.experiment=''", "tracking.experiment", "''"),
        (f"tracking.experiment={'x' * 251}", "tracking.experiment", "'" + "x" * 76 + "..."),
        ("tracking.train_loss_every=0", "tracking.train_loss_every", "0"),
        ("tracking.log_model='no'", "tracking.log_model", "'no'"),
        ("tracking.uri=5", "tracking.uri", "5"),
        ("model.start=one", "start", "'one'"),
        ("model._target_=3", "model._target_", "3"),
        ("optimizer.momentum=1", "momentum", "1"),
        ("optimizer.nesterov=null", "nesterov", "None"),
    ],
)
def test_a_bad_value_is_refused_with_its_key_and_the_value(override, key, value):
    message = refusal(override)
    assert f"{key} " in message
    assert message.endswith(f"got {value}")
    assert "\n" not in message


@pytest.mark.parametrize(
    "override",
    [
        "seed=4294967295",
        "learning_rate=0",
        "learning_rate=1",
        "schedule.decay_steps=1.5",
        "data.dir=/x",
        "device.xla=true",
    ],
)
def test_values_at_the_bounds_are_accepted(override):
    read(override)


def test_all_that_is_wrong_is_told_at_once():
    assert refusal("seed=-1", "epochs=0", "device.threads=0") == (
        "seed must be greater than or equal to 0, got -1; epochs must be greater than 0, got 0; "
        "device.threads must be greater than 0, got 0"
    )


MISSPELT = [
    "epoch",
    "data.dri",
    "model.strat",
    "optimizer.momentun",
    "schedule.decay_step",
    "device.thread",
    "tracking.url",
]


@pytest.mark.parametrize("key", MISSPELT)
def test_a_misspelt_key_is_refused_by_hydra(key):
    with pytest.raises(ConfigCompositionException, match=f"Could not override '{key}'"):
        read(f"{key}=1")


@pytest.mark.parametrize("plus", ["+", "++"])
@pytest.mark.parametrize("key", MISSPELT)
def test_a_misspelt_key_is_refused_also_with_a_plus(key, plus):
    name = key.rpartition(".")[2]
    assert re.search(rf"there is no (key )?'({key}|{name})'", refusal(f"{plus}{key}=1"))


@pytest.mark.parametrize(
    ("override", "hint"),
    [("+epoch=1", "epochs"), ("+device.thread=1", "threads"), ("+schedule.decay_step=1", "decay_steps")],
)
def test_a_misspelt_key_gets_the_nearest_one_as_a_hint(override, hint):
    assert f"did you mean '{hint}'" in refusal(override)


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_a_misspelt_option_is_refused_with_those_there_are(group):
    with pytest.raises(MissingConfigException, match=f"Could not find '{group}/nothing'") as caught:
        read(f"{group}=nothing")
    assert all(option in str(caught.value) for option in GROUPS[group])


@pytest.mark.parametrize("key", ["seed", "model", "device.threads", "tracking.experiment", "model._target_"])
def test_a_missing_key_is_named_and_the_rest_stays_unshown(key):
    message = refusal(f"~{key}", "tracking.uri=postgresql://me:hush@host/db")
    assert key in message
    assert "hush" not in message


@pytest.mark.parametrize(
    ("override", "name"),
    [
        ("learning_rate=${nowhere}", "nowhere"),
        ("learning_rate=${nowhere:1}", "nowhere"),
        ("learning_rate=${oc.env:RATELAB_NOWHERE}", "RATELAB_NOWHERE"),
        ("seed=???", "seed"),
    ],
)
def test_what_cannot_be_resolved_is_named_in_one_line(override, name):
    message = refusal(override)
    assert name in message
    assert "\n" not in message


def test_what_the_program_supplies_cannot_be_given():
    assert "there is no 'learning_rate'" in refusal("+schedule.learning_rate=1")
    assert "there is no 'steps'" in refusal("+schedule.steps=1")
    assert "there is no 'input_shape'" in refusal("+model.input_shape=[1]")
    assert "there is no 'classes'" in refusal("+model.classes=2")


def test_a_number_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("RATELAB_TEST_SEED", "3")
    assert read('seed="${oc.decode:${oc.env:RATELAB_TEST_SEED}}"').seed == 3
    assert "oc.decode" not in refusal("epochs=three", "tracking.experiment=${oc.env:RATELAB_TEST_SEED}")


def test_nothing_is_converted_and_nothing_can_be_changed():
    config = read("schedule.decay_steps=10", "seed=3")
    assert type(config.schedule.arguments["decay_steps"]) is int
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 4


# `_target_`: what may be called


def written(path):
    """Overrides whose `_target_` would write `path`, were it called."""
    return {
        "pathlib.Path.write_text": f"{{_target_: pathlib.Path.write_text, _args_: [{path}, x]}}",
        "os.system": f"{{_target_: os.system, _args_: ['touch {path}']}}",
        "builtins.eval": f'{{_target_: builtins.eval, _args_: [\'open("{path}", "w")\']}}',
        "hostile.run": f"{{_target_: hostile.run, _args_: [{path}]}}",
        "ratelabs.run": f"{{_target_: ratelabs.run, _args_: [{path}]}}",
        "ratelab": "{_target_: ratelab}",
        "kerasx.layers.Dense": "{_target_: kerasx.layers.Dense}",
    }


HOSTILE = sorted(written(""))


@pytest.fixture
def hostile_packages(tmp_path, monkeypatch):
    """Packages that leave a file behind when they are imported."""
    (tmp_path / "packages").mkdir()
    marker = str(tmp_path / "imported")
    for name in ("hostile", "ratelabs", "kerasx"):
        code = f"from pathlib import Path\nPath({marker!r}).touch()\ndef run(path): Path(path).touch()\n"
        (tmp_path / "packages" / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # of the user's own module, which is imported
    yield tmp_path
    assert [name for name in ("hostile", "ratelabs", "kerasx") if sys.modules.pop(name, None)] == []
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".py") == ["packages"]


@pytest.mark.parametrize("group", ["schedule", "model", "optimizer", "batch"])
@pytest.mark.parametrize("target", HOSTILE)
def test_a_hostile_target_is_refused_before_it_is_imported_or_called(hostile_packages, target, group):
    message = refusal(f"{group}._target_={target}")
    assert message.startswith(f"{group}._target_ must start with one of ")
    assert repr(target) in message


@pytest.mark.parametrize("target", HOSTILE)
@pytest.mark.parametrize(
    ("place", "shape"),
    [("model.start", "{}"), ("model.start[1]", "[1, {}]"), ("model.start.kernel.a", "{{kernel: {{a: {}}}}}")],
)
def test_a_hostile_target_inside_the_arguments_is_refused_with_its_place(
    hostile_packages, target, place, shape
):
    node = shape.format(written(hostile_packages / "called")[target])
    message = refusal("model._target_=keras.Sequential", f"model.start={node}")
    assert message.startswith(f"{place}._target_ must start with one of")
    assert repr(target) in message


def test_a_hostile_target_that_an_interpolation_makes_is_refused(hostile_packages):
    node = "${oc.create:{_target_: hostile.run, _args_: [called]}}"
    values = composed("model._target_=keras.Sequential")
    values.model.start = node
    with pytest.raises(UserError, match=r"model\.start\._target_ must start with"):
        read_composed(values)


@pytest.mark.parametrize(
    "target",
    [
        "ratelab.runtime.provenance.subprocess.run",
        "ratelab.runtime.provenance.Path.write_text",
        "ratelab.config.importlib.import_module",
        "ratelab.config.locate",
        "ratelab.config.call",
        "keras.src.utils.file_utils.os.system",
    ],
)
def test_an_allowed_prefix_does_not_open_the_way_to_other_modules(hostile_packages, target):
    """Hydra finds a nested target by attribute: what our modules import would be within reach."""
    node = f"{{_target_: {target}, _args_: [{hostile_packages / 'called'}]}}"
    assert target in refusal("model._target_=keras.Sequential", f"model.start={node}")


def test_text_that_looks_like_an_interpolation_is_not_resolved_after_the_check(
    hostile_packages, own, monkeypatch
):
    monkeypatch.chdir(hostile_packages)
    text = "${oc.create:{_target_: hostile.run, _args_: [called]}}"
    overrides = ["model._target_=own_functions.network", "~model.start", "allow_targets=[own_functions]"]
    values = composed(*overrides, f"+model.text='\\{text}'", "data=digits")
    made = None
    with contextlib.suppress(UserError):
        made = job_of(read_composed(values)).build_model()
    assert made in (None, {"classes": 10, "width": 3, "text": text})


def test_an_unknown_key_is_refused_whatever_is_in_it(hostile_packages):
    assert "'callbacks'" in refusal("+callbacks.x={_target_: hostile.run, _args_: [called]}")


def keras_layer(node, *overrides):
    return refusal("model._target_=keras.Sequential", "~model.start", f"+model.layers=[{node}]", *overrides)


@pytest.mark.parametrize(
    "target",
    [
        "keras.layers.TFSMLayer",
        "keras.layers.TextVectorization",
        "keras.layers.StringLookup",
        "keras.layers.IntegerLookup",
        "keras.layers.Lambda",
        "keras.layers.JaxLayer",
        "keras.layers.deserialize",
        "keras.initializers.get",
        "keras.initializers.deserialize",
        "keras.regularizers.get",
        "keras.optimizers.schedules.deserialize",
        "keras.applications.vgg16",
        "keras.layers.Dens",
    ],
)
def test_what_reads_files_or_finds_functions_by_name_is_no_layer(target):
    message = keras_layer(f"{{_target_: {target}, filepath: made}}")
    assert message.startswith(f"model.layers[0]._target_={target}: ")
    assert "allow_targets=[keras]" in message
    assert ("did you mean 'Dense'" in message) == target.endswith("Dens")


@pytest.mark.parametrize(
    "target", ["keras.activations.get", "keras.saving.load_model", "keras.utils.get_file", "keras.Model"]
)
def test_only_the_modules_of_layers_and_their_parts_are_in_reach(target):
    assert "._target_ must start with one of ratelab.schedules, " in keras_layer(f"{{_target_: {target}}}")


@pytest.mark.parametrize("argument", ["kernel_initializer", "activation", "dtype"])
@pytest.mark.parametrize("shape", ["{}", "[1, {}]"])
def test_keras_gets_no_mapping_that_it_would_make_an_object_of(argument, shape):
    description = "{class_name: TFSMLayer, module: keras.layers, config: {filepath: made}}"
    node = f"{{_target_: keras.layers.Dense, units: 3, {argument}: {shape.format(description)}}}"
    place = f"model.layers[0].{argument}" + "[1]" * (shape != "{}")
    assert keras_layer(node) == (
        f"{place}: Keras would make an object of the mapping; name the object by _target_."
    )


@pytest.mark.parametrize(("given", "shown"), [("", "imagenet"), (", weights: a/b.h5", "a/b.h5")])
def test_weights_are_neither_fetched_nor_read(given, shown):
    message = keras_layer(f"{{_target_: keras.applications.VGG16{given}}}")
    assert message.startswith(f"model.layers[0].weights must be null, got '{shown}'")


@pytest.mark.parametrize(
    "node",
    [
        "{_target_: keras.applications.MobileNetV2, weights: null, classes: 10}",
        "{_target_: keras.layers.Dense, units: 3, kernel_initializer: {_target_: keras.initializers.Ones}}",
        "{_target_: keras.layers.Dense, units: 3, kernel_regularizer: {_target_: keras.regularizers.L2}}",
    ],
)
def test_layers_and_what_they_are_made_of_may_be_named(node):
    read("model._target_=keras.Sequential", "~model.start", f"+model.layers=[{node}]")


@pytest.mark.parametrize(
    "node",
    [
        "{_target_: keras.layers.TextVectorization, vocabulary: a/b}",
        "{_target_: keras.applications.VGG16, weights: a/b.h5}",
        "{_target_: keras.layers.Dense, units: 3, dtype: {class_name: DTypePolicy}}",
    ],
)
def test_who_allows_keras_allows_all_of_it(node):
    read(
        "model._target_=keras.Sequential",
        "~model.start",
        f"+model.layers=[{node}]",
        "allow_targets=[keras]",
    )


def test_the_schedules_of_keras_may_be_named():
    read(
        "schedule=fixed",
        "schedule._target_=keras.optimizers.schedules.CosineDecay",
        "+schedule.initial_learning_rate=0.1",
        "+schedule.decay_steps=50",
    )


@pytest.mark.parametrize(
    "ours", sorted(set(GROUPS["optimizer"]) - {"schedule_free_adamw", "schedule_free_sgd"})
)
@pytest.mark.parametrize("allowed", ["[]", "[keras]"])
def test_an_optimizer_of_keras_is_refused_with_the_name_of_ours(ours, allowed):
    theirs = {"adamw": "AdamW", "rmsprop": "RMSprop", "sgd": "SGD"}.get(ours, ours.title())
    target = f"optimizer._target_=keras.optimizers.{theirs}"
    assert refusal(target, f"allow_targets={allowed}") == (
        f"{target}: an optimizer of Keras cannot run in the compiled loop, which its state in variables "
        f"would tie to one run; use optimizer={ours}, which has its formula and its defaults."
    )


@pytest.mark.parametrize("target", ["keras.optimizers.Adadelta", "tensorflow.keras.optimizers.Ftrl"])
def test_an_optimizer_of_keras_that_is_not_here_is_refused_with_the_names_of_ours(target):
    names = ", ".join(GROUPS["optimizer"])
    assert f"; ours are {names}; docs/your_own.md" in refusal(f"optimizer._target_={target}")


@pytest.mark.parametrize("optimizer", GROUPS["optimizer"])
def test_every_optimizer_clips_where_it_is_told_to(optimizer):
    assert read(f"optimizer={optimizer}").optimizer.clip_norm is None
    clipping = read(f"optimizer={optimizer}", "optimizer.clip_norm=0.5").optimizer
    assert (clipping.clip_norm, "clip_norm" in clipping.arguments) == (0.5, False)


@pytest.mark.parametrize(
    ("value", "rule"),
    [("0", "greater than 0, got 0"), ("-1.0", "greater"), ("x", "number"), ("inf", "finite")],
)
def test_a_gradient_is_not_clipped_to_what_is_no_length(value, rule):
    assert re.search(f"optimizer.clip_norm must be .*{rule}", refusal(f"optimizer.clip_norm={value}"))


# The user's own functions

OWN = """
import numpy as np

def ramp(learning_rate: float, steps: int, *, power: float = 1.0):
    return lambda t: learning_rate * (t / steps) ** power

def constant(value: float):
    return lambda t: np.full(t.shape, value)

def rate_only(learning_rate):
    return lambda t: np.full(t.shape, learning_rate)

def network(classes: int, width: int = 3, **others):
    return {"classes": classes, "width": width, **others}

def warm_up(learning_rate: float, steps: int, *, length: int = 10):
    if length > steps:
        raise ValueError("length must be at most steps")
    return lambda t: learning_rate * np.minimum(1, (t + 1) / length)

VALUE = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A package of the user's."""
    (tmp_path / "own_functions.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_functions"
    sys.modules.pop("own_functions", None)


def with_own(target, *overrides):
    return read(
        "schedule=fixed",
        f"schedule._target_=own_functions.{target}",
        "allow_targets=[own_functions]",
        *overrides,
    )


@pytest.mark.parametrize(
    ("target", "overrides", "expected"),
    [
        ("ramp", [], [0.0, 0.25, 0.5, 0.75]),
        ("ramp", ["+schedule.power=2"], [0.0, 0.0625, 0.25, 0.5625]),
        ("constant", ["+schedule.value=0.5"], [0.5] * 4),
        ("rate_only", [], [1.0] * 4),
    ],
)
def test_an_own_schedule_is_given_what_its_signature_names(own, target, overrides, expected):
    config = with_own(target, "learning_rate=1.0", *overrides)
    assert tabulate(make_schedule(config, 4), 4).tolist() == expected


def test_the_arguments_of_an_own_schedule_are_checked(own):
    with pytest.raises(UserError, match=r"constant: value is required and was not given"):
        make_schedule(with_own("constant"), 4)
    with pytest.raises(UserError, match=r"ramp: there is no 'powr'; did you mean 'power'\?"):
        make_schedule(with_own("ramp", "+schedule.powr=1"), 4)
    with pytest.raises(UserError, match=r"ramp: power must be a valid number, got 'two'"):
        make_schedule(with_own("ramp", "+schedule.power=two"), 4)
    with pytest.raises(UserError, match=r"ramp: there is no 'learning_rate'"):
        make_schedule(with_own("ramp", "+schedule.learning_rate=1"), 4)


def test_an_own_model_is_given_what_its_signature_names(own):
    config = read(
        "model._target_=own_functions.network",
        "~model.start",
        "+model.width=5",
        "+model.depth=2",
        "allow_targets=[own_functions]",
    )
    supplied = {"input_shape": (8, 8), "classes": 10}
    made = call(locate(config.model.target), config.model.arguments, supplied)
    assert made == {"classes": 10, "width": 5, "depth": 2}


def test_the_check_before_the_run_does_not_take_one_step_for_the_length_of_the_run(own, tmp_path):
    """A schedule may need more steps than one, as a warm-up does."""
    overrides = ["schedule=fixed", "schedule._target_=own_functions.warm_up", "allow_targets=[own_functions]"]
    config = composed(*overrides, "data=digits", "tracking=none")
    job = job_of(read_composed(config))
    assert job.rates.table.shape == (job.batches.steps,)


def test_without_leave_an_own_target_is_refused_and_the_message_says_how_to_give_it(own):
    message = refusal("schedule=fixed", "schedule._target_=own_functions.ramp")
    assert "add 'allow_targets=[own_functions]'" in message
    assert "own_functions" not in sys.modules


@pytest.mark.parametrize("leave", ["own", "own_function", "", ".", "OWN_FUNCTIONS"])
def test_leave_is_given_to_whole_names_of_packages_only(own, leave):
    message = refusal("schedule=fixed", "schedule._target_=own_functions.ramp", f"allow_targets=['{leave}']")
    assert "must start with one of" in message


def test_leave_for_a_module_may_end_in_a_point(own):
    read("schedule=fixed", "schedule._target_=own_functions.rate_only", "allow_targets=[own_functions.]")


def test_our_own_schedules_are_made_from_the_configuration():
    steps = np.arange(5)
    made = make_schedule(read("learning_rate=0.5", "schedule.decay_steps=2"), 5)
    np.testing.assert_array_equal(made(steps), exponential(0.5, decay_steps=2, decay_rate=0.9)(steps))
    made = make_schedule(read("learning_rate=0.5", "schedule=fixed"), 5)
    np.testing.assert_array_equal(made(steps), fixed(0.5)(steps))


# locate and call


def test_locate_finds_functions_and_classes():
    assert locate("ratelab.schedules.fixed") is fixed
    assert locate("math.sqrt") is math.sqrt


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "nowhere.x",
            "_target_=nowhere.x: No module named 'nowhere'; is its folder on PYTHONPATH?",
        ),
        ("ratelab.nowhere.x", "_target_=ratelab.nowhere.x: No module named 'ratelab.nowhere'"),
        ("ratelab.schedules.fixd", "ratelab.schedules: there is no 'fixd'; did you mean 'fixed'?"),
        ("ratelab.schedules.", "ratelab.schedules: there is no ''"),
        ("own_functions.VALUE", "_target_=own_functions.VALUE: must be a function or a class, got 3"),
        ("own_functions.rampe", "own_functions: there is no 'rampe'; did you mean 'ramp'?"),
        ("nothing", "_target_=nothing"),
        ("", "_target_="),
        (".fixed", "_target_=.fixed"),
    ],
)
def test_locate_says_what_it_did_not_find(own, target, message):
    with pytest.raises(UserError) as caught:
        locate(target)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("target", ["ratelab.models.Shape", "ratelab.schedules.Steps"])
def test_a_target_that_is_a_type_and_no_function_is_refused(target):
    assert target.rpartition(".")[2] in refusal(f"model._target_={target}")


def test_call_passes_the_arguments_and_what_the_signature_names_of_the_rest():
    def function(a, b=2, *, c):
        return a, b, c

    assert call(function, {"a": 1}, {"c": 3, "d": 4}) == (1, 2, 3)
    with pytest.raises(UserError, match="function: there is no 'c'"):
        call(function, {"a": 1, "c": 3}, {"c": 3})
    with pytest.raises(UserError, match="function: a is required"):
        call(function, {}, {"c": 3})


def test_call_gives_nothing_extra_to_a_function_that_takes_any_keyword():
    def function(**options):
        return options

    assert call(function, {"a": 1}, {"learning_rate": 0.1}) == {"a": 1}


def test_the_unique_part_of_a_folder_is_the_same_throughout_one_configuration():
    first, second = (OmegaConf.create({"a": "${ratelab.unique:}", "b": "${ratelab.unique:}"}) for _ in "ab")
    assert re.fullmatch("[0-9a-f]{8}", first.a)
    assert first.a == first.b
    assert first.a != second.a


# Warm-up, and schedules made of schedules


def table(steps, *overrides):
    return tabulate(make_schedule(read(*overrides), steps), steps).tolist()


def test_a_warm_up_of_steps_or_of_a_fraction_stands_in_front_of_any_schedule():
    line = ["schedule=linear_to_zero", "learning_rate=1"]
    expected = [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25]
    assert table(8, *line, "warmup=linear", "warmup.steps=4") == expected
    assert table(8, *line, "warmup=linear", "warmup.steps=0.5") == expected
    assert table(8, *line, "warmup.steps=4") == expected
    assert table(4, *line) == table(4, *line, "warmup=none") == [1, 0.75, 0.5, 0.25]


@pytest.mark.parametrize("name", sorted({*GROUPS["schedule"]} - {"plateau"}))
def test_a_warm_up_goes_with_every_function_of_the_step(name):
    rates = tabulate(make_schedule(read(f"schedule={name}", "warmup=linear"), 100), 100)
    assert rates[0] == 0
    assert (np.diff(rates[:6]) > 0).all() or rates[5] == 0


def test_a_warm_up_does_not_go_with_a_schedule_that_reacts():
    with pytest.raises(UserError, match=r"warmup: schedule must be a function of the step, got Reactive"):
        make_schedule(read("schedule=plateau", "warmup=linear"), 100)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("warmup.steps=-1", "warmup.steps must be greater than or equal to 0, got -1"),
        ("warmup.steps=nan", "warmup.steps must be a finite number, got nan"),
        ("warmup.start_factor=1", "warmup.start_factor must be less than 1, got 1"),
        ("+warmup.step=1", "warmup: there is no 'step'; did you mean 'steps'?"),
    ],
)
def test_a_warm_up_that_cannot_be_is_refused(override, message):
    assert message in refusal(override)


def test_a_warm_up_longer_than_the_run_is_refused():
    with pytest.raises(UserError, match=r"warmup_steps must be less than the 50 steps of the run, got 500"):
        make_schedule(read("warmup.steps=500"), 50)


JOINED = """
_target_: ratelab.schedules.join
boundaries: [0.5]
schedules:
  - _target_: ratelab.schedules.fixed
  - _target_: ratelab.schedules.scale
    factor: 0.5
    schedule:
      _target_: own_functions.ramp
      power: 1
"""


def joined(text):
    composition = OmegaConf.masked_copy(composed(), [key for key in composed() if key != "hydra"])
    values = OmegaConf.to_container(composition, resolve=True, throw_on_missing=True)
    own = {"schedule": OmegaConf.to_container(OmegaConf.create(text)), "allow_targets": ["own_functions"]}
    return configuration.read({**values, **own, "learning_rate": 1.0})


def test_schedules_are_joined_and_scaled_in_yaml(own):
    assert tabulate(make_schedule(joined(JOINED), 8), 8).tolist() == [1, 1, 1, 1, 0, 0.125, 0.25, 0.375]


def test_a_joined_schedule_can_have_a_warm_up(own):
    config = joined(JOINED)
    config = config.model_copy(update={"warmup": Warmup(steps=2, start_factor=0.0)})
    expected = [0, 0.5, 1, 1, 1, 1, 0, 0.125, 0.25, 0.375]
    assert tabulate(make_schedule(config, 10), 10).tolist() == expected


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("factor: 0.5", "factor: -1", r"schedule.schedules\[1\]: scale: factor must be .* got -1"),
        ("factor", "factr", r"schedule.schedules\[1\]: scale: there is no 'factr'; did you mean 'factor'"),
        ("schedules.fixed", "schedules.fixd", r"schedule.schedules\[0\].*there is no 'fixd'"),
        ("own_functions", "hostile", r"schedule.schedules\[1\].schedule._target_ must start with"),
        ("[0.5]", "[0.5, 0.2]", "boundaries must be one fewer than the 2 schedules"),
        ("[0.5]", "[1.0]", "boundaries must rise within the 8 steps of the run"),
    ],
)
def test_a_mistake_inside_a_joined_schedule_is_named_with_its_place(own, before, after, message):
    with pytest.raises(UserError, match=message):
        make_schedule(joined(JOINED.replace(before, after)), 8)
