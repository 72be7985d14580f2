"""The notebooks: thin, stripped, and run from first to last on a study of three minutes."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from planted import low_rank_study

from subtr.errors import SettingsError
from subtr.experiment import Experiment, StudyParams
from subtr.notebooks import SystemReport, check_parameters, reports, trained_systems
from subtr.results import read_results

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = [file.stem for file in NOTEBOOKS]

# Every part of the real thing, as small as it goes.
TINY = {
    "study_simulated": """
load:
  duration_s: 180
  frames_per_tr: 16
  n_subjects: 2
  parcels_per_class: 1
  mel: {n_mels: 24}
  pictures: {width: 16, height: 8, frames_per_tr: 4}
n_folds: 2
gap_s: 16
pca_floats: [8]
""",
    "system_averaging": """
sound:
  stream: {encoder: {name: linear, hidden_dim: 16}, aggregator: {name: mean}}
  decoder: {name: held}
  floats_per_tr: [8]
  batches_per_epoch: 2
  training: {max_epochs: 2}
bold:
  stream: {encoder: {name: linear, hidden_dim: 8}, aggregator: {name: mean}}
  readout: {vector_dim: 4}
  training: {max_epochs: 2}
""",
    "system_tier1": """
sound:
  stream:
    encoder: {name: multiscale, hidden_dim: 16}
    aggregator: {name: linear, hidden_dim: 8}
    keep_input: true
  start: pca
  floats_per_tr: [8]
  batches_per_epoch: 2
  training: {max_epochs: 2}
pictures:
  stream: {encoder: {name: frame2d}, aggregator: {name: conv}}
  decoder: {name: conv}
  floats_per_tr: [8]
  batches_per_epoch: 2
  training: {max_epochs: 2}
bold:
  stream: {encoder: {name: multiscale, hidden_dim: 8}, aggregator: {name: conv, hidden_dim: 8}}
  readout: {vector_dim: 4}
  training: {max_epochs: 2}
""",
    "system_hierarchical": """
sound:
  stream:
    encoder: {name: hierarchical, dims: [8, 8, 8], pool_frames: [4, 4]}
    aggregator: {name: linear, hidden_dim: 8}
    keep_input: true
  start: pca
  floats_per_tr: [8]
  batches_per_epoch: 2
  training: {max_epochs: 2}
bold:
  stream:
    encoder: {name: hierarchical, dims: [8, 8], pool_frames: [4]}
    aggregator: {name: kernels, n_kernels: 2}
  readout: {vector_dim: 4}
  training: {max_epochs: 2}
""",
    "system_transformer": """
sound:
  stream:
    encoder: {name: transformer, hidden_dim: 8, n_heads: 2, depth: 1, feedforward_dim: 8}
    aggregator: {name: attention}
  floats_per_tr: [8]
  batches_per_epoch: 2
  training: {max_epochs: 2}
bold:
  stream:
    encoder: {name: transformer, hidden_dim: 8, n_heads: 2, depth: 1, feedforward_dim: 8}
    aggregator: {name: attention}
    context_frames: 4
  readout: {vector_dim: 4}
  training: {max_epochs: 2}
""",
}
_SMALL = """
sound:
  stream: {encoder: {name: linear, hidden_dim: 4}, aggregator: {name: linear}}
  floats_per_tr: [8]
  batches_per_epoch: 2
  training: {max_epochs: 2}
"""
TINY["system_small"] = _SMALL
TINY["system_distilled"] = _SMALL + "  teacher: {teacher: combined}\n"
TINY["system_combined"] = (
    _SMALL.replace("hidden_dim: 4", "hidden_dim: 8")
    + "ablations:\n  encoder: {sound.stream.encoder: {name: linear, hidden_dim: 0}}\n"
)
for _name, _encoder in {
    "s3d": "name: s3d, channels: [4, 4], hidden_dim: 8",
    "slowfast": "name: slowfast, blocks: [1], slow_features: 4, hidden_dims: [4, 8]",
    "timesformer": "name: timesformer, dim: 8, depth: 1, feedforward_dim: 8, hidden_dim: 8",
    "two_stream": "name: two_stream, channels: [4], motion_channels: [4], hidden_dim: 8",
}.items():
    TINY[f"system_{_name}"] = f"""
pictures:
  stream: {{encoder: {{{_encoder}}}, aggregator: {{name: conv}}}}
  decoder: {{name: conv}}
  floats_per_tr: [8]
  batches_per_epoch: 2
  training: {{max_epochs: 2}}
"""
for _name, _positions in {"no_time": "none", "rotary": "rotary", "seconds": "absolute"}.items():
    TINY[f"system_attention_{_name}"] = f"""
bold:
  stream:
    encoder: {{name: transformer, hidden_dim: 8, depth: 1, positions: {_positions}}}
    aggregator: {{name: attention}}
  readout: {{vector_dim: 4}}
  training: {{max_epochs: 2}}
"""


TINY["identifiability"] = """
scan: {duration_s: 400, n_parcels: 2}
rates_hz: [0.05, 2.0]
vary: {tr_s: [4.0]}
seeds: [0, 1]
"""


@pytest.fixture(params=NOTEBOOKS, ids=NAMES)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def parameters_of(notebook):
    return [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]


def test_they_are_numbered_in_the_order_of_a_run():
    assert NAMES == [
        "01_exploration",
        "02_baseline_averaging",
        "03_tier1_multiscale",
        "04_tier1_hierarchical",
        "05_tier2_video3d",
        "06_tier2_transformer",
        "07_combined_and_distilled",
        "08_evaluation",
        "09_listening_viewing",
        "10_brain_encoding",
        "11_brain_decoding",
        "12_identifiability",
    ]


def test_it_is_valid_stripped_and_runs_on_any_python3_kernel(notebook):
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    for cell in code_of(notebook):
        assert cell.outputs == []
        assert cell.execution_count is None


def test_one_cell_of_scalar_parameters_and_the_next_checks_them(notebook):
    (parameters,) = parameters_of(notebook)
    values = {}
    for statement in ast.parse(parameters.source).body:
        (target,) = statement.targets
        values[target.id] = ast.literal_eval(statement.value)
    assert {"study", "params", "film", "runs"} <= set(values)
    assert all(type(value) in (str, int, float, bool) for value in values.values())
    code = code_of(notebook)
    assert code[0] is parameters
    assert "check_parameters(In)" in code[1].source
    opened = ("Experiment.open(study, params, film, runs)", "run_folder(runs, params, study, film)")
    assert any(call in code[1].source for call in opened)


def test_its_cells_are_short_without_functions_and_explained(notebook):
    for before, cell in zip([None, *notebook.cells], notebook.cells, strict=False):
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 12, cell.source
            assert not [node for node in ast.walk(ast.parse(cell.source)) if _is_function(node)]
            assert before is not None
        else:
            assert before is None or before.cell_type == "code" or cell.id == "parameters-text"


def _is_function(node):
    return isinstance(node, ast.FunctionDef | ast.ClassDef)


CELLS = ["", 'study = "simulated"\nseed = 0', "# Parameters\n"]


@pytest.mark.parametrize(
    ("injected", "message"),
    [
        ("sed = 3", "unknown parameter 'sed'.*seed"),
        ('seed = "three"', "expected int"),
        ("study = 12", "expected str, such as 'simulated'"),
    ],
)
def test_a_parameter_that_papermill_only_warns_of_is_refused(injected, message):
    with pytest.raises(SettingsError, match=message):
        check_parameters([*CELLS[:2], CELLS[2] + injected])


def test_right_parameters_and_a_users_own_cells_pass():
    check_parameters([*CELLS[:2], CELLS[2] + 'study = "alice"\nseed = 2', "x = 5\n%magic", "y = 1"])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a whole run of the tiny study, as ``make run`` does it, and what it printed."""
    params = tmp_path_factory.mktemp("params") / "tiny"
    params.mkdir()
    for name, text in TINY.items():
        (params / f"{name}.yaml").write_text(text)
    runs = tmp_path_factory.mktemp("runs")
    environment = os.environ | {"SUBTR_CACHE": str(tmp_path_factory.getbasetemp() / "cache")}
    command = [sys.executable, "-m", "subtr.run", "--params", str(params), "--runs", str(runs)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return runs / "tiny" / "simulated", done.stdout


def test_a_run_makes_every_notebook_table_figure_and_sound(run):
    folder, said = run
    made = {file.stem for file in (folder / "notebooks").glob("*.ipynb")}
    assert made == {f"{name}_seed0" if "02" <= name[:2] <= "07" else name for name in NAMES}
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
    monkeypatch.setattr(reports, "say", said.append)
    for name in ("system_tier1", "system_s3d", "system_attention_rotary"):
        (tmp_path / f"{name}.yaml").write_text(TINY[name])
    params = StudyParams(n_folds=3, gap_s=6.0)
    sound_only = Experiment(low_rank_study(n_frames=16), params, tmp_path / "run", tmp_path)
    report = SystemReport.train(sound_only, "05", ["s3d", "tier1", "attention_rotary"], seed=0)
    # What the study has nothing for is not trained.
    assert report.systems == ("tier1",)
    assert set(report.rows["modality"]) == {"sound"}
    for part in ("curves", "bands", "kept", "pictures", "bold"):
        getattr(report, part)()
    assert [text.split(" (")[0] for text in said] == [
        "**tier1 8 seed0 sound**",
        "Temporal preservation of sound: tier1",
        "low rank has no pictures, or none of it was trained.",
        "No BOLD was predicted: low rank lacks BOLD or sound.",
    ]
    nothing = SystemReport.train(sound_only, "05", ["s3d"], seed=0)
    for part in ("curves", "bands", "kept", "pictures", "bold"):
        getattr(nothing, part)()
    kept = {file.stem for file in (tmp_path / "run" / "figures").glob("*.png")}
    assert kept == {"05_tier1_8_seed0_sound", "05_preservation_by_band_seed0"}
    assert trained_systems(sound_only) == ["tier1"]


def test_executed_again_they_give_the_same_numbers(run):
    """By nbval: from what the run kept, without training, every marked output comes out equal."""
    folder, _ = run
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-q", "-p", "no:cacheprovider"]
    command += ["-c", os.devnull, "--rootdir", str(folder)]
    for name in ("03_tier1_multiscale_seed0", "04_tier1_hierarchical_seed0", "08_evaluation"):
        command.append(str(folder / "notebooks" / f"{name}.ipynb"))
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:]
