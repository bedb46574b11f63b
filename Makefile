# make demo   train a small network on real digits, offline, in under a minute
# make test   run the tests
# Uses the virtual environment that is active; where none is, makes one in .venv. Without make, see CONTRIBUTING.md.

ENV := $(or $(VIRTUAL_ENV),.venv)
PYTHON := $(ENV)/bin/python
INSTALLED := $(ENV)/.minigrad-installed
EPOCHS ?= 10

.PHONY: demo test lint notebooks parity benchmark clean

demo: $(INSTALLED)
	$(PYTHON) -m minigrad train --dataset digits --model mnist_cnn --epochs $(EPOCHS) --out runs/demo --overwrite

# One process on purpose: kernels already use every core through numba's threads, and a second pytest worker would only
# make two pools of spinning threads share the same cores (and compile every kernel twice).
test: $(INSTALLED)
	$(PYTHON) -m pytest

lint: $(INSTALLED)
	$(PYTHON) -m ruff check .

notebooks: $(INSTALLED)
	$(PYTHON) -m pytest --nbmake --nbmake-timeout=1800 notebooks

# Brings PyTorch, Captum and Foolbox, some GB on Linux; a CPU-only PyTorch installed before is kept.
parity: $(INSTALLED)
	$(PYTHON) -m pip install -q -e ".[test,parity]"
	$(PYTHON) -m pytest tests/parity

benchmark: $(INSTALLED)
	$(PYTHON) -m benchmarks

clean:
	rm -rf .venv build dist runs *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp makes the second run start at once; a change of dependencies or of the build installs again.
$(INSTALLED): setup.cfg pyproject.toml
	test -x $(PYTHON) || python3 -m venv $(ENV)
	$(PYTHON) -m pip install -q -e ".[test]"
	touch $@
