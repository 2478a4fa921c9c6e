# make demo   sets everything up and does the main job on real sound     (make demo ARGS=--once ends by itself)
# make test   sets everything up and runs every test
# make lint, fmt, bench, soak, lock, clean
PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .stamps
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# What has been compiled is kept, even where the environment says otherwise: demo and tests start many processes.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test lint fmt bench soak lock vectors dashboard image clean
help:
	@sed -n '1,3s/^# //p' Makefile

$(STAMPS)/venv:
	@mkdir -p $(STAMPS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "loa: Python 3.11 or newer is needed; please run: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || scripts/debian_packages.sh demo
	@echo "setting up $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# What a core needs; enough for the demo.
$(STAMPS)/core: $(STAMPS)/venv requirements/core.lock pyproject.toml
	@echo "installing the core's packages"
	@$(PIP) install --require-hashes -r requirements/core.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

# All that the tests and the checkers need.
$(STAMPS)/dev: $(STAMPS)/core requirements/dev.lock
	@echo "installing the developers' packages"
	@$(PIP) install --require-hashes -r requirements/dev.lock
	@touch $@

$(STAMPS)/debian: deploy/debian-packages.txt
	@mkdir -p $(STAMPS)
	@scripts/debian_packages.sh demo test
	@touch $@

demo: $(STAMPS)/core
	@$(BIN)/loa demo $(ARGS)

# One process more than there are cores: tests of real processes wait a good part of their time.
test: $(STAMPS)/debian $(STAMPS)/dev
	$(BIN)/python -m pytest -n $$(( $$(nproc) + 1 )) --dist worksteal $(ARGS)

lint: $(STAMPS)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fmt: $(STAMPS)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The peers and the limits stand in the same run; what cannot be installed is said.
$(STAMPS)/bench: $(STAMPS)/dev requirements/bench.lock deploy/debian-packages.txt
	@scripts/debian_packages.sh demo bench
	@$(PIP) install --require-hashes -r requirements/bench.lock
	@touch $@

bench: $(STAMPS)/bench
	$(BIN)/python -m benchmarks $(ARGS)

soak: $(STAMPS)/bench
	$(BIN)/python -m benchmarks soak $(ARGS)

vectors: $(STAMPS)/dev
	$(BIN)/python scripts/make_vectors.py

# The image of the core, built and tried by buildah: TAG=…, BASE=…, see deploy/image.sh.
image:
	@scripts/debian_packages.sh image
	@deploy/image.sh

dashboard: $(STAMPS)/dev
	@$(PIP) install 'grafana-foundation-sdk==1769699379!11.6.0'
	$(BIN)/python scripts/make_dashboard.py

# Locks hold hashes and no address, so that any mirror will do.
COMPILE = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
  --no-header --no-annotate --no-emit-index-url --extra sound
lock: $(STAMPS)/dev
	@$(PIP) install uv
	$(COMPILE) --extra core --extra cluster --extra dev pyproject.toml requirements/build.in -o requirements/dev.lock
	$(COMPILE) --extra bench -c requirements/dev.lock pyproject.toml requirements/build.in -o requirements/bench.lock
	$(COMPILE) --extra core --extra cluster -c requirements/dev.lock pyproject.toml requirements/build.in -o requirements/cluster.lock
	$(COMPILE) --extra core -c requirements/dev.lock pyproject.toml requirements/build.in -o requirements/core.lock
	$(COMPILE) -c requirements/dev.lock pyproject.toml requirements/build.in -o requirements/speaker.lock

clean:
	rm -rf $(VENV) $(STAMPS) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis demo-data
