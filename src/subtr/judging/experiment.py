"""The reconstructions of a run before all judges that are at hand."""

import hashlib

import numpy as np
import pandas as pd

from subtr.experiment_data import ExperimentData
from subtr.judging.pictures import Films, judged_pictures
from subtr.judging.sounds import ORIGINAL, ROUND_TRIP, Pieces, judged_sounds
from subtr.params import git_hash, params_hash
from subtr.recording import recorded
from subtr.results import COLUMNS, read_table, write_results
from subtr.scoring import Row
from subtr.stimulus.media import resample
from subtr.timeline import consecutive

# Long enough for a sentence and for a tempo.
PIECE_S = 12.0
# On a side; of less, neither likeness nor an object can be told.
LEAST_PIXELS = 16


def judge_reconstructions(
    experiment: ExperimentData, seed: int = 0, most_s: float | int | None = None
) -> pd.DataFrame:
    """What judges say of the first test block; kept in the run's tables, and read from there.

    Sound is cut into pieces of 12 s, and made audible by the study's vocoder; what is said in a
    piece is what the judge hears in the recording. Of a study without a recording, only pictures
    are judged; of pictures below 16 pixels on a side, nothing is.

    Arguments
        seed: of the learned systems.
        most_s: seconds of the block that are judged; None for the study's ``judged_s``.
    """
    file = experiment.folder / "tables" / f"judged_seed{seed}.csv"
    labels = {"study": experiment.study.name, "seed": seed}
    most_s = experiment.params.judged_s if most_s is None else most_s
    if not most_s:
        return pd.DataFrame(columns=list(COLUMNS))
    shown = {part: experiment.reconstructions(part, seed) for part in ("sound", "pictures")}
    labels["params_hash"] = params_hash(experiment.params) + experiment.training_hash()
    labels["params_hash"] += f"_{_digest(shown)}_{most_s:g}s"
    if file.exists() and "-dirty" not in git_hash():
        kept = read_table(file)
        if set(kept["params_hash"]) == {labels["params_hash"]} and set(kept["git"]) == {git_hash()}:
            return kept
    trs = consecutive(experiment.reconstruction_trs, experiment.study.run_of_tr)[0]
    trs = trs[: max(2, int(most_s / experiment.study.clock.tr_s))]
    rows = _of_sound(experiment, shown["sound"], trs, labels)
    rows += _of_pictures(experiment, shown["pictures"], trs, labels)
    return read_table(write_results(file, rows))


def _digest(shown: dict[str, dict[str, np.ndarray]]) -> str:
    """Of all that judges are shown, so that another training is judged anew."""
    found = hashlib.blake2b(digest_size=6)
    for part, windows in shown.items():
        for name, of in windows.items():
            found.update(f"{part} {name}".encode())
            found.update(np.ascontiguousarray(of))
    return found.hexdigest()


def _of_sound(
    experiment: ExperimentData, windows: dict[str, np.ndarray], trs: np.ndarray, labels: Row
) -> list[Row]:
    study = experiment.study
    sound, rate_hz = recorded(study, trs)
    if not windows or sound is None:
        return []
    vocoder = experiment.vocoder.vocoder
    sounds = {ROUND_TRIP if name == ORIGINAL else name: of for name, of in windows.items()}
    sounds = {name: vocoder(of[: len(trs)], study.clock) for name, of in sounds.items()}
    n_samples = min(map(len, sounds.values()))
    sounds[ORIGINAL] = _of_length(resample(sound, rate_hz, vocoder.rate_hz), n_samples)
    length = round(PIECE_S * vocoder.rate_hz)
    n_pieces = max(1, n_samples // length)
    ends = np.arange(1, n_pieces) * length
    pieces = {name: np.split(of[: n_pieces * length], ends) for name, of in sounds.items()}
    named = Pieces(pieces, vocoder.rate_hz, labels=_columns(pieces))
    return judged_sounds(named, **labels)


def _of_pictures(
    experiment: ExperimentData, shown: dict[str, np.ndarray], trs: np.ndarray, labels: Row
) -> list[Row]:
    study = experiment.study
    if not shown or min(shown[ORIGINAL].shape[2:4]) < LEAST_PIXELS:
        return []
    shown = {name: np.asarray(film[: len(trs)]) for name, film in shown.items()}
    of_trs = known = None
    if study.labels is not None:
        train = experiment.reconstruction_splits[0].train
        of_trs = study.labels.iloc[trs]
        known = np.asarray(study.pictures)[train], study.labels.iloc[train]
    films = Films(shown, study.clock.tr_s, of_trs, known, _columns(shown))
    return judged_pictures(films, **labels)


def _columns(names) -> dict[str, Row]:
    """System and size of a name such as "tier1 128"."""
    columns = {}
    for name in names:
        system, _, size = name.rpartition(" ")
        columns[name] = {"system": system, "floats_per_tr": int(size)} if size.isdigit() else {}
    return columns


def _of_length(sound: np.ndarray, n_samples: int) -> np.ndarray:
    return np.pad(sound, (0, max(0, n_samples - len(sound))))[:n_samples]
