"""Training: jobs, and the compiled loop that runs them."""

from ratelab.training.ahead import ahead
from ratelab.training.program import Program
from ratelab.training.runs import Chunk, Job, Training

__all__ = ["Chunk", "Job", "Program", "Training", "ahead"]
