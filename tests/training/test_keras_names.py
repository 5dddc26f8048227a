"""The names of Keras that a configuration may use, against the Keras that is installed."""

import importlib
import inspect

import pytest

from ratelab.config.keras_names import NAMES

# What a configuration may not name, and why.
REFUSED = {
    "keras.layers": {
        # read a file of a vocabulary, or of a model
        *("IntegerLookup", "StringLookup", "TextVectorization", "TFSMLayer"),
        # run a function, or a model of another library
        *("FlaxLayer", "JaxLayer", "Lambda", "TorchModuleWrapper"),
        # find a class by its name
        *("deserialize", "serialize"),
        # are no layers, or compute nothing by themselves
        *("InputSpec", "Layer", "MaxNumBoundingBoxes", "Wrapper"),
        # are called with tensors, which YAML has not
        *("add", "average", "concatenate", "dot", "maximum", "minimum", "multiply", "subtract"),
    },
    "keras.initializers": {"Initializer", "deserialize", "get", "serialize"},
    "keras.regularizers": {"Regularizer", "deserialize", "get", "serialize"},
    "keras.optimizers.schedules": {"LearningRateSchedule", "deserialize", "serialize"},
}
# Arguments by whose names something is read or run.
ACTING = {"call_fn", "filepath", "function", "idf_weights", "init_fn", "module", "path", "url", "vocabulary"}


def public(module):
    """What a module of Keras offers, modules inside it left out."""
    members = vars(importlib.import_module(module)).items()
    return {name for name, value in members if not name.startswith("_") and not inspect.ismodule(value)}


@pytest.mark.parametrize("module", sorted(NAMES.keys() - {"keras"}))
def test_every_name_of_the_installed_keras_is_decided_about(tensorflow, module):
    """A name that is new has to be put into NAMES, or into REFUSED above with its reason."""
    assert public(module) == NAMES[module] | REFUSED.get(module, set())
    assert not NAMES[module] & REFUSED.get(module, set())


@pytest.mark.parametrize("module", sorted(NAMES))
def test_no_name_takes_the_path_of_a_file_or_a_function(tensorflow, module):
    for name in NAMES[module]:
        made = getattr(importlib.import_module(module), name)
        assert not ACTING & set(inspect.signature(made).parameters), name


def test_weights_are_what_a_configuration_may_not_give(tensorflow):
    """Of the names in NAMES only those of keras.applications read files by an argument `weights`."""
    for name in NAMES["keras.applications"]:
        made = getattr(importlib.import_module("keras.applications"), name)
        assert inspect.signature(made).parameters["weights"].default == "imagenet", name
