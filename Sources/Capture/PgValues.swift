public import FeatureCore

/// PostgreSQL's types as a field can take them, by their OID (pg_type.dat).
public enum PgTypes {
  static let text: Set<UInt32> = [25, 1043, 1042, 19, 2950, 18]
  static let integers: Set<UInt32> = [21, 23, 20, 26]
  static let floats: Set<UInt32> = [700, 701]
  static let numeric: UInt32 = 1700
  static let bool: UInt32 = 16
  static let date: UInt32 = 1082
  static let timestamps: Set<UInt32> = [1114, 1184]
  /// Types of the user's own begin here: enums and domains, which print as text.
  static let firstOwn: UInt32 = 16_384

  /// Whether a field of a type can take a column of an OID.
  public static func fits(_ type: ValueType, _ oid: UInt32, isEnum: Bool) -> Bool {
    switch type {
    case .string: text.contains(oid) || integers.contains(oid) || oid == numeric || oid == date || isEnum
    case .int64: integers.contains(oid) || oid == numeric
    case .double: integers.contains(oid) || floats.contains(oid) || oid == numeric
    case .bool: oid == bool
    case .timestamp: timestamps.contains(oid) || oid == date
    }
  }

  /// What to write into the view or the generated column that makes a value of the field's type.
  public static func cast(_ column: String, to type: ValueType) -> String {
    let target =
      switch type {
      case .string: "text"
      case .int64: "bigint"
      case .double: "double precision"
      case .bool: "boolean"
      case .timestamp: "timestamptz"
      }
    return "\(column)::\(target)"
  }
}

/// Writes a value as PostgreSQL prints it (in UTF-8, DateStyle ISO, time zone UTC) as a field's.
struct PgValueWriter {
  private let table: CapturedTable
  /// By column.
  let types: [ValueType]

  init(table: CapturedTable) {
    self.table = table
    types = table.columns.map(\.type)
  }

  /// Adds a column's value to a row. Throws what can't be a value of the field's type.
  func write(
    _ text: UnsafeRawBufferPointer, _ index: Int, into row: inout RowText
  ) throws(CaptureError) {
    switch types[index] {
    case .string:
      row.string(index, text)
    case .int64:
      // Almost always the text is the number's one spelling already.
      if let value = NumberText.int64(text), value != 0 { return row.plain(index, text) }
      guard let value = integer(text) else { throw misfit(text, index, "a whole number that fits 64 bits") }
      row.integer(index, value)
    case .double:
      guard let value = NumberText.double(text), value.isFinite else {
        throw misfit(text, index, "a finite number that fits a double")
      }
      row.plain(index, text)
    case .bool:
      guard text.count == 1 else { throw misfit(text, index, "true or false") }
      row.bool(index, text[0] == UInt8(ascii: "t"))
    case .timestamp:
      guard let time = time(text) else { throw misfit(text, index, "a time between the years 1 and 9999") }
      row.time(index, time)
    }
  }

  /// `12`, and a numeric's `12.00`.
  private func integer(_ text: UnsafeRawBufferPointer) -> Int64? {
    if let value = NumberText.int64(text) { return value }
    guard let point = text.firstIndex(of: UInt8(ascii: ".")),
      text[(point + 1)...].allSatisfy({ $0 == UInt8(ascii: "0") })
    else { return nil }
    return NumberText.int64(UnsafeRawBufferPointer(rebasing: text[..<point]))
  }

  /// `2026-01-02`, `2026-01-02 03:04:05.678`, `2026-01-02 03:04:05+00`; without a zone it is UTC.
  private func time(_ text: UnsafeRawBufferPointer) -> EventTime? {
    let (date, midnight, zone) = (10, StaticString(" 00:00:00"), 3)
    return withUnsafeTemporaryAllocation(byteCount: text.count + 16, alignment: 1) { spelling in
      spelling.copyMemory(from: text)
      var count = text.count
      if count == date {
        for place in 0..<midnight.utf8CodeUnitCount { spelling[count + place] = midnight.utf8Start[place] }
        count += midnight.utf8CodeUnitCount
      }
      if count >= zone, spelling[count - zone] == UInt8(ascii: "+") { count -= zone }
      spelling[count] = UInt8(ascii: "Z")
      return RFC3339.parse(UnsafeRawBufferPointer(rebasing: spelling[...count]))
    }
  }

  private func misfit(
    _ text: UnsafeRawBufferPointer, _ index: Int, _ expected: String
  ) -> CaptureError {
    let column = table.columns[index]
    let shown = String(decoding: text.prefix(40), as: UTF8.self)
    return CaptureError(
      .stop,
      "source '\(table.source)', column '\(column.name)': '\(shown)' is not \(expected), which the field's type "
        + "\(column.type.rawValue) needs; declare another type, or capture a view or a generated column with "
        + "\(PgTypes.cast(column.name, to: column.type)) or what else makes such a value")
  }
}
