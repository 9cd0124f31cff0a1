"""Takes LXCFS's files off the containers that have them while lxcfs is away, and puts them back.

A container's /proc/meminfo is a mount of one file of LXCFS. When lxcfs ends, such a mount is dead for good: readers are
told "Transport endpoint is not connected". So they are unmounted before lxcfs is stopped, or after it has died, and
containers see the kernel's own files; when lxcfs is back they are mounted again. The mounts are cloned outside of the
container and moved into its mount namespace, so it needs nothing for that: neither programs nor a path to LXCFS.

Linux 5.2 or later. The arguments are `detach` or `attach`.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import sys
import time

LXCFS = "/var/lib/lxcfs"
RECORD = "/run/hybridk8s-lxcfs-views.json"
TYPE = "fuse.lxcfs"
SECONDS = 10.0

OPEN_TREE, MOVE_MOUNT = 428, 429  # the same on every architecture
OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH, AT_FDCWD = 1, 4, -100
CLONE_NEWNS, MNT_DETACH = 0x20000, 2
MS_REMOUNT, MS_BIND, MS_PRIVATE = 0x20, 0x1000, 0x40000
FLAGS = {"ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8, "noatime": 0x400, "relatime": 0x200000}
libc = ctypes.CDLL(None, use_errno=True)


def views(mountinfo):
    """Those of the mounts that are files of LXCFS, in the order in which they were made."""
    found = []
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        root, path, options = fields[3:6]
        kind = fields[fields.index("-") + 1]
        if kind == TYPE and root != "/":
            flags = sum(FLAGS.get(option, 0) for option in options.split(","))
            found.append({"root": plain(root), "path": plain(path), "flags": flags})
    return found


def plain(text):
    return re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), text)


def started(process):
    """What tells a process from a later one with its number."""
    return read(f"/proc/{process}/stat").rpartition(")")[2].split()[19]


def read(path):
    with open(path) as file:
        return file.read()


def containers():
    """The first process of each other mount namespace in which there are files of LXCFS, and what these are."""
    seen = {os.stat("/proc/self/ns/mnt").st_ino}
    for process in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            namespace = os.stat(f"/proc/{process}/ns/mnt").st_ino
            if namespace in seen:
                continue
            mounts = views(read(f"/proc/{process}/mountinfo"))
            seen.add(namespace)
            if mounts:
                yield {"process": process, "started": started(process), "mounts": mounts}
        except OSError:
            continue  # it has just ended


def within(container, work, prepare=None):
    """Do `work` in the container's mount namespace, in a process of its own; whether that went well."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    try:
        prepared = [prepare(container["mounts"])] if prepare else []
        namespace = os.open(f"/proc/{container['process']}/ns/mnt", os.O_RDONLY)
        succeed(libc.setns(namespace, CLONE_NEWNS), "setns")
        work(container["mounts"], *prepared)
    except OSError as error:
        print(f"process {container['process']}: {error}", file=sys.stderr)
        os._exit(1)
    os._exit(0)


def succeed(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def unmount(mounts):
    for mount in reversed(mounts):
        succeed(libc.umount2(mount["path"].encode(), MNT_DETACH), mount["path"])


def put(mounts, cloned):
    for mount, clone in zip(mounts, cloned):
        path = mount["path"].encode()
        moved = libc.syscall(MOVE_MOUNT, clone, b"", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH)
        succeed(moved, mount["path"])
        succeed(libc.mount(None, path, None, MS_PRIVATE, None), mount["path"])
        succeed(libc.mount(None, path, None, MS_REMOUNT | MS_BIND | mount["flags"], None), mount["path"])


def detach():
    """Unmount LXCFS's files in all containers, and note where they were."""
    found = list(containers())
    with open(RECORD + ".new", "w") as file:
        json.dump([*recorded(), *found], file)
    os.replace(RECORD + ".new", RECORD)
    done = [within(container, unmount) for container in found]
    return all(done)


def attach():
    """Mount them again in those containers that are still there, when lxcfs has mounted its own directory."""
    deadline = time.monotonic() + SECONDS
    while not re.search(rf" {LXCFS} .* - {TYPE} ", read("/proc/self/mountinfo")):
        if time.monotonic() > deadline:
            print(f"{LXCFS} is not mounted after {SECONDS:g} s", file=sys.stderr)
            return False
        time.sleep(0.02)
    done = [within(container, put, clones) for container in recorded() if lives(container)]
    if os.path.exists(RECORD):
        os.unlink(RECORD)
    return all(done)


def lives(container):
    try:
        return started(container["process"]) == container["started"]
    except OSError:
        return False


def clones(mounts):
    """The files of LXCFS as mounts that are nowhere yet."""
    paths = [(LXCFS + mount["root"]).encode() for mount in mounts]
    return [succeed(libc.syscall(OPEN_TREE, AT_FDCWD, path, OPEN_TREE_CLONE), path.decode()) for path in paths]


def recorded():
    return json.loads(read(RECORD)) if os.path.exists(RECORD) else []


if __name__ == "__main__":
    sys.exit(0 if {"detach": detach, "attach": attach}[sys.argv[1]]() else 1)
