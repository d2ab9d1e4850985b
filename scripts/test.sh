#!/usr/bin/env bash
# Runs the tests in three processes and prints how many were left out and which took longest. Tests that need Ray share
# one of the processes, because they wait more than they work.
# It leaves out the tests marked `extended` (simulations, chaos schedules); other tests cover a sample of them. `--all`
# runs them, too. Other arguments are passed to pytest: scripts/test.sh -m 'not ray'
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
unset PYTHONDONTWRITEBYTECODE # otherwise dozens of processes, including slots, each compile every module
exec .venv/bin/python -m pytest -n 3 --dist loadgroup --no-loadscope-reorder --durations=10 --durations-min=1 "$@"
