# Every target does all of its own set-up, in .venv; see dev/.
PYTHON ?= python3
PYTEST_ARGS ?=
BENCH_ARGS ?=
CHAOS_ARGS ?=
SOAK_ARGS ?=
BIN := .venv/bin
COMPILE := .venv/uv/bin/uv pip compile -q pyproject.toml --extra celery --extra service --extra storage --extra browser --extra agent --extra local
PORTABLE := --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links

# The tests start hundreds of processes from the same modules: each would compile them anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test bench chaos soak check format lock clean dev-venv

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

# One command a line, so that make's own child is the program itself and gets the SIGTERM that make passes on.
# The leash covers the rest: should make be killed outright, the launcher gets a SIGTERM and stops everything.
run:  ## start Tidings on this machine; PORT, HOST, REDIS_URL, WEB_CONCURRENCY … from the environment
	@$(PYTHON) -I dev/venv.py requirements.txt
	@exec $(BIN)/python -I dev/leash.py SIGTERM $$PPID $(BIN)/python -m dev.run

test: dev-venv  ## run every test; PYTEST_ARGS="-k feed" for some
	@$(BIN)/python -m dev.browser
	@$(BIN)/python -m dev.node
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

bench: dev-venv  ## measure beside the peers, about an hour; BENCH_ARGS=--quick for a trial of three minutes
	@exec $(BIN)/python -I dev/leash.py SIGTERM $$PPID $(BIN)/python -m bench.run $(BENCH_ARGS)

# In the foreground of a leash, as `bench`: should make be killed, all that was started goes too.
chaos: dev-venv  ## every fault test with many seeds, and everything at once; CHAOS_ARGS="--seed 7 --seeds 1 --minutes 2"
	@exec $(BIN)/python -I dev/leash.py SIGTERM $$PPID $(BIN)/python -m tests.chaos $(CHAOS_ARGS)

soak: dev-venv  ## half an hour of browsers that come and go, and nothing left of them; SOAK_ARGS="--minutes 1"
	@exec $(BIN)/python -I dev/leash.py SIGTERM $$PPID $(BIN)/python -m tests.soak $(SOAK_ARGS)

check: dev-venv  ## lint, format, types, import arrows, the client's size, bandit, known vulnerabilities
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m dev.client
	@$(BIN)/bandit -q -ll -c pyproject.toml -r tidings webapp tasks dev bench wsgi.py gunicorn.conf.py
	@$(BIN)/python -m dev.audit

format: dev-venv  ## put the code into its one format
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

lock: dev-venv  ## compile requirements.txt and requirements-dev.txt from pyproject.toml
	@test -x .venv/uv/bin/uv || { $(PYTHON) -m venv .venv/uv && .venv/uv/bin/pip install -q 'uv==0.13.*'; }
	@$(COMPILE) $(PORTABLE) -o requirements.txt
	@$(COMPILE) --group dev -c requirements.txt $(PORTABLE) -o requirements-dev.txt

clean:  ## remove everything that the targets made, the embedded server's data too
	@rm -rf .venv var bench/build tests/clients/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

dev-venv:
	@$(PYTHON) -I dev/venv.py requirements-dev.txt
