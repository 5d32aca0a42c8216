# The commands of this repository. `make demo` and `make test` need Python 3.11 or newer with venv, and make.
#
#   PYTHON=python3.12   which Python makes the environment
#   PARITY=1            also install PyTorch and compare with it
#   JOBS=4              how many tests run at once

VENV := .venv
BIN := $(VENV)/bin
JOBS ?= auto
CUDA ?= 12
# the first Python that is new enough
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALL := $(PIP) install --editable
RUN_OPTIONS ?=
BENCH_OPTIONS ?=
SUITES ?= overhead ops kernels train cold

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-gpu lint types parity bench bench-gpu notebooks clean

help:
	@echo "make demo            install, and train a network on handwritten digits"
	@echo "make test            lint, types, tests (PARITY=1: compared with PyTorch too)"
	@echo "make test-gpu        the tests that need an NVIDIA GPU; CuPy comes with CUDA=12 or CUDA=13"
	@echo "make lint | types    one of them"
	@echo "make notebooks       open the lessons in Jupyter"
	@echo "make bench           all benchmarks, and the README's tables of them (SUITES=train: one of them)"
	@echo "make bench-gpu       kernels and training steps on the GPU, beside torch on the same GPU"
	@echo "make clean           remove the environment, caches and runs"

demo: $(VENV)/.train
	$(BIN)/minigrad train digits-cnn $(RUN_OPTIONS)

notebooks: $(VENV)/.notebooks
	$(PIP) install jupyterlab
	$(BIN)/jupyter lab notebooks

test: lint types $(if $(filter-out 0 no,$(PARITY)),$(VENV)/.parity)
	$(BIN)/python -m pytest -n $(JOBS)

# CuPy is installed only here, as its wheel must fit the driver
test-gpu: $(VENV)/.dev
	@$(BIN)/python -c 'import cupy' 2>/dev/null || $(PIP) install 'cupy-cuda$(CUDA)x[ctk]>=13'
	$(BIN)/python -m pytest -m gpu -rs

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

parity: $(VENV)/.parity

bench: $(VENV)/.bench
	@mkdir -p benchmarks/results
	@for suite in $(SUITES); do \
		$(BIN)/minigrad bench $$suite $(BENCH_OPTIONS) --json benchmarks/results/$$suite.json \
			--png benchmarks/results/$$suite.png || exit 1; done
	@$(BIN)/python -m minigrad.benchmarks.table

bench-gpu: $(VENV)/.bench
	@$(BIN)/python -c 'import cupy' 2>/dev/null || $(PIP) install 'cupy-cuda$(CUDA)x[ctk]>=13'
	@mkdir -p benchmarks/results
	@for suite in kernels train; do \
		$(BIN)/minigrad bench $$suite --backend cupy $(BENCH_OPTIONS) --json benchmarks/results/$$suite-gpu.json || exit 1; \
	done

# Each stamp says which extra is installed. It is renewed when pyproject.toml changes.
$(VENV)/.train $(VENV)/.notebooks $(VENV)/.dev $(VENV)/.parity $(VENV)/.bench: $(VENV)/.%: pyproject.toml | $(BIN)/python
	@echo "installing minigrad[$*] into $(VENV)"
	@$(INSTALL) '.[$*]'
	@touch $@

$(VENV)/.parity: | $(VENV)/.dev

$(BIN)/python:
	@test -n '$(PYTHON)' || { echo "make: Python 3.11 or newer is needed: install it, or name it with PYTHON=..." >&2; exit 1; }
	@echo "making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

clean:
	rm -rf $(VENV) runs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
