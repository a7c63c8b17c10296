# Everything that a newcomer types. Each target makes .venv when it is missing and takes nothing
# from the machine but Python 3.11+, pip, git and make.

PYTHON ?= python3
BIN := .venv/bin
# Test processes share the cores: torch's threads must not spin while they wait for each other.
PYTEST := OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint bench clean
.DEFAULT_GOAL := demo

demo: .venv/local           ## the whole loop on this machine
	$(BIN)/scones demo --out out

test: .venv/test            ## proves it
	$(MAKE) --no-print-directory lint
	$(PYTEST) tests/end_to_end/test_demo.py # alone: it trains on all cores
	$(PYTEST) -n 3 --dist loadfile --ignore tests/end_to_end/test_demo.py

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy pipelines steps lambdas workflow monitoring scones service_model pipeline_definition localaws
	$(BIN)/cfn-lint infra/*.yaml

bench: .venv/test           ## the README's figures
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .scones out build *.egg-info

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Scones needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv .venv

# The marker files say which extras are in .venv; a change of setup.py or the pins installs again.
.venv/local: setup.py constraints.txt | .venv/bin/python
	@echo "Installing Scones into .venv (once; some minutes) …"
	$(INSTALL) torch==2.13.0
	$(INSTALL) -e '.[local]'
	@touch $@

.venv/test: .venv/local
	$(INSTALL) -e '.[local,test]'
	@touch $@
