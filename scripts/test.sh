#!/usr/bin/env bash
# Runs the tests in three processes, one of them for the tests that need Ray, which wait more than they work; says what
# was left out and what took long.
# Left out are the tests marked `extended` (simulations, chaos schedules), of which the others hold a sample.
# `scripts/test.sh --all` leaves out nothing. Other arguments go to pytest, as in: scripts/test.sh -m 'not ray'
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
unset PYTHONDONTWRITEBYTECODE # or dozens of processes, slots among them, each compile everything for themselves
exec .venv/bin/python -m pytest -n 3 --dist loadgroup --no-loadscope-reorder --durations=10 --durations-min=1 "$@"
