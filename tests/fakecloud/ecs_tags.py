"""ECS: tags of instances, disks and interfaces."""

from __future__ import annotations

from tests.fakecloud.actions import Answer, Call, action, has_tags, tags_of, token_page
from tests.fakecloud.errors import ApiError, missing_parameter
from tests.fakecloud.model import Disk, Eni, Instance
from tests.fakecloud.parameters import REGION, TAGS, Many, One, Records

MOST_TAGS = 20
RESOURCE_TYPE = One("ResourceType", required=True, choices=("instance", "disk", "eni"))
Tagged = Instance | Disk | Eni


@action(
    "ecs",
    "TagResources",
    REGION,
    RESOURCE_TYPE,
    Many("ResourceId", 50, required=True),
    Records("Tag", TAGS.fields, required=True),
    writes=True,
)
def tag_resources(call: Call) -> Answer:
    tags, resources = tags_of(call), _named(call)
    for resource in resources:
        if len({*resource.tags, *tags}) > MOST_TAGS:
            raise ApiError(403, "TagNumExceeded", f"At most {MOST_TAGS} tags are allowed on {resource.id}.")
    for resource in resources:
        resource.tags.update(tags)
        call.cloud.save(resource)
    return {}


@action(
    "ecs",
    "UntagResources",
    REGION,
    RESOURCE_TYPE,
    Many("ResourceId", 50, required=True),
    Many("TagKey", 20),
    One("All", "boolean"),
    writes=True,
)
def untag_resources(call: Call) -> Answer:
    if not call.values["TagKey"] and not call.values["All"]:
        raise missing_parameter("TagKey")
    for resource in _named(call):
        for key in call.values["TagKey"] or list(resource.tags):
            resource.tags.pop(key, None)
        call.cloud.save(resource)
    return {}


@action("ecs", "ListTagResources", REGION, RESOURCE_TYPE, Many("ResourceId", 50), TAGS, One("NextToken"))
def list_tag_resources(call: Call) -> Answer:
    if not call.values["ResourceId"] and not call.values["Tag"]:
        raise missing_parameter("ResourceId")
    kind, wanted = call.values["ResourceType"], call.values["ResourceId"]
    found = [
        resource
        for resource in call.own(_table(call))
        if (not wanted or resource.id in wanted) and has_tags(resource.tags, call.values["Tag"])
    ]
    part, pages = token_page(call, found, most=50, default=50)
    rows = [
        {"ResourceId": resource.id, "ResourceType": kind, "TagKey": key, "TagValue": value}
        for resource in part
        for key, value in sorted(resource.tags.items())
    ]
    return {**pages, "TagResources": {"TagResource": rows}}


def _named(call: Call) -> list[Tagged]:
    found = []
    for identifier in call.values["ResourceId"]:
        resource = _table(call).get(identifier)
        if resource is None or not call.mine(resource) or resource.region != call.region:
            text = f"The specified resource {identifier} does not exist."
            raise ApiError(404, "InvalidResourceId.NotFound", text)
        found.append(resource)
    return found


def _table(call: Call) -> dict[str, Tagged]:
    cloud = call.cloud
    tables = {"instance": cloud.instances, "disk": cloud.disks, "eni": cloud.enis}
    return tables[call.values["ResourceType"]]  # type: ignore[return-value]
