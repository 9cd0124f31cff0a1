# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Alibaba Cloud refuses, in words that say what to do; private to this collection."""

from __future__ import annotations

from dataclasses import dataclass

UNKNOWN_OUTCOME = 0
_SIGNATURE_CODES = ("SignatureDoesNotMatch", "IncompleteSignature")


@dataclass
class CloudError(Exception):
    """The cloud refused ``action``, or could not be asked: then ``status``, that of HTTP, is 0 and ``code`` empty.

    What was asked may have been done all the same where ``is_refusal`` is false.
    """

    action: str
    code: str
    message: str
    request_id: str = ""
    status: int = UNKNOWN_OUTCOME
    remedy: str = ""

    def __post_init__(self) -> None:
        super().__init__(str(self))

    def __str__(self) -> str:
        known = ", ".join(filter(None, [self.code, f"request {self.request_id}" if self.request_id else ""]))
        said = f"{self.action}: {self.message.rstrip('.')}"
        return " ".join(filter(None, [f"{said} [{known}]." if known else f"{said}.", self.remedy]))

    @property
    def is_refusal(self) -> bool:
        """Whether the cloud has certainly not done what it was asked to do."""
        return 400 <= self.status < 500

    @property
    def is_passing(self) -> bool:
        """Whether the same request may succeed a little later."""
        return (
            (self.status == UNKNOWN_OUTCOME and not self.remedy)
            or self.status >= 500
            or self.code.startswith(("Throttling", "ServiceUnavailable", "InternalError"))
            or self.code in ("IdempotentProcessing", "Operation.Conflict", "OperationConflict")
        )


def refusal(action: str, code: str, message: str, request_id: str = "", status: int = 400) -> CloudError:
    """The error of an answer."""
    if code.startswith(_SIGNATURE_CODES):
        # The message repeats the whole request, security token included.
        message = "the signature is not the one that the cloud computes"
    return CloudError(action, code, message, request_id, status, remedy_of(action, code))


def remedy_of(action: str, code: str) -> str:
    """What a person can do about a refusal; empty where nobody knows."""
    for beginnings, remedy in _REMEDIES:
        if code.startswith(beginnings):
            return remedy.format(action=action)
    return ""


_REMEDIES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("Forbidden.RAM", "NoPermission", "Forbidden.SubUser"), "Grant the RAM user or role the action {action}."),
    (
        ("InvalidAccessKeyId", "InvalidSecurityToken", "MissingSecurityToken", *_SIGNATURE_CODES),
        "Correct estate_cloud.credentials: they are not accepted.",
    ),
    (("InvalidTimeStamp",), "Set the controller's clock."),
    (
        ("InvalidVSwitchId.IpNotEnough", "InvalidVSwitch.IpNotEnough", "QuotaExceeded.PrivateIpAddress"),
        "Name further zones in estate_cloud.node_vswitches, or enlarge the vSwitch.",
    ),
    (
        ("QuotaExceed", "InstanceQuota"),
        "Have the quota raised, or lower the pool's count, or name further instance types.",
    ),
    (
        ("OperationDenied.NoStock", "Zone.NotOnSale", "InvalidResourceType.NotSupported"),
        "Name further instance_types or zones in the pool.",
    ),
    (("Account.Arrearage", "InvalidAccountStatus", "NotEnoughBalance"), "Settle the account's balance."),
    (
        (
            "OperationDenied.DeletionProtection",
            "InvalidOperation.DeletionProtection",
            "ErrorClusterDeletionProtection",
        ),
        "Switch its protection off.",
    ),
    (("LaunchTemplateLimitExceed",), "Delete launch templates that nobody uses: a region holds 30."),
)
