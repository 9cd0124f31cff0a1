#!/usr/bin/env bash
# Every check of style and types; all of them run, and the exit status says whether one failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
status=0
check() {
  "$@" || { echo "FAILED: $*" >&2; status=1; }
}
check ruff check --quiet
check ruff format --quiet --check
check mypy
check yamllint --strict .
check antsibull-changelog lint
check env ANSIBLE_COLLECTIONS_PATH="$PWD/.cache" ansible-lint -q --nocolor
exit "$status"
