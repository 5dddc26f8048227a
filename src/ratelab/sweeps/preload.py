"""What the fork server of the workers imports, once: importing this module is the work."""

import hydra  # noqa: F401 - the program that a worker belongs to imports it as well

from ratelab.runtime.devices import import_tensorflow
from ratelab.runtime.parents import die_with_parent
from ratelab.sweeps import worker  # noqa: F401 - what a worker runs

die_with_parent()
import_tensorflow()
