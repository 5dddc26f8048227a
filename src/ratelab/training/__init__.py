"""Training: jobs, and the compiled loop that runs them, alone or in stacks."""

from ratelab.training.background import prefetch
from ratelab.training.checkpoint import Checkpoint, with_checkpoints
from ratelab.training.chunks import Chunk
from ratelab.training.job import Hyperparameters, Job
from ratelab.training.program import CannotStack, Program, ProgramCache, bytes_of_job
from ratelab.training.rates import Rates, Tabulated, momenta_of, rates_of
from ratelab.training.segments import Segment
from ratelab.training.training import Training

__all__ = [
    "CannotStack",
    "Checkpoint",
    "Chunk",
    "Hyperparameters",
    "Job",
    "Program",
    "ProgramCache",
    "Rates",
    "Segment",
    "Tabulated",
    "Training",
    "bytes_of_job",
    "momenta_of",
    "prefetch",
    "rates_of",
    "with_checkpoints",
]
