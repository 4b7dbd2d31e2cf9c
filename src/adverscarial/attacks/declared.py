"""What a class of results declares is checked where it is written, not when its first result is stored."""

from __future__ import annotations

import inspect
import sys
from functools import cached_property

from adverscarial.attacks.columns import Column
from adverscarial.errors import ParameterError

_WRAPPED = (property, cached_property, classmethod, staticmethod)


def check_declared(cls: type, base: type) -> None:
    """Refuse fields that hide a method or property of the `base`, and columns that are none.

    A dataclass takes what it inherits under a field's name for the field's default, so such a result could be made and
    stored, and not be read again.

    Raises
    ------
    ParameterError
        If a field or a column cannot be.
    """
    hidden = [name for name in _annotated(cls) if _is_method(inspect.getattr_static(base, name, None))]
    if hidden:
        raise ParameterError(
            f"{cls.__name__}: the field '{hidden[0]}' hides {base.__name__}.{hidden[0]}, which every result has. Give "
            "the field another name, or write it as a property."
        )
    columns = getattr(cls, "columns", ())
    if not isinstance(columns, tuple | list) or not all(isinstance(one, Column) for one in columns):
        raise ParameterError(
            f"{cls.__name__}.columns must be Column objects, such as Column('pairs', 'whole', 'Pairs that were "
            f"tested.'); got {columns!r}."
        )


def _annotated(cls: type) -> list[str]:
    """Return the names that a class annotates itself, those of class variables apart."""
    if sys.version_info >= (3, 14):
        import annotationlib

        found = annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    else:
        found = vars(cls).get("__annotations__", {})
    return [name for name, kind in found.items() if "ClassVar" not in str(kind)]


def _is_method(inherited: object) -> bool:
    return isinstance(inherited, _WRAPPED) or inspect.isfunction(inherited)
