# Every command of the project. `make help` lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := bash
CACHE ?= $(or $(HYBRIDK8S_CACHE),$(HOME)/.cache/hybridk8s-estate)
VENV_KEY := $(firstword $(shell sha256sum requirements/dev.lock))
VENV := $(CACHE)/venv-$(VENV_KEY)
FLOWS ?= default join reinit ha
ALL_FLOWS := default host_views join runtime reinit interrupted ha remove bgp bgp_faults cloud cloud_faults cloud_line cloud_report cloud_secrets
STAGES := lint unit build sanity components integration molecule
export ANSIBLE_CONFIG := ansible.cfg
export PATH := $(CURDIR)/.cache/venv/bin:$(PATH)

.PHONY: help venv lint unit build sanity components integration molecule test test-all bench demo clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: ## the virtual environment and the collection tree, in .cache
	@bash tests/venv.sh "$(VENV)"

demo: venv ## boot the lab, make the estate of inventories/lab on it, prove it and explain it
	@python -m tests.lab.demo

test: venv ## every test, the fast ones first
	@python tests/stages.py $(STAGES)

test-all: export HYBRIDK8S_INTERRUPTIONS := 10
test-all: export HYBRIDK8S_REINITS := 10
test-all: export HYBRIDK8S_STORIES := 1000
test-all: export FLOWS := $(ALL_FLOWS)
test-all: test ## as `make test`, and ten interrupted installations, and ten times a host out and in again

lint: venv ## ruff, mypy, yamllint, ansible-lint, the changelog
	@bash tests/lint.sh

unit: venv ## the unit tests
	@pytest -n 2 tests/unit

build: venv ## the collection's tarball in .cache/dist, installed alone and looked at
	@bash tests/galaxy.sh .cache/dist

sanity: venv ## ansible-test sanity, on a copy of the tree
	@bash tests/sanity.sh "$(CACHE)/sanity"

components: venv ## the components of the lab, built once into the cache
	@./lab build

integration: venv components ## the modules against a real API server
	@python -m tests.lab.build --only kwok
	@pytest tests/integration

molecule: venv components ## flows on the lab, each a folder in molecule/: FLOWS="default join cloud"
	@bash tests/flows/run.sh $(FLOWS)

bench: venv components ## what runs, check, join, node operations, cloud VMs and changes of BGP cost, into docs/benchmarks.md: PARTS="site check node join drain cloud bgp bgp_scale"
	@PYTHONPATH=.cache python -m tests.bench $(PARTS)

clean: ## remove what the working tree's .cache holds; the cache outside the tree stays
	@rm -rf .cache
