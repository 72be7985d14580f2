"""A student gets its teacher: trained first, found again, and part of what a training is."""

import pytest
from tiny_experiment import STUDY, SYSTEM, write

from subtr.experiments.experiment import Experiment, training_folds
from subtr.params import SettingsError

SOUND = SYSTEM["sound"]
STUDENT = SOUND | {"teacher": {"teacher": "large"}, "floats_per_tr": [2]}
WIDE = {"encoder": {"name": "linear", "hidden_dim": 6}, "aggregator": {"name": "conv"}}


@pytest.fixture
def opened(tmp_path, monkeypatch, _own_cache):
    monkeypatch.setenv("SUBTR_PROGRESS", "lines")
    files = {"study_simulated": STUDY, "system_large": {"sound": SOUND}}
    files |= {"system_student": {"sound": STUDENT}}
    write(tmp_path / "tiny", **files)
    return Experiment.open("simulated", str(tmp_path / "tiny"), runs=str(tmp_path / "runs"))


def folders(opened, name):
    return sorted((opened.folder / "checkpoints").glob(f"{name}_*"))


def test_the_teacher_is_trained_first_and_only_once(opened):
    opened.train("student")
    (teacher,) = folders(opened, "large")
    # Of no size that the student has, so of the teacher's largest.
    assert teacher.name.startswith("large_3_seed0_sound_")
    weights = (teacher / "fold0" / "best.ckpt").stat().st_mtime_ns
    opened.train("large")
    assert folders(opened, "large") == [teacher]
    assert (teacher / "fold0" / "best.ckpt").stat().st_mtime_ns == weights
    history = opened.store.history("student_")
    assert "distilled_output" in set(history["name"])


def test_another_teacher_makes_another_student(opened):
    (before,) = training_folds(opened, "student", "sound", sound(opened, "student"))
    write(opened.params_folder, system_large={"sound": SOUND | {"stream": WIDE}})
    (after,) = training_folds(opened, "student", "sound", sound(opened, "student"))
    assert before.folder != after.folder
    assert before.teacher.folder != after.teacher.folder


def test_who_has_no_teacher_needs_none(opened):
    (alone,) = training_folds(opened, "large", "sound", sound(opened, "large"))
    (taught,) = training_folds(opened, "student", "sound", sound(opened, "student"))
    assert alone.teacher is None
    assert taught.teacher.folder == alone.folder
    assert taught.teacher.params == alone.params


@pytest.mark.parametrize(
    ("systems", "message"),
    [
        ({}, "system = 'nobody'"),
        ({"system_nobody": {"pictures": SYSTEM["pictures"]}}, "has no sound"),
        ({"system_nobody": {"sound": STUDENT | {"teacher": {"teacher": "student"}}}}, "circle"),
    ],
)
def test_a_teacher_that_cannot_teach_is_named(opened, systems, message):
    files = {"system_student": {"sound": STUDENT | {"teacher": {"teacher": "nobody"}}}}
    write(opened.params_folder, **files | systems)
    with pytest.raises(SettingsError, match=message):
        opened.train("student")


def test_new_subjects_are_rows_beside_the_system(tmp_path, monkeypatch):
    monkeypatch.setenv("SUBTR_PROGRESS", "lines")
    study = STUDY | {"load": STUDY["load"] | {"duration_s": 240, "pictures": None}}
    system = {"bold": SYSTEM["bold"] | {"new_subjects": {}}}
    folder = write(tmp_path / "tiny", study_simulated=study, system_new=system)
    opened = Experiment.open("simulated", folder, runs=str(tmp_path / "runs"))
    rows = opened.train("new")
    r = rows[(rows["metric"] == "r") & (rows["group"] == "")].set_index("system")["value"]
    assert set(r.index) == {"new", "new, new head", "new, shared head"}
    assert r.notna().all()
    each = rows[rows["metric"] == "r, one subject"]
    assert set(each["group"]) == set(opened.study.subjects)
    system = opened.system("new").bold
    without = system.model_copy(update={"new_subjects": None})
    first = [training_folds(opened, "new", "bold", of)[0].folder for of in (system, without)]
    assert first[0] == first[1]
    assert first[0].exists()


def sound(opened, name):
    return opened.system(name).sound
