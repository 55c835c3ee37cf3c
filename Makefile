# Every target works on a machine with Python 3.11 or 3.12 and nothing else; see CONTRIBUTING.md.
PYTHON ?= $(shell for p in python3 python3.12 python3.11; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null \
	&& echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help .venv demo demo-training test test-integration test-hostile lint format clean

help:
	@echo "make .venv   create .venv with the pinned dependencies"
	@echo "make demo    reconstruct the sample with the shipped weights, segment it, and write runs/demo"
	@echo "make demo-training   train every stage briefly on the sample first, and write runs/demo_training"
	@echo "make test    lint, and run the tests"
	@echo "make test-integration   run the bundle in other programs' environments, such as a MONAI Label server's"
	@echo "make test-hostile   give every command more than a thousand damaged and contradictory inputs"
	@echo "make lint    check the code's style and types"
	@echo "make format  mend the code's style"
	@echo "make clean   remove what the other targets made; your own trainings in runs/ stay"

.venv: .venv/.demo

.venv/.python:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or 3.12 with venv. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	touch $@

# torch comes first and pinned: an open range can bring gigabytes of CUDA packages to a machine without a GPU.
.venv/.demo: .venv/.python pyproject.toml constraints.txt
	$(PIP) torch
	$(PIP) --editable '.[demo]'
	touch $@

.venv/.test: .venv/.demo
	$(PIP) --editable '.[test]'
	touch $@

demo: .venv/.demo
	$(BIN)/python scripts/demo.py

demo-training: .venv/.demo
	$(BIN)/python scripts/demo.py --train

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: .venv/.test lint
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.venv-%/.installed: tests/integration/%.txt
	$(PYTHON) -m venv .venv-$*
	grep '^torch==' $< | xargs --no-run-if-empty .venv-$*/bin/python -m pip install --quiet --disable-pip-version-check
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

# What cannot be installed is skipped, with the reason.
test-integration: .venv/.test
	-$(MAKE) --keep-going .venv-monailabel/.installed .venv-nvflare/.installed .venv-mbirjax/.installed
	$(BIN)/python -m pytest -m integration -rs tests/integration

test-hostile: .venv/.test
	$(BIN)/python -m tests.hostile

clean:
	rm -rf .venv .venv-* runs/demo runs/demo_training
