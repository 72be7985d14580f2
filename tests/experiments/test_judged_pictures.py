import warnings

import numpy as np
import pandas as pd
import pytest

from subtr.datasets.simulated import generated_film, scene_labels
from subtr.experiments.judged import Films, judged_pictures
from subtr.stimulus.pictures import pictures_of_media
from subtr.timeline import Clock

TR_S, DURATION_S = 1.5, 60.0


@pytest.fixture(scope="module")
def rows():
    """A generated film under faint noise, as noise alone, and as the average of each TR."""
    clock = Clock.covering(DURATION_S, TR_S)
    film = np.array(pictures_of_media(generated_film(DURATION_S, TR_S, 0), clock))
    labels = scene_labels(clock, DURATION_S, 0)
    train, test = np.arange(30), np.arange(30, 40)
    original, rng = film[test], np.random.default_rng(0)
    average = np.rint(original.mean(1, keepdims=True)).astype(np.uint8)
    faint = np.clip(original + rng.normal(0, 4, original.shape), 0, 255).astype(np.uint8)
    shown = {
        "original": original,
        "mean": average.repeat(original.shape[1], axis=1),
        "tier1 64": faint,
        "noise": rng.integers(0, 256, original.shape, dtype=np.uint8),
    }
    known = film[train], labels.iloc[train]
    columns = {"tier1 64": {"system": "tier1", "floats_per_tr": 64}}
    films = Films(shown, TR_S, labels.iloc[test], known, columns)
    with warnings.catch_warnings():
        # Judges that are not installed are left out.
        warnings.simplefilter("ignore", UserWarning)
        return pd.DataFrame(judged_pictures(films, study="film"))


def values(rows, metric):
    of = rows[rows["metric"] == metric].set_index("system")
    if not len(of):
        pytest.skip(f"no judge of {metric} is installed")
    return of


def test_every_judge_tells_the_film_under_faint_noise_from_noise(rows):
    # Of ten TRs, probes get too many right by chance.
    for metric, of in rows[~rows["metric"].isin(["scene", "action"])].groupby("metric"):
        value = of.set_index("system")["value"]
        assert value["tier1"] > value["noise"], metric
    assert "original" not in set(rows["system"])


def test_probes_of_labels_answer_for_each_tr(rows):
    of = values(rows, "action")
    assert (of["value"] * 10 % 1 < 1e-9).all()
    assert of["value"].nunique() > 1
    assert of.loc["tier1", "floor"] == of.loc["mean", "value"]


def test_a_tracker_follows_under_faint_noise_and_not_in_averages(rows):
    of = values(rows, "tracking")
    assert of.loc["tier1", "value"] > of.loc["mean", "value"]
    assert of.loc["tier1", "ceiling"] == 1.0
    assert of.loc["tier1", "floor"] == of.loc["mean", "value"]
    assert of.loc["tier1", "floats_per_tr"] == 64


def test_likeness_of_pictures_needs_no_labels(rows):
    of = values(rows, "ssim")
    assert of.loc["tier1", "ceiling"] == pytest.approx(1.0)
    assert (of["low"] <= of["value"]).all()
    assert (of["value"] <= of["high"]).all()


def test_without_labels_scenes_are_not_judged():
    film = np.random.default_rng(0).integers(0, 256, (4, 3, 36, 64, 3), dtype=np.uint8)
    assert judged_pictures(Films({"original": film, "mean": film}, 1.5), ["scene"]) == []
