"""All that is looked at, in the order in which it is printed; a new check is one line here."""

from ratelab.commands.doctor.datasets import check_data
from ratelab.commands.doctor.examining import Check
from ratelab.commands.doctor.installation import check_imports, check_packages, check_python, check_ratelab
from ratelab.commands.doctor.journals import check_journals
from ratelab.commands.doctor.machine import check_cores, check_memory
from ratelab.commands.doctor.room import check_room
from ratelab.commands.doctor.stores import check_stores
from ratelab.commands.doctor.tensorflow import check_tensorflow
from ratelab.commands.doctor.trials import TRIAL_SECONDS
from ratelab.commands.doctor.variables import check_environment

_TRIAL = TRIAL_SECONDS + 2  # a trial has an end to waiting of its own
CHECKS = (
    Check("Python", check_python),
    Check("ratelab", check_ratelab),
    Check("packages", check_packages),
    Check("imports", check_imports, _TRIAL),
    Check("TensorFlow", check_tensorflow, _TRIAL),
    Check("cores", check_cores),
    Check("memory", check_memory),
    Check("store", check_stores),
    Check("disk", check_room),
    Check("data", check_data, 30.0),
    Check("journals", check_journals),
    Check("environment", check_environment),
)
