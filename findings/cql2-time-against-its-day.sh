#!/usr/bin/env bash
# Which:    cql2 0.6.0 (Expr.matches, the Python package of cql2-rs).
# What:     a time is compared with a DATE so that at any moment but midnight it is neither before, nor on, nor after it.
# Expected: of "<", "=" and ">" one is true; "<=" is not ">", and ">=" is not "<": OGC 21-065r2 says that a DATE is a
#           day, so noon of 5 June 2020 is on DATE('2020-06-05'), or (as PostgreSQL would have it) after its midnight.
# Seen:     for 2020-06-05T12:00:00Z the operators =, <, <=, > and >= are all false, and <> is true; at 00:00:00Z =, <=
#           and >= are true, as expected. TIMESTAMP('2020-06-05T00:00:00Z') orders noon rightly.
# Who:      whoever filters items by "datetime >= DATE('2020-06-05')": whatever was taken on that very day is lost, save
#           at midnight, with no error; rows of the day before and after come as they should.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet cql2==0.6.0
cat > "$folder/show.py" <<'PY'
import importlib.metadata

import cql2

OPERATORS = ("=", "<>", "<", "<=", ">", ">=")


def judged(moment, literal):
    item = {"type": "Feature", "id": "a", "geometry": None, "properties": {"datetime": moment}}
    return {op: cql2.Expr(f"datetime {op} {literal}").matches(item) for op in OPERATORS}


print("cql2", importlib.metadata.version("cql2"))
noon, midnight = "2020-06-05T12:00:00Z", "2020-06-05T00:00:00Z"
for moment, literal in (
    (noon, "DATE('2020-06-05')"),
    (midnight, "DATE('2020-06-05')"),
    (noon, f"TIMESTAMP('{midnight}')"),
    (noon, "DATE('2020-06-04')"),
):
    print(moment, "against", literal, judged(moment, literal))
assert [op for op, true in judged(noon, "DATE('2020-06-05')").items() if true] == ["<>"]
assert [op for op, true in judged(midnight, "DATE('2020-06-05')").items() if true] == ["=", "<=", ">="]
assert [op for op, true in judged(noon, f"TIMESTAMP('{midnight}')").items() if true] == ["<>", ">", ">="]
assert [op for op, true in judged(noon, "DATE('2020-06-04')").items() if true] == ["<>", ">", ">="]
print("seen: noon is neither before, nor on, nor after its own day")
PY
"$folder/venv/bin/python" "$folder/show.py" 2>"$folder/log" || { tail -20 "$folder/log" >&2; exit 1; }
