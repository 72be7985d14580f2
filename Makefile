# make run    sets everything up, runs every notebook, prints the results table
# make test   sets everything up, runs the tests
# make lab    opens JupyterLab          make bench  the heavier measurements, many hours
# make clean  removes runs              make lock     renews the exact versions
# make figures  draws the figures of README from the tables that `make bench` wrote
# make docs     writes docs/results, docs/parameters.md and README's findings from figures/*.csv
# make count    files and lines of each room of src/subtr
# make judges   installs the pretrained models that score reconstructions, 400 MB
# make voice    installs a synthetic voice, for measurements with more speech, 90 MB
# make cost     measures what every encoder costs with every aggregator, minutes
#
# make bench WHAT=speech                one question, or several; `python -m benchmarks --list`
#
# make run STUDY=alice                  a study: simulated (default), alice, ...
# make run FILM=path/to/film.webm       your own film
# make run PARAMS=full SEEDS=0,1,2      the parameters of the GPU node
#
# make reconstruct FILM=film.mp4 OUT=out.mp4   a whole film as a trained system draws it; SYSTEM,
#   TRAINED_ON and PARAMS say which, MORE="--fit-steps 10" what else (--help lists it)

PYTHON ?= python3
VENV   ?= .venv
STUDY  ?= $(if $(FILM),film,simulated)
FILM   ?=
PARAMS ?= smoke
SEEDS  ?=
RUNS   ?= runs
SYSTEM := tier1
TRAINED_ON := simulated
OUT    := reconstruction.mp4
MORE   :=
WHAT   ?=
CORES  ?= $(shell $(PYTHON) -c "import os; print(os.cpu_count())")
# On Linux without an NVIDIA card, TORCH_INDEX=https://download.pytorch.org/whl/cpu saves 3 GB.
TORCH_INDEX ?=

BIN   := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP   := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: setup run reconstruct test lab bench figures docs count cost judges voice clean lock format

setup: $(STAMP)

run: $(STAMP)
	@$(BIN)/python -m subtr.experiments.run --study "$(STUDY)" --film "$(FILM)" --params "$(PARAMS)" \
	    --seeds "$(SEEDS)" --runs "$(RUNS)" --cores "$(CORES)"

reconstruct: $(STAMP)
	@$(BIN)/python -m subtr.experiments.reconstruct --film "$(FILM)" --out "$(OUT)" --system "$(SYSTEM)" \
	    --study "$(TRAINED_ON)" --params "$(PARAMS)" --runs "$(RUNS)" $(MORE)

test: $(STAMP)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache
	@# A file stays in one process, for its tests share what they make.
	@$(BIN)/python -m pytest -n $(CORES) --maxprocesses 8 --dist loadfile --no-loadscope-reorder

bench: $(STAMP)
	@$(BIN)/python -m benchmarks $(WHAT) --runs "$(RUNS)"

figures: $(STAMP)
	@$(BIN)/python -m benchmarks.figures

docs: $(STAMP)
	@$(BIN)/python -m benchmarks.pages

count:
	@for room in src/subtr/*; do test "$$room" = src/subtr/__pycache__ || find "$$room" -name '*.py' \
	    | xargs cat | wc -l | xargs printf '%-28s %3d files %6d lines\n' "$$room" \
	    "$$(find "$$room" -name '*.py' | wc -l)"; done
	@find src/subtr -name '*.py' | xargs cat | wc -l | xargs printf '%-28s %3d files %6d lines\n' all \
	    "$$(find src/subtr -name '*.py' | wc -l)"

cost: $(STAMP)
	@$(BIN)/python -m benchmarks cost --runs "$(RUNS)"

judges: $(STAMP)
	@$(PIP) --no-deps --require-hashes -r requirements-judges.txt
	@$(PIP) --no-deps --require-hashes --no-build-isolation -r requirements-judges-source.txt \
	    || echo "PESQ and ViSQOL need a C compiler; without one they are skipped."
	@$(PIP) --no-deps --require-hashes -r requirements-judges-moonshine.txt \
	    || echo "Moonshine needs glibc 2.34 (a Linux of 2021 or later); without it, it is skipped."
	@$(BIN)/python -m subtr.experiments.judged

voice: $(STAMP)
	@$(PIP) --no-deps --require-hashes -r requirements-voice.txt

lab: $(STAMP)
	@# From here, so that the runs can be browsed beside the notebooks.
	@$(BIN)/jupyter lab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c "import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else \
	    f'$(PYTHON) is Python {v[0]}.{v[1]}; subtr needs 3.11 or newer: make PYTHON=python3.12')"
	@echo "Setting up $(VENV) (a few minutes, once) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@# torch first and exact, so that nothing resolves to another build of it.
	@$(PIP) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) "$$(grep '^torch==' requirements.lock)"
	@$(PIP) -r requirements.lock
	@$(PIP) --no-deps -e .
	@touch $@

lock: $(STAMP)
	@$(BIN)/python -m pip --disable-pip-version-check freeze --exclude-editable --exclude subtr \
	    | sed 's/+cpu$$//' > requirements.lock && touch $(STAMP)

format: $(STAMP)
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

clean:
	rm -rf $(RUNS) .snakemake
