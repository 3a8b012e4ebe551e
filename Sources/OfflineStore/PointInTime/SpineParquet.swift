import FeatureCore
import Parquet

// Spines with types: Parquet.

extension SpineTable {
  /// Adds the rows of a batch, whose columns are the spine's. `first` is the number of its first row in the file, from 1.
  func append(_ batch: ParquetBatch, first: Int64) throws(TableError) {
    for index in 0..<batch.rowCount {
      beginRow()
      for (position, vector) in batch.columns.enumerated() {
        try checkText(vector, index, number: first + Int64(index))
        if declared[position] >= 0, !Self.isMissing(vector, index) {
          let column = schema.columns[declared[position]]
          row[declared[position]] = try scalar(vector, index, column, number: first + Int64(index))
          if vector.column.isLocal, column.clock != nil {
            // The moment: as it stands it would be one of UTC's clock.
            append(FeatureValue(row[declared[position]], column.type))
            continue
          }
        }
        append(vector.value(index))
      }
      guard row[schema.timeColumn].isValue else {
        throw TableError(
          path: path,
          problem:
            "column '\(schema.columns[schema.timeColumn].name)', row \(first + Int64(index)): the time is null",
          remedy: "give every row a time")
      }
      try endRow()
    }
  }

  /// Whether there is no value: null, or what programs without nulls write for one.
  private static func isMissing(_ vector: ParquetVector, _ index: Int) -> Bool {
    vector.isNull(index)
      || vector.column.valueType == .double && Double(bitPattern: vector.bits(index)).isNaN
  }

  /// Refuses bytes that are no text: some writers don't say of their texts that they are.
  private func checkText(_ vector: ParquetVector, _ index: Int, number: Int64) throws(TableError) {
    guard vector.column.isBinary, !vector.column.isList, !vector.isNull(index) else { return }
    let isText = vector.withBytes(index) { String(validating: $0, as: UTF8.self) != nil }
    guard !isText else { return }
    throw TableError(
      path: path, problem: "column '\(vector.column.name)', row \(number): the bytes are no UTF-8",
      remedy: "leave the column out, or cast it to string when the file is written")
  }

  /// Refuses columns whose types can't be those that the definitions declare.
  func check(_ file: [ParquetColumn]) throws(TableError) {
    for (column, index) in zip(file, declared) where index >= 0 {
      let wanted = schema.columns[index]
      guard column.isNothing || Self.accepts(column.type, as: wanted) else {
        throw TableError(
          path: path,
          problem:
            "column '\(column.name)' is \(column.type), and the definitions declare \(wanted.type.rawValue)",
          remedy: Self.remedy(wanted))
      }
    }
  }

  private static func accepts(_ type: FeatureType, as wanted: EventSchema.Column) -> Bool {
    guard case .scalar(let type) = type else { return false }
    switch (type, wanted.type) {
    case _ where type == wanted.type: return true
    // An integer column with nulls is one of doubles to pandas.
    case (.int64, .double), (.double, .int64): return true
    case (.int64, .timestamp), (.double, .timestamp): return wanted.unit.map { !$0.isText } ?? false
    case (.string, .timestamp): return true
    default: return false
    }
  }

  private static func remedy(_ column: EventSchema.Column) -> String {
    guard column.type == .timestamp else {
      return "cast it to \(column.type.rawValue) when the file is written"
    }
    return "write timestamps, or \(column.unit?.textForms ?? "texts")"
  }

  private func scalar(
    _ vector: ParquetVector, _ index: Int, _ column: EventSchema.Column, number: Int64
  ) throws(TableError) -> Scalar {
    var scalar: Scalar?
    switch (vector.column.valueType, column.type) {
    case (.string, _):
      scalar = vector.withBytes(index) { bytes in
        guard column.type == .string else {
          return column.unit.flatMap { EventTime.parse(bytes, unit: $0, clock: column.clock) }.map {
            .int64($0.microseconds)
          }
        }
        let room = arena.allocate(bytes.count)
        room.copyMemory(from: bytes)
        return .text(UnsafeRawBufferPointer(room))
      }
    case (.int64, .timestamp):
      let count = Int64(bitPattern: vector.bits(index))
      scalar = column.unit.flatMap { EventTime(count, $0) }.map { .int64($0.microseconds) }
    case (.timestamp, .timestamp):
      var time = EventTime(microseconds: Int64(bitPattern: vector.bits(index)))
      if vector.column.isLocal, let clock = column.clock { time = clock.moment(ofLocal: time) }
      scalar = time.isInRange ? .int64(time.microseconds) : nil
    case (.double, .timestamp):
      // By its decimal digits, as events are read.
      var text = Double(bitPattern: vector.bits(index)).description
      scalar = text.withUTF8 { bytes in
        column.unit.flatMap { EventTime.parse(UnsafeRawBufferPointer(bytes), unit: $0) }.map {
          .int64($0.microseconds)
        }
      }
    case (.int64, .double): scalar = .double(Double(Int64(bitPattern: vector.bits(index))))
    case (.double, .int64):
      let value = Double(bitPattern: vector.bits(index))
      if value.isFinite, value.magnitude >= Double.integersEnd {
        throw inexact("\(value)", column, row: ", row \(number)")
      }
      scalar = Int64(exactly: value).map(Scalar.int64)
    case (.double, .double):
      let value = Double(bitPattern: vector.bits(index))
      scalar = value.isFinite ? .double(value) : nil
    default: scalar = Scalar(bits: vector.bits(index))
    }
    if let scalar { return scalar }
    var text: [UInt8] = []
    ValueText.append(anyPlain: vector.value(index), to: &text)
    let form = text.withUnsafeBytes { Self.form(column, $0) }
    throw TableError(
      path: path,
      problem:
        "column '\(column.name)', row \(number): '\(Self.clipped(Text(utf8: text).description))' is no \(form)",
      remedy: Self.remedy(column))
  }
}
