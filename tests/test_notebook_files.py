"""The notebooks are thin, stripped, numbered, and refuse parameters they do not know."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from subtr.params import SettingsError
from subtr.viewing.notebook import check_parameters

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = [file.stem for file in NOTEBOOKS]


@pytest.fixture(params=NOTEBOOKS, ids=NAMES)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def parameters_of(notebook):
    return [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]


def test_they_are_numbered_in_the_order_of_a_run():
    assert NAMES == [
        "00_start_here",
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
        "13_gallery",
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
    assert all(type(value) in (str, int, float, bool) for value in values.values())
    code = code_of(notebook)
    assert code[0] is parameters
    assert "check_parameters(In)" in code[1].source
    if "start here" in notebook.cells[0].source.lower():
        return  # a study of its own, and no run folder
    assert {"study", "params", "film", "runs"} <= set(values)
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


def test_it_asks_a_question_first_and_leads_on_at_the_end(notebook):
    first, last = notebook.cells[0], notebook.cells[-1]
    assert first.cell_type == last.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert "?" in first.source
    name = next(name for name in NAMES if notebook == read(name))
    linked = re.findall(r"\]\((\w+)\.ipynb\)", last.source)
    assert "Next: " in last.source
    assert set(linked) <= set(NAMES)
    after = NAMES[NAMES.index(name) + 1 :][:1]
    assert set(after) <= set(linked)


def read(name):
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


AUDIO = ("Stream(", "DECODERS", "train_sound(")
BUILT = {
    "02_baseline_averaging": (*AUDIO, "bold_predictor(", "fit_fold("),
    "03_tier1_multiscale": (*AUDIO, "bold_predictor(", "fit_fold("),
    "04_tier1_hierarchical": (*AUDIO, "bold_predictor(", "fit_fold("),
    "05_tier2_video3d": ("Stream(", "reconstruct_pictures("),
    "06_tier2_transformer": (*AUDIO, "bold_predictor(", "fit_fold("),
    "07_combined_and_distilled": (*AUDIO, "fit_fold("),
}


@pytest.mark.parametrize(("name", "calls"), BUILT.items())
def test_a_training_notebook_builds_fits_scores_and_concludes_in_its_cells(name, calls):
    code = "\n".join(cell.source for cell in code_of(read(name)))
    scored = ("nb.part_folds(", "nb.levels(", "within_tr_r2(", "nb.conclude(")
    missing = [call for call in (*calls, *scored) if call not in code]
    assert not missing


def test_most_cells_are_of_ten_lines_or_fewer():
    lines = [len(cell.source.splitlines()) for name in NAMES for cell in code_of(read(name))]
    assert sorted(lines)[int(0.9 * len(lines))] <= 10


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
