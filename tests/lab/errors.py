"""How the lab says no: every failure a person can do something about is a LabError."""

from __future__ import annotations


class LabError(Exception):
    """A failure with its remedy in the text."""

    exit_code = 1


class InventoryError(LabError):
    """The inventory cannot be booted as a lab; the text has every problem that was found."""

    exit_code = 2


class NotUp(LabError):
    """The command needs a lab that is up."""

    exit_code = 3
