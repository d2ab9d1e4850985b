#!/usr/bin/env bash
# Five variants of a digit classifier, compared on Ray: ends with a verdict. Run again, it reuses what it has.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
exec .venv/bin/assay demo "$@"
