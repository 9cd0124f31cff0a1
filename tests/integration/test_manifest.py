"""The module manifest against a real API server, the whole official calico.yaml included."""

from __future__ import annotations

import copy
import hashlib
import http.server
import threading
import time
from contextlib import contextmanager

import pytest
from ansible_collections.hybridk8s.estate.plugins.modules import manifest

from tests.integration.faulty_proxy import Fault, FaultyProxy
from tests.lab.build import ensure_component

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
DAEMONSETS = "/apis/apps/v1/namespaces/default/daemonsets"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
NODES = "/api/v1/nodes"
LABEL = {"app.kubernetes.io/managed-by": "hybridk8s.estate"}


def config_map(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def workload(kind, name, **spec):
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "x:1"}]}}
    body = {"selector": {"matchLabels": labels}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": body}


def definition(plural, kind, group="test.hybridk8s.io"):
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"plural": plural, "kind": kind, "singular": kind.lower()},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


def custom(kind, name, group="test.hybridk8s.io"):
    return {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": name}, "spec": {"a": 1}}


def test_the_official_calico_manifest_patched_then_unchanged(cluster, run_module):
    src = ensure_component("calico") / "share/manifests/calico.yaml"
    environment = [
        {"name": "CALICO_IPV4POOL_IPIP", "value": "Never"},
        {"name": "CALICO_IPV4POOL_CIDR", "value": "10.21.0.0/16"},
    ]
    overlay = {
        "spec": {
            "template": {
                "spec": {
                    "affinity": {"nodeAffinity": {}},
                    "containers": [{"name": "calico-node", "env": environment, "livenessProbe": {"periodSeconds": 11}}],
                }
            }
        }
    }
    arguments = {
        "src": str(src),
        "checksum": f"sha256:{hashlib.sha256(src.read_bytes()).hexdigest()}",
        "overlays": [{"kind": "DaemonSet", "name": "calico-node", "overlay": overlay}],
        "omit": [{"kind": "PodDisruptionBudget"}],
        "set": "calico",
        "estate": "lab",
        "prune": True,
    }
    checked = run_module(manifest, check=True, **arguments)
    assert len(checked["steps"]) == checked["objects"] > 30
    assert cluster.get("/apis/apps/v1/namespaces/kube-system/daemonsets/calico-node") is None
    first = run_module(manifest, **arguments)
    assert first["steps"] == checked["steps"]
    live = cluster.get("/apis/apps/v1/namespaces/kube-system/daemonsets/calico-node")
    container = live["spec"]["template"]["spec"]["containers"][0]
    values = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert (values["CALICO_IPV4POOL_IPIP"], values["CALICO_IPV4POOL_CIDR"]) == ("Never", "10.21.0.0/16")
    assert values["DATASTORE_TYPE"] == "kubernetes", "what the overlay does not name stays"
    assert live["metadata"]["annotations"]["estate.hybridk8s.io/estate"] == "lab"
    assert cluster.list("/apis/policy/v1/poddisruptionbudgets") == []
    again = run_module(manifest, **arguments)
    assert (again["changed"], again["steps"]) == (False, [])

    cluster.merge(
        "/apis/apps/v1/namespaces/kube-system/daemonsets/calico-node",
        {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 7}}}},
    )
    drifted = run_module(manifest, **arguments)
    assert [step["target"] for step in drifted["steps"]] == ["DaemonSet/kube-system/calico-node"]
    assert "spec.template.spec.terminationGracePeriodSeconds" in drifted["steps"][0]["reason"]


def test_fields_and_objects_that_the_documents_no_longer_have_go(cluster, run_module):
    documents = [config_map("a1", x="1", y="2"), config_map("a2", x="1")]
    run_module(manifest, documents=documents, set="a", prune=True)
    cluster.create(CONFIGMAPS, {**config_map("a3"), "metadata": {"name": "a3", "labels": LABEL}})
    marked = {"name": "a4", "annotations": {"estate.hybridk8s.io/set": "a"}}
    cluster.create(CONFIGMAPS, {**config_map("a4"), "metadata": marked})
    fewer = [config_map("a1", x="1")]
    planned = run_module(manifest, documents=fewer, set="a", prune=True, check=True)
    assert cluster.get(f"{CONFIGMAPS}/a2")
    result = run_module(manifest, documents=fewer, set="a", prune=True)
    assert planned["steps"] == result["steps"]
    assert [(step["action"], step["target"], step["reason"]) for step in result["steps"]] == [
        ("update", "ConfigMap/default/a1", "data.y"),
        ("delete", "ConfigMap/default/a2", "no document of the set a has it"),
    ]
    assert cluster.get(f"{CONFIGMAPS}/a1")["data"] == {"x": "1"}
    assert cluster.get(f"{CONFIGMAPS}/a3"), "of another set"
    assert cluster.get(f"{CONFIGMAPS}/a4"), "of somebody else"
    assert run_module(manifest, documents=fewer, set="a", prune=True)["changed"] is False


def test_an_object_that_others_made_alike_becomes_ours_once(cluster, run_module):
    marked = {**config_map("b1", x="1"), "metadata": {"name": "b1", "labels": LABEL}}
    cluster.create(CONFIGMAPS, marked)
    first = run_module(manifest, documents=[config_map("b1", x="1")])
    assert [step["reason"] for step in first["steps"]] == ["take over its fields"]
    assert run_module(manifest, documents=[config_map("b1", x="1")])["changed"] is False


def test_definitions_come_before_objects_of_their_kind(cluster, run_module):
    documents = [custom("Early", "c1"), workload("Deployment", "c-app"), definition("earlies", "Early")]
    planned = run_module(manifest, documents=documents, check=True)
    assert {step["action"] for step in planned["steps"]} == {"create"}
    result = run_module(manifest, documents=documents)
    assert "failed" not in result, result
    kinds = [step["target"].split("/")[0] for step in result["steps"]]
    assert kinds == ["CustomResourceDefinition", "Early", "Deployment"]
    assert cluster.get("/apis/test.hybridk8s.io/v1/namespaces/default/earlies/c1")
    assert run_module(manifest, documents=documents)["changed"] is False


def test_a_kind_that_nobody_defines(run_module):
    document = custom("Nothing", "d1", group="nowhere.hybridk8s.io")
    planned = run_module(manifest, documents=[document], check=True)
    assert [step["action"] for step in planned["steps"]] == ["create"]
    empty = run_module(manifest, documents=[document, config_map("d2")], check=True, kubeconfig=None)
    assert len(empty["steps"]) == 2
    result = run_module(manifest, documents=[document])
    assert "does not know nowhere.hybridk8s.io/v1 Nothing" in result["msg"]


def test_a_document_that_is_refused_stops_everything_before_the_first_change(cluster, run_module):
    run_module(manifest, documents=[workload("Deployment", "e-app", replicas=1)])
    broken = workload("Deployment", "e-app", replicas=1, selector={"matchLabels": {"app": "other"}})
    result = run_module(manifest, documents=[config_map("e1"), broken])
    assert result["failed"] is True
    assert "Deployment/default/e-app" in result["msg"]
    assert cluster.get(f"{CONFIGMAPS}/e1") is None


def test_a_failure_midway_reports_what_was_done_and_the_rerun_converges(plane, cluster, run_module, tmp_path):
    documents = [config_map("f1"), workload("Deployment", "f-app")]

    def rule(request):
        return Fault(422, message="not today") if request.method == "PATCH" and "f-app" in request.path else None

    with FaultyProxy(plane, tmp_path, rule) as proxy:
        result = run_module(manifest, kubeconfig=proxy.kubeconfig, documents=documents)
    assert result["failed"] is True
    assert [step["target"] for step in result["steps"]] == ["ConfigMap/default/f1"]
    rerun = run_module(manifest, documents=documents)
    assert [step["target"] for step in rerun["steps"]] == ["Deployment/default/f-app"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"documents": [config_map("g")] * 2}, "described twice: ConfigMap/default/g"),
        ({"documents": [{"kind": "ConfigMap"}]}, "document 1 of documents has no apiVersion"),
        (
            {"documents": [], "overlays": [{"kind": "DaemonSet", "name": "x", "overlay": {}}]},
            "no document is DaemonSet/x",
        ),
        ({"documents": [], "omit": [{"kind": "Job"}]}, "omit: no document is Job"),
        ({"src": "/nowhere.yaml"}, "/nowhere.yaml cannot be read: No such file"),
        ({"src": "https://example.com/x.yaml"}, "checksum is not set"),
    ],
)
def test_arguments_that_make_no_sense(run_module, arguments, said):
    result = run_module(manifest, **arguments)
    assert result["failed"] is True
    assert said in result["msg"]


@contextmanager
def web(content):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            self.send_response(200 if self.path == "/github.com/x/y.yaml" else 404)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments):
            return None

    seen = []
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", seen
    server.shutdown()
    server.server_close()


def test_src_from_a_mirror_is_verified(cluster, run_module):
    content = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: h1}\ndata: {day: 2026-11-23, sign: =}\n---\n"
    checksum = hashlib.sha256(content).hexdigest()
    with web(content) as (mirror, seen):
        wrong = run_module(manifest, src="https://github.com/x/y.yaml", mirror=mirror, checksum="0" * 64)
        assert f"has the SHA-256 {checksum} and not 0000" in wrong["msg"]
        lost = run_module(manifest, src="https://github.com/gone.yaml", mirror=mirror, checksum=checksum)
        assert "cannot be fetched" in lost["msg"]
        good = run_module(manifest, src="https://github.com/x/y.yaml", mirror=mirror, checksum=checksum)
    assert good["changed"] is True, good
    assert cluster.get(f"{CONFIGMAPS}/h1")["data"] == {"day": "2026-11-23", "sign": "="}
    assert seen.count("/github.com/gone.yaml") == 1, "what is not there is not asked for again"


def set_status(cluster, path, **status):
    generation = cluster.get(path)["metadata"]["generation"]
    cluster.merge(f"{path}/status", {"status": {"observedGeneration": generation, **status}})


def test_wait_ends_when_the_workloads_are_rolled_out(cluster, run_module):
    def controller():
        while cluster.get(f"{DEPLOYMENTS}/i-app") is None:
            time.sleep(0.1)
        time.sleep(1.0)
        set_status(cluster, f"{DEPLOYMENTS}/i-app", replicas=2, updatedReplicas=2, availableReplicas=2, readyReplicas=2)

    playing = threading.Thread(target=controller)
    playing.start()
    started = time.monotonic()
    result = run_module(manifest, documents=[workload("Deployment", "i-app", replicas=2)], wait=120)
    playing.join()
    assert "failed" not in result, result
    assert 1.0 < time.monotonic() - started < 60.0


def test_wait_names_pods_and_reasons_when_the_time_is_over(cluster, run_module):
    documents = [workload("Deployment", "j-app", replicas=2)]
    run_module(manifest, documents=documents)
    set_status(cluster, f"{DEPLOYMENTS}/j-app", replicas=1, updatedReplicas=1)
    container = {"name": "main", "image": "x", "imageID": "", "ready": False, "restartCount": 0}
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image x:1"}}
    pod = {"name": "j-app-1", "labels": {"app": "j-app"}}
    spec = {"nodeName": "w1", "containers": [{"name": "main", "image": "x"}]}
    cluster.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": pod, "spec": spec})
    cluster.merge(f"{PODS}/j-app-1/status", {"status": {"containerStatuses": [{**container, "state": waiting}]}})
    result = run_module(manifest, documents=documents, wait=1)
    assert result["failed"] is True
    assert "Deployment/default/j-app: 1 of 2 pods updated" in result["msg"]
    assert "j-app-1 on w1: main: ImagePullBackOff (no such image x:1)" in result["msg"]


def test_wait_does_not_wait_for_pods_on_dead_nodes(cluster, run_module):
    for name, ready in (("k1", "True"), ("k2", "Unknown")):
        cluster.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
        cluster.merge(f"{NODES}/{name}/status", {"status": {"conditions": [{"type": "Ready", "status": ready}]}})
        pod = {"name": f"k-agent-{name}", "labels": {"app": "k-agent"}}
        spec = {"nodeName": name, "containers": [{"name": "main", "image": "x"}]}
        cluster.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": pod, "spec": spec})
    documents = [workload("DaemonSet", "k-agent")]
    run_module(manifest, documents=documents)
    counts = {"currentNumberScheduled": 2, "numberMisscheduled": 0, "numberReady": 1, "desiredNumberScheduled": 2}
    path = f"{DAEMONSETS}/k-agent"
    set_status(cluster, path, updatedNumberScheduled=2, numberAvailable=1, **counts)
    assert "failed" not in run_module(manifest, documents=documents, wait=1)
    set_status(cluster, path, updatedNumberScheduled=2, numberAvailable=0, **counts)
    assert "0 of 1 pods available" in run_module(manifest, documents=documents, wait=1)["msg"]


def test_a_secrets_values_are_not_in_the_diff(run_module):
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "l1"}, "stringData": {"password": "hunter2-x"}}
    first = run_module(manifest, documents=[copy.deepcopy(secret)], diff=True)
    assert "hunter2-x" not in str(first)
    secret["stringData"]["password"] = "changed-y"
    second = run_module(manifest, documents=[secret], diff=True)
    assert second["changed"] is True
    assert "Y2hhbmdlZC15" not in str(second)
    assert run_module(manifest, documents=[secret])["changed"] is False
