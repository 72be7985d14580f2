"""Media files in and out: any container and codec that FFmpeg reads, through PyAV, in a stream."""

from subtr.stimulus.container import MediaError, MediaInfo, MediaWarning, probe
from subtr.stimulus.film_writing import write_film
from subtr.stimulus.pictures import iter_pictures, pictures_at
from subtr.stimulus.sound import iter_resampled, iter_sound, resample, sound_spans

__all__ = [
    "MediaError",
    "MediaInfo",
    "MediaWarning",
    "iter_pictures",
    "iter_resampled",
    "iter_sound",
    "pictures_at",
    "probe",
    "resample",
    "sound_spans",
    "write_film",
]
