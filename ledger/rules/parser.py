"""From tokens to a syntax tree, within bounds known before (CEL specification, "Syntax").

Binary operators are parsed with a stack of their own and prefix operators in a loop, so that only
brackets recurse, at most `MAX_NESTING` deep. Every node is counted and its height checked when it
is made: a tree beyond the limits is never built, whatever is thrown at the parser.
"""

from __future__ import annotations

from ledger.errors import Code, RuleSourceError
from ledger.rules import slips
from ledger.rules.lexer import Token, TokenKind, tokenize
from ledger.rules.limits import MAX_HEIGHT, MAX_NESTING, MAX_NODES
from ledger.rules.names import shown
from ledger.rules.source import Source
from ledger.rules.syntax import (
    Binary,
    Call,
    Conditional,
    ListOf,
    Literal,
    Macro,
    MapOf,
    Name,
    Select,
    Syntax,
    Unary,
)
from ledger.rules.units import INT_MAX, INT_MIN

_PRECEDENCE = {
    "||": 1, "&&": 2,
    "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3, "in": 3,
    "+": 4, "-": 4, "*": 5, "/": 5, "%": 5,
}  # fmt: skip
MACROS = {"all": (2,), "exists": (2,), "exists_one": (2,), "filter": (2,), "map": (2, 3)}
_WORDS = frozenset({"true", "false", "null", "in"})
_RESERVED = frozenset(
    {
        "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let",
        "loop", "package", "namespace", "return", "var", "void", "while",
    }
)  # fmt: skip


def parse(source: Source) -> Syntax:
    """Return the syntax tree of `source`; raise `RuleSourceError` 3001, 3005 or 3007."""
    parser = _Parser(source)
    tree = parser.parse_expression()
    parser.expect_end()
    return tree


class _Parser:
    """A cursor over the tokens of one expression."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._tokens = tokenize(source)
        self._position = 0
        self._nesting = 0
        self._nodes = 0

    def parse_expression(self) -> Syntax:
        """Parse binary [? binary : expression]."""
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise self._refusal(
                Code.RULE_LIMIT, f"brackets nested more than {MAX_NESTING} deep", self._current
            )
        tree = self._parse_binary()
        token = self._current
        if self._take("?"):
            chosen = self._parse_binary()
            self._expect(":", "between the two values of a condition")
            otherwise = self.parse_expression()
            height = self._grow(token, tree, chosen, otherwise)
            tree = Conditional(token.offset, height, tree, chosen, otherwise)
        self._nesting -= 1
        return tree

    def expect_end(self) -> None:
        """Refuse whatever follows a complete expression."""
        token = self._current
        if token.kind is TokenKind.END:
            return
        raise self._unexpected("nothing after a complete expression")

    @property
    def _current(self) -> Token:
        return self._tokens[self._position]

    def _advance(self) -> Token:
        token = self._tokens[self._position]
        if token.kind is not TokenKind.END:
            self._position += 1
        return token

    def _is_operator(self, text: str) -> bool:
        token = self._current
        return token.kind is TokenKind.OPERATOR and token.text == text

    def _take(self, text: str) -> bool:
        if self._is_operator(text):
            self._position += 1
            return True
        return False

    def _expect(self, text: str, where: str) -> None:
        if not self._take(text):
            raise self._unexpected(f"'{text}' {where}")

    def _unexpected(self, want: str) -> RuleSourceError:
        """Refuse the current token, with a hint if it comes from another language."""
        before = self._tokens[max(self._position - 1, 0)]
        for token in (self._current, before):
            hint = slips.WORDS.get(token.text.lower()) if token.kind is TokenKind.NAME else None
            if hint is not None:
                return self._refusal(Code.RULE_SYNTAX, hint, token)
        message = f"unexpected {_describe(self._current)}, want {want}"
        if self._is_operator(",") and before.kind is TokenKind.INT:
            after = self._tokens[self._position + 1]
            if after.kind is TokenKind.INT and len(after.text) == 3:
                message = f"a number has no commas: write {before.text}{after.text}"
        return self._refusal(Code.RULE_SYNTAX, message, self._current)

    def _no_value(self, token: Token) -> RuleSourceError:
        """Refuse `token`, which stands where a value is wanted."""
        before = self._tokens[max(self._tokens.index(token) - 1, 0)]
        if before is token and token.kind is TokenKind.END:
            message = "the expression is empty"
        else:
            message = slips.hint_for_pair(before.text, token.text)
            message = message or f"unexpected {_describe(token)}, want a value"
        return self._refusal(Code.RULE_SYNTAX, message, token)

    def _refusal(self, code: Code, message: str, token: Token) -> RuleSourceError:
        return self._source.refusal(code, message, token.offset)

    def _grow(self, token: Token, *children: Syntax) -> int:
        """Count one node more over `children` and return its height."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._refusal(
                Code.RULE_LIMIT, f"more than {MAX_NODES} parts: split the condition", token
            )
        height = max((child.height for child in children), default=-1) + 1
        if height > MAX_HEIGHT:
            raise self._refusal(
                Code.RULE_LIMIT,
                f"nested or chained more than {MAX_HEIGHT} deep: split the condition",
                token,
            )
        return height

    def _parse_binary(self) -> Syntax:
        """Parse operands joined by binary operators, all of which lean to the left."""
        operands = [self._parse_unary()]
        operators: list[Token] = []
        while True:
            token = self._current
            is_operator = token.kind is TokenKind.OPERATOR or token.text == "in"
            precedence = _PRECEDENCE.get(token.text, 0) if is_operator else 0
            while operators and _PRECEDENCE[operators[-1].text] >= precedence:
                operator = operators.pop()
                right = operands.pop()
                left = operands.pop()
                height = self._grow(operator, left, right)
                operands.append(Binary(operator.offset, height, operator.text, left, right))
            if precedence == 0:
                return operands[0]
            operators.append(self._advance())
            operands.append(self._parse_unary())

    def _parse_unary(self) -> Syntax:
        prefixes: list[Token] = []
        while self._is_operator("!") or self._is_operator("-"):
            if len(prefixes) > MAX_HEIGHT:
                self._grow_beyond(prefixes[-1])
            prefixes.append(self._advance())
        if prefixes and prefixes[-1].text == "-" and self._current.kind is TokenKind.INT:
            tree = self._parse_postfix(self._parse_integer(prefixes.pop(), -1))
        else:
            tree = self._parse_postfix(self._parse_primary())
        for token in reversed(prefixes):
            tree = Unary(token.offset, self._grow(token, tree), token.text, tree)
        return tree

    def _grow_beyond(self, token: Token) -> None:
        raise self._refusal(
            Code.RULE_LIMIT, f"nested or chained more than {MAX_HEIGHT} deep", token
        )

    def _parse_integer(self, first: Token, sign: int) -> Literal:
        token = self._advance()
        value = sign * int(token.value)
        if not INT_MIN <= value <= INT_MAX:
            raise self._refusal(
                Code.RULE_LIMIT, f"{shown(token.text)} does not fit in 64 bits", token
            )
        return Literal(first.offset, self._grow(first), value)

    def _parse_postfix(self, tree: Syntax) -> Syntax:
        while True:
            token = self._current
            if self._take("."):
                tree = self._parse_member(tree)
            elif self._take("["):
                index = self.parse_expression()
                self._expect("]", "to close the index")
                tree = Binary(token.offset, self._grow(token, tree, index), "[]", tree, index)
            else:
                return tree

    def _parse_member(self, operand: Syntax) -> Syntax:
        token = self._advance()
        if token.kind is not TokenKind.NAME or token.text in _WORDS:
            raise self._refusal(
                Code.RULE_SYNTAX, f"unexpected {_describe(token)}, want a name after '.'", token
            )
        if not self._take("("):
            height = self._grow(token, operand)
            return Select(operand.offset, height, operand, token.text, False)
        arguments = self._parse_items(")", "to close the call")
        if len(arguments) in MACROS.get(token.text, ()):
            return self._make_macro(token, operand, arguments)
        height = self._grow(token, operand, *arguments)
        return Call(token.offset, height, token.text, operand, arguments)

    def _make_macro(self, token: Token, subject: Syntax, arguments: tuple[Syntax, ...]) -> Macro:
        variable, *bodies = arguments
        if not isinstance(variable, Name) or variable.is_root:
            raise self._source.refusal(
                Code.RULE_SYNTAX,
                f"the first argument of {token.text} names its variable: want one plain name",
                variable.offset,
            )
        height = self._grow(token, subject, *bodies)
        return Macro(token.offset, height, token.text, subject, variable.name, tuple(bodies))

    def _parse_items(self, close: str, where: str) -> tuple[Syntax, ...]:
        """Parse expressions up to `close`; a list, but no call, may end with a comma."""
        items: list[Syntax] = []
        while not self._take(close):
            items.append(self.parse_expression())
            if self._take(","):
                if close == ")" and self._is_operator(")"):
                    raise self._refusal(
                        Code.RULE_SYNTAX, "unexpected ')', want an argument", self._current
                    )
            elif not self._is_operator(close):
                self._expect(close, where)
        return tuple(items)

    def _parse_primary(self) -> Syntax:
        token = self._current
        if token.kind is TokenKind.INT:
            return self._parse_integer(token, 1)
        self._advance()
        if token.kind in (TokenKind.STRING, TokenKind.BYTES):
            return Literal(token.offset, self._grow(token), token.value)
        if token.kind is TokenKind.NAME:
            return self._parse_name(token, is_root=False)
        if token.text == "(" and token.kind is TokenKind.OPERATOR:
            tree = self.parse_expression()
            if self._is_operator(","):
                message = "a list stands in square brackets: write [a, b]"
                raise self._refusal(Code.RULE_SYNTAX, message, self._current)
            self._expect(")", "to close the bracket")
            return tree
        if token.text == "[":
            items = self._parse_items("]", "to close the list")
            return ListOf(token.offset, self._grow(token, *items), items)
        if token.text == "{":
            return self._parse_map(token)
        if token.text == "." and self._current.kind is TokenKind.NAME:
            return self._parse_name(self._advance(), is_root=True)
        raise self._no_value(token)

    def _parse_map(self, token: Token) -> MapOf:
        entries: list[tuple[Syntax, Syntax]] = []
        while not self._take("}"):
            key = self.parse_expression()
            self._expect(":", "between a key and its value")
            entries.append((key, self.parse_expression()))
            if not self._take(",") and not self._is_operator("}"):
                self._expect("}", "to close the map")
        height = self._grow(token, *(item for entry in entries for item in entry))
        return MapOf(token.offset, height, tuple(entries))

    def _parse_name(self, token: Token, is_root: bool) -> Syntax:
        if token.text in ("true", "false") and not is_root:
            return Literal(token.offset, self._grow(token), token.text == "true")
        if token.text == "null":
            raise self._refusal(
                Code.RULE_FORBIDDEN,
                "there is no null: what is not known is missing, and has(x) asks for it",
                token,
            )
        if token.text in _RESERVED or token.text in _WORDS:
            message = slips.WORDS.get(token.text, f"'{token.text}' is a reserved word")
            raise self._refusal(Code.RULE_SYNTAX, message, token)
        if not self._take("("):
            return Name(token.offset, self._grow(token), token.text, is_root)
        arguments = self._parse_items(")", "to close the call")
        if token.text == "has":
            return self._make_test(token, arguments)
        height = self._grow(token, *arguments)
        return Call(token.offset, height, token.text, None, arguments)

    def _make_test(self, token: Token, arguments: tuple[Syntax, ...]) -> Select:
        argument = arguments[0] if len(arguments) == 1 else None
        if not isinstance(argument, Select) or argument.is_test:
            raise self._refusal(
                Code.RULE_SYNTAX, "has() wants one dotted name, as in has(co.tax_grade)", token
            )
        # has(a.b) replaces the selection a.b: it is one node, as in CEL.
        return Select(token.offset, argument.height, argument.operand, argument.field, True)


def _describe(token: Token) -> str:
    if token.kind is TokenKind.END:
        return "end of the expression"
    if token.kind is TokenKind.OPERATOR:
        return f"'{token.text}'"
    return f"{token.kind.value} {shown(token.text)}"
