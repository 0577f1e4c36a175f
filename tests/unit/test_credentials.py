"""Signing with a certificate made for the test; C2PA's own reader judges."""

import datetime
import json

import c2pa
import numpy as np
import pytest
from clips import write_clip
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stargan_rt import InputError
from stargan_rt.credentials import MIME_TYPES, Signer
from stargan_rt.mark import SOURCE_TYPE, Mark, write_marked

MARK = Mark("g.pt")


def certificate(subject, issuer, key, issuer_key, authority):
    def name(text):
        return x509.Name(
            [x509.NameAttribute(NameOID.COMMON_NAME, text), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test")]
        )

    unused = ("key_encipherment", "data_encipherment", "key_agreement", "content_commitment")
    usage = dict.fromkeys((*unused, "encipher_only", "decipher_only"), False) | {
        "digital_signature": not authority,
        "key_cert_sign": authority,
        "crl_sign": authority,
    }
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(authority, None), True)
        .add_extension(x509.KeyUsage(**usage), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False)
    )
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    chain = certificate("Signer", "Root", leaf, root, False) + certificate("Root", "Root", root, root, True)
    (folder / "chain.pem").write_bytes(chain)
    (folder / "key.pem").write_bytes(leaf.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return Signer.load(folder / "chain.pem", folder / "key.pem")


def credentials(path):
    with path.open("rb") as file, c2pa.Reader(MIME_TYPES[path.suffix], file) as reader:
        return json.loads(reader.json())


def picture(path, random):
    write_marked(path, random.integers(0, 256, (48, 64, 3), np.uint8), MARK)
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".mp4"])
def test_a_signed_file_is_valid(tmp_path, random, signer, suffix):
    path = tmp_path / f"x{suffix}"
    if suffix == ".mp4":
        write_clip(path, random.integers(0, 256, (5, 64, 64, 3), np.uint8))
        MARK.add_to_clip(path)
    else:
        picture(path, random)
    signer.sign(path, MARK)
    found = credentials(path)
    manifest = found["manifests"][found["active_manifest"]]
    (actions,) = (a for a in manifest["assertions"] if a["label"].startswith("c2pa.actions"))
    assert actions["data"]["actions"][0]["digitalSourceType"] == SOURCE_TYPE
    assert manifest["signature_info"]["issuer"] == "Test"
    # Nobody trusts a certificate that was made for a test; everything else must be in order.
    assert {problem["code"] for problem in found.get("validation_status", [])} <= {"signingCredential.untrusted"}


def test_a_changed_picture_is_noticed(tmp_path, random, signer):
    path = picture(tmp_path / "x.png", random)
    signer.sign(path, MARK)
    data = bytearray(path.read_bytes())
    data[-40] ^= 1  # in the pixels
    path.write_bytes(data)
    assert any("mismatch" in problem["code"] for problem in credentials(path)["validation_status"])


def test_a_certificate_that_cannot_be_used_leaves_the_file(tmp_path, random, signer):
    path = picture(tmp_path / "x.png", random)
    before = path.read_bytes()
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(InputError, match="can't sign"):
        Signer(tmp_path / "bad.pem", signer.key).sign(path, MARK)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.pem", "x.png"]
    with pytest.raises(InputError, match="no file at"):
        Signer.load(tmp_path / "missing.pem", signer.key)
