"""Files of ours: all or nothing, no code in them, and no damage goes unnoticed."""

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from adverscarial import _store
from adverscarial.errors import StorageError

ARRAYS = {"numbers": np.arange(6.0).reshape(2, 3), "names": np.array(["B", "NK+ ü"]), "none": np.empty(0, dtype=bool)}
META = {"text": "ü", "list": [1, 2.5, None], "nested": {"yes": True}}


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    return _store.save(tmp_path / "a.npz", "thing", META, ARRAYS)


def test_there_and_back(stored: Path) -> None:
    meta, arrays = _store.load(stored, "thing")
    assert meta == {"kind": "thing", "format": _store.FORMAT, **META}
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_folders_are_made_and_nothing_else_is_left(tmp_path: Path) -> None:
    _store.save(tmp_path / "new" / "folder" / "a.npz", "thing", {}, {})
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["a.npz"]
    _store.write_text(tmp_path / "t.txt", "ü\n")
    assert (tmp_path / "t.txt").read_bytes() == "ü\n".encode()


@pytest.mark.skipif(os.name != "posix", reason="file modes are those of POSIX")
def test_files_can_be_read_by_those_who_may_read_any_new_file(stored: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    assert stored.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("error", [RuntimeError, OSError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file(stored: Path, error: type[BaseException]) -> None:
    before = stored.read_bytes()

    def write(file: BinaryIO) -> None:
        file.write(b"half")
        raise error("stopped")

    with pytest.raises(StorageError if error is OSError else error, match="stopped"):
        _store.write_atomically(stored, write)
    assert stored.read_bytes() == before
    assert [path.name for path in stored.parent.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interruption_is_not_hidden_by_the_zip_file_that_it_leaves_open(
    stored: Path, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, open_member = stored.read_bytes(), zipfile.ZipFile.open

    def interrupted(*arguments: object, **options: object) -> None:
        open_member(*arguments, **options)
        raise error

    monkeypatch.setattr(zipfile.ZipFile, "open", interrupted)
    with pytest.raises(error):
        _store.save(stored, "test", {}, {"x": np.zeros(3)})
    assert stored.read_bytes() == before
    assert os.listdir(stored.parent) == [stored.name]


def test_places_that_cannot_be_written_to(stored: Path) -> None:
    folder = stored.parent
    (folder / "taken").mkdir()
    for path in (folder / "taken", stored / "below", folder / ("x" * 300)):
        with pytest.raises(StorageError, match=r"cannot be written \(.*\)\. Name a file in a folder"):
            _store.save(path, "thing", {}, {})
    assert sorted(path.name for path in folder.iterdir()) == ["a.npz", "taken"]
    assert not list((folder / "taken").iterdir())


def test_objects_are_never_stored(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="array 'x' holds Python objects"):
        _store.save(tmp_path / "a.npz", "thing", {}, {"x": np.array([{}])})
    assert not list(tmp_path.iterdir())


def test_absent_other_kind_other_format(stored: Path) -> None:
    with pytest.raises(StorageError, match="There is no file"):
        _store.load(stored.with_name("b.npz"), "thing")
    with pytest.raises(StorageError, match="There is no file"):
        _store.load(stored.parent, "thing")
    with pytest.raises(StorageError, match="holds 'thing', expected 'classifier'"):
        _store.load(stored, "classifier")
    _store.save(stored, "thing", {"format": 99}, {})
    with pytest.raises(StorageError, match="has format 99, this version reads format 1"):
        _store.load(stored, "thing")


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.path,))


def npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def text_array(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), dtype=np.uint8)


@pytest.mark.parametrize("where", ["meta", "numbers", "extra"])
def test_pickles_inside_are_refused_and_never_run(tmp_path: Path, where: str) -> None:
    flag = tmp_path / "it ran"
    arrays = {"meta": text_array('{"kind": "thing", "format": 1}'), "numbers": np.arange(3)}
    bomb = np.array([Bomb(flag)], dtype=object)
    path = npz(tmp_path / "a.npz", **{**arrays, where: bomb})
    with pytest.raises(StorageError, match="cannot be read as a stored thing"):
        _store.load(path, "thing")
    assert not flag.exists()
    with np.load(path, allow_pickle=True) as archive:
        archive[where]
    assert flag.exists()  # so the bomb was a live one


def test_a_bare_pickle_is_refused_and_never_run(tmp_path: Path) -> None:
    flag, path = tmp_path / "it ran", tmp_path / "a.npz"
    path.write_bytes(pickle.dumps(Bomb(flag)))
    with pytest.raises(StorageError, match="cannot be read as a stored thing"):
        _store.load(path, "thing")
    assert not flag.exists()


def foreign() -> dict[str, bytes]:
    plain, archive, csv = io.BytesIO(), io.BytesIO(), b"gene,outcome\nCD79A,held\n"
    np.save(plain, np.arange(3))
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("readme.txt", "no array")
    return {"empty": b"", "npy": plain.getvalue(), "zip": archive.getvalue(), "csv": csv, "zeros": bytes(500)}


@pytest.mark.parametrize("name", foreign())
def test_foreign_files_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.npz").write_bytes(foreign()[name])
    with pytest.raises(
        StorageError, match=r"cannot be read as a stored thing \(.*\)\. It is damaged, or was not written"
    ):
        _store.load(tmp_path / "a.npz", "thing")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\ud800".encode("utf-8", "surrogatepass").hex()])
def test_meta_that_is_no_json(tmp_path: Path, text: str) -> None:
    with pytest.raises(StorageError, match="cannot be read as a stored thing"):
        _store.load(npz(tmp_path / "a.npz", meta=text_array(text)), "thing")


@pytest.mark.parametrize("text", ["[]", "3", "null", '"thing"', "{}"])
def test_meta_that_is_something_else(tmp_path: Path, text: str) -> None:
    with pytest.raises(StorageError, match=r"holds '.*', expected 'thing'"):
        _store.load(npz(tmp_path / "a.npz", meta=text_array(text)), "thing")


def test_every_cut_is_noticed(stored: Path) -> None:
    whole = stored.read_bytes()
    for length in range(len(whole)):
        stored.write_bytes(whole[:length])
        with pytest.raises(StorageError):
            _store.load(stored, "thing")


@pytest.mark.fast(1)
@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_a_changed_byte_is_noticed_or_harmless(stored: Path, flip: int) -> None:
    """Some bytes of a zip (times, attributes) mean nothing; all others must not give other numbers."""
    whole = bytearray(stored.read_bytes())
    noticed = 0
    for i in range(len(whole)):
        whole[i] ^= flip
        stored.write_bytes(whole)
        try:
            meta, arrays = _store.load(stored, "thing")
        except StorageError:
            noticed += 1
        else:
            assert meta == {"kind": "thing", "format": _store.FORMAT, **META}
            for name, array in ARRAYS.items():
                np.testing.assert_array_equal(arrays[name], array)
        whole[i] ^= flip
    assert noticed > len(whole) / 2


def test_a_renamed_array_is_noticed(stored: Path) -> None:
    """The checksums of a zip do not cover the names in its list."""
    stored.write_bytes(stored.read_bytes().replace(b"none.npy", b"nine.npy"))
    with np.load(stored) as archive:
        assert "nine" in archive.files
    with pytest.raises(StorageError, match="is damaged: its arrays are not those that were stored"):
        _store.load(stored, "thing")
