# `make demo` and `make test` include all set-up; everything is installed in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CORES ?= 2
EXTRAS := all,bootstrap,hub,mongo,ray,slurm,tensorboard,test
INSTALL := $(BIN)/python tools/install_environment.py
INSTALLERS := $(wildcard tools/install_*.py) tools/locked_packages.py
ACTIVE := PATH="$(CURDIR)/$(BIN):$$PATH"
# One more process than cores, because tests with Slurm mostly wait.
TESTS = pytest -n $$(($(CORES) + 1)) --dist loadgroup --no-loadscope-reorder

.PHONY: help demo env test test-quick lint settings docs coverage mutants audit lock headline clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

env: $(STAMP) ## create the environment from the lock file, with hashes checked

$(STAMP): pyproject.toml requirements.lock $(INSTALLERS)
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --extras $(EXTRAS)
	touch $@

demo: $(STAMP) ## train, register, verify and document two agents in minutes
	$(ACTIVE) posggym-es run register_all --cores $(CORES) \
		--config only=lunarlander,driving "experiments={lunarlander: {seeds: [1]}}"

test: $(STAMP) ## run all tests
	$(ACTIVE) python -m $(TESTS)

test-quick: $(STAMP) ## run the unit tests, in under 90 seconds on two cores
	$(ACTIVE) python -m pytest -n $(CORES) --dist loadgroup --no-loadscope-reorder \
		-m "not slow" tests/unit

# Tools in an environment of their own.
$(VENV)/.snakefmt $(VENV)/.docs: $(VENV)/.%: tools/%.lock
	$(PYTHON) -m venv $(VENV)/$*
	$(VENV)/$*/bin/python -m pip install --quiet --require-hashes --requirement $<
	touch $@

lint: $(STAMP) $(VENV)/.snakefmt ## ruff, mypy, import rules, snakefmt and Snakemake's linter
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(VENV)/snakefmt/bin/snakefmt --check Snakefile workflow/Snakefile rules
	$(ACTIVE) snakemake --lint

settings: $(STAMP) ## generate the config's schema, the tables in docs/config.md, and docs/commands.md
	$(BIN)/python tools/write_settings.py
	$(BIN)/python tools/write_commands.py

docs: $(VENV)/.docs ## build the documentation site in site/; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(VENV)/docs/bin/mkdocs build --quiet
	@echo "open site/index.html"

$(VENV)/.quality: $(STAMP)
	$(INSTALL) --extras $(EXTRAS),quality
	touch $@

coverage: $(VENV)/.quality ## branch coverage of library and scripts by all tests
	$(BIN)/coverage erase
	$(ACTIVE) coverage run -m $(TESTS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

mutants: $(VENV)/.quality ## mutation score of the conversion and registry code
	mkdir -p mutants/src
	PROJECT_SHARED_DATA="$${PROJECT_SHARED_DATA:-$(CURDIR)/../shared/data}" \
		$(ACTIVE) OMP_NUM_THREADS=1 \
		PYTHONPATH="$(CURDIR)/mutants/src" mutmut run --max-children $(CORES)
	$(BIN)/mutmut results

audit: $(VENV)/.quality ## check the locked packages for known vulnerabilities (online)
	$(BIN)/pip-audit --vulnerability-service osv $(AUDIT) --disable-pip \
		--require-hashes --requirement requirements.lock

lock: $(VENV)/.quality ## update the lock: versions, hashes and licences of all packages
	$(BIN)/python tools/lock_environment.py $(LOCK)

headline: $(STAMP) ## resume the unfinished runs of the paper's results (days; see benchmarks/headline)
	$(ACTIVE) nice -n 19 python benchmarks/headline.py $(HEADLINE)

clean: ## remove the environment (results are kept)
	rm -rf $(VENV)
