"""``python -m subtr.film_reconstruction``: a film as a trained system draws it, as an mp4."""

import argparse
import sys
import time
from pathlib import Path

from subtr.decoders.vocoders import VocoderParams
from subtr.params import SettingsError, SubtrError, validate


def main(arguments: list[str] | None = None) -> int:
    """Finds or trains the system, reconstructs the film, and says how long that took."""
    given, begin_s = _parse(arguments), time.monotonic()
    # Imported late: the models take seconds to import.
    from subtr.film_reconstruction.plan import plan_film
    from subtr.film_reconstruction.whole_film import reconstruct_film
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
    from subtr.experiment import Experiment
    from subtr.trained_systems import autoencoder_file, autoencoder_fold

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
        prog="python -m subtr.film_reconstruction", description=__doc__
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
