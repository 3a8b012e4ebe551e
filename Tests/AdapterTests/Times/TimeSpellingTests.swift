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
                ("DuckDB epoch_us", f"epoch_us(TIMESTAMP '{sql}')", "us"), ("DuckDB epoch", f"epoch(TIMESTAMP '{sql}')", "s")):
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
    """#

  private static func declaration(_ unit: String) -> Source.Timestamp {
    switch unit {
    case "zone": Source.Timestamp(field: "at", unit: .text, zone: "UTC")
    default: Source.Timestamp(field: "at", unit: TimeUnit(rawValue: unit) ?? .text)
    }
  }

  @Test(.enabled(if: python != nil, "PLUMB_PYTHON names no Python"))
  func whatProgramsWriteIsRead() throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Self.python ?? "")
    process.arguments = ["-W", "ignore", "-c", Self.script]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    var read = 0
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: "\t").map(String.init)
      try #require(parts.count == 3)
      let batch = EventBatch(
        EventSchema(Source("s", topic: "s", timestamp: Self.declaration(parts[1]), fields: [])), capacity: 1)
      do {
        try Array(parts[2].utf8).withUnsafeBytes { try batch.append($0, sequence: 0) }
      } catch let failure as DecodeFailure {
        Issue.record("\(line): \(failure.message(batch.schema))")
        continue
      }
      // Seconds of a double may be off by its rounding.
      let micros = batch.time(0) - 1_569_888_000_000_000
      #expect(
        [0, 123_000, 123_456].contains { abs($0 - micros) <= (parts[1] == "s" ? 1 : 0) }, "\(line): \(micros)"
      )
      read += 1
    }
    #expect(read > 100)
  }
}
