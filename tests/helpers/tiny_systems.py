"""Parameters of every study and system that notebooks ask for, as small as they go."""

TINY = {
    "study_simulated": """
load:
  duration_s: 180
  frames_per_tr: 16
  n_subjects: 2
  parcels_per_class: 1
  mel: {n_mels: 24}
  pictures: {width: 16, height: 8, frames_per_tr: 4}
n_folds: 2
gap_s: 16
pca_floats: [8]
""",
    "system_averaging": """
sound:
  stream: {encoder: {name: linear, hidden_dim: 16}, aggregator: {name: mean}}
  decoder: {name: held}
  floats_per_tr: [8]
  batches_per_epoch: 2
  training: {max_epochs: 2}
bold:
  stream: {encoder: {name: linear, hidden_dim: 8}, aggregator: {name: mean}}
  readout: {vector_dim: 4}
  training: {max_epochs: 2}
""",
    "system_tier1": """
sound:
  stream:
    encoder: {name: multiscale, hidden_dim: 16}
    aggregator: {name: linear, hidden_dim: 8}
    keep_input: true
  start: pca
  floats_per_tr: [8]
  batches_per_epoch: 2
  training: {max_epochs: 2}
pictures:
  stream: {encoder: {name: frame2d}, aggregator: {name: conv}}
  decoder: {name: conv}
  floats_per_tr: [8]
  batches_per_epoch: 2
  training: {max_epochs: 2}
bold:
  stream: {encoder: {name: multiscale, hidden_dim: 8}, aggregator: {name: conv, hidden_dim: 8}}
  readout: {vector_dim: 4}
  training: {max_epochs: 2}
""",
    "system_hierarchical": """
sound:
  stream:
    encoder: {name: hierarchical, dims: [8, 8, 8], pool_frames: [4, 4]}
    aggregator: {name: linear, hidden_dim: 8}
    keep_input: true
  start: pca
  floats_per_tr: [8]
  batches_per_epoch: 2
  training: {max_epochs: 2}
bold:
  stream:
    encoder: {name: hierarchical, dims: [8, 8], pool_frames: [4]}
    aggregator: {name: kernels, n_kernels: 2}
  readout: {vector_dim: 4}
  training: {max_epochs: 2}
""",
    "system_transformer": """
sound:
  stream:
    encoder: {name: transformer, hidden_dim: 8, n_heads: 2, depth: 1, feedforward_dim: 8}
    aggregator: {name: attention}
  floats_per_tr: [8]
  batches_per_epoch: 2
  training: {max_epochs: 2}
bold:
  stream:
    encoder: {name: transformer, hidden_dim: 8, n_heads: 2, depth: 1, feedforward_dim: 8}
    aggregator: {name: attention}
    context_frames: 4
  readout: {vector_dim: 4}
  training: {max_epochs: 2}
""",
}
_SMALL = """
sound:
  stream: {encoder: {name: linear, hidden_dim: 4}, aggregator: {name: linear}}
  floats_per_tr: [8]
  batches_per_epoch: 2
  training: {max_epochs: 2}
"""
TINY["system_small"] = _SMALL
TINY["system_distilled"] = _SMALL + "  teacher: {teacher: combined}\n"
TINY["system_combined"] = (
    _SMALL.replace("hidden_dim: 4", "hidden_dim: 8")
    + "ablations:\n  encoder: {sound.stream.encoder: {name: linear, hidden_dim: 0}}\n"
)
for _name, _encoder in {
    "s3d": "name: s3d, channels: [4, 4], hidden_dim: 8",
    "slowfast": "name: slowfast, blocks: [1], slow_features: 4, hidden_dims: [4, 8]",
    "timesformer": "name: timesformer, dim: 8, depth: 1, feedforward_dim: 8, hidden_dim: 8",
    "two_stream": "name: two_stream, channels: [4], motion_channels: [4], hidden_dim: 8",
}.items():
    TINY[f"system_{_name}"] = f"""
pictures:
  stream: {{encoder: {{{_encoder}}}, aggregator: {{name: conv}}}}
  decoder: {{name: conv}}
  floats_per_tr: [8]
  batches_per_epoch: 2
  training: {{max_epochs: 2}}
"""
for _name, _positions in {"no_time": "none", "rotary": "rotary", "seconds": "absolute"}.items():
    TINY[f"system_attention_{_name}"] = f"""
bold:
  stream:
    encoder: {{name: transformer, hidden_dim: 8, depth: 1, positions: {_positions}}}
    aggregator: {{name: attention}}
  readout: {{vector_dim: 4}}
  training: {{max_epochs: 2}}
"""


TINY["identifiability"] = """
scan: {duration_s: 400, n_parcels: 2}
rates_hz: [0.05, 2.0]
vary: {tr_s: [4.0]}
seeds: [0, 1]
"""
