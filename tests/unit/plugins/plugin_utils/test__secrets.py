# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.model import ClearSecret
from ansible_collections.hybridk8s.estate.plugins.plugin_utils._secrets import clear_secrets, is_secret_name


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "ansible_password",
        "ansible_ssh_pass",
        "bgp-password",
        "accessKeySecret",
        "ALIBABA_ACCESS_KEY_SECRET",
        "api_key",
        "registryToken",
        "tls_private_key",
        "passphrase",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "token_ttl",
        "secret_name",
        "password_file",
        "bypass",
        "compass",
        "ansible_ssh_private_key_file",
        "secrets_dir",
        "",
    ],
)
def test_names_that_are_none(name: str) -> None:
    assert not is_secret_name(name)


def test_a_value_that_hosts_share_is_reported_once() -> None:
    shared = "hunter2-shared"
    raw = {"a": {"x_password": shared}, "b": {"x_password": shared}, "c": {"x_password": "other"}}
    assert set(clear_secrets(raw, frozenset())) == {ClearSecret("", "x_password"), ClearSecret("c", "x_password")}


def test_what_the_command_line_gives_is_left_out() -> None:
    assert clear_secrets({"a": {"x_password": "y"}}, frozenset({"x_password"})) == ()


def test_places_inside_lists_and_mappings_are_named() -> None:
    raw = {"a": {"sites": [{"name": "n", "api_key": "k"}], "groups": {"password": "not ours"}}}
    assert clear_secrets(raw, frozenset()) == (ClearSecret("a", "sites[0].api_key"),)


@pytest.mark.parametrize("value", ["", None, True, "{{ lookup('x') }}", "$ANSIBLE_VAULT;1.1;AES256\n61", ["a"]])
def test_values_that_are_no_secret_in_clear(value: object) -> None:
    assert clear_secrets({"a": {"x_password": value}}, frozenset()) == ()
