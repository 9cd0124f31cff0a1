#!/usr/bin/env bash
# Copy the working tree (tracked and new files, nothing that git ignores) to $1, replacing what was there: for tools
# that must not see .cache, or that refuse a symlinked collection.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$1
rm -rf "$target"
mkdir -p "$target"
git ls-files --cached --others --exclude-standard -z |
  while IFS= read -r -d '' path; do [ -e "$path" ] && printf '%s\0' "$path"; done |
  tar --create --null --files-from=- | tar --extract --directory "$target"
