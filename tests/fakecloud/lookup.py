"""What calls name and say: an account's objects, times and periods."""

from __future__ import annotations

from tests.fakecloud import moments
from tests.fakecloud.actions import Call
from tests.fakecloud.cloud import need
from tests.fakecloud.errors import ApiError, missing_parameter
from tests.fakecloud.model import Eni, Instance

AUTO_RELEASE_LEAST, AUTO_RELEASE_MOST = 30 * 60.0, 3 * 365 * 86400.0
PERIODS = {"Week": (1, 2, 3, 4), "Month": (*range(1, 10), 12, 24, 36, 48, 60), "Year": (1, 2, 3, 4, 5)}
RENEWALS = {"Week": (1, 2, 3), "Month": (1, 2, 3, 6, 12, 24, 36, 48, 60), "Year": (1, 2, 3)}


def own_instance(call: Call, identifier: str) -> Instance:
    missing = ApiError(404, "InvalidInstanceId.NotFound", "The specified InstanceId does not exist.")
    return need(call.cloud.instances, identifier, missing, call.account)


def own_interface(call: Call, identifier: str) -> Eni:
    missing = ApiError(404, "InvalidEniId.NotFound", f"The specified NetworkInterfaceId {identifier} does not exist.")
    return need(call.cloud.enis, identifier, missing, call.account)


def release_time(call: Call, text: str) -> float:
    """The moment that an AutoReleaseTime says, on the minute."""
    try:
        moment = moments.parse(text)
    except ValueError:
        raise ApiError(400, "InvalidAutoReleaseTime.Malformed", "The specified AutoReleaseTime is not valid.") from None
    if not AUTO_RELEASE_LEAST <= moment - call.now <= AUTO_RELEASE_MOST:
        raise ApiError(400, "InvalidAutoReleaseTime.Malformed", "AutoReleaseTime is 30 minutes to 3 years ahead.")
    return moment - moment % 60


def period(call: Call, name: str = "Period") -> tuple[int, str]:
    """The length of a subscription that a call orders."""
    count, unit = call.values[name], call.values["PeriodUnit"] or "Month"
    if count is None:
        raise missing_parameter(name)
    if count not in PERIODS[unit]:
        raise ApiError(400, "InvalidPeriod", "The specified period is not valid.")
    return int(count), str(unit)
