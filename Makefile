# Everything a contributor types. PYTHON is the interpreter of the environment in use.
PYTHON ?= .venv/bin/python
SHELL := /bin/bash

.PHONY: install test check format fast

install:            ## a virtual environment with everything the tests need
	python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e '.[test]'

test:               ## every test, on two processes
	$(PYTHON) -m pytest -n 2

fast:               ## the tests that train nothing for long
	$(PYTHON) -m pytest -n 2 -m 'not slow'

check:              ## what CI checks besides the tests
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

format:             ## put the code in order
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .
