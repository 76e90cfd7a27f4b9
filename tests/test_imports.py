"""Walks the imports of cs_hdl/ and sim/: those that architecture forbids must not exist.

Imports are read from the sources, so that nothing is hidden by what happens to be installed. An
import under ``if TYPE_CHECKING:`` counts as an import of its module, but not for what is reached
through other modules, since it is never run.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: What may not appear in a module whose name begins with the key, directly or through others.
FORBIDDEN = {
    **dict.fromkeys(
        (
            "cs_hdl.network",
            "cs_hdl.fixedpoint",
            "cs_hdl.combine",
            "cs_hdl.plan",
            "cs_hdl.golden",
            "cs_hdl.frontend",
        ),
        ("amaranth", "cs_hdl.rtl", "cs_hdl.emit", "cs_hdl.build", "cs_hdl.cli"),
    ),
    "cs_hdl.rtl": ("cs_hdl.golden", "cs_hdl.emit", "cs_hdl.build", "cs_hdl.frontend"),
    "sim": ("cs_hdl.rtl",),
}
#: More of the same; in a table of its own because some prefixes are in both.
FORBIDDEN_TOO = {
    # The oracle would share the packing's bug.
    "cs_hdl.golden.dense": ("cs_hdl.combine", "cs_hdl.plan"),
    "cs_hdl.golden": ("cs_hdl.plan",),
    "cs_hdl.combine": ("cs_hdl.golden",),
    "cs_hdl.plan": ("cs_hdl.golden",),
    # Simulations, tests and scripts stand around the package, not under it.
    "cs_hdl": ("cocotb", "cocotb_tools", "cocotbext", "sim", "tests", "scripts"),
}
#: Only these may start other programs.
STARTS_PROGRAMS = ("cs_hdl.build", "cs_hdl.emit", "cs_hdl.peers", "cs_hdl.simulate")

#: Component files of rtl/ that hold no component of their own but what two of them agree on.
SHARED = {"streams", "axi_stream", "fault", "platform"}
#: Those that put the others together.
COMPOSERS = {"accelerator", "layer", "own_reset", "residual"}
#: An engine and the parts that are its own, which may know each other's layouts.
ENGINES = {
    "multiply_lanes": {
        "lane",
        "lane_chain",
        "lane_columns",
        "lane_control",
        "activation_writer",
        "merge_guests",
        "reorder",
        "requantise",
        "gather",
    },
    "multiply_constants": {"requantise"},
    "global_kwta": {"histogram", "winner_buffer"},
}


@dataclass(frozen=True)
class Import:
    """``module`` imports ``target`` in ``line``; ``run`` is False under ``if TYPE_CHECKING:``."""

    module: str
    target: str
    line: int
    run: bool = True

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def sources() -> dict[str, Path]:
    """Every module of the package and of sim/, by its dotted name."""
    found = {}
    for folder in ("cs_hdl", "sim"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(module: str, source: str, *, package: bool = False) -> list[Import]:
    """All imports in ``source``, ``from x import y`` as both x and x.y (which may be a module)."""
    found: list[Import] = []

    def visit(node: ast.AST, run: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(module, item.name, node.lineno, run) for item in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".") if package else module.split(".")[:-1]
                base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [base])])
            found.append(Import(module, base, node.lineno, run))
            found.extend(Import(module, f"{base}.{item.name}", node.lineno, run) for item in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.body:
                visit(child, False)
            for child in node.orelse:
                visit(child, run)
        else:
            for child in ast.iter_child_nodes(node):
                visit(child, run)

    visit(ast.parse(source), True)
    return found


def within(name: str, parent: str) -> bool:
    return name == parent or name.startswith(f"{parent}.")


SOURCES = sources()
IMPORTS = {
    module: imports_of(module, path.read_text(), package=path.name == "__init__.py") for module, path in SOURCES.items()
}


def reached(module: str, imports: dict[str, list[Import]] = IMPORTS) -> dict[str, list[Import]]:
    """Everything that importing ``module`` runs, each with the chain of imports that leads to it."""
    chains: dict[str, list[Import]] = {}
    todo: list[tuple[str, list[Import]]] = [(module, [])]
    seen = {module}
    while todo:
        current, chain = todo.pop()
        for item in imports.get(current, []):
            if not item.run:
                continue
            # Importing a.b.c runs a and a.b as well.
            names = item.target.split(".")
            for name in (".".join(names[:count]) for count in range(1, len(names) + 1)):
                chains.setdefault(name, [*chain, item])
                if name in imports and name not in seen:
                    seen.add(name)
                    todo.append((name, [*chain, item]))
    return chains


def violations(rules: dict[str, tuple[str, ...]], imports: dict[str, list[Import]] = IMPORTS) -> list[str]:
    """Every forbidden import, direct or through modules of ours, in words."""
    found = []
    for prefix, targets in rules.items():
        for module in (name for name in imports if within(name, prefix)):
            direct = [[item] for item in imports[module]]
            chains = direct + list(reached(module, imports).values())
            for target in targets:
                bad = [chain for chain in chains if within(chain[-1].target, target)]
                found.extend(" -> ".join(map(str, chain)) for chain in bad[:1])
    return found


def test_there_is_something_to_walk():
    assert {"cs_hdl.network", "cs_hdl.golden.dense", "cs_hdl.frontend.onnx"} <= set(SOURCES)
    assert any(item.target == "onnx" for item in IMPORTS["cs_hdl.frontend.onnx"])


@pytest.mark.parametrize("rules", [FORBIDDEN, FORBIDDEN_TOO], ids=["layers", "oracles and surroundings"])
def test_forbidden_imports(rules):
    assert violations(rules) == []


def test_nothing_imports_the_command_line():
    found = [
        str(item)
        for module, items in IMPORTS.items()
        for item in items
        if within(item.target, "cs_hdl.cli") and not within(module, "cs_hdl.cli") and module != "cs_hdl.__main__"
    ]
    assert found == []


def test_subprocesses_are_started_in_few_places():
    found = [
        str(item)
        for module, items in IMPORTS.items()
        for item in items
        if within(item.target, "subprocess")
        and within(module, "cs_hdl")
        and not any(within(module, place) for place in STARTS_PROGRAMS)
    ]
    assert found == []


def rtl_violations(imports: dict[str, list[Import]]) -> list[str]:
    """Imports of one leaf component by another."""
    found = []
    for module, items in imports.items():
        names = module.split(".")
        if names[:2] != ["cs_hdl", "rtl"] or len(names) != 3 or names[2] in COMPOSERS:
            continue
        family = set().union(*({engine, *parts} for engine, parts in ENGINES.items() if names[2] in {engine, *parts}))
        for item in items:
            target = item.target.split(".")
            if target[:2] != ["cs_hdl", "rtl"] or len(target) < 3 or target[2] in SHARED | family | {"primitives"}:
                continue
            found.append(str(item))
    return found


def test_leaf_components_do_not_know_each_other():
    assert rtl_violations(IMPORTS) == []


def test_primitives_know_nothing_but_primitives_and_layouts():
    found = [
        str(item)
        for module, items in IMPORTS.items()
        if within(module, "cs_hdl.rtl.primitives")
        for item in items
        if within(item.target, "cs_hdl.rtl")
        and item.target.count(".") >= 2
        and item.target.split(".")[2] not in {"primitives", *SHARED}
    ]
    assert found == []


def test_the_walk_finds_what_is_forbidden():
    """Altered sources must be caught: directly, through another module, relative, and inside a function."""
    sources = {
        "cs_hdl.golden.dense": "from cs_hdl import network",
        "cs_hdl.network": "def f():\n    from .combine import pack",
        "cs_hdl.combine.pack": "import amaranth.hdl",
        "cs_hdl.plan.cost": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from cs_hdl.golden import dense",
        "cs_hdl.rtl.max_pool": "from cs_hdl.rtl import lane",
    }
    imports = {module: imports_of(module, source) for module, source in sources.items()}
    assert len(violations(FORBIDDEN_TOO, imports)) == 2  # dense reaches combine, plan names golden
    assert [text.count("imports amaranth.hdl") for text in violations(FORBIDDEN, imports)] == [1, 1, 1]
    assert rtl_violations(imports) == ["cs_hdl.rtl.max_pool:1 imports cs_hdl.rtl.lane"]


@pytest.mark.parametrize("module", [name for name in SOURCES if within(name, "cs_hdl")])
def test_all_names_what_exists(module):
    """A missing comma in __all__ joins two names to one that does not exist."""
    tree = ast.parse(SOURCES[module].read_text())
    defined, exported = set(), None
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            defined.update((item.asname or item.name).split(".")[0] for item in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            exported = ast.literal_eval(node.value)
    if exported is None:
        assert SOURCES[module].name in ("__init__.py", "__main__.py"), f"{module} has no __all__"
        return
    assert [name for name in exported if name not in defined] == []
    assert len(set(exported)) == len(exported)
