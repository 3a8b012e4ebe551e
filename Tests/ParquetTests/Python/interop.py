"""The other side of InteropTests.swift: reads our files and writes files for us. Any failure ends with status 1.

A table is compared as text: a line a row, `|` between columns, i123, d<hex of the bits>, b1, t<microseconds>, s<hex of UTF-8>.
"""

import decimal
import math
import struct
import sys
import uuid

import duckdb
import pandas
import polars
import pyarrow
import pyarrow.compute
import pyarrow.parquet as parquet



def word(value, kind):
    if value is None:
        return "null"
    if pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind):
        return "[" + ",".join(word(each, kind.value_type) for each in value) + "]"
    if pyarrow.types.is_boolean(kind):
        return "b1" if value else "b0"
    if pyarrow.types.is_timestamp(kind):
        return f"t{value}"
    if pyarrow.types.is_integer(kind):
        return f"i{value}"
    if pyarrow.types.is_floating(kind):
        return "dnan" if math.isnan(value) else f"d{struct.unpack('>Q', struct.pack('>d', value))[0]:x}"
    if pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind) or pyarrow.types.is_string_view(kind):
        return "s" + value.encode().hex()
    if pyarrow.types.is_decimal(kind):
        return f"i{value}" if kind.scale == 0 and kind.precision <= 18 else word(float(value), pyarrow.float64())
    if kind == pyarrow.uuid():
        return "s" + str(value).encode().hex()
    if pyarrow.types.is_fixed_size_binary(kind):
        return "s" + value.hex()
    if pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind) or pyarrow.types.is_binary_view(kind):
        return "s" + value.hex()
    raise AssertionError(f"unexpected type {kind}")


def numbers(column, kind):
    """Times as their integer, whatever years they are in."""
    if pyarrow.types.is_timestamp(kind):
        raw = column.cast(pyarrow.int64())
        per_microsecond = {"ns": 1000}.get(kind.unit, 1)
        factor = {"s": 1_000_000, "ms": 1000}.get(kind.unit, 1)
        return [None if v is None else v * factor // per_microsecond for v in raw.to_pylist()]
    if pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind):
        inner = kind.value_type
        if pyarrow.types.is_timestamp(inner):
            large = pyarrow.types.is_large_list(kind)
            wanted = (pyarrow.large_list if large else pyarrow.list_)(pyarrow.int64())
            assert inner.unit == "us", kind
            return column.cast(wanted).to_pylist()
    if pyarrow.types.is_date(kind):
        return [None if v is None else v * 86_400_000_000 for v in column.cast(pyarrow.int32()).to_pylist()]
    return column.to_pylist()


def lines(table):
    kinds = [field.type for field in table.schema]
    columns = [numbers(table.column(i).combine_chunks(), kind) for i, kind in enumerate(kinds)]
    kinds = [pyarrow.timestamp("us") if pyarrow.types.is_date(kind) else kind for kind in kinds]
    return "".join("|".join(word(v, k) for v, k in zip(row, kinds)) + "\n" for row in zip(*columns))


def same(reader, got, wanted):
    if got != wanted:
        for number, (a, b) in enumerate(zip(got.split("\n"), wanted.split("\n"))):
            assert a == b, f"{reader} reads row {number} as\n{a[:2000]}\nand not\n{b[:2000]}"
        raise AssertionError(f"{reader} reads {got.count(chr(10))} rows, not {wanted.count(chr(10))}")


def check_types(table):
    expected = {
        "string": pyarrow.string(), "int64": pyarrow.int64(), "double": pyarrow.float64(),
        "bool": pyarrow.bool_(), "timestamp": pyarrow.timestamp("us", tz="UTC"), "binary": pyarrow.binary(),
    }
    for field in table.schema:
        kind = expected.get(field.name.split("_")[0])
        if kind is not None:
            kind = pyarrow.list_(kind) if "_list" in field.name else kind
            found = pyarrow.list_(field.type.value_type) if "_list" in field.name else field.type
            assert found == kind, f"{field.name} is {field.type}, not {kind}"
            assert field.nullable == ("required" not in field.name), field


def check_statistics(path):
    file = parquet.ParquetFile(path)
    for group in range(file.metadata.num_row_groups):
        table = file.read_row_group(group)
        for index, field in enumerate(table.schema):
            chunk = file.metadata.row_group(group).column(index)
            found = chunk.statistics
            assert found is not None and found.has_null_count, field
            if pyarrow.types.is_list(field.type):
                continue
            column = table.column(index)
            assert found.null_count == column.null_count, field
            if pyarrow.types.is_binary(field.type):
                assert not found.has_min_max, field
                continue
            values = [v for v in numbers(column, field.type) if v is not None and v == v]
            assert found.has_min_max == bool(values), f"{field}: {found}"
            if not values:
                continue
            raw = [found.min_raw, found.max_raw] if not pyarrow.types.is_string(field.type) else [found.min, found.max]
            if pyarrow.types.is_string(field.type):
                values = [v.encode() for v in values]
                raw = [v.encode() for v in raw]
                assert raw[0] <= min(values) and raw[1] >= max(values), field
                assert max(map(len, raw)) <= 68, field
                assert len(max(values)) > 64 or raw[1] == max(values), field
            else:
                assert raw == [min(values), max(values)], f"{field}: {raw}"


def check_filters(path, table):
    """Row groups that are skipped by their statistics hold nothing that was asked for."""
    for name in ("string", "int64", "double"):
        if name not in table.column_names:
            continue
        column = table.column(name)
        for value in sorted({v for v in column.to_pylist() if v is not None and v == v})[::40]:
            wanted = pyarrow.compute.sum(pyarrow.compute.equal(column, value)).as_py()
            by_arrow = parquet.read_table(path, filters=[(name, "=", value)], columns=[name]).num_rows
            by_duckdb = duckdb.execute(
                f'select count(*) from read_parquet(?) where "{name}" = ?', [path, value]).fetchone()[0]
            by_polars = polars.scan_parquet(path).filter(
                polars.col(name) == value).select(polars.len()).collect().item()
            assert [by_arrow, by_duckdb, by_polars] == [wanted] * 3, f"{name} = {value!r}"
        bounds = duckdb.execute(f'select min("{name}"), max("{name}") from read_parquet(?)', [path]).fetchone()
        if name == "string":
            texts = [v.encode() for v in column.to_pylist() if v is not None]
            if texts:
                assert [v.encode() for v in bounds] == [min(texts), max(texts)], bounds


def read(path, expected):
    with open(expected, encoding="utf-8") as file:
        wanted = file.read()
    table = parquet.read_table(path, page_checksum_verification=True)
    same("pyarrow", lines(table), wanted)
    check_types(table)
    same("DuckDB", lines(duckdb.sql("select * from read_parquet(?)", params=[path]).to_arrow_table()), wanted)
    same("Polars", lines(polars.read_parquet(path).to_arrow()), wanted)
    frame = pandas.read_parquet(path, dtype_backend="pyarrow")
    same("pandas", lines(pyarrow.Table.from_pandas(frame, preserve_index=False)), wanted)
    metadata = parquet.read_metadata(path).metadata
    assert metadata is None or metadata[b"positions"].decode() == "clicks/0:17 żółć", metadata
    check_statistics(path)
    check_filters(path, table)


def sample(rows):
    """Every type that we read, with nulls, empty lists, and few and many distinct values."""
    def some(make):
        return [None if i % 7 == 3 else make(i) for i in range(rows)]

    def lists(make):
        return [None if i % 7 == 3 else [None if j == 2 else make(i + j) for j in range(i % 5)] for i in range(rows)]

    at = 1_767_225_600_000_001
    return pyarrow.table({
        "s": some(lambda i: f"text żółć {i}"),
        "bytes": pyarrow.array(some(lambda i: bytes([255, i % 256, 0]) * (i % 3)), pyarrow.binary()),
        "few": pyarrow.array(some(lambda i: f"v{i % 3}"), pyarrow.string()),
        "i": pyarrow.array(some(lambda i: i * 1_000_003 - 5), pyarrow.int64()),
        "same": pyarrow.array([7] * rows, pyarrow.int64()),
        "i32": pyarrow.array(some(lambda i: i - 5), pyarrow.int32()),
        "i8": pyarrow.array(some(lambda i: i % 200 - 100), pyarrow.int8()),
        "u32": pyarrow.array(some(lambda i: 4_294_967_295 - i), pyarrow.uint32()),
        "u64": pyarrow.array(some(lambda i: i), pyarrow.uint64()),
        "d": pyarrow.array(some(lambda i: i / 7 if i % 50 else float("nan")), pyarrow.float64()),
        "f": pyarrow.array(some(lambda i: i / 8), pyarrow.float32()),
        "b": pyarrow.array(some(lambda i: i % 11 < 5), pyarrow.bool_()),
        "ts_ms": pyarrow.array(some(lambda i: at // 1000 - i), pyarrow.timestamp("ms", tz="UTC")),
        "ts_us": pyarrow.array(some(lambda i: at - i), pyarrow.timestamp("us", tz="UTC")),
        "ts_ns": pyarrow.array(some(lambda i: i * 999 - 70_000), pyarrow.timestamp("ns")),
        "day": pyarrow.array(some(lambda i: i - 100), pyarrow.date32()),
        "none": pyarrow.array([None] * rows, pyarrow.int64()),
        "li": pyarrow.array(lists(lambda i: i), pyarrow.list_(pyarrow.int64())),
        "ls": pyarrow.array(lists(lambda i: f"x{i % 9}"), pyarrow.list_(pyarrow.string())),
        "lb": pyarrow.array(lists(lambda i: i % 2 == 0), pyarrow.list_(pyarrow.bool_())),
        "ld": pyarrow.array(lists(lambda i: i / 4), pyarrow.list_(pyarrow.float64())),
        "lt": pyarrow.array(lists(lambda i: at + i), pyarrow.list_(pyarrow.timestamp("us", tz="UTC"))),
    })


def other_types(rows):
    """Types that become others: decimals of every width and storage, UUIDs, half floats, fixed bytes."""
    def decimals(precision, scale):
        digits = lambda i: (-1) ** i * ((i * 982_451_653 + 7) ** 5 % 10 ** precision)
        with decimal.localcontext(prec=40):
            values = [None if i % 7 == 3 else decimal.Decimal(digits(i)).scaleb(-scale) for i in range(rows)]
        return pyarrow.array(values, pyarrow.decimal128(precision, scale))
    ids = [None if i % 7 == 3 else uuid.UUID(int=i * 0x123456789ABCDEF0123456789).bytes for i in range(rows)]
    columns = {f"dec_{p}_{s}": decimals(p, s) for p, s in ((4, 2), (9, 0), (9, 9), (18, 0), (18, 4), (19, 0), (38, 20), (38, 38))}
    columns["uuid"] = pyarrow.ExtensionArray.from_storage(pyarrow.uuid(), pyarrow.array(ids, pyarrow.binary(16)))
    columns["uuids"] = pyarrow.ExtensionArray.from_storage(
        pyarrow.uuid(), pyarrow.array([each and ids[0] for each in ids], pyarrow.binary(16)))
    columns["fixed"] = pyarrow.array([each and each[13:] for each in ids], pyarrow.binary(3))
    halves = [None if i % 7 == 3 else i * 37 % 65536 for i in range(rows)]
    bits = pyarrow.array([0 if half is None else half for half in halves], pyarrow.uint16())
    nulls = pyarrow.array([half is not None for half in halves])
    columns["half"] = pyarrow.compute.if_else(
        nulls, pyarrow.Array.from_buffers(pyarrow.float16(), rows, bits.buffers()), pyarrow.scalar(None, pyarrow.float16()))
    return pyarrow.table(columns)


def write(folder, rows):
    table = sample(rows)

    def path(name):
        return f"{folder}/{name}.parquet"

    for codec in ("none", "snappy", "gzip", "zstd", "brotli", "lz4"):
        for pages in ("1.0", "2.0"):
            for dictionary in (True, False):
                parquet.write_table(
                    table, path(f"arrow-{codec}-{pages}-{dictionary}"), compression=codec, data_page_version=pages,
                    use_dictionary=dictionary, row_group_size=max(rows // 3, 1), data_page_size=2000)
        duckdb.register("sample", table)
        duckdb.execute(
            f"copy sample to '{path('duckdb-' + codec)}' (format parquet, codec "
            f"'{ {'none': 'uncompressed', 'lz4': 'lz4_raw'}.get(codec, codec) }')")
        polars.from_arrow(table).write_parquet(
            path(f"polars-{codec}"), compression="uncompressed" if codec == "none" else codec)
    for codec in ("zstd", "uncompressed"):
        duckdb.execute(
            f"copy sample to '{path('duckdb-v2-' + codec)}' (format parquet, codec '{codec}', parquet_version v2, "
            "string_dictionary_page_size_limit 100)")
    duckdb.execute(f"copy sample to '{path('duckdb-v2-plain')}' (format parquet, parquet_version v2, dictionary_size_limit 1)")
    for number, texts in enumerate(("DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY")):
        for pages in ("1.0", "2.0"):
            whole = ["i", "same", "i32", "i8", "u32", "u64", "ts_ms", "ts_us", "ts_ns", "day", "none", "li.list.element", "lt.list.element"]
            encodings = dict.fromkeys(whole, "BYTE_STREAM_SPLIT" if number and pages == "1.0" else "DELTA_BINARY_PACKED")
            encodings |= dict.fromkeys(["s", "bytes", "few", "ls.list.element"], texts)
            encodings |= dict.fromkeys(["d", "f", "ld.list.element"], "BYTE_STREAM_SPLIT")
            encodings["b"] = "RLE" if pages == "2.0" else "PLAIN"
            parquet.write_table(
                table, path(f"arrow-encodings-{number}-{pages}"), use_dictionary=False, column_encoding=encodings,
                data_page_version=pages, data_page_size=2000, compression="lz4" if number else "none")
    others = other_types(rows)
    duckdb.register("others", others.drop_columns(["half", "fixed"]))
    for name, options in (
        ("default", {}), ("plain", {"use_dictionary": False}), ("integers", {"store_decimal_as_integer": True}),
        ("split", {"use_dictionary": False, "column_encoding": {
            each: "BYTE_STREAM_SPLIT" if number % 2 else "DELTA_BYTE_ARRAY" for number, each in enumerate(others.column_names)}}),
    ):
        parquet.write_table(others, path(f"arrow-types-{name}"), **options)
    for version in ("v1", "v2"):
        duckdb.execute(
            "copy others "
            f"to '{path('duckdb-types-' + version)}' (format parquet, parquet_version {version})")
    polars.from_arrow(others.drop_columns(["half", "uuid", "uuids", "fixed"])).write_parquet(path("polars-types"))
    parquet.write_table(table.drop_columns(["ts_ns"]), path("arrow-1.0"), version="1.0", write_page_checksum=True)
    parquet.write_table(table, path("arrow-large-pages"))
    parquet.write_table(table, path("arrow-fallback"), dictionary_pagesize_limit=500, data_page_size=500)
    parquet.write_table(table.select(["ts_ns", "s"]), path("arrow-int96"), use_deprecated_int96_timestamps=True)
    parquet.write_table(table.schema.empty_table(), path("arrow-empty"))
    polars.from_arrow(table).write_parquet(path("polars-small-groups"), row_group_size=100, data_page_size=500)
    table.to_pandas().to_parquet(path("pandas"))
    required = pyarrow.schema([pyarrow.field("i", pyarrow.int64(), nullable=False), pyarrow.field(
        "l", pyarrow.list_(pyarrow.field("element", pyarrow.string(), nullable=False)), nullable=False)])
    parquet.write_table(
        pyarrow.table([list(range(rows)), [["a"] * (i % 3) for i in range(rows)]], schema=required), path("arrow-required"))


def write_oracles(folder):
    import glob
    for path in glob.glob(f"{folder}/*.parquet"):
        with open(path + ".txt", "w", encoding="utf-8") as file:
            # pyarrow does not read DuckDB's delta pages without values.
            if "duckdb-v2" in path:
                table = duckdb.sql("select * from read_parquet(?)", params=[path]).to_arrow_table()
            else:
                table = parquet.read_table(path)
            file.write(lines(table))


def write_unsupported(folder):
    ok = pyarrow.array(["a", "b"])

    def save(name, x, **options):
        parquet.write_table(pyarrow.table({"x": x, "ok": ok}), f"{folder}/{name}.parquet", **options)

    save("struct", pyarrow.array([{"a": 1}, None]))
    save("map", pyarrow.array([[("a", 1)], None], pyarrow.map_(pyarrow.string(), pyarrow.int64())))
    save("decimal", pyarrow.array([decimal.Decimal("1.5"), None], pyarrow.decimal256(40, 2)))
    save("time", pyarrow.array([1, None], pyarrow.time64("us")))


command, arguments = sys.argv[1], sys.argv[2:]
if command == "read":
    read(*arguments)
elif command == "write":
    write(arguments[0], 3000)
    write_oracles(arguments[0])
elif command == "write-small":
    write(arguments[0], 40)
elif command == "write-unsupported":
    write_unsupported(arguments[0])
else:
    assert command == "check", command
