#!/usr/bin/env bash
# What the control station and the tests need from Debian. The lab installs what it needs itself (./lab build).
set -euo pipefail
packages=(ca-certificates curl git make openssh-client python3 python3-venv)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ "${#missing[@]}" -eq 0 ] && exit 0
echo "installing ${missing[*]}"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "${missing[@]}"
