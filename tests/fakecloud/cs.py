"""CS, the container service: clusters that are registered from outside. Its API is REST."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Mapping
from typing import Any

from tests.fakecloud import moments
from tests.fakecloud.actions import Answer, Call, action, newest_first
from tests.fakecloud.errors import ApiError, invalid_parameter, missing_parameter
from tests.fakecloud.model import Cluster
from tests.fakecloud.parameters import CLIENT_TOKEN, REGION, One
from tests.fakecloud.signature import Signed
from tests.fakecloud.world import World

CLUSTER = One("ClusterId", required=True)
ONE_CLUSTER = r"(?P<ClusterId>[^/]+)"
ROUTES = tuple(
    (method, re.compile(path), name)
    for method, path, name in (
        ("POST", "/clusters", "CreateCluster"),
        ("GET", "/api/v1/clusters", "DescribeClustersV1"),
        ("GET", f"/clusters/{ONE_CLUSTER}", "DescribeClusterDetail"),
        ("DELETE", f"/clusters/{ONE_CLUSTER}", "DeleteCluster"),
        ("GET", f"/k8s/{ONE_CLUSTER}/external/agent/deployment", "DescribeExternalAgent"),
    )
)
# What this API calls otherwise than the others do.
NAMES = {"region_id": "RegionId", "client_token": "ClientToken"}
MOST_PAGE = 100


def route(request: Signed) -> tuple[str, Mapping[str, str]]:
    """The action that a request means, and its parameters: from the path, the query and the JSON body."""
    for method, pattern, name in ROUTES:
        found = pattern.fullmatch(request.path)
        if method == request.method and found:
            given = {**request.query, **_body(request), **found.groupdict()}
            return name, {NAMES.get(key, key): value for key, value in given.items()}
    return f"{request.method} {request.path}", dict(request.query)


def _body(request: Signed) -> dict[str, str]:
    if not request.headers.get("content-type", "").startswith("application/json") or not request.body:
        return {}
    try:
        value = json.loads(request.body)
    except ValueError:
        return {}
    return {name: cell if isinstance(cell, str) else json.dumps(cell) for name, cell in value.items()}


@action(
    "cs",
    "CreateCluster",
    REGION,
    CLIENT_TOKEN,
    One("name", required=True, pattern=r"[^-_\W][\w-]{0,62}"),
    One("cluster_type", required=True, choices=("ExternalKubernetes",)),
    One("vpcid", required=True),
    One("vswitch_ids", "json"),
    One("pod_vswitch_ids", "json"),
    One("service_cidr"),
    One("container_cidr"),
    One("security_group_id"),
    One("is_enterprise_security_group", "boolean"),
    One("endpoint_public_access", "boolean"),
    One("deletion_protection", "boolean"),
    One("tags"),
    One("addons"),
    One("resource_group_id"),
    One("profile"),
    One("cluster_spec"),
    One("timezone"),
    One("kubernetes_version"),
    One("ip_stack"),
    One("cluster_domain"),
    writes=True,
)
def create_cluster(call: Call) -> Answer:
    values, world = call.values, call.cloud.world
    vpc = world.vpcs.get(values["vpcid"])
    if vpc is None or vpc.region != call.region:
        raise ApiError(400, "InvalidVpcId.NotFound", f"The specified VPC {values['vpcid']} does not exist.")
    if not values["vswitch_ids"]:
        raise missing_parameter("vswitch_ids")
    for identifier in (*values["vswitch_ids"], *(values["pod_vswitch_ids"] or [])):
        vswitch = world.vswitches.get(identifier)
        if vswitch is None or vswitch.vpc != vpc.id:
            raise ApiError(400, "InvalidVSwitchId.NotFound", f"The vSwitch {identifier} does not exist in {vpc.id}.")
    if any(each.name == values["name"] and call.mine(each) for each in call.cloud.clusters.values()):
        raise ApiError(400, "ClusterNameAlreadyExist", f"A cluster with the name {values['name']} exists already.")
    cluster = Cluster(
        id=f"c{secrets.token_hex(16)}",
        number=call.cloud.number(),
        account=call.account,
        region=call.region,
        created=call.now,
        name=values["name"],
        cluster_type=values["cluster_type"],
        vpc=vpc.id,
        vswitches=list(values["vswitch_ids"]),
        security_group=values["security_group_id"] or "",
        service_cidr=values["service_cidr"] or "172.19.0.0/20",
        public_endpoint=bool(values["endpoint_public_access"]),
        due=call.now + call.cloud.world.timings.cluster,
        tags=_tags(values["tags"]),
        deletion_protection=bool(values["deletion_protection"]),
        agent_token=secrets.token_urlsafe(24),
    )
    call.cloud.save(cluster)
    call.cloud.begin_billing(cluster, "cluster", cluster.id, call.cause)
    return {"cluster_id": cluster.id, "task_id": f"T-{cluster.id[1:]}"}


def _tags(text: str | None) -> dict[str, str]:
    try:
        return {record["key"]: record.get("value", "") for record in json.loads(text or "[]")}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise invalid_parameter("tags") from None


@action("cs", "DescribeClusterDetail", CLUSTER)
def describe_cluster_detail(call: Call) -> Answer:
    return _shown(_own(call))


@action(
    "cs",
    "DescribeClustersV1",
    One("RegionId"),
    One("name"),
    One("cluster_type"),
    One("cluster_id"),
    One("profile"),
    One("cluster_spec"),
    One("page_number", "integer", low=1),
    One("page_size", "integer", low=1, high=MOST_PAGE),
)
def describe_clusters(call: Call) -> Answer:
    values = call.values
    found = newest_first(
        [
            cluster
            for cluster in call.cloud.clusters.values()
            if call.mine(cluster)
            and values["RegionId"] in (None, cluster.region)
            and (values["name"] is None or values["name"] in cluster.name)
            and values["cluster_type"] in (None, cluster.cluster_type)
            and values["cluster_id"] in (None, cluster.id)
        ]
    )
    number, size = values["page_number"] or 1, values["page_size"] or 10
    part = found[(number - 1) * size : number * size]
    pages = {"page_number": number, "page_size": size, "total_count": len(found)}
    return {"clusters": [_shown(cluster) for cluster in part], "page_info": pages}


@action(
    "cs",
    "DeleteCluster",
    CLUSTER,
    One("retain_all_resources", "boolean"),
    One("retain_resources"),
    One("keep_slb", "boolean"),
    One("delete_options"),
    writes=True,
)
def delete_cluster(call: Call) -> Answer:
    cluster = _own(call)
    if cluster.deletion_protection:
        raise ApiError(400, "ErrorClusterDeletionProtection", f"The cluster {cluster.id} has deletion protection.")
    cluster.state, cluster.due = "deleting", call.now + call.cloud.world.timings.cluster
    call.cloud.save(cluster)
    call.cloud.end_billing("cluster", cluster.id, call.now, call.cause)
    return {"cluster_id": cluster.id, "task_id": f"T-{secrets.token_hex(8)}"}


@action(
    "cs",
    "DescribeExternalAgent",
    CLUSTER,
    One("PrivateIpAddress", "boolean"),
    One("AgentMode", choices=("admin", "restricted")),
)
def describe_external_agent(call: Call) -> Answer:
    cluster = _own(call)
    if cluster.state == "initial":
        raise ApiError(400, "ErrorClusterState", f"The cluster {cluster.id} is not ready for an agent yet.")
    values = call.values
    restricted, internal = values["AgentMode"] == "restricted", values["PrivateIpAddress"] is True
    return {"config": agent_manifest(cluster, call.cloud.world, restricted=restricted, internal=internal)}


def agent_manifest(cluster: Cluster, world: World, *, restricted: bool, internal: bool) -> str:
    """What ACK wants applied for its agent, which connects from inside the VPC or from anywhere."""
    return AGENT.format(
        account=cluster.account,
        administrator="" if restricted else ADMINISTRATOR.format(account=cluster.account),
        address=world.agent_address,
        authority=_base64(world.agent_authority),
        cluster=cluster.id,
        internal=str(internal).lower(),
        region=cluster.region,
        registry=f"registry-{cluster.region}{'-vpc' if internal else ''}.ack.aliyuncs.com",
        token=_base64(cluster.agent_token),
        url=_base64(f"https://{world.agent_address}"),
    )


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _own(call: Call) -> Cluster:
    cluster = call.cloud.clusters.get(call.values["ClusterId"])
    if cluster is None or not call.mine(cluster):
        raise ApiError(404, "ErrorClusterNotFound", f"The cluster {call.values['ClusterId']} is not found.")
    return cluster


def _shown(cluster: Cluster) -> dict[str, Any]:
    return {
        "cluster_id": cluster.id,
        "name": cluster.name,
        "cluster_type": cluster.cluster_type,
        "region_id": cluster.region,
        "state": cluster.state,
        "vpc_id": cluster.vpc,
        "vswitch_id": ",".join(cluster.vswitches),
        "vswitch_ids": cluster.vswitches,
        "security_group_id": cluster.security_group,
        "service_cidr": cluster.service_cidr,
        "created": moments.seconds(cluster.created),
        "deletion_protection": cluster.deletion_protection,
        "tags": [{"key": key, "value": value} for key, value in sorted(cluster.tags.items())],
    }


# As the published connector and the documentation of its rights have it, with what ACK fills in.
AGENT = """\
apiVersion: v1
kind: ServiceAccount
metadata:
  name: ack
  namespace: kube-system
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: ack-connector-user-impersonation
  labels: {{ack/creator: ack}}
rules:
- apiGroups: [""]
  resources: [users]
  verbs: [impersonate]
  resourceNames: ["{account}"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: ack-connector-user-impersonation-binding
  labels: {{ack/creator: ack}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: ack-connector-user-impersonation}}
subjects:
- {{kind: ServiceAccount, name: ack, namespace: kube-system}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: ack-connector-default
  labels: {{ack/creator: ack}}
rules:
- apiGroups: [""]
  resources: [nodes]
  verbs: [list]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: ack-connector-default-binding
  labels: {{ack/creator: ack}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: ack-connector-default}}
subjects:
- {{kind: ServiceAccount, name: ack, namespace: kube-system}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: ack-connector-default
  namespace: kube-system
  labels: {{ack/creator: ack}}
rules:
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [ack-agent-config, provider]
  verbs: [get, watch, update, list]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: ack-connector-default
  namespace: kube-system
  labels: {{ack/creator: ack}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: ack-connector-default}}
subjects:
- {{kind: ServiceAccount, name: ack, namespace: kube-system}}
---
{administrator}apiVersion: v1
kind: ConfigMap
metadata:
  name: ack-agent-config
  namespace: kube-system
data:
  addNodeScriptPath: ""
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: provider
  namespace: kube-system
data:
  provider: ""
---
apiVersion: v1
kind: Secret
metadata:
  name: ack-credentials
  namespace: kube-system
type: Opaque
data:
  url: {url}
  token: {token}
  ca: {authority}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: ack-cluster-agent
  namespace: kube-system
spec:
  replicas: 2
  selector:
    matchLabels: {{app: ack-cluster-agent}}
  template:
    metadata:
      labels: {{app: ack-cluster-agent}}
    spec:
      affinity:
        podAntiAffinity:
          preferredDuringSchedulingIgnoredDuringExecution:
          - weight: 100
            podAffinityTerm:
              labelSelector:
                matchLabels: {{app: ack-cluster-agent}}
              topologyKey: kubernetes.io/hostname
      serviceAccountName: ack
      containers:
      - name: ack-cluster-agent
        image: {registry}/acs/ack-cluster-agent:v1.13.1.105
        env:
        - {{name: ALI_STUB_REGISTER_ADDR, value: "{address}"}}
        - {{name: KUBERNETES_CLUSTER_ID, value: "{cluster}"}}
        - {{name: INTERNAL_ENDPOINT, value: "{internal}"}}
        - {{name: REGION, value: "{region}"}}
        readinessProbe:
          httpGet: {{path: /healthz, port: 10254}}
          periodSeconds: 2
        securityContext:
          allowPrivilegeEscalation: false
          privileged: false
          readOnlyRootFilesystem: true
          runAsNonRoot: true
          capabilities: {{drop: [ALL]}}
        volumeMounts:
        - {{name: ack-credentials, mountPath: /ack-credentials, readOnly: true}}
      volumes:
      - name: ack-credentials
        secret: {{secretName: ack-credentials}}
"""
ADMINISTRATOR = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {account}-cluster-admin-clusterrolebinding
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}
subjects:
- {{apiGroup: rbac.authorization.k8s.io, kind: User, name: "{account}"}}
---
"""
