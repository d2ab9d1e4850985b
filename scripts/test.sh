#!/usr/bin/env bash
# Every test, in two processes: one for those that need Ray. Arguments go to pytest, as in: scripts/test.sh -m 'not ray'
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
exec .venv/bin/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder "$@"
