"""The generated stub is up to date."""

from pathlib import Path

import minigrad
from minigrad import _stub


def test_stub_matches_the_declarations():
    written = (Path(minigrad.__file__).parent / "__init__.pyi").read_text()
    assert written == _stub.text(), "run: python -m minigrad._stub"
