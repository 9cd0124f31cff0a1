"""The commands of the simulated cloud: `serve` runs it, the others ask one that runs. Exit codes: 0, 1, 2 for usage."""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.fakecloud import admin, world
from tests.fakecloud.server import FakeCloud

ENDPOINT = "FAKECLOUD_ENDPOINT"


def main(arguments: Sequence[str] | None = None) -> int:
    parsed = _parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed) or 0)
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fakecloud", description="A simulated Alibaba Cloud: ECS, VPC, CS, metadata.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    serve = commands.add_parser("serve", help="run the cloud; ^C ends it, its state stays")
    serve.set_defaults(run=_serve)
    serve.add_argument("directory", type=Path, help="where the state lies")
    serve.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="default: a free port of loopback")
    serve.add_argument(
        "--world", type=Path, help="JSON: what there is (see world.EXAMPLE); default: as it was, or the example"
    )
    serve.add_argument(
        "--metadata", metavar="HOST:PORT", help="listen there too, without TLS, for the metadata service"
    )
    serve.add_argument("--agents", metavar="HOST:PORT", help="take the agents of registered clusters there")
    serve.add_argument("--agents-certificate", type=Path, help="PEM with key and certificate for the agents")
    serve.add_argument("--certificate", type=Path, help="PEM with key and certificate: serve HTTPS")
    for name, verb in admin.VERBS.items():
        command = commands.add_parser(name, help=verb.__doc__)
        command.set_defaults(run=_ask, verb=name)
        command.add_argument("options", nargs="*", metavar="NAME=VALUE", help="values are JSON, or else text")
        command.add_argument("--endpoint", default=os.environ.get(ENDPOINT), help=f"HOST:PORT (default: ${ENDPOINT})")
    return parser


def _serve(parsed: argparse.Namespace) -> None:
    given = world.parse(json.loads(parsed.world.read_text())) if parsed.world else None
    also = [_address(parsed.metadata)] if parsed.metadata else []
    agents = (_address(parsed.agents), parsed.agents_certificate) if parsed.agents else None
    with FakeCloud(
        parsed.directory,
        given,
        address=_address(parsed.listen),
        also=also,
        certificate=parsed.certificate,
        agents=agents,
    ) as fake:
        print(fake.endpoint, flush=True)
        fake.wait()


def _address(text: str) -> tuple[str, int]:
    host, _colon, port = text.rpartition(":")
    return host, int(port)


def _ask(parsed: argparse.Namespace) -> int:
    if not parsed.endpoint:
        print(f"fakecloud: which cloud? Give --endpoint HOST:PORT or set {ENDPOINT}", file=sys.stderr)
        return 2
    options = dict(_option(each) for each in parsed.options)
    request = urllib.request.Request(
        f"http://{parsed.endpoint}{admin.PREFIX}{parsed.verb}", data=json.dumps(options).encode(), method="POST"
    )
    try:
        with urllib.request.urlopen(request) as reply:
            print(json.dumps(json.load(reply), indent=2))
            return 0
    except urllib.error.HTTPError as error:
        print(f"fakecloud: {json.load(error)['error']}", file=sys.stderr)
    except OSError as error:
        print(f"fakecloud: {parsed.endpoint} does not answer: {error}", file=sys.stderr)
    return 1


def _option(text: str) -> tuple[str, Any]:
    name, _equals, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
