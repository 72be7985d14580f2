"""Is unseen speech understood at so many floats, or bits, a TR?

"fitted" are systems whose vectors are fitted to what Whisper's `tiny.en` hears too, and
"tier1_heard" learned from it; whisper-base, with other weights, and Moonshine, of another family,
judge all alike. Bits: of the same number of bits, fewer exact numbers or more rough ones? 2048 bits
a TR are 128 numbers of half precision; each bit goes to the number of the vector whose rounding
error is largest.

Data: 100 utterances of a reader to learn from; 16 others, and three other readers, to judge by.
About 10 hours on two cores; `tables` and `sizes` take a part. Needs `make judges`.
Expected: the round trip above 0.8, averages below 0.2; fitted above plain below 512 floats; with 64
floats no word is understood, but more is heard than in averages.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from benchmarks.data import TR_S, folder_of, mono_sound, read_manifest, vocoder_before
from benchmarks.quantised import CLIP_OF_BITS, allotted_bits, told
from benchmarks.spoken import components, fit_to_what_is_heard, learned, linear_heard, spoken
from benchmarks.tables import Row, named
from subtr.decoders.hifi_gan import HifiGan, WeightsError
from subtr.experiments.judged import Pieces, judged_sounds
from subtr.experiments.results import sound_rows
from subtr.models.batches import window_batches
from subtr.models.linear import mean_baseline
from subtr.params import params_hash
from subtr.timeline import consecutive

TABLE = "intelligibility"
SEEDS = (0, 1, 2)
SIZES = (64, 128, 256, 512, 1024)
TABLES = ("intelligibility", "strangers", "heard", "heard_hifi_gan", "heard_bits")
# Sizes of the tables that not all sizes are measured for.
SIZES_OF = {"heard": (128, 256, 512), "heard_hifi_gan": (128, 512)}
# Bits a TR -> numbers a TR that may share them.
NUMBERS = {1024: 512, 2048: 512, 4096: 512}
JUDGES = ("whisper-base", "moonshine-tiny", "stoi")
READER, STRANGERS = "speech", "strangers"


def run(folder: Path, tables=TABLES, sizes=SIZES, bits=tuple(NUMBERS), seeds=SEEDS) -> list[Row]:
    """Rows of five tables; ``bits`` are of the last."""
    vocoder = vocoder_before(*JUDGES)
    heard, limits = speech_before_judges(vocoder)
    place, rows = folder / "trained", []
    parts = {
        "intelligibility": lambda size: rows_of(heard, limits, READER, size, seeds, place),
        "strangers": lambda size: rows_of(heard, limits, STRANGERS, size, seeds, place),
        "heard": lambda size: rows_of_heard(heard, limits, size, seeds, place),
    }
    if "heard_hifi_gan" in tables:
        try:
            by_hifi_gan = heard[0].spoken_by(HifiGan(vocoder.settings)), heard[1]
            parts["heard_hifi_gan"] = lambda size: rows_by_hifi_gan(by_hifi_gan, size, seeds, place)
        except WeightsError as error:
            print(f"HiFi-GAN is not measured: {error}")
    for table, of in parts.items():
        for size in sizes if table in tables else ():
            if size in SIZES_OF.get(table, sizes):
                rows += named(table, of(size))
    for n_bits in bits if "heard_bits" in tables else ():
        rows += named("heard_bits", rows_of_bits(heard, limits, n_bits, seeds, place))
    return rows


def speech_before_judges(vocoder):
    """A study of spoken groups with their texts; and group -> rows of its floor and ceiling.

    The text of strangers is what the judge hears in the recording. The ceiling is the vocoder's
    round trip, the floor is averaging.
    """
    utterances = read_manifest(folder_of("speech/hifi_6097"))
    sounds = [mono_sound(one.file, vocoder.rate_hz) for one in utterances]
    files = sorted(folder_of("speech/librispeech").glob("*.ogg"))
    strangers = [mono_sound(file, vocoder.rate_hz) for file in files]
    groups = {READER: sounds[-16:], STRANGERS: strangers}
    texts = {READER: [one.text for one in utterances[-16:]], STRANGERS: None}
    speech = spoken(sounds[:100], groups, vocoder)

    @lru_cache
    def limits(group):
        original = speech.original(group)
        windows = {"round trip": original, "mean": mean_baseline(original)}
        return judged(speech, group, windows, texts[group])

    return (speech, texts), limits


def judged(speech, group, windows, texts, of=None):
    """Rows of windows as judges hear them; ``of``: columns of each."""
    sounds = {name: speech.utterances(group, found) for name, found in windows.items()}
    sounds = {"original": speech.sounds[group]} | sounds
    pieces = Pieces(sounds, speech.vocoder.rate_hz, texts, of or {})
    return judged_sounds(pieces, JUDGES, study=group)


def bounded(rows, limits):
    """Sets floor and ceiling of rows from those of averaging and the round trip; gives these."""
    ends = {(row["system"], row["metric"]): row["value"] for row in limits}
    for row in rows:
        row["floor"] = ends.get(("mean", row["metric"]))
        row["ceiling"] = ends.get(("round trip", row["metric"]))
    return ends


def rows_of(heard, limits, group, n_floats, seeds, folder) -> list[Row]:
    """Rows of PCA and of tier 1, each seed, between averaging and the round trip.

    Either as it is, and fitted to what is heard.
    """
    speech, texts = heard
    original = speech.original(group)
    pca = components(speech, n_floats)
    windows = {"PCA": pca.reconstruct(original), "PCA fitted": linear_heard(pca, speech, group)}
    of = {name: {"system": name, "seed": 0, "floats_per_tr": n_floats} for name in windows}
    heard_fit = fit_to_what_is_heard()
    for seed in seeds:
        model, params = learned(speech, n_floats, seed, folder)
        for system, fit in (("tier1", params.vector_fit), ("tier1 fitted", heard_fit)):
            found = model.reconstruct(speech.trs[group], speech.study, fit)
            name = f"{system} {seed}"
            windows[name] = found.numpy()
            labels = {"system": system, "seed": seed, "params_hash": params_hash(params)}
            of[name] = {"floats_per_tr": n_floats} | labels
    rows = judged(speech, group, windows, texts[group], of)
    bounded(rows, limits(group))
    for name, labels in of.items():
        rows += sound_rows(original, windows[name], TR_S, study=group, **labels)
    return rows + [{"seed": 0} | row for row in limits(group)]


def rows_of_heard(heard, limits, n_floats, seeds, folder) -> list[Row]:
    """Rows of what learned from what Whisper's `tiny.en` hears, before other recognisers."""
    speech, texts = heard
    windows, of = {}, {}
    for seed in seeds:
        model, params = learned(speech, n_floats, seed, folder, "tier1_heard")
        found = model.reconstruct(speech.trs[READER], speech.study, params.vector_fit)
        name = f"tier1_heard {seed}"
        windows[name] = found.numpy()
        of[name] = {"system": "tier1_heard", "seed": seed, "floats_per_tr": n_floats}
        of[name]["params_hash"] = params_hash(params)
    rows = judged(speech, READER, windows, texts[READER], of)
    bounded(rows, limits(READER))
    for name, labels in of.items():
        rows += sound_rows(speech.original(READER), windows[name], TR_S, study=READER, **labels)
    return rows


def rows_by_hifi_gan(heard, n_floats, seeds, folder) -> list[Row]:
    """Rows of vectors fitted to what is heard, made audible by HiFi-GAN, which learned speech."""
    speech, texts = heard
    original, fit = speech.original(READER), fit_to_what_is_heard()
    pca = components(speech, n_floats)
    windows = {"round trip": original, "mean": mean_baseline(original)}
    windows["PCA fitted"] = linear_heard(pca, speech, READER)
    of = {"PCA fitted": {"system": "PCA fitted", "seed": 0, "floats_per_tr": n_floats}}
    for system, name in (("tier1", "tier1 fitted"), ("tier1_heard", "tier1_heard")):
        for seed in seeds:
            model, params = learned(speech, n_floats, seed, folder, system)
            found = model.reconstruct(speech.trs[READER], speech.study, fit)
            windows[f"{name} {seed}"] = found.numpy()
            labels = {"system": name, "seed": seed, "params_hash": params_hash(params)}
            of[f"{name} {seed}"] = {"floats_per_tr": n_floats} | labels
    rows = [{"seed": 0} | row for row in judged(speech, READER, windows, texts[READER], of)]
    bounded(rows, rows)
    return rows


@torch.no_grad()
def rounding(model, speech, bits_per_tr):
    """Vectors -> what is left of them, by the spread that they have in training."""
    stretches = consecutive(speech.split.train, speech.study.run_of_tr)
    tr_s = speech.study.clock.tr_s
    known = torch.cat(
        [
            model.model.stream(batch["frames"], tr_s).flatten(0, 1)
            for batch in window_batches(model.frames, stretches)
        ]
    ).numpy()
    centre, spread = known.mean(0), known.std(0)
    bits = allotted_bits(spread, bits_per_tr)
    clips = np.take(CLIP_OF_BITS, bits)

    def carried(vectors):
        numbers = told((vectors.numpy() - centre) / spread, bits, clips)
        return torch.from_numpy((numbers * spread + centre).astype(np.float32))

    return carried


def rounded_pca(speech, n_floats, bits_per_tr):
    """The reader's TRs from as many components that share as many bits."""
    pca = components(speech, n_floats)
    original = speech.original(READER)
    bits = allotted_bits(pca.deviations, bits_per_tr)
    numbers = told(pca.encode(original) / pca.deviations, bits, np.take(CLIP_OF_BITS, bits))
    flat = pca.mean + (numbers * pca.deviations) @ pca.components
    return flat.reshape(original.shape).astype(np.float32)


def rows_of_bits(heard, limits, bits_per_tr, seeds, folder) -> list[Row]:
    """Rows of tier 1 and of PCA, whose numbers share so many bits."""
    speech, texts = heard
    n_floats, windows, of = NUMBERS[bits_per_tr], {}, {}
    for seed in seeds:
        model, params = learned(speech, n_floats, seed, folder)
        carried = rounding(model, speech, bits_per_tr)
        found = model.reconstruct(speech.trs[READER], speech.study, params.vector_fit, carried)
        windows[f"rounded {seed}"] = found.numpy()
        system = f"tier1, {bits_per_tr} bits"
        of[f"rounded {seed}"] = {"system": system, "seed": seed, "floats_per_tr": n_floats}
    windows["PCA"] = rounded_pca(speech, n_floats, bits_per_tr)
    of["PCA"] = {"system": f"PCA, {bits_per_tr} bits", "seed": 0, "floats_per_tr": n_floats}
    rows = judged(speech, READER, windows, texts[READER], of)
    bounded(rows, limits(READER))
    return rows
