"""The report: what a person reads and what the page must not contain."""

from __future__ import annotations

import base64
import re

from modelstac.report import Picture, Table, write_html

TABLE = Table("Variants", "What <b>each</b> is worth.", ("item", "RMSE", "to source"), [("a & b", "1.032", "equal")])


def test_text_aligns_the_first_column_left_and_numbers_right():
    lines = TABLE.to_text().splitlines()
    assert lines[0] == "item    RMSE  to source"
    assert lines[2] == "a & b  1.032      equal"
    assert lines[1] == "-----  -----  ---------"


def test_the_page_is_self_contained_and_escaped(tmp_path):
    path = tmp_path / "report.html"
    png = b"\x89PNG not really"
    write_html(path, title="T", summary="<script>", tables=[TABLE], pictures=[Picture(png, "rain")], footer="KNMI")
    page = path.read_text(encoding="utf-8")
    assert base64.b64encode(png).decode() in page
    assert "What &lt;b&gt;each&lt;/b&gt; is worth." in page
    assert "a &amp; b" in page
    assert '<td class="good">equal</td>' in page
    assert 'alt="rain"' in page
    assert not re.search(r'<script|https?://|<link(?! rel="icon" href="data:)|@import|url\(', page)
