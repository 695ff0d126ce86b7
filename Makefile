# Everything here is also what .ci/run does. BIN=.venv/bin/ make check
BIN ?=

.PHONY: check types test fast build docs

check: types
	$(BIN)ruff format --check .
	$(BIN)ruff check .

types:  # mypy on an installed copy: there converters/ and osim_models/ are inside the package
	rm -rf build
	$(BIN)pip install --quiet --no-deps --target build/types .
	MYPYPATH=build/types $(BIN)mypy

test:
	$(BIN)pytest

fast:
	$(BIN)pytest -m "not slow" -n auto

build:  # through the sdist: an old build/lib would bring deleted modules back
	rm -rf build dist
	$(BIN)python -m build > /dev/null
	$(BIN)python .ci/check_wheel.py dist/*.whl

docs:
	$(BIN)python docs/run_tutorials.py
	$(BIN)mkdocs build --strict --quiet
