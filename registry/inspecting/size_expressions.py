"""Expressions of sizes, such as ``2*s39`` or ``Add(Symbol('s0', integer=True), Integer(1))``: read, never evaluated.

PyTorch writes them into exported programs, and reads them with ``sympy.sympify``, which evaluates text as Python. So
they are taken apart here first, and pass only as arithmetic of symbols and numbers with the functions that PyTorch
itself writes. What is linear in its symbols is also understood.

Sources: torch/_export/serde/serialize.py (``_print_sympy``, ``_parse_sym_expr``), torch/utils/_sympy/functions.py.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from modelstac.registry.inspecting.folders import words

LONGEST = 20_000
LARGEST = 2**64
"""Of whole numbers; a length fits into 64 bits."""
GREATEST_POWER = 64
_TEXT = re.compile(r"[\w ()+\-*/,<>=!&|~'.]+", re.ASCII)
SYMBOL = re.compile(r"(?:s|u|ps|zu?f)\d+", re.ASCII)
"""What PyTorch calls sizes: ``s0`` is known from an input, ``u0`` from values alone."""
_CONSTANTS = frozenset({"true", "false", "oo", "int_oo", "zoo", "nan"})
_POWERS = frozenset({"Pow", "PowByNatural", "FloatPow", "LShift"})
_FUNCTIONS = _POWERS | words(
    """FloorDiv ModularIndexing Where PythonMod Mod CleanDiv CeilToInt FloorToInt CeilDiv RShift FloatTrueDiv IntTrueDiv
    TruncToFloat TruncToInt RoundToInt RoundDecimal ToFloat Identity Max Min Eq Ne Lt Le Gt Ge And Or Not
    IsNonOverlappingAndDenseIndicator Integer Float Rational Add Mul Equality Unequality StrictLessThan LessThan
    StrictGreaterThan GreaterThan"""
)
_ASSUMPTIONS = frozenset({"integer", "positive", "nonnegative", "real", "finite", "precision"})
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Pow, ast.BitAnd, ast.BitOr)
_SIGNS = (ast.USub, ast.UAdd, ast.Invert, ast.Not)
_COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)


@dataclass(frozen=True)
class Linear:
    """A sum of symbols, each so many times, and a whole number."""

    factors: Mapping[str, int]
    offset: int = 0

    def __add__(self, other: Linear) -> Linear:
        names = self.factors.keys() | other.factors.keys()
        total = {name: self.factors.get(name, 0) + other.factors.get(name, 0) for name in names}
        return Linear({name: factor for name, factor in total.items() if factor}, self.offset + other.offset)

    def times(self, number: int) -> Linear:
        """Multiply it."""
        scaled = {name: factor * number for name, factor in self.factors.items() if number}
        return Linear(scaled, self.offset * number)


def parse(text: str, symbol: re.Pattern[str] = SYMBOL) -> ast.expr:
    """Take an expression apart.

    Parameters
    ----------
    text
        The expression.
    symbol
        What a symbol is called.

    Raises
    ------
    ValueError
        If it is more than arithmetic of symbols and numbers, or so large that computing it would take long.
    """
    if len(text) > LONGEST or not _TEXT.fullmatch(text):
        raise ValueError("it is no arithmetic")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        _check(tree, symbol)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"it is no arithmetic ({type(error).__name__})") from error
    return tree


def is_arithmetic(text: str) -> bool:
    """Tell whether a text is an expression that :func:`parse` takes."""
    try:
        parse(text)
    except ValueError:
        return False
    return True


def symbols(tree: ast.expr) -> frozenset[str]:
    """Give the symbols of an expression."""
    match tree:
        case ast.Name(id=name):
            return frozenset({name} - _CONSTANTS)
        case ast.Call(func=ast.Name(id="Symbol"), args=[ast.Constant(value=str(name))]):
            return frozenset({name})
        case ast.Call(args=parts):
            return frozenset[str]().union(*map(symbols, parts))
    return frozenset[str]().union(*(symbols(part) for part in ast.iter_child_nodes(tree) if isinstance(part, ast.expr)))


def linear(tree: ast.expr) -> Linear | None:
    """Give an expression as a sum of symbols; None where it is none."""
    found: Linear | None = None
    match tree:
        case ast.Constant(value=int(number)):
            found = Linear({}, number)
        case ast.Name(id=name) if name not in _CONSTANTS:
            found = Linear({name: 1})
        case ast.Call(func=ast.Name(id="Symbol"), args=[ast.Constant(value=str(name))]):
            found = Linear({name: 1})
        case ast.Call(func=ast.Name(id="Integer" | "Identity"), args=[inner]):
            found = linear(inner)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            found = _product([ast.Constant(-1), inner])
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            found = _sum([left, ast.UnaryOp(ast.USub(), right)])
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            found = _sum([left, right])
        case ast.Call(func=ast.Name(id="Add"), args=parts):
            found = _sum(parts)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            found = _product([left, right])
        case ast.Call(func=ast.Name(id="Mul"), args=parts):
            found = _product(parts)
    return found


def _sum(parts: list[ast.expr]) -> Linear | None:
    total = Linear({})
    for part in parts:
        found = linear(part)
        if found is None:
            return None
        total = total + found
    return total


def _product(parts: list[ast.expr]) -> Linear | None:
    total = Linear({}, 1)
    for part in parts:
        found = linear(part)
        if found is None or (found.factors and total.factors):
            return None
        total = found.times(total.offset) if found.factors else total.times(found.offset)
    return total


def _check(tree: ast.expr, symbol: re.Pattern[str]) -> None:
    """Raise ValueError at the first part that is no arithmetic."""
    match tree:
        case ast.Constant(value=value):
            _check_number(value)
        case ast.Name(id=name):
            if name not in _CONSTANTS and not symbol.fullmatch(name):
                raise ValueError(f"{name!r} is no size")
        case ast.UnaryOp(op=op, operand=operand) if isinstance(op, _SIGNS):
            _check(operand, symbol)
        case ast.BinOp(left=left, op=op, right=right) if isinstance(op, _OPERATORS):
            _check(left, symbol)
            _check(right, symbol)
            if isinstance(op, ast.Pow):
                _check_power(left, right)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if isinstance(op, _COMPARISONS):
            _check(left, symbol)
            _check(right, symbol)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            _check_call(name, args, keywords, symbol)
        case _:
            raise ValueError(f"{type(tree).__name__} is no arithmetic")


def _check_number(value: object) -> None:
    whole = isinstance(value, int) and abs(value) <= LARGEST  # True and False are whole, too
    if not whole and not (isinstance(value, float) and math.isfinite(value)):
        raise ValueError(f"{str(value)[:40]!r} is no number of a size")


def _check_call(name: str, args: list[ast.expr], keywords: list[ast.keyword], symbol: re.Pattern[str]) -> None:
    for keyword in keywords:
        match keyword:
            case ast.keyword(arg=str(word), value=ast.Constant(value=int(number))):  # True and False are such
                fits = name in {"Symbol", "Float"} and word in _ASSUMPTIONS and 0 <= number <= GREATEST_POWER
            case _:
                fits = False
        if not fits:
            raise ValueError(f"{name} has no {keyword.arg!r}")
    match name, args:
        case "Symbol", [ast.Constant(value=str(text))]:
            if not symbol.fullmatch(text):
                raise ValueError(f"{text!r} is no size")
        case "Float", [ast.Constant(value=str(text))]:
            _check_number(float(text))
        case _ if name in _FUNCTIONS:
            for part in args:
                _check(part, symbol)
            if name in _POWERS and len(args) == 2:
                _check_power(*args)
        case _:
            raise ValueError(f"{name!r} is no function of PyTorch's sizes")


def _check_power(base: ast.expr, exponent: ast.expr) -> None:
    """Refuse powers that take long to compute: of powers, and of large or computed exponents."""
    if any(isinstance(node, ast.Pow) or (isinstance(node, ast.Name) and node.id in _POWERS) for node in ast.walk(base)):
        raise ValueError("it is a power of a power")
    match exponent:
        case ast.UnaryOp(op=ast.USub(), operand=inner) | ast.Call(func=ast.Name(id="Integer"), args=[inner]):
            _check_power(base, inner)
        case ast.Constant(value=int() | float() as value) if abs(value) <= GREATEST_POWER:
            pass
        case ast.Call(func=ast.Name(id="Float"), args=[ast.Constant(value=str(text))]):
            _check_power(base, ast.Constant(float(text)))
        case ast.Call(func=ast.Name(id="Rational"), args=[ast.Constant(), ast.Constant()]):
            pass
        case ast.Call(func=ast.Name(id="Symbol")) | ast.Name():
            pass
        case _:
            raise ValueError("it has a power that is not small")
