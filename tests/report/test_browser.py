"""The report in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundle.report import write_report
from tests.report.examples import (
    Page,
    make_findings,
    make_picture,
    only,
    perturbed_findings,
    quality_row,
    save_volumes,
    structure_row,
)

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium or google-chrome on the PATH")
_OFFENCE = '<main><img alt="" src="http://deepsparse.invalid/pixel.png">'

# Names what is wider than the page, or than the plot that it is in.
_MEASURE = """<script>window.onload = () => {
document.querySelectorAll("details").forEach(part => part.open = true);
const found = [], width = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth > width) found.push("the page");
document.querySelectorAll("table").forEach(table => {
  if (table.getBoundingClientRect().right > width + 1) found.push("table " + table.getAttribute("aria-label")); });
document.querySelectorAll("svg").forEach(plot => { const box = plot.getBoundingClientRect();
  plot.querySelectorAll("text").forEach(text => { const own = text.getBoundingClientRect();
    if (own.left < box.left - 1 || own.right > box.right + 1 || own.top < box.top - 1 || own.bottom > box.bottom + 1)
      found.push("text " + text.textContent); }); });
document.body.innerHTML = "<ul id=found>" + found.map(one => "<li>" + one).join("") + "</ul>"; }</script>"""
_LONG = "left_superior_lobe_of_the_lung_with_a_name_that_somebody_made_far_too_long"


@dataclass(frozen=True)
class Visit:
    """What a browser made of a page.

    Args:
        document: the page as the browser understood it.
        messages: what it wrote to its console.
        requests: addresses that the page asked for over the network.
    """

    document: str
    messages: list[str]
    requests: list[str]


def visit(path: Path, folder: Path, width: int = 1280) -> Visit:
    log = folder / f"{path.stem}-network.json"
    arguments = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    arguments += " --disable-component-update --disable-sync --disable-dev-shm-usage --enable-logging=stderr --v=0"
    command = [CHROMIUM, *arguments.split(), f"--user-data-dir={folder / path.stem}", f"--log-net-log={log}"]
    command += [f"--window-size={width},900", "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    messages = re.findall(r":CONSOLE[^\]]*\] .*", done.stderr.decode("utf-8", "replace"))
    network = json.loads(log.read_text(encoding="utf-8"))
    started = network["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    requests = [
        event["params"]["url"]
        for event in network["events"]
        # The browser asks its maker for things, too, but those are not of the page's site.
        if event["type"] == started and "file://" in event.get("params", {}).get("network_isolation_key", "")
    ]
    return Visit(done.stdout.decode("utf-8"), messages, requests)


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    pictures = [make_picture(save_volumes(folder / "volumes"), case) for case in "ab"]
    findings = perturbed_findings()
    write_report(make_findings(**(vars(findings) | {"pictures": pictures})), folder)
    return folder / "report.html"


def test_the_page_opens_without_complaint_and_asks_for_nothing(report, tmp_path):
    seen = visit(report, tmp_path)
    assert seen.messages == []
    assert seen.requests == []
    page, written = Page(seen.document), Page(report.read_text(encoding="utf-8"))
    assert len(page.tables) == len(written.tables) >= 8
    assert page.tables == written.tables
    assert page.headings == written.headings
    assert seen.document.count("<svg") >= 20
    assert seen.document.count("<img") == 6


def test_a_page_that_refers_elsewhere_is_noticed(report, tmp_path):
    offending = tmp_path / "offending.html"
    offending.write_text(report.read_text(encoding="utf-8").replace("<main>", _OFFENCE), encoding="utf-8")
    seen = visit(offending, tmp_path)
    assert len(seen.messages) == 1
    assert "Content Security Policy" in seen.messages[0]
    assert seen.requests == []


def test_a_request_is_noticed(tmp_path):
    asking = tmp_path / "asking.html"
    asking.write_text(f"<!DOCTYPE html><title>asking</title>{_OFFENCE}", encoding="utf-8")
    assert visit(asking, tmp_path).requests == ["http://deepsparse.invalid/pixel.png"]


def too_wide(findings, folder: Path, width: int = 1280, printed: bool = False) -> list[str]:
    """What of a report a browser cuts off."""
    write_report(findings, folder, overwrite=True)
    document = (folder / "report.html").read_text(encoding="utf-8")
    document = re.sub("<meta http-equiv[^>]*>", "", document).replace("</body>", _MEASURE + "</body>")
    measured = folder / "measured.html"
    measured.write_text(document.replace("@media print", "@media all") if printed else document, encoding="utf-8")
    seen = visit(measured, folder, width).document
    assert "<ul id" in seen
    return re.findall("<li>([^<]*)", seen)


def _with(methods: list[str], structures: list[str], cases: str = "abc"):
    """Findings of some methods on some cases, with perturbations, comparisons and residuals."""
    scans = [(), ("noise", 1e4), ("noise", 1e6)]
    rows = [(case, method, scan) for case in cases for method in methods for scan in scans]
    quality = [quality_row(case, method, 6, 20.0 + ord(case) % 5, *scan) for case, method, scan in rows]
    found = [structure_row(case, method, 6, name, 0.8, *scan) for case, method, scan in rows for name in structures]
    given = make_findings()
    compared = [
        {**given.comparisons[0], "structure": name, "method": methods[0], "other": other, "test": "Wilcoxon, exact"}
        for name in structures
        for other in methods[1:]
    ]
    for row in compared[:1]:
        row["test"] = "Wilcoxon signed-rank, normal approximation"
    agreed = [{**given.agreement[0], "structure": name, "method": method} for name in structures for method in methods]
    return only(quality, found, comparisons=compared, agreement=agreed, method=methods[0], residuals=given.residuals)


def test_one_case_fits(tmp_path):
    assert too_wide(_with(["fdk"], ["lung"], "a"), tmp_path) == []


@pytest.mark.parametrize("printed", [False, True], ids=["screen", "paper"])
def test_many_methods_fit(tmp_path, printed):
    methods = ["deepsparse", "fdk", "sart", "cgls", "tv", "deepsparse+sart", "deepsparse+cgls", "another"]
    findings = _with(methods, ["right lung", "left lung"])
    assert too_wide(findings, tmp_path, 1047 if printed else 1280, printed) == []


def test_long_names_fit(tmp_path):
    assert too_wide(_with(["deepsparse", f"method_{_LONG}"], [_LONG, "lung"]), tmp_path) == []


def test_what_does_not_fit_is_noticed(tmp_path):
    findings = make_findings(policy="x" * 3000)
    assert "the page" in too_wide(findings, tmp_path)
