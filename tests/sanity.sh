#!/usr/bin/env bash
# ansible-test sanity on a copy of the working tree in the directory $1: ansible-test refuses a symlinked collection.
set -euo pipefail
cd "$(dirname "$0")/.."
tree=$1/ansible_collections/hybridk8s/estate
PATH="$(readlink -f .cache/venv)/bin:$PATH"
bash tests/tree.sh "$tree"
# ansible-test would download get-pip.py from a host that many sites cannot reach; the standard library's pip serves.
read -r python_version pip_version < <(
  python - <<'PYTHON'
import sys
from types import SimpleNamespace

from ansible_test._internal.python_requirements import get_venv_packages

version = "{}.{}".format(*sys.version_info)
print(version, get_venv_packages(SimpleNamespace(version=version))["pip"].replace(".", "_"))
PYTHON
)
get_pip=$HOME/.ansible/test/cache/get_pip_$pip_version.py
if [ ! -e "$get_pip" ]; then
  mkdir -p "${get_pip%/*}"
  printf 'import ensurepip\n\nensurepip.bootstrap()\n' >"$get_pip"
fi
cd "$tree"
ansible-test sanity --python "$python_version" --color no "${@:2}"
