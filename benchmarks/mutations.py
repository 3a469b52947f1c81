"""How many broken lines the tests notice: lines of `src` drawn at random and broken, one at a time.

    python benchmarks/mutations.py [--lines 30] [--commit HEAD] [--leave-out src/ulna/x.py:12 ...]

The seed is the hash of the commit. Each line that was tested is recorded in `results/mutations.json`: the same command
with the same commit goes on where it was stopped. A line is broken by one small change to it: another comparison,
operator, constant or condition, or a statement that is taken away. Docstrings, comments, imports and annotations are no
candidates. A mutant that cannot change any behavior (equivalent: say which with `--leave-out`, after reading it) is
replaced by the next line drawn. The tests run in a copy of the commit, those of the same file first, until one fails.
The table is `results/mutations.md`.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
RECORD = HERE / "results" / "mutations.json"
LIMIT = 1200
"""Seconds after which a mutant that does not come to an end counts as noticed."""

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.MatMult: ast.Mult,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One line that is broken: where, as it was, as it is, and the whole file with it."""

    path: str
    line: int
    before: str
    after: str
    source: str

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.path}:{self.line}"


def main() -> None:
    """Draw, break, test, write."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--lines", type=int, default=30)
    words.add_argument("--commit", default="HEAD")
    words.add_argument("--leave-out", action="append", default=[], help="equivalent mutants, as file:line")
    words.add_argument("--workers", default="2", help="of pytest")
    words.add_argument("--list", action="store_true", help="show the mutants and end")
    given = words.parse_args()
    commit = _git("rev-parse", given.commit)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "ulna"
        _git("clone", "--quiet", "--no-hardlinks", str(ROOT), str(copy))
        _git("-C", str(copy), "checkout", "--quiet", commit)
        drawn = list(_drawn(copy, commit, given.lines, set(given.leave_out)))
        if given.list:
            for mutant in drawn:
                print(f"{mutant.place}\n  - {mutant.before.strip()}\n  + {mutant.after.strip()}")
            return
        known = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
        seen: dict[str, str] = known.get(commit, {})
        for number, mutant in enumerate(drawn, start=1):
            if mutant.place not in seen:
                seen[mutant.place] = _noticed(mutant, copy, given.workers)
                RECORD.write_text(json.dumps({commit: seen}, indent=1) + "\n", "utf-8")
            print(f"{number}/{len(drawn)} {mutant.place}: {seen[mutant.place] or 'NOT NOTICED'}", flush=True)
    _write(commit, [(mutant, seen[mutant.place]) for mutant in drawn], given.leave_out)


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def _drawn(copy: Path, commit: str, count: int, left_out: set[str]) -> Iterator[Mutant]:
    """So many mutants, at most one per line; every line that can be broken is equally likely."""
    generator = random.Random(commit)
    lines: list[tuple[str, int]] = []
    possible: dict[tuple[str, int], list[Mutant]] = {}
    for path in sorted((copy / "src").rglob("*.py")):
        for mutant in _mutants(path, copy):
            possible.setdefault((mutant.path, mutant.line), []).append(mutant)
    lines = sorted(possible)
    generator.shuffle(lines)
    for line in lines:
        mutant = generator.choice(possible[line])
        if mutant.place in left_out:
            continue
        yield mutant
        count -= 1
        if not count:
            return


def _mutants(path: Path, root: Path) -> Iterator[Mutant]:
    """All mutants of a file."""
    name = path.relative_to(root).as_posix()
    text = path.read_text("utf-8")
    rows = text.splitlines(keepends=True)
    for node in _code(ast.parse(text)):
        for start, end, new in _changes(node, text):
            if start[0] != end[0]:
                continue  # of one line only
            row = rows[start[0] - 1].encode()
            after = (row[: start[1]] + new.encode() + row[end[1] :]).decode()
            source = "".join([*rows[: start[0] - 1], after, *rows[start[0] :]])
            try:
                ast.parse(source)
            except SyntaxError:
                continue
            if after != rows[start[0] - 1]:
                yield Mutant(name, start[0], rows[start[0] - 1].rstrip("\n"), after.rstrip("\n"), source)


def _code(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that are run: no annotations, docstrings, imports, or what only type checkers read."""
    for field, value in ast.iter_fields(tree):
        if field in ("annotation", "returns", "type_comment", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.Import | ast.ImportFrom):
                continue
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                continue
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            yield child
            yield from _code(child)


Place = tuple[int, int]


def _changes(node: ast.AST, text: str) -> Iterator[tuple[Place, Place, str]]:
    """Where a node is changed and into what: start, end, new text."""
    whole = _span(node)
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        other = ast.Compare(node.left, [COMPARISONS[type(node.ops[0])](), *node.ops[1:]], node.comparators)
        yield *whole, f"({ast.unparse(other)})"
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        yield *whole, f"({ast.unparse(ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right))})"
    elif isinstance(node, ast.BoolOp):
        other = ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        yield *whole, f"({ast.unparse(other)})"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield *whole, f"({ast.unparse(node.operand)})"
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield *whole, str(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield *whole, f"({node.value!r} + 1)"
    elif isinstance(node, ast.If | ast.While | ast.IfExp):
        yield *_span(node.test), f"(not ({ast.unparse(node.test)}))"
    elif isinstance(node, ast.Return) and node.value is not None:
        yield *whole, "return None"
    elif isinstance(node, ast.Expr | ast.AugAssign | ast.Raise | ast.Continue | ast.Break):
        yield *whole, "pass"


def _span(node: ast.AST) -> tuple[Place, Place]:
    if not isinstance(node, ast.expr | ast.stmt):
        return (0, 0), (1, 0)
    return (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)


def _noticed(mutant: Mutant, copy: Path, workers: str) -> str:
    """The first test that fails with the mutant in place; empty where all pass."""
    target = copy / mutant.path
    kept = target.read_text("utf-8")
    target.write_text(mutant.source, "utf-8")
    try:
        for tests in (_own_tests(mutant, copy), ["tests"]):
            if tests and (failed := _failing(tests, copy, workers)):
                return failed
        return ""
    finally:
        target.write_text(kept, "utf-8")


def _own_tests(mutant: Mutant, copy: Path) -> list[str]:
    """The test file that mirrors the source file, or else the tests of its package."""
    own = Path(mutant.path).relative_to("src/ulna")
    for place in (copy / "tests" / own.parent / f"test_{own.name}", copy / "tests" / own.parent):
        if place.exists() and place != copy / "tests":
            return [str(place.relative_to(copy))]
    return []


def _failing(tests: list[str], copy: Path, workers: str) -> str:
    data = ["--data", str(ROOT.parent / "shared" / "data")] if (ROOT.parent / "shared" / "data").is_dir() else []
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", workers, "-p", "no:cacheprovider", *data, *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy / "src")}
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return "did not come to an end"
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return lines[0].partition(" - ")[0].partition(" ")[2] if lines else f"exit code {done.returncode}"


def _write(commit: str, rows: list[tuple[Mutant, str]], left_out: list[str]) -> None:
    noticed = sum(bool(test) for _, test in rows)
    lines = [
        "# Broken lines that the tests notice",
        "",
        f"`python benchmarks/mutations.py` at commit {commit[:7]}: {noticed} of {len(rows)} lines, drawn at random",
        "from `src` and broken one at a time, are noticed by a test.",
        "",
        *([f"Left out because they cannot change any behavior: {', '.join(left_out)}.", ""] if left_out else []),
        "| line | before | after | noticed by |",
        "|---|---|---|---|",
    ]
    for mutant, test in rows:
        before, after = (f"`{part.strip().replace('|', chr(92) + '|')}`" for part in (mutant.before, mutant.after))
        lines.append(f"| {mutant.place} | {before} | {after} | {test or '**not noticed**'} |")
    (HERE / "results" / "mutations.md").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
