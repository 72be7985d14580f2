"""Films of seconds, and autoencoders so small that what they do is known."""

from pathlib import Path

import av
import numpy as np
import torch
from media_files import whole_sound

from subtr.decoders.vocoders import VocoderParams
from subtr.experiments.reconstruct import plan_film, reconstruct_film
from subtr.models.saved import AutoencoderSpec, SavedAutoencoder, StreamSpec
from subtr.models.stream import Part, StreamParams
from subtr.stimulus.mel import MelSettings
from subtr.stimulus.pictures import iter_pictures, write_film

RATE_HZ, PICTURE_HZ = 8000, 24
MEL = MelSettings(rate_hz=RATE_HZ, n_mels=12, window_samples=256, fmax_hz=4000)
SIZE = (6, 8)
QUICK = VocoderParams(name="griffin_lim", options={"n_iter": 4})


def film_of(path: Path, duration_s: float, event_s: float | None = None, **parts) -> Path:
    """Noise and changing pictures; or, with an event, black silence but for flash and tone."""
    rng = np.random.default_rng(0)
    n_samples, n_pictures = round(duration_s * RATE_HZ), round(duration_s * PICTURE_HZ)
    if event_s is None:
        sound = 0.1 * rng.standard_normal(n_samples)
        levels = rng.integers(0, 256, n_pictures)
    else:
        time_s = np.arange(n_samples) / RATE_HZ
        during = (time_s >= event_s) & (time_s < event_s + 0.4)
        sound = 0.5 * np.sin(2 * np.pi * 1000 * time_s) * during
        shown_s = np.arange(n_pictures) / PICTURE_HZ
        levels = 235 * ((shown_s >= event_s) & (shown_s < event_s + 0.4))
    pictures = (np.full((36, 64, 3), level, np.uint8) for level in levels)
    given = {"pictures": pictures, "sound": sound.astype(np.float32)} | parts
    return write_film(path, given["pictures"], PICTURE_HZ, given["sound"], RATE_HZ)


def model_file(folder: Path, modality: str, decoder: dict | None = None, **changes) -> Path:
    """A file of an autoencoder: one that gives back what it gets, or with a decoder, any other."""
    sound = modality == "sound"
    n_frames = changes.pop("frames_per_tr", 32 if sound else 4)
    in_dim = MEL.n_mels if sound else changes.pop("size", SIZE)
    n_values = n_frames * (in_dim if sound else 3 * in_dim[0] * in_dim[1])
    encoder = Part(name="linear", hidden_dim=0) if sound else Part(name="frame2d", channels=[2])
    params = StreamParams(encoder=encoder, aggregator=Part(name="linear"), keep_input=not sound)
    default = {"name": "linear" if sound else "linear_pictures"}
    spec = AutoencoderSpec(
        stream=StreamSpec(
            in_dim=in_dim,
            frames_per_tr=n_frames,
            dim=n_values if decoder is None else 7,
            params=params,
        ),
        decoder=Part(**(decoder or default)),
        **{"mel": MEL if sound else None, "tr_s": 1.5} | changes,
    )
    torch.manual_seed(0)
    model = spec.build().eval()
    if decoder is None:
        same = torch.eye(n_values)
        model.stream.aggregator.start_from(same, torch.zeros(n_values))
        model.decoder.start_from(same, torch.zeros(n_values))
    else:
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.2)
    center = torch.full((MEL.n_mels,), -5.0) if sound else torch.zeros(())
    file = folder / f"{modality}-{len(list(folder.glob('*.safetensors')))}.safetensors"
    return SavedAutoencoder(spec, model, center, torch.tensor(2.0 if sound else 1.0)).save(file)


def reconstructed(film: Path, out: Path, files: list[Path], **options) -> Path:
    return reconstruct_film(plan_film(film, files, vocoder=QUICK, **options), out)


def ends_s(film: Path) -> dict[str, float]:
    """The second at which each track ends, by its time stamps, and what the file declares."""
    found = {}
    with av.open(str(film)) as container:
        for stream in container.streams:
            declared = float(stream.duration * stream.time_base)
            last = max(
                float((packet.pts + packet.duration) * packet.time_base)
                for packet in container.demux(stream)
                if packet.pts is not None
            )
            container.seek(0)
            found |= {stream.type: last, f"{stream.type} declared": declared}
    return found


def event_s(film: Path, duration_s: float) -> tuple[float, float]:
    """The second of the first loud sample, and of the first bright picture."""
    sound = np.abs(whole_sound(film, RATE_HZ, duration_s))
    heard_s = float(np.flatnonzero(sound > 0.3 * sound.max())[0] / RATE_HZ)
    shown_s = next(time_s for time_s, picture in iter_pictures(film, 8, 6) if picture.mean() > 100)
    return heard_s, shown_s
