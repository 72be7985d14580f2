"""Do a hundred subjects of a thousand parcels fit in bounded memory, in time that grows linearly?

Data: simulated BOLD, one subject after the other. About 15 minutes on two cores, Linux only.
Expected: a peak far below 16 GB, r above 0.9 of the ceiling (drives are known, so what is left to
miss is noise), and seconds on a straight line through few and many subjects.
"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.tables import Row

N_TRS, TR_S = 2000, 1.5
# Subjects, parcels.
SIZES = ((100, 1000), (30, 1000), (10, 1000), (100, 100), (100, 300))
ROOT = Path(__file__).resolve().parents[1]
MOST_GB = 16.0

# In a process of its own, so that the peak of memory is that of the study (with what is mapped from
# disk, which the system may drop at any time). Address space is limited
# to 16 GB there, so that anything that would need more fails.
MEASURE = """
import json, resource, sys, time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.subject_stream import fir_features, score_subjects
from subtr.timeline import Clock
from subtr.datasets.film import read_bold_folder
from subtr.datasets.simulated import noise_free_bold, subject_bold
from subtr.datasets.study import Study

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


def run(folder: Path, sizes=SIZES) -> list[Row]:
    """A row a size: seconds, the peak of memory, and r of the mean subject."""
    rows = []
    for n_subjects, n_parcels in sizes:
        with TemporaryDirectory() as place:
            rows.append(measured(Path(place), n_subjects, n_parcels))
        print(rows[-1], flush=True)
    return rows


def measured(folder: Path, n_subjects: int, n_parcels: int) -> Row:
    size = (n_subjects, n_parcels, N_TRS, TR_S, MOST_GB)
    command = [sys.executable, "-c", MEASURE, str(folder), *map(str, size)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    gb = n_subjects * n_parcels * N_TRS * 4 / 1e9
    row = {"subjects": n_subjects, "parcels": n_parcels, "trs": N_TRS, "bold_gb": gb}
    return row | json.loads(done.stdout)
