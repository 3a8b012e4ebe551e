import FeatureCore
import Parquet

/// Writing and reading a column of Parquet at a time, from memory to memory.
enum ParquetBenchmarks {
  /// A kind of column and what appends its rows.
  private struct Case: Sendable {
    var name: String
    var type: FeatureType
    var append: @Sendable (inout ParquetWriter, UInt64) -> Void
  }

  private static let words = (0..<50).map { Array("category-\($0)".utf8) }

  private static let cases: [Case] = [
    Case(name: "int64, 1,000 distinct", type: .scalar(.int64)) { $0.append(Int64(mix($1) % 1_000), to: 0) },
    Case(name: "int64, all distinct", type: .scalar(.int64)) {
      $0.append(Int64(truncatingIfNeeded: mix($1)), to: 0)
    },
    Case(name: "double, a third null", type: .scalar(.double)) {
      if $1 % 3 == 0 { $0.appendNull(to: 0) } else { $0.append(Double(mix($1) % 100_000) / 100, to: 0) }
    },
    Case(name: "bool", type: .scalar(.bool)) { $0.append(mix($1) & 1 == 1, to: 0) },
    Case(name: "timestamp, ascending", type: .scalar(.timestamp)) {
      $0.append(EventTime(microseconds: 1_767_225_600_000_000 + Int64($1) * 1_000), to: 0)
    },
    Case(name: "string, 50 distinct", type: .scalar(.string)) { writer, row in
      words[Int(mix(row) % 50)].withUnsafeBytes { writer.append(utf8: $0, to: 0) }
    },
    Case(name: "string, 16 bytes, all distinct", type: .scalar(.string)) { writer, row in
      withUnsafeBytes(of: hexadecimal(mix(row))) { writer.append(utf8: $0, to: 0) }
    },
    Case(name: "list of 5 int64", type: .list(.int64)) { writer, row in
      writer.beginList(in: 0)
      for index in 0..<5 { writer.append(Int64(mix(row + UInt64(index)) % 5_000), to: 0) }
      writer.endList(in: 0)
    },
  ]

  static func run(_ harness: Harness, rows: Int) {
    Harness.printHeading("Parquet, \(rows) rows of one column")
    for each in cases {
      var file: [UInt8] = []
      harness.measure("write \(each.name)", count: rows) { stopwatch in
        file.removeAll(keepingCapacity: true)
        stopwatch.start()
        var writer = ParquetWriter(columns: [ParquetColumn("a", each.type)])
        for row in 0..<UInt64(rows) {
          each.append(&writer, row)
          if writer.endRow() { writer.writeRowGroup { file.append(contentsOf: $0) } }
        }
        writer.finish { file.append(contentsOf: $0) }
        stopwatch.stop()
      }
      harness.measure("read, \(decimals(Double(file.count) / Double(rows), 1)) bytes a row", count: rows) {
        stopwatch in
        stopwatch.start()
        read(file)
        stopwatch.stop()
      }
    }
  }

  private static func read(_ file: [UInt8]) {
    do {
      var reader = try ParquetReader(ParquetInput(bytes: file, name: "benchmark"))
      while let batch = try reader.next() { consume(batch.rowCount) }
    } catch {
      fatalError("Cannot read what was written: \(error)")
    }
  }

  private static func mix(_ value: UInt64) -> UInt64 {
    var mixed = (value &+ 1) &* 0x9E37_79B9_7F4A_7C15
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    return mixed ^ (mixed >> 31)
  }

  /// 16 digits, as two words.
  private static func hexadecimal(_ value: UInt64) -> (UInt64, UInt64) {
    let digits = { (half: UInt64) in
      (0..<8).reduce(UInt64(0)) { word, index in
        let digit = half >> (4 * UInt64(index)) & 15
        return word << 8 | (digit < 10 ? 48 + digit : 87 + digit)
      }
    }
    return (digits(value >> 32), digits(value & 0xFFFF_FFFF))
  }
}
