"""Everything that the lab needs built: components, root file systems, images, and the mirror that serves them.

Use it as a library::

    from tests.lab import build

    artifacts = build.ensure()                    # idempotent; under two seconds when there is nothing to do
    artifacts.host_rootfs                         # Path, lower directory of every host's overlay
    artifacts.binaries_dir("kubernetes") / "kubectl"

or as a command: ``python -m tests.lab.build --help``.

`ensure` installs the Debian packages that the machine lacks, builds what is not in the cache (`$HYBRIDK8S_CACHE`,
default ``~/.cache/hybridk8s-estate``) and returns an `Artifacts`, a frozen dataclass of absolute paths:

=====================  ===============================================================================================
host_rootfs            Debian root directory of a host: systemd, sshd, python3, networking tools, haproxy (disabled).
switch_rootfs          The same plus FRR, bgpd switched on in /etc/frr/daemons, otherwise configured as Debian does; and
                       keepalived.
mirror_dir             Release files as ``<host>/<path of the upstream URL>``; serve it with any static HTTP server.
registry_storage       ``rootdirectory`` for docker-registry's filesystem driver; holds every image of the lab. Serve it
                       read-only (``storage: {maintenance: {readonly: {enabled: true}}}``). It answers for every
                       registry: registry.k8s.io/coredns/coredns is coredns/coredns, quay.io/calico/node is calico/node.
images                 ``repository:tag`` of every image in there, as containerd asks for it (without the registry).
images_dir(reference)  The OCI layout directory of one image.
binaries_dir(name)     ``bin`` directory of a component (a folder of tests/lab/components).
shared_dir(name)       ``share`` directory of a component: files taken from its Go module, by their path in it.
=====================  ===============================================================================================

The paths are shared by every checkout of this user and never change once they exist: **never write below them**
(overlay them, or copy). Components of group ``tests`` (kwok) are not part of `ensure`; get them by `ensure_component`.

Progress goes to a callable that takes one line of text (default: stderr). Every failure is a `BuildError` whose text
says what failed and where its log is.
"""

from __future__ import annotations

from tests.lab.build.api import Artifacts, ensure, ensure_component
from tests.lab.build.store import BuildError

__all__ = ["Artifacts", "BuildError", "ensure", "ensure_component"]
