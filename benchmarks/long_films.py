"""Do hours of film go through extraction and a trained system fast, in little memory, in sync?

A film of 48 minutes is drawn by a trained system, sound alone, then sound and pictures, on two
threads; a short film beside it shows that memory does not grow. Near the end of each film are a
flash and a tone that begin together. An hour of film is extracted beside FFmpeg doing the same.

Data: films that FFmpeg makes. About 90 minutes on two cores.
Expected: faster than the film plays, peaks below 1.5 GB that grow by 0.2 GB at most, flash and tone
at most a picture apart; extraction at 0.7 of FFmpeg's speed or more.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import imageio_ffmpeg
import numpy as np
import soundfile

from benchmarks.tables import Row, named
from subtr.experiments.experiment import Experiment, autoencoder_file
from subtr.stimulus.media import sound_spans
from subtr.stimulus.pictures import iter_pictures

MINUTES = (3, 48)
SIZES = {"sound": 128, "pictures": 64}
RATE_HZ = 16000
HOUR_S = 3600
# A whole number of pictures and of groups of pictures, so that repeats join without a seam.
PART_S = 60
_CODEC = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "veryfast", "-g", 48)

# For the end of a program in a process of its own, so that the peak is its own.
PEAK_GB = """
status = Path("/proc/self/status")
if status.exists():  # getrusage would count the parent's peak as well
    peak = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")][0]
    peak_gb = int(peak.split()[1]) * 1024 / 1e9
else:
    import resource
    unit = 1 if sys.platform == "darwin" else 1024
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
"""

# In a process of its own, so that threads and the peak of memory are its own.
RECONSTRUCT = """
import json, sys, time
from pathlib import Path
from subtr.experiments.reconstruct import plan_film, reconstruct_film

film, out, *files = sys.argv[1:]
begin, cpu = time.perf_counter(), time.process_time()
plan = plan_film(film, files)
reconstruct_film(plan, out)
wall_s, cpu_s = time.perf_counter() - begin, time.process_time() - cpu
"""
TOLD_OF_A_FILM = """
hz = plan.clock_of("pictures").frame_hz if "pictures" in plan.models else 0
told = {"film_s": plan.info.duration_s, "wall_s": wall_s, "cpu_s": cpu_s, "peak_gb": peak_gb}
print(json.dumps(told | {"picture_s": 1 / hz if hz else None}))
"""

# In a process of its own, so that the peak of memory is that of the extraction.
EXTRACT = """
import json, sys, time
from pathlib import Path
from subtr.timeline import Clock
from subtr.stimulus.mel import log_mel_of_media
from subtr.stimulus.pictures import PictureSettings, pictures_of_media

film, length_s = sys.argv[1], float(sys.argv[2])
clock = Clock.covering(length_s, 1.5)
begin = time.perf_counter()
mel = log_mel_of_media(film, clock)
sound_s = time.perf_counter() - begin
pictures = pictures_of_media(film, clock, PictureSettings(width=64, height=36, frames_per_tr=8))
total_s = time.perf_counter() - begin
"""
TOLD_OF_AN_HOUR = """
print(json.dumps({
    "sound_s": sound_s, "pictures_s": total_s - sound_s, "wall_s": total_s, "peak_gb": peak_gb,
    "mel": mel.shape, "pictures": pictures.shape,
    "last_level": float(mel[-1].max()), "picture_spread": float(pictures[-1].std()),
}))
"""


def run(folder: Path, minutes=MINUTES, hour_s=HOUR_S, repeats=3) -> list[Row]:
    """Rows of two tables: films that are drawn, and an hour that is extracted as often."""
    rows = []
    for n_minutes in minutes:
        rows += named("film_reconstruction", drawn_rows(n_minutes, folder))
    return rows + named("hour_long_film", extraction_rows(hour_s, repeats))


def drawn_rows(n_minutes, folder) -> list[Row]:
    runs, rows = str(folder / "film_reconstruction"), []
    experiment = Experiment.open("simulated", "smoke", runs=runs)
    media, length_s = experiment.study.media, experiment.study.clock.duration_s
    with TemporaryDirectory() as place:
        film, out = Path(place) / "film.mp4", Path(place) / "out.mp4"
        (sound,) = sound_spans(media, RATE_HZ, [(0, round(length_s * RATE_HZ))])
        event_s = film_with_event(film, n_minutes, sound, RATE_HZ)
        for modalities in (["sound"], ["sound", "pictures"]):
            models = [autoencoder_file(experiment, "tier1", one, SIZES[one]) for one in modalities]
            code = RECONSTRUCT + PEAK_GB + TOLD_OF_A_FILM
            found = run_apart(code, film, out, *models)
            row = {"tracks": "+".join(modalities), "threads": 2} | found
            row |= {"times_real_time": found["film_s"] / found["wall_s"]}
            rows.append(row | sync_of(out, event_s, "pictures" in modalities))
            print(rows[-1], flush=True)
    return rows


def sync_of(out, event_s, with_pictures) -> Row:
    """How late flash and tone come, and how far both, and the ends of both tracks, are apart."""
    heard_s = heard_from_s(out, event_s)
    row = {"tone_late_s": heard_s - event_s}
    if with_pictures:
        ends, shown_s = ends_s(out), shown_from_s(out, event_s)
        row |= {"flash_late_s": shown_s - event_s, "apart_s": abs(shown_s - heard_s)}
        row |= {"ends_apart_s": abs(ends["video"] - ends["audio"]), "ffprobe": ends["ffprobe"]}
    return row


def extraction_rows(length_s, repeats) -> list[Row]:
    filters = ("-vf", "fps=16/3,scale=64:36,format=rgb24", "-ar", 16_000, "-ac", 1)
    code, rows = EXTRACT + PEAK_GB + TOLD_OF_AN_HOUR, []
    with TemporaryDirectory() as place:
        film = plain_film(Path(place), length_s)
        for repeat in range(repeats):
            # Turn by turn, so that whatever else the machine does meets both.
            plain_s = ffmpeg("-i", film, *filters, "-f", "null", "-")
            cache = {"SUBTR_CACHE": str(Path(place) / f"cache{repeat}")}
            ours = run_apart(code, film, length_s, threads=os.cpu_count(), **cache)
            row = {"repeat": repeat, "length_s": length_s, "ffmpeg_s": plain_s}
            row |= {"speed_of_ffmpeg": plain_s / ours["wall_s"]}
            told = ("sound_s", "pictures_s", "wall_s", "peak_gb", "last_level", "picture_spread")
            row |= {name: ours[name] for name in told}
            rows.append(row | {"mel_trs": ours["mel"][0], "picture_trs": ours["pictures"][0]})
            print(rows[-1], flush=True)
    return rows


def plain_film(folder: Path, length_s: int) -> Path:
    """854 x 480 H.264 at 24 pictures a second, and AAC."""
    part, whole = film_part(folder / "part.mp4"), folder / "hour.mp4"
    repeat = ("-stream_loop", length_s // PART_S - 1, "-i", part)
    sine = f"sine=frequency=440:sample_rate=48000:duration={length_s}"
    sound = ("-f", "lavfi", "-i", sine, "-c:a", "aac", "-ac", 2)
    ffmpeg(*repeat, *sound, "-map", "0:v", "-map", "1:a", "-c:v", "copy", whole)
    part.unlink()
    return whole


def ffmpeg(*arguments):
    """Runs FFmpeg; wall-clock seconds."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *arguments]
    begin = time.perf_counter()
    subprocess.run([str(part) for part in command], check=True)
    return time.perf_counter() - begin


def film_part(file: Path, more: str = "") -> Path:
    """A minute of 854 x 480 H.264 at 24 pictures a second; ``more`` is drawn over it."""
    source = f"testsrc=size=854x480:rate=24:duration={PART_S}" + more
    ffmpeg("-f", "lavfi", "-i", source, *_CODEC, file)
    return file


def film_with_event(file: Path, n_parts: int, sound: np.ndarray, rate_hz: int) -> float:
    """Minutes of film with a sound that is repeated; its last seconds are black and silent but for
    a flash and a tone of half a second, the second of whose beginning is returned."""
    flash = "between(t,57.5,57.999)"
    dark = "drawbox=color=black:t=fill:enable='gte(t,56)'"
    over = f",{dark},drawbox=color=white:t=fill:enable='{flash}'"
    parts = [film_part(file.with_name("part.mp4"))] * (n_parts - 1)
    parts += [film_part(file.with_name("last.mp4"), over)]
    listed = file.with_name("parts.txt")
    listed.write_text("".join(f"file '{part}'\n" for part in parts))
    heard = np.resize(sound, n_parts * PART_S * rate_hz).astype(np.float32)
    event_s = (n_parts - 1) * PART_S + 57.5
    heard[round((event_s - 1.5) * rate_hz) :] = 0
    time_s = np.arange(rate_hz // 2) / rate_hz
    heard[round(event_s * rate_hz) :][: len(time_s)] = 0.6 * np.sin(2 * np.pi * 700 * time_s)
    wav = file.with_name("sound.wav")
    soundfile.write(wav, heard, rate_hz)
    pictures = ("-f", "concat", "-safe", 0, "-i", listed)
    ffmpeg(*pictures, "-i", wav, "-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac", file)
    for made in {*parts, listed, wav}:
        made.unlink()
    return event_s


def run_apart(code: str, *given, threads: int = 2, **variables) -> dict:
    """The JSON that a program prints last, in a process of its own with so many threads."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)} | variables
    command = [sys.executable, "-c", code, *map(str, given)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def ffprobe_ends_s(film: Path) -> dict[str, float]:
    """The seconds at which ffprobe says that video and audio end; empty where there is none."""
    if shutil.which("ffprobe") is None:
        return {}
    command = ["ffprobe", "-v", "error", "-of", "json", "-show_streams", str(film)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    streams = json.loads(done.stdout)["streams"]
    return {one["codec_type"]: float(one["start_time"]) + float(one["duration"]) for one in streams}


def ends_s(film) -> dict[str, float]:
    """The seconds at which video and audio end: by ffprobe, or by PyAV where there is none."""
    if found := ffprobe_ends_s(film):
        return found | {"ffprobe": True}
    with av.open(str(film)) as container:
        ends = {
            stream.type: float((stream.start_time + stream.duration) * stream.time_base)
            for stream in container.streams
        }
    return ends | {"ffprobe": False}


def heard_from_s(film, event_s: float) -> float:
    """The second at which the tone rises to half its height."""
    first, last = round((event_s - 1) * RATE_HZ), round((event_s + 0.4) * RATE_HZ)
    (sound,) = sound_spans(film, RATE_HZ, [(first, last)])
    level = np.sqrt(np.convolve(sound**2, np.ones(161) / 161, mode="same"))
    return (first + int(np.flatnonzero(level > level.max() / 2)[0])) / RATE_HZ


def shown_from_s(film, event_s: float) -> float:
    """The second from which the picture is brighter than half of the flash."""
    near = [
        (time_s, picture.mean())
        for time_s, picture in iter_pictures(film, 16, 9)
        if event_s - 1 < time_s < event_s + 0.4
    ]
    times_s, bright = map(np.array, zip(*near, strict=True))
    middle = (bright.min() + bright.max()) / 2
    return float(times_s[bright > middle][0])
