"""Tables of responses in parquet files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from icpo_cli.runs.files import atomic_write

Row = dict[str, Any]


def write_table(rows: Sequence[Row], path: Path) -> None:
    """Write the rows as a parquet file, atomically."""
    import pyarrow
    from pyarrow import parquet

    with atomic_write(path) as tmp:
        parquet.write_table(pyarrow.Table.from_pylist(_storable(rows)), tmp, compression="zstd")


def read_table(path: Path, columns: Sequence[str] | None = None) -> list[Row]:
    """Read all columns or those named, which must exist. Raises OSError or pyarrow.ArrowInvalid."""
    from pyarrow import parquet

    return list(parquet.read_table(path, columns=columns and list(columns)).to_pylist())


def read_rows(path: Path, columns: Sequence[str], indices: Sequence[int]) -> list[Row]:
    """Read some rows of some columns; the others never become Python objects. Raises like read_table."""
    from pyarrow import parquet

    return list(parquet.read_table(path, columns=list(columns)).take(list(indices)).to_pylist())


def column_names(path: Path) -> list[str]:
    """Raises OSError or pyarrow.ArrowInvalid."""
    from pyarrow import parquet

    return list(parquet.read_schema(path).names)


def _storable(rows: Sequence[Row]) -> list[Row]:
    """Replace lone surrogates, which model text may contain and parquet's UTF-8 rejects."""

    def storable(value: Any) -> Any:
        if isinstance(value, list) and value and isinstance(value[0], str):
            return [storable(item) for item in value]
        return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value

    return [{key: storable(value) for key, value in row.items()} for row in rows]
