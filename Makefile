# Two commands for a newcomer: `make rehearsal` runs a year's nights on this machine, `make test` proves the tool. The lab
# stays, to be looked at: `inv rehearsal.down` ends it. CONTRIBUTING.md explains every target.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SCALE ?= 1/10
CODE := tasks.py errors.py formatting.py inventory archiver platforms runbooks rehearsal bench tests

.PHONY: install rehearsal rehearsal-2013 test test-long test-browser test-foreign matrix mutants torture bench bench-scaling pictures lint format lock clean

# Byte code and the list of tasks: Invoke lets no start write byte code, and each would translate the tool anew.
install: $(VENV)/.installed
	@$(BIN)/python -m compileall -q $(CODE)
	@$(BIN)/inv --list > /dev/null

$(VENV)/.installed: requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	touch $@

rehearsal: install
	$(BIN)/inv rehearsal.run --keep

rehearsal-2013: install
	$(BIN)/inv rehearsal.run --checklist=2013 --keep

test: install
	$(BIN)/python -m pytest

# Whole nights, kills at every moment, archives of several years, random products: what takes long, and CI runs, too.
test-long: install
	$(BIN)/python -m pytest tests/long

# The report of a night in a real browser: wants Chromium, and so is not part of `make test`.
test-browser: install
	$(BIN)/python -m pytest -n 0 tests/browser

# With programs that PyPI does not have: pgbouncer, from Debian.
test-foreign: install
	$(BIN)/python -m pytest tests/foreign

# Each adversity on each way out and back; `make test` tries each on one way.
matrix: install
	$(BIN)/python -m pytest tests/matrix

# Switches off one guard of the archiver after the other, and prints those that no test misses. Wants hours at first, then
# only what changed. WORDS are pytest's: a new test is tried on what is left.
mutants: install
	$(BIN)/python -m tests.mutants $(WORDS)

# Hours of trying to lose a row; interrupted, it goes on where it was. Of the moments at which a run can be struck it takes
# a share, evenly spread: the numbers that it prints say how many of how many. WORDS=--tries=20 makes so many tries of each
# kind, WORDS=--tries=all wants days; other words are pytest's, such as -k 13.
torture: install
	$(BIN)/python -m tests.torture $(WORDS)

# The product beside its limits and peers, on the same rows in the same run: bench/README.md. Wants 15 GB of disk at 1/10.
bench: install
	$(BIN)/python -m bench --scale=$(SCALE)

bench-scaling: install
	$(BIN)/python -m bench.scaling

# The pictures in docs/pictures, from a session in a lab of its own. WORDS=draw draws again what was played last.
pictures: install
	$(BIN)/python -m tests.pictures $(WORDS)

lint: install
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)

format: install
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

# Writes requirements.lock anew from pyproject.toml; names no index, so that any mirror serves.
lock:
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --extra=rehearsal --extra=test \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file=requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) .torture .bench .pictures .rehearsal .cutover .mypy_cache .ruff_cache .pytest_cache
