#!/usr/bin/env bash
# Run molecule's flows inside the lab's control station, on hosts as the lab first boots them:
#   tests/flows/run.sh default join cloud
# The flows take the checkout's lab for themselves: one that is up is taken down before and after. FLOW_KEEP=1 leaves it.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
PATH="$(readlink -f .cache/venv)/bin:$PATH"
[ -t 1 ] || export NO_COLOR=1 ANSIBLE_NOCOLOR=1

boot() {
  ./lab down && ./lab up && FLOW_LIMIT=$(python -c 'from tests.flows import drive; print(drive.limit())')
}

# Flows that follow each other on one cluster share an inventory.
run_on() {
  export LAB_INVENTORY=$1 FLOW_LIMIT
  shift
  local status=0
  # What an earlier run left in molecule's state would let this one skip steps.
  boot && ./lab run -- molecule reset && ./lab run -- molecule test --no-command-borders --destroy=never "$@" || status=$?
  [ -n "${FLOW_KEEP:-}" ] || ./lab down
  return "$status"
}

status=0
lab_flows=() ha_flows=() bgp_flows=() cloud_flows=()
for flow in "$@"; do
  case $flow in
    ha | remove) ha_flows+=(--scenario-name "$flow") ;;
    bgp | bgp_faults) bgp_flows+=(--scenario-name "$flow") ;;
    cloud | cloud_*) cloud_flows+=(--scenario-name "$flow") ;;
    *) lab_flows+=(--scenario-name "$flow") ;;
  esac
done
[ "${#lab_flows[@]}" -eq 0 ] || run_on inventories/lab "${lab_flows[@]}" || status=1
[ "${#ha_flows[@]}" -eq 0 ] || run_on inventories/example_three_racks "${ha_flows[@]}" || status=1
[ "${#bgp_flows[@]}" -eq 0 ] || run_on molecule/bgp/inventory "${bgp_flows[@]}" || status=1
[ "${#cloud_flows[@]}" -eq 0 ] || run_on inventories/lab_hybrid "${cloud_flows[@]}" || status=1
exit "$status"
