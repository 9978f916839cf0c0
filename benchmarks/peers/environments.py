"""
The peers' virtual environments, made when they are first needed.
"""

import subprocess
import venv
from pathlib import Path

_REQUIREMENTS = Path(__file__).parent / "requirements"
_FOLDER = Path(__file__).parents[1] / ".venvs"


def python_of(name, say):
    """
    Return the Python of a peer's environment; make it anew if what it should
    hold has changed.
    """
    wanted = (_REQUIREMENTS / f"{name}.txt").read_text()
    place = _FOLDER / name
    python, stamp = place / "bin" / "python", place / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        say(f"{name}: making {place}")
        venv.create(place, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet"]
        install += ["--disable-pip-version-check", "-r"]
        subprocess.run([*install, str(_REQUIREMENTS / f"{name}.txt")], check=True)
        stamp.write_text(wanted)
    return python
