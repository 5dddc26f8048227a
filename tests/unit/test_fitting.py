"""A built-in model that does not fit its data or its task is refused in the plan, where no TensorFlow is."""

import re

import numpy as np
import pytest

from ratelab import models
from ratelab.commands.preview.rates import curves
from ratelab.config.composing import read_composed
from ratelab.runs.job_of import job_of
from ratelab.validation import UserError
from ratelab.validation.fitting import Problem, check_fit
from support.composing import composed
from support.in_process import train

OWN = "or a Keras model of your own (docs/your_own.md)."
BY_EXAMPLE = f"choose model=softmax, model=mlp, {OWN}"
BY_TOKEN = f"choose model=transformer, {OWN}"
MISFITS = [
    (["data=text"], f"model: softmax: its output has shape (None, 103), .* (None, 64, 103); {BY_TOKEN}"),
    (["data=text", "model=mlp"], f"model: mlp: its output has .* {BY_TOKEN}"),
    (["data=text", "model=cnn", "data.context=32"], f".* the task wants (None, 32, 103); {BY_TOKEN}"),
    (["model=transformer"], f"model: transformer: .* rows of tokens, .*, got uint8 [28, 28]; {BY_EXAMPLE}"),
    (["data=mnist1d", "model=transformer"], f".* rows of tokens, .* got float32 [40]; {BY_EXAMPLE}"),
    (
        ["data=mnist1d", "model=cnn", "model.filters=[1,1,1,1,1,1]"],
        "model: cnn: filters must be at most 5 for examples of (40,), .*, got 6; give the first 5, or choose "
        "model=mlp.",
    ),
    (
        ["data=text", "data.context=1", "model=cnn"],
        f"model: cnn: its output has .* {BY_TOKEN}",
    ),
    (
        ["data=text", "model=transformer", "model.width=63"],
        "model: transformer: width must be a multiple of heads, 4, got 63; give width=60, say.",
    ),
    (
        ["data=text", "model=transformer", "model.width=1000000"],
        "model: transformer: width makes 24,000,270,000,000 weights, .* Give fewer or smaller layers.",
    ),
    (["task=regression"], "task=regression: .* 10 classes; choose task=classification, or .*"),
    (["task=next_token"], "task=next_token: .*; choose task=classification."),
    (["data=text", "task=classification"], "task=classification: .* rows of tokens; choose task=next_token."),
    (["data=text", "task=regression"], "task=regression: .* 103 tokens; choose task=next_token, or .*"),
]


def matching(message):
    """A pattern for a message that is given with `.*` for what does not matter."""
    return f"^{re.escape(message)}$".replace(r"\.\*", ".*").replace("103", r"\d+").replace("270,", r"\d+,")


@pytest.mark.parametrize(("words", "message"), MISFITS, ids=lambda one: " ".join(one))
def test_what_does_not_fit_is_not_drawn_and_the_message_ends_with_what_to_do(words, message):
    with pytest.raises(UserError, match=matching(message)):
        curves(words)


@pytest.mark.parametrize(("words", "message"), [one for one in MISFITS if one[0][0].startswith("data=text")])
def test_nor_is_it_planned(words, message):
    with pytest.raises(UserError, match=matching(message)):
        job_of(read_composed(composed(*words)))


def test_a_program_says_it_at_once_and_writes_nothing(tmp_path):
    done = train(tmp_path, "data=text", "model=mlp", "tracking=none")
    assert (done.status, done.out) == (1, "")
    assert re.match(matching(f"model: mlp: its output has .* {BY_TOKEN}\n"), done.err)
    assert list(tmp_path.iterdir()) == []


def test_tables_choose_the_task_that_fits(tmp_path):
    np.savez(tmp_path / "numbers.npz", x=np.eye(40, 3, dtype=np.float32), y=np.linspace(0, 1, 40))
    words = ["data=arrays", f"data.file={tmp_path / 'numbers.npz'}", "batch_size=10"]
    with pytest.raises(UserError, match=r"no classes, but numbers; choose task=regression\.$"):
        curves([*words, "task=classification"])
    with pytest.raises(UserError, match=r"got float32 \[28, 1\]; choose task=regression\.$"):
        curves([*words, "task=next_token"])
    assert job_of(read_composed(composed(*words, "model=mlp"))).task.judge == "rmse"


def fit(model, input_shape, output_shape, outputs=3, tokens=False, **arguments):
    problem = Problem(input_shape, "int32" if tokens else "float32", tokens, outputs, output_shape)
    given = {"input_shape": input_shape, "outputs": outputs, **arguments}
    check_fit(f"ratelab.models.{model}", given, problem)


WIDTHS = {"layers": 1, "width": 8, "heads": 2}


def test_what_fits_is_taken():
    for shape in [(3,), None]:
        fit("mlp", (4, 4), shape, hidden=[8])
        fit("softmax", (4,), shape)
        fit("cnn", (4, 4, 4, 2), shape, filters=[1, 1])
        fit("cnn", (1,), shape, filters=[])
    for shape in [(5, 3), None]:
        fit("transformer", (5,), shape, tokens=True, **WIDTHS)
    fit("my.mlp", (4,), (7, 7))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        # Classes of rows of tokens, as of whole sentences.
        (lambda: fit("transformer", (5,), (3,), tokens=True, **WIDTHS), f"(None, 5, 3), .*; {BY_EXAMPLE}"),
        (lambda: fit("transformer", (5, 5), None, tokens=True, **WIDTHS), f"int32 [5, 5]; {BY_EXAMPLE}"),
        # What an own task wants, and none of ours gives.
        (
            lambda: fit("mlp", (5,), (4, 3), hidden=[]),
            "wants (None, 4, 3); give a Keras model of your own .*",
        ),
        (lambda: fit("mlp", (5,), (7, 3), tokens=True, hidden=[]), "(None, 7, 3); give a Keras model .*"),
        (lambda: fit("cnn", (1, 9), (3,), filters=[4]), "at most 0 .*, got 1; choose model=mlp."),
        (lambda: fit("cnn", (2,) * 5, (3,), filters=[4]), f"1 to 4 axes, got 5: .*; choose model=mlp, {OWN}"),
        (
            lambda: fit("cnn", (256,) * 3 + (1,), (3,), filters=[4096] * 4),
            "cnn: filters makes 1,409,413,123 weights, which would .*",
        ),
        (lambda: fit("softmax", (10**6,), (10**6,), outputs=10**6), "1,000,001,000,000 weights, which .*"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(UserError, match=re.escape(message).replace(r"\.\*", ".*")):
        call()


def test_the_weights_of_a_convolutional_net_are_counted_as_keras_makes_them(monkeypatch):
    # 9 * 4 + 4, 9 * 4 * 8 + 8, and 2 * 2 * 8 * 10 + 10, as in tests/training/test_models.py.
    monkeypatch.setattr("ratelab.validation.sizes.MOST_WEIGHTS", 665)
    with pytest.raises(UserError, match="cnn: filters makes 666 weights"):
        models.cnn((8, 8), 10, filters=[4, 8])
