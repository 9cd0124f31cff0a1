"""ECS: launch templates, of which nobody here launches: a name that is unique in its region, and tags."""

from __future__ import annotations

import re

from tests.fakecloud import moments
from tests.fakecloud.actions import Answer, Call, action, has_tags, page, tag_list
from tests.fakecloud.errors import ApiError, malformed, missing_parameter
from tests.fakecloud.model import LaunchTemplate
from tests.fakecloud.parameters import PAGES, REGION, Many, One, Records

MOST_TEMPLATES = 30
NAME = re.compile(r"[^\W\d_][\w:\-]{1,127}")
TEMPLATE_TAGS = Records("TemplateTag", (One("Key", required=True), One("Value")))


@action(
    "ecs",
    "CreateLaunchTemplate",
    REGION,
    One("LaunchTemplateName", required=True),
    One("VersionDescription"),
    TEMPLATE_TAGS,
    writes=True,
)
def create_launch_template(call: Call) -> Answer:
    name = call.values["LaunchTemplateName"]
    if not NAME.fullmatch(name):
        raise malformed("LaunchTemplateName")
    own = call.own(call.cloud.launch_templates)
    if any(template.name == name for template in own):
        raise ApiError(
            403, "LaunchTemplateName.Duplicated", f'The specified LaunchTemplateName "{name}" already exist.'
        )
    if len(own) >= MOST_TEMPLATES:
        raise ApiError(403, "LaunchTemplateLimitExceed", "The maximum number of templates is exceeded.")
    template = LaunchTemplate(
        id=call.cloud.identifier("lt"),
        number=call.cloud.number(),
        account=call.account,
        region=call.region,
        created=call.now,
        name=name,
        tags={record["Key"]: record["Value"] or "" for record in call.values["TemplateTag"]},
    )
    call.cloud.save(template)
    return {"LaunchTemplateId": template.id, "LaunchTemplateVersionNumber": 1}


@action(
    "ecs",
    "DescribeLaunchTemplates",
    REGION,
    *PAGES,
    Many("LaunchTemplateId"),
    Many("LaunchTemplateName"),
    TEMPLATE_TAGS,
)
def describe_launch_templates(call: Call) -> Answer:
    values = call.values
    found = [
        template
        for template in call.own(call.cloud.launch_templates)
        if template.id in (values["LaunchTemplateId"] or [template.id])
        and template.name in (values["LaunchTemplateName"] or [template.name])
        and has_tags(template.tags, values["TemplateTag"])
    ]
    part, pages = page(call, found)
    return {**pages, "LaunchTemplateSets": {"LaunchTemplateSet": [_shown(template) for template in part]}}


@action("ecs", "DeleteLaunchTemplate", REGION, One("LaunchTemplateId"), One("LaunchTemplateName"), writes=True)
def delete_launch_template(call: Call) -> Answer:
    given = (call.values["LaunchTemplateId"], call.values["LaunchTemplateName"])
    if not any(given):
        raise missing_parameter("LaunchTemplateId")
    own = call.own(call.cloud.launch_templates)
    template = next((each for each in own if each.id == given[0] or each.name == given[1]), None)
    if template is None:
        raise ApiError(404, "InvalidLaunchTemplate.NotFound", "The specified launch template does not exist.")
    call.cloud.remove(template)
    return {}


def _shown(template: LaunchTemplate) -> Answer:
    return {
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "CreateTime": moments.seconds(template.created),
        "CreatedBy": template.account,
        "DefaultVersionNumber": 1,
        "LatestVersionNumber": 1,
        "Tags": {"Tag": tag_list(template.tags)},
    }
