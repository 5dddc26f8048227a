"""What a folder holds."""

from pathlib import Path


def read_tree(folder: Path) -> dict[str, bytes | None]:
    """Return the content of every file in a folder, None for the folders in it, by their paths."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }
