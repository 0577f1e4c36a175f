"""Content Credentials: pictures and clips signed with the user's own certificate (C2PA)."""

from __future__ import annotations

import importlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stargan_rt.errors import InputError, MissingDependencyError
from stargan_rt.mark import SOURCE_TYPE, Mark

ALGORITHMS = ("es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519")
MIME_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
}


@dataclass(frozen=True)
class Signer:
    """The user's certificate.

    Attributes:
        certificate: PEM file with the signing certificate and the certificates up to, but not including, the root.
        key: PEM file with the private key.
        algorithm: one of `ALGORITHMS`.
        timestamp_url: address of a time-stamping authority; by default none is asked.
    """

    certificate: Path
    key: Path
    algorithm: str = "es256"
    timestamp_url: str | None = None

    @classmethod
    def load(cls, certificate: Path, key: Path) -> Signer:
        """Return a signer, after checking that c2pa-python is installed and the files exist.

        Raises:
            InputError: a file does not exist.
            MissingDependencyError: c2pa-python is not installed.
        """
        _c2pa()
        for path in (certificate, key):
            if not path.is_file():
                raise InputError(f"no file at {path}; expected a PEM file")
        return cls(certificate, key)

    def sign(self, path: Path, mark: Mark) -> None:
        """Sign a file in place, whole or not at all.

        Raises:
            InputError: the certificate, the key or the file can't be used.
            MissingDependencyError: c2pa-python is not installed.
        """
        c2pa = _c2pa()
        if path.suffix.lower() not in MIME_TYPES:
            raise InputError(f"{path} can't be signed; C2PA takes {', '.join(MIME_TYPES)}")
        if self.algorithm not in ALGORITHMS:
            raise InputError(f"unknown algorithm {self.algorithm!r}; known: {', '.join(ALGORITHMS)}")
        manifest = {
            "claim_generator_info": [{"name": mark.tool.split()[0], "version": mark.tool.split()[1]}],
            "title": path.name,
            "assertions": [
                {
                    "label": "c2pa.actions",
                    "data": {
                        "actions": [
                            {
                                "action": "c2pa.created",
                                "digitalSourceType": SOURCE_TYPE,
                                "softwareAgent": {"name": mark.tool},
                                "description": mark.sentence,
                            }
                        ]
                    },
                }
            ],
        }
        temporary = path.with_name(f".{secrets.token_hex(4)}{path.suffix}")
        try:
            info = c2pa.C2paSignerInfo(
                self.algorithm.encode(),
                self.certificate.read_bytes(),
                self.key.read_bytes(),
                self.timestamp_url.encode() if self.timestamp_url else None,
            )
            with (
                c2pa.Signer.from_info(info) as signer,
                c2pa.Builder(json.dumps(manifest)) as builder,
                path.open("rb") as source,
                temporary.open("w+b") as target,
            ):
                builder.sign(signer, MIME_TYPES[path.suffix.lower()], source, target)
                target.flush()
                os.fsync(target.fileno())
            temporary.replace(path)
        except OSError as error:
            raise InputError(f"can't sign {path}: {error}") from None
        except c2pa.C2paError as error:
            raise InputError(f"can't sign {path} with {self.certificate}: {error}") from None
        finally:
            temporary.unlink(missing_ok=True)


def _c2pa() -> Any:
    try:
        return importlib.import_module("c2pa")
    except ImportError as error:
        raise MissingDependencyError(f"signing needs c2pa-python ({error}): pip install 'stargan-rt[c2pa]'") from None
