#!/usr/bin/env bash
# Format, lint, types, and the direction of imports, in the order of speed.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
.venv/bin/ruff format --check .
.venv/bin/ruff check .
.venv/bin/lint-imports
.venv/bin/pyright
