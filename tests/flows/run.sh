#!/usr/bin/env bash
# Run molecule's flows inside the lab's control station, on hosts as the lab first boots them:
#   tests/flows/run.sh default join interrupted ha
# The flows take the checkout's lab for themselves: one that is up is taken down before and after. FLOW_KEEP=1 leaves it.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Flows that follow each other on one cluster share an inventory; `ha` needs three control planes.
run_on() {
  export LAB_INVENTORY=$1
  shift
  ./lab down
  ./lab up
  FLOW_LIMIT=$(.cache/venv/bin/python -c 'from tests.flows import station; print(station.limit())')
  export FLOW_LIMIT
  ./lab run -- molecule reset --all
  local names=() status=0
  for flow in "$@"; do names+=(--scenario-name "$flow"); done
  ./lab run -- molecule test --destroy=never "${names[@]}" || status=$?
  [ -n "${FLOW_KEEP:-}" ] || ./lab down
  return "$status"
}

status=0
lab_flows=()
for flow in "$@"; do [ "$flow" = ha ] || lab_flows+=("$flow"); done
[ "${#lab_flows[@]}" -eq 0 ] || run_on inventories/lab "${lab_flows[@]}" || status=1
[[ " $* " != *" ha "* ]] || run_on inventories/example_three_racks ha || status=1
exit "$status"
