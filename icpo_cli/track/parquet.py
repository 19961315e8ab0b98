"""Tables of responses as parquet files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def write_table(rows: Sequence[Row], path: Path) -> None:
    """As parquet, written aside and then renamed."""
    import pyarrow
    from pyarrow import parquet

    aside = path.with_suffix(".tmp")
    parquet.write_table(pyarrow.Table.from_pylist(_storable(rows)), aside, compression="zstd")
    aside.replace(path)


def read_table(path: Path, columns: Sequence[str] | None = None) -> list[Row]:
    """All columns, or those named, which must be there. Raises OSError or pyarrow.ArrowInvalid."""
    from pyarrow import parquet

    return list(parquet.read_table(path, columns=columns and list(columns)).to_pylist())


def read_rows(path: Path, columns: Sequence[str], places: Sequence[int]) -> list[Row]:
    """Some rows of some columns: no more becomes Python objects. Raises as read_table does."""
    from pyarrow import parquet

    return list(parquet.read_table(path, columns=list(columns)).take(list(places)).to_pylist())


def column_names(path: Path) -> list[str]:
    """Raises OSError or pyarrow.ArrowInvalid."""
    from pyarrow import parquet

    return list(parquet.read_schema(path).names)


def _storable(rows: Sequence[Row]) -> list[Row]:
    """Model text may hold lone surrogates, which parquet's UTF-8 refuses."""

    def storable(value: Any) -> Any:
        if isinstance(value, list) and value and isinstance(value[0], str):
            return [storable(item) for item in value]
        return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value

    return [{key: storable(value) for key, value in row.items()} for row in rows]
