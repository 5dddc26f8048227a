"""Training: jobs, and the compiled loop that runs them, alone or in stacks."""

from ratelab.training.ahead import ahead
from ratelab.training.program import CannotStack, Program
from ratelab.training.programs import Programs, bytes_of_job
from ratelab.training.runs import Chunk, Job, Training

__all__ = ["CannotStack", "Chunk", "Job", "Program", "Programs", "Training", "ahead", "bytes_of_job"]
