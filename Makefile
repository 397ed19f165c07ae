# make run    start the app on http://localhost:8501
# make test   the whole test suite on two processes, one of them with the browser; ARGS=tests/test_model.py: one file
# make check  formatting, lint and types
PYTHON ?= python3
PORT ?= 8501
ARGS ?= -n 2
BIN := .venv/bin

# Waiting threads sleep instead of spinning (see app.py).
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: run test check format clean

run: .venv/ready
	$(BIN)/python -m streamlit run app.py --server.port $(PORT)

test: .venv/ready-dev
	$(BIN)/python -m pytest $(ARGS)

check: .venv/ready-dev
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy interpret ui

format: .venv/ready-dev
	$(BIN)/python -m ruff format .
	$(BIN)/python -m ruff check --fix .

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Loupe needs Python 3.11 or newer; set PYTHON=...")'
	$(PYTHON) -m venv .venv

.venv/ready: .venv/bin/python requirements.txt constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	touch $@

.venv/ready-dev: .venv/ready requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	touch $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache
