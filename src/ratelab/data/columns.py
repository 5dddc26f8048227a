"""Columns of a table as numbers: standardised, or one-hot, by what the training split says."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ratelab.validation import UserError, shorten

if TYPE_CHECKING:
    import pandas as pd

MOST_CATEGORIES = 1_000  # more are a text or a name, not a category
FEW_ROWS = 20  # in so few each may well have a category of its own


@dataclass(frozen=True)
class Standardised:
    """A column as (x - mean) / deviation; what is missing is the mean, 0."""

    mean: float
    deviation: float

    width = 1

    def apply(self, values: "pd.Series[Any]") -> npt.NDArray[np.float64]:
        """Return some rows of the column, [rows, 1]."""
        numbers = values.to_numpy(np.float64, na_value=np.nan)
        return np.nan_to_num((numbers - self.mean) / self.deviation).reshape(-1, 1)


@dataclass(frozen=True)
class OneHot:
    """A column as one for each category that is known; what is missing or not known is 0 in all."""

    known: tuple[str, ...]

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.known)

    def apply(self, values: "pd.Series[Any]") -> npt.NDArray[np.float64]:
        """Return some rows of the column, [rows, width]."""
        import pandas as pd

        words = pd.Index(values.astype("string"))
        codes = pd.Index(self.known).get_indexer(words)  # -1 for what is not known
        return np.asarray(codes[:, None] == np.arange(len(self.known)), np.float64)


Encoding = Standardised | OneHot


def fit(
    values: "pd.Series[Any]", train: npt.NDArray[np.intp], categories: Collection[str], name: str
) -> Encoding:
    """Return how a column becomes numbers, by what its training rows say.

    Numbers and booleans are standardised by their mean and standard deviation; a column that is constant
    keeps its unit. Everything else becomes a column for each category, in alphabetical order.

    Args:
        values: of all rows.
        train: which of them train.
        categories: the columns that are categories although they may be numbers.
        name: of the table in errors.

    Raises:
        UserError: naming column, row and value.

    References:
        scikit-learn: StandardScaler, OneHotEncoder(handle_unknown="ignore").
    """
    if values.name not in categories and is_number(values):
        return _standardise(values, train, name)
    remedy = None if values.name in categories else f"name {values.name!r} in data.categories"
    refuse_mixture(values, name, remedy)
    return _one_hot(values, train, name)


def is_number(values: "pd.Series[Any]") -> bool:
    """Say whether a column holds numbers or booleans."""
    from pandas.api import types

    return types.is_numeric_dtype(values.dtype) and not types.is_complex_dtype(values.dtype)


def is_text(values: "pd.Series[Any]") -> bool:
    """Say whether a column holds words."""
    from pandas.api import types

    return types.infer_dtype(values, skipna=True) in {"string", "categorical", "empty"}


def to_numbers(values: "pd.Series[Any]", name: str) -> npt.NDArray[np.float64]:
    """Return a column of numbers, nan where one is missing.

    Raises:
        UserError: for a number that is not finite.
    """
    numbers = values.to_numpy(np.float64, na_value=np.nan)
    wrong = np.flatnonzero(~np.isfinite(numbers) & ~values.isna().to_numpy())
    if wrong.size:
        raise UserError(f"{place(values, wrong[0], name)} is {numbers[wrong[0]]:g}; give a finite number.")
    return numbers


def refuse_mixture(values: "pd.Series[Any]", name: str, remedy: str | None) -> None:
    """Raise UserError for what is no category: dates and lists, and words among numbers.

    Args:
        values: of a column.
        name: of the table in errors.
        remedy: how to say that words and numbers alike are names; None: that is said.
    """
    import pandas as pd

    if not (is_text(values) or is_number(values)):
        raise UserError(
            f"{name}: column {values.name!r} is neither numbers nor words but {values.dtype}; "
            "make numbers of it, or name it in data.leave_out."
        )
    is_category = isinstance(values.dtype, pd.CategoricalDtype)  # Parquet can say so
    if remedy is None or is_number(values) or is_category:
        return
    words = values.dropna().astype(str)
    is_word = pd.to_numeric(words, errors="coerce").isna().to_numpy()
    if is_word.all():
        return
    if not is_word.any():
        raise UserError(
            f"{name}: column {values.name!r} holds numbers written as texts, or beyond 64 bits, such as "
            f"{shorten(words.iloc[0])}; write them as numbers; {remedy} if all are names."
        )
    wrong = int(np.flatnonzero(is_word)[0])
    raise UserError(
        f"{place(words, wrong, name)} is {shorten(words.iloc[wrong])}, a text among numbers; mend it, or "
        f"name it in data.missing_words if it means no value; {remedy} if all are names."
    )


def place(values: "pd.Series[Any]", number: int, name: str) -> str:
    """Return where a value stands, rows counted from 1 below the line of names."""
    return f"{name}: column {values.name!r}, row {values.index[number]}"


def _standardise(values: "pd.Series[Any]", train: npt.NDArray[np.intp], name: str) -> Standardised:
    known = to_numbers(values, name)[train]
    known = known[~np.isnan(known)]
    if not known.size:
        raise _lack_values(values, name)
    with np.errstate(over="ignore"):
        # Equal numbers may have a deviation, from rounding their mean, that would make ones of them.
        deviation = float(known.std()) if known.min() < known.max() else 1.0
    if not np.isfinite(deviation):
        raise UserError(
            f"{name}: column {values.name!r} has numbers too large to be squared; scale them down."
        )
    return Standardised(float(known.mean()), deviation)


def _one_hot(values: "pd.Series[Any]", train: npt.NDArray[np.intp], name: str) -> OneHot:
    words = values.astype("string")
    known = sorted(words.iloc[train].dropna().unique())
    if not known:
        raise _lack_values(values, name)
    many = len(known) > MOST_CATEGORIES
    if many or (len(words) > FEW_ROWS and words.nunique() == len(words)):
        raise UserError(
            f"{name}: column {values.name!r} has {words.nunique():,} different texts in {len(words):,} rows, "
            "which are no categories; name it in data.leave_out."
        )
    return OneHot(tuple(known))


def labels_of(values: "pd.Series[Any]") -> tuple[Sequence[str], npt.NDArray[np.int32]]:
    """Return what the classes of a target are called, in order, and the class of each row."""
    different = sorted(values.unique())
    numbers = {value: number for number, value in enumerate(different)}
    return [str(value) for value in different], np.fromiter(map(numbers.get, values), np.int32, len(values))


def _lack_values(values: "pd.Series[Any]", name: str) -> UserError:
    return UserError(
        f"{name}: column {values.name!r} has no value in the training split; name it in data.leave_out."
    )
