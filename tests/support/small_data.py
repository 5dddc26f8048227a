"""A small data set of the same form as MNIST, which a server on loopback can serve quickly."""

import contextlib
import gzip
import hashlib
import http.server
import threading
import time
from collections import Counter

import numpy as np

from ratelab.data import mnist, sources
from ratelab.data.files import FILES, File

TRAIN, TEST = 50, 10


def idx_file(array):
    """Return an array as an IDX file."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


def _small_contents():
    rng = np.random.default_rng(0)
    sizes = ((TRAIN, 4, 3), (TRAIN,), (TEST, 4, 3), (TEST,))
    arrays = (rng.integers(0, 256 if len(size) == 3 else 10, size) for size in sizes)
    return {file.name: idx_file(a) for file, a in zip(FILES["mnist"], arrays, strict=True)}


SMALL = _small_contents()


def install_small(url):
    """Make "mnist" the small data set, to be had from `url` only; called by the other processes, too."""
    FILES["mnist"] = tuple(File(n, len(c), hashlib.sha256(c).hexdigest()) for n, c in SMALL.items())
    sources.SOURCES["mnist"] = (sources.Http(url),)


class Server(http.server.ThreadingHTTPServer):
    """A web server on loopback that serves a folder and counts what it is asked for."""

    def __init__(self, folder):
        self.asked = Counter()
        self.patience = 0.0
        server = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args):
                super().__init__(*args, directory=folder)

            def do_GET(self):
                server.asked[self.path.strip("/")] += 1
                time.sleep(server.patience)
                super().do_GET()

            def log_message(self, *args):
                """Say nothing."""

        super().__init__(("127.0.0.1", 0), Handler)
        self.handle_error = lambda *_: None  # a client that was killed is no news
        self.url = f"http://127.0.0.1:{self.server_port}/"


@contextlib.contextmanager
def serve_small(folder, monkeypatch):
    """Serve the small "mnist" from a new folder, as its only source, while the block runs."""
    folder.mkdir()
    for name, content in SMALL.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setitem(FILES, "mnist", ())
    monkeypatch.setitem(sources.SOURCES, "mnist", ())
    with Server(folder) as running:
        install_small(running.url)
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def each_file_once():
    """What a server has been asked for that was asked for each file once."""
    return {f"{name}.gz": 1 for name in SMALL}


def load_small(directory=None):
    """Load the small "mnist" and check that every example is where it belongs."""
    data = mnist(directory and str(directory), validation_size=20)
    images, labels = SMALL["train-images-idx3-ubyte"], SMALL["train-labels-idx1-ubyte"]
    assert images[16:] == data.validation.inputs.tobytes() + data.train.inputs.tobytes()
    assert list(labels[8:]) == [*data.validation.targets, *data.train.targets]
    assert SMALL["t10k-images-idx3-ubyte"][16:] == data.test.inputs.tobytes()
    assert list(SMALL["t10k-labels-idx1-ubyte"][8:]) == data.test.targets.tolist()
