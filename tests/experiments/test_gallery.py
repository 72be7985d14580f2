"""The gallery shows every part that there is, in files that a reader takes in at a glance."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_experiment import LINEAR, SHORT, STUDY, write

from subtr.aggregators import AGGREGATORS
from subtr.decoders import DECODERS, PICTURE_DECODERS
from subtr.encoders import ENCODERS, PICTURE_ENCODERS
from subtr.encoders.positions import POSITIONS
from subtr.experiments.data import StudyParams, SystemParams
from subtr.experiments.experiment import Experiment
from subtr.experiments.gallery import (
    COSTS,
    LOSSES,
    GallerySystem,
    comparison_table,
    fallen_curves,
    findings,
    measure_costs,
    readable,
    systems_of,
    train_systems,
)
from subtr.experiments.results import COLUMNS
from subtr.metrics.temporal import within_tr_r2
from subtr.models.responses import RESPONSES
from subtr.params import SettingsError, load_params, params_folder
from subtr.stimulus.speech import SpeechModelError
from subtr.viewing.scores import training_panels

FILES = sorted(params_folder("gallery").glob("*.yaml"))
SYSTEMS = [file for file in FILES if file.stem.startswith("system_")]
REGISTRIES = {
    "encoder": ENCODERS,
    "picture encoder": PICTURE_ENCODERS,
    "aggregator": AGGREGATORS,
    "position": POSITIONS,
    "decoder": DECODERS,
    "picture decoder": PICTURE_DECODERS,
    "response": RESPONSES,
}
# What a system may have beside its parts, each asked for by the report.
OPTIONS = {
    "sound": ("codes", "curriculum", "teacher", "balance", "augmentation", "fit_steps"),
    "bold": (
        "pretraining",
        "teacher",
        "augmentation",
        "new_subjects",
        "deconvolve",
        "label_fraction",
        "pictures",
        "speech_features",
        "features",
    ),
}


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_file_is_short_says_what_to_look_for_and_is_right(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    assert [line[:2] for line in lines[:3]] == ["# ", "# ", lines[2][:2]]
    assert not lines[2].startswith("#")
    if file in SYSTEMS:
        assert lines[1].startswith("# Look for ")
        load_params(SystemParams, file)
    else:
        load_params(StudyParams, file)


def parts_of_gallery():
    """Every name that stands in a gallery file, by where it stands."""
    found = {kind: set() for kind in ("position", "encoder", "aggregator", "decoder", "response")}
    for file in SYSTEMS:
        system = load_params(SystemParams, file)
        for part in (system.sound, system.pictures, system.bold):
            if part is None:
                continue
            for kind in ("position", "encoder", "aggregator"):
                found[kind].add(getattr(part.stream, kind).name)
            if hasattr(part, "decoder"):
                found["decoder"].add(part.decoder.name)
            elif part.readout.response is not None:
                found["response"].add(part.readout.response.name)
    return found


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_part_is_in_some_file(kind):
    assert set(REGISTRIES[kind].parts) <= parts_of_gallery()[kind.split()[-1]]


@pytest.mark.parametrize(
    ("modality", "option"), [(part, name) for part, names in OPTIONS.items() for name in names]
)
def test_every_option_of_the_report_is_in_some_file(modality, option):
    parts = [getattr(load_params(SystemParams, file), modality) for file in SYSTEMS]
    default = next(type(part) for part in parts if part).model_fields[option].default
    assert any(part is not None and getattr(part, option) != default for part in parts)


def row(system, modality, metric, value, floats=8.0, **more):
    filled = {"study": "toy", "seed": 0, "group": "", "fold": pd.NA, "git": "", "params_hash": ""}
    return filled | more | {
        "system": system, "modality": modality, "metric": metric, "value": value,
        "floats_per_tr": floats,
    }  # fmt: skip


def planted():
    """A small and a large system of sound, one of BOLD alone, and averaging of both."""
    rows = []
    costs = {  # parameters, MMAC, MB, ms; first and best loss; seconds
        ("averaging", "sound"): (1000, 1.0, 2.0, 0.1, 1.0, 0.9, 10.0),
        ("averaging", "bold"): (500, 0.5, 1.0, 0.1, 1.0, 0.5, 4.0),
        ("large", "sound"): (9000, 9.0, 20.0, 0.9, 1.0, 0.7, 30.0),
        ("small", "sound"): (2000, 2.0, 3.0, 0.2, 1.0, 0.75, 15.0),
        ("responses", "bold"): (700, 0.7, 1.0, 0.1, -0.4, -0.5, 6.0),
    }
    for (system, part), values in costs.items():
        metrics = (*COSTS, *LOSSES, "training time_s")
        rows += [row(system, part, of, at) for of, at in zip(metrics, values, strict=True)]
    for system, kept in {"averaging": 0.0, "large": 0.61, "small": 0.6}.items():
        rows.append(row(system, "sound", "within-TR R²", kept))
        # Of a part of the whole, which is no score of the system.
        rows.append(row(system, "sound", "within-TR R²", 0.99, group="2 Hz"))
    rows += [
        row("averaging", "bold", "r / ceiling", -0.01),
        row("responses", "bold", "r / ceiling", 0.8),
    ]
    # A score without a cost is of no system of the gallery: a plain baseline.
    rows.append(row("PCA", "sound", "within-TR R²", 0.7))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_a_row_of_the_table_sums_a_systems_parts_and_is_sorted_by_its_scores():
    table = comparison_table(planted())
    assert list(table.index) == ["large", "small", "averaging", "responses"]
    both = table.loc["averaging"]
    assert both["parameters, k"] == pytest.approx(1.5)
    assert both["MMAC a TR"] == pytest.approx(1.5)
    assert both["training, s"] == pytest.approx(14.0)
    assert both["training, x averaging"] == pytest.approx(1.0)
    # Of averaging, only the same parts count.
    assert table.at["large", "training, x averaging"] == pytest.approx(3.0)
    assert table.at["responses", "training, x averaging"] == pytest.approx(1.5)
    # The part whose loss fell least speaks for the system; minus a correlation may fall too.
    assert both["loss fell, %"] == pytest.approx(10.0)
    assert table.at["responses", "loss fell, %"] == pytest.approx(25.0)
    assert table.at["large", "audio: within-TR R²"] == pytest.approx(0.61)
    assert np.isnan(table.at["large", "BOLD: r / ceiling"])


def test_without_its_baseline_training_has_no_multiple_and_text_has_no_empty_column():
    rows = planted()
    table = comparison_table(rows[rows["system"] != "averaging"])
    assert table["training, x averaging"].isna().all()
    text = readable(table)
    assert "training, x averaging" not in text
    assert "video: motion coherence" not in text
    assert text.at["small", "audio: within-TR R²"] == "0.60"
    assert text.at["small", "BOLD: r / ceiling"] == ""


def test_seeds_are_averaged_not_summed():
    rows = planted()
    table = comparison_table(pd.concat([rows, rows.assign(seed=1)]))
    pd.testing.assert_frame_equal(table, comparison_table(rows))


def test_findings_follow_from_the_numbers():
    trained = [
        GallerySystem("large", 30.0, 30.0, {"sound": (1.0, 0.7)}),
        GallerySystem("small", 15.0, 15.0, {"sound": (1.0, 1.0)}),
        GallerySystem("heard", 0.0, 0.0, {}, "whisper is not installed."),
    ]
    said = " ".join(findings(trained, comparison_table(planted())))
    assert "The loss of 1 of 2 systems fell. It did not fall for small." in said
    assert "heard: left out. whisper is not installed." in said
    assert "large is best with 0.61, averaging has 0.00; 2 of 2 others have more." in said
    assert "small needs the fewest multiplications, 2 million a TR, where large needs 9" in said
    assert "responses is best with 0.80, averaging has -0.01; 1 of 1 others have more." in said


def learner(**changes):
    return {"sound": {"stream": LINEAR, "floats_per_tr": [3], "training": SHORT} | changes}


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A tiny study, a teacher, a student, a system of codes, and one whose weights are missing."""
    place = tmp_path_factory.mktemp("gallery")
    codes = {"n_coarse": 2, "coarse_size": 4, "n_fine": 1, "fine_size": 4, "fine_frames": 4}
    bold = {"stream": LINEAR, "readout": {"vector_dim": 2, "response": "canonical"}}
    heard = {"features": True, "speech_features": {"model": str(place / "no such model")}}
    files = {
        "study_simulated": STUDY,
        "system_a_student": learner(teacher={"teacher": "teacher"}),
        "system_codes": learner(
            stream={
                "encoder": {"name": "linear", "hidden_dim": 0},
                "aggregator": {"name": "linear"},
            },
            codes=codes | {"fine_dim": 2},
            start="pca",
            floats_per_tr=[12],
            batches_per_epoch=2,
        ),
        "system_heard": {"bold": bold | heard | {"training": SHORT}},
        "system_teacher": learner(),
    }
    params = write(place / "tiny", **files)
    return Experiment.open(params=params, runs=str(place / "runs"))


@pytest.fixture(scope="module")
def trained(opened):
    return list(train_systems(opened))


def test_teachers_come_first(opened):
    assert systems_of(opened) == [["codes", "heard", "teacher"], ["a_student"]]


def test_every_system_is_trained_and_measured_and_what_is_missing_is_said(opened, trained):
    assert [one.name for one in trained] == ["codes", "heard", "teacher", "a_student"]
    missing = {one.name: one.problem for one in trained}
    assert "no such model" in missing.pop("heard")
    assert set(missing.values()) == {""}
    rows = opened.results()
    for name in ("codes", "teacher", "a_student"):
        measured = set(rows.loc[rows["system"] == name, "metric"])
        assert {*COSTS, *LOSSES, "within-TR R²"} <= measured
    (teacher,) = [one for one in trained if one.name == "teacher"]
    history = opened.store.history("teacher_3_seed0_sound")
    losses = history[(history["part"] == "validation") & (history["name"] == "loss")]["value"]
    assert teacher.losses["sound"] == pytest.approx((losses.iloc[0], losses.min()))


def test_side_by_side_gives_the_same_scores(opened, trained, tmp_path):
    beside = Experiment.open(params=str(opened.params_folder), runs=str(tmp_path))
    others = {one.name: one for one in train_systems(beside, workers=2)}
    for one in trained:
        assert set(others[one.name].losses) == set(one.losses)
        for part, losses in one.losses.items():
            assert others[one.name].losses[part] == pytest.approx(losses, rel=1e-4)
        assert others[one.name].problem == one.problem


def test_costs_of_a_linear_system_are_those_counted_by_hand(opened, trained):
    costs = measure_costs(opened, "codes").set_index("metric")["value"]
    # 12 numbers from a window of 16 frames of 12 bands: 4 coarse; 2 for each of 4 spans of 4
    # frames. The codes' own map says 8 of the 4.
    window = 16 * 12
    maps = (window * 4 + 4) + (4 * 12 * 2 + 2) + (12 * window + window)
    assert costs["parameters"] == maps + (4 * 8 + 8)
    products = window * 4 + 4 * (4 * 12 * 2) + 12 * window
    assert costs["MMAC a TR"] == pytest.approx(products / 1e6)
    assert costs["training memory_MB"] > 16 * maps / 1e6
    assert costs["inference_ms a TR"] > 0


def test_curves_begin_at_1_and_one_panel_is_one_system(opened, trained):
    curves = fallen_curves(opened, ["teacher", "codes"])
    firsts = curves.sort_values("epoch").groupby(["system", "part"])["share"].first()
    assert (firsts == 1.0).all()
    drawn = training_panels(curves)
    titles = [axis.get_title(loc="left") for axis in drawn.axes if axis.get_visible()]
    assert [title for title in titles if title] == ["teacher", "codes"]


def test_codes_of_a_system_say_their_bits_and_what_the_coarse_keep(opened, trained):
    rows = opened.results()
    rows = rows[(rows["system"] == "codes") & (rows["group"] == "")].set_index("metric")["value"]
    assert rows["bits a TR"] == 2 * 2 + 4 * 2
    assert rows["within-TR R², coarse codes"] < rows["within-TR R²"]
    found = opened.reconstructions("sound")["codes 12"]
    kept = within_tr_r2(np.asarray(opened.study.mel)[opened.reconstruction_trs], found)
    assert rows["within-TR R²"] == pytest.approx(kept, abs=0.01)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fit_steps": 3}, "fit_steps: expected none with codes"),
        ({"floats_per_tr": [64]}, "expected at least 257"),
        ({"start": "pca", "decoder": {"name": "held"}}, "needs the decoder linear"),
    ],
)
def test_what_does_not_go_with_codes_is_refused(tmp_path, changes, message):
    linear = {"stream": {"aggregator": {"name": "linear"}}, "decoder": {"name": "linear"}}
    sound = linear | {"codes": {}, "floats_per_tr": [300]} | changes
    folder = Path(write(tmp_path / "set", system_codes={"sound": sound}))
    with pytest.raises(SettingsError, match=message):
        load_params(SystemParams, folder / "system_codes.yaml")


def test_codes_teach_no_other(opened, trained, tmp_path):
    files = {file.stem: file for file in opened.params_folder.glob("*.yaml")}
    for file in files.values():
        (tmp_path / file.name).write_text(file.read_text())
    params = write(tmp_path, system_pupil=learner(teacher={"teacher": "codes"}))
    pupil = Experiment.open(params=params, runs=str(tmp_path / "runs"))
    with pytest.raises(SettingsError, match="codes: expected floats here"):
        pupil.train("pupil")


def test_speech_features_are_shown_or_refused(opened, tmp_path):
    with pytest.raises(SpeechModelError, match="no such model"):
        opened.train("heard")
    bold = {"speech_features": {"model": "whisper-tiny.en"}}
    folder = Path(write(tmp_path / "set", system_heard={"bold": bold}))
    with pytest.raises(SettingsError, match="features = false: expected true"):
        load_params(SystemParams, folder / "system_heard.yaml")
