"""Workers: the runs of a sweep, cut into stacks, trained in processes that report every epoch."""

from ratelab.workers.cluster import RayTasks, RayTeam
from ratelab.workers.processes import Processes
from ratelab.workers.stacks import Broke, Ended, Epoch, Event, Member, Stack, Started
from ratelab.workers.teams import Team

__all__ = [
    "Broke",
    "Ended",
    "Epoch",
    "Event",
    "Member",
    "Processes",
    "RayTasks",
    "RayTeam",
    "Stack",
    "Started",
    "Team",
]
