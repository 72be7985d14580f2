"""Sound and pictures of a TR together, each at its own rate, brought together by time."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from subtr.params import SettingsError


def at_times(
    latents: Float[Tensor, "batch frame dim"],
    per_tr: float | int,
    n_frames: int,
    frames_per_tr: float | int,
) -> Float[Tensor, "batch _frame dim"]:
    """Latents of one rate at the times of another, by linear interpolation; held at the ends.

    Arguments
        latents: frame k of n is centred (k + 1/2 - n/2) / ``per_tr`` TRs from the window's middle.
        per_tr: frames of a TR, of the latents.
        n_frames, frames_per_tr: the same of the result, whose window has the same middle but need
            not be as long.
    """
    n_given = latents.shape[1]
    wanted = torch.arange(n_frames, device=latents.device, dtype=torch.float64)
    seconds_tr = (wanted + 0.5 - n_frames / 2) / frames_per_tr
    place = (seconds_tr * per_tr + n_given / 2 - 0.5).clamp(0, n_given - 1)
    before = place.floor().long().clamp(max=max(n_given - 2, 0))
    share = (place - before).to(latents.dtype)[:, None]
    after = (before + 1).clamp(max=n_given - 1)
    return latents[:, before] * (1 - share) + latents[:, after] * share


class JointEncoder(nn.Module):
    """Levels of a sound encoder and of a picture encoder side by side, fine first.

    Arguments
        sound_encoder: (batch, frame, mel) -> levels, see `subtr.encoders.ENCODERS`.
        picture_encoder: (batch, picture, rgb, height, width) -> levels, see `PICTURE_ENCODERS`.
        sound_per_tr, pictures_per_tr: frames of a TR that each is given, without context.
        fusion_dim: features of a further level that comes first, at the rate of the finest level of
            sound: a linear map of that level and of all picture levels, each brought to its times.
            0 for none.

    ``level_dims`` and ``level_frames`` are what any aggregator is built from: features of each
    level, and its frames in a TR. Levels are ordered by rate, sound before pictures at a tie.

    Raises
        SettingsError: a level that has no whole number of frames in a TR, or no frame at all given.

    Source: Simonyan and Zisserman 2014 for streams that are fused late, here at each moment.
    """

    def __init__(
        self,
        sound_encoder: nn.Module,
        picture_encoder: nn.Module,
        sound_per_tr: int,
        pictures_per_tr: int,
        *,
        fusion_dim: int = 0,
    ):
        super().__init__()
        self.sound, self.pictures = sound_encoder, picture_encoder
        # Frames of a TR in a TR: what encoders call hertz is any unit of time.
        self.sound_rates = sound_encoder.frame_hz(float(sound_per_tr))
        self.picture_rates = picture_encoder.frame_hz(float(pictures_per_tr))
        self.per_tr = {"sound": float(sound_per_tr), "pictures": float(pictures_per_tr)}
        rates = [*self.sound_rates, *self.picture_rates]
        dims = [*sound_encoder.level_dims, *picture_encoder.level_dims]
        if any(abs(rate - round(rate)) > 1e-6 or rate < 1 for rate in rates):
            raise SettingsError(
                f"levels with {', '.join(f'{rate:g}' for rate in rates)} frames a TR: expected "
                "whole numbers; change the frames of a TR, or the encoders' strides."
            )
        # Python's sort keeps ties in order, so sound stays before pictures.
        self.order = sorted(range(len(rates)), key=lambda level: -rates[level])
        self.level_dims = [dims[level] for level in self.order]
        self.level_frames = [round(rates[level]) for level in self.order]
        self.fusion = None
        if fusion_dim:
            finest = self.finest_sound = max(
                range(len(self.sound_rates)), key=lambda level: self.sound_rates[level]
            )
            given = sound_encoder.level_dims[finest] + sum(picture_encoder.level_dims)
            self.fusion = nn.Linear(given, fusion_dim)
            self.level_dims.insert(0, fusion_dim)
            self.level_frames.insert(0, round(self.sound_rates[finest]))

    def frame_hz(self, tr_s: float | int) -> list[float]:
        """Frames per second of each level, at a TR of so many seconds."""
        return [n_frames / tr_s for n_frames in self.level_frames]

    def receptive_field_s(self, tr_s: float | int) -> list[float]:
        """Seconds of input that a frame of each level sees; a fused frame that of its widest.

        A fused frame sees two neighbouring frames of each picture level.
        """
        sound = self.sound.receptive_field_s(self.per_tr["sound"] / tr_s)
        pictures = self.pictures.receptive_field_s(self.per_tr["pictures"] / tr_s)
        fields = [*sound, *pictures]
        ordered = [fields[level] for level in self.order]
        if self.fusion is not None:
            between = [
                field + tr_s / rate
                for field, rate in zip(pictures, self.picture_rates, strict=True)
            ]
            ordered.insert(0, max(sound[self.finest_sound], *between))
        return ordered

    def forward(
        self,
        mel: Float[Tensor, "batch sound_frame mel"],
        pictures: Float[Tensor, "batch picture_frame rgb height width"],
    ) -> list[Float[Tensor, "batch _frame_l _dim_l"]]:
        """Levels of both; windows may be unequally long, as contexts are, around one middle."""
        if not (mel.shape[1] and pictures.shape[1]):
            raise SettingsError(
                f"{mel.shape[1]} frames of sound and {pictures.shape[1]} pictures: expected at "
                "least one of each; a study without either needs an encoder of the other alone."
            )
        of_sound, of_pictures = self.sound(mel), self.pictures(pictures)
        levels = [*of_sound, *of_pictures]
        ordered = [levels[level] for level in self.order]
        if self.fusion is None:
            return ordered
        heard, rate = of_sound[self.finest_sound], self.sound_rates[self.finest_sound]
        seen = [
            at_times(level, per_tr, heard.shape[1], rate)
            for level, per_tr in zip(of_pictures, self.picture_rates, strict=True)
        ]
        return [self.fusion(torch.cat([heard, *seen], dim=2)), *ordered]
