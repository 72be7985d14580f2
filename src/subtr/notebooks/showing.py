"""Findings, figures and players of a notebook."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from IPython.display import Markdown, display
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure

from subtr.datasets.study import Study
from subtr.decoders.vocoders import Chosen
from subtr.experiments.experiment import Experiment
from subtr.experiments.judged import recorded
from subtr.experiments.results import summary
from subtr.figures.stimulus import checked_trs
from subtr.timeline import Trs, consecutive
from subtr.viewing.gallery import Gallery


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
    _, onset_s = study.stimulus_at(int(trs[0]))
    clock = replace(study.clock, onset_s=float(onset_s), n_trs=len(trs))
    recording, rate_hz = recorded(study, trs) if mels else (None, None)
    if recording is not None:
        first = round(onset_s * rate_hz)
        before = np.zeros(max(first, 0), np.float32)
        recording = np.concatenate([before, recording[max(-first, 0) :]])
    shown = mels or {}, pictures or {}
    return Gallery(clock, study.mel_settings, *shown, recording, rate_hz, vocoder)


def reconstructed(experiment: Experiment, seed: int, systems: Sequence[str]) -> Gallery | None:
    """Players of the first test block as systems reconstruct it, the original first.

    None where the study has neither sound nor pictures, such as BOLD with annotations alone.

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
    if not any(found.values()):
        return None
    return excerpt(study, trs, found["sound"], found["pictures"], experiment.vocoder)
