"""The command `ratelab`, also as `python -m ratelab`."""

from ratelab.runtime.starting import prepare_to_import

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    prepare_to_import()
    from ratelab.commands import cli  # takes a third of a second

    cli.main()


if __name__ == "__main__":
    main()
