"""Upload in parts of a file too large for one request. The store checks each part, this module the complete file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from errors import DamagedError

PART = 64 << 20  # bytes; an upload has at most 10,000 parts


def put_in_parts(
    client: Any, where: Mapping[str, Any], body: BinaryIO, sha256: str, metadata: Mapping[str, str], part: int
) -> Mapping[str, Any]:
    """Store a file at a key without an object; return the store's answer. If that fails, it keeps no part of it.

    Raise DamagedError if the file has another SHA-256. Errors of boto3 pass through to the caller.
    """
    upload: Any = client.create_multipart_upload(**where, Metadata=dict(metadata), ChecksumAlgorithm="SHA256")
    target: dict[str, Any] = {**where, "UploadId": upload["UploadId"]}
    complete = hashlib.sha256()
    try:
        parts = [
            _put(client, target, number, piece) for number, piece in enumerate(_pieces(body, complete, part), start=1)
        ]
        if complete.hexdigest() != sha256:
            raise DamagedError(f"Storing {body.name} refused: it has changed since it was hashed.")
        answer: Mapping[str, Any] = client.complete_multipart_upload(
            **target, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
        )
    except BaseException:
        client.abort_multipart_upload(**target)
        raise
    return answer


def _pieces(body: BinaryIO, complete: Any, part: int) -> Iterator[bytes]:
    while piece := body.read(part):
        complete.update(piece)
        yield piece


def _put(client: Any, target: Mapping[str, Any], number: int, piece: bytes) -> Any:
    checksum = base64.b64encode(hashlib.sha256(piece).digest()).decode()
    answer = client.upload_part(**target, PartNumber=number, Body=piece, ChecksumSHA256=checksum)
    return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}
