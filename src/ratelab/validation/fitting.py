"""Whether a built-in model fits its data and its task: what shapes tell, before TensorFlow is imported."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ratelab.validation import UserError
from ratelab.validation.sizes import count_mlp_weights, refuse_weights

Shape = Sequence[int]

OWN_MODEL = "a Keras model of your own (docs/your_own.md)"


@dataclass(frozen=True)
class Problem:
    """What a model has to map.

    Attributes:
        input_shape: of one example.
        input_type: of its numbers, by numpy's name.
        tokens: whether they are whole numbers that a model is given as they are.
        outputs: how many numbers a model gives for an example, or for each token of one.
        output_shape: what the task wants for an example; None: whatever its loss takes.
    """

    input_shape: tuple[int, ...]
    input_type: str
    tokens: bool
    outputs: int
    output_shape: tuple[int, ...] | None


def check_fit(model: str, arguments: Mapping[str, Any], problem: Problem) -> None:
    """Raise UserError if a model cannot learn this problem, or is too large for any machine.

    Args:
        model: its `_target_`; of one that is not ours nothing is known.
        arguments: all that its function is called with, the shapes and its defaults among them.
        problem: what it has to map.
    """
    name = model.removeprefix("ratelab.models.")
    if name not in CHECKS:
        return
    by_token = name == "transformer"
    if by_token and not _are_rows_of_tokens(problem):
        raise UserError(
            "transformer: examples must be rows of tokens, whole numbers, as data=text has them, got "
            f"{problem.input_type} {list(problem.input_shape)}; {_offer(problem)}."
        )
    given = (*problem.input_shape, problem.outputs) if by_token else (problem.outputs,)
    if problem.output_shape not in (None, given):
        raise UserError(
            f"{name}: its output has shape {(None, *given)}, and the task wants "
            f"{(None, *problem.output_shape)}; {_offer(problem)}."
        )
    check = CHECKS[name]
    asked = inspect.signature(check).parameters
    check(**{key: value for key, value in arguments.items() if key in asked})


def check_softmax(input_shape: Shape, outputs: int) -> None:
    """Raise UserError for more weights than there can be."""
    refuse_weights("softmax: the shape of the data", count_mlp_weights(input_shape, (), outputs))


def check_mlp(input_shape: Shape, outputs: int, hidden: Sequence[int]) -> None:
    """Raise UserError for more weights than there can be."""
    refuse_weights("mlp: hidden", count_mlp_weights(input_shape, hidden, outputs))


def check_cnn(input_shape: Shape, outputs: int, filters: Sequence[int]) -> None:
    """Raise UserError for examples that cannot be convolved and halved so often, and for too many weights."""
    if not 1 <= len(input_shape) <= 4:
        raise UserError(
            f"cnn: examples must have 1 to 4 axes, got {len(input_shape)}: {tuple(input_shape)}; choose "
            f"model=mlp, or {OWN_MODEL}."
        )
    sides = input_shape if len(input_shape) < 3 else input_shape[:-1]
    halvings = min(sides).bit_length() - 1
    if len(filters) > halvings:
        remedy = f"give the first {halvings}, or choose" if halvings else "choose"
        raise UserError(
            f"cnn: filters must be at most {halvings} for examples of {tuple(input_shape)}, each convolution "
            f"halves them, got {len(filters)}; {remedy} model=mlp."
        )
    channels = [1 if len(input_shape) < 3 else input_shape[-1], *filters]
    area = 3 ** len(sides)
    convolutions = sum((area * below + 1) * above for below, above in zip(channels, filters, strict=False))
    rest = [side >> len(filters) for side in sides]
    refuse_weights("cnn: filters", convolutions + count_mlp_weights([*rest, channels[-1]], (), outputs))


def check_transformer(input_shape: Shape, outputs: int, layers: int, width: int, heads: int) -> None:
    """Raise UserError for what is no row, heads that do not divide the width, and too many weights."""
    if len(input_shape) != 1:
        raise UserError(
            f"transformer: examples must be rows of tokens, as data=text has them, got {tuple(input_shape)}; "
            "choose model=mlp."
        )
    if width % heads:
        raise UserError(
            f"transformer: width must be a multiple of heads, {heads}, got {width}; give "
            f"width={max(width // heads, 1) * heads}, say."
        )
    [context] = input_shape
    refuse_weights("transformer: width", (12 * layers * width + 2 * outputs + context) * width)


CHECKS: Mapping[str, Callable[..., None]] = {
    "softmax": check_softmax,
    "mlp": check_mlp,
    "cnn": check_cnn,
    "transformer": check_transformer,
}


def _are_rows_of_tokens(problem: Problem) -> bool:
    return problem.tokens and len(problem.input_shape) == 1


def _offer(problem: Problem) -> str:
    """Say which of our models fit."""
    wanted = problem.output_shape
    if wanted is None or len(wanted) == 1:
        return f"choose model=softmax, model=mlp, or {OWN_MODEL}"
    if _are_rows_of_tokens(problem) and wanted == (*problem.input_shape, problem.outputs):
        return f"choose model=transformer, or {OWN_MODEL}"
    return f"give {OWN_MODEL}"
