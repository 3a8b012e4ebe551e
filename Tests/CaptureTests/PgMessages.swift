@testable import Capture

/// Messages of pgoutput as PostgreSQL sends them.
enum PgMessages {
  enum Value: ExpressibleByStringLiteral {
    case null, unchanged
    case text(String)

    init(stringLiteral value: String) { self = .text(value) }
  }

  static func begin(commit: UInt64, time: Int64) -> [UInt8] {
    [UInt8(ascii: "B")] + bytes(commit) + bytes(time - PgOutputMessage.epoch) + bytes(UInt32(7))
  }

  static func commit(_ place: UInt64, end: UInt64) -> [UInt8] {
    [UInt8(ascii: "C"), 0] + bytes(place) + bytes(end) + bytes(Int64(0))
  }

  static func relation(_ id: UInt32, _ schema: String, _ table: String, _ columns: [String]) -> [UInt8] {
    var message = [UInt8(ascii: "R")] + bytes(id) + text(schema) + text(table) + [UInt8(ascii: "d")]
    message += bytes(UInt16(columns.count))
    for column in columns { message += [0] + text(column) + bytes(UInt32(25)) + bytes(UInt32.max) }
    return message
  }

  static func insert(_ id: UInt32, _ row: [Value]) -> [UInt8] {
    [UInt8(ascii: "I")] + bytes(id) + [UInt8(ascii: "N")] + tuple(row)
  }

  static func update(_ id: UInt32, old: [Value]? = nil, isKey: Bool = true, _ row: [Value]) -> [UInt8] {
    let before = old.map { [UInt8(ascii: isKey ? "K" : "O")] + tuple($0) } ?? []
    return [UInt8(ascii: "U")] + bytes(id) + before + [UInt8(ascii: "N")] + tuple(row)
  }

  static func delete(_ id: UInt32, _ old: [Value]) -> [UInt8] {
    [UInt8(ascii: "D")] + bytes(id) + [UInt8(ascii: "K")] + tuple(old)
  }

  static func truncate(_ id: UInt32) -> [UInt8] {
    [UInt8(ascii: "T")] + bytes(UInt32(1)) + [0] + bytes(id)
  }

  private static func tuple(_ row: [Value]) -> [UInt8] {
    row.reduce(into: bytes(UInt16(row.count))) { message, value in
      switch value {
      case .null: message.append(UInt8(ascii: "n"))
      case .unchanged: message.append(UInt8(ascii: "u"))
      case .text(let text):
        message += [UInt8(ascii: "t")] + bytes(UInt32(text.utf8.count)) + Array(text.utf8)
      }
    }
  }

  private static func text(_ text: String) -> [UInt8] { Array(text.utf8) + [0] }

  private static func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.bigEndian) { Array($0) }
  }
}
