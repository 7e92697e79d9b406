# The commands for users and contributors. They need only Python 3.11 or newer and make.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test pythons oldest newest lint serve bench load soak kills clients image image-steps lock audit sbom fuzz defences accuracy screenshots clean

help: ## list these commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

$(VENV)/pyvenv.cfg:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.test-installed: pyproject.toml | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/.installed

$(VENV)/.release-installed: pyproject.toml | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[release]'
	@touch $@ $(VENV)/.installed

# Atheris has wheels for some Pythons only; without it inputs are mutated at random.
$(VENV)/.fuzz-installed: pyproject.toml | $(VENV)/.test-installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary atheris --editable '.[fuzz]' || echo "no Atheris for this Python"
	@touch $@

demo: $(VENV)/.installed ## install everything and compare real portraits
	$(BIN)/likeness packs install
	$(BIN)/likeness packs install samples
	$(BIN)/python examples/demo.py

serve: $(VENV)/.installed ## answer CompareFaces on http://127.0.0.1:8080, with the console for your browser
	$(BIN)/likeness serve

lint: $(VENV)/.test-installed ## check formatting, lint, types and import rules
	$(BIN)/ruff format --check src tests benchmarks fuzz examples deploy
	$(BIN)/ruff check src tests benchmarks fuzz examples deploy
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint ## run all checks, as in CI
	$(BIN)/python -m compileall -q src  # else each command that a test starts may compile it anew (PYTHONDONTWRITEBYTECODE)
	$(BIN)/pytest --numprocesses 2

pythons: ## the tests under each Python 3.11 to 3.14 that is present (15 minutes each); ARGS="tests/aws" for some of them
	$(PYTHON) tests/environments.py pythons $(ARGS)

oldest: ## the tests with the oldest versions of the direct dependencies, on the oldest Python (15 minutes)
	$(PYTHON) tests/environments.py oldest $(ARGS)

newest: ## the tests with the newest versions of all dependencies, on the newest Python (15 minutes)
	$(PYTHON) tests/environments.py newest $(ARGS)

bench: $(VENV)/.installed ## measure against the peers, side by side (20 minutes); ARGS="--only 640x480 --peers none" for less
	$(BIN)/likeness packs install standard samples
	$(BIN)/python -m compileall -q src  # as pip compiles what it installs; an editable installation is not compiled
	$(BIN)/python -m benchmarks.speed $(ARGS)

load: $(VENV)/.installed ## the table of load: 1 to 512 clients, ordinary and hostile (45 minutes); ARGS="--only mix" for one case
	$(BIN)/likeness packs install standard samples
	$(BIN)/python -m benchmarks.load $(ARGS)

soak: $(VENV)/.installed ## the server's memory over 10,000 mixed requests, every answer checked; REQUESTS=50000 is 24 hours of a quiet server
	$(BIN)/likeness packs install standard samples
	$(BIN)/python -m benchmarks.speed --soak $(or $(REQUESTS),10000)

kills: $(VENV)/.test-installed ## kill -9 at twenty random moments, for a local batch and one on a Ray cluster (10 minutes)
	LIKENESS_KILLS=20 $(BIN)/pytest --no-cov tests/batch/test_killed.py tests/batch/test_ray.py

clients: $(VENV)/.test-installed ## install other SDKs into .clients and test with them, Debian's where this runs as root (5 minutes); ARGS="-k 'not Go'" without some
	mkdir -p .clients/npm
	$(PYTHON) -m venv .clients/venv
	-.clients/venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade aioboto3 capo-rekognition
	-cd .clients/npm && echo '{"private":true}' > package.json && npm install --no-audit --no-fund --no-save aws-sdk@2
	cp tests/wire/clients/javascript_v2.cjs .clients/npm/
	-[ -n "$$(command -v go)" ] && [ -x /usr/bin/aws ] && [ -d /usr/lib/python3/dist-packages/boto3 ] || { apt-get update -qq && apt-get install -y -qq --no-install-recommends awscli python3-boto3 golang-go golang-github-aws-aws-sdk-go-dev golang-github-aws-aws-sdk-go-v2-dev; }
	rm -f .clients/go1 .clients/go2
	-for each in go1 go2; do GO111MODULE=off GOPATH=/usr/share/gocode go build -o .clients/$$each tests/wire/clients/$$each/main.go; done
	ALL_CLIENTS=1 $(BIN)/pytest --no-cov tests/wire/test_clients_boto3.py tests/wire/test_clients_cli.py tests/wire/test_clients_javascript.py tests/wire/test_clients_others.py $(ARGS)

ENGINE ?= docker
image: $(VENV)/.test-installed ## build deploy/Containerfile with ENGINE=docker (or podman) and test its containers, as root; BUILD="--volume ..." for more of its options (5 minutes)
	BUILDAH_FORMAT=docker $(ENGINE) build $(BUILD) --file deploy/Containerfile --tag likeness .
	LIKENESS_ENGINE="$(ENGINE)" $(BIN)/pytest --no-cov --timeout 900 tests/deploy/test_image.py

image-steps: $(VENV)/.test-installed ## the steps of deploy/Containerfile without an engine, and its server on a read-only root (2 minutes)
	LIKENESS_IMAGE_STEPS=1 $(BIN)/pytest --no-cov --timeout 900 tests/deploy/test_container.py

LOCK := $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --universal --python-version 3.11 --only-binary :all: --no-annotate --no-header
lock: $(VENV)/.release-installed ## write the released set, with hashes, to deploy/requirements.txt and deploy/build-requirements.txt
	$(LOCK) pyproject.toml --output-file deploy/requirements.txt
	echo 'hatchling>=1.25' | $(LOCK) - --output-file deploy/build-requirements.txt

audit: $(VENV)/.release-installed ## look for known vulnerabilities of the released set and of what builds it; fails, and says so, where a package cannot be looked up
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off --requirement deploy/requirements.txt
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off --requirement deploy/build-requirements.txt

sbom: $(VENV)/.release-installed ## write dist/likeness.cdx.json: packages, pack files, hashes and licences (CycloneDX)
	@mkdir -p dist
	$(BIN)/python deploy/sbom.py dist/likeness.cdx.json

SECONDS ?= 60
fuzz: $(VENV)/.fuzz-installed ## fuzz each parser of untrusted bytes for SECONDS=60; ARGS="jpeg png" for some of them
	$(BIN)/likeness packs install standard
	$(BIN)/python -m fuzz.run --seconds $(SECONDS) $(ARGS)

defences: $(VENV)/.test-installed ## take out what stops each attack of docs/security.md, and see that its tests fail (half an hour); ARGS="policy" for some of them
	$(BIN)/python tests/defences.py $(ARGS)

accuracy: $(VENV)/.test-installed ## measure detection, attributes and error rates on LIKENESS_DATA (half an hour)
	$(BIN)/python benchmarks/detection.py
	$(BIN)/python -m benchmarks.attributes
	$(BIN)/python -m benchmarks.accuracy

screenshots: $(VENV)/.test-installed ## pictures of the console's main states into screenshots/, and its rendering times (needs Chromium)
	PYTHONPATH=. $(BIN)/python tests/console/screenshots.py

clean: ## remove the virtual environments and build products
	rm -rf $(VENV) .environments .clients build dist demo-output
