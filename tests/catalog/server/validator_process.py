"""stac-api-validator without a network: runs in an environment of its own, which has that package and not modelstac.

``python validator_process.py SCHEMAS.json ARGUMENTS`` takes schemas by their address and JSON for ``validate_api``, and
prints JSON.
"""

from __future__ import annotations

import io
import json
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import requests
from requests.adapters import BaseAdapter

KNOWN: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())


def known(url: str) -> bytes:
    found = KNOWN.get(url.removesuffix("#"))
    if found is None:
        # A schema that is missing makes the validator report an error; a link elsewhere only a recommendation.
        raise requests.ConnectionError(f"there is no network here for {url}")
    return json.dumps(found).encode()


class Schemas(BaseAdapter):
    """Answers for every address of https."""

    def send(self, request: requests.PreparedRequest, **_options: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, str(request.url)
        response.raw = io.BytesIO(known(response.url))
        response.headers["Content-Type"] = "application/json"
        return response

    def close(self) -> None:
        pass


class Handler(urllib.request.HTTPSHandler):
    """The same for urllib."""

    def https_open(self, request: urllib.request.Request) -> Any:
        url = request.full_url
        return urllib.response.addinfourl(io.BytesIO(known(url)), {"content-type": "application/json"}, url, 200)


time.sleep = lambda _seconds: None  # it waits for servers that show a write later; ours show it at once
init = requests.Session.__init__


def with_schemas(self: requests.Session) -> None:
    init(self)
    self.mount("https://", Schemas())


requests.Session.__init__ = with_schemas  # type: ignore[method-assign]
urllib.request.install_opener(urllib.request.build_opener(Handler()))

from stac_api_validator.validations import QueryConfig, validate_api  # noqa: E402 - its sessions come after this

# Called as a function: its command line knows no filter of item-search, and exits with 0 when it breaks off.
asked = json.loads(sys.argv[2])
warnings, errors = validate_api(
    **asked,
    auth_query_parameter=None,
    query_config=QueryConfig(**dict.fromkeys(QueryConfig.__dataclass_fields__)),
    headers={},
    validate_pagination=True,
)
print(json.dumps({"warnings": warnings.as_list(), "errors": errors.as_list()}))
