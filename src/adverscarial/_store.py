"""Files of ours: numbers and text only, so that reading one can never run code.

A stored object is one ``.npz`` archive: plain numpy arrays, plus one JSON text under ``meta``.
Every file is written beside its final place and then moved, so a reader sees all of it or nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import uuid
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from adverscarial import _memory
from adverscarial.errors import StorageError

FORMAT = 1

_LEVEL = 4  # of compression: a third of the usual time, for files that are a tenth larger


def write_atomically(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> Path:
    """Call `write` with a temporary file beside `path`, then move it there in one step.

    Raises
    ------
    StorageError
        If the file cannot be written there; nothing is left behind.
    """
    path = Path(path)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:  # not tempfile: its files are readable by their owner only
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StorageError(
            f"'{path}' cannot be written ({type(error).__name__}: {error.strerror or error}). "
            "Name a file in a folder that you may write to, on a disk with space left."
        ) from error
    return path


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write `text` as UTF-8, atomically."""
    return write_atomically(path, lambda file: file.write(text.encode()))


def write_json(path: str | os.PathLike[str], value: Mapping[str, object]) -> Path:
    """Write JSON values with a checksum of them, atomically."""
    text = json.dumps({**value, "checksum": _checksum(value)}, indent=1, ensure_ascii=False, default=_plain)
    return write_text(path, text + "\n")


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what :func:`write_json` wrote.

    Raises
    ------
    StorageError
        If the file is absent, damaged, or was changed by hand.
    """
    try:
        if Path(path).exists() and not Path(path).is_file():  # a pipe might never end
            raise ValueError("it is no file")
        value: dict[str, Any] = json.loads(Path(path).read_bytes().decode())
        if value.pop("checksum") != _checksum(value):
            raise ValueError("its checksum does not fit; it was damaged, or changed by hand")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StorageError(f"'{path}' cannot be read ({type(error).__name__}: {error}).") from error
    return value


def _plain(value: object) -> object:
    """Return a setting that is one of numpy's numbers as JSON can hold it."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} {value!r} cannot be stored")


def _checksum(value: Mapping[str, object]) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=_plain)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def save(path: str | os.PathLike[str], kind: str, meta: Mapping[str, object], arrays: Mapping[str, np.ndarray]) -> Path:
    """Store `meta` (JSON values) and `arrays` (no object arrays) under the name `kind`."""
    text = json.dumps(
        {"kind": kind, "format": FORMAT, **meta, "arrays": list(arrays)}, ensure_ascii=False, default=_plain
    )
    content = {"meta": np.frombuffer(text.encode(), dtype=np.uint8), **arrays}
    for name, array in content.items():
        if array.dtype.hasobject:
            raise TypeError(f"array '{name}' holds Python objects; store plain numbers or text")
    return write_atomically(path, lambda file: _compress(file, content))


def _compress(file: BinaryIO, content: Mapping[str, np.ndarray]) -> None:
    try:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
            for name, array in content.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
    except ValueError as error:
        # a zip file that was interrupted between two steps says that it cannot be closed, and hides why
        if isinstance(error.__context__, KeyboardInterrupt | SystemExit):
            raise error.__context__ from None
        raise


def load(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what :func:`save` wrote.

    Raises
    ------
    StorageError
        If the file is absent, damaged, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise StorageError(f"There is no file '{path}'.")
    try:
        content = _read_arrays(path)
        meta = json.loads(content.pop("meta").tobytes().decode())
    except (
        OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, MemoryError, SyntaxError, zipfile.BadZipFile,
        zlib.error,
    ) as error:  # fmt: skip
        raise StorageError(
            f"'{path}' cannot be read as a stored {kind} ({type(error).__name__}: {error}). "
            "It is damaged, or was not written by adverscarial; write it again."
        ) from error
    if not isinstance(meta, dict) or meta.get("kind") != kind:
        found = meta.get("kind") if isinstance(meta, dict) else type(meta).__name__
        raise StorageError(f"'{path}' holds '{found}', expected '{kind}'.")
    if meta.get("format") != FORMAT:
        raise StorageError(f"'{path}' has format {meta.get('format')}, this version reads format {FORMAT}.")
    if meta.pop("arrays", None) != list(content):  # the checksums of a zip do not cover its list of files
        raise StorageError(f"'{path}' is damaged: its arrays are not those that were stored. Write it again.")
    return meta, content


def read_meta(path: str | os.PathLike[str], kind: str) -> dict[str, Any]:
    """Read the JSON values of what :func:`save` wrote, and none of its arrays.

    Raises
    ------
    StorageError
        If the file is absent, damaged, or holds something else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            meta = json.loads(_array(archive.read("meta.npy"), "meta").tobytes().decode())
        if meta["kind"] != kind:
            raise ValueError(f"it holds '{meta['kind']}'")
    except (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise StorageError(f"'{path}' cannot be read as a stored {kind} ({type(error).__name__}: {error}).") from error
    return dict(meta)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an ``.npz``.

    Stricter than :func:`numpy.load`: sizes are compared with what can be held before anything is unpacked, each member
    is read to its end, where its checksum is compared, and must hold exactly the array that its header announces.
    """
    check_unpacked_size(path)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        arrays: dict[str, np.ndarray] = {}
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name in arrays or name == member.filename:
                raise ValueError(f"'{member.filename}' is no array, or is there twice")
            arrays[name] = _array(archive.read(member), name)
    return arrays


def check_unpacked_size(path: Path) -> None:
    """Raise a MemoryLimitError when the members of a zip announce more bytes than memory can hold."""
    with zipfile.ZipFile(path) as archive:
        total, packed = sum(member.file_size for member in archive.infolist()), path.stat().st_size
    _memory.check(2 * total, f"Reading '{path}', which announces {total:,} bytes in a file of {packed:,},")


def _array(content: bytes, name: str) -> np.ndarray:
    """Return the array of one ``.npy`` file, which can be written to."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, fortran, dtype = header(stream)
    if dtype.hasobject:
        raise ValueError(f"array '{name}' holds Python objects, which are never read: they can run code")
    start, size = stream.tell(), math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or len(content) - start != size:
        raise ValueError(f"array '{name}' of shape {shape} takes {size:,} bytes, found {len(content) - start:,}")
    if not size:
        return np.empty(shape, dtype)
    flat = np.frombuffer(bytearray(content), dtype, offset=start)
    return flat.reshape(shape, order="F" if fortran else "C")
