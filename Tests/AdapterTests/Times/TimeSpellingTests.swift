import FeatureCore
import Foundation
import Testing

/// What DuckDB, pandas, Polars and Arrow write for a moment is read as this moment, by the declarations of docs/records.md.
@Suite struct TimeSpellingTests {
  private static let python = ProcessInfo.processInfo.environment["PLUMB_PYTHON"]

  /// Prints for each spelling: who writes it, the declaration that reads it, and a JSON record.
  private static let script = #"""
    import datetime, io, json
    import duckdb, pandas, polars, pyarrow, pyarrow.csv
    utc = datetime.timezone.utc
    def show(name, unit, value): print("\t".join([name, unit, json.dumps({"at": value})]))
    for micro in (0, 123000, 123456):
        moment = datetime.datetime(2019, 10, 1, 0, 0, 0, micro, utc)
        plain = moment.replace(tzinfo=None)
        sql = plain.isoformat(" ")
        for zone in ("UTC", "Asia/Kolkata", "America/St_Johns"):
            connection = duckdb.connect(); connection.execute(f"SET TimeZone = '{zone}'")
            for name, expression, unit in (
                ("DuckDB TIMESTAMP", f"TIMESTAMP '{sql}'", "zone"), ("DuckDB TIMESTAMPTZ", f"TIMESTAMPTZ '{sql}+00'", "text"),
                ("DuckDB DATE", "DATE '2019-10-01'", "zone"), ("DuckDB epoch_us", f"epoch_us(TIMESTAMP '{sql}')", "us"), ("DuckDB epoch", f"epoch(TIMESTAMP '{sql}')", "s")):
                show(name, unit, json.loads(connection.execute(f"SELECT to_json({expression})").fetchone()[0]))
                cell = connection.execute(f"SELECT CAST({expression} AS VARCHAR)").fetchone()[0]
                if unit in ("text", "zone"): show(name + " CSV", unit, cell)
        for name, series, unit in (
            ("pandas", pandas.Series([plain]).astype("datetime64[ns]"), "zone"),
            ("pandas tz", pandas.Series([moment]).astype("datetime64[ns, UTC]"), "text"),
            ("pandas Berlin", pandas.Series([moment]).astype("datetime64[ns, UTC]").dt.tz_convert("Europe/Berlin"), "text")):
            frame = pandas.DataFrame({"at": series})
            for date_unit in ("s", "ms", "us", "ns"):
                scale = {"s": 1000000, "ms": 1000, "us": 1, "ns": 1}[date_unit]
                if micro % scale: continue
                show(name + " to_json", date_unit,
                     json.loads(frame.to_json(orient="records", date_format="epoch", date_unit=date_unit))[0]["at"])
                # Converted to UTC, where it has a zone.
                iso = json.loads(frame.to_json(orient="records", date_format="iso", date_unit=date_unit))[0]["at"]
                show(name + " to_json iso", "text" if iso.endswith("Z") else "zone", iso)
            show(name + " to_csv", unit, frame.to_csv(index=False).splitlines()[1])
        for name, series, unit in (
            ("Polars", polars.Series([plain]), "zone"),
            ("Polars tz", polars.Series([moment], dtype=polars.Datetime("us", "UTC")), "text"),
            ("Polars ms", polars.Series([plain], dtype=polars.Datetime("ms")), "zone"),
            ("Polars ns", polars.Series([plain], dtype=polars.Datetime("ns")), "zone")):
            if micro % 1000 and name == "Polars ms": continue
            frame = polars.DataFrame({"at": series})
            out = io.BytesIO(); frame.write_ndjson(out)
            value = json.loads(out.getvalue())["at"]
            # Without its zone, which is UTC.
            show(name + " write_ndjson", "text" if value[-1] == "Z" or "+" in value else "zone", value)
            show(name + " write_csv", unit, frame.write_csv().splitlines()[1])
        for name, type, unit in (("Arrow", pyarrow.timestamp("us"), "zone"), ("Arrow tz", pyarrow.timestamp("us", "UTC"), "text")):
            out = io.BytesIO()
            pyarrow.csv.write_csv(pyarrow.table({"at": pyarrow.array([moment if unit == "text" else plain], type)}), out)
            show(name + " CSV", unit, out.getvalue().decode().splitlines()[1].strip('"'))
        show("Python isoformat", "text", moment.isoformat()); show("Python str", "text", str(moment))
        show("Python time", "s", moment.timestamp())
    """#

  /// The same of PostgreSQL, which needs no server for it: in JSON and in CSV, in any zone.
  private static let postgres = #"""
    import glob, json, os, pwd, shutil, subprocess, tempfile
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
    user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    folder = tempfile.mkdtemp()
    try:
        if user: os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
        cluster = os.path.join(folder, "cluster")
        subprocess.run([f"{programs}/initdb", "-D", cluster, "-A", "trust", "--no-sync"], check=True, capture_output=True, cwd=folder, **user)
        statements, shown = [], []
        def copy(name, unit, query, options):
            path = os.path.join(folder, f"{len(shown)}"); shown.append((name, unit, path))
            statements.append(f"COPY ({query}) TO '{path}' {options};")
        for zone in ("UTC", "Asia/Kolkata", "America/St_Johns"):
            statements.append(f"SET TimeZone = '{zone}';")
            for fraction in ("", ".123", ".123456"):
                for type, value, unit in (("timestamptz", f"2019-10-01 00:00:00{fraction}+00", "text"), ("timestamp", f"2019-10-01 00:00:00{fraction}", "zone")):
                    value = f"SELECT {type} '{value}' AS at"
                    copy(f"{type} row_to_json {zone}", unit, f"SELECT row_to_json(t) FROM ({value}) t", "")
                    copy(f"{type} COPY {zone}", unit, value, "WITH CSV")
        subprocess.run([f"{programs}/postgres", "--single", "-D", cluster, "postgres"], check=True, capture_output=True, cwd=folder,
                       input="\n".join(statements).encode(), **user)
        for name, unit, path in shown:
            text = open(path).read().strip()
            print("\t".join([name, unit, text if text[0] == "{" else json.dumps({"at": text})]))
    finally:
        shutil.rmtree(folder)
    """#
  private static let hasPostgres = FileManager.default.fileExists(atPath: "/usr/lib/postgresql")

  private static func declaration(_ unit: String) -> Source.Timestamp {
    switch unit {
    case "zone": Source.Timestamp(field: "at", unit: .text, zone: "UTC")
    default: Source.Timestamp(field: "at", unit: TimeUnit(rawValue: unit) ?? .text)
    }
  }

  @Test(.enabled(if: python != nil, "PLUMB_PYTHON names no Python"))
  func whatProgramsWriteIsRead() throws { #expect(try Self.read(Self.script) > 100) }

  @Test(.enabled(if: python != nil && hasPostgres, "needs Python and PostgreSQL"))
  func whatPostgresWritesIsRead() throws { #expect(try Self.read(Self.postgres) == 36) }

  /// Reads what a script shows; returns how much that is.
  private static func read(_ script: String) throws -> Int {
    let output = try Command.run(try #require(python), ["-W", "ignore", "-c", script])
    let spellings = String(decoding: output, as: UTF8.self).split(separator: "\n")
    for line in spellings {
      let parts = line.split(separator: "\t").map(String.init)
      try #require(parts.count == 3)
      expect(parts[2], by: declaration(parts[1]), "\(line)")
    }
    return spellings.count
  }

  /// Expects a record to be read as the first moment of October 2019, or a fraction behind it.
  private static func expect(_ record: String, by declaration: Source.Timestamp, _ what: String) {
    let batch = EventBatch(
      EventSchema(Source("s", topic: "s", timestamp: declaration, fields: [])), capacity: 1)
    do throws(DecodeFailure) {
      try Array(record.utf8).span.bytes.withUnsafeBytes { (bytes) throws(DecodeFailure) in
        try batch.append(bytes, sequence: 0)
      }
    } catch {
      Issue.record("\(what): \(error.message(batch.schema))")
      return
    }
    // Seconds of a double may be off by its rounding.
    let micros = batch.time(0) - 1_569_888_000_000_000
    #expect(
      [0, 123_000, 123_456].contains { abs($0 - micros) <= (declaration.unit == .seconds ? 1 : 0) },
      "\(what): \(micros)")
  }

  /// Each row of the table in docs/records.md is read by the declaration that it names.
  @Test func whatTheTableSaysIsRead() throws {
    let docs = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../../docs/records.md")
    let text = try String(contentsOf: docs, encoding: .utf8)
    let table = try #require(text.split(separator: "| program | writes | declare |\n|---|---|---|\n").last)
    var rows = 0
    for line in table.split(separator: "\n", omittingEmptySubsequences: false) {
      guard line.hasPrefix("|") else { break }
      let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
      try #require(cells.count == 3)
      let codes = cells[1].split(separator: "`", omittingEmptySubsequences: false)
      for index in stride(from: 1, to: codes.count, by: 2) {
        let spelling = String(codes[index])
        let isLocal =
          cells[2].contains("time_zone: UTC")
          || (cells[2].contains("with `time_zone`") && codes[index - 1].contains("without a zone"))
        let unit = cells[2].firstMatch(of: /unit: (\w+)/).flatMap { TimeUnit(rawValue: String($0.1)) }
        let declaration = Source.Timestamp(
          field: "at", unit: try #require(unit), zone: isLocal ? "UTC" : nil)
        let isText = unit == .text
        Self.expect("{\"at\":\(isText ? "\"\(spelling)\"" : spelling)}", by: declaration, "\(line)")
      }
      rows += 1
    }
    #expect(rows >= 15)
  }
}
