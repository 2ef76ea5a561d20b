PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test attack lint bench docs notebook package clean

install: .venv/installed

# torch first and pinned, so that nothing else chooses its build.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: install
	$(BIN)/truelift study demo --out runs/demo

# Two at a time with a thread each: tensors here are small.
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

# As `make test` has them, at length: a quarter of an hour.
attack: install
	$(BIN)/python -P benchmarks/attack.py

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# make bench NAME=statistics; -P keeps the folder's own names from hiding the standard library's
bench: install
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -P benchmarks/$(NAME).py

# The site, in build/site; a warning is an error.
docs: .venv/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# The notebook anew, with what its cells put out.
notebook: .venv/docs
	$(BIN)/jupyter execute --inplace docs/notebooks/digits.ipynb

.venv/docs: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

# Wheel and sdist, in dist/; the wheel in an environment that has no sources.
package: install
	.ci/package $(BIN)/python

clean:
	rm -rf .venv runs build dist
