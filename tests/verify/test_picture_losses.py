"""Pictures of the generated film: what each further loss does to them, and by whose measure.

One system, trained alike but for its loss, so that rows differ by what they name alone. It begins
as block PCA of as many floats, see `test_motion`, and learns to redraw what these leave of a TR.
"""

import numpy as np
import pytest
from verify.test_motion import BLOCK, LEARNED, N_BLOCKS, SEEDS, TR_S, as_pictures, as_tensor
from verify.test_motion import film_of as film_of

from subtr.autoencoder_params import PictureParams
from subtr.baselines import BlockPCARival
from subtr.blocks import Blocks
from subtr.items import consecutive
from subtr.judges import JudgeMissing, load_judge
from subtr.metrics import (
    block_bootstrap,
    frame_correlations,
    mean_known,
    motion_sums,
    preservation_sums,
)
from subtr.params import params_hash, validate
from subtr.reconstruction import AutoencoderTask, reconstruct_pictures
from subtr.scoring import block_trs

N_FLOATS = 60 * N_BLOCKS
PLAIN = "squared error"
# Each about as large as the squared error at the end of training.
LOSSES = {
    PLAIN: {},
    "gradient": {"gradient": 0.1},
    "flow": {"flow": 0.1},
    "perceptual": {"perceptual": 0.01},
}
SYSTEM = {
    "stream": {
        "encoder": LEARNED["S3D"],
        "aggregator": {"name": "blocks", "channels": 3, "height": 36, "block": list(BLOCK)},
        "keep_input": True,
    },
    "decoder": {"name": "block_pictures", "block": list(BLOCK)},
    "start": "blocks",
    "batch_size": 8,
    "batches_per_epoch": 20,
    "training": {"max_epochs": 12, "check_every_epochs": 2, "learning_rate": 1e-3},
}

pytestmark = pytest.mark.verify


@pytest.fixture(scope="module")
def film(film_of):
    return film_of("generated")


@pytest.fixture(scope="module")
def lpips():
    try:
        return load_judge("lpips")
    except JudgeMissing as error:
        pytest.skip(str(error))


def measures(original, found, lpips):
    """Metric -> its value of given TRs; of ``LPIPS`` and the end-point error, less is better."""
    motion, correlations = motion_sums(original, found), frame_correlations(original, found)
    perceived = lpips.per_tr(original, found)["lpips"]
    return {
        "temporal preservation": preservation_sums(original, found).score,
        "frame correlation": lambda trs: mean_known(correlations[trs]),
        "motion coherence": motion.coherence,
        "motion end-point error": motion.end_point_error,
        "LPIPS": lambda trs: mean_known(perceived[trs]),
    }


def rows(score_of, n_trs, metric_of="{}".format, **labels):
    """A row for each score of ``score_of``, with its interval."""
    made = []
    for metric, score in score_of.items():
        low, high = block_bootstrap(score, n_trs, block_trs(n_trs, TR_S), 500)
        row = {"metric": metric_of(metric), "value": score(np.arange(n_trs))}
        made.append(labels | row | {"low": low, "high": high})
    return made


def gains(score_of, plain_of):
    """What each score gains over the squared error's in the same TRs."""
    return {
        metric: lambda trs, score=score, plain=plain_of[metric]: score(trs) - plain(trs)
        for metric, score in score_of.items()
    }


def test_what_each_loss_does_to_pictures(film, lpips, scored_of, verify_folder):
    study, split = film
    original, n_trs = study.pictures[split.test], len(split.test)
    labels = {"study": "generated", "floats_per_tr": N_FLOATS, "modality": "pictures"}
    frames = as_tensor(study.pictures)
    blocks = Blocks(frames.shape[1], 3, *frames.shape[3:], *BLOCK)
    rival = BlockPCARival(blocks, N_FLOATS)
    rival.fit(frames, consecutive(split.train, study.run_of_tr))
    known = {
        "mean": as_pictures(frames[split.test].mean(1, keepdim=True).expand_as(frames[split.test])),
        "block PCA": as_pictures(rival.reconstruct(frames[split.test])),
    }
    table = []
    for name, found in known.items():
        of = labels | {"system": name, "seed": 0}
        table += rows(measures(original, found, lpips), n_trs, **of)
    for seed in SEEDS:
        score_of = {}
        for name, loss in LOSSES.items():
            params = validate(PictureParams, SYSTEM | {"loss": loss}, name)
            place = f"picture_loss_{name.replace(' ', '_')}_{seed}_{params_hash(params)}"
            said = f"generated film, {name}, seed {seed}"
            found, history = reconstruct_pictures(
                AutoencoderTask(
                    study, split, params, N_FLOATS, verify_folder / "trained" / place, seed, said
                )
            )
            score_of[name] = measures(original, found, lpips)
            of = labels | {"system": name, "seed": seed, "params_hash": params_hash(params)}
            its = rows(score_of[name], n_trs, **of)
            spent = {"metric": "training time_s", "value": history.attrs["training time_s"]}
            table += [*its, of | spent]
            if name != PLAIN:
                gained = gains(score_of[name], score_of[PLAIN])
                table += rows(gained, n_trs, "gain in {}".format, **of)
            print(said, {row["metric"]: round(row["value"], 4) for row in its})
            scored_of("picture_losses", table)
