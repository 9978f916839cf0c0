"""
What wheel and sdist are made of, as they are built from this checkout.
"""

import email
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAME = f"lashstore-{PROJECT['version']}"


@pytest.fixture(name="built", scope="module")
def _built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    # No environment of its own, and no network: hatchling is here.
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(name="wheel", scope="module")
def _wheel(built):
    with zipfile.ZipFile(built / f"{NAME}-py3-none-any.whl") as archive:
        yield archive


@pytest.fixture(name="packed", scope="module")
def _packed(built):
    with tarfile.open(built / f"{NAME}.tar.gz") as archive:
        return {
            member.name.removeprefix(f"{NAME}/")
            for member in archive.getmembers()
            if member.isfile()
        }


def sources(*folders):
    return {
        str(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not {"__pycache__", ".pytest_cache"} & set(path.parts)
    }


def test_wheel_has_the_package_and_the_contract(wheel):
    """
    Every file of the package, with types, migrations and all; the contract's
    tests; nothing else but what describes it.
    """
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    suite = {
        name.replace("tests/contract", "lashstore/testing/contract/_suite")
        for name in sources("tests/contract")
    }

    assert sources("lashstore") | suite == names
    assert {
        "lashstore/py.typed",
        "lashstore/aio/twins/store.py",
        "lashstore/cli/demo.py",
        "lashstore/migrations/chains/session/versions/0001_first_schema.py",
        "lashstore/testing/contract/_suite/test_commit.py",
    } <= names


def test_metadata(wheel):
    """
    Version and readme are the project's, the licence is there, and the
    commands and fixtures are found.
    """
    info = f"{NAME}.dist-info"
    metadata = email.message_from_bytes(wheel.read(f"{info}/METADATA"))
    entries = wheel.read(f"{info}/entry_points.txt").decode()

    assert PROJECT["version"] == metadata["Version"]
    assert "MIT" == metadata["License-Expression"]
    assert b"MIT License" in wheel.read(f"{info}/licenses/LICENSE")
    assert "text/markdown" == metadata["Description-Content-Type"]
    assert (ROOT / "README.md").read_text() == metadata.get_payload()
    assert "[console_scripts]\nlashstore = lashstore.cli:main\n" in entries
    assert "[pytest11]\nlashstore = lashstore.testing.pytest_plugin\n" in entries


def test_sdist_has_what_its_tests_need(packed):
    """
    The package, its tests and what they look at; no caches, no results, no
    other file of the checkout.
    """
    kept = sources(
        *("campaigns", "changelog.d", "docs", "examples", "lashstore", "tests", "tools")
    )
    benchmarks = {name for name in packed if name.startswith("benchmarks/")}

    assert kept <= packed
    assert "benchmarks/__init__.py" in benchmarks
    assert not [name for name in benchmarks if "results" in name or ".venvs" in name]
    assert {
        ".gitignore",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "Makefile",
        "PKG-INFO",
        "README.md",
        "SECURITY.md",
        "hatch_build.py",
        "mkdocs.yml",
        "noxfile.py",
        "pyproject.toml",
    } == packed - kept - benchmarks


def test_nothing_tested_needs_this_repository():
    """
    The contract imports lashstore, what the extra `testing` installs, and
    what stands beside it.
    """
    allowed = {"lashstore", "pytest", "hypothesis", "msgspec", "msgpack", "sqlalchemy"}
    found = set()
    for path in (ROOT / "tests" / "contract").glob("*.py"):
        for line in path.read_text().splitlines():
            words = line.split()
            if words[:1] in (["from"], ["import"]) and not line.startswith(" "):
                found.add(words[1].split(".")[0])

    assert set() == found - allowed - set(sys.stdlib_module_names) - {""}
