"""An optimizer object of Keras' is no rule of ours: the message that says which of ours is the same."""

from typing import Any

from ratelab import optimizers
from ratelab.validation import UserError


def refuse_keras(target: str) -> None:
    """Raise UserError if a `_target_` names an optimizer of Keras.

    >>> refuse_keras("keras.optimizers.Adam")
    Traceback (most recent call last):
    ratelab.validation.UserError: optimizer._target_=keras.optimizers.Adam: ... use optimizer=adam, ...
    """
    module, _, name = target.rpartition(".")
    if module.endswith("keras.optimizers"):
        raise _refusal(f"optimizer._target_={target}", name)


def refuse_keras_object(target: str, made: Any) -> None:
    """Raise UserError if a user's function made an optimizer of Keras, or of a class made from one.

    Args:
        target: the function.
        made: what it returned.
    """
    # By name, so that Keras need not be imported to find out that this is none.
    for kind in type(made).__mro__:
        if kind.__module__.startswith("keras.src.optimizers."):
            raise _refusal(f"optimizer: {target} returned keras.optimizers.{kind.__name__}", kind.__name__)


def _refusal(what: str, name: str) -> UserError:
    ours = sorted(set(optimizers.__all__) - {"Optimizer"})
    same = name.lower()
    remedy = (
        f"use optimizer={same}, which has its formula and its defaults."
        if same in ours
        else f"ours are {', '.join(ours)}; docs/your_own.md shows how another is written."
    )
    return UserError(
        f"{what}: an optimizer of Keras cannot run in the compiled loop, which its state in variables would "
        f"tie to one run; {remedy}"
    )
