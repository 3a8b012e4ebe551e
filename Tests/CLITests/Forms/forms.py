"""Writes the same rows in every form that event files have, by the programs that people write them with. Prints the names."""
import csv, datetime, gzip, io, json, lzma, random, subprocess, sys
import duckdb, pandas, polars, pyarrow, pyarrow.csv, pyarrow.parquet

seed = 20_240_613
random.seed(seed)
words = ["plain", "quo\"te", "com,ma", "new\nline", "tab\there", "semi;colon", "ümläut", "日本", "back\\slash", " spaces ", "123", "true"]
base = 1_700_000_000_000
rows = []
for index in range(3000):
    rows.append({
        "ts": base + index * 1000 + random.randrange(500),
        "user": random.choice(["a", "b", "c d", "é"]),
        "item": random.choice(words + [None]),
        "n": random.choice([None, 0, -1, 7, 2**53 - 1, 12]),
        "price": random.choice([None, 0.1, 1e-7, -3.5, 1234567.0, 2.0]),
        "ok": random.choice([None, True, False]),
        "at": base + index * 60_000,
        "unused": index,
    })
names = list(rows[0])
files = []
def put(name, data):
    data = data.encode() if isinstance(data, str) else data
    with open(name, "wb") as file: file.write(data)
    files.append(name)

lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
put("base.ndjson", lines)
put("bom.txt", b"\xef\xbb\xbf" + lines.encode())
put("crlf.txt", lines.replace("\n", "\r\n"))
put("array.json", json.dumps(rows))
put("pretty.json", "\ufeff" + json.dumps(rows, indent=2, ensure_ascii=False) + "\n")

def csv_text(rows, **options):
    out = io.StringIO()
    writer = csv.writer(out, **options)
    writer.writerow(names)
    for row in rows: writer.writerow(["" if row[n] is None else str(row[n]) for n in names])
    return out.getvalue()
put("python.csv", csv_text(rows))
put("quoted.csv", csv_text([r for r in rows], lineterminator="\n"))
put("tabs.tsv", csv_text(rows, delimiter="\t", lineterminator="\n"))
put("semicolons.csv", csv_text(rows, delimiter=";"))
put("bom.csv", "\ufeff" + csv_text(rows))
put("named_wrongly.parquet", csv_text(rows))
text = csv_text(rows).encode()
put("csv.gz", gzip.compress(text))
put("csv.xz", lzma.compress(text))
put("array.xz", lzma.compress(json.dumps(rows[:1500]).encode()[:-1] + b",") + lzma.compress(json.dumps(rows[1500:]).encode()[1:]))
put("csv.zst", subprocess.run(["zstd", "-qc"], input=text, capture_output=True, check=True).stdout)

table = pyarrow.table({
    "ts": pyarrow.array([r["ts"] for r in rows], pyarrow.int64()),
    "user": [r["user"] for r in rows], "item": [r["item"] for r in rows],
    "n": pyarrow.array([r["n"] for r in rows], pyarrow.int64()),
    "price": pyarrow.array([r["price"] for r in rows], pyarrow.float64()),
    "ok": pyarrow.array([r["ok"] for r in rows], pyarrow.bool_()),
    "at": pyarrow.array([r["at"] for r in rows], pyarrow.int64()),
    "unused": pyarrow.array([{"a": [{"b": r["unused"]}]} for r in rows]),
})
flat = table.drop_columns("unused").append_column("unused", pyarrow.array([r["unused"] for r in rows]))
frame = flat.to_pandas(types_mapper={pyarrow.int64(): pandas.Int64Dtype(), pyarrow.bool_(): pandas.BooleanDtype()}.get)
put("pandas.csv", frame.to_csv(index=False))
put("polars.csv", polars.from_arrow(flat).write_csv())
out = io.BytesIO(); pyarrow.csv.write_csv(flat, out); put("arrow.csv", out.getvalue())
connection = duckdb.connect()
connection.register("flat", flat); connection.register("events", table)
def duck(name, query, options):
    connection.execute(f"COPY ({query}) TO '{name}' ({options})")
    files.append(name)
duck("duckdb.csv", "SELECT * FROM flat", "FORMAT csv, HEADER")
duck("duckdb.ndjson", "SELECT * FROM flat", "FORMAT json")
duck("duckdb.json", "SELECT * FROM flat", "FORMAT json, ARRAY true")
duck("duckdb.parquet", "SELECT * FROM events", "FORMAT parquet")
duck("duckdb_v2.parquet", "SELECT * FROM flat", "FORMAT parquet, PARQUET_VERSION v2, COMPRESSION brotli, ROW_GROUP_SIZE 2048")
decimals = "SELECT * REPLACE (CAST(n AS DECIMAL(18, 0)) AS n, CAST(ts AS DECIMAL(15, 0)) AS ts) FROM flat"
duck("decimals.parquet", decimals, "FORMAT parquet")

def arrow(name, table, **options):
    pyarrow.parquet.write_table(table, name, **options)
    files.append(name)
arrow("arrow.parquet", table)
for unit in ("ms", "us", "ns"):
    times = flat.set_column(0, "ts", flat["ts"].cast(pyarrow.timestamp("ms")).cast(pyarrow.timestamp(unit, "UTC")))
    times = times.set_column(times.column_names.index("at"), "at", times["at"].cast(pyarrow.timestamp("ms")).cast(pyarrow.timestamp(unit)))
    arrow(f"times_{unit}.parquet", times)
frame.to_parquet("pandas.parquet"); files.append("pandas.parquet")
polars.from_arrow(table).write_parquet("polars.parquet"); files.append("polars.parquet")
print("\n".join(files))
