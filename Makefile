# Each target is the one command that it takes; every one that needs the environment builds it.
.DEFAULT_GOAL := help
.PHONY: help venv wheel demo test test-quick test-long tools fuzz lint format bench docs site notices protos constraints clean

PYTHON ?= python3
# Neither is a resource of Kubernetes; tests/serving/test_deployment.py reads them, and the compose file.
NO_SCHEMA := kubernetes/kustomization.yaml kubernetes/prometheus-adapter.yaml
# Folders of MIDI files to measure on.
DATA ?= ../shared/data
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := tunesmith music client components pipeline serving cli
# All that a package holds, in whichever folder below.
SOURCES := $(shell find $(PACKAGES) -type f -not -name '*.pyc')
PIP := $(BIN)/python -m pip --disable-pip-version-check

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

venv: $(VENV)/.linked ## a .venv with every extra that the demo and the tests need

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q -c constraints.txt setuptools wheel
	$(PIP) install -q -c constraints.txt --no-build-isolation --config-settings editable_mode=strict \
	  -e '.[demo,docs,dev]'
	@touch $@

# A strict editable install links the files it finds, so a new file needs a new (quick) link.
$(VENV)/.linked: $(VENV)/.installed setup.py $(SOURCES)
	$(PIP) install -q --no-deps --no-build-isolation --config-settings editable_mode=strict -e .
	@touch $@

# setuptools builds on what it finds in build/lib, a module that was since removed included.
wheel: venv ## dist/tunesmith-*.whl, for Beam's workers and for other machines
	rm -rf build/lib dist/tunesmith-*.whl
	$(PIP) wheel -q --no-deps --no-build-isolation -w dist .

demo: venv ## a corpus, a pipeline run, a served model, a song: about four minutes on two cores
	$(BIN)/tunesmith demo

test: venv ## every test, two at a time; a file's tests share what they set up
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-quick: venv ## within a minute, the tests that import neither TensorFlow nor Beam
	$(BIN)/python -m pytest -n 2 --quick

# One at a time: the demo trains for a fixed time, and what it learns depends on what runs beside.
test-long: venv ## what takes minutes: the demo with its gates, kills, workers, tuning, equal content
	$(BIN)/python -m pytest -m long

# Run as root, as CI does, it installs the browser; else it says what to install.
tools: ## what some tests need beside Python: Chromium
	@command -v chromium > /dev/null || { apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium; } \
	  || { echo "install Chromium (Debian's package chromium)" >&2; exit 1; }

fuzz: venv ## the tests that draw their examples, with other examples each time
	$(BIN)/python -m pytest -n 2 -m hypothesis --hypothesis-profile fuzz

lint: site ## ruff, mypy, the files of a deployment, and the site, whose warnings are errors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile.serving Dockerfile.worker
	$(BIN)/kubernetes-validate --strict --quiet $(filter-out $(NO_SCHEMA),$(wildcard kubernetes/*.yaml))

bench: venv ## every figure: reading over DATA, broken files, kills, training, serving, composing
	$(BIN)/python benchmarks/exactness.py $(DATA)
	$(BIN)/python benchmarks/fuzz.py --count 1000
	$(BIN)/python benchmarks/preprocess.py $(DATA)/pop909
	$(BIN)/python benchmarks/kills.py $(DATA)/jj_lin
	$(BIN)/python benchmarks/pipeline_kills.py $(DATA)/jj_lin --kills 5
	$(BIN)/python benchmarks/drafter.py --data $(DATA)
	$(BIN)/python benchmarks/evaluation.py
	$(BIN)/python benchmarks/encodings.py $(DATA)/jj_lin
	$(BIN)/python benchmarks/music.py --data $(DATA)
	$(BIN)/python benchmarks/windows.py
	$(BIN)/python benchmarks/forward.py
	$(BIN)/python benchmarks/train.py
	$(BIN)/python benchmarks/networks.py
	$(BIN)/python benchmarks/tuning.py
	$(BIN)/python benchmarks/serve.py
	$(BIN)/python benchmarks/client_import.py
	$(BIN)/python benchmarks/install.py
	$(BIN)/python benchmarks/generate.py

docs: venv ## docs/parameters.md and docs/messages.md, out of the source
	$(BIN)/python -m tunesmith.cli.parameters_page docs/parameters.md
	$(BIN)/python -m tunesmith.cli.messages_page docs/messages.md

# -P, so that the installed packages are found, and not the folder tunesmith/ of this checkout.
site: venv ## site/: the pages of docs/, and a reference out of the docstrings
	$(BIN)/python -P -m mkdocs build

notices: venv ## NOTICE, out of what the packages hold of the works of others
	$(BIN)/python tools/notices.py NOTICE

format: venv ## let ruff write
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Generated code refuses an older protobuf runtime than its generator's, so the generator is the one
# of the oldest runtime that pyproject.toml allows (grpcio-tools 1.76 brings protobuf 6.31.1).
protos: ## regenerate every *_pb2.py
	$(PYTHON) -m venv build/protos
	build/protos/bin/pip install -q grpcio-tools==1.76.0 mypy-protobuf==3.6.0 'setuptools<81'
	mkdir -p build/proto-path/tunesmith
	ln -sfn ../../../components build/proto-path/tunesmith/components
	ln -sfn ../../../client build/proto-path/tunesmith/client
	ln -sfn ../../../serving build/proto-path/tunesmith/serving
	cd build/proto-path && PATH="$(CURDIR)/build/protos/bin:$$PATH" ../protos/bin/python -m grpc_tools.protoc -I. \
	  --python_out=. --mypy_out=. $$(find -L tunesmith -path '*/protos/*.proto')

constraints: ## pin again what pyproject.toml allows
	$(PYTHON) -m venv build/constraints
	build/constraints/bin/pip install -q uv
	build/constraints/bin/uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate \
	  --all-extras pyproject.toml \
	  -o constraints.txt

clean: ## remove what the other targets made
	rm -rf $(VENV) build dist demo *.egg-info
