"""`python -m ratelab` is the command `ratelab`."""

from ratelab.commands.cli import main

if __name__ == "__main__":
    main()
