# Everything runs from a fresh clone with Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
DOCS_READY := .venv-docs/ready
DIST_READY := .venv-dist/ready

.PHONY: demo test lint typing dist nox docs docs-serve diagrams bench bench-peers bench-page crash-replay campaign clean \
	crash faults power-cut damage contention mutations load-postgres scale-postgres

demo: $(READY)
	$(BIN)/lashstore demo

test: lint typing
	$(BIN)/python -m pytest -n 4 --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typing: $(READY)
	$(BIN)/mypy
	$(BIN)/mypy examples
	$(BIN)/basedpyright --pythonpath $(BIN)/python

# Builds wheel and sdist into dist.
dist: $(DIST_READY)
	rm -rf dist
	.venv-dist/bin/python -m build --quiet
	.venv-dist/bin/twine check --strict dist/*

# Tests on every Python there is, types, the wheel, the sdist, the documents.
nox: $(DIST_READY)
	.venv-dist/bin/nox $(ARGS)

# The site, in build/site. Its environment is its own: tests need not wait for
# what only the site takes. The notice is in ADR 25.
docs: $(DOCS_READY)
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet
	@echo "build/site/index.html is the first page"

docs-serve: $(DOCS_READY)
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs serve

# Draws docs/diagrams from the tables and the state machines.
diagrams: $(READY)
	$(BIN)/python tools/make_diagrams.py

bench: $(READY)
	$(BIN)/python -m benchmarks

# Makes each peer's virtual environment under benchmarks/.venvs.
bench-peers: $(READY)
	$(BIN)/python -m benchmarks --peers

# Writes docs/benchmarks.md from the last runs of both.
bench-page: $(READY)
	$(BIN)/python -m benchmarks --publish

# All ten shared transcripts, each killed at 20 random moments.
crash-replay: $(READY)
	$(BIN)/python -m pytest -n 2 -m campaign tests/crash

# Four hosts on one PostgreSQL server for a minute, killed and restarted.
load-postgres: $(READY)
	PYTHONPATH=tests $(BIN)/python -m load

# Commits by the number of clients.
scale-postgres: $(READY)
	PYTHONPATH=tests $(BIN)/python -m load scale

# Every long run there is.
campaign: $(READY)
	$(BIN)/python -m pytest -m campaign

# Each campaign prints counts, its seed, its violations and its time;
# docs/campaigns.md tells what they do, and ARGS what else they take.
crash faults damage contention: $(READY)
	$(BIN)/python -m campaigns $@ $(ARGS)

power-cut: $(READY)
	$(BIN)/python -m campaigns power_cut $(ARGS)

# Builds with one line broken: the campaigns must notice each.
mutations: $(READY)
	$(BIN)/python -m campaigns broken $(ARGS)

$(READY): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

$(DIST_READY): pyproject.toml
	$(PYTHON) -m venv .venv-dist
	.venv-dist/bin/python -m pip install --quiet --disable-pip-version-check -e ".[dist]"
	touch $@

$(DOCS_READY): pyproject.toml
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check -e ".[docs]"
	touch $@

clean:
	rm -rf .venv .venv-docs .venv-dist .nox benchmarks/.venvs build dist .mypy_cache .pytest_cache .ruff_cache
