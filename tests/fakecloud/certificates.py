"""Certificates for what the simulated cloud serves by TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path


def self_signed(directory: Path, name: str = "DNS:localhost") -> Path:
    """A key and its own certificate for `DNS:name` or `IP:address` in one file; the certificate alone beside it."""
    key, made = directory / "key.pem", directory / "certificate.pem"
    subject = ("-subj", f"/CN={name.partition(':')[2]}", "-addext", f"subjectAltName={name}")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-keyout", key, "-out", made]
    subprocess.run([*command, *subject], check=True, capture_output=True)
    both = directory / "both.pem"
    both.touch(mode=0o600)
    both.write_text(key.read_text() + made.read_text())
    return both
