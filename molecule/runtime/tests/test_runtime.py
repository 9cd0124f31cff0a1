"""One profile a node, given to nodes that run pods: facts of each, nothing restarted that need not be, nothing lost."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.flows import proof, runtime
from tests.flows.drive import booted, eventually, kubectl, limit, playbook, ssh
from tests.flows.estates import estate, profiles

STATE = "/var/lib/kubelet/cpu_manager_state"
ONLINE = {
    "reserved": {"system": {"cpu": "100m", "memory": "64Mi"}, "kube": {"cpu": "100m", "memory": "64Mi"}},
    "eviction": {"soft": {"memory.available": "150Mi"}, "soft_grace_seconds": {"memory.available": 90}},
    "container_logs": {"max_size": "20Mi", "files": 4},
    "shutdown": {"total_seconds": 30, "critical_seconds": 10},
    "max_pods": 60,
    "pod_pids_limit": 2048,
}
PROFILES = {
    "online": ONLINE,
    "offline": {"image_gc": {"high_percent": 97, "low_percent": 95, "max_age_hours": 100}, "parallel_pulls": 2},
    "gpu": {"max_pods": 20, "topology_manager": {"policy": "none"}, "runtimes": ["nvidia"]},
    "sandboxed": {"max_pods": 30, "runtimes": ["gvisor"]},
}
OF_WORKERS = {"w1": "offline", "w2": "online", "w3": "gpu", "w4": "sandboxed"}
PINNED = {**PROFILES, "pinned": {**ONLINE, "reserved": {"cpus": "0"}, "cpu_manager": {"policy": "static"}}}


def said(run):
    """What a run printed, however its lines were broken."""
    return " ".join(run.output.split())


def site(name, *edits, arguments=()):
    return playbook("site", f"--limit={limit()}", *arguments, estate=estate(name, *edits))


@pytest.fixture(scope="module")
def before():
    """Pods on every node, and which containers there are."""
    runtime.put_runsc_wrapper()
    proof.deploy()
    proof.web_pods()
    return runtime.containers(), {host: runtime.started(host) for host in booted("workers")}


@pytest.fixture(scope="module")
def applied(before):
    """All four workers get a profile by one run of `site`, while a node asks the service that they serve."""
    with runtime.requests_through_the_service(booted("control_plane")[0]) as stream:
        run = site("profiles", profiles(PROFILES, OF_WORKERS))
    print(f"four profiles: {run.seconds:.0f} s; {stream}")
    return run, stream


def test_the_run_changes_the_workers_that_have_a_profile(applied):
    run, _stream = applied

    assert run.status == 0, run.output
    assert run.hosts_with("changed") - {"localhost"} <= {*OF_WORKERS, *booted("control_plane")}, run.output
    assert set(OF_WORKERS) <= run.hosts_with("changed"), run.output


def test_no_container_was_started_anew(applied, before):
    containers, _units = before
    now = runtime.containers()

    assert {key: now.get(key) for key in containers} == containers


def test_no_request_was_lost(applied):
    _run, stream = applied

    assert stream.requests > 100
    assert stream.failures == [], stream


def test_one_host_at_a_time_and_containerd_only_where_its_settings_changed(applied, before):
    _containers, units = before
    now = {host: runtime.started(host) for host in OF_WORKERS}
    restarted = {host: {unit for unit in runtime.UNITS if now[host][unit] != units[host][unit]} for host in OF_WORKERS}

    assert restarted == {
        "w1": {"kubelet"},
        "w2": {"kubelet"},
        "w3": {"containerd", "kubelet"},
        "w4": {"containerd", "kubelet"},
    }
    spans = sorted((min(now[host][unit] for unit in those), max(now[host][unit] for unit in those))
                   for host, those in restarted.items())  # fmt: skip
    assert all(one[1] < two[0] for one, two in pairwise(spans)), spans


def test_the_kubelets_run_with_their_profiles(applied):
    configs = {host: runtime.kubelet_config(host) for host in OF_WORKERS}

    online = configs["w2"]
    assert (online["maxPods"], online["podPidsLimit"]) == (60, 2048)
    assert online["systemReserved"] == {"cpu": "100m", "memory": "64Mi"}
    assert online["evictionSoftGracePeriod"] == {"memory.available": "90s"}
    assert (online["containerLogMaxSize"], online["containerLogMaxFiles"]) == ("20Mi", 4)
    assert online["shutdownGracePeriod"] == "30s"
    assert (configs["w1"]["imageGCHighThresholdPercent"], configs["w1"]["maxParallelImagePulls"]) == (97, 2)
    assert configs["w1"]["serializeImagePulls"] is False
    assert [configs[host]["maxPods"] for host in ("w3", "w4")] == [20, 30]
    assert all(config["failCgroupV1"] is False for config in configs.values()), "the site's own setting stays"


def test_containerd_has_the_runtimes_of_the_profiles_and_the_nodes_say_so(applied):
    runtime.await_handlers(w3={"nvidia"}, w4={"gvisor"})
    selected = kubectl("get", "nodes", "--selector=runtime.hybridk8s.io/gvisor=true", "--output=name")
    assert selected.split() == ["node/w4"]


def test_a_pod_of_the_class_runs_under_gvisor_and_the_same_one_elsewhere_does_not(applied):
    runtime.run_pod("sandboxed", "w4", "gvisor")
    runtime.run_pod("plain", "w4")

    assert "-gvisor" in runtime.kernel_of("sandboxed")
    plain = runtime.kernel_of("plain")
    assert "Linux version" in plain
    assert "gvisor" not in plain


def test_a_pod_of_the_class_comes_to_no_node_without_the_runtime(applied):
    runtime.run_pod("misplaced", "w1", "gvisor")

    assert "didn't match Pod's node affinity/selector" in runtime.why_unscheduled("misplaced")
    kubectl("delete", "pod", "misplaced", f"--namespace={proof.NAMESPACE}")


def test_a_second_run_changes_nothing(applied):
    before = {host: runtime.started(host) for host in OF_WORKERS}
    run = site("profiles", profiles(PROFILES, OF_WORKERS))

    assert run.status == 0, run.output
    assert run.hosts_with("changed") == set(), run.output
    assert {host: runtime.started(host) for host in OF_WORKERS} == before


def test_what_others_wrote_for_containerd_stays(applied):
    drop_in = "/etc/containerd/conf.d/99-nvidia.toml"
    ssh("w3", f"cat > {drop_in}", stdin="version = 3\n")
    run = site("profiles", profiles(PROFILES, OF_WORKERS))

    assert run.hosts_with("changed") == set(), run.output
    assert ssh("w3", f"cat {drop_in}") == "version = 3\n"


def test_a_runtime_that_a_host_cannot_have_is_found_before_anything_changes(applied):
    described = {**PROFILES, "virtual": {"runtimes": ["kata"]}}
    run = site("virtual", profiles(described, {**OF_WORKERS, "w1": "virtual"}))

    assert run.status != 0
    assert "w1" in run.hosts_with("failed"), run.output
    assert "runtime kata needs /dev/kvm" in said(run)
    assert "w1" not in run.hosts_with("changed"), run.output
    runtime.await_handlers(w3={"nvidia"}, w4={"gvisor"})


def test_a_cpu_manager_does_not_change_under_pods_but_by_reinit(applied):
    wanted = profiles(PINNED, {**OF_WORKERS, "w2": "pinned"})
    refused = site("pinned", wanted)
    config = runtime.kubelet_config("w2")

    assert refused.hosts_with("failed") & set(OF_WORKERS) == {"w2"}, refused.output
    assert 'cpuManagerPolicy from nothing to "static"' in said(refused)
    assert "reinit --limit w2" in said(refused)
    assert config["cpuManagerPolicy"] == "none"
    assert next(node for node in proof.nodes() if node.name == "w2").ready

    done = playbook("reinit", "--limit=w2", "--extra-vars=confirm_estate=lab", estate=estate("pinned", wanted))
    assert done.status == 0, done.output
    eventually(lambda: runtime.kubelet_config("w2")["cpuManagerPolicy"] == "static", 60, "w2 has the static policy")
    assert '"policyName":"static"' in ssh("w2", f"cat {STATE}")
    again = site("pinned", wanted)
    assert (again.status, again.hosts_with("changed")) == (0, set()), again.output


def test_without_profiles_all_is_as_before(applied):
    kubectl("delete", "pod", "sandboxed", "plain", f"--namespace={proof.NAMESPACE}")
    run = site("pinned", profiles(PINNED, {"w2": "pinned"}))

    assert run.status == 0, run.output
    runtime.await_handlers()
    assert runtime.kubelet_config("w4")["maxPods"] == 110
    assert kubectl("get", "nodes", "--selector=runtime.hybridk8s.io/gvisor=true", "--output=name") == ""
    assert kubectl("get", "runtimeclasses", "--output=name").split() == [
        "runtimeclass.node.k8s.io/gvisor",
        "runtimeclass.node.k8s.io/nvidia",
    ], "they are those of the profiles that there are"
