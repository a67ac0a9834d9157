"""Arithmetic that an item writes as text, such as ``log1p(x / 0.2) / 5``: computed, never run as code.

The text is parsed, and only numbers, the variable, arithmetic, comparisons and a list of element-wise functions of
NumPy are followed; anything else is refused before anything is computed.

Source: MLM 1.5.2, "Processing Expression" with the format ``numpy``.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from modelstac.catalog.errors import InvalidItemError
from modelstac.registry.inspecting.folders import words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST = 1000
FUNCTIONS = words(
    "abs arcsinh clip cos exp expm1 log log10 log1p log2 maximum minimum power sin sinh sqrt square tan tanh where"
)
OPERATORS: MappingProxyType[type, Callable[..., Any]] = MappingProxyType(
    {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: operator.truediv,
        ast.Pow: operator.pow,
        ast.UAdd: operator.pos,
        ast.USub: operator.neg,
        ast.Lt: operator.lt,
        ast.LtE: operator.le,
        ast.Gt: operator.gt,
        ast.GtE: operator.ge,
    }
)

Values: TypeAlias = "NDArray[np.floating[Any]]"


def shortened(value: Any) -> str:
    """Give an expression, or what stands in its place, as one line of at most 80 characters."""
    expression = value.get("expression") if isinstance(value, Mapping) else value
    text = " ".join(str(expression or value).split())
    return text if len(text) <= 80 else f"{text[:77]}…"


def evaluate(expression: object, x: Values, *, of: str) -> Values:
    """Compute an expression of ``x`` for every element.

    Parameters
    ----------
    expression
        The text; its one variable is ``x``.
    x
        Floating point numbers.
    of
        Whose expression it is, for the message.

    Returns
    -------
    numpy.ndarray
        Of the shape and type of ``x``.

    Raises
    ------
    InvalidItemError
        If it is more than arithmetic, or does not give one number an element.
    """
    if not isinstance(expression, str) or len(expression) > LONGEST:
        raise InvalidItemError(f"{of}: a numpy expression is a text of at most {LONGEST} characters")
    try:
        tree = ast.parse(expression, mode="eval").body
        _check(tree)
        import numpy as np

        with np.errstate(all="ignore"):  # what is not finite is refused, or wanted, by whoever reads the result
            result = np.asarray(_value(tree, x), dtype=x.dtype)
    except (SyntaxError, ValueError, TypeError, ArithmeticError, RecursionError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise InvalidItemError(f"{of}: {expression!r} cannot be computed ({reason}): ask its publisher") from error
    if result.shape != x.shape:
        raise InvalidItemError(f"{of}: {expression!r} does not give one number an element: ask its publisher")
    return result


def _check(node: ast.AST) -> None:
    """Refuse what is no arithmetic, before any of it is computed."""
    match node:
        case ast.Constant(value=int() | float()) | ast.Name(id="x"):
            return
        case ast.BinOp(op=op) | ast.UnaryOp(op=op) if type(op) in OPERATORS:
            parts: list[ast.AST] = [node.left, node.right] if isinstance(node, ast.BinOp) else [node.operand]
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in OPERATORS:
            parts = [left, right]
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            parts = list(args)
        case _:
            raise ValueError(f"{ast.unparse(node)} is no arithmetic of x")
    for part in parts:
        _check(part)


def _value(node: ast.AST, x: Values) -> Any:
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value)  # not a whole number, whose powers could fill the memory
        case ast.Name():
            return x
        case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
            return OPERATORS[type(op)](_value(left, x), _value(right, x))
        case ast.UnaryOp(op=op, operand=operand):
            return OPERATORS[type(op)](_value(operand, x))
        case ast.Call(func=ast.Name(id=name), args=args):
            import numpy as np

            return getattr(np, name)(*(_value(argument, x) for argument in args))
    raise AssertionError(node)
