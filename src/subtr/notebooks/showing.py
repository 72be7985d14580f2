"""Findings, figures and players of a notebook."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import Markdown, display
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure

from subtr.experiment import Experiment
from subtr.figures.stimulus import Trs, checked_trs
from subtr.items import consecutive
from subtr.result_tables import summary
from subtr.stimulus.media import probe, sound_spans
from subtr.study import Study
from subtr.viewing import Gallery
from subtr.vocoders import Chosen


def say(text: str) -> None:
    """Shows a finding as prose."""
    display(Markdown(text))


def show(experiment: Experiment, figure: Figure, name: str) -> None:
    """Shows a figure and keeps it in the run's figures folder."""
    experiment.store.keep_figure(figure, name)
    display(figure)


def quoted(rows: pd.DataFrame, modality: str, metric: str, system: str = "") -> str:
    """A score of the whole for a sentence: "tier1 (128 floats a TR) 0.61 [0.58, 0.63]".

    Arguments
        rows: tidy rows, see ``results.COLUMNS``.
        system: of this system only; of every one by default, parted by semicolons.
    """
    chosen = (rows["modality"] == modality) & (rows["metric"] == metric) & (rows["group"] == "")
    if system:
        chosen &= rows["system"] == system
    said = []
    for row in summary(rows[chosen]).to_dict("records"):
        floats = row["floats_per_tr"]
        size = "" if np.isnan(floats) else f" ({floats:g} floats a TR)"
        interval = "" if np.isnan(row["low"]) else f" [{row['low']:.2f}, {row['high']:.2f}]"
        said.append(f"{row['system']}{size} {row['value']:z.2f}{interval}")
    return "; ".join(said) or "not measured"


def histories(experiment: Experiment, system: str, seed: int) -> Mapping[str, pd.DataFrame]:
    """Name -> losses by epoch, of each training of a system with one seed."""
    history = experiment.store.history(f"{system}_")
    of_seed = history["training"].str.contains(rf"_seed{seed}(?:_|$)")
    return {str(name): part for name, part in history[of_seed].groupby("training")}


def excerpt(
    study: Study,
    trs: Trs,
    mels: Mapping[str, Float[np.ndarray, "_ _ _"]] | None = None,
    pictures: Mapping[str, UInt8[np.ndarray, "_ _ _ _ 3"]] | None = None,
    vocoder: Chosen | None = None,
) -> Gallery:
    """Players of some consecutive TRs, numbered from 0; with the recording where there is one.

    Arguments
        mels, pictures: name -> log-mel or pictures of these TRs alone.
        vocoder: see `Gallery`.
    """
    trs = checked_trs(trs, study.clock.n_trs)
    media, onset_s = study.stimulus_at(int(trs[0]))
    clock = replace(study.clock, onset_s=float(onset_s), n_trs=len(trs))
    recording, rate_hz = None, None
    if media is not None and mels:
        recording, rate_hz = _recording(media, onset_s, onset_s + clock.duration_s)
    shown = mels or {}, pictures or {}
    return Gallery(clock, study.mel_settings, *shown, recording, rate_hz, vocoder)


def reconstructed(experiment: Experiment, seed: int, systems: Sequence[str]) -> Gallery:
    """Players of the first test block as systems reconstruct it, the original first.

    Arguments
        systems: names without size, such as "PCA"; those that the run lacks are left out.
    """
    study = experiment.study
    trs = consecutive(experiment.reconstruction_trs, study.run_of_tr)[0]
    found = {}
    for modality in ("sound", "pictures"):
        windows = experiment.reconstructions(modality, seed)
        wanted = ["original", *systems]
        found[modality] = {
            name: values[: len(trs)]
            for system in wanted
            for name, values in windows.items()
            if name == system or name.rsplit(" ", 1)[0] == system
        }
    return excerpt(study, trs, found["sound"], found["pictures"], experiment.vocoder)


def _recording(media: Path, start_s: float, stop_s: float):
    """The sound of a stretch at its place in stimulus time, and its rate; None without sound."""
    rate_hz = probe(media).sound_rate_hz
    if rate_hz is None:
        return None, None
    first, last = max(0, round(start_s * rate_hz)), round(stop_s * rate_hz)
    # What comes before is never touched, so the system never spends memory on it.
    recording = np.zeros(last, np.float32)
    (recording[first:],) = sound_spans(media, rate_hz, [(first, last)])
    return recording, rate_hz
