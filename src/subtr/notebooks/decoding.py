"""Players of what is decoded from BOLD."""

from collections.abc import Mapping

import pandas as pd

from subtr.datasets.study import Study
from subtr.decoders.vocoders import Chosen
from subtr.experiments.decoding import WHOLE, Decoded
from subtr.notebooks.showing import excerpt
from subtr.timeline import consecutive
from subtr.viewing.gallery import Gallery


def players(
    study: Study,
    decoded: Mapping[str, Decoded],
    lesioned: Mapping[str, Decoded] | None = None,
    scores: pd.DataFrame | None = None,
    vocoder: Chosen | None = None,
) -> Gallery:
    """The first test block: original, true vectors decoded, and decoded from BOLD.

    Arguments
        decoded: modality ("sound", "pictures") -> what was decoded.
        lesioned, scores: see `subtr.experiments.decoding.lesions`; of the lesions, the one that
            costs most is shown.
        vocoder: see `subtr.viewing.Gallery`.
    """
    shown: dict[str, dict] = {}
    for modality, of in decoded.items():
        trs = consecutive(of.trs[of.folds[0]], study.run_of_tr)[0]
        named = {"original": of.original, "true vectors": of.ceiling, "from BOLD": of.from_bold}
        for name, lesion in _worst(lesioned or {}, scores).items():
            if lesion.modality == modality:
                named[f"from BOLD, {name}"] = lesion.from_bold
        shown[modality] = {name: values[: len(trs)] for name, values in named.items()}
    return excerpt(study, trs, shown.get("sound"), shown.get("pictures"), vocoder)


def _worst(lesioned: Mapping[str, Decoded], scores: pd.DataFrame | None) -> dict[str, Decoded]:
    if scores is None or not len(scores):
        return {}
    lost = scores[scores["metric"].str.endswith("lost without")]
    name = f"without {lost.loc[lost['value'].idxmax(), 'group']}"
    return {name: lesioned[name]} if name in lesioned and name != WHOLE else {}
