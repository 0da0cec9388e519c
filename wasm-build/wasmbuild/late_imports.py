"""Find imports that would fail at run time: inside functions, of modules that the snapshot does not hold.

At run time there are no files, so only what was imported while building can be imported again.
"""

import ast
from collections.abc import Container, Iterator
from pathlib import Path


def _imported_names(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif node.level == 0:
        yield node.module or ""
    else:
        base = package.split(".")[: len(package.split(".")) - (node.level - 1)]
        yield ".".join([*base, node.module] if node.module else base)


def find(path: Path, package: str, loaded: Container[str]) -> list[str]:
    """Return one message for each late import in the source file at *path* whose module is not in *loaded*.

    *package* is the package that relative imports start from.
    """
    messages = []
    tree = ast.parse(path.read_bytes(), filename=str(path))
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Import | ast.ImportFrom):
                messages += [
                    f"{path}:{node.lineno}: {function.name}() imports {name!r}, which is not loaded while"
                    " building; there are no files at run time, so import it at the top of the module"
                    for name in _imported_names(node, package)
                    if name not in loaded
                ]
    return messages
