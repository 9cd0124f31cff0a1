# Every command of the project. `make help` lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
CACHE ?= $(or $(HYBRIDK8S_CACHE),$(HOME)/.cache/hybridk8s-estate)
VENV_KEY := $(firstword $(shell cat requirements/dev.lock tests/venv.sh 2>/dev/null | sha256sum))
VENV := $(CACHE)/venv-$(VENV_KEY)

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: venv
venv: .cache/venv-$(VENV_KEY) ## the virtual environment and the collection tree, in .cache
.cache/venv-$(VENV_KEY): requirements/dev.lock tests/venv.sh
	@bash tests/venv.sh "$(VENV)"
	@touch $@
