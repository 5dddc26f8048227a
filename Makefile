# Every target makes what it needs: the virtual environment, the packages, the data.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
FILES := src tests benchmarks examples docs/conf.py docs/make_gallery.py docs/make_reference.py
# a file stays with one worker, so that its fixtures are made once; whole programs come first, for they take longest
PARALLEL := --numprocesses logical --dist loadfile --no-loadscope-reorder
# other Pythons that the package says it runs on, where they are to be had: in the path, or from pyenv
VERSIONS := 3.12 3.13
# Debian's packages that tests start or read; where they are not to be had, these tests are skipped
SYSTEM := postgresql slurm-wlm chromium dataset-fashion-mnist

.PHONY: sweep system test test-fast test-versions faults check dist bench ui gallery pictures docs format clean

sweep: $(VENV)/.installed ## the main job: three schedules on MNIST, ten seeds each, recorded and compared
	$(BIN)/python src/train.py -m schedule=fixed,exponential,staircase 'seed=range(0,10)'

test: $(VENV)/.installed-dev ## all tests and doctests, on all cores
	$(BIN)/python -m pytest $(PARALLEL) src tests/unit
	$(BIN)/python -m pytest $(PARALLEL) tests/training tests/programs

test-fast: $(VENV)/.installed-dev ## the first tier: no process, no TensorFlow; two minutes on two cores
	$(BIN)/python -m pytest $(PARALLEL) -m unit tests/unit src/ratelab

# fewer examples of each property: what is looked for is another Python, not other values
test-versions: build/uv/bin/uv ## the first tier with the other Pythons, each in an environment of its own below build/
	@for version in $(VERSIONS); do \
	  for python in python$$version "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$$version.*/bin/python none; do \
	    if $$python -c 'import ensurepip' 2>/dev/null; then \
	      PYTEST_ADDOPTS="--hypothesis-profile few" VIRTUAL_ENV=build/python-$$version \
	        $(MAKE) --no-print-directory test-fast PYTHON=$$python VENV=build/python-$$version PIP="$< pip" || exit 1; \
	      break; \
	    fi; \
	  done; \
	  test $$python != none || echo "Python $$version is not here: nothing is tried with it"; \
	done

faults: $(VENV)/.installed-dev ## the long tests of faults: signals and kills at many moments; two hours
	$(BIN)/python -m pytest --numprocesses 3 --dist worksteal -m faults tests/programs # half of them wait

system: ## Debian's packages that tests need, where they are missing and may be installed
	@missing=$$(for name in $(SYSTEM); do dpkg -s $$name >/dev/null 2>&1 || echo $$name; done); \
	test -z "$$missing" || apt-get -qq update >/dev/null 2>&1; \
	for name in $$missing; do \
	  DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $$name >/dev/null 2>&1 || \
	  echo "$$name cannot be installed here: the tests that need it are skipped"; \
	done

check: $(VENV)/.installed-dev ## style, types; changes nothing
	$(BIN)/ruff check $(FILES)
	$(BIN)/ruff format --check $(FILES)
	$(BIN)/mypy

dist: $(VENV)/.installed-dev $(VENV)/.installed-dist ## sdist and wheel, checked; the wheel alone with what its metadata asks for
	rm -rf dist
	$(BIN)/python -m build --no-isolation # with the pinned hatchling, and the wheel from the sdist
	$(BIN)/twine check --strict dist/*
	RATELAB_WHEEL="$$(ls "$(CURDIR)"/dist/*.whl)" $(BIN)/python -m pytest tests/programs/test_wheel.py

bench: $(VENV)/.installed-bench ## us, the peers and the floor, side by side; a quiet machine, please
	$(BIN)/python benchmarks/train_step.py
	$(BIN)/python benchmarks/metrics_store.py
	$(BIN)/python benchmarks/whole_run.py
	$(BIN)/python benchmarks/sweep.py

ui: $(VENV)/.installed ## MLflow's UI on this machine, with links to the newest sweep
	$(BIN)/ratelab ui

gallery: $(VENV)/.installed ## docs/schedules.md and its figures, from conf/ and the docstrings
	$(BIN)/python docs/make_gallery.py

docs: $(VENV)/.installed-docs ## the documentation as a site, build/site/index.html; a warning ends it
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --fresh-env -d build/doctrees docs build/site

pictures: $(VENV)/.installed-dev ## docs/pictures/, as Chromium shows MLflow's charts and a report
	PICTURES=docs/pictures $(BIN)/python -m pytest tests/programs/test_browser.py -k picture

format: $(VENV)/.installed-dev ## put the files into the agreed form
	$(BIN)/ruff check --fix $(FILES)
	$(BIN)/ruff format $(FILES)

clean: ## remove what was built; mlruns/ and multirun/ stay
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks docs -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

build/uv/bin/uv: constraints.txt # which installs in seconds; it reads no configuration of pip's
	$(PYTHON) -m venv build/uv
	build/uv/bin/python -m pip install --quiet --constraint constraints.txt uv

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt --editable .
	$(BIN)/python -m compileall -q src # as pip does for other packages: some may not write bytecode later
	touch $@

$(VENV)/.installed-%: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable ".[$*]"
	touch $@
