#!/usr/bin/env bash
# Creates .venv with the versions of scripts/constraints.txt. Does nothing if .venv is up to date: neither that file nor
# pyproject.toml has changed.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
stamp=.venv/assay-setup
wanted=$(cat pyproject.toml scripts/constraints.txt | cksum)
if [ -x .venv/bin/assay ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
  exit 0
fi
[ -d .package/assay/cluster ] || {
  echo "error: .package/assay/cluster is not a symbolic link; run 'git config core.symlinks true' and check out again" >&2
  exit 2
}
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' || {
  echo "error: Assay needs Python 3.11 or 3.12, but $python is $("$python" --version); set PYTHON to one of them" >&2
  exit 2
}
echo "setting up .venv; the first time this takes a few minutes" >&2
[ -x .venv/bin/python ] || "$python" -m venv .venv
# PIP_CONSTRAINT also applies to the environment in which pip builds the package.
PIP_CONSTRAINT="$PWD/scripts/constraints.txt" .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[demo,dev]'
echo "$wanted" > "$stamp"
