"""A pool of VMs from none to some by `site`, smaller, larger, one of them dead, and back to none, over and over."""

from __future__ import annotations

import time
from ipaddress import IPv4Address

import pytest

from tests.flows import audit, cloud, pools, proof, state
from tests.flows.drive import eventually, inventory, kubectl, lab, objects, outside
from tests.flows.pools import POOL, sized, succeeded, unchanged, vms

COUNT = 2
ONE_VM_SECONDS, FOUR_VMS_SECONDS = 60, 100
PODS = 10  # two interfaces of four addresses each, and kube-proxy and Terway on the host's network


def test_check_mode_tells_and_writes_nothing(before):
    began, marked = time.time(), audit.mark()
    run = succeeded("site", sized(COUNT), "--check", "--diff")
    assert [each["action"] for each in cloud.requests() if each["time"] >= began and each["writes"]] == []
    assert audit.since(marked), "the collection asked the API server"
    assert [(event.verb, event.uri) for event in audit.writes(marked)] == []
    for vm in vms(COUNT):
        assert vm in run.output
    assert state.differences(before, pools.remembered()) == []


@pytest.fixture(scope="module")
def running(before):
    """The estate with VMs, by `site`, with a web server on each node."""
    pools.grow("site", COUNT)
    proof.deploy()
    return proof.web_pods()


@pytest.fixture(scope="module")
def earlier_addresses(running):
    return pools.addresses()


def on_vms(pods):
    return [pod for pod in pods if pod["spec"]["nodeName"] in vms(COUNT)]


def in_data_centre(pods):
    return [pod for pod in pods if pod["spec"]["nodeName"] not in vms(COUNT)]


def test_vms_are_ready_nodes(running, earlier_addresses):
    assert len(earlier_addresses) == COUNT
    assert vms(COUNT) <= pools.nodes()
    found = {node["metadata"]["name"]: node for node in objects("nodes")}
    for vm in vms(COUNT):
        labels = found[vm]["metadata"]["labels"]
        assert labels["alibabacloud.com/external"] == "true"
        assert labels["team"] == "shop"
        assert labels["topology.kubernetes.io/zone"] == "cn-lab-a"
        assert int(found[vm]["status"]["capacity"]["pods"]) == PODS


def test_their_pods_have_addresses_of_the_pod_vswitch(running):
    assert {pod["spec"]["nodeName"] for pod in on_vms(running)} == vms(COUNT)
    for pod in on_vms(running):
        assert any(IPv4Address(cloud.address_of(pod)) in network for network in cloud.pod_networks()), pod["status"]
    interfaces = [eni for eni in cloud.state()["enis"] if eni["role"] == "Secondary"]
    assigned = {address for eni in interfaces for address in eni["addresses"]}
    assert {cloud.address_of(pod) for pod in on_vms(running)} <= assigned


def test_pods_of_both_sides_see_each_other_by_their_own_addresses(running):
    ways = cloud.pairs(on_vms(running), in_data_centre(running))
    assert len(ways) == 2 * COUNT * len(in_data_centre(running))
    for source, target in ways:
        said, seen = cloud.web(source, cloud.address_of(target))
        assert (said, seen) == (target["metadata"]["name"], cloud.address_of(source))
        cloud.in_pod(source, "ping", "-c", "2", "-i", "0.2", "-W", "2", cloud.address_of(target))


def test_udp_between_pods_of_both_sides(running):
    for source, target in cloud.pairs(on_vms(running), in_data_centre(running)):
        assert cloud.udp(source, target) == cloud.address_of(source)


def test_pods_of_two_vms_see_each_other(running):
    one, other = on_vms(running)
    assert cloud.web(one, cloud.address_of(other)) == (other["metadata"]["name"], cloud.address_of(one))


def test_services_answer_on_both_sides(running):
    """A service's endpoints are on both sides: each is met from each side, by its own address."""
    names = {pod["metadata"]["name"] for pod in running}
    for source in (on_vms(running)[0], in_data_centre(running)[0]):
        meet_all(source, names)


def meet_all(source, names):
    met = set()

    def all_met():
        said, seen = cloud.web(source, proof.service_address(), 80)
        # Only a pod that meets itself is seen by another address: its node's.
        assert seen == cloud.address_of(source) or said == source["metadata"]["name"]
        met.add(said)
        return met == names

    eventually(all_met, 60, "each endpoint of the service is met")


def test_names_are_resolved_on_vms(running):
    dns = kubectl("get", "service", "kube-dns", "--namespace=kube-system", "--output=jsonpath={.spec.clusterIP}")
    query = (
        "import socket,struct,sys;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.settimeout(5);"
        "n=b''.join(bytes([len(p)])+p.encode() for p in sys.argv[2].split('.'))+b'\\0';"
        "s.sendto(struct.pack('!6H',7,256,1,0,0,0)+n+struct.pack('!2H',1,1),(sys.argv[1],53));"
        "print(socket.inet_ntoa(s.recv(512)[-4:]))"
    )
    name = f"web.{proof.NAMESPACE}.svc.cluster.local"
    for pod in on_vms(running):
        assert cloud.in_pod(pod, "python3", "-c", query, dns, name).strip() == proof.service_address()


def test_the_outside_reaches_pods_of_vms(running):
    for pod in on_vms(running):
        said = outside("curl", "--silent", "--show-error", "--max-time", "5", f"http://{cloud.address_of(pod)}:8080/")
        assert said.split()[0] == pod["metadata"]["name"]


def test_a_second_run_changes_and_writes_nothing(running):
    for name in ("cloud", "site"):
        began, marked = time.time(), audit.mark()
        run = succeeded(name, sized(COUNT))
        print(f"{name} again: {run.seconds:.0f} s")
        unchanged(run)
        assert [each["action"] for each in cloud.writes(began)] == []
        assert [(event.verb, event.uri) for event in audit.writes(marked)] == []


def test_a_limit_that_leaves_vms_out_makes_and_ends_none(running):
    for count in (COUNT + 1, COUNT - 1):
        began = time.time()
        succeeded("site", sized(count), "--limit=bare_metal")
        assert [each["action"] for each in cloud.writes(began)] == []
    assert pools.nodes() == {*inventory().hosts_of("kubernetes"), *vms(COUNT)}


def test_a_limit_to_vms_touches_no_other_host(running):
    run = succeeded("site", sized(COUNT), f"--limit={POOL}-1")
    assert run.recap.keys() == {f"{POOL}-1"}
    unchanged(run)


def test_a_smaller_pool(running):
    pools.shrink(1)
    assert pools.nodes() == {*inventory().hosts_of("kubernetes"), *vms(1)}
    assert {each["name"] for each in cloud.state()["instances"]} == vms(1)


def test_four_more(running):
    grown = pools.grow("cloud", 5)
    assert pools.nodes() == {*inventory().hosts_of("kubernetes"), *vms(5)}
    assert grown.ready_after <= FOUR_VMS_SECONDS


def test_a_vm_that_died_is_forgotten(running):
    dead = f"{POOL}-5"
    lab("kill", dead)
    proof.await_silence(dead)
    run = pools.shrink(4)
    assert run.recap.get(dead, {}).get("unreachable", 0) == 0, f"nobody tried to reach it\n{run.output}"
    assert {node.name for node in proof.nodes()} == {*inventory().hosts_of("kubernetes"), *vms(4)}
    assert {each["name"] for each in cloud.state()["instances"]} == vms(4)
    unchanged(succeeded("cloud", sized(4)))


def test_without_vms_nothing_is_left_and_all_went_in_order(before, running):
    interfaces = {each["id"]: each["instance"] for each in cloud.state()["enis"] if each["role"] == "Secondary"}
    instances = {each["id"]: each["name"] for each in cloud.state()["instances"]}
    assert set(interfaces.values()) == set(instances), "Terway gave each VM interfaces for its pods"
    assert pools.known_hosts() == set(instances)
    began, marked = time.time(), audit.mark()
    pools.shrink(0)
    steps = pools.end_of_each(instances, interfaces, cloud.writes(began), audit.writes(marked))
    assert steps.keys() == vms(4)
    for order in steps.values():
        assert order == ["cordoned", "node removed", "interfaces detached", "interfaces deleted", "instance deleted"]
    kubectl("delete", "namespace", proof.NAMESPACE)
    assert state.differences(before, pools.remembered()) == []
    assert pools.known_hosts() == set()
    unchanged(succeeded("cloud", sized(0)))


def test_one_vm_at_an_address_that_another_had(before, earlier_addresses):
    cloud.ask("reuse_addresses")
    grown = pools.grow("cloud", 1)
    assert pools.addresses() <= earlier_addresses, "the address was another VM's, with another host key"
    assert pools.nodes() == {*inventory().hosts_of("kubernetes"), *vms(1)}
    assert grown.ready_after <= ONE_VM_SECONDS
    pools.shrink(0)
    assert state.differences(before, pools.remembered()) == []
