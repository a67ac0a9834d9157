"""The catalog behind an API, over real servers of both kinds."""

from __future__ import annotations

import pytest
from tests.catalog.conftest import Describe
from tests.catalog.server.conftest import Server

from modelstac.catalog.api import ApiCatalog
from modelstac.catalog.errors import ConflictError, ItemExistsError, NotFoundError


@pytest.fixture
def catalog(server: Server) -> ApiCatalog:
    return ApiCatalog(server.href, key=server.key)


def test_publish_find_search(catalog: ApiCatalog, describe: Describe) -> None:
    item = describe().to_item()
    stored = catalog.publish(item)
    assert stored.id == item.id
    assert catalog.publish(item).id == item.id
    with pytest.raises(ItemExistsError):
        catalog.publish(describe(parameters=7).to_item())
    catalog.publish(describe(version="1.1.0").to_item())
    assert [found.id for found in catalog.search(framework="pytorch", framework_version=">=2.7,<3")] == [
        "convlstm-knmi-1.0.0-torch",
        "convlstm-knmi-1.1.0-torch",
    ]
    assert [found.id for found in catalog.search(text="radar FRAMES", version=">1.0")] == ["convlstm-knmi-1.1.0-torch"]
    catalog.set_alias("convlstm-knmi", "champion", item.id)
    assert catalog.get("convlstm-knmi@champion").id == item.id
    assert [found.id for found in catalog.search(alias="champion")] == [item.id]
    with pytest.raises(ConflictError):
        catalog.delete(item.id)
    assert catalog.deprecate(item.id).properties["deprecated"] is True
    catalog.set_alias("convlstm-knmi", "champion", None)
    catalog.delete(item.id)
    with pytest.raises(NotFoundError):
        catalog.get(item.id)
