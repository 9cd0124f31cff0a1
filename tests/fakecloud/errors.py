"""The answers of a cloud that refuses: HTTP status, code and message as Alibaba Cloud documents them."""

from __future__ import annotations


class ApiError(Exception):
    """A refusal; the request changed nothing."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message


def missing_parameter(name: str) -> ApiError:
    text = f'The input parameter "{name}" that is mandatory for processing this request is not supplied.'
    return ApiError(400, "MissingParameter", text)


def invalid_parameter(name: str, why: str = "is not valid") -> ApiError:
    return ApiError(400, "InvalidParameter", f'The specified parameter "{name}" {why}.')


def unsupported_value(name: str) -> ApiError:
    return ApiError(400, f"Invalid{name}.ValueNotSupported", f"The specified value of {name} is not supported.")


def malformed(name: str) -> ApiError:
    return ApiError(400, f"Invalid{name}.Malformed", f'The specified parameter "{name}" is not valid.')


def not_found(what: str, identifier: str) -> ApiError:
    return ApiError(404, f"Invalid{what}.NotFound", f"The specified {what} {identifier} does not exist.")


def incorrect_instance_status() -> ApiError:
    text = "The current status of the resource does not support this operation."
    return ApiError(403, "IncorrectInstanceStatus", text)


def charge_type_violation() -> ApiError:
    return ApiError(403, "ChargeTypeViolation", "The operation is not permitted due to charge type of the instance.")


def no_stock() -> ApiError:
    text = (
        "The requested resource is sold out in the specified zone; "
        "try other types of resources or other regions and zones."
    )
    return ApiError(403, "OperationDenied.NoStock", text)


def vcpus_exhausted() -> ApiError:
    text = "The number of vCPUs assigned to the ECS instances has exceeded the quota in the zone."
    return ApiError(403, "QuotaExceed.ElasticQuota", text)


def addresses_exhausted(vswitch: str) -> ApiError:
    text = f"The specified VSwitch {vswitch} has not enough IP addresses."
    return ApiError(403, "InvalidVSwitchId.IpNotEnough", text)


def forbidden() -> ApiError:
    text = "User not authorized to operate on the specified resource, or this API doesn't support RAM."
    return ApiError(403, "Forbidden.RAM", text)


def throttled() -> ApiError:
    return ApiError(400, "Throttling.User", "Request was denied due to user flow control.")


def token_reused() -> ApiError:
    text = (
        "The request uses the same client token as a previous, but non-identical request. "
        "Do not reuse a client token with different requests, unless the requests are identical."
    )
    return ApiError(400, "IdempotentParameterMismatch", text)
