#!/usr/bin/env bash
# Compares variants of a digit classifier on Ray and ends with a verdict. A second call reuses the results of the first.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
exec .venv/bin/assay demo "$@"
