"""What is recorded of the machine: read from files that say what those of other machines say."""

import os
import sys

import pytest

from ratelab.runtime import machine
from ratelab.runtime.machine import ONEDNN, describe_machine, read_machine, set_onednn, write_machine
from support.configs import planned_run

DEVICE = planned_run(0).config.device
X86 = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R)
flags\t\t: fpu sse avx avx2 fma avx512f amx_tile

processor\t: 1
vendor_id\t: another
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd sve bf16\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n"


@pytest.fixture
def cpuinfo(tmp_path, monkeypatch):
    """Let this be what the kernel says."""

    def write(text):
        path = tmp_path / f"cpuinfo {len(text)}"
        path.write_text(text)
        monkeypatch.setattr(machine, "_CPUINFO", path)

    return write


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in (ONEDNN, "XLA_FLAGS", "TF_XLA_FLAGS"):
        monkeypatch.setenv(name, "")  # put back afterwards, whatever the test does
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("text", "vendor", "processor", "features"),
    [
        (X86, "GenuineIntel", "Intel(R) Xeon(R)", "avx avx2 fma avx512f amx_tile"),
        (ARM, "0x41", "0xd40", "asimd sve bf16"),
        ("", "", "", ""),
        ("no colon in here\n", "", "", ""),
    ],
)
def test_the_features_that_choose_kernels_are_told(cpuinfo, text, vendor, processor, features):
    cpuinfo(text)
    facts = describe_machine(DEVICE, {})
    assert (facts["vendor"], facts["processor"], facts["features"]) == (vendor, processor, features)
    assert (facts["threads"], facts["xla"], facts["onednn"], facts["gpus"]) == ("1", "auto", "default", "")


def test_where_there_is_no_such_file_the_system_is_known_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "absent")
    facts = describe_machine(DEVICE, {})
    assert facts["features"] == ""
    assert facts["system"]


def test_variables_of_the_run_come_before_those_of_the_process(monkeypatch):
    monkeypatch.setenv(ONEDNN, "1")
    monkeypatch.setenv("XLA_FLAGS", "--a")
    facts = describe_machine(DEVICE, {ONEDNN: "0"})
    assert (facts["onednn"], facts["XLA_FLAGS"]) == ("0", "--a")


def test_xla_is_told_as_it_was_set():
    device = DEVICE.model_copy(update={"xla": False, "threads": 2})
    facts = describe_machine(device, {})
    assert (facts["xla"], facts["threads"]) == ("false", "2")


def test_gpus_are_told_by_their_models(tmp_path):
    for number, model in enumerate(("NVIDIA A100", "NVIDIA H100")):
        folder = tmp_path / f"0000:0{number}"
        folder.mkdir()
        (folder / "information").write_text(f"Model: \t\t {model}\nIRQ:   \t\t 4\n")
    assert machine._list_gpus(tmp_path) == "NVIDIA A100, NVIDIA H100"


@pytest.mark.parametrize("tag", [None, "", "nonsense", "[1]", "3"])
def test_a_tag_that_is_not_ours_is_none(tag):
    assert read_machine(tag) is None


def test_a_tag_gives_back_the_facts():
    facts = describe_machine(DEVICE, {})
    assert read_machine(write_machine(facts)) == facts


@pytest.mark.parametrize(("word", "value"), [("0", "0"), ("True", "True"), ("default", None)])
def test_onednn_is_set_as_it_was_before_tensorflow_comes(monkeypatch, word, value):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setenv(ONEDNN, "1")
    assert set_onednn(word)
    assert os.environ.get(ONEDNN) == value


@pytest.mark.parametrize("word", ["", "yes; rm", "2"])
def test_what_tensorflow_does_not_read_is_never_set(monkeypatch, word):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    assert not set_onednn(word)
    assert ONEDNN not in os.environ


def test_once_tensorflow_is_there_it_is_too_late(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", object())
    assert set_onednn("default")
    assert not set_onednn("0")
    assert ONEDNN not in os.environ
