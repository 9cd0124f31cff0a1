# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which drivers serve which GPU; private to this collection.

Architectures: the chips of devices in https://github.com/pciutils/pciids (pci.ids, August 2026), whose ids NVIDIA
assigns in blocks. Flavours: NVIDIA's Driver Installation Guide, "Kernel Modules": the open ones serve Turing and later,
and nothing else serves Blackwell and Grace. First branches: "CUDA Toolkit, Driver, and Architecture Matrix" of NVIDIA
Data Center Drivers says which toolkit was the first for an architecture, the toolkit's release notes which driver that
needs at least. Last branches: the same matrix (R470 for Kepler, R580 for Maxwell, Pascal and Volta).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

OPEN, PROPRIETARY = "open", "proprietary"
FIRST_OPEN_BRANCH = 515

# First and last PCI device id of a block. Other functions of the cards (audio, USB) have ids in between, and no GPU's
# class, so that they are never asked about.
_BLOCKS = (
    (0x0FC0, 0x103F, "Kepler"),
    (0x1180, 0x11FF, "Kepler"),
    (0x1280, 0x130F, "Kepler"),
    (0x1340, 0x143F, "Maxwell"),
    (0x15C0, 0x15FF, "Pascal"),
    (0x1600, 0x16FF, "Maxwell"),
    (0x1720, 0x173F, "Pascal"),
    (0x1740, 0x17FF, "Maxwell"),
    (0x1B00, 0x1D7F, "Pascal"),
    (0x1D80, 0x1DFF, "Volta"),
    (0x1E00, 0x1FFF, "Turing"),
    (0x2080, 0x20FF, "Ampere"),
    (0x2180, 0x21FF, "Turing"),
    (0x2200, 0x227F, "Ampere"),
    (0x2300, 0x23FF, "Hopper"),
    (0x2400, 0x25FF, "Ampere"),
    (0x2680, 0x28FF, "Ada"),
    (0x2900, 0x2FFF, "Blackwell"),
    (0x3000, 0x317F, "Rubin"),
    (0x3180, 0x33FF, "Blackwell"),
)
# Grace Hopper: Hopper by its chip, but on a board that only the open modules serve.
_GRACE_HOPPER = frozenset({0x2342, 0x2345, 0x2348})
# Chips whose NVSwitches are no PCI devices of the host: GB100, GB102, GB110 and GB112.
_NVLINK_5 = ((0x2900, 0x29FF), (0x3180, 0x323F))

# Names where no driver is there to say them: what data centres have.
MODELS = {
    0x102D: "Tesla K80",
    0x13F2: "Tesla M60",
    0x15F7: "Tesla P100 PCIe 12GB",
    0x15F8: "Tesla P100 PCIe 16GB",
    0x15F9: "Tesla P100 SXM2 16GB",
    0x17FD: "Tesla M40",
    0x1B38: "Tesla P40",
    0x1BB3: "Tesla P4",
    0x1DB1: "Tesla V100 SXM2 16GB",
    0x1DB4: "Tesla V100 PCIe 16GB",
    0x1DB5: "Tesla V100 SXM2 32GB",
    0x1DB6: "Tesla V100 PCIe 32GB",
    0x1DB8: "Tesla V100 SXM3 32GB",
    0x1DF6: "Tesla V100S PCIe 32GB",
    0x1EB8: "Tesla T4",
    0x20B0: "A100 SXM4 40GB",
    0x20B2: "A100 SXM4 80GB",
    0x20B5: "A100 PCIe 80GB",
    0x20B7: "A30 PCIe",
    0x20BD: "A800 SXM4 40GB",
    0x20F1: "A100 PCIe 40GB",
    0x20F3: "A800 SXM4 80GB",
    0x20F5: "A800 80GB PCIe",
    0x2235: "A40",
    0x2236: "A10",
    0x2237: "A10G",
    0x2321: "H100L 94GB",
    0x2322: "H800 PCIe",
    0x2324: "H800",
    0x2329: "H20",
    0x2330: "H100 SXM5 80GB",
    0x2331: "H100 PCIe",
    0x2335: "H200 SXM 141GB",
    0x233B: "H200 NVL",
    0x2342: "GH200 120GB / 480GB",
    0x25B6: "A2 / A16",
    0x26B5: "L40",
    0x26B9: "L40S",
    0x27B8: "L4",
    0x2901: "B200",
    0x2941: "HGX GB200",
    0x2BB5: "RTX PRO 6000 Blackwell Server Edition",
    0x3182: "B300 SXM6 AC",
    0x31C2: "GB300",
}


@dataclass(frozen=True)
class Support:
    """The drivers that serve a GPU: flavours of the kernel modules, and branches, without an end where it is None."""

    flavours: frozenset[str] = frozenset({OPEN, PROPRIETARY})
    first_branch: int = 0
    last_branch: int | None = None

    @property
    def is_possible(self) -> bool:
        """Whether there is any such driver."""
        return bool(self.flavours) and (self.last_branch is None or self.first_branch <= self.last_branch)

    @property
    def earliest(self) -> int:
        """The first branch that has such modules; 0 where that is not known."""
        return max(self.first_branch, FIRST_OPEN_BRANCH if self.flavours == {OPEN} else 0)

    def __str__(self) -> str:
        modules = f"the {' or the '.join(sorted(self.flavours))} kernel modules"
        if self.last_branch is None:
            return f"{modules}, branch {self.earliest} or later" if self.earliest else modules
        if self.earliest:
            return f"{modules}, branch {self.earliest} to {self.last_branch}"
        return f"{modules}, branch {self.last_branch} or earlier"


_ONLY_PROPRIETARY = Support(frozenset({PROPRIETARY}))
_SUPPORT = {
    "Kepler": replace(_ONLY_PROPRIETARY, last_branch=470),
    "Maxwell": replace(_ONLY_PROPRIETARY, last_branch=580),
    "Pascal": replace(_ONLY_PROPRIETARY, last_branch=580),
    "Volta": replace(_ONLY_PROPRIETARY, last_branch=580),
    "Turing": Support(first_branch=410),
    "Ampere": Support(first_branch=450),
    "Ada": Support(first_branch=520),
    "Hopper": Support(first_branch=520),
    "Blackwell": Support(frozenset({OPEN}), first_branch=570),
}


def architecture_of(chip: int) -> str:
    """The architecture of a PCI device id; empty where it is not known."""
    return next((name for first, last, name in _BLOCKS if first <= chip <= last), "")


def support_of(chip: int) -> Support:
    """The drivers that serve a PCI device id; any, where nothing is known of it."""
    found = _SUPPORT.get(architecture_of(chip), Support())
    return replace(found, flavours=frozenset({OPEN})) if chip in _GRACE_HOPPER else found


def common(supports: Sequence[Support]) -> Support:
    """The drivers that serve all of them; not possible where there is none."""
    flavours = Support().flavours.intersection(*(each.flavours for each in supports))
    ends = [each.last_branch for each in supports if each.last_branch is not None]
    first = max((each.first_branch for each in supports), default=0)
    return Support(flavours, first, min(ends, default=None))


def hides_switches(chip: int) -> bool:
    """Whether NVSwitches of this GPU are seen by their management devices alone."""
    return any(first <= chip <= last for first, last in _NVLINK_5)
