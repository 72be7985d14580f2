"""Real speech at 128 floats a TR: what another decoder and each further loss do to it.

All are tier 1 as in params/smoke, trained alike, so that rows differ by what they name alone.
"""

import numpy as np
import pytest
import soundfile
from verify.test_speech import SEEDS, gains, speech, trained

from subtr.baselines import mean_rival
from subtr.datasets.recordings import read_manifest
from subtr.experiment_params import SystemParams
from subtr.judges import JudgeMissing, load_judge
from subtr.metrics import temporal_preservation
from subtr.params import load_params, params_folder, validate
from subtr.vocoders import GriffinLim

__all__ = ["speech"]

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

pytestmark = pytest.mark.verify


def params_of(system):
    smoke = load_params(SystemParams, params_folder("smoke") / "system_tier1.yaml")
    sound = smoke.sound.model_dump(exclude_none=True)
    # Fitting vectors to the squared error would undo what other losses have taught.
    sound |= {"floats_per_tr": [N_FLOATS], "fit_steps": 0}
    sound["training"] |= {"max_epochs": 12, "check_every_epochs": 4}
    return validate(SystemParams, {"sound": sound | CHANGES[system]}, system).sound


@pytest.fixture(scope="module")
def heard(data_dir, speech):
    """Log-mel of the test TRs -> how many words of the utterances are recognised, if they can be.

    The last utterance is left out: the last part of a TR is not there.
    """
    try:
        judge = load_judge("whisper-tiny.en")
    except JudgeMissing as error:
        print(f"Speech recognition is not measured: {error}")
        return lambda log_mel: None
    study, _ = speech
    utterances = read_manifest(data_dir / "speech" / "hifi_6097")[-16:]
    vocoder = GriffinLim(study.mel_settings)
    lengths_s = [soundfile.info(of.file).duration for of in utterances]
    ends = np.rint(np.cumsum(lengths_s)[:-1] * vocoder.rate_hz).astype(int)
    texts = [of.text for of in utterances[:-1]]

    def accuracy(log_mel):
        sounds = np.split(vocoder(log_mel, study.clock), ends)[:-1]
        return judge.errors(texts, sounds, vocoder.rate_hz).accuracy()

    return accuracy


def test_what_another_decoder_and_each_loss_do(speech, heard, scored_of, verify_folder):
    study, split = speech
    original = study.mel[split.test]
    found_of, rows = {}, []
    for system in CHANGES:
        folder = verify_folder / "trained"
        found_of[system], its = trained(speech, params_of(system), N_FLOATS, system, folder)
        rows += its
        if system != PLAIN:
            named = {"system": system, "floats_per_tr": N_FLOATS}
            named |= {"metric": "gain over the squared error"}
            rows += gains(original, found_of[system], found_of[PLAIN], **named)
    limits = {"floor": heard(mean_rival(original)), "ceiling": heard(original)}
    if limits["ceiling"] is not None:
        of = {"study": "speech", "floats_per_tr": N_FLOATS, "modality": "sound"}
        of |= {"metric": "ASR accuracy"} | limits
        rows += [
            of | {"system": system, "seed": seed, "value": heard(found)}
            for system, of_seed in found_of.items()
            for seed, found in zip(SEEDS, of_seed, strict=True)
        ]
    scored_of("sound_losses", rows)
    kept = {
        system: np.mean([temporal_preservation(original, one) for one in found])
        for system, found in found_of.items()
    }
    print(kept)
    # Each is worth having only if it costs little of what the squared error keeps.
    assert min(kept.values()) > kept[PLAIN] - 0.05
