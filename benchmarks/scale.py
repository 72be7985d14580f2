"""A hundred subjects of a thousand parcels, one after the other: memory bounded, time linear."""

import json
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.verify

N_TRS, TR_S = 2000, 1.5
SUBJECTS, PARCELS = (10, 30, 100), (100, 300)
MOST_GB = 16.0

# In a process of its own, so that the peak of memory is that of the study (with what is mapped from
# disk, which the system may drop at any time). Address space is limited
# to 16 GB there, so that anything that would need more fails.
MEASURE = """
import json, resource, sys, time
from pathlib import Path

import numpy as np
import pandas as pd

from subtr.clock import Clock
from subtr.datasets.bold_folder import read_bold_folder
from subtr.datasets.simulated_bold import noise_free_bold, subject_bold
from subtr.study import Study
from subtr.subject_stream import fir_features, score_subjects

folder, n_subjects, n_parcels, n_trs, tr_s, most_gb = sys.argv[1:]
folder, n_trs, tr_s = Path(folder), int(n_trs), float(tr_s)
limit = int(float(most_gb) * 1e9)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

rng = np.random.default_rng(0)
drives = rng.normal(size=(n_trs, 8))
mixed = drives @ rng.normal(size=(8, int(n_parcels)))
signal = noise_free_bold(mixed, tr_s, rng.uniform(4.5, 6.5, int(n_parcels)))
begin = time.process_time()
for index in range(int(n_subjects)):
    bold, _ = subject_bold(signal, tr_s, 1.0, np.random.default_rng([1, index]))
    np.save(folder / f"sub-{index + 1:03d}.npy", bold.astype(np.float32))
made_s = time.process_time() - begin

begin, wall = time.process_time(), time.perf_counter()
bold, parcels = read_bold_folder(folder)
names = {"drives": drives}
study = Study("many", Clock(tr_s, n_trs), bold=bold, parcels=parcels, regressors=names)
splits = study.splits(3)
(scored,) = score_subjects(study, splits, fir_features(study, study.regressors), 2)
rows = scored.rows(study="many", system="ridge, drives")
status = Path("/proc/self/status").read_text().splitlines()
peak = next(line for line in status if line.startswith("VmHWM"))
print(json.dumps({
    "cpu_s": time.process_time() - begin, "wall_s": time.perf_counter() - wall, "made_s": made_s,
    "peak_gb": int(peak.split()[1]) * 1024 / 1e9, "r": rows[0]["value"], "low": rows[0]["low"],
    "high": rows[0]["high"], "floor": rows[0]["floor"], "ceiling": rows[0]["ceiling"],
}))
"""


def measure(folder, n_subjects, n_parcels):
    folder.mkdir()
    size = (n_subjects, n_parcels, N_TRS, TR_S, MOST_GB)
    command = [sys.executable, "-c", MEASURE, str(folder), *map(str, size)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    for file in folder.iterdir():
        file.unlink()
    found = json.loads(done.stdout)
    gb = n_subjects * n_parcels * N_TRS * 4 / 1e9
    return {"subjects": n_subjects, "parcels": n_parcels, "trs": N_TRS, "bold_gb": gb} | found


def test_time_grows_linearly_and_memory_stays_far_below_16_gb(tmp_path, measured):
    sizes = [(n, 1000) for n in reversed(SUBJECTS)] + [(SUBJECTS[-1], n) for n in PARCELS]
    for n_subjects, n_parcels in sizes:
        measured.append(measure(tmp_path / f"{n_subjects}_{n_parcels}", n_subjects, n_parcels))
        print(measured[-1], flush=True)
    full = next(row for row in measured if (row["subjects"], row["parcels"]) == (100, 1000))
    assert full["peak_gb"] < MOST_GB
    assert full["cpu_s"] < 600
    for row in measured:
        # Drives are known, so what is left to miss is noise.
        assert row["r"] > 0.9 * row["ceiling"] > 0.5
        assert row["floor"] < row["low"] < row["r"] < row["high"]
    of_subjects = [row for row in measured if row["parcels"] == 1000][::-1]
    seconds = np.array([row["cpu_s"] for row in of_subjects])
    # A straight line through few and many subjects meets what lies between.
    first, middle, last = SUBJECTS
    expected = np.interp(middle, [first, last], seconds[[0, -1]])
    assert abs(seconds[1] / expected - 1) < 0.25
    # What all subjects share is done once: more of them never cost more each.
    each = seconds / np.array(SUBJECTS)
    assert each[-1] < 1.25 * each[0]
