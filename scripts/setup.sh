#!/usr/bin/env bash
# Makes .venv with everything that scripts/constraints.txt pins. Running it again does nothing unless a pin changed.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
stamp=.venv/assay-setup
wanted=$(cat pyproject.toml scripts/constraints.txt | cksum)
if [ -x .venv/bin/assay ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
  exit 0
fi
[ -d .package/assay/cluster ] || {
  echo "error: .package/assay/cluster is no link; check out again after: git config core.symlinks true" >&2
  exit 2
}
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' || {
  echo "error: Python 3.11 or 3.12 is needed, $("$python" --version) was found; set PYTHON to one" >&2
  exit 2
}
echo "setting up .venv: a few minutes the first time" >&2
[ -x .venv/bin/python ] || "$python" -m venv .venv
# The constraints hold for the build's own environment too.
PIP_CONSTRAINT="$PWD/scripts/constraints.txt" .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[demo,dev]'
echo "$wanted" > "$stamp"
