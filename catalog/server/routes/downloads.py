"""Routes of the artifacts: upload with a key, download by anyone, in parts if wanted."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator

import attr
from fastapi import APIRouter, FastAPI, Request
from stac_fastapi.types.extension import ApiExtension
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from modelstac.catalog.errors import NotFoundError, UnauthorizedError
from modelstac.catalog.items.identity import CONFORMANCE
from modelstac.catalog.server.files.artifacts import ArtifactStore, artifact_path
from modelstac.catalog.server.files.ranges import parse_content_range, parse_range
from modelstac.catalog.server.routes.keys import Keys, admit
from modelstac.catalog.server.routes.openapi import BYTES
from modelstac.catalog.server.stores.links import base_url, names_tag, quoted
from modelstac.catalog.server.watching.problems import problem

ADDRESS = "/artifacts/{shard}/{digest}/{name}"


@attr.s
class Artifacts(ApiExtension):
    """``/artifacts/<first two digits>/<sha256>/<name>``."""

    artifacts: ArtifactStore = attr.ib(kw_only=True)
    keys: Keys = attr.ib(kw_only=True)
    conformance_classes: list[str] = attr.ib(factory=lambda: [CONFORMANCE])
    schema_href: str | None = attr.ib(default=None)

    def register(self, app: FastAPI) -> None:
        """Add the routes."""
        router = APIRouter(tags=["Artifacts"])
        router.add_api_route(ADDRESS, self.download, methods=["GET", "HEAD"], response_model=None)
        router.add_api_route(ADDRESS, self.upload, methods=["PUT"], response_model=None, openapi_extra=BYTES)
        app.include_router(router)

    async def download(self, shard: str, digest: str, name: str, request: Request) -> Response:
        """Send an artifact, or the part of it that ``Range`` names."""
        path = artifact_path(digest, name)
        found = await run_in_threadpool(self.artifacts.find, path)
        if found is None or shard != digest[:2]:
            received = self.artifacts.received(path) if request.method == "HEAD" else 0
            headers = {"Upload-Offset": str(received)}
            return problem(404, "NotFoundError", f"no artifact {name!r} with this SHA-256", headers=headers)
        if request.method == "HEAD" and (authorization := request.headers.get("authorization")):
            with contextlib.suppress(UnauthorizedError):
                # Who may publish asks whether it must be sent.
                self.keys.check(authorization)
                self.artifacts.renew(path)
        headers = {
            "Accept-Ranges": "bytes",
            "ETag": f'"{digest}"',
            "Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(digest)).decode()}:",
            "Cache-Control": "public, max-age=31536000, immutable",
            "Content-Disposition": f"attachment; filename*=UTF-8''{quoted(name)}",
            "X-Content-Type-Options": "nosniff",
        }
        if names_tag(request.headers.get("if-none-match"), headers["ETag"], weak=True):
            return Response(status_code=304, headers=headers)
        if_range = request.headers.get("if-range")
        wanted = request.headers.get("range") if if_range in (None, headers["ETag"]) else None
        try:
            part = parse_range(wanted, found.size)
        except NotFoundError as error:
            return problem(416, "RangeError", str(error), headers={"Content-Range": f"bytes */{found.size}"})
        start, end = part or (0, found.size)
        if part is not None:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{found.size}"
        headers["Content-Length"] = str(end - start)
        body = self.artifacts.read(path, start, end) if request.method == "GET" else _nothing()
        return StreamingResponse(body, 206 if part else 200, headers, media_type="application/octet-stream")

    async def upload(self, shard: str, digest: str, name: str, request: Request) -> Response:
        """Take an artifact; with ``Content-Range`` a part of it, going on where ``Upload-Offset`` says."""
        admit(self.keys, request)
        path = artifact_path(digest, name)
        if shard != digest[:2]:
            raise NotFoundError(f"artifact: {shard!r} are not the first two digits of its SHA-256")
        location = {"Location": f"{base_url(request)}artifacts/{shard}/{digest}/{quoted(name)}"}
        start, total = parse_content_range(request.headers.get("content-range"))
        declared = request.headers.get("content-length", "")
        if total is None and declared.isdigit():
            total = int(declared)
        found = await run_in_threadpool(self.artifacts.find, path)
        # One of another size is none: an older server may have left half of it.
        if found is not None and total in (None, found.size):
            self.artifacts.renew(path)
            # Content-addressed: what is here is what would be sent. The body is not read.
            return Response(status_code=200, headers=location | {"Connection": "close"})
        if await self.artifacts.write(path, request.stream(), start=start, total=total):
            return Response(status_code=201, headers=location)
        return Response(status_code=202, headers={"Upload-Offset": str(self.artifacts.received(path))})


async def _nothing() -> AsyncIterator[bytes]:
    for chunk in (b"",):
        yield chunk
