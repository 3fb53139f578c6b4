"""A file too large for one request, stored in parts: each is hashed by the store too, and the whole again by us."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from errors import DamagedError

PART = 64 << 20  # bytes; there are 10,000 parts at most


def put_in_parts(
    client: Any, where: Mapping[str, Any], body: BinaryIO, sha256: str, metadata: Mapping[str, str], part: int
) -> None:
    """Stores a file where no object stands; nothing of it stays where it fails, or is not of that SHA-256.

    Raises DamagedError for another SHA-256, and what boto3 raises, which the caller tells.
    """
    upload: Any = client.create_multipart_upload(**where, Metadata=dict(metadata), ChecksumAlgorithm="SHA256")
    known: dict[str, Any] = {**where, "UploadId": upload["UploadId"]}
    whole = hashlib.sha256()
    try:
        parts = [_put(client, known, number, piece) for number, piece in enumerate(_pieces(body, whole, part), start=1)]
        if whole.hexdigest() != sha256:
            raise DamagedError(f"Storing {body.name} refused: it has changed since it was hashed.")
        client.complete_multipart_upload(**known, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
    except BaseException:
        client.abort_multipart_upload(**known)
        raise


def _pieces(body: BinaryIO, whole: Any, part: int) -> Iterator[bytes]:
    while piece := body.read(part):
        whole.update(piece)
        yield piece


def _put(client: Any, known: Mapping[str, Any], number: int, piece: bytes) -> Any:
    checksum = base64.b64encode(hashlib.sha256(piece).digest()).decode()
    answer = client.upload_part(**known, PartNumber=number, Body=piece, ChecksumSHA256=checksum)
    return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}
