"""Writes rows with structures, lists and maps as NDJSON and as Parquet of several programs, into the working directory.

    python nested.py DATASETS SEED

Prints a line for each Parquet file: its name, the definitions that read it, and the NDJSON whose answers it must give.
"""

import json
import random
import sys

import duckdb
import polars
import pyarrow
import pyarrow.parquet

FOLDER, SEED = sys.argv[1], int(sys.argv[2])
draw = random.Random(SEED)


def maybe(make):
    return None if draw.random() < 0.2 else make()


def some(make):
    return maybe(lambda: [maybe(make) for _ in range(draw.randrange(4))])


def row(index):
    number = lambda: draw.randrange(-50, 50)
    text = lambda: draw.choice(["", "a", 'quote"', "ä\n", "x" * 40])
    return {
        "ts": 1_700_000_000_000 + index,
        "id": f"u{index % 97}",
        "s": maybe(lambda: {"a": maybe(number), "t": maybe(lambda: {"b": maybe(text), "unused": [index]})}),
        "l": some(number),
        "ll": some(lambda: [maybe(number) for _ in range(draw.randrange(3))]),
        "ls": some(lambda: {"n": maybe(number), "v": some(lambda: draw.random()), "t": maybe(text)}),
        "m": maybe(lambda: {draw.choice("pqr"): maybe(lambda: draw.random()) for _ in range(draw.randrange(3))}),
        "sl": maybe(lambda: {"list": some(lambda: {"k": maybe(text)})}),
    }


SCHEMA = pyarrow.schema({
    "ts": pyarrow.int64(),
    "id": pyarrow.string(),
    "s": pyarrow.struct({
        "a": pyarrow.int32(),
        "t": pyarrow.struct({"b": pyarrow.string(), "unused": pyarrow.list_(pyarrow.int64())}),
    }),
    "l": pyarrow.list_(pyarrow.int64()),
    "ll": pyarrow.list_(pyarrow.list_(pyarrow.int16())),
    "ls": pyarrow.list_(pyarrow.struct({
        "n": pyarrow.int64(), "v": pyarrow.list_(pyarrow.float64()), "t": pyarrow.string(),
    })),
    "m": pyarrow.map_(pyarrow.string(), pyarrow.float64()),
    "sl": pyarrow.struct({"list": pyarrow.list_(pyarrow.struct({"k": pyarrow.string()}))}),
})

FIELDS = """
      id: string
      a: { path: s.a, type: int64 }
      b: { path: s.t.b, type: string }
      first: { path: "l[0]", type: int64 }
      third: { path: "l[2]", type: int64 }
      deep: { path: "ll[1][0]", type: int64 }
      value: { path: "ls[1].v[1]", type: double }
      number: { path: "ls[0].n", type: int64 }
      key: { path: "sl.list[1].k", type: string }
"""
ELEMENTS = """
      id: string
      a: { path: s.a, type: int64 }
      n: { path: ls.n, type: int64 }
      v: { path: "ls.v[0]", type: double }
      w: { path: "ls.v[2]", type: double }
      t: { path: ls.t, type: string }
"""
DEEP = """
      id: string
      k: { path: sl.list.k, type: string }
"""
COUNTED = """
      id: string
"""


def definitions(name, fields, each=None):
    names = [line.split(":")[0].strip() for line in fields.strip().splitlines()]
    features = "".join(
        f"      {n}: {{ aggregate: last_k, k: 100, value: {n}, windows: [lifetime] }}\n" for n in names[1:])
    with open(f"{name}.yaml", "w") as file:
        file.write(
            f"name: nested\nsources:\n  rows:\n    topic: rows\n    timestamp: {{ field: ts, unit: ms }}\n"
            + (f"    each: {each}\n" if each else "")
            + f"    fields:{fields}views:\n  v:\n    source: rows\n    entity: [id]\n    features:\n"
            + "      n: { aggregate: count, windows: [lifetime] }\n".replace("n:", "events:") + features)
    return name


def write(name, table, ways):
    files = []
    for way, options in {
        "arrow": {},
        "arrow2": {"data_page_version": "2.0", "use_dictionary": False, "row_group_size": 301, "data_page_size": 500},
        "old": {"use_compliant_nested_type": False, "compression": "zstd"},
    }.items():
        pyarrow.parquet.write_table(table, f"{name}.{way}.parquet", **options)
        files.append(f"{name}.{way}.parquet")
    made = duckdb.from_arrow(table)
    duckdb.sql(f"COPY (SELECT * FROM made) TO '{name}.duckdb.parquet' (FORMAT parquet, ROW_GROUP_SIZE 400)")
    files.append(f"{name}.duckdb.parquet")
    if "polars" in ways:
        polars.from_arrow(table).write_parquet(f"{name}.polars.parquet")
        files.append(f"{name}.polars.parquet")
    return files


rows = [row(index) for index in range(1500)]
with open("nested.ndjson", "w") as file:
    for item in rows:
        file.write(json.dumps(item) + "\n")
table = pyarrow.Table.from_pylist(
    [{**r, "m": None if r["m"] is None else list(r["m"].items())} for r in rows], schema=SCHEMA)
plain = [definitions("plain", FIELDS), definitions("elements", ELEMENTS, "ls"),
         definitions("deep", DEEP, "sl.list"), definitions("counted", COUNTED, "ls")]
for file in write("nested", table, []):
    for name in plain + [definitions("maps", FIELDS + "      p: { path: m.p, type: double }\n")]:
        print(file, f"{name}.yaml", "nested.ndjson")
# Polars has no maps.
for file in write("mapless", table.drop_columns("m"), ["polars"]):
    for name in plain:
        print(file, f"{name}.yaml", "nested.ndjson")


def texts(value):
    """One type for what stands there as a text or a number."""
    if isinstance(value, dict):
        return {k: str(v) if k == "price" and v is not None else texts(v) for k, v in value.items()}
    return [texts(v) for v in value] if isinstance(value, list) else value


for name in ["ga4", "github"]:
    with open(f"{FOLDER}/{name}.ndjson") as file:
        read = [texts(json.loads(line)) for line in file]
    # Columns that the first row lacks are columns all the same.
    every = {key: None for item in read for key in item}
    table = pyarrow.Table.from_pylist([every | item for item in read])
    for file in write(name, table, ["polars"]):
        print(file, f"{FOLDER}/{name}.yaml", f"{FOLDER}/{name}.ndjson")
