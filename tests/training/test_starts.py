"""What an autoencoder of blocks is before it learns, and what it is refused to start from."""

import numpy as np
import pytest
import torch

from subtr.aggregators import AGGREGATORS
from subtr.datasets.study import Fold, Study
from subtr.models.linear import BlockPCABaseline
from subtr.params import SettingsError, validate
from subtr.stimulus.pictures import Blocks
from subtr.timeline import Clock, consecutive
from subtr.training.autoencoders import reconstruct_pictures
from subtr.training.systems import AutoencoderParams

N_FLOATS = 10  # of 2 x 2 blocks: three of two, two of the others


def study(changed=()):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (60, 4, 6, 8, 3)).astype(np.uint8)
    pictures[list(changed)] = 7
    return Study("noise", Clock(1.5, 60), pictures=pictures)


def settings(block=(3, 4), **changes):
    return {
        "stream": {
            "encoder": {"name": "s3d", "channels": [4], "hidden_dim": 4},
            "aggregator": {"name": "blocks", "channels": 3, "height": 6, "block": list(block)},
            "keep_input": True,
        },
        "decoder": {"name": "block_pictures", "block": [3, 4], "hidden_dim": 4, "depth": 1},
        "start": "blocks",
        "batches_per_epoch": 2,
        "batch_size": 4,
        # A rate of next to nothing leaves the start as it is.
        "training": {"max_epochs": 1, "learning_rate": 1e-9},
    } | changes


def drawn(folder, given=None, **changes):
    given = study() if given is None else given
    params = validate(AutoencoderParams, settings(**changes), "system.yaml")
    split = given.splits(3, 6.0)[1]
    return reconstruct_pictures(Fold(given, split, params.of_size(N_FLOATS), folder, 0, "toy"))[0]


def test_it_is_block_pca_before_it_learns(tmp_path):
    given = study()
    split = given.splits(3, 6.0)[1]
    frames = torch.from_numpy(given.pictures).permute(0, 1, 4, 2, 3).float() / 255
    baseline = BlockPCABaseline(Blocks(4, 3, 6, 8, 3, 4), N_FLOATS)
    baseline.fit(frames, consecutive(split.train, given.run_of_tr))
    expected = baseline.reconstruct(frames[split.test]).clamp(0, 1).permute(0, 1, 3, 4, 2) * 255
    np.testing.assert_allclose(drawn(tmp_path), expected, atol=0.51 + 0.01)


def test_nothing_of_the_test_time_reaches_the_model(tmp_path):
    test = study().splits(3, 6.0)[1].test
    learning = {"training": {"max_epochs": 2}}
    honest = drawn(tmp_path / "honest", **learning)
    again = drawn(tmp_path / "again", study(test[3:]), **learning)
    np.testing.assert_array_equal(honest[:3], again[:3])
    assert (honest[3:] != again[3:]).any()


def test_aggregator_and_decoder_must_cut_alike(tmp_path):
    with pytest.raises(SettingsError, match="give both the same block"):
        drawn(tmp_path, block=(2, 4))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decoder": {"name": "linear_pictures"}}, "picture decoder block_pictures, not"),
        ({"decoder": {"name": "linear"}}, "picture decoder block_pictures, not"),
        ({"stream": {"aggregator": {"name": "linear"}}}, "aggregator blocks, not 'linear'"),
        ({"stream": {"aggregator": {"name": "blocks"}}}, r"keep_input = false: expected true"),
        ({"balance": True}, "balance = true: expected false with start = 'blocks'"),
    ],
)
def test_what_cannot_start_at_blocks_is_refused_when_the_file_is_read(changes, message):
    with pytest.raises(SettingsError, match=message):
        validate(AutoencoderParams, settings(**changes), "system.yaml")


def test_components_of_something_else_than_the_finest_level_are_refused():
    aggregator = AGGREGATORS.parts["linear"]([6], [4], 2)
    with pytest.raises(SettingsError, match=r"of 20 values, .* has 24; set .*keep_input"):
        aggregator.start_from(torch.zeros(2, 20), torch.zeros(2))
