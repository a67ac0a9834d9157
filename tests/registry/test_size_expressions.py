"""Expressions of sizes: arithmetic is understood, and nothing else gets as far as PyTorch."""

from __future__ import annotations

import ast

import pytest

from modelstac.registry.inspecting.size_expressions import Linear, is_arithmetic, linear, parse, symbols

torch = pytest.importorskip("torch")
S = "Symbol('s0', positive=True, integer=True)"
ROOT = f"FloatPow(ToFloat(Mul(Integer(20), {S})), Float('0.5', precision=53))"


@pytest.mark.parametrize(
    ("text", "factors", "offset"),
    [
        ("8*s0", {"s0": 8}, 0),
        ("s0 + 1", {"s0": 1}, 1),
        (f"Mul(Integer(2), Add({S}, Integer(-3)))", {"s0": 2}, -6),
        ("2*s0 - 3*(s1 - s0)", {"s0": 5, "s1": -3}, 0),
        ("s0 - s0 + 4", {}, 4),
        (f"Identity({S})", {"s0": 1}, 0),
    ],
)
def test_a_sum_of_symbols_is_understood(text: str, factors: dict[str, int], offset: int) -> None:
    assert linear(parse(text)) == Linear(factors, offset)


@pytest.mark.parametrize("text", ["s0*s1", f"FloorDiv({S}, Integer(2))", "s0**2", "Max(1, s0)", "oo", ROOT])
def test_what_is_no_sum_is_arithmetic_all_the_same(text: str) -> None:
    assert linear(parse(text)) is None


def test_symbols_are_found_wherever_they_stand() -> None:
    assert symbols(parse(f"Max(Integer(1), FloorDiv(Add({S}, s12), u3))")) == {"s0", "s12", "u3"}
    assert symbols(ast.Name("any name of a file")) == {"any name of a file"}


@pytest.mark.parametrize(
    "text",
    [
        *("__import__('os').system('true')", "s0.__class__", "print(1)", "open('x')", "eval('1')", "lambda: s0"),
        *("[s0]", "(s0, s1)", "s0 if s1 else s2", "s0; s1", "s0\n+1", "s0 # 1", "name", "Symbol('x y')", "Symbol(s0)"),
        *("Symbol('s0', integer=print(1))", "Symbol('s0', commutative=False)", "Integer(x=1)", "Function('f')(s0)"),
        *("f'{s0}'", "'s0'", "s0[0]", "*s0", "Max(*s0)", "Max(**s0)", "(s0)(s1)", "1j", "1e999", "s0!", "s0 := 1"),
        *(
            "9**9**9",
            "s0**(10**10)",
            "Pow(Pow(9, 9), 9)",
            "LShift(1, 999999999)",
            "FloatPow(s0, Float('99'))",
            "2**-999",
            "9" * 5000,
            "(" * 300,
            "",
        ),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    assert not is_arithmetic(text)


def test_a_long_text_is_refused_at_once() -> None:
    assert not is_arithmetic("+".join(["s0"] * 20_000))
    assert is_arithmetic("+".join(["s0"] * 500))


def test_what_pytorch_writes_passes() -> None:
    """Whatever its functions print, of symbols as its tracer makes them."""
    import sympy
    from torch.utils._sympy import functions

    h, w = (sympy.Symbol(name, positive=True, integer=True) for name in ("s1", "s22"))
    made = [
        *(functions.FloorDiv(h, 2), functions.ModularIndexing(h, 2, 3), functions.CeilDiv(h, w), functions.Mod(h, 3)),
        *(functions.Max(h, w), functions.Min(1, h), functions.PowByNatural(h, 2), functions.FloorDiv(h - 1, 2) + 1),
        *(sympy.Eq(h, w), sympy.Ge(h, 2), h * w * 3 - 1, h / 2, functions.IntTrueDiv(h, 2), functions.ToFloat(h)),
        *(functions.TruncToInt(1.5 * functions.ToFloat(h)), functions.Where(sympy.Gt(h, 1), h, w), sympy.Not(h > w)),
    ]
    for expression in made:
        assert is_arithmetic(sympy.printing.repr.srepr(expression)), sympy.printing.repr.srepr(expression)
        assert is_arithmetic(str(expression)), str(expression)
