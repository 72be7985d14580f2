# Every notebook of a study, executed by papermill in the order in which it needs the others.
# `make run` calls this through `python -m subtr.run`, which checks the parameters first.
#   snakemake --cores 8 --config study=alice params=full seeds=0,1,2
#   snakemake --executor slurm --jobs 20 --config study=alice params=full seeds=0,1,2
from pathlib import Path

from subtr.run import run_folder

STUDY = config.get("study", "simulated")
FILM = str(config.get("film", "") or "")
PARAMS = str(config.get("params", "smoke"))
SEEDS = str(config.get("seeds", "0")).split(",")
RUNS = str(Path(config.get("runs", "runs")).resolve())
FOLDER = str(run_folder(RUNS, PARAMS, STUDY, FILM))
DONE = FOLDER + "/notebooks"

# Two trainings side by side on half the cores each finish sooner than one after the other.
EACH = max(1, workflow.cores // 2)
EXECUTE = (
    "OMP_NUM_THREADS={threads} python -m papermill notebooks/{params.name}.ipynb {output}"
    f" --no-progress-bar --log-output --cwd notebooks -p study '{STUDY}' -p film '{FILM}'"
    f" -p params '{PARAMS}' -p runs '{RUNS}'"
)


rule all:
    input:
        f"{DONE}/08_evaluation.ipynb",
        f"{DONE}/09_listening_viewing.ipynb",


rule exploration:
    input:
        "notebooks/01_exploration.ipynb",
    output:
        f"{DONE}/01_exploration.ipynb",
    params:
        name="01_exploration",
    threads: workflow.cores
    shell:
        EXECUTE


rule training:
    # After the exploration, which decodes the film once and fills the cache.
    input:
        f"{DONE}/01_exploration.ipynb",
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
        EXECUTE + " -p seed {wildcards.seed}"


TRAINED = expand(
    DONE + "/{name}_seed{seed}.ipynb",
    name=["02_baseline_averaging", "03_tier1_multiscale"],
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
    threads: EACH
    shell:
        EXECUTE


rule listening:
    input:
        TRAINED,
        "notebooks/09_listening_viewing.ipynb",
    output:
        f"{DONE}/09_listening_viewing.ipynb",
    params:
        name="09_listening_viewing",
    threads: EACH
    shell:
        EXECUTE
