"""`python -m ratelab` is the command `ratelab`."""

from ratelab.cli import main

if __name__ == "__main__":
    main()
