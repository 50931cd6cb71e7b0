"""Certificates of this machine's hosts, made anew each time: one that an authority has signed, one that none has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from caravan.demo.servers.serving import Certificate

_DAYS = 3_650
"""They are valid whatever day a demonstration lives through."""


def authority(folder: Path) -> tuple[Path, Certificate]:
    """The file of an authority, and a certificate for 127.0.0.1 that it has signed."""
    key, own_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _signed("Kontor's own authority", key, None, None)
    signed = _signed("127.0.0.1", own_key, root, key)
    file = folder / "authority.pem"
    file.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    return file, _written(folder, "signed", signed, own_key)


def unsigned(folder: Path) -> Certificate:
    """One that nobody has a reason to believe."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _written(folder, "unsigned", _signed("127.0.0.1", key, None, None), key)


def _signed(
    name: str, key: ec.EllipticCurvePrivateKey, by: x509.Certificate | None, with_: ec.EllipticCurvePrivateKey | None
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(address, critical=False)
    )
    return built.sign(with_ or key, hashes.SHA256())


def _written(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Certificate:
    files = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    files.chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files
