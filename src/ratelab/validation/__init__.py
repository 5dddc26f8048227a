"""Arguments are checked against the signature that receives them: one mechanism for YAML and for Python."""

import contextlib
import difflib
import functools
import inspect
import json
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any, ParamSpec, TypeVar

from hydra.errors import CompactHydraException
from pydantic import ConfigDict, Field, PydanticUserError, TypeAdapter, ValidationError

P = ParamSpec("P")
R = TypeVar("R")

__all__ = [
    "AtLeastOne",
    "Count",
    "Fraction",
    "Positive",
    "Rate",
    "UserError",
    "check_arguments",
    "check_value",
    "checked",
    "explain",
    "fit_arguments",
    "name_of",
    "shorten",
    "signature_of",
    "unknown_key",
]

LONGEST_VALUE = 80  # letters of a value in a message
MOST_FINDINGS = 3  # in one message

Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
AtLeastOne = Annotated[float, Field(ge=1, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0, lt=2**63)]  # what an array can hold

COLLECTING = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


class UserError(CompactHydraException, ValueError):
    """A mistake of the user's: the message names the argument, the rule and the value, and says what to do.

    Hydra prints its kind without a traceback and ends with status 1; so does a notebook.

    Attributes:
        status: with which a program of ours ends.
    """

    status = 1

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows in the place of a traceback."""
        return [f"{type(self).__name__}: {self}"]


def unknown_key(kind: str, key: str, known: Iterable[str]) -> UserError:
    """Return the error for a name that does not exist, with the nearest one that does.

    >>> str(unknown_key("exponential", "decay_step", ["decay_rate", "decay_steps"]))
    "exponential: there is no 'decay_step'; did you mean 'decay_steps'? Known: decay_rate, decay_steps."
    """
    known = sorted(known)
    near = difflib.get_close_matches(str(key), known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return UserError(f"{kind}: there is no {shorten(key)}{hint} Known: {', '.join(known) or 'none'}.")


def explain(error: ValidationError, prefix: str = "", known: Iterable[str] = ()) -> str:
    """Return pydantic's findings as one line: argument, rule and value, separated by semicolons.

    Args:
        error: what pydantic raised.
        prefix: put before every name.
        known: the names that there are, one of which may have been meant by one that there is not.
    """
    findings = []
    for entry in error.errors(include_url=False):
        name = ".".join([prefix, *map(str, entry["loc"])] if prefix else map(str, entry["loc"]))
        if entry["type"] == "missing":  # the input is the whole mapping around it
            findings.append(f"{name} is required and was not given")
        elif entry["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(entry["loc"][-1]), list(known), n=1)
            hint = f"did you mean {near[0]!r}?" if near else "remove it or mend its name"
            findings.append(f"there is no key {shorten(name)}: {hint}")
        else:
            rule = entry["msg"].replace("Input should be", "must be")
            findings.append(f"{name} {rule}, got {shorten(entry['input'])}")
    more = [f"and {len(findings) - MOST_FINDINGS:,} more"] if len(findings) > MOST_FINDINGS else []
    return "; ".join([*findings[:MOST_FINDINGS], *more])


def shorten(value: object) -> str:
    """Return how a value is written, if it is long its beginning, so that a message stays short.

    >>> shorten("x" * 1000)[-20:]
    'xxxxxxxxxxxxxxxxx...'
    """
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of so many digits
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."


def check_value(name: str, hint: Any, value: Any) -> None:
    """Raise UserError unless `value` fits the type and bounds of `hint`; nothing is converted."""
    try:
        adapter = _adapter(hint)
    except (PydanticUserError, NameError, TypeError):
        return  # an annotation that only a type checker can read says nothing about values
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError as error:
        raise UserError(explain(error, name)) from None


def check_arguments(
    function: Callable[..., Any], arguments: Mapping[str, Any], supplied: Collection[str] = ()
) -> None:
    """Raise UserError unless `arguments`, with those `supplied` later, fit the signature of `function`.

    Args:
        function: what will be called.
        arguments: names and values known now; each is checked against its annotation.
        supplied: names that the program passes by itself and that the user therefore must not.

    Raises:
        UserError: for an unknown name, a missing one, a wrong type or a value out of bounds.
    """
    name = name_of(function)
    for key, hint in _match(function, arguments, supplied):
        check_value(f"{name}: {key}", hint, arguments[key])


def fit_arguments(
    function: Callable[..., Any], arguments: Mapping[str, Any], supplied: Collection[str] = ()
) -> dict[str, Any]:
    """Return `arguments` as the annotations of `function` have them.

    What YAML cannot write is made of what it can: a list becomes a tuple or a set, a text a path, where the
    annotation asks for one. All else stays as it is, and is checked as `check_arguments` does.

    Raises:
        UserError: as there.

    >>> def crop(*, corners: tuple[int, int]) -> None: ...
    >>> fit_arguments(crop, {"corners": [2, 3]})
    {'corners': (2, 3)}
    """
    name = name_of(function)
    return {
        key: _fit(f"{name}: {key}", hint, arguments[key])
        for key, hint in _match(function, arguments, supplied)
    }


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate `function` so that every call checks its arguments against its annotations.

    >>> @checked
    ... def halve(steps: Positive) -> float:
    ...     return steps / 2
    >>> halve(0)
    Traceback (most recent call last):
    ratelab.validation.UserError: halve: steps must be greater than 0, got 0
    """
    signature = inspect.signature(function)
    collected = {p.name for p in signature.parameters.values() if p.kind in COLLECTING}

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        arguments = {name: value for name, value in bound.arguments.items() if name not in collected}
        check_arguments(function, arguments | {k: v for k, v in bound.kwargs.items() if k not in arguments})
        return function(*args, **kwargs)

    return call


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a function or a class; of any other object that can be called, that of its class.

    >>> name_of(functools.partial(check_value, "x"))
    'check_value'
    """
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of whatever can be called.

    Raises:
        UserError: if it has none, as some functions that are written in C.
    """
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        raise UserError(
            f"{name_of(function)}: its arguments cannot be read; call it in a function of your own."
        ) from None


def _match(
    function: Callable[..., Any], arguments: Mapping[str, Any], supplied: Collection[str]
) -> Iterator[tuple[str, Any]]:
    """Yield the name and the annotation of each argument.

    Raises:
        UserError: for an unknown name when it comes, for a missing one after all others.
    """
    parameters = signature_of(function).parameters.values()
    named = {p.name: p for p in parameters if p.kind not in COLLECTING}
    others = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
    hints = _hints_of(function)
    for key in arguments:
        if key in supplied or (key not in named and others is None):
            raise unknown_key(name_of(function), key, set(named) - set(supplied))
        yield key, hints.get(key if key in named else str(others), Any)
    for key, parameter in named.items():
        if parameter.default is parameter.empty and key not in arguments and key not in supplied:
            raise UserError(f"{name_of(function)}: {key} is required and was not given.")


def _hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations that can be resolved; the others name what only a type checker has imported."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isclass(function):
        function = function.__init__
    elif not inspect.isroutine(function):
        function = type(function).__call__
    return _resolve_hints(function)


@functools.lru_cache(maxsize=256)  # to resolve them takes longer than most of the functions that are checked
def _resolve_hints(function: Callable[..., Any]) -> dict[str, Any]:
    names, hints = getattr(inspect.unwrap(function), "__globals__", {}), dict[str, Any]()
    for key, hint in getattr(function, "__annotations__", {}).items():
        # One at a time, since one that cannot be resolved must not hide the others.
        alone = types.SimpleNamespace(__annotations__={key: hint})
        with contextlib.suppress(Exception):
            hints |= typing.get_type_hints(alone, names, include_extras=True)
    return hints


def _fit(name: str, hint: Any, value: Any) -> Any:
    try:
        check_value(name, hint, value)
    except UserError as refusal:
        # JSON has no tuples, sets or paths either, and pydantic knows what stands for them there.
        try:
            return _adapter(hint).validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            raise UserError(explain(error, name)) from None
        except (TypeError, ValueError):
            raise refusal from None
    return value


@functools.lru_cache(maxsize=256)
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
