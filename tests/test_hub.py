"""Weights from the hub (a small one on this machine, spoken to by huggingface_hub itself), folders and zips."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import huggingface_hub
import numpy as np
import pytest
import torch

from bundle.__main__ import main
from bundle.checkpoint import read_checkpoint, save_checkpoint
from bundle.errors import InputError
from bundle.hub import choose, weights_file
from bundle.network_settings import check_network_settings
from tests.conftest import DATA, ROOT

COMMIT = "1" * 40
REPOSITORY = "someone/weights"


class Hub(BaseHTTPRequestHandler):
    """The answers of the hub that a listing and a download need."""

    files: dict[str, bytes]
    said_sha256: dict[str, str]

    def do_GET(self) -> None:
        self._answer(True)

    def do_HEAD(self) -> None:
        self._answer(False)

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""

    def _answer(self, with_body: bool) -> None:
        path = unquote(self.path.split("?")[0])
        if path.startswith(f"/api/models/{REPOSITORY}/tree/"):
            entries = [self._entry(name, content) for name, content in self.files.items()]
            self._send(json.dumps(entries).encode(), {"Content-Type": "application/json"}, with_body)
            return
        name = path.removeprefix(f"/{REPOSITORY}/resolve/main/")
        if name in self.files:
            content = self.files[name]
            self._send(content, {"ETag": f'"{self.said_sha256[name]}"', "X-Repo-Commit": COMMIT}, with_body)
            return
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _entry(self, name: str, content: bytes) -> dict:
        lfs = {"oid": self.said_sha256[name], "size": len(content), "pointerSize": 130}
        return {"type": "file", "path": name, "size": len(content), "oid": "2" * 40, "lfs": lfs}

    def _send(self, content: bytes, headers: dict[str, str], with_body: bool) -> None:
        self.send_response(200)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if with_body:
            self.wfile.write(content)


@pytest.fixture
def published(tmp_path) -> Path:
    """Weights under the release's names."""
    golden = np.load(DATA / "tiny_finetune.npz")
    state = {k.removeprefix("state/"): torch.from_numpy(golden[k]) for k in golden.files if k.startswith("state/")}
    path = tmp_path / "published.pth"
    save_checkpoint(state, path)
    return path


@pytest.fixture
def hub(published) -> Iterator[tuple[str, type[Hub]]]:
    """The address of a hub with three files, and its handler."""
    content = published.read_bytes()
    names = ("luna16+6v+s2/ep_400.pth", "luna16+8v+s2/ep_400.pth", "README.md")
    files = dict.fromkeys(names, content)
    said = {name: hashlib.sha256(body).hexdigest() for name, body in files.items()}
    handler = type("OwnHub", (Hub,), {"files": files, "said_sha256": said})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()


@pytest.fixture
def fetch(monkeypatch, tmp_path, capsys) -> Callable[..., str]:
    """Runs fetch-weights with a hub's address; gives what it said, the last line of it if it was refused."""

    def run(endpoint: str, *more: object, offline: bool = False) -> str:
        settings = {
            "ENDPOINT": endpoint,
            "HUGGINGFACE_CO_URL_TEMPLATE": endpoint + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "HF_HUB_DISABLE_XET": True,
            "HF_HUB_OFFLINE": offline,
        }
        for name, value in settings.items():
            monkeypatch.setattr(huggingface_hub.constants, name, value)
        arguments = ["bundle", "fetch-weights", "--low_resolution", "8", *map(str, more)]
        monkeypatch.setattr(sys, "argv", arguments)
        capsys.readouterr()
        with suppress(SystemExit):
            main()
        said = capsys.readouterr()
        return said.out or said.err.strip().splitlines()[-1]

    return run


def test_published_weights_are_fetched_and_converted(hub, tmp_path, fetch, published):
    output = tmp_path / "weights.pt"
    said = fetch(hub[0], "--source", REPOSITORY, "--name", "6v+s2", "--output", output)
    assert said.startswith(f"wrote {output} and {output.with_suffix('.json')} of ep_400.pth")
    assert hashlib.sha256(published.read_bytes()).hexdigest() in said
    assert "conventions" in read_checkpoint(output)
    assert json.loads(output.with_suffix(".json").read_text())["head"] == "norm_act"


def test_what_the_hub_cannot_give_is_told_in_a_line(hub, tmp_path, fetch):
    endpoint, handler = hub
    output = ("--output", tmp_path / "weights.pt")
    handler.said_sha256 = dict.fromkeys(handler.files, "0" * 64)
    for source, more, offline, expected in (
        (REPOSITORY, ("--name", "6v+s2"), False, "was damaged on its way"),
        (REPOSITORY, (), False, "has several weights"),
        ("someone/else", (), False, "was refused by the Hugging Face hub"),
        (REPOSITORY, ("--name", "6v+s2"), True, "cannot be reached on the Hugging Face hub"),
    ):
        said = fetch(endpoint, "--source", source, *output, *more, offline=offline)
        assert said.startswith(f"error: {source}")
        assert expected in said
    assert not output[1].exists()


def test_a_damaged_download_is_mended_by_repeating(hub, tmp_path, fetch):
    endpoint, handler = hub
    arguments = ("--source", REPOSITORY, "--name", "6v+s2", "--output", tmp_path / "weights.pt")
    name, *_ = handler.files
    sound = handler.files[name]
    handler.files[name] = sound[:-1] + bytes([sound[-1] ^ 1])
    assert "was damaged on its way" in fetch(endpoint, *arguments)
    handler.files[name] = sound
    assert fetch(endpoint, *arguments).startswith("wrote")


def test_folders_and_zips(tmp_path, published):
    (tmp_path / "logs" / "a").mkdir(parents=True)
    (tmp_path / "logs" / "a" / "x.pth").write_bytes(published.read_bytes())
    with weights_file(str(tmp_path / "logs")) as path:
        assert path.read_bytes() == published.read_bytes()
    archive = tmp_path / "logs.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(published, "../../outside.pth")
        file.writestr("b/y.pth", b"other")
    with weights_file(str(archive), "outside") as path:
        assert path.read_bytes() == published.read_bytes()
        assert tmp_path not in path.parents
    assert not path.exists()
    with pytest.raises(InputError, match="has several weights"), weights_file(str(archive)):
        pass


def test_a_wrong_checksum_and_own_weights(tmp_path, fetch):
    own = ROOT / "models" / "model.pt"
    output = ("--source", own, "--output", tmp_path / "copy.pt")
    digest = hashlib.sha256(own.read_bytes()).hexdigest()
    assert fetch("", *output, "--sha256", "0" * 64).startswith(f"error: model.pt: has the SHA-256 {digest}")
    assert fetch("", *output, "--sha256", digest).startswith("wrote")
    assert set(read_checkpoint(tmp_path / "copy.pt")) == set(read_checkpoint(own))


def test_the_configuration_beside_own_weights_is_theirs(tmp_path, fetch):
    """One that lay beside other weights goes, theirs comes along."""
    own, output = ROOT / "models" / "pretrain.pt", tmp_path / "copy.pt"
    stale = output.with_suffix(".json")
    stale.write_text('{"head": "norm_act"}')
    assert f"error: {stale}: exists" in fetch("", "--source", own, "--output", output)
    assert fetch("", "--source", own, "--output", output, "--overwrite").startswith("wrote")
    assert not stale.exists()
    (tmp_path / "mine").mkdir()
    shutil.copy(own, tmp_path / "mine" / "a.pt")
    (tmp_path / "mine" / "a.json").write_text('{"denoise_blocks": 0}')
    assert str(stale) in fetch("", "--source", tmp_path / "mine", "--output", output, "--overwrite")
    assert stale.read_text() == '{"denoise_blocks": 0}'


@pytest.mark.parametrize("way", ["zip", "hub"])
def test_the_configuration_comes_along_from(way, tmp_path, fetch, hub):
    own, output = ROOT / "models" / "pretrain.pt", tmp_path / "copy.pt"
    content = {"models/a.pt": own.read_bytes(), "models/a.json": b'{"denoise_blocks": 0}', "b.json": b"{}"}
    if way == "zip":
        source = tmp_path / "w.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for name, body in content.items():
                archive.writestr(name, body)
    else:
        source = REPOSITORY
        hub[1].files = content
        hub[1].said_sha256 = {name: hashlib.sha256(body).hexdigest() for name, body in content.items()}
    said = fetch(hub[0], "--source", source, "--output", output)
    assert said.startswith(f"wrote {output} and {output.with_suffix('.json')} of a.pt")
    assert output.with_suffix(".json").read_bytes() == content["models/a.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"preset": "$open(\'ran\')"}', "has an expression or a component as preset"),
        ('{"prior": {"options": {"a": ["@scan"]}}}', "has an expression or a component as prior"),
        ('{"prior": {"_target_": "os.mkdir", "path": "ran"}}', "has an expression or a component as prior"),
        ('{"network_def#_target_": "os.mkdir"}', "sets network_def#_target_, which does not describe a network"),
        ('{"overwrite": true}', "sets overwrite"),
        ('{"code": 16}', "sets code, which does not describe a network (is codes meant?). Known are preset"),
        (
            '{"prior": {"sizes": 16}}',
            "a.json, its prior: sets sizes, which does not describe a network (is size meant?)",
        ),
        ('{"codes": 100000000000}', "has 100000000000 as codes. Give a whole number from 1 to 65536"),
        ('{"codes": "16"}', "has '16' as codes"),
        ('{"encoder_channels": [4096,4096,4096,4096], "encoder_blocks": 64}', "describes a network of up to 2"),
        ('{"head": "other"}', "has 'other' as head. Give one of linear, norm_act"),
        ('{"codes": 16, "codes": 32}', "codes is given more than once"),
        ("[" * 100_000, "is nested too deeply"),
        ("[]", "is not a JSON object"),
        ("{", "is damaged"),
    ],
)
def test_configurations_that_could_run_code_are_refused(tmp_path, fetch, content, message):
    output = tmp_path / "copy.pt"
    (tmp_path / "mine").mkdir()
    shutil.copy(ROOT / "models" / "pretrain.pt", tmp_path / "mine" / "a.pt")
    (tmp_path / "mine" / "a.json").write_text(content)
    said = fetch("", "--source", tmp_path / "mine", "--output", output)
    assert said.startswith("error: a.json")
    assert message in said
    assert not output.exists()


@pytest.mark.parametrize("name", ["compact", "paper", "without_denoising"])
def test_the_networks_own_configurations_are_plain(name):
    check_network_settings(ROOT / "configs" / f"{name}.json")


def test_the_configuration_is_kept_when_weights_cannot_be_written(tmp_path, fetch, monkeypatch):
    mine = tmp_path / "mine"
    mine.mkdir()
    shutil.copy(ROOT / "models" / "pretrain.pt", mine / "a.pt")
    (mine / "a.json").write_text('{"denoise_blocks": 0}')
    said = fetch("", "--source", mine, "--output", mine / "a.pt", "--overwrite")  # onto itself
    assert said.startswith(f"error: {mine / 'a.pt'}: is ")
    assert (mine / "a.pt").read_bytes() == (ROOT / "models" / "pretrain.pt").read_bytes()
    assert (mine / "a.json").read_text() == '{"denoise_blocks": 0}'

    def full(state, path):
        raise InputError(path, "could not be written: the disk is full.", "Free some space.")

    monkeypatch.setattr("bundle.checkpoint.save_checkpoint", full)
    other = ROOT / "models" / "pretrain.pt"
    assert "the disk is full" in fetch("", "--source", other, "--output", mine / "a.pt", "--overwrite")
    assert (mine / "a.json").is_file()


def test_a_zip_is_chosen_by_its_name(tmp_path, fetch, hub):
    """Of several, in a repository or in a folder, whose weights have one name."""
    zips = {}
    for name in ("6views", "8views"):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.writestr("logs/model.pth", name)
        zips[f"{name}.zip"] = (tmp_path / f"{name}.zip").read_bytes()
    with weights_file(str(tmp_path), "8views") as path:
        assert path.read_text() == "8views"
    with pytest.raises(InputError, match="has no such weights"), weights_file(str(tmp_path / "8views.zip"), "6views"):
        pass
    hub[1].files = zips
    hub[1].said_sha256 = {name: hashlib.sha256(body).hexdigest() for name, body in zips.items()}
    said = fetch(hub[0], "--source", REPOSITORY, "--name", "8v", "--output", tmp_path / "w.pt")
    assert "model.pth: is not a checkpoint" in said


def test_zips_of_macos(tmp_path, published):
    archive = tmp_path / "w.ZIP"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(published, "logs/model.pth")
        file.writestr("__MACOSX/logs/._model.pth", b"attributes")
    with weights_file(str(archive)) as path:
        assert path.read_bytes() == published.read_bytes()


def test_names():
    files = ["a/1.pth", "a/10.pth", "b/1.pth", "notes.txt"]
    assert choose(files, "a/1.pth", "s") == "a/1.pth"
    assert choose(files, "b/", "s") == "b/1.pth"
    with pytest.raises(InputError, match=r"has several weights\. Choose by name: a/1\.pth, a/10\.pth"):
        choose(files, "a/1", "s")
    with pytest.raises(InputError, match=r"has no such weights\. .*b/1\.pth"):
        choose(files, "c", "s")
    with pytest.raises(InputError, match="has no weights"):
        choose(["notes.txt"], None, "s")


def test_zips_that_cannot_be_unpacked(tmp_path, fetch):
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        archive.writestr("a.pt", b"weights" * 100)
    content = bytearray((tmp_path / "w.zip").read_bytes())
    content[content.index(b"weights") + 3] ^= 1
    (tmp_path / "flipped.zip").write_bytes(content)
    assert "flipped.zip: is a damaged zip (Bad CRC-32" in fetch(
        "", "--source", tmp_path / "flipped.zip", "--output", "o.pt"
    )
    content = bytearray((tmp_path / "w.zip").read_bytes())
    for header, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(header) + flags] |= 1
    (tmp_path / "locked.zip").write_bytes(content)
    assert "locked.zip: is encrypted (a.pt)" in fetch("", "--source", tmp_path / "locked.zip", "--output", "o.pt")


def test_own_weights_have_a_networks_entries(tmp_path, fetch):
    save_checkpoint({"conventions": torch.zeros(4, dtype=torch.uint8)}, tmp_path / "a.pt")
    said = fetch("", "--source", tmp_path / "a.pt", "--output", tmp_path / "o.pt")
    assert said.startswith("error: a.pt: lacks encoder.stem.conv.weight")
    assert not (tmp_path / "o.pt").exists()
