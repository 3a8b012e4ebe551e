"""Compares an export with the snapshot topic, as three programs read it.

    export_check.py FOLDER TAIL [--with-state]

TAIL holds the rows of `plumb snapshots tail`, which don't tell states: of those, all programs must read the same. Prints how many rows were compared; exit status 1 if anything differs.
"""

import glob
import json
import sys
from datetime import datetime, timezone

import duckdb
import polars
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet

TYPES = {
    "users": {
        "user": "string", "as_of": "timestamp[us, tz=UTC]", "committed_at": "timestamp[us, tz=UTC]",
        "position_topic": "string", "position_partition": "int64", "position_offset": "int64", "fingerprint": "string",
        "definitions_version": "int64",
        "events_1h": "int64", "events_lifetime": "int64", "last_24h": "list<string>", "total_lifetime": "int64",
    },
    "items": {
        "item": "string", "as_of": "timestamp[us, tz=UTC]", "committed_at": "timestamp[us, tz=UTC]",
        "position_topic": "string", "position_partition": "int64", "position_offset": "int64", "fingerprint": "string",
        "definitions_version": "int64",
        "buyers_lifetime": "list<string>", "events_lifetime": "int64", "quantity_lifetime": "int64",
    },
}


def moment(text):
    return datetime.fromisoformat(text).astimezone(timezone.utc)


def expected(tail, view):
    """The rows of a view by their position and entity."""
    rows = {}
    for row in tail:
        if row["view"] != view or "features" not in row:
            continue
        position = row["position"]
        flat = dict(row["entity"]) | row["features"] | {
            "as_of": moment(row["as_of"]), "committed_at": moment(row["written"]),
            "position_topic": position["topic"], "position_partition": position["partition"],
            "position_offset": position["offset"], "fingerprint": row["fingerprint"],
            "definitions_version": row["version"], "view": view, "date": row["written"][:10],
        }
        rows[json.dumps([row["entity"], position], sort_keys=True)] = flat
    return rows


def key(row, entity):
    position = {k: row[f"position_{k}"] for k in ("topic", "partition", "offset")}
    return json.dumps([{c: row[c] for c in entity}, position], sort_keys=True)


def plain(row):
    row = {k: v.tolist() if hasattr(v, "tolist") else v for k, v in row.items()}
    for name in ("as_of", "committed_at"):
        row[name] = row[name].astimezone(timezone.utc)
    row["date"] = str(row["date"])
    return row


def readings(folder, view):
    pattern = f"{folder}/view={view}/date=*/*.parquet"
    files = sorted(glob.glob(pattern))
    tables = pa.dataset.dataset(files, format="parquet", partition_base_dir=folder, partitioning="hive")
    yield "pyarrow", tables.to_table().to_pylist()
    db = duckdb.connect()
    db.execute("set timezone = 'UTC'")
    found = db.sql(f"select * from read_parquet('{pattern}', hive_partitioning = true)")
    yield "duckdb", found.to_arrow_table().to_pylist()
    yield "polars", polars.scan_parquet(pattern, hive_partitioning=True).collect().to_dicts()


def main(folder, path, *options):
    has_states = "--with-state" in options
    with open(path, encoding="utf-8") as file:
        tail = [json.loads(line) for line in file]
    problems = []
    compared = 0
    for view, types in TYPES.items():
        entity = [next(iter(types))]
        want = expected(tail, view)
        types = types | ({"state": "binary"} if has_states else {})
        states = {}
        for file in glob.glob(f"{folder}/view={view}/*/*.parquet"):
            schema = pa.parquet.read_schema(file)
            found = {f.name: "list<string>" if pa.types.is_list(f.type) else str(f.type) for f in schema}
            if found != types:
                problems.append(f"{file}: {found}")
            if any(not pa.types.is_string(f.type.value_type) for f in schema if pa.types.is_list(f.type)):
                problems.append(f"{file}: a list of something else")
        for reader, rows in readings(folder, view):
            rows = [plain(row) for row in rows]
            got = {key(row, entity): row for row in rows}
            if len(got) != len(rows):
                problems.append(f"{reader}: {len(rows) - len(got)} rows of {view} are there twice")
            if got.keys() != want.keys():
                problems.append(
                    f"{reader}: {len(want.keys() - got.keys())} rows of {view} are missing, "
                    f"{len(got.keys() - want.keys())} too many")
            for name in got.keys() & want.keys():
                compared += 1
                state = got[name].pop("state", b"none")
                if not state or state != states.setdefault(name, state):
                    problems.append(f"{reader}: another state of {name}")
                if got[name] != want[name]:
                    problems.append(f"{reader}: {got[name]} instead of {want[name]}")
    print(f"{compared} rows compared, {len(problems)} problems")
    for problem in problems[:5]:
        print(f"  {problem}")
    return 1 if problems or compared == 0 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
