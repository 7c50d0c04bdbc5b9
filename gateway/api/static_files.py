"""The files of `static/`, held in memory: types of our own, validators, compression, and one version at a time.

An upgrade under an open page must not mix old modules with new ones. So each set of files has an address that names its
content, ``/static/<version>/…``, where nothing ever changes and a second visit loads nothing again. Pages refer to it.
A module that is asked for without a version answers with one line that hands on to the version served now, so whatever
it imports comes from the same set, and is the same instance for everyone who asks either way.
"""

import gzip
import hashlib
import json
import re
from functools import cache
from pathlib import Path, PurePosixPath

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.errors import not_found
from gateway.api.page_texts import with_texts
from gateway.api.preconditions import matches
from gateway.state import state_of
from gateway.static_folder import FOLDER

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".ts": "text/plain; charset=utf-8",
}
"""By suffix. The machine's own table may say anything: Windows' registry often has scripts as plain text."""

WORTH_COMPRESSING = 512
"""Shortest file that is compressed, in bytes."""

FOREVER = "public, max-age=31536000, immutable"
ASK_EACH_TIME = "no-cache"


class StaticFile:
    """One file as it is served."""

    def __init__(self, path: str, content: bytes, cache_control: str) -> None:
        self._content = content
        self._compressed: bytes | None = None
        self._etag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
        self._headers = {
            "content-type": TYPES[PurePosixPath(path).suffix],
            "cache-control": cache_control,
            # Origin: a copy that was fetched without one holds no permission for another page.
            "vary": "Accept-Encoding, Origin",
            "etag": self._etag,
        }

    def answer(self, request: Request, status: int = 200) -> Response:
        """The file, compressed where that is understood; 304 for who has it."""
        if status == 200 and matches(request.headers.get("if-none-match"), self._etag):
            return Response(status_code=304, headers=self._headers)
        if len(self._content) < WORTH_COMPRESSING or not accepts_gzip(request.headers.get("accept-encoding", "")):
            return Response(self._content, status, headers=self._headers)
        if self._compressed is None:
            self._compressed = gzip.compress(self._content, mtime=0)
        # Another representation, so another strong validator (RFC 9110, section 8.8.3.3).
        encoded = {"content-encoding": "gzip", "etag": f"W/{self._etag}"}
        return Response(self._compressed, status, headers=self._headers | encoded)


class StaticFiles:
    """All files of `folder` as they were when this was made.

    Args:
        folder: the files.
        texts: what replaces texts of the pages, as JSON.
    """

    def __init__(self, folder: Path, texts: str = "{}") -> None:
        contents = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.suffix in TYPES
        }
        digest = hashlib.sha256()
        for path, content in contents.items():
            digest.update(f"{path} {len(content)} ".encode() + content)
        self.version = digest.hexdigest()[:12]
        self._files: dict[str, StaticFile] = {}
        for path, content in contents.items():
            if path.endswith(".html"):
                content = content.replace(b'"/static/', f'"/static/{self.version}/'.encode())
                content = with_texts(content.decode(), json.loads(texts)).encode()
            unversioned = self._handing_on(path, content) if path.endswith(".js") else content
            self._files[path] = StaticFile(path, unversioned, ASK_EACH_TIME)
            self._files[f"{self.version}/{path}"] = StaticFile(path, content, FOREVER)

    def answer(self, request: Request, path: str, status: int = 200) -> Response:
        """The file at `path` below ``/static/``.

        Raises:
            ApiError: 404.
        """
        if (found := self._files.get(path)) is None:
            raise not_found("File")
        return found.answer(request, status)

    def _handing_on(self, path: str, content: bytes) -> bytes:
        up = "../" * path.count("/") or "./"
        target = f"{up}{self.version}/{path}"
        exported = "*" if re.search(rb"^export ", content, re.MULTILINE) else "{}"
        comment = "// The module and all that it imports, in one version:"
        return f'{comment}\nexport {exported} from "{target}";\n'.encode()


@cache
def _static_files(texts: str) -> StaticFiles:
    return StaticFiles(FOLDER, texts)


def static_files(request: Request) -> StaticFiles:
    """The files of the process that serves `request`."""
    return _static_files(state_of(request).settings.page_texts or "{}")


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header takes gzip (RFC 9110, section 12.5.3)."""
    for part in accept_encoding.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() in ("gzip", "*"):
            return not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight)
    return False
