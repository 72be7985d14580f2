"""Are speakers whom a system never learned from still told apart?

Data: a reader to learn from; six others who say digits, enrolled by takes 0 to 4 and judged by 5
to 9. About an hour on two cores, when `words` trained the same systems before. Needs `make judges`.
Expected: recordings above 0.9, averages below the round trip.
"""

from pathlib import Path

import numpy as np

from benchmarks.data import folder_of, mono_sound, read_manifest, vocoder_before
from benchmarks.spoken import components, learned, spoken
from benchmarks.tables import Row
from subtr.judges import load_judge
from subtr.metrics.inference import block_bootstrap
from subtr.models.linear import mean_baseline

SEEDS = (0, 1, 2)
# Takes of each digit by which speakers are enrolled; the others are judged.
ENROLLED, JUDGED = range(5), range(5, 10)
SPEAKER = "speaker identified"


def run(folder: Path, sizes=(64, 128, 256, 512, 1024), seeds=SEEDS) -> list[Row]:
    """Rows of recordings, round trip, averaging, PCA and tier 1: the share that is told right."""
    known, speech = strangers()
    rows = []
    for n_floats in sizes:
        rows += rows_of(known, speech, n_floats, seeds, folder / "trained")
    return rows


def strangers():
    """Known voices, and a study of one reader to learn from and six others who say digits.

    An utterance is five digits of a take, one after the other.
    """
    vocoder = vocoder_before("speakers")
    folder = folder_of("speech/fsdd") / "recordings"
    names = sorted({file.stem.split("_")[1] for file in folder.glob("*.wav")})

    def utterances(name, takes):
        files = [
            [folder / f"{digit}_{name}_{take}.wav" for digit in five]
            for take in takes
            for five in (range(5), range(5, 10))
        ]
        return [np.concatenate([mono_sound(file, vocoder.rate_hz) for file in of]) for of in files]

    enrolled = {name: utterances(name, ENROLLED) for name in names}
    known = load_judge("speakers").enrol(enrolled, vocoder.rate_hz)
    reader = read_manifest(folder_of("speech/hifi_6097"))[:100]
    train = [mono_sound(one.file, vocoder.rate_hz) for one in reader]
    return known, spoken(train, {name: utterances(name, JUDGED) for name in names}, vocoder)


def rows_of(known, speech, n_floats, seeds, folder) -> list[Row]:
    pca = components(speech, n_floats)
    trained = [learned(speech, n_floats, seed, folder) for seed in seeds]
    right = {}
    for name, sounds in speech.sounds.items():
        original = speech.original(name)
        windows = {("round trip", 0): original, ("mean", 0): mean_baseline(original)}
        windows["PCA", 0] = pca.reconstruct(original)
        for seed, (model, params) in zip(seeds, trained, strict=True):
            found = model.reconstruct(speech.trs[name], speech.study, params.vector_fit)
            windows["tier1", seed] = found.numpy()
        heard = {key: speech.utterances(name, found) for key, found in windows.items()}
        for key, of in ({("recording", 0): sounds} | heard).items():
            told = np.array(known.identify(of, speech.vocoder.rate_hz)) == name
            right.setdefault(key, []).append(told.mean())
    rows = [row_of(*key, np.array(of), n_floats) for key, of in right.items()]
    ceiling = np.mean(right["round trip", 0])
    limits = {"floor": 1 / len(known.names), "ceiling": ceiling}
    return [row | limits for row in rows]


def row_of(system, seed, of_speakers, n_floats):
    """Share of utterances; speakers are drawn again, each with all of their utterances."""
    low, high = block_bootstrap(lambda of: of_speakers[of].mean(), len(of_speakers), 1)
    row = {"study": "digits", "system": system, "seed": seed, "metric": SPEAKER}
    row |= {"modality": "sound", "value": of_speakers.mean(), "low": low, "high": high}
    return row | ({"floats_per_tr": n_floats} if system in ("PCA", "tier1") else {})
