"""The rules of the response, of splits and of bad input: every one of their tests as a row."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
RULES = {
    "haemodynamic response": (
        *("bold/test_hrf.py", "test_hrf_layer.py", "test_peak_times.py"),
        *("bold/test_deconvolution.py", "test_bold_scores.py"),
    ),
    "leaks": ("test_study.py", "test_bold_scores.py"),
    "bad input": (
        *("stimulus/test_container.py", "stimulus/test_cache.py", "datasets/test_film.py"),
        *("datasets/test_load_study.py", "test_params.py", "test_run.py", "test_results.py"),
        *("test_training.py", "test_interrupting.py"),
    ),
}

pytestmark = pytest.mark.verify


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_holds(rule, measured, tmp_path):
    report = tmp_path / "report.xml"
    files = [str(TESTS / file) for file in RULES[rule]]
    command = [sys.executable, "-m", "pytest", f"--junitxml={report}", *files]
    done = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True)
    for case in ET.parse(report).iter("testcase"):
        outcome = next((child.tag for child in case if child.tag != "properties"), "passed")
        row = {"rule": rule, "file": case.get("classname"), "test": case.get("name")}
        measured.append(row | {"outcome": outcome, "time_s": float(case.get("time"))})
    assert done.returncode == 0, done.stdout[-3000:]
