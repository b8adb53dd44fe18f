# `make demo` and `make test` do all set-up themselves; everything lands in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CORES ?= 2
# One process more than cores, because those on Slurm mostly wait.
TESTS = pytest -n $$(($(CORES) + 1)) --dist loadgroup --no-loadscope-reorder

.PHONY: help demo env test lint coverage mutants audit lock clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

env: $(STAMP) ## create the environment

$(STAMP): pyproject.toml requirements.lock tools/install_posggym.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	sed 's/ --hash.*//' requirements.lock > $(VENV)/constraints.txt
	PIP_CONSTRAINT=$(VENV)/constraints.txt $(BIN)/python tools/install_posggym.py
	$(BIN)/python -m pip install --quiet --constraint $(VENV)/constraints.txt \
		--editable '.[mongo,ray,slurm,tensorboard,test]'
	touch $@

demo: $(STAMP) ## train, register, verify and document two agents in minutes
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores $(CORES) register_all \
		--config only=lunarlander,driving_continuous
	@cat results/registry/README.md

test: $(STAMP) ## run all tests
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m $(TESTS)

lint: $(STAMP) ## ruff, mypy and Snakemake's linter
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --lint

$(VENV)/.quality: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint $(VENV)/constraints.txt \
		--editable '.[quality]'
	touch $@

coverage: $(VENV)/.quality ## branch coverage of library and scripts by all tests
	$(BIN)/coverage erase
	PATH="$(CURDIR)/$(BIN):$$PATH" coverage run -m $(TESTS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

mutants: $(VENV)/.quality ## mutation score of the conversion and registry code
	mkdir -p mutants/src
	PROJECT_SHARED_DATA="$${PROJECT_SHARED_DATA:-$(CURDIR)/../shared/data}" \
		PATH="$(CURDIR)/$(BIN):$$PATH" OMP_NUM_THREADS=1 \
		PYTHONPATH="$(CURDIR)/mutants/src" mutmut run --max-children $(CORES)
	$(BIN)/mutmut results

audit: $(VENV)/.quality ## look for known vulnerabilities of the packages (online)
	sed 's/ --hash.*//' requirements.lock > $(VENV)/audited.txt
	$(BIN)/pip-audit --vulnerability-service osv $(AUDIT) --disable-pip --no-deps \
		--requirement $(VENV)/audited.txt

lock: $(VENV)/.quality ## write versions, hashes and licences of all packages anew
	$(BIN)/python tools/lock_environment.py

clean: ## remove the environment (results stay)
	rm -rf $(VENV)
