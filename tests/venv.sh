#!/usr/bin/env bash
# Make the virtual environment $1 from requirements/dev.lock unless it is whole already, and the tree in .cache that
# lets every tool find the collection as hybridk8s.estate.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
if [ ! -e "$venv/.complete" ]; then
  bash tests/machine.sh
  echo "making the virtual environment in $venv"
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --requirement requirements/dev.lock
  touch "$venv/.complete"
fi
mkdir -p .cache/ansible_collections/hybridk8s
ln -sfn "$venv" .cache/venv
ln -sfn ../../.. .cache/ansible_collections/hybridk8s/estate
