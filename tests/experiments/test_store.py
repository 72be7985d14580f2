"""What a run kept comes back under its name, of the right seed and kind."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from subtr.experiments.data import Store
from subtr.params import SubtrError


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "run")


def test_windows_come_back_by_kind_and_seed(store):
    rng = np.random.default_rng(0)
    sound = {seed: rng.normal(-4, 2, (5, 8, 6)).astype(np.float32) for seed in (0, 1, None)}
    pictures = rng.integers(0, 256, (5, 2, 4, 6, 3), dtype=np.uint8)
    store.keep_windows("tier 1 128", "sound", sound[0], 0)
    store.keep_windows("tier 1 128", "sound", sound[1], 1)
    store.keep_windows("PCA 64", "sound", sound[None], None)
    store.keep_windows("tier 1 128", "pictures", pictures, 0)
    for seed in (0, 1):
        found = store.windows("sound", seed)
        assert set(found) == {"tier 1 128", "PCA 64"}
        # Half precision: three digits.
        np.testing.assert_allclose(found["tier 1 128"], sound[seed], rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(found["PCA 64"], sound[None], rtol=1e-3, atol=1e-3)
        assert found["PCA 64"].dtype == np.float32
    shown = store.windows("pictures", 0)
    np.testing.assert_array_equal(shown["tier 1 128"], pictures)
    assert shown["tier 1 128"].dtype == np.uint8
    assert store.windows("pictures", 1) == {}


def test_windows_kept_again_replace_the_old_ones(store):
    for value in (1.0, 2.0):
        store.keep_windows("mean", "sound", np.full((2, 3, 4), value, np.float32), None)
    assert store.windows("sound", 0)["mean"].max() == 2.0
    assert len(list((store.folder / "reconstructions").iterdir())) == 1


def test_histories_are_told_apart_by_their_training(store):
    for name, value in (("tier1_seed0_bold", 1.0), ("tier1_seed1_bold", 2.0), ("mean_seed0", 3.0)):
        row = {"epoch": 0, "part": "train", "name": "loss", "value": value}
        store.keep_history(name, pd.DataFrame([row]))
    history = store.history("tier1")
    assert history.set_index("training")["value"].to_dict() == {
        "tier1_seed0_bold": 1.0,
        "tier1_seed1_bold": 2.0,
    }
    assert len(store.history()) == 3
    with pytest.raises(SubtrError, match=r"no history of 'tier2'; train it first"):
        store.history("tier2")


def test_a_figure_is_kept_as_a_picture(store):
    figure, axis = plt.subplots()
    axis.plot([0, 1])
    file = store.keep_figure(figure, "preservation")
    plt.close(figure)
    assert file == store.folder / "figures" / "preservation.png"
    assert plt.imread(file).std() > 0
