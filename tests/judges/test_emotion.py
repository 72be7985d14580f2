"""An audio classifier is read from a folder; none is fetched."""

import numpy as np
import pytest

from subtr.judges import load_judge
from subtr.judges.judge import JudgeMissing

RATE_HZ = 16000


@pytest.fixture(scope="module")
def hiss():
    return 0.3 * np.random.default_rng(0).standard_normal(RATE_HZ // 2).astype(np.float32)


@pytest.fixture(scope="module")
def hum():
    return 0.3 * np.sin(np.arange(RATE_HZ // 2) / 20).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, hiss, hum):
    """A small random classifier, whose last bias is set so that hiss and hum differ."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    import torch

    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        conv_dim=(8, 8),
        conv_stride=(8, 8),
        conv_kernel=(16, 8),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        classifier_proj_size=8,
        id2label={0: "calm", 1: "angry"},
        label2id={"calm": 0, "angry": 1},
    )
    network = transformers.Wav2Vec2ForSequenceClassification(config).eval()
    place = tmp_path_factory.mktemp("classifier")
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=False)
    with torch.no_grad():
        anger = [network(torch.from_numpy(one)[None]).logits[0] for one in (hiss, hum)]
        leaning = [logits[1] - logits[0] for logits in anger]
        network.classifier.bias[1] -= (leaning[0] + leaning[1]) / 2
    network.save_pretrained(place)
    extractor.save_pretrained(place)
    return place


def test_labels_of_both_sounds_are_compared(folder, hiss, hum):
    judge = load_judge("emotion", model=str(folder))
    assert judge.compare(hiss, hiss, RATE_HZ) == {"emotion": 1.0}
    assert judge.compare(hum, hum, RATE_HZ) == {"emotion": 1.0}
    assert judge.compare(hiss, hum, RATE_HZ) == {"emotion": 0.0}


def test_without_a_model_it_is_not_measured():
    with pytest.raises(JudgeMissing, match=r"no model is named.*Give model="):
        load_judge("emotion")


def test_a_name_that_is_not_here_is_not_fetched(tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed")
    judge = load_judge("emotion", model=str(tmp_path))
    with pytest.raises(JudgeMissing, match="is no audio classifier on this machine"):
        judge.compare(np.zeros(1600), np.zeros(1600), RATE_HZ)
