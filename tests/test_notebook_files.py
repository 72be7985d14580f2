"""The notebooks are thin, stripped, numbered, and refuse parameters they do not know."""

import ast
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
