# Two commands matter: `make quickstart` and `make test`. Each creates what it needs in .venv, from pinned versions.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: quickstart train test test-browser lint format clean
.DEFAULT_GOAL := quickstart

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "corpus-ja needs Python 3.11 or newer; say which with: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.developing: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.installed

quickstart: $(VENV)/.installed  ## build recipes/quickstart offline
	$(BIN)/corpus-ja build --mix recipes/quickstart/mix.yaml

train: $(VENV)/.training $(VENV)/.installed  ## train recipes/quickstart on its build
	@test -f builds/quickstart/manifest.json || $(BIN)/corpus-ja build --mix recipes/quickstart/mix.yaml
	$(BIN)/python -m train.run --config recipes/quickstart/train.yaml --resume auto

$(VENV)/.training: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train]'
	@touch $@ $(VENV)/.installed

test: $(VENV)/.developing  ## the tests; those of the shared data need CORPUS_JA_DATA or ../shared/data
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-browser: $(VENV)/.developing  ## the report page in headless Chromium (Debian: apt-get install chromium fonts-noto-cjk)
	$(BIN)/python -m pytest -m browser

lint: $(VENV)/.developing  ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.developing
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
