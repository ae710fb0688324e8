# The lab in one word each: `make help` lists them. The environment is .venv/, made on first use.

PYTHON ?= python3
JOBS   ?= 2
STEPS  ?= 300
ARGS   ?=

BIN   := .venv/bin
READY := .venv/.ready
NOTEBOOKS := $(patsubst notebooks/src/%.py,notebooks/%.ipynb,$(wildcard notebooks/src/*.py))
PYTEST := OMP_NUM_THREADS=1 MTLNAS_LAB_FAST=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

# JupyterLab refuses root, who is the only user in many containers, without this.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

# What Python compiled and pytest rewrote is kept, whatever the surroundings say: each process would do it again.
unexport PYTHONDONTWRITEBYTECODE

# Idle threads sleep: beside a busy browser, threads that spin while they wait slow a search many times over.
OMP_WAIT_POLICY ?= PASSIVE
export OMP_WAIT_POLICY

.DEFAULT_GOAL := help
.PHONY: help setup lab demo test test-slow notebooks forms slides site faults bench bench-studio studies-small samples clean

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY)  ## make the environment (.venv/); the others do it by themselves

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[test]"
	@touch $@

lab: $(READY)  ## open JupyterLab on the first notebook
	$(BIN)/jupyter lab $(AS_ROOT) --ServerApp.root_dir=. $(ARGS) notebooks/00_start_here.ipynb

demo: $(READY)  ## a short search without a browser, into runs/demo (removes the earlier one); STEPS=n
	@if [ -e runs/demo ]; then echo "removing the earlier runs/demo"; rm -rf runs/demo; fi
	$(BIN)/mtlnas-lab search --out runs/demo --steps $(STEPS) $(ARGS)

test: $(READY)  ## style, examples in docstrings, the tests, every notebook with its answers in its fast mode
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(PYTEST) -m "not slow" $(ARGS) tests

test-slow: $(READY)  ## the tests that take longer, and the notebooks as a student opens them
	$(PYTEST) --nbmake --nbmake-timeout=300 notebooks
	$(PYTEST) -m slow $(ARGS) tests

notebooks: $(READY) $(NOTEBOOKS)  ## build and execute the notebooks whose source in notebooks/src changed

notebooks/%.ipynb: notebooks/src/%.py | $(READY)
	$(BIN)/python notebooks/build.py $<

forms: $(READY)  ## the notebooks with their answers, for teachers with timings and talking points, and for a class without any answer
	$(BIN)/python notebooks/build.py --form solution notebooks/src/*.py
	$(BIN)/python notebooks/build.py --form teacher notebooks/src/*.py
	$(BIN)/python notebooks/build.py --form class notebooks/src/*.py

slides: $(READY)  ## the notebooks as slides, into notebooks/forms/slides/: a heading begins one, talking points are the speaker's notes
	$(BIN)/python notebooks/build.py --form slides notebooks/src/*.py
	$(BIN)/jupyter nbconvert --to slides --no-input --SlidesExporter.reveal_scroll=True --log-level WARN notebooks/forms/slides/*.ipynb

site: .venv/.site  ## the site in build/site/html: static pages, the course and the playground among them
	$(BIN)/python docs/make_site.py

.venv/.site: pyproject.toml constraints.txt | $(READY)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt -e ".[site]"
	@touch $@

faults: $(READY) benchmarks/faults.py  ## kill, cut and fill: the fault campaigns
	$(BIN)/python benchmarks/faults.py $(ARGS)

bench: $(READY) benchmarks/bench.py  ## how fast, as ratios measured side by side
	$(BIN)/python benchmarks/bench.py $(ARGS)

bench-studio: $(READY) benchmarks/studio.py  ## what the studio costs: slow-down, slider, frames, memory (an hour)
	$(BIN)/python benchmarks/studio.py $(ARGS)

studies-small: $(READY)  ## the small studies with their reports, in an hour; goes on where it was stopped
	@if [ -z "$$MTLNAS_LAB_REAL_DATA" ]; then echo "MTLNAS_LAB_REAL_DATA is not set: the studies real and photos are left out"; fi; \
	failed=0; for name in main algorithm gap $${MTLNAS_LAB_REAL_DATA:+real photos}; do \
		$(BIN)/mtlnas-lab study $$name --size small --jobs $(JOBS) $(ARGS) || failed=1; \
	done; exit $$failed

samples: $(READY)  ## make everything in data_samples/ again
	$(BIN)/mtlnas-lab data make-rooms
	$(BIN)/python tools/make_samples/make_samples.py backbones
	$(BIN)/python tools/make_samples/make_samples.py runs

clean:  ## remove the environment and what tests left; runs/ stays
	rm -rf .venv build dist test-output .pytest_cache .hypothesis .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
