# Each target is one line of shell; where make is missing, run that line.
.DEFAULT_GOAL := help
.PHONY: help demo test format lock benchmarks clean

help: ## List the targets
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

demo: ## Install, then push, plan, apply, run and audit a sample repository
	@sh .ci/demo

test: ## Install, then check style, types, layers and run all tests
	@sh .ci/test

format: ## Format the code
	@sh .ci/environment dev && .venv/bin/ruff format . && .venv/bin/ruff check --fix .

# The lock files hold hashes and no addresses, so they work with any package index.
LOCK := .tools/bin/uv pip compile pyproject.toml --quiet --generate-hashes --no-header \
	--no-annotate --no-emit-index-url --universal --python-version 3.11

lock: ## Choose the newest allowed versions anew and write the lock files
	@sh .ci/environment dev
	@UV_SYSTEM_CERTS=1 $(LOCK) --upgrade -o requirements.lock
	@UV_SYSTEM_CERTS=1 $(LOCK) --upgrade --group dev --extra pdf -o .ci/requirements.lock
	@UV_SYSTEM_CERTS=1 $(LOCK) --upgrade --group benchmarks -c requirements.lock \
		-o .ci/benchmarks.lock
	@UV_SYSTEM_CERTS=1 $(LOCK) --upgrade --group agentdojo -c requirements.lock \
		-o .ci/agentdojo.lock

benchmarks: ## Measure the runner beside its peers: six minutes on a quiet machine
	@sh .ci/benchmarks

clean: ## Remove what the other targets made
	@rm -rf .venv .venv-benchmarks .venv-agentdojo .tools .demo
