# Everything a contributor types. PYTHON is the interpreter of the environment in use.
PYTHON ?= .venv/bin/python
SHELL := /bin/bash

.PHONY: install test check format bench bench-threads bench-frameworks bench-quality fast crash crash-long fuzz fuzz-long reliability

install:            ## a virtual environment with everything the tests need
	python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e '.[test]'

test:               ## every test, on two processes
	$(PYTHON) -m pytest -n 2

fast:               ## the tests that train nothing for long
	$(PYTHON) -m pytest -n 2 -m 'not slow and not reliability'

check:              ## what CI checks besides the tests
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

CRASH := sigterm crash damage diskfull nan ranks seeds flat

crash:              ## kill, damage, fill the disk, signal, poison: a few minutes
	$(PYTHON) -m reliability short $(CRASH)

crash-long:         ## the same as docs/reliability.md records it: an hour or more
	$(PYTHON) -m reliability long $(CRASH)

fuzz:               ## malformed and hostile files and command lines: a minute
	$(PYTHON) -m reliability short hostile fuzz

fuzz-long:          ## the same, 20,000 of them
	$(PYTHON) -m reliability long hostile fuzz

bench:              ## ours beside the published loops, by turns: 15 minutes of a quiet machine
	$(PYTHON) -m benchmarks --json runs/bench/systems.json
	$(PYTHON) -m benchmarks.small --json runs/bench/small.json
	$(PYTHON) -m benchmarks.populations --json runs/bench/populations.json
	$(PYTHON) -m benchmarks.everyday --json runs/bench/everyday.json

bench-threads:      ## what threads = 0 chooses, quiet and beside busy processes: 5 quiet minutes
	$(PYTHON) -m benchmarks.threads --json runs/bench/threads.json

bench-quality:      ## time to quality: ten seeds beside the published DCGAN, an hour and a half
	$(PYTHON) -m benchmarks.quality --json runs/bench/quality.jsonl

bench-frameworks:   ## the chapter's game in TensorFlow, MXNet, JAX and ours; installs each apart
	$(PYTHON) -m benchmarks.frameworks --json runs/bench/frameworks.json

format:             ## put the code in order
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

reliability: crash fuzz  ## both, and that each script fails where a protection is taken out
	$(PYTHON) -m pytest -m reliability -n 2
