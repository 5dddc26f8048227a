import math
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hydra.errors import CompactHydraException
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ratelab.validation import (
    Count,
    Fraction,
    Positive,
    Rate,
    UserError,
    check_arguments,
    check_value,
    checked,
    explain,
    unknown_key,
)

SCALARS = st.one_of(
    st.none(), st.booleans(), st.text(max_size=3), st.floats(), st.integers(-(2**53), 2**53), st.just([1])
)
BOUNDS = {
    Rate: lambda value: 0 <= value < math.inf,
    Positive: lambda value: 0 < value < math.inf,
    Fraction: lambda value: 0 <= value < 1,
}


def decay(learning_rate: Rate, *, decay_steps: Positive, staircase: bool = False) -> float:
    return learning_rate / decay_steps * (not staircase)


def accepted(hint, value):
    try:
        check_value("x", hint, value)
    except UserError:
        return False
    return True


def refusal(function, *args, **kwargs):
    with pytest.raises(UserError) as caught:
        function(*args, **kwargs)
    return str(caught.value)


def test_a_user_error_is_of_the_kind_that_hydra_prints_without_a_traceback():
    assert issubclass(UserError, CompactHydraException)
    assert issubclass(UserError, ValueError)


@pytest.mark.parametrize(
    ("hint", "value", "rule"),
    [
        (int, True, "must be a valid integer, got True"),
        (int, "1", "must be a valid integer, got '1'"),
        (int, 1.0, "must be a valid integer, got 1.0"),
        (int, None, "must be a valid integer, got None"),
        (float, True, "must be a valid number, got True"),
        (float, "0.1", "must be a valid number, got '0.1'"),
        (float, None, "must be a valid number, got None"),
        (bool, 1, "must be a valid boolean, got 1"),
        (bool, "true", "must be a valid boolean, got 'true'"),
        (str, 1, "must be a valid string, got 1"),
        (Count, 0, "must be greater than 0, got 0"),
        (Count, -3, "must be greater than 0, got -3"),
        (Rate, -0.1, "must be greater than or equal to 0, got -0.1"),
        (Rate, math.nan, "must be a finite number, got nan"),
        (Rate, math.inf, "must be a finite number, got inf"),
        (Rate, -math.inf, "must be a finite number, got -inf"),
        (Positive, 0, "must be greater than 0, got 0"),
        (Positive, math.nan, "must be a finite number, got nan"),
        (Fraction, 1.0, "must be less than 1, got 1.0"),
        (Fraction, math.nan, "must be less than 1, got nan"),
        (Fraction, -0.5, "must be greater than or equal to 0, got -0.5"),
        (Literal["relu", "tanh"], "gelu", "must be 'relu' or 'tanh', got 'gelu'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_the_rule_and_the_value(hint, value, rule):
    assert refusal(check_value, "model.units", hint, value) == f"model.units {rule}"


def test_the_place_inside_a_list_is_named():
    assert (
        refusal(check_value, "hidden", list[Count], [8, 0, "4"])
        == "hidden.1 must be greater than 0, got 0; hidden.2 must be a valid integer, got '4'"
    )


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (float, 1),
        (Rate, 0),
        (Rate, np.float64(0.1)),
        (Positive, 5e-324),
        (Fraction, 0.0),
        (Count, 1),
        (int | None, None),
        (list[Count], []),
        (Any, object()),
        (float, math.nan),
    ],
)
def test_a_value_that_fits_is_accepted(hint, value):
    check_value("x", hint, value)


@given(value=SCALARS, hint=st.sampled_from([Rate, Positive, Fraction]))
def test_a_bounded_number_is_accepted_exactly_within_its_bounds(hint, value):
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    assert accepted(hint, value) == (is_number and BOUNDS[hint](value))


@given(SCALARS)
def test_a_count_is_exactly_a_positive_integer(value):
    assert accepted(Count, value) == (type(value) is int and value > 0)


@given(SCALARS)
def test_any_kind_of_value_is_accepted_where_its_own_type_is_asked_for(value):
    check_value("x", type(value), value)


@pytest.mark.parametrize("hint", [np.ndarray, np.random.SeedSequence])
def test_a_class_that_pydantic_does_not_know_is_checked_by_isinstance(hint):
    assert not accepted(hint, 3)
    assert accepted(np.ndarray, np.arange(3))


def test_arguments_that_fit_are_accepted():
    check_arguments(decay, {"learning_rate": 0.1, "decay_steps": 10, "staircase": True})
    check_arguments(decay, {"decay_steps": 10}, ["learning_rate"])


def test_an_unknown_name_is_refused_with_the_nearest_one():
    assert refusal(check_arguments, decay, {"learning_rate": 0.1, "decay_step": 10}) == (
        "decay: there is no 'decay_step'; did you mean 'decay_steps'? "
        "Known: decay_steps, learning_rate, staircase."
    )


def test_an_unknown_name_far_from_all_others_gets_no_hint():
    assert refusal(check_arguments, decay, {"zzz": 1}) == (
        "decay: there is no 'zzz'. Known: decay_steps, learning_rate, staircase."
    )


def test_a_missing_argument_is_named():
    assert (
        refusal(check_arguments, decay, {"learning_rate": 0.1})
        == "decay: decay_steps is required and was not given."
    )


def test_a_name_that_the_program_supplies_is_refused_and_is_not_among_the_known_ones():
    message = refusal(check_arguments, decay, {"learning_rate": 0.1, "decay_steps": 1}, ["learning_rate"])
    assert message.startswith("decay: there is no 'learning_rate'")
    assert message.endswith("Known: decay_steps, staircase.")


def test_a_supplied_name_that_the_function_does_not_take_does_not_matter():
    check_arguments(decay, {"decay_steps": 1}, ["learning_rate", "steps"])


def test_a_wrong_argument_is_refused_with_function_and_argument():
    assert (
        refusal(check_arguments, decay, {"learning_rate": "abc", "decay_steps": 1})
        == "decay: learning_rate must be a valid number, got 'abc'"
    )


def test_an_argument_without_annotation_takes_anything():
    check_arguments(lambda x: x, {"x": object()})


def open_ended(first: Count, **options: Any) -> dict[str, Any]:
    return {"first": first, **options}


def test_a_function_that_takes_any_keyword_is_given_any():
    check_arguments(open_ended, {"first": 1, "anything": "goes"})
    assert checked(open_ended)(1, anything="goes") == {"first": 1, "anything": "goes"}


def test_the_named_arguments_of_such_a_function_are_still_checked():
    assert (
        refusal(check_arguments, open_ended, {"first": 0})
        == "open_ended: first must be greater than 0, got 0"
    )
    assert (
        refusal(check_arguments, open_ended, {"x": 0}) == "open_ended: first is required and was not given."
    )


def test_what_the_program_supplies_is_refused_even_where_any_keyword_is_taken():
    assert "there is no 'first'" in refusal(check_arguments, open_ended, {"first": 1}, ["first"])


def test_extra_positional_arguments_are_never_required():
    def any_number(*values: float, scale: float = 1.0) -> float:
        return sum(values) * scale

    check_arguments(any_number, {"scale": 2.0})
    assert checked(any_number)(1.0, 2.0, scale=3.0) == 9.0


def test_extra_keywords_are_checked_one_by_one():
    def named(**rates: Rate) -> dict[str, float]:
        return rates

    assert checked(named)(first=0.1, second=0.2) == {"first": 0.1, "second": 0.2}
    assert "second must be greater than or equal to 0, got -1" in refusal(checked(named), first=1, second=-1)


def test_a_class_is_checked_by_its_constructor():
    class Layer:
        def __init__(self, units: Count, scale: float = 1.0) -> None:
            self.units, self.scale = units, scale

    check_arguments(Layer, {"units": 3})
    assert refusal(check_arguments, Layer, {"unit": 3}) == (
        "Layer: there is no 'unit'; did you mean 'units'? Known: scale, units."
    )


def test_the_constructor_of_a_class_is_checked_by_its_annotations():
    class Layer:
        def __init__(self, units: Count) -> None:
            self.units = units

    assert refusal(check_arguments, Layer, {"units": 0}) == "Layer: units must be greater than 0, got 0"


def test_a_checked_function_refuses_positional_and_keyword_arguments_alike():
    safe = checked(decay)
    assert refusal(safe, -1, decay_steps=1).startswith("decay: learning_rate must be greater")
    assert refusal(safe, learning_rate=-1, decay_steps=1) == refusal(safe, -1, decay_steps=1)


def test_a_checked_function_called_with_the_wrong_names_raises_what_python_raises():
    with pytest.raises(TypeError, match="unexpected keyword argument 'steps'"):
        checked(decay)(0.1, decay_steps=1, steps=3)
    with pytest.raises(TypeError, match=r"missing a required (keyword-only )?argument: 'decay_steps'"):
        checked(decay)(0.1)


def test_a_checked_function_keeps_its_name_its_documentation_and_its_signature():
    import inspect

    assert checked(decay).__name__ == "decay"
    assert inspect.signature(checked(decay)) == inspect.signature(decay)


def test_defaults_are_not_checked():
    def lazily(hidden: list[int] = None):  # noqa: RUF013 - the point
        return hidden

    assert checked(lazily)() is None


@given(st.one_of(st.integers(), st.floats(), st.booleans(), st.text(), st.lists(st.integers())))
def test_nothing_is_converted(value):
    def same(x: int | float | bool | str | list[int]) -> object:
        return x

    assert checked(same)(value) is value


def test_an_integer_stays_an_integer_where_a_number_is_asked_for():
    @checked
    def same(x: float) -> float:
        return x

    assert type(same(1)) is int
    assert type(same(np.float64(1))) is np.float64


@given(st.text(max_size=8), st.lists(st.text(max_size=8), max_size=5))
def test_the_error_for_an_unknown_key_names_it_and_all_that_are_known(key, known):
    message = str(unknown_key("data", key, known))
    assert message.startswith(f"data: there is no {key!r}")
    assert message.endswith(f"Known: {', '.join(sorted(known)) or 'none'}.")


def test_only_a_near_name_is_proposed():
    assert "did you mean 'mnist'?" in str(unknown_key("data", "minst", ["mnist", "digits"]))
    assert "did you mean" not in str(unknown_key("data", "cifar", ["mnist", "digits"]))
    assert str(unknown_key("data", "x", iter([]))) == "data: there is no 'x'. Known: none."


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    threads: Annotated[int, Field(gt=0)]


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    seed: int
    device: Inner


def findings(hint, value):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(hint).validate_python(value)
    return caught.value


def test_all_findings_are_told_in_one_line_with_their_places():
    error = findings(Outer, {"seed": "1", "device": {"threads": 0}})
    assert explain(error) == (
        "seed must be a valid integer, got '1'; device.threads must be greater than 0, got 0"
    )


def test_a_prefix_goes_in_front_of_every_place():
    error = findings(Outer, {"seed": "1", "device": {"threads": 0}})
    assert explain(error, "job") == (
        "job.seed must be a valid integer, got '1'; job.device.threads must be greater than 0, got 0"
    )


def test_a_key_too_many_is_named_and_not_explained_by_its_value():
    error = findings(Outer, {"seed": 1, "device": {"threads": 1, "thread": "secret"}})
    message = explain(error)
    assert message == "there is no key 'device.thread': remove it or mend its name"


def test_a_missing_key_is_named_without_showing_its_neighbours():
    message = explain(findings(Outer, {"device": {"threads": 1}}))
    assert message.startswith("seed ")
    assert "threads" not in message
