"""What do another decoder and each further loss do to real speech at 128 floats a TR?

Data: one reader, as in `speech`. About 45 minutes on two cores; words only where Whisper is there.
All are tier 1 as in params/smoke, trained alike, so that rows differ by what they name alone.
Expected: a loss is worth having only if it costs little of what the squared error keeps.
"""

from pathlib import Path

import numpy as np
import soundfile

from benchmarks.data import folder_of, read_manifest, reader_study
from benchmarks.speech import SEEDS, gains, trained
from benchmarks.tables import Row
from subtr.decoders.griffin_lim import GriffinLim
from subtr.experiments.data import SystemParams
from subtr.judges import load_judge
from subtr.judges.judge import JudgeMissing
from subtr.models.linear import mean_baseline
from subtr.params import load_params, params_folder, validate

TABLE = "sound_losses"
N_FLOATS = 128
PLAIN = "tier1, squared error"
CHANGES = {
    PLAIN: {},
    "tier1, multi_receptive": {"decoder": {"name": "multi_receptive"}},
    "tier1, within_tr": {"loss": {"within_tr": 1.0}},
    "tier1, spectral": {"loss": {"spectral": 0.03}},
    "tier1, coherence": {"loss": {"coherence": 1.0}},
    "tier1, adversarial": {"loss": {"adversarial": 0.003}},
}


def run(folder: Path, systems=tuple(CHANGES), seeds=SEEDS) -> list[Row]:
    """Rows of each change, its gain over the squared error, and the words that are recognised."""
    speech = reader_study()
    study, split = speech
    original = study.mel[split.test]
    found_of, rows = {}, []
    for system in dict.fromkeys((PLAIN, *systems)):
        params = params_of(system)
        found_of[system], its = trained(speech, params, N_FLOATS, system, seeds, folder / "trained")
        rows += its
        if system != PLAIN:
            named = {"system": system, "floats_per_tr": N_FLOATS}
            named |= {"metric": "gain over the squared error"}
            rows += gains(original, found_of[system], found_of[PLAIN], seeds, **named)
    return rows + word_rows(study, original, found_of, seeds)


def params_of(system):
    smoke = load_params(SystemParams, params_folder("smoke") / "system_tier1.yaml")
    sound = smoke.sound.model_dump(exclude_none=True)
    # Fitting vectors to the squared error would undo what other losses have taught.
    sound |= {"floats_per_tr": [N_FLOATS], "fit_steps": 0}
    sound["training"] |= {"max_epochs": 12, "check_every_epochs": 4}
    return validate(SystemParams, {"sound": sound | CHANGES[system]}, system).sound


def word_rows(study, original, found_of, seeds) -> list[Row]:
    """How many words of the utterances are recognised; nothing where there is no judge.

    The last utterance is left out: the last part of a TR is not there.
    """
    try:
        judge = load_judge("whisper-tiny.en")
    except JudgeMissing as error:
        print(f"Speech recognition is not measured: {error}")
        return []
    utterances = read_manifest(folder_of("speech/hifi_6097"))[-16:]
    vocoder = GriffinLim(study.mel_settings)
    lengths_s = [soundfile.info(of.file).duration for of in utterances]
    ends = np.rint(np.cumsum(lengths_s)[:-1] * vocoder.rate_hz).astype(int)
    texts = [of.text for of in utterances[:-1]]

    def heard(log_mel):
        sounds = np.split(vocoder(log_mel, study.clock), ends)[:-1]
        return judge.errors(texts, sounds, vocoder.rate_hz).accuracy()

    of = {"study": "speech", "floats_per_tr": N_FLOATS, "modality": "sound"}
    of |= {"metric": "ASR accuracy"}
    of |= {"floor": heard(mean_baseline(original)), "ceiling": heard(original)}
    return [
        of | {"system": system, "seed": seed, "value": heard(found)}
        for system, of_seed in found_of.items()
        for seed, found in zip(seeds, of_seed, strict=True)
    ]
