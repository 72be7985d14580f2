"""The notebooks run from first to last on a study of three minutes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from planted import low_rank_study
from tiny_systems import TINY

from subtr.experiments.data import StudyParams
from subtr.experiments.experiment import Experiment
from subtr.experiments.results import read_results
from subtr.viewing import notebook as nb
from subtr.viewing.bold import bold_by_group
from subtr.viewing.scores import within_tr_r2_by_band

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = [file.stem for file in NOTEBOOKS]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a whole run of the tiny study, as ``make run`` does it, and what it printed."""
    params = tmp_path_factory.mktemp("params") / "tiny"
    params.mkdir()
    for name, text in TINY.items():
        (params / f"{name}.yaml").write_text(text)
    runs = tmp_path_factory.mktemp("runs")
    environment = os.environ | {"SUBTR_CACHE": str(tmp_path_factory.getbasetemp() / "cache")}
    command = [
        sys.executable,
        "-m",
        "subtr.experiments.run",
        "--params",
        str(params),
        "--runs",
        str(runs),
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return runs / "tiny" / "simulated", done.stdout


def test_a_run_makes_every_notebook_table_figure_and_sound(run):
    folder, said = run
    made = {file.stem for file in (folder / "notebooks").glob("*.ipynb")}
    assert made == {
        f"{name}_seed0" if "02" <= name[:2] <= "07" else name for name in NAMES if name[:2] != "13"
    }
    systems = set(read_results(folder / "tables")["system"])
    assert {"averaging", "tier1", "PCA", "mean", "nearest", "Lanczos", "round trip"} <= systems
    assert {name.removeprefix("system_") for name in TINY if name.startswith("system_")} <= systems
    assert {"headline", "01_within_tr", "08_modulation_transfer", "06_attention_seed0"} <= {
        file.stem for file in (folder / "figures").glob("*.png")
    }
    assert {"original.wav", "side_by_side.mp4"} <= {
        file.name for file in (folder / "media").iterdir()
    }
    assert "tier1" in said
    assert str(folder / "media") in said


def test_a_study_without_pictures_or_bold_is_told_so_and_nothing_stops(tmp_path, monkeypatch):
    monkeypatch.setenv("SUBTR_PROGRESS", "lines")
    said = []
    monkeypatch.setattr(nb, "say", said.append)
    for name in ("system_tier1", "system_s3d", "system_attention_rotary"):
        (tmp_path / f"{name}.yaml").write_text(TINY[name])
    params = StudyParams(n_folds=3, gap_s=6.0)
    sound_only = Experiment(low_rank_study(n_frames=16), params, tmp_path / "run", tmp_path)
    (fold,) = nb.part_folds(sound_only, "tier1", "sound")
    assert fold.params.n_floats == 8
    assert nb.part_folds(sound_only, "tier1", "pictures") == []
    assert nb.part_folds(sound_only, "tier1", "bold") == []
    assert nb.part_folds(sound_only, "s3d", "sound") == []
    systems = ["s3d", "tier1", "attention_rotary"]
    rows = nb.train_and_score(sound_only, systems, seed=0)
    # What the study has nothing for is not trained; what the cells train is what is scored.
    assert set(rows["system"]) == {"tier1"}
    assert set(rows["modality"]) == {"sound"}
    assert (fold.folder / "done.json").exists()
    nb.draw_losses(sound_only, ["tier1"], 0, "05")
    nb.draw(sound_only, "05_bands", within_tr_r2_by_band, rows)
    nb.draw(sound_only, "05_bold", bold_by_group, rows, nb.bold_metric(rows))
    nb.conclude(rows, systems, nb.kept_rows(sound_only, "averaging", 0))
    assert [text.split(":")[0].split(" of ")[0] for text in said] == [
        "low rank has no video that tier1 could learn from.",
        "low rank has no BOLD that tier1 could learn from.",
        "system_s3d.yaml has no `sound`",
        "**tier1 8 seed0 sound**",
        "No figure `05_bold`",
        said[-1].split(" of ")[0],
    ]
    assert said[-1].startswith("- **tier1** reaches ")
    assert "audio" in said[-1]
    assert "BOLD" not in said[-1]
    nothing = nb.train_and_score(sound_only, ["s3d"], seed=0)
    assert len(nothing) == 0
    nb.conclude(nothing, ["s3d"])
    assert said[-1] == "Nothing was scored in this study."
    kept = {file.stem for file in (tmp_path / "run" / "figures").glob("*.png")}
    assert kept == {"05_tier1_8_seed0_sound", "05_bands"}
    assert nb.trained_systems(sound_only) == ["tier1"]


def test_executed_again_they_give_the_same_numbers(run):
    """By nbval: from what the run kept, without training, every marked output comes out equal."""
    folder, _ = run
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-q", "-p", "no:cacheprovider"]
    command += ["-c", os.devnull, "--rootdir", str(folder)]
    for name in ("03_tier1_multiscale_seed0", "04_tier1_hierarchical_seed0", "08_evaluation"):
        command.append(str(folder / "notebooks" / f"{name}.ipynb"))
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:]
