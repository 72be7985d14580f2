"""Pictures of the generated film: what each further loss does to them, and by whose measure.

One system, trained alike but for its loss, so that rows differ by what they name alone. It begins
as block PCA of as many floats, see `test_motion`, and learns to redraw what these leave of a TR.
"""

import numpy as np
import pandas as pd
import pytest
from einops import rearrange
from verify.test_motion import (
    BLOCK,
    GENERATED_S,
    LEARNED,
    N_BLOCKS,
    SEEDS,
    TR_S,
    as_pictures,
    as_tensor,
)
from verify.test_motion import film_of as film_of
from verify.test_video_judges import share

from subtr.autoencoder_params import PictureParams
from subtr.baselines import BlockPCARival
from subtr.blocks import Blocks
from subtr.datasets.generated_tracks import generated_tracks
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
from subtr.reconstruction import reconstruct_pictures
from subtr.scoring import block_trs
from subtr.study import Fold

N_FLOATS = 60 * N_BLOCKS
PLAIN = "squared error"
# Each about as large as the squared error at the end of training.
LOSSES = {
    PLAIN: {},
    "gradient": {"gradient": 0.1},
    "flow": {"flow": 0.1},
    "flow, weight 1": {"flow": 1.0},
    "perceptual": {"perceptual": 0.01},
    "flow, weight 1, and perceptual": {"flow": 1.0, "perceptual": 0.01},
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
def judges():
    try:
        return load_judge("lpips"), load_judge("tracking")
    except JudgeMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def measures(film, judges):
    """Pictures of the test time -> metric -> its value of given TRs.

    Of LPIPS and the end-point error, less is better.
    """
    study, split = film
    original, (lpips, tracking) = study.pictures[split.test], judges
    n_trs, n_each, height, width = original.shape[:4]
    assert split.test[0] == 0  # pictures then have the numbers that they have in the film
    known = generated_tracks(study.clock.with_frames(n_each), GENERATED_S, 0, width, height)
    tracks = [of for of in known if of.first + len(of.boxes) <= n_trs * n_each]

    def of(found):
        motion, correlations = motion_sums(original, found), frame_correlations(original, found)
        perceived = lpips.per_tr(original, found)["lpips"]
        followed = tracking.follow(rearrange(found, "t p h w c -> (t p) h w c"), tracks)
        return {
            "temporal preservation": preservation_sums(original, found).score,
            "frame correlation": lambda trs: mean_known(correlations[trs]),
            "motion coherence": motion.coherence,
            "motion end-point error": motion.end_point_error,
            "LPIPS": lambda trs: mean_known(perceived[trs]),
            "tracking success": share(followed.per_tr(n_trs, n_each)),
        }

    return of


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


def test_what_each_loss_does_to_pictures(film, measures, scored_of, verify_folder):
    study, split = film
    n_trs = len(split.test)
    labels = {"study": "generated", "floats_per_tr": N_FLOATS, "modality": "pictures"}
    frames = as_tensor(study.pictures)
    blocks = Blocks(frames.shape[1], 3, *frames.shape[3:], *BLOCK)
    rival = BlockPCARival(blocks, N_FLOATS)
    rival.fit(frames, consecutive(split.train, study.run_of_tr))
    known = {
        "original": study.pictures[split.test],
        "mean": as_pictures(frames[split.test].mean(1, keepdim=True).expand_as(frames[split.test])),
        "block PCA": as_pictures(rival.reconstruct(frames[split.test])),
    }
    table, ends = [], {}
    for name, found in known.items():
        its = rows(measures(found), n_trs, **labels | {"system": name, "seed": 0})
        ends[name] = {row["metric"]: row["value"] for row in its}
        table += its
    for seed in SEEDS:
        score_of = {}
        for name, loss in LOSSES.items():
            params = validate(PictureParams, SYSTEM | {"loss": loss}, name)
            place = f"picture_loss_{params_hash(params)}_{seed}"
            said = f"generated film, {name}, seed {seed}"
            found, history = reconstruct_pictures(
                Fold(
                    study,
                    split,
                    params.of_size(N_FLOATS),
                    verify_folder / "trained" / place,
                    seed,
                    said,
                )
            )
            score_of[name] = measures(found)
            of = labels | {"system": name, "seed": seed, "params_hash": params_hash(params)}
            its = rows(score_of[name], n_trs, **of)
            for row in its:
                row |= {"floor": ends["mean"][row["metric"]]}
                row |= {"ceiling": ends["original"][row["metric"]]}
            spent = {"metric": "training time_s", "value": history.attrs["training time_s"]}
            table += [*its, of | spent]
            if name != PLAIN:
                gained = gains(score_of[name], score_of[PLAIN])
                table += rows(gained, n_trs, "gain in {}".format, **of)
            print(said, {row["metric"]: round(row["value"], 4) for row in its})
            scored_of("picture_losses", table)
    gained = pd.DataFrame(table).groupby(["system", "metric"])[["low", "high"]].mean()
    # Each does what it is for, at hardly a cost of what the squared error keeps.
    assert gained.loc[("flow", "gain in motion end-point error"), "high"] < 0
    assert gained.loc[("perceptual", "gain in LPIPS"), "high"] < 0
    assert gained.loc[("flow", "gain in temporal preservation"), "low"] > -0.01
