""""""

import argparse
import json
import math
import os
import shutil
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from tqdm.auto import tqdm

from subtr.decoders.griffin_lim import overlapping
from subtr.decoders.vocoders import VocoderParams
from subtr.models.autoencoder import NO_FIT, VectorFitParams
from subtr.models.saved import SavedAutoencoder, load_autoencoder
from subtr.params import SettingsError, StudyWarning, SubtrError, validate, whole_file
from subtr.stimulus.cache import file_digest
from subtr.stimulus.media import MediaError, MediaInfo, iter_resampled, probe
from subtr.stimulus.mel import iter_log_mel
from subtr.stimulus.pictures import AAC_HZ, PictureSettings, iter_picture_trs, write_film
from subtr.timeline import Clock


def main(arguments: list[str] | None = None) -> int:
    """Finds or trains the system, reconstructs the film, and says how long that took."""
    given, begin_s = _parse(arguments), time.monotonic()
    # Imported late: the models take seconds to import.
    from subtr.models.autoencoder import VectorFitParams

    try:
        vocoder = validate(VocoderParams, {"content": given.content}, "--content")
        features = {"features": {"model": given.fit_features}} if given.fit_features else {}
        fit = validate(VectorFitParams, {"steps": given.fit_steps} | features, "--fit-steps")
        files = given.models or _trained(given)
        plan = plan_film(given.film, files, given.tr, fit, vocoder)
        begin_s = time.monotonic()
        out = reconstruct_film(plan, given.out)
    except SubtrError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. What is finished is kept: the same command goes on.", file=sys.stderr)
        return 130
    spent_s = time.monotonic() - begin_s
    sizes = {name: model.spec.stream.dim for name, model in plan.models.items()}
    told = " and ".join(f"{size} floats of {name}" for name, size in sizes.items())
    print(
        f"{out}: {plan.info.duration_s:.1f} s of film from {told} a TR of {plan.clock.tr_s:g} s, "
        f"in {spent_s:.1f} s: {plan.info.duration_s / spent_s:.1f} times real time."
    )
    return 0


def _trained(given: argparse.Namespace) -> list[Path]:
    """The system's files in the run folder, trained now where they are not there."""
    from subtr.experiments.experiment import Experiment, autoencoder_file, autoencoder_fold

    experiment = Experiment.open(given.study, given.params, given.study_film, given.runs)
    params, study, files = experiment.system(given.system), experiment.study, []
    sizes = {"sound": given.floats, "pictures": given.picture_floats}
    there = {"sound": study.mel is not None, "pictures": study.pictures is not None}
    for modality, size in sizes.items():
        part = getattr(params, modality)
        if part is not None and there[modality]:
            which = (size or max(part.floats_per_tr), given.seed, given.fold)
            fold = autoencoder_fold(experiment, given.system, modality, *which)
            files.append(autoencoder_file(fold, modality))
    if not files:
        raise SettingsError(
            f"system = {given.system!r}: system_{given.system}.yaml reconstructs nothing that the "
            f"study {given.study!r} has. Name another system."
        )
    return files


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m subtr.experiments.reconstruct", description=__doc__
    )
    add = parser.add_argument
    add("--film", required=True, help="a media file")
    add("--out", default="reconstruction.mp4", help="the mp4 to write")
    add("--models", nargs="+", metavar="FILE", help="autoencoder.safetensors of one or two "
        "trainings; in place of what follows until --fold")  # fmt: skip
    add("--study", default="simulated", help="what the system was trained on")
    add("--study-film", default="", help="the film of that study, where the user gave it one")
    add("--system", default="tier1", help="of params/<params>/system_<name>.yaml")
    add("--params", default="smoke", help="a parameter set: smoke, full, a folder")
    add("--runs", default="runs", help="the folder of results")
    add("--floats", type=int, help="numbers a TR of sound; default: the most of the system's")
    add("--picture-floats", type=int, help="numbers a TR of pictures")
    add("--seed", type=int, default=0)
    add("--fold", type=int, default=0, help="which of the folds' trainings")
    add("--tr", type=float, help="seconds of a TR; default: that of the training")
    add("--fit-steps", type=int, default=0, help="fit the numbers to the decoder: slower, nearer")
    add("--fit-features", metavar="MODEL", help="fit them to what whisper-tiny.en hears too: "
        "speech is understood better, and it is slower by far")  # fmt: skip
    add("--content", default="mixed", help="speech, music or mixed: chooses the vocoder")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

_JOB = "job.json"


class PartsError(SubtrError, OSError):
    """Blocks cannot be kept on disk; the message names the place and says what to do."""


class Parts:
    """Blocks of several kinds, numbered from 0, each written whole or not at all.

    Arguments
        folder: theirs alone. Blocks that it holds of another job are removed.
        job: all that the blocks depend on; plain values that JSON can write.

    Raises
        PartsError: the folder cannot be written. What is finished stays.
    """

    def __init__(self, folder: Path, job: dict):
        self.folder, text = folder, json.dumps(job, sort_keys=True, indent=1)
        job_file = folder / _JOB
        try:
            if job_file.is_file() and job_file.read_text() != text:
                shutil.rmtree(folder)
            folder.mkdir(parents=True, exist_ok=True)
            with whole_file(job_file) as part:
                part.write_text(text)
        except OSError as error:
            raise self._unwritable(error) from error

    def keep(self, kind: str, index: int, block: Shaped[np.ndarray, "..."]) -> None:
        """Writes a block; raises PartsError."""
        try:
            with whole_file(self._file(kind, index)) as part, part.open("wb") as stream:
                np.save(stream, block)
        except OSError as error:
            raise self._unwritable(error) from error

    def count(self, kind: str) -> int:
        """Blocks that are there, one after the other from 0."""
        index = 0
        while self._file(kind, index).exists():
            index += 1
        return index

    def read(self, kind: str) -> Iterator[Shaped[np.ndarray, "..."]]:
        """The blocks in order, one at a time in memory."""
        for index in range(self.count(kind)):
            yield np.load(self._file(kind, index))

    def finish(self, result: Path, out: Path) -> None:
        """Moves what was made of the blocks to its place, and removes them; raises PartsError."""
        try:
            os.replace(result, out)
        except OSError as error:
            raise self._unwritable(error) from error
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, kind: str, index: int) -> Path:
        return self.folder / f"{kind}-{index:05d}.npy"

    def _unwritable(self, error: OSError) -> PartsError:
        return PartsError(
            f"{self.folder} cannot be written: {error.strerror or error}. Free space, or choose "
            "another place for the film. What is finished is kept: the same call goes on from it."
        )


# Raise it when the same job gives other blocks.
_FORMAT = 1


@dataclass(frozen=True)
class FilmPlan:
    """A film, and the trained autoencoders that it goes through.

    Arguments
        info: of the film.
        models: "sound", "pictures" or both.
        clock: TRs from second 0 to beyond the film's end.
        fit: of the vectors to the decoder, see `subtr.models.autoencoder`.
        vocoder: what the log-mel is heard through.
        job: all that the result depends on, the files by their content.
    """

    info: MediaInfo
    models: dict[str, SavedAutoencoder]
    clock: Clock
    fit: VectorFitParams
    vocoder: VocoderParams
    job: dict[str, Any]

    def clock_of(self, modality: str) -> Clock:
        """The clock with as many frames a TR as the model of the modality has."""
        return self.clock.with_frames(self.models[modality].spec.stream.frames_per_tr)


def plan_film(
    film: Path | str,
    model_files: Sequence[Path | str],
    tr_s: float | int | None = None,
    fit: VectorFitParams = NO_FIT,
    vocoder: VocoderParams | None = None,
) -> FilmPlan:
    """Checks that film and models fit together.

    Arguments
        film: a media file.
        model_files: one of sound, one of pictures, or either, see `subtr.models.saved`.
        tr_s: seconds of a TR, any; None for that of the study that the models were trained on.
        fit: of the vectors to the decoder; features of speech are of sound alone.
        vocoder: None to choose for mixed sound.

    A track that the film lacks is left out with a ``StudyWarning``.

    Raises
        MediaError: the film cannot be used, or has none of the tracks that the models need.
        SpeechModelError: the weights of the features are not installed.
        SettingsError: a file is no trained autoencoder, two are of the same modality, their TRs
            differ, or a value is out of range.
    """
    info, files = probe(film), {}
    models: dict[str, SavedAutoencoder] = {}
    for file in map(Path, model_files):
        model = load_autoencoder(file)
        modality = model.spec.modality
        if modality in models:
            raise SettingsError(f"{file} and {files[modality]} are both of {modality}: give one.")
        models[modality], files[modality] = model, file
    models = _present(info, models)
    clock = Clock(_tr_s(models, tr_s), n_trs=1)
    fit.check()
    # A last TR that the film ends in is made too, and cut where the film ends.
    clock = replace(clock, n_trs=max(1, math.ceil(info.duration_s / clock.tr_s - 1e-6)))
    vocoder = vocoder or VocoderParams()
    job = {"format": _FORMAT, "film": file_digest(film), "tr_s": clock.tr_s}
    job |= {"fit": fit.model_dump(mode="json")}
    job |= {modality: file_digest(files[modality]) for modality in models}
    if "sound" in models:
        # Chosen here too, for a vocoder that does not fit should not be found out at the end.
        chosen = vocoder.choose(models["sound"].spec.mel).vocoder.name
        job |= {"vocoder": vocoder.model_dump(mode="json") | {"name": chosen}}
    return FilmPlan(info, models, clock, fit, vocoder, job)


def _present(info: MediaInfo, models: dict[str, SavedAutoencoder]) -> dict[str, SavedAutoencoder]:
    """The models of the tracks that the film has."""
    if not models:
        raise SettingsError("No trained autoencoder given: expected one of sound or of pictures.")
    has = {"sound": info.sound_rate_hz is not None, "pictures": info.width is not None}
    present = {modality: model for modality, model in models.items() if has[modality]}
    if not present:
        raise MediaError(
            f"{info.path} has no {' and no '.join(models)}, and there is no model of anything "
            "else. Give another film, or a model of what it has."
        )
    for modality in sorted(set(models) - set(present)):
        message = f"{info.path} has no {modality}: {modality} are left out."
        warnings.warn(message.replace("sound are", "it is"), StudyWarning, stacklevel=3)
    return present


def _tr_s(models: dict[str, SavedAutoencoder], tr_s: float | int | None) -> float:
    if tr_s is not None:
        return float(tr_s)
    found = {modality: model.spec.tr_s for modality, model in models.items()}
    if len(set(found.values())) > 1:
        raise SettingsError(
            f"The models were trained at different TRs, {found}: say by tr_s which TR to use."
        )
    return next(iter(found.values()))


# A decoder may draw a TR with the help of its neighbours' numbers.
_CONTEXT_TRS = 2

_MOST_TRS, _LEAST_TRS = 32, 2 * _CONTEXT_TRS

_MOST_VALUES = 1 << 24


def draw_blocks(plan: FilmPlan, modality: str, parts: Parts) -> None:
    """Keeps the blocks of the film's log-mel or pictures, as the model draws them, in ``parts``.

    Blocks that are there are not made again. Those made after an interruption are, to the bit,
    those that would have been made without.

    Raises
        MediaError: nothing of the film's track decodes.
        PartsError: the disk is full, or cannot be written.
    """
    model, n_trs = plan.models[modality], plan.clock.n_trs
    size, done = block_trs(model), parts.count(modality)
    n_blocks = 1 + max(0, (n_trs - _CONTEXT_TRS) // size)
    if done == n_blocks:
        return
    # The first block to make also needs the numbers before it, from a block as it was then.
    again = max(done - 1, 0)
    vectors = _vectors(plan, modality, size, again * size)
    with tqdm(total=n_trs, desc=modality, unit="TR", delay=3, disable=None) as bar:
        bar.update(done * size)
        for index, block in enumerate(overlapping(vectors, size, _CONTEXT_TRS), again):
            if index >= done:
                drawn = model.decoded(torch.from_numpy(block.rows))
                n_drawn = block.stop - block.start
                parts.keep(modality, index, drawn[block.before : block.before + n_drawn])
                bar.update(n_drawn)


def block_trs(model: SavedAutoencoder) -> int:
    """TRs to take at a time: fewer of large pictures."""
    of = model.spec.stream
    values = of.in_dim if isinstance(of.in_dim, int) else 3 * of.in_dim[0] * of.in_dim[1]
    return int(np.clip(_MOST_VALUES // (of.frames_per_tr * values), _LEAST_TRS, _MOST_TRS))


def _vectors(plan: FilmPlan, modality: str, size: int, first_tr: int) -> Iterator[np.ndarray]:
    model, film = plan.models[modality], plan.info.path
    clock, spec = plan.clock_of(modality), plan.models[modality].spec
    if modality == "sound":
        blocks = iter_log_mel(film, clock, spec.mel, size, first_tr)
    else:
        height, width = spec.stream.in_dim
        settings = PictureSettings(width=width, height=height, frames_per_tr=clock.frames_per_tr)
        blocks = iter_picture_trs(film, clock, settings, size, first_tr)
    for block in blocks:
        # What is heard says nothing of pictures.
        fit = plan.fit if modality == "sound" else plan.fit.model_copy(update={"features": None})
        yield model.vectors(block, clock.tr_s, fit).numpy()


_PIECES = "pieces"


def reconstruct_film(plan: FilmPlan, out: Path | str) -> Path:
    """Writes the film as its models draw it: H.264 and AAC in mp4, sound and pictures in sync.

    Picture k of a TR is drawn from what was on screen at the middle of its share of the TR, and
    shown for that share. Both tracks end where the film ends, the pictures by less than one later.

    Beside ``out``, a folder .<name>.parts keeps what is finished: per TR, 4 bytes a value of the
    log-mel and a sample of sound, and 1 a value of the pictures. The same call after an
    interruption goes on from there and gives the same film; another plan begins anew. The folder
    is removed at the end.

    Arguments
        plan: see `plan_film`. A fit of n steps makes the decoder draw, and differentiate, each
            block n times more.
        out: an .mp4.

    Raises
        SettingsError: another ending than .mp4, or the film itself.
        MediaError: the film cannot be decoded, or ``out`` not be written.
        PartsError: the disk is full, or cannot be written. What is finished is kept.
        KeyboardInterrupt: after Ctrl-C; the same call goes on.
    """
    out = Path(out)
    if out.suffix.lower() != ".mp4":
        raise SettingsError(f"out = {str(out)!r}: expected a file that ends in .mp4")
    if out.resolve() == plan.info.path.resolve():
        raise SettingsError(f"out = {str(out)!r} is the film itself: choose another name.")
    parts = Parts(out.with_name(f".{out.name}.parts"), plan.job)
    pictures = picture_hz = sound = rate_hz = None
    if "pictures" in plan.models:
        draw_blocks(plan, "pictures", parts)
        picture_hz = plan.clock_of("pictures").frame_hz
        pictures = _pictures(plan, parts, picture_hz)
    if "sound" in plan.models:
        draw_blocks(plan, "sound", parts)
        rate_hz = _keep_sound(plan, parts)
        sound = _first(parts.read(_PIECES), round(plan.info.duration_s * rate_hz))
        if rate_hz not in AAC_HZ:
            sound, rate_hz = iter_resampled(sound, rate_hz, 48000), 48000
    # Among the parts, so that a killed run leaves nothing elsewhere.
    parts.finish(write_film(parts.folder / out.name, pictures, picture_hz, sound, rate_hz), out)
    return out


def _keep_sound(plan: FilmPlan, parts: Parts) -> int:
    """Keeps the film's sound in pieces, those that are there already aside; samples a second."""
    clock, done = plan.clock_of("sound"), parts.count(_PIECES)
    vocoder = plan.vocoder.choose(plan.models["sound"].spec.mel).vocoder
    n_samples = round(clock.duration_s * vocoder.rate_hz)
    n_done = sum(len(piece) for piece in parts.read(_PIECES))
    if n_done == n_samples:
        return vocoder.rate_hz
    with tqdm(total=round(clock.duration_s), desc="sound from log-mel", unit="s", delay=3,
              disable=None) as bar:  # fmt: skip
        bar.update(n_done / vocoder.rate_hz)
        for index, piece in enumerate(vocoder.stream(parts.read("sound"), clock, done), done):
            parts.keep(_PIECES, index, piece)
            bar.update(len(piece) / vocoder.rate_hz)
    return vocoder.rate_hz


def _pictures(
    plan: FilmPlan, parts: Parts, picture_hz: float
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    left = max(1, math.ceil(plan.info.duration_s * picture_hz - 1e-6))
    for block in parts.read("pictures"):
        for picture in block.reshape(-1, *block.shape[2:])[:left]:
            # H.264 has even sizes alone.
            height, width = picture.shape[:2]
            yield np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        left = max(0, left - block.shape[0] * block.shape[1])


def _first(
    pieces: Iterable[Float[np.ndarray, "_"]], n_samples: int
) -> Iterator[Float[np.ndarray, "_"]]:
    for piece in pieces:
        yield piece[:n_samples]
        n_samples = max(0, n_samples - len(piece))
