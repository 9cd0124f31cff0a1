# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""New instances, each once; private to this collection. The package's description says how."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.client import Cloud, all_of, tags
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.errors import CloudError
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs import observe
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.model import (
    ESTATE_TAG,
    POOL_TAG,
    REQUEST_TAG,
    Batch,
    Instance,
    Intent,
    Pool,
    Site,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.plan import (
    Choice,
    choices,
    names_tags,
    open_batches,
    request,
    spans,
    token,
)

# The cloud shows new instances within seconds; what it never shows was deleted since.
_SEEN_SECONDS = 120.0
_POLL_SECONDS = 1.0
_MISMATCH = "IdempotentParameterMismatch"
# Refusals that hold for a type in a zone, so that another may do.
_ELSEWHERE = (
    "OperationDenied.NoStock",
    "Zone.NotOnSale",
    "InvalidResourceType.NotSupported",
    "InvalidInstanceType.NotSupported",
    "InvalidInstanceType.ValueNotSupported",
    "InvalidInstanceType.ValueUnauthorized",
    "InvalidSystemDiskCategory.ValueNotSupported",
    "QuotaExceed",
    "InstanceQuota",
    "InvalidVSwitchId.IpNotEnough",
    "InvalidVSwitch.IpNotEnough",
)


@dataclass
class Asked:
    """What became of one batch: ids of the instances that there are, and why the rest could not be had.

    ``unknown`` is an error after which nobody knows whether instances were made; ``by_another`` says that somebody got
    them with other settings than ours.
    """

    batch: Batch
    ids: list[str] = field(default_factory=list)
    left: Batch | None = None
    reasons: list[str] = field(default_factory=list)
    unknown: CloudError | None = None
    by_another: bool = False


@dataclass
class Created:
    """The instances that are seen, and what a person has to know of those that could not be had."""

    instances: list[Instance] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Creator:
    """Makes instances for pools of one estate."""

    def __init__(self, cloud: Cloud, estate: str, site: Site) -> None:
        self._cloud = cloud
        self._estate = estate
        self._site = site

    def create(self, pool: Pool, batches: Sequence[Batch]) -> Created:
        """Write down what is asked for (or find what another asks for), and do that."""
        return self.fulfil(pool, self._intent(pool, batches))

    def fulfil(self, pool: Pool, intent: Intent) -> Created:
        """Have every instance of an intent, by whomever it was written down, and forget it when all are seen.

        Raises CloudError, and leaves it written down, where nobody knows whether instances were made.
        """
        # Read after the intent stands: whoever was faster has gone only when its instances were seen.
        before = observe.instances(self._cloud, self._estate)
        asked = all_of(lambda batch: self._ask(pool, intent, batch), open_batches(intent, pool, before))
        seen, unseen = self._see([instance for each in asked for instance in each.ids])
        unknown = next((each.unknown for each in asked if each.unknown), None)
        if unknown:
            raise unknown
        for each in asked:
            if each.left and each.by_another:
                seen.update(self._see_others(pool, intent, each))
        self.forget(intent)
        problems = [problem for each in asked if (problem := _problem(pool, each))]
        if unseen:
            problems.append(
                f"{pool.name}: {', '.join(unseen)} were made, but the cloud does not show them."
                " They were deleted meanwhile; run again to have others."
            )
        return Created(list(seen.values()), problems)

    def forget(self, intent: Intent) -> None:
        """Take the intent away; whoever did so before is fine."""
        try:
            self._cloud.call("DeleteLaunchTemplate", LaunchTemplateId=intent.id)
        except CloudError as error:
            if not error.code.startswith("InvalidLaunchTemplate") or not error.code.endswith("NotFound"):
                raise

    def _intent(self, pool: Pool, batches: Sequence[Batch]) -> Intent:
        names, written = names_tags(batches)
        while True:
            try:
                answer = self._cloud.call(
                    "CreateLaunchTemplate",
                    LaunchTemplateName=self._intent_name(pool),
                    VersionDescription=f"instances of {self._estate} that are being asked for",
                    TemplateTag=tags({ESTATE_TAG: self._estate, POOL_TAG: pool.name, **names}),
                )
                return Intent(answer["LaunchTemplateId"], pool.name, written, "")
            except CloudError as error:
                if error.code != "LaunchTemplateName.Duplicated":
                    raise
            # Of another controller, or our own whose answer was lost.
            found = self._cloud.call("DescribeLaunchTemplates", LaunchTemplateName=[self._intent_name(pool)])
            for item in (found.get("LaunchTemplateSets") or {}).get("LaunchTemplateSet") or ():
                return Intent.of(item)
            self._cloud.pause(_POLL_SECONDS)

    def _intent_name(self, pool: Pool) -> str:
        return re.sub(r"[^A-Za-z0-9:_-]", "_", f"estate-{self._estate}-{pool.name}")

    def _ask(self, pool: Pool, intent: Intent, batch: Batch) -> Asked:
        """Have a batch, from the first choice that has it; where one has only some, the rest from the next."""
        asked = Asked(batch, left=batch)
        refused = 0
        was_refused = False
        pending = choices(pool, batch.zone)
        while pending and asked.left:
            choice = pending[0]
            try:
                made = self._run(pool, intent, asked.left, choice, token(intent.id, asked.left, refused))
            except CloudError as error:
                if error.code == _MISMATCH and was_refused:
                    # The cloud holds our refused request against the token, though it made nothing of it.
                    refused, was_refused = refused + 1, False
                    continue
                if error.code == _MISMATCH:
                    # Somebody got this batch from another choice: asking for that one gives its instances.
                    asked.by_another = True
                elif error.code.startswith(_ELSEWHERE):
                    asked.reasons.append(f"{choice.type} in {choice.zone}: {error}")
                    was_refused = True
                elif error.is_refusal:
                    asked.reasons.append(str(error))
                    return asked
                else:
                    asked.unknown = error
                    return asked
            else:
                asked.ids += made
                asked.left = asked.left.without(len(made))
                refused, was_refused = 0, False
            pending = pending[1:]
        return asked

    def _run(self, pool: Pool, intent: Intent, batch: Batch, choice: Choice, client_token: str) -> list[str]:
        answer = self._cloud.call(
            "RunInstances",
            ClientToken=client_token,
            **request(self._estate, pool, self._site, intent.id, batch, choice),
        )
        return list((answer.get("InstanceIdSets") or {}).get("InstanceIdSet") or ())

    def _see(self, ids: Sequence[str]) -> tuple[dict[str, Instance], list[str]]:
        """Wait until the cloud shows these; those that it shows, and the ids of the others."""
        deadline = time.monotonic() + _SEEN_SECONDS
        seen: dict[str, Instance] = {}
        while True:
            unseen = [one for one in ids if one not in seen]
            if unseen:
                seen.update(observe.instances_by_id(self._cloud, unseen))
                unseen = [one for one in unseen if one not in seen]
            if not unseen or time.monotonic() > deadline:
                return seen, unseen
            self._cloud.pause(_POLL_SECONDS)

    def _see_others(self, pool: Pool, intent: Intent, asked: Asked) -> dict[str, Instance]:
        """Wait for the instances that another run got for this batch: the cloud holds them against our request."""
        deadline = time.monotonic() + _SEEN_SECONDS
        names = asked.left.names(pool.name) if asked.left else []
        while True:
            there = observe.instances(self._cloud, self._estate)
            found = {one.id: one for one in there if one.name in names and one.tags.get(REQUEST_TAG) == intent.id}
            if len(found) == len(names):
                asked.left = None
                return found
            if time.monotonic() > deadline:
                raise CloudError(
                    "RunInstances",
                    _MISMATCH,
                    f"{spans(names)} were asked for a moment ago with other settings, and are not seen",
                    remedy="Run again in ten minutes.",
                )
            self._cloud.pause(_POLL_SECONDS)


def _problem(pool: Pool, asked: Asked) -> str:
    if asked.left is None:
        return ""
    return f"{spans(asked.left.names(pool.name))} could not be had: {' '.join(dict.fromkeys(asked.reasons))}"
