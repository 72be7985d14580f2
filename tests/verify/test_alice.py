"""Real BOLD of a story: every rival and every aggregator, from the sound alone.

Twelve minutes are too few to learn an encoder from, so what aggregators do was learned on generated
film with simulated BOLD, and Alice pays for a ridge readout behind the canonical response. Two
systems that learn from Alice alone stand beside them.
"""

from functools import partial

import pytest
from verify.test_bold import gains_over
from verify.test_compared import SEEDS, stream_at
from verify.test_compared_bold import bold_folder, bold_params

from subtr.aggregators import AGGREGATORS
from subtr.bold_params import BoldParams
from subtr.bold_pattern_scoring import ceiling_rows
from subtr.bold_scoring import bold_rows, control_rows
from subtr.bold_training import fit_fold
from subtr.datasets import load_study
from subtr.experiment_params import SystemParams
from subtr.held_out_bold import held_out_bold
from subtr.metrics import shuffle_frames, standardise_by_fold
from subtr.params import load_params, params_folder, params_hash, validate
from subtr.prediction import predict_bold
from subtr.result_tables import summary
from subtr.results import read_results
from subtr.rivals import bold_rivals
from subtr.study import Fold, folds_of
from subtr.transferred import chosen_within, read_out, transferred_vectors

pytestmark = pytest.mark.verify

# The film that aggregators learn from has the story's TR and frames, as some take no other number.
TR_S, FRAMES_PER_TR = 2.0, 64
DRIFT_ORDER = 2
VECTOR_DIM = 64
CHOSEN = "chosen by nested blocks"
# Of all aggregators the first did best in figures/simulated_aggregators.csv, before any met the
# story; the second is that of tier 1, whose settings were chosen with the story in view.
BEST_ON_FILM, OF_TIER_1 = "multiscale", "kernels"
FEATURES = ("mean mel", "sound power", "onset flux", "word rate")
KINDS = ("ridge", "canonical ridge")
BESIDE = {f"{kind}, {feature}" for kind in KINDS for feature in FEATURES}
BESIDE |= {"ridge, word rate (supplied)", "mean"}


@pytest.fixture(scope="module")
def story(data_dir):
    study = load_study("alice", {"frames_per_tr": FRAMES_PER_TR})
    splits = study.splits(5)
    return study, splits, held_out_bold(study, splits, DRIFT_ORDER)


@pytest.fixture(scope="module")
def film():
    study = load_study("simulated", {"duration_s": 1200, "n_subjects": 4, "seed": 1, "tr_s": TR_S})
    return study, study.splits(4)[0]


def learned_on_film(film, story, aggregator, seed, verify_folder):
    """Vectors of the story for each split, in order and with the frames of each TR shuffled."""
    params = bold_params(
        stream_at("multiscale", {"name": aggregator}, context_frames=8)(32), aggregator, VECTOR_DIM
    )
    place = bold_folder(verify_folder / "alice_film", aggregator, params, seed) / "fold0"
    said = f"film, {aggregator}, {VECTOR_DIM} floats, seed {seed}, fold 0"
    fold = Fold(*film, params, place, seed, said, drift_order=DRIFT_ORDER)
    predictor = fit_fold(fold).predictor
    study, splits, _ = story
    vectors = partial(transferred_vectors, study, splits, predictor, params, FRAMES_PER_TR / TR_S)
    return vectors(), vectors(partial(shuffle_frames, seed=seed))


def scored(found, mixed, bold, system, seed, n_floats):
    labels = {"study": "alice", "system": system, "seed": seed, "floats_per_tr": n_floats}
    controls = {"mean": found} | ({} if mixed is None else {"frames shuffled": mixed})
    return bold_rows(found, bold, **labels) + control_rows(controls, bold, **labels)


def test_aggregators_and_rivals_on_the_story(story, film, scored_of, verify_folder):
    study, splits, bold = story
    rows, predictions = list(ceiling_rows(bold, study="alice", system="listeners")), {}
    for rival, n_floats, found in bold_rivals(folds_of(study, splits, drift_order=DRIFT_ORDER)):
        rows += scored(found, None, bold, rival, 0, n_floats)
        predictions[rival] = [standardise_by_fold(found, bold.tests)]
    candidates = {seed: {} for seed in SEEDS}
    for aggregator in AGGREGATORS.parts:
        of_seeds = []
        for seed in SEEDS:
            vectors, mixed = learned_on_film(film, story, aggregator, seed, verify_folder)
            candidates[seed][aggregator] = vectors
            found = read_out(study, splits, vectors, DRIFT_ORDER)
            without_order = read_out(study, splits, vectors, DRIFT_ORDER, mixed)
            rows += scored(found, without_order, bold, aggregator, seed, VECTOR_DIM)
            of_seeds.append(standardise_by_fold(found, bold.tests))
        predictions[aggregator] = of_seeds
    chosen = []
    for seed in SEEDS:
        found, names = chosen_within(study, splits, candidates[seed], DRIFT_ORDER)
        print(f"seed {seed}: chosen within the training TRs {names}")
        rows += scored(found, None, bold, CHOSEN, seed, VECTOR_DIM)
        chosen.append(standardise_by_fold(found, bold.tests))
    rivals = {name: of for name, of in predictions.items() if name in BESIDE}
    predictions[CHOSEN] = chosen
    for system in (CHOSEN, BEST_ON_FILM, OF_TIER_1):
        rows += gains_over(rivals, predictions[system], bold, "alice", system)
    file = scored_of("alice", rows)
    table = read_results(file.parent)
    r = summary(table[table["metric"] == "r"]).set_index(["system", "group"])["value"]
    usual = max(r[f"{kind}, {feature}", ""] for kind in KINDS for feature in FEATURES[:2])
    assert r[BEST_ON_FILM, ""] > usual


def test_what_the_story_alone_teaches(story, scored_of, verify_folder):
    """Tier 1 and its averaging twin, all of their weights from the story's BOLD."""
    study, splits, bold = story
    rows = []
    for system in ("averaging", "tier1"):
        params = load_params(SystemParams, params_folder("full") / f"system_{system}.yaml").bold
        settings = params.model_dump()
        settings["readout"] |= {"members": 1, "response": "canonical"}
        settings["training"] |= {"max_epochs": 30}
        params = validate(BoldParams, settings, system)
        for seed in SEEDS:
            place = verify_folder / "alice" / f"{system}_{seed}_{params_hash(params)}"
            said = f"alice, {system}, seed {seed},"
            found, _ = predict_bold(
                folds_of(
                    study, splits, place, said, params=params, seed=seed, drift_order=DRIFT_ORDER
                )
            )
            labels = {"study": "alice", "system": system, "seed": seed}
            labels["floats_per_tr"] = params.readout.vector_dim
            rows += bold_rows(found["mean"], bold, found["calibrated"], **labels)
            rows += control_rows(found, bold, **labels)
    file = scored_of("alice_learned", rows)
    table = read_results(file.parent)
    r = summary(table[table["metric"] == "r"]).set_index(["system", "group"])["value"]
    assert min(r["tier1", ""], r["averaging", ""]) > 0.1
