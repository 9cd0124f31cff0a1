#!/usr/bin/env bash
# Build the collection's tarball into $1 and prove that it works alone: nothing of the repository is on its path.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p "$1"
dist=$(realpath "$1")
PATH="$(readlink -f .cache/venv)/bin:$PATH"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bash tests/tree.sh "$work/tree"
rm -f "$dist"/hybridk8s-estate-*.tar.gz
ansible-galaxy collection build --force --output-path "$dist" "$work/tree" >/dev/null
tarball=$(echo "$dist"/hybridk8s-estate-*.tar.gz)
strays=$(tar --list --file "$tarball" | grep -Ev '^(MANIFEST\.json|FILES\.json|README\.md|CHANGELOG\.md|(LICENSES|meta|plugins|roles|playbooks|inventories|docs|changelogs)(/|$))' || true)
[ -z "$strays" ] || { echo "the tarball holds what does not belong there:" "$strays" >&2; exit 1; }

export ANSIBLE_CONFIG=$work/ansible.cfg ANSIBLE_COLLECTIONS_PATH=$work/installed HOME=$work/home
printf '[defaults]\n' >"$ANSIBLE_CONFIG"
mkdir "$HOME"
cd "$work"
ansible-galaxy collection install --offline --collections-path "$ANSIBLE_COLLECTIONS_PATH" "$tarball" >/dev/null
installed=$ANSIBLE_COLLECTIONS_PATH/ansible_collections/hybridk8s/estate
for module in "$installed"/plugins/modules/*.py; do
  name=$(basename "$module" .py)
  [ "$name" = __init__ ] || modules+=("hybridk8s.estate.$name")
done
ansible-doc --type module --json "${modules[@]}" >"$work/docs.json"
for playbook in "$installed"/playbooks/*.yml; do
  ansible-playbook --syntax-check --inventory "$installed/inventories/lab" "hybridk8s.estate.$(basename "$playbook" .yml)" >/dev/null
done
echo "$(basename "$tarball"): $(tar --list --file "$tarball" | wc -l) files, ${#modules[@]} modules, works alone"
