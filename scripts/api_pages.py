"""Writes docs/api from the docstrings and signatures of the public Python interface.

    python -m scripts.api_pages

It reads the source and imports nothing, so that it needs no package and gives the same pages everywhere.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "docs" / "api"
INDEX = "README.md"

PAGES: dict[str, tuple[str, ...]] = {
    "bundle": ("bundle", "bundle.errors:InputError"),
    "geometry": ("bundle.geometry",),
    "items": ("bundle.items",),
    "presets": ("bundle.presets",),
    "phantoms": ("bundle.phantoms",),
    "projector": ("bundle.projector",),
    "simulation": ("bundle.simulation",),
    "physics": (
        "bundle.physics.attenuation",
        "bundle.physics.acquisition",
        "bundle.physics.spectrum",
        "bundle.physics.beam_hardening",
        "bundle.physics.scatter",
        "bundle.physics.noise",
        "bundle.physics.metal",
        "bundle.physics.truncation",
    ),
    "classical": ("bundle.classical",),
    "networks": ("bundle.networks",),
    "inferer": ("bundle.inferer",),
    "losses": ("bundle.losses",),
    "engines": ("bundle.engines",),
    "handlers": ("bundle.handlers",),
    "metrics": ("bundle.metrics",),
    "data": (
        "bundle.data.load_ct",
        "bundle.data.to_scan_grid",
        "bundle.data.fine_grid",
        "bundle.data.load_projections",
        "bundle.data.reconstruction_input",
        "bundle.data.simulate",
        "bundle.data.scan_views",
        "bundle.data.sample_views",
        "bundle.data.sample_points",
        "bundle.data.cut_field",
        "bundle.data.seeded",
        "bundle.data.anatomy_volume",
        "bundle.data.projection_file",
        "bundle.data.nifti",
        "bundle.prepared.load",
        "bundle.sampling.missing_views",
    ),
    "visual": ("bundle.visual",),
}
"""Pages by name, with their modules; of ``module:name`` that name alone, else all that the module exports."""

_LONGEST = 100  # characters of a signature in one line
_SECTION = re.compile(r"(Args|Returns|Raises|Yields|Example|Examples):(:?)")
_ENTRY = re.compile(r"(\*{0,2}\w+): (.*)")
_ROLE = re.compile(r":\w+:`~?([^`]+)`")
_CODE = re.compile(r"(`[^`]*`)")
_HEAD = """# Python interface

Written from the docstrings by `python -m scripts.api_pages`: change those, not these pages. A name is imported from the
module under whose heading it stands: `from bundle.classical import SART`. Arrays are described by their axes, such as
[B, views, V, U]. [geometry.md](../geometry.md) explains axes and units; the [tutorial](../tutorial.ipynb) uses them.
"""

Definition = ast.ClassDef | ast.FunctionDef | ast.Assign | ast.AnnAssign


@dataclass(frozen=True)
class Entry:
    """A public name.

    Args:
        name: as it is imported; methods have their class before a dot.
        node: where it is defined.
        doc: its docstring, or an empty text.
    """

    name: str
    node: Definition
    doc: str

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """Name and source text of what it is called with; a class that only inherits has none of its own."""
        if isinstance(self.node, ast.FunctionDef):
            return _parameters(self.node)
        if not isinstance(self.node, ast.ClassDef):
            return []
        made = next((method for method in _functions(self.node) if method.name == "__init__"), None)
        if made is not None:
            return _parameters(made)
        return list(_fields(self.node)) if _has_fields(self.node) else []

    @property
    def documented(self) -> set[str]:
        """Names under Args of its docstring."""
        lines = dict(_sections(self.doc)).get("Args", "").splitlines()
        return {match[1].lstrip("*") for line in lines if (match := _ENTRY.match(line))}

    @property
    def is_constant(self) -> bool:
        """Whether it is neither class nor function."""
        return isinstance(self.node, (ast.Assign, ast.AnnAssign))


def main() -> None:
    """Writes the pages, and removes those that are no more."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    made = pages()
    for path in OUTPUT.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (OUTPUT / name).write_text(text, encoding="utf-8")
    print(f"wrote {len(made)} pages to {OUTPUT.relative_to(ROOT)}")


def pages() -> dict[str, str]:
    """Text of every page by its file's name."""
    made, index = {}, []
    for page, modules in PAGES.items():
        title, parts, names = f"# Python interface: {page}", [], {}
        for spec in modules:
            module, listed = spec.partition(":")[0], entries(spec)
            names[module] = [entry.name for entry in listed]
            parts += [f"## {module}", _markdown(ast.get_docstring(_tree(module)) or "")]
            parts += [part for entry in listed for part in _describe(entry)]
        anchors = _anchors([title, *parts])
        contents = []
        for module, exported in names.items():
            links = ", ".join(f"[{name}](#{anchors[name]})" for name in exported)
            contents.append(f"- [{module}](#{anchors[module]}): {links}")
        index += [line.replace("(#", f"({page}.md#") for line in contents]
        head = [title, f"[All pages]({INDEX})", "\n".join(contents)]
        made[f"{page}.md"] = "\n\n".join(part for part in head + parts if part) + "\n"
    made[INDEX] = "\n".join([_HEAD, *index]) + "\n"
    return made


def entries(spec: str) -> list[Entry]:
    """What a module exports.

    Args:
        spec: the module, or module and name with a colon between them.
    """
    module, _, only = spec.partition(":")
    names = [only] if only else _exports(_tree(module))
    return [Entry(name, *_definition(module, name)) for name in names]


def methods(entry: Entry) -> list[Entry]:
    """Public methods and properties that a class defines itself; of the special ones, the call."""
    if not isinstance(entry.node, ast.ClassDef):
        return []
    return [
        Entry(f"{entry.name}.{node.name}", node, ast.get_docstring(node) or "")
        for node in _functions(entry.node)
        if node.name == "__call__" or not node.name.startswith("_")
    ]


def _path(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _tree(module: str) -> ast.Module:
    return ast.parse(_path(module).read_text(encoding="utf-8"))


def _exports(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and _targets(node) == ["__all__"]:
            return ast.literal_eval(node.value)
    raise ValueError("a public module must have __all__")


def _targets(node: ast.AST) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _definition(module: str, name: str) -> tuple[Definition, str]:
    """Where a name is defined, by way of the modules that import it, and its docstring."""
    tree = _tree(module)
    for node, after in zip(tree.body, [*tree.body[1:], None]):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node, ast.get_docstring(node) or ""
        if isinstance(node, ast.ClassDef) and node.name == name:
            return _with_private_bases(node, tree)
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and _targets(node) == [name]:
            text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            return node, inspect.cleandoc(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            return _definition(str(node.module), name)
    raise ValueError(f"{module} exports {name}, but does not define it")


def _with_private_bases(node: ast.ClassDef, tree: ast.Module) -> tuple[ast.ClassDef, str]:
    """A class and its docstring, with what it has of private classes of its module: readers cannot look there."""
    doc = ast.get_docstring(node) or ""
    for base in tree.body:
        if isinstance(base, ast.ClassDef) and base.name in map(ast.unparse, node.bases) and base.name.startswith("_"):
            own = {function.name for function in _functions(node)}
            node.bases = base.bases
            node.body += [function for function in _functions(base) if function.name not in own]
            if "__init__" not in own:
                text = dict(_sections(ast.get_docstring(base) or "")).get("Args", "")
                doc += "\n\nArgs:\n" + textwrap.indent(text, "    ") if text else ""
    return node, doc


def _functions(node: ast.ClassDef) -> Iterator[ast.FunctionDef]:
    return (part for part in node.body if isinstance(part, ast.FunctionDef))


def _parameters(function: ast.FunctionDef) -> list[tuple[str, str]]:
    arguments = function.args
    positional = arguments.posonlyargs + arguments.args
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    found = [(arg.arg, _parameter(arg, value)) for arg, value in zip(positional, defaults)]
    if arguments.vararg:
        found.append((arguments.vararg.arg, "*" + _parameter(arguments.vararg, None)))
    elif arguments.kwonlyargs:
        found.append(("*", "*"))
    found += [(arg.arg, _parameter(arg, value)) for arg, value in zip(arguments.kwonlyargs, arguments.kw_defaults)]
    if arguments.kwarg:
        found.append((arguments.kwarg.arg, "**" + _parameter(arguments.kwarg, None)))
    return [(name, text) for name, text in found if name not in ("self", "cls")]


def _parameter(arg: ast.arg, default: ast.expr | None) -> str:
    kind = f": {_source(arg.annotation)}" if arg.annotation else ""
    between = " = " if kind else "="
    return f"{arg.arg}{kind}" + (f"{between}{_source(default)}" if default is not None else "")


def _source(node: ast.AST) -> str:
    """Source text with the quotes of this project's style."""
    return ast.unparse(node).replace("'", '"')


def _has_fields(node: ast.ClassDef) -> bool:
    """Whether its parameters are its annotated fields, as in dataclasses and named tuples."""
    marks = [ast.unparse(mark) for mark in (*node.decorator_list, *node.bases)]
    return any(mark.startswith(("dataclass", "NamedTuple")) for mark in marks)


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            default = part.value
            if isinstance(default, ast.Call) and ast.unparse(default.func) == "field":
                default = next((key.value for key in default.keywords if key.arg == "default"), ast.Constant(...))
            yield part.target.id, _parameter(ast.arg(part.target.id, part.annotation), default)


def _describe(entry: Entry) -> Iterator[str]:
    """Paragraphs about a name and its methods."""
    level = "####" if "." in entry.name else "###"
    yield f"{level} {entry.name}".replace("__", r"\_\_")
    yield f"```python\n{_signature(entry)}\n```"
    yield _markdown(entry.doc)
    for method in methods(entry):
        yield from _describe(method)


def _signature(entry: Entry) -> str:
    if entry.is_constant:
        text = _source(entry.node)
        return text if len(text) <= _LONGEST else f"{entry.name} = ..."
    name, node = entry.name.rpartition(".")[2], entry.node
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(_source(base) for base in node.bases)
        start, end = f"class {name}", f"  # inherits {bases}" if bases else ""
        if not entry.parameters:
            return f"{start}{end}"
    else:
        marks = [ast.unparse(mark) for mark in node.decorator_list]
        start, end = f"def {name}", f" -> {_source(node.returns)}" if node.returns else ""
        if "property" in marks:
            return f"{name}{end.replace(' -> ', ': ')}  # property"
        start = "".join(f"@{mark}\n" for mark in marks if mark == "classmethod") + start
    texts = [text for _, text in entry.parameters]
    line = f"{start}({', '.join(texts)}){end}"
    if max(map(len, line.splitlines())) <= _LONGEST:
        return line
    return f"{start}(\n" + "".join(f"    {text},\n" for text in texts) + f"){end}"


def _sections(doc: str) -> Iterator[tuple[str, str]]:
    """Title, empty for the text before the first, and dedented text of every section of a docstring."""
    title, lines = "", []
    for line in [*doc.splitlines(), None]:
        match = _SECTION.fullmatch(line or "")
        if line is None or match or (title and line and not line.startswith(" ")):
            yield title, inspect.cleandoc("\n" + "\n".join(lines))
            title, lines = (match[1], []) if match else ("", [line])
        else:
            lines.append(line)


def _markdown(doc: str) -> str:
    parts = []
    for title, text in _sections(doc):
        if not text:
            continue
        if title.startswith("Example"):
            parts.append(f"```python\n{text}\n```")
        elif title in ("Args", "Raises"):
            parts.append(f"**{title}**\n\n{_list(text)}")
        elif title:
            parts.append(f"**{title}**\n\n{_prose(text)}")
        else:
            parts.append(_prose(text))
    return "\n\n".join(parts)


def _list(text: str) -> str:
    """Entries "name: what it is" as a Markdown list."""
    lines = []
    for line in text.splitlines():
        match = _ENTRY.match(line)
        if match:
            lines.append(f"- `{match[1]}`: {_inline(match[2])}")
        else:
            lines.append(f"  {_inline(line.strip())}".rstrip())
    return "\n".join(lines)


def _prose(text: str) -> str:
    """Paragraphs as they are; indented ones, after a double colon, become code."""
    made: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        if block.startswith("    "):
            made[-1] = made[-1].removesuffix(":") if made[-1].endswith("::") else made[-1]
            made.append(f"```\n{inspect.cleandoc(chr(10) + block)}\n```")
        else:
            made.append("\n".join(_inline(line) for line in block.splitlines()))
    return "\n\n".join(made)


def _inline(line: str) -> str:
    """A line without reStructuredText, and without what Markdown would take for markup."""
    line = _ROLE.sub(r"`\1`", line).replace("``", "`")
    parts = _CODE.split(line)
    return "".join(part if i % 2 else re.sub(r"<(?=\w)", r"\\<", part) for i, part in enumerate(parts))


def _anchors(parts: list[str]) -> dict[str, str]:
    """The link targets that GitHub gives to a page's headings."""
    found: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for part in parts:
        if part.startswith("#"):
            heading = part.lstrip("# ").replace("\\", "")
            plain = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            found[heading] = f"{plain}-{seen[plain]}" if seen[plain] else plain
            seen[plain] += 1
    return found


if __name__ == "__main__":
    main()
