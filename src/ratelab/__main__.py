"""The command `ratelab`, also as `python -m ratelab`."""

from ratelab.runtime.starting import let_ctrl_c_end_imports

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    let_ctrl_c_end_imports()
    from ratelab.commands import cli  # takes a third of a second

    cli.main()


if __name__ == "__main__":
    main()
