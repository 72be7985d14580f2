"""Parameters of an experiment that takes seconds, and how to write them."""

import yaml

LINEAR = {"encoder": {"name": "linear", "hidden_dim": 4}, "aggregator": {"name": "conv"}}
PICTURE_STREAM = {"encoder": {"name": "frame2d", "channels": [4], "hidden_dim": 8}}
SHORT = {"max_epochs": 2}
STUDY = {
    # Sound at 8000 Hz and few frames, as it is the bookkeeping that is tested here.
    "load": {
        "duration_s": 90,
        "n_subjects": 2,
        "frames_per_tr": 16,
        "mel": {"rate_hz": 8000, "n_mels": 12, "window_samples": 512, "fmax_hz": 4000},
        "pictures": {"width": 8, "height": 6, "frames_per_tr": 2},
    },
    "n_folds": 2,
    "gap_s": 6,
    "pca_floats": [4],
}
SYSTEM = {
    "sound": {"stream": LINEAR, "floats_per_tr": [3], "training": SHORT},
    "pictures": {"stream": PICTURE_STREAM, "decoder": {"name": "conv", "channels": [4]},
                 "floats_per_tr": [2], "training": SHORT},
    "bold": {"stream": LINEAR, "readout": {"vector_dim": 2, "response": "canonical"},
             "target": "subjects", "training": SHORT},
}  # fmt: skip


def write(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return str(folder)
