"""Speech models small enough to be built and saved by a test."""

import torch


def save_tiny(folder, kind="wav2vec2", seed=0, normalised=False, **changes):
    """Random weights in the form in which `transformers` keeps real ones; gives the folder."""
    import transformers

    config_of = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert"}[kind]
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "conv_dim": [8] * 7,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 2,
        # Each frame is then made from its own field alone, before attention.
        "feat_extract_norm": "layer",
        "do_stable_layer_norm": True,
        "conv_bias": True,
    }
    torch.manual_seed(seed)
    config = getattr(transformers, f"{config_of}Config")(**sizes | changes)
    transformers.utils.logging.disable_progress_bar()
    getattr(transformers, f"{config_of}Model")(config).eval().save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=normalised).save_pretrained(folder)
    return folder
