"""What calls from Python return: a run with its arrays, a study with its tables and figures."""

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from rich.console import Console

from ratelab import comparison
from ratelab.comparison import Result, write_value
from ratelab.report import as_html, groups_frame, pairs_frame, print_study, sensitivity_frame, tuning_frame
from ratelab.report.figures import Figure, draw_figures, read_curves
from ratelab.report.figures.palette import css_in_notebook
from ratelab.runs.display import Places
from ratelab.training import Chunk

if TYPE_CHECKING:
    import pandas as pd

TERMINAL = 80  # columns, of a study in text


class Run:
    """What one run gave.

    Attributes:
        run_id: MLflow's; empty where nothing is tracked.
        metric: that judges it, as "accuracy".
        value: of the metric, on the test split; on the validation split where that was not looked at.
        test: what was measured on the test split, by the names of the metrics.
        seconds: of training.
        learning_rate: float32[steps], the rates applied.
        train_loss: float32[steps], the loss of each batch, before its update.
    """

    def __init__(self, result: Result, chunks: Sequence[Chunk]) -> None:
        self._result, self._chunks = result, list(chunks)
        self.run_id, self.metric = result.run_id, result.outcome.metric
        self.test: Mapping[str, float] = dict(result.test)
        self.seconds = result.seconds
        self.learning_rate = _join([chunk.learning_rate for chunk in chunks])
        self.train_loss = _join([chunk.train_loss for chunk in chunks])

    @property
    def value(self) -> float:
        """Of the metric that judges."""
        value = self._result.value
        assert value is not None  # noqa: S101 - it finished
        return value

    @property
    def validation(self) -> "pd.DataFrame":
        """A row for each epoch: step, the loss and every metric on the validation split."""
        import pandas as pd

        return pd.DataFrame([{"step": int(one.steps[-1]), **one.validation} for one in self._chunks])

    def __repr__(self) -> str:
        name = f"{self._result.choices['schedule']} seed={self._result.seed}"
        value = f"{self._result.judged_on} {self.metric} {write_value(self._result.outcome, self.value)}"
        return f"<{name}: {value}, {len(self.learning_rate):,} steps, {self.seconds:.2f} s>"


class Study:
    """What runs say about schedules: the comparison that ends a sweep.

    Attributes:
        uri: of the store; empty where nothing is tracked.
        sweep_id: None where it was not asked for.
        report: the file of the sweep's report; None where there is none.
    """

    def __init__(
        self, found: comparison.Study, places: Places | None = None, report: Path | None = None
    ) -> None:
        self._found, self.report = found, report
        self.uri = "" if places is None else places.uri
        self.sweep_id = None if places is None else places.sweep_id

    @property
    def groups(self) -> "pd.DataFrame":
        """A row for each group; the columns are those of `ratelab compare --format csv`."""
        return groups_frame(self._found)

    @property
    def pairs(self) -> "pd.DataFrame":
        """A row for each pair of groups: the difference over shared seeds, its interval, p, the verdict."""
        return pairs_frame(self._found)

    @property
    def tuning(self) -> "pd.DataFrame":
        """A row for each schedule and base rate that was tried; empty where nothing was tuned."""
        return tuning_frame(self._found)

    @property
    def sensitivity(self) -> "pd.DataFrame":
        """How much depends on the base rate, of each schedule and pair; empty where nothing was tuned."""
        return sensitivity_frame(self._found)

    @property
    def runs(self) -> "pd.DataFrame":
        """A row for each run, whatever became of it."""
        import pandas as pd

        return pd.DataFrame([_make_row(result) for result in self._found.results])

    @property
    def verdicts(self) -> list[str]:
        """A sentence for each pair; pairs from which nothing follows share one."""
        return [one.sentence for each in self._found.comparisons for one in each.conclusions]

    @property
    def notes(self) -> list[str]:
        """What must be known beside the verdicts: which runs are left out and why, and the like."""
        return [*(note for each in self._found.comparisons for note in each.notes), *self._found.notes]

    def plot(self) -> "Figures":
        """Draw the figures of the report; curves over the steps are read from the store."""
        drawn = draw_figures(self._found, read_curves(self.uri, self._found))
        return Figures(tuple(figure for _, own in drawn for figure in own))

    def __repr__(self) -> str:
        text = io.StringIO()
        print_study(Console(file=text, width=TERMINAL, force_jupyter=False), self._found)
        return text.getvalue().rstrip()

    def _repr_html_(self) -> str:
        return as_html(self._found)


@dataclass(frozen=True)
class Figures:
    """Figures that a notebook shows, in its own light or dark theme."""

    figures: tuple[Figure, ...]

    def __iter__(self) -> Iterator[Figure]:
        return iter(self.figures)

    def __len__(self) -> int:
        return len(self.figures)

    def __repr__(self) -> str:
        return f"<{len(self)} figures: {', '.join(figure.title for figure in self)}>"

    def _repr_html_(self) -> str:
        style = css_in_notebook("ratelab-figures")
        return f'<div class="ratelab-figures"><style>{style}</style>{"".join(map(_show, self.figures))}</div>'


def _show(figure: Figure) -> str:
    """Return a figure, with ids that no other one in the page has."""
    token = hashlib.sha256(figure.svg.encode()).hexdigest()[:8]
    svg = figure.svg.replace(f"{figure.slug}-", f"{figure.slug}-{token}-")
    style = "margin:0 0 1rem;max-width:42rem"
    return f'<figure style="{style}">{svg}<figcaption>{escape(figure.caption)}</figcaption></figure>'


def _join(parts: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    return np.concatenate([np.empty(0, np.float32), *parts])


def _make_row(result: Result) -> dict[str, object]:
    return {
        **result.choices,
        "seed": result.seed,
        "status": result.status,
        "metric": result.outcome.metric,
        "value": result.value,
        "final_rate": result.final_rate,
        "seconds": result.seconds,
        "run_id": result.run_id,
    }
