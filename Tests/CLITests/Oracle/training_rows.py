"""Writes spines as Parquet files, and prints training rows as other programs read them.

    training_rows.py check | write NAME | read FILE
"""

import datetime as dt
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

UTC = dt.timezone.utc


def at(milliseconds):
    return dt.datetime.fromtimestamp(milliseconds // 1000, UTC) + dt.timedelta(milliseconds=milliseconds % 1000)


TIMES = [at(1_700_000_120_001), at(1_700_000_060_001), at(1_700_000_000_000), at(1_700_000_120_001)]
USERS = ["a", "b", "a", None]
GOOD = {
    "user": pa.array(USERS),
    "ts": pa.array(TIMES, pa.timestamp("ms", "UTC")),
    # As pandas writes integers with nulls.
    "n": pa.array([1.0, 2.0, None, 1.0]),
    "small": pa.array([1, -2, None, 4], pa.int16()),
    "ratio": pa.array([0.5, None, 1e300, -0.0], pa.float64()),
    "flag": pa.array([True, None, False, True]),
    "note": pa.array(["", "é\n\"", None, "x"]),
    "day": pa.array([dt.date(2026, 1, 2)] * 3 + [None], pa.date32()),
    "tags": pa.array([["x", None], [], None, ["y"]], pa.list_(pa.string())),
}


def table(**columns):
    return pa.table({name: array for name, array in {**GOOD, **columns}.items() if array is not None})


SPINES = {
    "good": lambda: table(),
    "millis": lambda: table(ts=pa.array([int(t.timestamp() * 1000) for t in TIMES])),
    "texts": lambda: table(ts=pa.array([t.isoformat().replace("+00:00", "Z") for t in TIMES])),
    "empty": lambda: table().slice(0, 0),
    "no-time": lambda: table(ts=None, tz=GOOD["ts"]),
    "no-user": lambda: table(user=None),
    "int-user": lambda: table(user=pa.array([1, 2, 3, 4])),
    "list-user": lambda: table(user=pa.array([["a"]] * 4)),
    "half-n": lambda: table(n=pa.array([1.0, 2.5, None, 1.0])),
    "null-time": lambda: table(ts=pa.array(TIMES[:3] + [None], pa.timestamp("ms", "UTC"))),
    "far-time": lambda: table(ts=pa.array([10**17] * 4)),
    "nested": lambda: table(note=pa.array([{"a": 1}] * 4)),
    "bytes": lambda: table(note=pa.array([b"x", b"\xff", None, b"y"])),
    "feature": lambda: table(as_of=GOOD["small"]),
    "twice": lambda: pa.table(list(GOOD.values()) + [GOOD["flag"]], names=list(GOOD) + ["note"]),
}


def write(name):
    # Two row groups.
    pq.write_table(SPINES[name](), f"{name}.parquet", row_group_size=3)


def read(path):
    """Schema and rows of pyarrow, after checking that DuckDB sees the same rows."""
    found = pq.read_table(path)
    for field in found.schema:
        print(f"{field.name}: {field.type}{'' if field.nullable else ' not null'}")
    rows = found.to_pylist()
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    others = connection.execute(f"select * from '{path}'").to_arrow_table().to_pylist()
    assert [list(row.values()) for row in rows] == [list(row.values()) for row in others], (rows, others)
    for row in rows:
        print(", ".join(text(value) for value in row.values()))


def text(value):
    return value.isoformat() if isinstance(value, dt.datetime) else repr(value)


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command != "check":
        {"write": write, "read": read}[command](*arguments)
