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
from tests.report.examples import Page, make_findings, make_picture, perturbed_findings, save_volumes

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium or google-chrome on the PATH")
_OFFENCE = '<main><img alt="" src="http://deepsparse.invalid/pixel.png">'


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


def visit(path: Path, folder: Path) -> Visit:
    log = folder / f"{path.stem}-network.json"
    arguments = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    arguments += " --disable-component-update --disable-sync --disable-dev-shm-usage --enable-logging=stderr --v=0"
    command = [CHROMIUM, *arguments.split(), f"--user-data-dir={folder / path.stem}", f"--log-net-log={log}"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom", path.as_uri()]
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
