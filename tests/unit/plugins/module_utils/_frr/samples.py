# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The texts are what FRR 8.4.4 printed after it had loaded what is wanted here."""

from __future__ import annotations

from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.objects import wanted_parts
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.plan import commands, steps_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.text import read
from ansible_collections.hybridk8s.estate.plugins.module_utils._switch.wanted import Wanted

from tests.unit.plugins.module_utils._switch.samples import WANTED

THEIRS = """\
Building configuration...

Current configuration:
!
frr version 8.4.4
frr defaults traditional
hostname tor1
service integrated-vtysh-config
!
router bgp 64901
 bgp router-id 10.20.1.1
 neighbor SPINE peer-group
 neighbor 10.20.1.99 remote-as 64999
 neighbor 10.20.1.99 description someone else
 !
 address-family ipv4 unicast
  network 10.20.1.0/24
  neighbor 10.20.1.99 route-map ALL in
 exit-address-family
exit
!
ip prefix-list OTHERS seq 5 permit 10.0.0.0/8
!
route-map ALL permit 10
exit
!
end
"""

RUNNING = """\
Building configuration...

Current configuration:
!
frr version 8.4.4
frr defaults traditional
hostname tor1
service integrated-vtysh-config
!
router bgp 64901
 bgp router-id 10.20.1.1
 neighbor ESTATE-LAB peer-group
 neighbor ESTATE-LAB timers 10 30
 neighbor ESTATE-LAB timers connect 10
 neighbor SPINE peer-group
 neighbor 10.20.1.11 remote-as 64512
 neighbor 10.20.1.11 peer-group ESTATE-LAB
 neighbor 10.20.1.11 description cp1
 neighbor 10.20.1.11 password s3cret
 neighbor 10.20.1.11 ebgp-multihop 2
 neighbor 10.20.1.12 remote-as 64512
 neighbor 10.20.1.12 peer-group ESTATE-LAB
 neighbor 10.20.1.12 ebgp-multihop 2
 neighbor 10.20.1.99 remote-as 64999
 neighbor 10.20.1.99 description someone else
 !
 address-family ipv4 unicast
  network 10.20.1.0/24
  neighbor ESTATE-LAB soft-reconfiguration inbound
  neighbor ESTATE-LAB maximum-prefix 2000 80 restart 5
  neighbor ESTATE-LAB route-map ESTATE-LAB-IN in
  neighbor ESTATE-LAB route-map ESTATE-LAB-OUT out
  neighbor 10.20.1.99 route-map ALL in
 exit-address-family
exit
!
ip prefix-list OTHERS seq 5 permit 10.0.0.0/8
ip prefix-list ESTATE-LAB-OUTSIDE seq 5 permit 10.99.0.0/16 le 32
ip prefix-list ESTATE-LAB-PODS seq 5 permit 10.21.0.0/16 ge 26 le 32
!
route-map ALL permit 10
exit
!
route-map ESTATE-LAB-IN permit 10
 match ip address prefix-list ESTATE-LAB-PODS
exit
!
route-map ESTATE-LAB-OUT permit 10
 match ip address prefix-list ESTATE-LAB-OUTSIDE
exit
!
end
"""

PARTS = wanted_parts(WANTED)


def lines_for(text: str, wanted: Wanted = WANTED, absent: bool = False) -> list[str]:
    parts = {} if absent else wanted_parts(wanted)
    return commands(read(text, wanted.estate), wanted, parts)


def targets(text: str, wanted: Wanted = WANTED) -> list[str]:
    steps = steps_of(read(text, wanted.estate), wanted, wanted_parts(wanted))
    return [f"{step.action} {step.target}" for step in steps]
