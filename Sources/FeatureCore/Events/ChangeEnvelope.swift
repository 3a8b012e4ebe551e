/// Where the parts of a change stand that Debezium's JSON converter has written, the whole record found valid.
struct ChangeEnvelope {
  /// What becomes of the row.
  enum Operation {
    /// It is as `row` says.
    case write
    /// It is gone. `row` is what it was, or as much of it as identifies it; nil where only the record's key says which.
    case delete
  }

  var operation: Operation
  /// The bytes of the row's object.
  var row: Range<Int>?
  /// The bytes of the number that is the change's time in the database.
  var commit: Range<Int>?

  /// Finds the parts; nil of a record that has none: null, with a schema. `commitName` is the time's name in `source`.
  init?(
    _ json: JSONBytes, _ format: Source.Format, commitName: UnsafeRawBufferPointer
  ) throws(DecodeFailure) {
    let start = json.skipSpace(0)
    guard json[start] == Byte.openBrace else { throw json.malformed(start, .expectedObject) }
    let (whole, end) = try Members.read(json, start, depth: 1)
    guard json.skipSpace(end) == json.count else { throw json.malformed(json.skipSpace(end), .trailingBytes) }
    var (record, bytes) = (whole, start..<end)
    // With its schema, a record is one level deeper.
    if whole.schema != nil, let payload = whole.payload {
      if json.isNull(payload.lowerBound) { return nil }
      guard json[payload.lowerBound] == Byte.openBrace else {
        throw DecodeFailure(.noChange, offset: payload.lowerBound)
      }
      record = try Members.read(json, payload.lowerBound, depth: 2).members
      bytes = payload
    }
    if format == .debeziumFlattened {
      self.init(flattened: record, bytes, json)
    } else {
      try self.init(record, json, commitName)
    }
  }

  private init(flattened record: Members, _ row: Range<Int>, _ json: JSONBytes) {
    let isDeleted = record.deleted.map { json.text($0).elementsEqual("true".utf8) } ?? false
    operation = isDeleted ? .delete : .write
    self.row = row
  }

  private init(
    _ record: Members, _ json: JSONBytes, _ commitName: UnsafeRawBufferPointer
  ) throws(DecodeFailure) {
    guard let name = record.operation, json[name.lowerBound] == Byte.quote, name.count == 3 else {
      throw DecodeFailure(
        record.operation == nil ? .noChange : .unknownOperation, offset: record.operation?.lowerBound ?? 0)
    }
    switch json[name.lowerBound + 1] {
    case UInt8(ascii: "c"), UInt8(ascii: "r"), UInt8(ascii: "u"):
      guard let after = record.after, json[after.lowerBound] == Byte.openBrace else {
        throw DecodeFailure(.noChange, offset: record.after?.lowerBound ?? 0)
      }
      (operation, row) = (.write, after)
    case UInt8(ascii: "d"):
      operation = .delete
      row = record.before.flatMap { json[$0.lowerBound] == Byte.openBrace ? $0 : nil }
    case UInt8(ascii: "t"): throw DecodeFailure(.truncation, offset: name.lowerBound)
    default: throw DecodeFailure(.unknownOperation, offset: name.lowerBound)
    }
    guard let source = record.source, json[source.lowerBound] == Byte.openBrace else { return }
    commit = try json.member(commitName, of: source.lowerBound)
  }

  /// The members of a record that say something about a change.
  private struct Members {
    var schema, payload, operation, before, after, source, deleted: Range<Int>?

    static func read(
      _ json: JSONBytes, _ start: Int, depth: Int
    ) throws(DecodeFailure) -> (members: Members, end: Int) {
      var found = Members()
      let end = try json.members(start, depth: depth) { (name, value) throws(DecodeFailure) in
        try found.note(name, value)
      }
      return (found, end)
    }

    private mutating func note(
      _ name: UnsafeRawBufferPointer, _ value: Range<Int>
    ) throws(DecodeFailure) {
      switch name.count {
      case 2 where name.elementsEqual("op".utf8): try Self.set(&operation, value)
      case 5 where name.elementsEqual("after".utf8): try Self.set(&after, value)
      case 6 where name.elementsEqual("before".utf8): try Self.set(&before, value)
      case 6 where name.elementsEqual("source".utf8): try Self.set(&source, value)
      case 6 where name.elementsEqual("schema".utf8): try Self.set(&schema, value)
      case 7 where name.elementsEqual("payload".utf8): try Self.set(&payload, value)
      case 9 where name.elementsEqual("__deleted".utf8): try Self.set(&deleted, value)
      default: break
      }
    }

    private static func set(_ part: inout Range<Int>?, _ value: Range<Int>) throws(DecodeFailure) {
      guard part == nil else { throw DecodeFailure(.duplicateField, offset: value.lowerBound) }
      part = value
    }
  }
}

extension JSONBytes {
  /// Validates the object that starts here, tells of the members' names as they are written and of the bytes of their
  /// values, and returns the position after it.
  func members(
    _ start: Int, depth: Int, _ tell: (UnsafeRawBufferPointer, Range<Int>) throws(DecodeFailure) -> Void
  ) throws(DecodeFailure) -> Int {
    var at = skipSpace(start + 1)
    if self[at] == Byte.closeBrace { return at + 1 }
    while true {
      let keyStart = at
      at = try skipKey(at)
      let keyEnd = try string(keyStart + 1).end
      let end = try skipValue(at, depth: depth)
      try tell(slice(keyStart + 1, keyEnd), at..<end)
      at = skipSpace(end)
      if self[at] == Byte.closeBrace { return at + 1 }
      guard self[at] == Byte.comma else { throw malformed(at, .expectedCommaOrBrace) }
      at = skipSpace(at + 1)
    }
  }

  /// The bytes of a member's value in the object that starts here; nil if it has none or null.
  func member(_ name: UnsafeRawBufferPointer, of start: Int) throws(DecodeFailure) -> Range<Int>? {
    var found: Range<Int>?
    _ = try members(start, depth: 1) { (key, value) throws(DecodeFailure) in
      if key.elementsEqual(name), !isNull(value.lowerBound) { found = value }
    }
    return found
  }

  /// A value without its quotes, if it has some.
  fileprivate func text(_ value: Range<Int>) -> UnsafeRawBufferPointer {
    let isQuoted = self[value.lowerBound] == Byte.quote
    return slice(value.lowerBound + (isQuoted ? 1 : 0), value.upperBound - (isQuoted ? 1 : 0))
  }
}

/// What Debezium writes where the database hasn't sent a large value again.
enum UnavailableValue {
  private static let text = Array("__debezium_unavailable_value".utf8)
  /// The same as bytes, which JSON has in Base64.
  private static let base64 = Array("X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==".utf8)

  static func isOne(_ value: UnsafeRawBufferPointer) -> Bool {
    (value.count == text.count && value.elementsEqual(text))
      || (value.count == base64.count && value.elementsEqual(base64))
  }
}
