"""Fixtures all tests share: where the shared data lies, and silence from third parties."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real text that is not part of the repository; its absence fails in CI and skips elsewhere."""
    folder = Path(os.environ.get("CORPUS_JA_DATA") or REPOSITORY.parent / "shared" / "data")
    if folder.is_dir():
        return folder
    message = f"The shared data is not at {folder}; set CORPUS_JA_DATA to its folder to run these tests."
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session", autouse=True)
def _caches_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What `datasets` copies for training goes with the tests."""
    os.environ["HF_DATASETS_CACHE"] = str(tmp_path_factory.mktemp("datasets"))
