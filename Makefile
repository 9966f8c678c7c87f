# Everything a contributor types. PYTHON is the interpreter of the environment in use.
PYTHON ?= .venv/bin/python
SHELL := /bin/bash

.PHONY: install test check format bench bench-serve bench-threads bench-frameworks bench-quality nightly fast dist crash crash-long fuzz fuzz-long stress mutants mutants-short site

install:            ## a virtual environment with everything the tests need
	python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e '.[test]'

test:               ## every test, on two processes
	$(PYTHON) -m pytest -n 2

fast:               ## the tests that train nothing for long
	$(PYTHON) -m pytest -n 2 -m 'not slow and not stress and not nightly'

dist:               ## sdist and wheel in dist/, as they are released, and their description checked
	rm -rf dist && $(PYTHON) -m pip install -q -c constraints.txt 'hatchling>=1.26' 'twine>=6'
	$(PYTHON) -m hatchling build -d dist
	$(PYTHON) -m twine check --strict dist/*

check:              ## what CI checks besides the tests
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

CRASH := sigterm crash damage diskfull nan ranks seeds flat

crash:              ## kill, damage, fill the disk, signal, poison: a few minutes
	$(PYTHON) -m tests.stress short $(CRASH)

crash-long:         ## the same as docs/reliability.md records it: an hour or more
	$(PYTHON) -m tests.stress long $(CRASH)

fuzz:               ## malformed and hostile files and command lines: a minute
	$(PYTHON) -m tests.stress short hostile fuzz

fuzz-long:          ## the same, 20,000 of them
	$(PYTHON) -m tests.stress long hostile fuzz

mutants:            ## changed code that the tests must see: a score by package, an hour or two
	$(PYTHON) -m tests.stress.mutations --each 12 --protections --json runs/mutants.jsonl

mutants-short:      ## eight of them: half a minute
	$(PYTHON) -m tests.stress.mutations --each 0 --only gan/

bench:              ## ours beside the published loops, or AGAINST=COMMIT, by turns: 15 quiet minutes
	$(PYTHON) -m benchmarks.speed $(if $(AGAINST),--against $(AGAINST)) --json runs/bench/systems.json
	$(PYTHON) -m benchmarks.speed.small --json runs/bench/small.json
	$(PYTHON) -m benchmarks.speed.populations --json runs/bench/populations.json
	$(PYTHON) -m benchmarks.speed.everyday --json runs/bench/everyday.json

bench-serve:        ## the service under load, by its CPU time: RUN=runs/cdcgan, two minutes
	$(PYTHON) -m benchmarks.speed.serving $(RUN) --json runs/bench/serving.json

bench-threads:      ## what threads = 0 chooses, quiet and beside busy processes: 5 quiet minutes
	$(PYTHON) -m benchmarks.speed.threads --json runs/bench/threads.json

bench-quality:      ## time to quality: ten seeds beside the published DCGAN, an hour and a half
	$(PYTHON) -m benchmarks.quality.time_to_quality --json runs/bench/quality.jsonl

bench-frameworks:   ## the chapter's game in TensorFlow, MXNet, JAX and ours; installs each apart
	$(PYTHON) -m benchmarks.speed.frameworks --json runs/bench/frameworks.json

nightly:            ## what CI has no time for: every test with all extras, each stress script, changed code
	$(PYTHON) -m pip install -q -c constraints.txt -e '.[loggers,notebooks,test,site]'
	$(PYTHON) -m pytest -n 2
	npm install --silent --no-save --ignore-scripts --prefix .node onnxruntime-web@1 || true
	NODE_PATH=$(CURDIR)/.node/node_modules $(PYTHON) -m pytest -n 2 -m nightly
	$(PYTHON) -m tests.stress short $(CRASH) hostile fuzz
	$(PYTHON) -m pytest -m stress -n 2
	$(PYTHON) -m tests.stress.mutations --each 12

site:               ## the documentation as a site, in build/site
	$(PYTHON) -m pip install -q -c constraints.txt -e '.[site]'
	$(PYTHON) -m docs.site

format:             ## put the code in order
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

stress: crash fuzz  ## both, and that each script fails without the protection it tests
	$(PYTHON) -m pytest -m stress -n 2
