"""What keys of the library become."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from interpret import load_model
from interpret.datasets import open_source
from interpret.errors import BadInput
from interpret.jobs import complete
from interpret.latent import embed_run
from tests.conftest import REPOSITORY, encoded, noise_picture
from ui.library import data_of, run_of


def test_a_run_is_the_data_set_it_was_made_of(tmp_path: Path) -> None:
    pictures, run = tmp_path / "pictures", tmp_path / "run"
    pictures.mkdir()
    for index in range(6):
        (pictures / f"{index}.png").write_bytes(encoded(noise_picture(index, 20, 20).pixels))
    model = load_model(REPOSITORY / "checkpoints" / "shapes-clean.safetensors")
    complete(embed_run(model, open_source(pictures), run, layers=["layer3"], about={"data": str(pictures)}))
    key = f"path/{run}"
    assert run_of(key) == run
    found = data_of(key, 3)()
    assert found.names == open_source(pictures).first(3).names and found.read(0).height == 20
    shutil.rmtree(pictures)
    with pytest.raises(BadInput, match='The pictures of the run "run" cannot be opened'):
        data_of(key, 3)()
