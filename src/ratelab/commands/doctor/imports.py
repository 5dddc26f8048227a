"""A program of its own: imports the packages that it is given, and names each before it does."""

import importlib
import sys

from ratelab.runtime.parents import die_with_parent


def main() -> None:
    """Import the arguments; the last name that was printed is that of the package which ended the program."""
    die_with_parent()
    for name in sys.argv[1:]:
        print(name, flush=True)
        importlib.import_module(name)


if __name__ == "__main__":
    main()
