# Works with GNU make 3.81 (the one of macOS). Every recipe runs in the repository, by relative paths: its own may have
# spaces. The environments are made, or brought up to date, by the targets that need them.

.DEFAULT_GOAL := help
.SUFFIXES:

setup := @bin/python bin/environments.py
export SAM_CLI_TELEMETRY := 0
# Many programs are started many times: what Python has compiled is kept, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: ## Clean sample photos on a local stack, or your own: make demo PHOTOS=folder
	$(setup) run emulator sam runtime
	@.venv/run/bin/python -m local.demo $${PHOTOS:+"$$PHOTOS"}

.PHONY: local
local: ## Bring the local stack up, until interrupted
	$(setup) run emulator sam runtime
	@.venv/run/bin/python -m local.stack up

.PHONY: local-down
local-down: ## Stop the local stack
	$(setup) run
	@.venv/run/bin/python -m local.stack down

.PHONY: test
test: ## Run all the tests
	$(setup) test run emulator sam runtime
	@.venv/test/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: sized
sized: ## Run the tests that are smaller in `make test` with all of their photos
	$(setup) test run emulator sam runtime
	@.venv/test/bin/python -m pytest --full-size -m sized

.PHONY: simulate
simulate: ## Run simulations: make simulate SEEDS=n FROM=k, or SEED=s to replay one with its trace
	$(setup) test
	@PYTHONPATH=layers/detag/python .venv/test/bin/python -m tests.simulation \
		$${SEEDS:+--seeds "$$SEEDS"} $${FROM:+--from "$$FROM"} $${SEED:+--seed "$$SEED"} $${MUTANTS:+--mutants}

.PHONY: generate
generate: ## Write the tables, pages and diagrams that are made from the source
	$(setup) test sam
	@PYTHONPATH=layers/detag/python .venv/test/bin/python -m docs.generate
	@mkdir -p .build
	@.venv/sam/bin/python tests/template/transform.py template.yaml > .build/transformed.json
	@.venv/sam/bin/python bin/deploy_policy.py .build/transformed.json

.PHONY: check
check: ## Lint and type-check; say what is to be generated; judge the template; look for secrets
	$(setup) test sam policy
	.venv/test/bin/ruff check
	.venv/test/bin/ruff format --check
	@$(MAKE) --no-print-directory -j 2 check-types check-generated check-template check-secrets

.PHONY: check-types
check-types: ## Of make check: the types
	.venv/test/bin/mypy

.PHONY: check-generated
check-generated: ## Of make check: what is generated
	@PYTHONPATH=layers/detag/python .venv/test/bin/python -m docs.generate --check

.PHONY: check-template
check-template: ## Of make check: the template, and what it deploys
	.venv/sam/bin/sam validate --lint
	.venv/sam/bin/cfn-lint template.yaml
	@mkdir -p .build
	.venv/sam/bin/python tests/template/transform.py template.yaml > .build/transformed.json
	.venv/sam/bin/cfn-lint .build/transformed.json
	.venv/policy/bin/python bin/policy.py .build/transformed.json
	.venv/sam/bin/python bin/deploy_policy.py .build/transformed.json --check

.PHONY: check-secrets
check-secrets: ## Of make check: no key or secret is committed
	.venv/policy/bin/python bin/credentials.py

.PHONY: combinations
combinations: ## Lint and judge what twenty combinations of parameters deploy
	$(setup) test sam policy
	@PYTHONPATH=layers/detag/python .venv/test/bin/python -m tests.template.combinations .build/combinations
	.venv/sam/bin/cfn-lint .build/combinations/*.json
	@.venv/policy/bin/python bin/policy.py --combinations .build/combinations/*.json

.PHONY: package
package: ## Build the stack and put it into .build/detag.zip, from which sam deploy deploys without building
	$(setup) sam
	.venv/sam/bin/sam build
	.venv/sam/bin/python bin/package.py .aws-sam/build .build/detag.zip

.PHONY: fuzz
fuzz: ## Throw made-up requests at the callback function: make fuzz N=50000 SEED=1
	$(setup) test
	@PYTHONPATH=layers/detag/python .venv/test/bin/python -m tests.fuzz.callbacks \
		--requests $${N:-50000} --seed $${SEED:-1}

.PHONY: browser
browser: ## Attack the local servers from a page in headless Chromium, which must be on the PATH
	$(setup) test emulator runtime
	@PYTHONPATH=layers/detag/python .venv/test/bin/python -m tests.security.browser

.PHONY: bench
bench: ## Measure everything and write benchmarks/results.md; with QUICK=1 less, and to .build/bench (needs Python 3.13)
	$(setup) test run emulator sam runtime
	@PYTHONPATH=layers/detag/python .venv/test/bin/python -m benchmarks $${QUICK:+--quick}

.PHONY: load
load: ## Drop many photos at once into a local stack: make load N=10000
	$(setup) test run emulator sam runtime
	@.venv/test/bin/python -m benchmarks --only-load $${N:+--photos "$$N"}

.PHONY: lock
lock: ## Resolve the requirements again (needs uv); with UPGRADE=1 raise them
	@bin/lock $${UPGRADE:+--upgrade}

.PHONY: clean
clean: ## Stop the local stack, and remove the environments and everything else that was made
	@[ ! -x .venv/run/bin/python ] || .venv/run/bin/python -m local.stack down > /dev/null || true
	rm -rf .venv .build .local .aws-sam .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
