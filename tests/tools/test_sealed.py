"""
Sealed sessions, whose content no tool can read.
"""

import pytest

from lashstore import (
    AesGcmCipher,
    ContentKeyError,
    Store,
    StoreOptions,
    backup,
    export_session,
    repair,
    verify,
)


def test_tools_judge_no_sealed_session(tmp_path):
    """
    Envelopes are no damage: what would judge or move content without its key
    says that it cannot, and changes nothing.
    """
    path = tmp_path / "sealed.db"
    with Store.open(
        path, "s", options=StoreOptions(cipher=AesGcmCipher({"k": b"1" * 32}, "k"))
    ) as store:
        store.put_blob(b"secret")
    before = path.read_bytes()

    with pytest.raises(ContentKeyError):
        export_session(path, tmp_path / "archive")
    for report in (
        backup(path, tmp_path / "backup"),
        verify(path),
        repair(path, backup_folder=tmp_path / "before").after,
    ):
        (finding,) = report.findings
        assert finding.kind == "session_sealed"

    assert before == path.read_bytes()
