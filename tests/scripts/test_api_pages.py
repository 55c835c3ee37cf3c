from __future__ import annotations

import importlib
import inspect
import re

import pytest

from scripts.api_pages import INDEX, OUTPUT, PAGES, entries, main, methods, pages

MODULES = [spec for modules in PAGES.values() for spec in modules]


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """Text of every page."""
    return pages()


def test_committed_pages_are_what_the_docstrings_say(made):
    committed = {path.name: path.read_text(encoding="utf-8") for path in OUTPUT.glob("*.md")}
    assert committed == made, "run python -m scripts.api_pages"


def test_pages_are_written_and_old_ones_removed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("scripts.api_pages.OUTPUT", tmp_path / "api")
    monkeypatch.setattr("scripts.api_pages.ROOT", tmp_path)
    monkeypatch.setattr("scripts.api_pages.pages", lambda: {INDEX: "new\n"})
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "gone.md").write_text("old")
    main()
    assert {path.name: path.read_text() for path in (tmp_path / "api").iterdir()} == {INDEX: "new\n"}
    assert capsys.readouterr().out == "wrote 1 pages to api\n"


@pytest.mark.parametrize("spec", MODULES)
def test_everything_is_documented(spec):
    for entry in entries(spec):
        if entry.is_constant:
            continue
        names = {name for name, _ in entry.parameters if name != "*"}
        assert entry.doc, entry.name
        assert entry.documented >= names, f"{entry.name} lacks {names - entry.documented} in Args"
        assert not names or entry.documented <= names, f"{entry.name} has no {entry.documented - names}"
        for method in methods(entry):
            assert method.doc, method.name


@pytest.mark.parametrize("spec", MODULES)
def test_signatures_are_those_that_python_sees(spec):
    module = importlib.import_module(spec.partition(":")[0])
    for entry in entries(spec):
        found = getattr(module, entry.name)
        if not entry.is_constant and entry.parameters:
            seen = list(inspect.signature(found).parameters)
            assert [name for name, _ in entry.parameters if name != "*"] == seen, entry.name
        for method in methods(entry):
            assert hasattr(found, method.name.rpartition(".")[2])


@pytest.mark.parametrize("page", [INDEX, *(f"{page}.md" for page in PAGES)])
def test_links_lead_to_headings(made, page):
    """GitHub's rule: lower case, no punctuation, and a number where a heading comes again."""
    links = re.findall(r"\[([^\]]+)\]\(([\w.]*)#([\w-]+)\)", made[page])
    assert links
    for text, target, anchor in links:
        headings = re.findall(r"^#+ (.*)$", made[target or page], re.MULTILINE)
        plain = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
        numbered = [f"{name}-{n}" if (n := plain[:i].count(name)) else name for i, name in enumerate(plain)]
        assert headings[numbered.index(anchor)] == text


def test_a_page_tells_signature_arguments_and_errors(made):
    text = made["geometry.md"]
    section = text[text.index("### circular") :]
    assert '    row_direction: str = "+z",\n' in section
    assert "- `sod_mm`: source-to-object distance (source to isocentre).\n" in section
    assert "**Raises**\n\n- `InputError`: when a distance is not positive" in section


def test_private_bases_are_told_with_the_class():
    (entry,) = (entry for entry in entries("bundle.engines") if entry.name == "PreparePoints")
    assert [name for name, _ in entry.parameters] == ["scan", "acquisition", "seed", "volumes"]
    assert [method.name for method in methods(entry)] == ["PreparePoints.__call__"]
