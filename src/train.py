"""Train under learning-rate schedules: python src/train.py -m schedule=fixed,exponential (see --help)."""

from ratelab.runtime.starting import prepare_to_import

if __name__ == "__main__":
    prepare_to_import()  # the import below takes half a second

from ratelab.commands.train import main

if __name__ == "__main__":
    main()
