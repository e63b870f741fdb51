# make help lists what there is to do. Everything runs in .venv, which the first call sets up.

PYTHON := $(shell for p in python3.14 python3.13 python3.12 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 12) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
BOOK := _build/html/index.html
NOTEBOOKS := $(wildcard book/*.ipynb)
SOURCES := $(shell find book helpers which_world data _config.yml _toc.yml -type f -not -path '*/__pycache__/*' -not -path '*/.*')
# with one thread each, the workers of a test run do not fight over the cores
export OMP_NUM_THREADS ?= 1

.PHONY: help environment book test check execute bench lint lock clean
.DELETE_ON_ERROR:

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

environment: .venv/ready  ## set up .venv with the exact versions of requirements.txt

.venv/ready: requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "This book needs Python 3.12, 3.13 or 3.14 on the path, and found none;" \
		"'uv python install 3.14' brings one (pip install uv)."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

book: $(BOOK)  ## build the HTML book from the stored notebooks
	@echo "The book is built. Open $(CURDIR)/$(BOOK)"

$(BOOK): .venv/ready $(SOURCES)
	rm -rf _build
	$(BIN)/jupyter-book build -W -n --keep-going -q .

test: $(BOOK)  ## run every test: helpers, notebooks, built pages
	$(BIN)/python tests/compiled.py
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --nbval-lax book tests

check: lint  ## lint, types and the quick tests: the inner loop
	$(BIN)/python -m pytest -n 2 --dist worksteal -m quick

execute: .venv/ready  ## run every notebook again, in place, each from a clean kernel
	$(BIN)/python book/execute.py
	$(BIN)/python book/appendices.py
	$(BIN)/python book/gallery.py

bench: .venv/ready  ## measure speed and memory again (an hour)
	$(BIN)/python tests/benchmarks/speed.py

lint: .venv/ready  ## check the style and the types of the code
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/ruff check --line-length 80 --preview --extend-select E1,E2,E3 --ignore I001,CPY $(NOTEBOOKS)

lock: .venv/ready  ## compile requirements.txt from pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	echo "-e .[book,checks]" | $(BIN)/uv pip compile - --universal --python-version 3.12 --no-header --no-annotate \
		--no-emit-find-links --no-emit-index-url --quiet --upgrade --output-file requirements.txt
	sed -i 's/^-e \.$$/-e .[book,checks]/' requirements.txt  # uv leaves the extras out

clean:  ## remove what was built, keep the environment
	rm -rf _build
