"""
What CI does besides `make test`, in environments of their own.

`nox` runs all of it; `nox -l` lists it, `nox -s wheel` runs one session.
Interpreters that this machine has not are skipped.
"""

from pathlib import Path

import nox

PYTHONS = ["3.11", "3.12", "3.13"]
ROOT = Path(__file__).parent
EXAMPLES = {
    "chat.py": ["--say", "Hi"],
    "tools.py": ["What is the weather in Bern?"],
    "workers.py": ["--jobs", "6"],
    "background.py": ["17"],
}
# Each extra, and what it is there for.
EXTRAS = {
    "postgres": "import lashstore.engines.postgres, psycopg",
    "encryption": "from lashstore import AesGcmCipher; AesGcmCipher({'k': bytes(32)}, 'k')",
    "testing": "import pytest, hypothesis, lashstore.testing.pytest_plugin",
}

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """
    Run the tests, on a server from a wheel and on files.
    """
    session.install("-e", ".[dev]")
    session.run(
        *("python", "-m", "pytest", "-n", "4", "--dist", "loadgroup"),
        *session.posargs,
    )


@nox.session
def lint(session: nox.Session) -> None:
    """
    Check style and format.
    """
    session.install("ruff>=0.9")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typing(session: nox.Session) -> None:
    """
    Check the types of the package and of the examples, by two checkers, and
    that every public name has one.
    """
    session.install(".[dev,postgres]")
    session.run("mypy")
    session.run("mypy", "examples")
    session.run("basedpyright")
    session.run("basedpyright", "--ignoreexternal", "--verifytypes", "lashstore")


@nox.session
def docs(session: nox.Session) -> None:
    """
    Build the documentation.
    """
    session.run("make", "docs", external=True)


@nox.session(python=PYTHONS)
def wheel(session: nox.Session) -> None:
    """
    Build, install into an empty environment, and use what was built.
    """
    built = build(session)
    folder = Path(session.create_tmp())
    session.install("--force-reinstall", str(built))
    session.chdir(folder)
    session.run("lashstore", "--version")
    session.run("lashstore", "--help", silent=True)
    session.run("lashstore", "demo")
    for number, (name, arguments) in enumerate(EXAMPLES.items()):
        root = str(folder / f"{session.name}-{number}")
        example = str(ROOT / "examples" / name)
        session.run("python", "-W", "error", example, "--root", root, *arguments)
    for extra, use in EXTRAS.items():
        # Without the extra the package imports; with it, what it is for works.
        session.run("python", "-c", "import lashstore.aio, lashstore.tools")
        session.install(f"{built}[{extra}]")
        session.run("python", "-c", use)
    session.run(
        *("python", "-m", "pytest", "-q", "--pyargs", "lashstore.testing.contract"),
        *("-k", "commit or usage"),
    )


@nox.session
def sdist(session: nox.Session) -> None:
    """
    Run the tests from the unpacked sdist: it has all they need.
    """
    build(session)
    folder = Path(session.create_tmp())
    (archive,) = (ROOT / "dist").glob("*.tar.gz")
    session.run("tar", "xzf", str(archive), "-C", str(folder), external=True)
    session.chdir(folder / archive.name.removesuffix(".tar.gz"))
    session.install("-e", ".[dev]")
    session.run(
        *("python", "-m", "pytest", "-n", "4", "--dist", "loadgroup"),
        *session.posargs,
    )


def build(session: nox.Session) -> Path:
    """
    Build wheel and sdist, and return the wheel.
    """
    session.install("build", "twine")
    for old in (ROOT / "dist").glob("*"):
        old.unlink()
    session.run("python", "-m", "build", "--quiet", "--outdir", str(ROOT / "dist"))
    (built,) = (ROOT / "dist").glob("*.whl")
    session.run("twine", "check", "--strict", *map(str, (ROOT / "dist").iterdir()))
    return built
