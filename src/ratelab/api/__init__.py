"""What is called from Python and from notebooks: runs, sweeps, comparisons, schedules."""

from ratelab.api.calls import compare, run, schedule, sweep
from ratelab.api.results import Run, Study
from ratelab.validation import UserError

__all__ = ["Run", "Study", "UserError", "compare", "run", "schedule", "sweep"]
