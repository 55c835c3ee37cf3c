"""The command that fetches weights."""

from __future__ import annotations

from pathlib import Path

from bundle.atomic import atomic_path, check_apart, check_output
from bundle.checksums import file_sha256
from bundle.errors import InputError
from bundle.network_settings import check_network_settings

__all__ = ["fetch_weights"]

PUBLISHED = "HajihajihaJimmy/DeepSparse"
"""The authors' weights on the Hugging Face hub."""


def fetch_weights(
    output: str,
    source: str = PUBLISHED,
    name: str | None = None,
    revision: str | None = None,
    sha256: str | None = None,
    preset: str = "luna16",
    low_resolution: int = 32,
    overwrite: bool = False,
) -> None:
    """Fetches weights from the Hugging Face hub, or from a local copy, and converts published ones.

    Args:
        output: weights to write, such as models/published.pt; published ones get models/published.json beside them,
            this bundle's own the configuration that lay beside them, if it describes a network and does nothing else.
        source: repository of the hub as owner/name, the authors' if not given; or a file, a folder or a zip that was
            downloaded before.
        name: which file of the source: its path, or a part of it that no other has.
        revision: branch, tag or commit of the repository.
        sha256: checksum that the file has to have; files of the hub are compared with the hub's in any case.
        preset: scan that published weights were trained with.
        low_resolution: voxels per side of published weights' 3D features.
        overwrite: replace existing outputs.
    """
    from bundle.checkpoint import check_state, read_checkpoint, save_checkpoint
    from bundle.convert import convert, network_options
    from bundle.hub import weights_file

    check_output(output, overwrite, (".pt",), inputs=[source])
    # What is beside the weights is taken for theirs.
    configuration = check_output(Path(output).with_suffix(".json"), overwrite, (".json",))
    with weights_file(source, name, revision) as path:
        check_apart(output, [path])
        found = file_sha256(path)
        if sha256 is not None and found != sha256.lower():
            raise InputError(path.name, f"has the SHA-256 {found}.", "Fetch it again, or correct the checksum.")
        state = read_checkpoint(path)
        if "conventions" in state:  # of this bundle
            check_state(state, path.name)
            network_options(state, path.name)
            own = path.with_suffix(".json")
            content = own.read_bytes() if own.is_file() else None
            if content is not None:
                check_network_settings(own, own.name)
            save_checkpoint(state, output)
            if content is None:
                configuration.unlink(missing_ok=True)
                written = output
            else:
                with atomic_path(configuration) as temporary:
                    temporary.write_bytes(content)
                written = f"{output} and {configuration}"
        else:
            written = f"{output} and {convert(path, output, preset, low_resolution, overwrite)}"
    print(f"wrote {written} of {path.name}, SHA-256 {found}")
