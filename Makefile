# Everything that a newcomer types. Each target makes .venv when it is missing and takes nothing
# from the machine but Python 3.11+, pip, git and make.

PYTHON ?= python3
# BIN=… names a Python that has everything already, a build image's say; then nothing is installed.
BIN ?= .venv/bin
TEMPLATES := $(filter-out infra/prices.yaml,$(wildcard infra/*.yaml))
INSTALL := .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test tests lint bench clean bin
.DEFAULT_GOAL := demo

demo: .venv/local           ## the whole loop on this machine
	$(BIN)/python -m scones demo --out out

test: .venv/test            ## proves it
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory tests

# TESTS narrows what runs; REPORTS is a folder for the results in JUnit's format. The demo trains on
# all cores, so it has them to itself; then whole files go to the processes in the order of their
# names, so that the end-to-end ones, which take minutes, come first.
DEMO := tests/end_to_end/test_demo.py
tests: .venv/test
ifeq ($(TESTS),)
	$(PYTEST) $(call junit,demo) $(DEMO)
	$(PYTEST) $(call junit,tests) -n 3 --dist loadfile --no-loadscope-reorder --ignore $(DEMO)
else
	$(PYTEST) $(call junit,tests) $(TESTS)
endif

# Test processes share the cores: torch's threads must not spin while they wait for each other.
PYTEST := OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest
junit = $(if $(REPORTS),--junitxml=$(REPORTS)/$(1).xml)

lint: .venv/test .venv-checkov/done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy pipelines steps lambdas workflow monitoring scones service_model pipeline_definition buildspec localaws
	$(BIN)/cfn-lint $(TEMPLATES)
	.venv-checkov/bin/checkov --file $(TEMPLATES) --framework cloudformation --compact --quiet --skip-download

bench: .venv/test           ## the README's figures
	$(BIN)/python -m benchmarks

# The folder of a Python with everything that a build needs; made if this machine has none.
bin:
	@python -c 'from importlib.util import find_spec as f; import sys; sys.exit(not all(map(f, \
		("moto", "pytest", "sagemaker", "torch"))))' 2>/dev/null && dirname "$$(command -v python)" \
		|| { $(MAKE) --no-print-directory .venv/test >&2 && echo "$(CURDIR)/.venv/bin"; }

clean:
	rm -rf .venv .venv-checkov .scones out build *.egg-info

ifneq ($(BIN),.venv/bin)
.venv/local .venv/test: ;
else
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
endif

# checkov pins a hundred libraries, some against ours, so it has a place of its own.
.venv-checkov/done: infra/checkov.txt | .venv/bin/python
	@echo "Installing checkov into .venv-checkov (once; a minute) …"
	$(PYTHON) -m venv .venv-checkov
	.venv-checkov/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@
