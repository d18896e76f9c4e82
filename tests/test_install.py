"""Both installs find their rule sets and work outside the repository; the command line answers at once."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.conftest import REPOSITORY


def run(code: str, folder: Path, path: str) -> str:
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


WHERE = """
from corpus_ja.config import filters_folder
from corpus_ja.stages.rules import parse_rule_set
folder = filters_folder()
print(folder)
for file in sorted(folder.glob("*.yaml")):
    parse_rule_set(file.stem, str(file), file.read_text(encoding="utf-8"))
"""


def test_a_wheel_carries_the_rule_sets_and_finds_them_anywhere(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=REPOSITORY, check=True, capture_output=True,
    )  # fmt: skip
    wheel = next(tmp_path.glob("*.whl"))
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    assert run(WHERE, tmp_path, str(site)) == str(site / "corpus_ja" / "filters")


def test_an_editable_install_finds_the_rule_sets_from_another_folder(tmp_path: Path) -> None:
    assert run(WHERE, tmp_path, "") == str(REPOSITORY / "filters")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['corpus-ja', '--help']\n"
        "from corpus_ja.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('heavy:', sorted({'polars', 'numpy', 'numba', 'pyarrow', 'pydantic', 'datatrove', 'fsspec'} & set(sys.modules)))"
    )
    assert run(code, REPOSITORY, "").endswith("heavy: []")


def test_building_needs_no_torch_and_no_transformers(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'ray', 'trafilatura', 'warcio', 'datasets', 'duckdb'):\n    sys.modules[name] = None\n"
        f"from corpus_ja.config import load_mix\nfrom pathlib import Path\n"
        f"load_mix(Path({str(REPOSITORY / 'recipes/quickstart/mix.yaml')!r}))\n"
        "import corpus_ja.pipeline\nprint('fine')"
    )
    assert run(code, tmp_path, "") == "fine"
