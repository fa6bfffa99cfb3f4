# Each task is one word; `make help` lists them. Settings go on the same line: make serve PORT=9000
PYTHON ?= python3
DATA   ?= cdnow
MODEL  ?= models/$(basename $(notdir $(DATA))).clv
PORT   ?= 8080
JOBS   ?= 2
ARGS   ?=

BIN  := .venv/bin
PEER := .venv-peer/.installed
ENV  := .venv/.installed-
NOTEBOOKS  := $(wildcard notebooks/[0-9]*.py)

# Another environment that the caller has active must not leak into this one.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help serve test test-all soak fit lint bench sbc notebooks lock clean unsound

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  settings: MODEL=$(MODEL) DATA=$(DATA) PORT=$(PORT) ARGS= JOBS=$(JOBS) PYTHON=$(PYTHON)"

serve: $(ENV)runtime $(MODEL) ## serve predictions on PORT; fit a model first if there is none
	@exec $(BIN)/bayes-clv serve $(MODEL) --port $(PORT)

fit: $(ENV)runtime ## fit a model to DATA, and write it to MODEL
	$(fit-model)

$(MODEL): | $(ENV)runtime
	$(fit-model)

define fit-model
@mkdir -p $(dir $(MODEL))
$(BIN)/bayes-clv fit $(DATA) --out $(MODEL)
endef

test: $(ENV)test ## run the tests in JOBS processes; ARGS goes to pytest
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile -m "not long" $(ARGS)

test-all: $(ENV)test ## run the long tests that `make test` leaves out: Spark, notebooks, studies
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile -m long $(ARGS)

soak: $(ENV)test ## run the stress tests of the service in full, and write docs/service.md (half an hour)
	BAYES_CLV_SOAK=docs/service.md $(BIN)/python -m pytest tests/service $(ARGS)

lint: $(ENV)test ## check style, format, types and the import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: $(ENV)test $(if $(filter --no-peer,$(ARGS)),,$(PEER)) ## run the benchmarks; ARGS=--full uses the full sizes
	@$(BIN)/python -m benchmarks $(ARGS)

$(PEER): benchmarks/peer/requirements.txt
	@echo "installing in .venv-peer the packages that the benchmarks compare with (a minute or two)"
	@$(PYTHON) -m venv --clear .venv-peer
	@.venv-peer/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

sbc: $(ENV)test ## check calibration: simulate datasets, fit them all, write docs/calibration.md
	@$(BIN)/python -m benchmarks.calibration $(ARGS)

notebooks: $(ENV)notebooks ## run the notebooks again, JOBS at a time, and save their output
	@printf '%s\n' $(or $(NOTEBOOKS),$(error there is no notebooks/[0-9]*.py)) | \
	  xargs -I {} -P $(JOBS) sh -c 'echo "{}: running" && began=$$(date +%s) && \
	    $(BIN)/jupytext --quiet --to ipynb --execute --set-kernel python3 {} && \
	    echo "{}: done in $$(($$(date +%s) - began)) s"'

lock: ## pin the newest releases that work together in constraints.txt
	@made=$$(mktemp -d) && trap 'rm -rf "$$made" constraints.txt.new' EXIT && \
	echo "resolving in a new environment (a minute or two)" && \
	$(PYTHON) -m venv "$$made" && \
	"$$made/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[test,notebooks]' && \
	{ printf '# Made by `make lock` with Python %s on %s: exact pins of the runtime and of every extra.\n' \
	    "$$($(PYTHON) -c 'import sys; print(*sys.version_info[:2], sep=".")')" "$$(uname -s)"; \
	  "$$made/bin/python" -m pip freeze --exclude-editable; } > constraints.txt.new && \
	mv constraints.txt.new constraints.txt && git --no-pager diff --stat -- constraints.txt

clean: ## remove everything that the tasks made: environments, models, caches
	rm -rf .venv .venv-peer models build dist *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name .git -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -prune -exec rm -rf {} +

# The environment. One file for each set of packages marks it as installed. The file .whole holds the
# folder that the environment was made in, and is absent during an installation. So an environment
# whose installation was interrupted, or that was moved with its folder, is made anew, and one that is
# only out of date is updated.
ifneq ($(shell cat .venv/.whole 2>/dev/null),$(CURDIR))
$(ENV)runtime $(ENV)test $(ENV)notebooks: unsound
endif

$(ENV)runtime:   extras =
$(ENV)test:      extras = [test]
$(ENV)notebooks: extras = [notebooks]

$(ENV)runtime $(ENV)test $(ENV)notebooks: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null || { \
	  echo "bayes_clv needs Python 3.12 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1 | head -n 1): choose another one: make PYTHON=python3.13 …" >&2; exit 1; }
	@if [ "$$(cat .venv/.whole 2>/dev/null)" != "$(CURDIR)" ] || ! $(BIN)/python -c pass 2>/dev/null; then \
	  echo "creating the environment in .venv"; $(PYTHON) -m venv --clear .venv || exit 1; fi
	@rm -f .venv/.whole
	@echo "installing bayes_clv$(extras) with the versions of constraints.txt (a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.$(extras)'
	@printf '%s' "$(CURDIR)" > .venv/.whole
	@touch $@
