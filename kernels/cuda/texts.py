"""From scalar texts to C++: one expression in x0, x1, ... (arrays) and n0, n1, ... (numbers).

A text such as "{x} * sigmoid({x})" calls functions of C++ and other elementwise primitives, whose texts are put in
their place. Those of gradient rules come from scalar_texts.py.
"""

import ast
import math
import re

from ...primitive import PRIMITIVES
from .when import FUNCTIONS, written_from

_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_SIGNS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}


def number(x):
    """A constant, in the type of the computation."""
    if math.isinf(x):
        return "infinity()" if x > 0 else "(-infinity())"
    return f"A({float(x)!r})"


class Written(ast.NodeVisitor):
    """The C++ of a text in whose place of each field stands names[field]. Numbers get the type of the computation."""

    def __init__(self, names):
        self.names = names

    def generic_visit(self, node):
        raise TypeError(f"{ast.dump(node)} has no C++")

    def visit_Expression(self, node):
        return self.visit(node.body)

    def visit_Name(self, node):
        return self.names[node.id]

    def visit_Constant(self, node):
        return number(node.value)

    def visit_UnaryOp(self, node):
        if not isinstance(node.op, ast.USub):
            raise TypeError(f"{ast.dump(node.op)} has no C++")
        return f"(-{self.visit(node.operand)})"

    def visit_BinOp(self, node):
        return f"({self.visit(node.left)} {_OPERATORS[type(node.op)]} {self.visit(node.right)})"

    def visit_Compare(self, node):
        (sign,), (right,) = node.ops, node.comparators
        return f"({self.visit(node.left)} {_SIGNS[type(sign)]} {self.visit(right)})"

    def visit_Call(self, node):
        name, arguments = node.func.id, [self.visit(a) for a in node.args]
        if name == "where":
            return "({} ? A({}) : A({}))".format(*arguments)
        if name in ("logical_and", "logical_or"):
            return f"({arguments[0]} {'&&' if name == 'logical_and' else '||'} {arguments[1]})"
        if name == "logical_not":
            return f"(!{arguments[0]})"
        if name == "zeros_like":
            return "A(0)"
        if name in FUNCTIONS:
            arguments = [a if re.fullmatch(r"[xn]\d+|A\(.*\)", a) else f"A({a})" for a in arguments]
            return f"{FUNCTIONS[name]}({', '.join(arguments)})"
        p = PRIMITIVES[name]
        text = p.inline if p.kind == "bool" else written_from(p)
        if not text or text.startswith(f"{name}("):
            raise TypeError(f"{name} has no scalar text in terms of others")
        given = dict(zip(p.inputs, arguments, strict=True)) | {k: number(v) for k, v in p.defaults.items()}
        return written(text, given)


def written(text, names):
    """The C++ of a text."""
    return Written(names).visit(ast.parse(re.sub(r"\{(\w+)\}", r"\1", text).strip(), mode="eval"))
