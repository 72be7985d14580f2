# Every notebook of a study, executed by papermill in the order in which it needs the others.
# `make run` calls this through `python -m subtr.experiments.run`, which checks the parameters first.
#   snakemake --cores 8 --config study=alice params=full seeds=0,1,2
#   snakemake --executor slurm --jobs 20 --config study=alice params=full seeds=0,1,2
import shlex
from pathlib import Path

from subtr.experiments.results import is_gallery, run_folder


def from_here(path):
    """The notebooks run in their own folder, so paths must not depend on where one is."""
    return str(Path(path).expanduser().resolve())


def escaped(text):
    """For the shell, and for Snakemake, which fills in what stands in braces."""
    return shlex.quote(text).replace("{", "{{").replace("}", "}}")


FILM = from_here(config["film"]) if config.get("film") else ""
STUDY = str(config.get("study", "film" if FILM else "simulated"))
PARAMS = str(config.get("params", "smoke"))
PARAMS = from_here(PARAMS) if Path(PARAMS).is_dir() else PARAMS
SEEDS = str(config.get("seeds", "0")).split(",")
RUNS = from_here(config.get("runs", "runs"))
FOLDER = str(run_folder(RUNS, PARAMS, STUDY, FILM))
DONE = FOLDER + "/notebooks"

# Two trainings side by side on half the cores each finish sooner than one after the other.
EACH = max(1, workflow.cores // 2)
# Raw text (-r), or papermill would make a number of a film that is called 12.
GIVEN = " ".join(
    f"-r {name} {escaped(value)}"
    for name, value in {"study": STUDY, "film": FILM, "params": PARAMS, "runs": RUNS}.items()
)
# Only a notebook that ran to its end takes its place; one that stopped tells why in `unfinished`.
# Of papermill's log, what the notebooks print is shown.
PAPERMILL = (
    f"part={escaped(DONE)}/unfinished/$(basename {{output:q}}); mkdir -p \"$(dirname \"$part\")\";"
    " echo {output:q};"
    " OMP_NUM_THREADS={threads} SUBTR_PROGRESS=lines"
    " python -m papermill notebooks/{params.name}.ipynb \"$part\""
    " --no-progress-bar --log-output --cwd notebooks"
)
EXECUTE = f"{PAPERMILL} {GIVEN}"
FINISH = (
    " 2>&1 | (grep --line-buffered -vE '^(Executing|Ending|Input|Output|Working|<|\\[IPK|$)' || :)"
    "; mv \"$part\" {output:q}"
)


# The gallery trains every system of its set in one notebook; the other sets go through all others.
LAST = ["13_gallery"] if is_gallery(PARAMS) else [
    "00_start_here",
    "08_evaluation",
    "09_listening_viewing",
    "10_brain_encoding",
    "11_brain_decoding",
    "12_identifiability",
]


rule all:
    input:
        expand(DONE + "/{name}.ipynb", name=LAST),


rule start_here:
    # After the exploration, which makes the generated film once.
    input:
        f"{DONE}/01_exploration.ipynb",
        "notebooks/00_start_here.ipynb",
    output:
        f"{DONE}/00_start_here.ipynb",
    params:
        name="00_start_here",
    threads: EACH
    shell:
        PAPERMILL + FINISH


rule exploration:
    input:
        "notebooks/01_exploration.ipynb",
    output:
        f"{DONE}/01_exploration.ipynb",
    params:
        name="01_exploration",
    threads: workflow.cores
    shell:
        EXECUTE + FINISH


def trained_before(wildcards):
    """Every system is compared with the averaging one, which is trained once."""
    averaging = f"{DONE}/02_baseline_averaging_seed{wildcards.seed}.ipynb"
    return [] if wildcards.name.startswith("02_") else [averaging]


rule training:
    # After the exploration, which decodes the film once and fills the cache.
    input:
        f"{DONE}/01_exploration.ipynb",
        trained_before,
        "notebooks/{name}.ipynb",
    output:
        DONE + "/{name}_seed{seed}.ipynb",
    wildcard_constraints:
        name="0[2-7]_.+",
        seed=r"\d+",
    params:
        name="{name}",
    threads: EACH
    shell:
        EXECUTE + " -p seed {wildcards.seed}" + FINISH


TRAINED = expand(
    DONE + "/{name}_seed{seed}.ipynb",
    name=[
        "02_baseline_averaging",
        "03_tier1_multiscale",
        "04_tier1_hierarchical",
        "05_tier2_video3d",
        "06_tier2_transformer",
        "07_combined_and_distilled",
    ],
    seed=SEEDS,
)


rule evaluation:
    input:
        TRAINED,
        "notebooks/08_evaluation.ipynb",
    output:
        f"{DONE}/08_evaluation.ipynb",
    params:
        name="08_evaluation",
    threads: workflow.cores
    shell:
        EXECUTE + FINISH


rule brain_encoding:
    # One after the other, for each takes all cores.
    input:
        f"{DONE}/09_listening_viewing.ipynb",
        "notebooks/10_brain_encoding.ipynb",
    output:
        f"{DONE}/10_brain_encoding.ipynb",
    params:
        name="10_brain_encoding",
    threads: workflow.cores
    shell:
        EXECUTE + FINISH


rule listening:
    # After the evaluation, which makes the baselines that are to be heard.
    input:
        f"{DONE}/08_evaluation.ipynb",
        "notebooks/09_listening_viewing.ipynb",
    output:
        f"{DONE}/09_listening_viewing.ipynb",
    params:
        name="09_listening_viewing",
    threads: workflow.cores
    shell:
        EXECUTE + FINISH


rule brain_decoding:
    # The decoders that draw are those of the trained systems.
    input:
        f"{DONE}/09_listening_viewing.ipynb",
        "notebooks/11_brain_decoding.ipynb",
    output:
        f"{DONE}/11_brain_decoding.ipynb",
    params:
        name="11_brain_decoding",
    threads: workflow.cores
    shell:
        EXECUTE + FINISH


rule identifiability:
    # Simulated scans, which need no study.
    input:
        "notebooks/12_identifiability.ipynb",
    output:
        f"{DONE}/12_identifiability.ipynb",
    params:
        name="12_identifiability",
    threads: EACH
    shell:
        EXECUTE + FINISH


rule gallery:
    input:
        "notebooks/13_gallery.ipynb",
    output:
        f"{DONE}/13_gallery.ipynb",
    params:
        name="13_gallery",
        seed=SEEDS[0],
    threads: workflow.cores
    shell:
        EXECUTE + " -p seed {params.seed} -p workers {threads}" + FINISH
