"""The role lxcfs' tool that keeps files in containers when lxcfs restarts, in mount namespaces; a tmpfs is LXCFS."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "roles/lxcfs/files"
# In a mount and a PID namespace of its own: the tool looks at every process that it sees.
HOST = """
import json, os, subprocess, sys, time
sys.path.insert(0, sys.argv[1])
import lxcfs_views as tool

directory, report = sys.argv[2], []
tool.LXCFS, tool.RECORD, tool.TYPE, tool.SECONDS = directory + "/lxcfs", directory + "/record", "tmpfs", 1.0
os.mkdir(tool.LXCFS)

def serve(content):
    subprocess.run(["mount", "-t", "tmpfs", "lxcfs", tool.LXCFS], check=True)
    os.mkdir(tool.LXCFS + "/proc")
    for name in ("meminfo", "uptime"):
        with open(f"{tool.LXCFS}/proc/{name}", "w") as file:
            file.write(content + " " + name)

def container(*names):
    binds = "".join(
        f"mount --bind {tool.LXCFS}/proc/{name} /proc/{name}; mount -o remount,bind,ro,nosuid /proc/{name};"
        for name in names
    )
    script = f"{binds} echo; exec sleep 600"
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    child.stdout.readline()
    return child

def seen(child):
    inside = ["nsenter", f"--target={child.pid}", "--mount", "sh", "-c"]
    shown = subprocess.run([*inside, "head -c 12 /proc/meminfo; head -c 12 /proc/uptime"], stdout=subprocess.PIPE)
    return shown.stdout.decode()

serve("one")
both, one, none = container("meminfo", "uptime"), container("meminfo"), container()
gone = container("meminfo")
say = lambda step, *results: report.append([step, *results, *map(seen, (both, one, none))])
say("running")
say("detached", tool.detach(), tool.detach())
gone.kill(), gone.wait()
subprocess.run(["umount", tool.LXCFS], check=True)
say("nothing to attach", tool.attach())
serve("two")
say("attached", tool.attach(), os.path.exists(tool.RECORD))
with open(f"/proc/{both.pid}/mountinfo") as file:
    flags = [line.split()[5] for line in file if " /proc/meminfo " in line]
report.append(flags)
say("attached again", tool.attach())
json.dump(report, sys.stdout)
"""


def test_containers_have_the_files_while_they_are_there_and_the_kernels_own_else(tmp_path: Path) -> None:
    alone = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
    done = subprocess.run(
        [*alone, sys.executable, "-c", HOST, str(TOOL), str(tmp_path)], stdout=subprocess.PIPE, check=True, timeout=60
    )

    running, detached, waiting, attached, flags, again = json.loads(done.stdout)
    kernel = "MemTotal:   "
    assert running[1] == "one meminfoone uptime"
    assert running[2].startswith("one meminfo")
    assert detached[:3] == ["detached", True, True]
    assert [text[:12] for text in detached[3:]] == [kernel] * 3
    assert waiting[:2] == ["nothing to attach", False]
    assert attached[:3] == ["attached", True, False], "a container that is gone is no failure"
    assert attached[3] == "two meminfotwo uptime"
    assert attached[4].startswith("two meminfo")
    assert attached[4][11:] != "two uptime", "it had only one of them"
    assert attached[5].startswith(kernel)
    assert [set(one.split(",")) >= {"ro", "nosuid"} for one in flags] == [True], "as it was, and once"
    assert again[1] is True
