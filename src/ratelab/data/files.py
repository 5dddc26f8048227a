"""Which files make up a data set, and how one proves that it is genuine."""

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

GZIP_MAGIC = b"\x1f\x8b"


class AlteredError(Exception):
    """A file is not the genuine one; the message says where it is, what was expected and what was found."""


@dataclass(frozen=True)
class File:
    """A genuine file: its name, and the size and SHA-256 of its uncompressed content."""

    name: str
    size: int
    sha256: str

    def check(self, content: bytes, where: object) -> None:
        """Raise AlteredError, naming `where`, unless `content` is that of the genuine file."""
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise AlteredError(
                f"{where} is not the genuine {self.name}: "
                f"expected {self.size} bytes with SHA-256 {self.sha256}, "
                f"found {len(content)} bytes with {found}"
            )


# Always in this order: training images, training labels, test images, test labels.
# The digests were taken from files that have the MD5 sums published for them.
FILES = {
    "mnist": (
        File(
            "train-images-idx3-ubyte",
            47_040_016,
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        File(
            "train-labels-idx1-ubyte",
            60_008,
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        File(
            "t10k-images-idx3-ubyte",
            7_840_016,
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        File(
            "t10k-labels-idx1-ubyte",
            10_008,
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    "fashion_mnist": (
        File(
            "train-images-idx3-ubyte",
            47_040_016,
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        File(
            "train-labels-idx1-ubyte",
            60_008,
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
        File(
            "t10k-images-idx3-ubyte",
            7_840_016,
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        File(
            "t10k-labels-idx1-ubyte",
            10_008,
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
}


def read(folder: Path, file: File) -> bytes:
    """Return the verified content of `file` from `folder`, where it is raw or a .gz.

    Raises:
        FileNotFoundError: if neither is there.
        AlteredError: if the content is not the genuine one.
    """
    path = folder / file.name
    if not path.exists():
        path = folder / f"{file.name}.gz"
    if path.exists() and not path.is_file():  # a pipe would be waited for, a device has no end
        raise AlteredError(f"{path} is not a regular file")
    content = unpack(path.read_bytes(), path)
    file.check(content, path)
    return content


def unpack(content: bytes, where: object) -> bytes:
    """Return `content` without its gzip compression, if it has any; an IDX file never looks like gzip.

    Raises:
        AlteredError: if the compressed content is damaged.
    """
    if not content.startswith(GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise AlteredError(f"{where} is a damaged gzip file of {len(content)} bytes: {error}") from error
