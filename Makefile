# Every verb of this repository; `make help` lists them, and CI calls these and no others.
SHELL := /bin/sh
VENV := .venv/bin
.DEFAULT_GOAL := help

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

demo: venv docker ## From a bare machine to a game server that answers
	@$(VENV)/python -m scripts.demo

test: venv-dev ## Install what the tests need and run them all; ARGS="-k name" is pytest's
	@scripts/test.sh $(ARGS)

fuzz: venv-dev ## Noise for REST, the node link and the parsers; ARGS="--help" lists the numbers
	@scripts/fuzz.sh $(ARGS)

up: venv docker ## Start Gamekeeper with this machine as a node
	@$(VENV)/python -m scripts.web --if-possible & build=$$!; \
	$(VENV)/gamekeeper up --detach; code=$$?; wait $$build; exit $$code
	@command -v gamekeeper >/dev/null || echo 'to type gamekeeper alone: export PATH="$(CURDIR)/$(VENV):$$PATH"'

web: venv ## Build the web console, which the api serves at /
	@$(VENV)/python -m scripts.web

down: ## Stop Gamekeeper; containers go on
	@$(VENV)/gamekeeper down

status: ## Show the processes
	@$(VENV)/gamekeeper status

lint: venv-dev ## Format check, lint, types, import rules, sizes, generated code
	@scripts/lint.sh

format: venv-dev ## Format the code
	@$(VENV)/ruff format . && $(VENV)/ruff check --fix .
	@$(VENV)/python -m scripts.web format

gen: venv-dev ## Generate code from proto/
	@scripts/gen_proto.sh

pages: venv-dev ## Write the pages of docs/ that are made from the code
	@$(VENV)/python -m scripts.pages

openapi: venv-dev ## Write docs/openapi.json from the routes
	@$(VENV)/python -m scripts.pages openapi.json

lock: venv-dev ## Lock the requirements again
	@scripts/lock.sh

migration: venv-dev ## Write a migration for changed tables: make migration m="Add a column"
	@$(VENV)/python scripts/migration.py "$(m)"

bench: venv docker ## Measure step overhead, start latency and the agent at rest
	@$(VENV)/python -m bench.run

bench-engine: venv docker ## Measure the pipeline engine: large pipelines, runs a second, cancels
	@$(VENV)/python -m bench.engine

bench-logs: venv docker ## Measure the log path: 1 GiB, plain, through a killed agent and a cut network
	@$(VENV)/python -m bench.logs

bench-fleet: venv docker ## Measure a thousand simulated agents, on SQLite and PostgreSQL
	@$(VENV)/python -m bench.fleet

bench-gateway: venv-dev ## Measure what the Temporal gateway and signatures add to a step and a cancel
	@$(VENV)/python -m bench.gateway

bench-tls: venv-dev ## Measure what mutual TLS adds to logs and connections
	@$(VENV)/python -m bench.tls

bench-first-day: venv ## Measure a new user's first day: README and tutorial, typed on a fresh clone
	@$(VENV)/python -m bench.first_day

bench-placement: venv-dev ## Measure a placement among 100 nodes and 1,000 instances, on SQLite and PostgreSQL
	@$(VENV)/python -m bench.placement

bench-instance-list: venv-dev ## Measure a list of 1,000 instances, on SQLite and PostgreSQL
	@$(VENV)/python -m bench.instance_list

bench-grants: venv-dev ## Measure what grants cost lists of 1,000 rows, on SQLite and PostgreSQL
	@$(VENV)/python -m bench.grants

bench-alarms: venv-dev docker ## Measure alarms: 10,000 instances a look, 10,000 alarms at once, and from a fault to its message
	@$(VENV)/python -m bench.alarms

bench-console: venv-dev docker ## Measure how fast a burst of 200,000 lines reaches who looks at a console
	@$(VENV)/python -m bench.console

bench-masking: venv-dev docker ## Measure what masking 200 secret values costs a log of 1 GiB
	@$(VENV)/python -m bench.masking

bench-instances: venv-dev docker ## Measure the keeper of instances beside the Engine's own API
	@$(VENV)/python -m bench.instances

bench-instance-update: venv-dev docker ## Measure how long an update takes a server away, beside the same by hand
	@$(VENV)/python -m bench.instance_update

bench-full-node: venv-dev docker ## Measure 50 instances through restarts of the agent, of Docker and of both
	@$(VENV)/python -m bench.full_node

bench-hostile: venv ## Measure what twenty of the worst pipelines cost others
	@$(VENV)/python -m bench.hostile

bench-submission: venv ## Measure how long checks and submissions take
	@$(VENV)/python -m bench.submission

bench-command: venv ## Measure how fast the command starts, against a stack that is up
	@$(VENV)/python -m bench.command

images: venv-dev docker ## Build the four images and run the example on them
	@$(VENV)/pytest -q tests/e2e/test_images.py

agent-bundle: venv ## Build the archive that makes another machine a node
	@$(VENV)/python -m scripts.agent_bundle

venv: ; @scripts/make_venv.sh requirements.lock
venv-dev: ; @scripts/make_venv.sh requirements-dev.lock
docker: ; @scripts/ensure_docker.sh

.PHONY: help demo test fuzz up web down status lint format gen pages openapi lock migration bench bench-engine bench-logs bench-fleet bench-gateway bench-tls bench-placement bench-instance-list bench-grants bench-alarms bench-console bench-masking bench-instances bench-instance-update bench-full-node bench-first-day bench-hostile bench-submission images agent-bundle venv venv-dev docker
