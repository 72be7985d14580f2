"""Ctrl-C in a training that runs in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from planted import low_rank_study

from subtr.datasets.study import Fold
from subtr.params import validate
from subtr.training.autoencoders import reconstruct_sound
from subtr.training.systems import AutoencoderParams

SETTINGS = {
    "stream": {"encoder": {"name": "linear", "hidden_dim": 0}, "aggregator": {"name": "linear"}},
    "batches_per_epoch": 5,
    "training": {"max_epochs": 150, "check_every_epochs": 5, "patience_checks": 100},
}


def train(folder):
    """The call that is interrupted and repeated."""
    study = low_rank_study()
    params = validate(AutoencoderParams, SETTINGS, "system.yaml")
    split = study.splits(3, gap_s=6.0)[0]
    return reconstruct_sound(Fold(study, split, params.of_size(4), folder, 0, "toy"))


def until(condition, seconds=90.0):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "nothing happened"
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_says_what_is_kept_and_the_same_call_ends_in_the_same_numbers(tmp_path, monkeypatch):
    monkeypatch.setenv("SUBTR_PROGRESS", "lines")
    folder = tmp_path / "cut"
    # A shell's background jobs are started deaf to Ctrl-C, and so would be the tests' children.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += f"import test_interrupting as t; t.train(t.Path({str(folder)!r}))"
    here = Path(__file__).parent
    paths = [str(here), str(here.parent / "helpers"), os.environ.get("PYTHONPATH", "")]
    running = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )
    try:
        until(lambda: (folder / "last.ckpt").exists() or running.poll() is not None)
        running.send_signal(signal.SIGINT)
        out, error = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode != 0
    assert f"toy: stopped; kept {folder / 'last.ckpt'}. The same call goes on from there." in out
    assert "KeyboardInterrupt" in error
    assert not (folder / "done.json").exists()

    resumed, history = train(folder)
    whole, whole_history = train(tmp_path / "whole")
    np.testing.assert_array_equal(resumed, whole)
    assert history.equals(whole_history)
