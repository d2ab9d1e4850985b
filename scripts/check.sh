#!/usr/bin/env bash
# Checks format, lint, the direction of imports, and types; the fastest check runs first.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
.venv/bin/ruff format --check .
.venv/bin/ruff check .
.venv/bin/lint-imports
.venv/bin/pyright
