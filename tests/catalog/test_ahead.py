import gc

import pytest

from modelstac.catalog.ahead import ahead, batches, uncollected


def test_parts_come_in_order_and_an_error_where_it_happens():
    def parts():
        yield from (1, 2)
        raise ValueError("the third")

    coming = ahead(parts())
    assert [next(coming), next(coming)] == [1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(coming)
    assert list(batches(ahead(range(1, 6)), 2)) == [[1, 2], [3, 4], [5]]


def test_cycles_are_collected_again_whatever_happens():
    def fails():
        with uncollected():
            with uncollected():
                pass
            assert not gc.isenabled()
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert gc.isenabled()
