"""Decoding within an experiment: what is kept, and what a notebook plays of it."""

import numpy as np
import pytest
from planted import low_rank_study
from planted_decoding import answering_study

from subtr.experiments.data import StudyParams
from subtr.experiments.decoding import COMPONENTS, can_decode, decode_system, kept_rows, lesions
from subtr.experiments.experiment import Experiment
from subtr.experiments.results import read_table
from subtr.params import SettingsError
from subtr.viewing.notebook import players

SYSTEM = """
sound:
  stream: {encoder: {name: linear, hidden_dim: 8}, aggregator: {name: linear}}
  floats_per_tr: [6]
  training: {max_epochs: 2}
"""


@pytest.fixture
def experiment(tmp_path):
    (tmp_path / "system_small.yaml").write_text(SYSTEM)
    study, _ = answering_study()
    params = StudyParams(n_folds=2, gap_s=24.0, pca_floats=(4,), drift_order=0)
    return Experiment(study, params, tmp_path / "run", tmp_path)


def test_components_and_a_trained_system_are_decoded_and_kept(experiment):
    assert can_decode(experiment, "small") == ["sound"]
    for system, n_floats in ((COMPONENTS, 4), ("small", 6)):
        found = decode_system(experiment, system)
        assert set(found.rows["floats_per_tr"]) == {n_floats}
        np.testing.assert_array_equal(found.decoded.trs, experiment.reconstruction_trs)
        kept = read_table(experiment.folder / "decoding" / f"{system}_sound_seed0.csv")
        assert kept["value"].tolist() == found.rows["value"].tolist()
    with pytest.raises(SettingsError, match="has no pictures"):
        decode_system(experiment, "small", "pictures")


def test_players_hold_the_original_the_ceiling_bold_and_the_lesion_that_costs_most(experiment):
    found = decode_system(experiment, COMPONENTS)
    lesioned, rows = lesions(found.fitted, experiment.study, system=COMPONENTS)
    rows = kept_rows(experiment, "lesions", 0, rows)
    lost = rows[rows["metric"].str.endswith("lost without")].set_index("group")["value"]
    gallery = players(experiment.study, {"sound": found.decoded}, lesioned, rows)
    region = lost.idxmax()
    assert list(gallery.mels) == [
        "original", "true vectors", "from BOLD", f"from BOLD, without {region}"
    ]  # fmt: skip
    assert region != "noise"
    np.testing.assert_array_equal(gallery.mels["from BOLD"], found.decoded.from_bold)


def test_what_lacks_bold_or_time_has_nothing_to_decode(tmp_path):
    (tmp_path / "system_small.yaml").write_text(SYSTEM)
    params = StudyParams(n_folds=2, gap_s=6.0)
    silent = Experiment(low_rank_study(), params, tmp_path / "run", tmp_path)
    assert can_decode(silent, "small") == []
    with pytest.raises(SettingsError, match="no BOLD to decode"):
        decode_system(silent, "small")
    short = Experiment(answering_study(n_trs=80)[0], params, tmp_path / "run", tmp_path)
    assert can_decode(short, "small") == []
