from __future__ import annotations

import pytest

from causalgia.cli.output import part, target, whole
from causalgia.documents import InputError
from causalgia.documents.writing import write_text


class Stop(Exception):
    pass


def fail_in(path, error):
    with whole(path) as folder:
        (folder / "file").write_text("after")
        raise error


def test_a_block_that_ends_well_makes_the_directory(tmp_path):
    with whole(tmp_path / "a" / "b") as folder:
        (folder / "file").write_text("x")
        assert not (tmp_path / "a" / "b").exists()
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b"]
    assert (tmp_path / "a" / "b" / "file").read_text() == "x"


@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt, SystemExit])
def test_a_block_that_fails_leaves_nothing(tmp_path, error):
    with pytest.raises(error):
        fail_in(tmp_path / "a" / "b", error)
    assert list(tmp_path.iterdir()) == []


def test_a_block_that_fails_keeps_what_was_there(tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    (old / "file").write_text("before")
    with pytest.raises(Stop):
        fail_in(old, Stop)
    assert (old / "file").read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["old"]
    with whole(old) as folder:
        (folder / "new").write_text("after")
    assert [p.name for p in old.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["old"]


def test_what_stood_there_is_put_back_when_the_last_step_fails(tmp_path, monkeypatch):
    from pathlib import Path

    old = tmp_path / "old"
    old.mkdir()
    (old / "file").write_text("before")
    rename = Path.rename

    def fail(self, other):
        if (self / "made").exists():
            raise KeyboardInterrupt
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(KeyboardInterrupt), whole(old) as folder:
        (folder / "made").write_text("after")
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["old"]
    assert (old / "file").read_text() == "before"


@pytest.mark.parametrize("fails", [False, True])
def test_a_part_is_replaced_whole_or_not_at_all(tmp_path, fails):
    (tmp_path / "trial").mkdir()
    (tmp_path / "trial" / "old.csv").write_text("x")
    try:
        with part(tmp_path, "trial") as path:
            path.mkdir()
            (path / "new.csv").write_text("y")
            if fails:
                raise Stop
    except Stop:
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["trial"]
    assert [p.name for p in (tmp_path / "trial").iterdir()] == ["old.csv" if fails else "new.csv"]


def test_targets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(target(None, "p", False)) == "results/p"
    (tmp_path / "file").write_text("x")
    for force in (False, True):
        with pytest.raises(InputError, match="file"):
            target(tmp_path / "file", "p", force)
    with pytest.raises(InputError, match="cannot be written"):
        target(tmp_path / "file" / "below", "p", False)


def test_a_text_is_written_whole_or_not_at_all(tmp_path):
    write_text(tmp_path / "page.html", "old")
    write_text(tmp_path / "page.html", "new")
    assert (tmp_path / "page.html").read_text() == "new"
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "folder", tmp_path / "nowhere" / "page.html"):
        with pytest.raises(InputError, match="cannot be written"):
            write_text(place, "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "page.html"]
