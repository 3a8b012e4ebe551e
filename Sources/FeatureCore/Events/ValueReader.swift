/// How the value of a key is read.
enum ValueReader: UInt8 {
  case skip, string, int64, double, bool, seconds, milliseconds, microseconds, nanoseconds, rfc3339

  init(_ column: EventSchema.Column) {
    switch column.type {
    case .string: self = .string
    case .int64: self = .int64
    case .double: self = .double
    case .bool: self = .bool
    case .timestamp:
      switch column.unit {
      case .seconds: self = .seconds
      case .milliseconds: self = .milliseconds
      case .microseconds: self = .microseconds
      case .nanoseconds: self = .nanoseconds
      case .rfc3339: self = .rfc3339
      case nil: preconditionFailure("Cannot read timestamps of '\(column.name)' without a unit")
      }
    }
  }

  /// Reads the value that starts here, by its type's full grammar, and returns the position after it. Null
  /// leaves the scalar as it is.
  @inline(never)
  func read(
    _ json: JSONBytes, _ at: Int, _ scalar: inout Scalar, _ arena: TextArena
  ) throws(DecodeFailure) -> Int {
    if json.isNull(at) { return at + 4 }
    switch self {
    case .skip: return try json.skipValue(at)
    case .string: return try Self.string(json, at, &scalar, arena)
    case .int64: return try Self.int64(json, at, &scalar)
    case .double: return try Self.double(json, at, &scalar)
    case .bool: return try Self.bool(json, at, &scalar)
    case .seconds: return try Self.time(json, at, .seconds, &scalar)
    case .milliseconds: return try Self.time(json, at, .milliseconds, &scalar)
    case .microseconds: return try Self.time(json, at, .microseconds, &scalar)
    case .nanoseconds: return try Self.time(json, at, .nanoseconds, &scalar)
    case .rfc3339: return try Self.rfc3339(json, at, &scalar, arena)
    }
  }

  /// The text of a string with escapes.
  @inline(never)
  static func unescaped(_ json: JSONBytes, _ start: Int, _ end: Int, _ arena: TextArena) -> Scalar {
    let room = arena.allocate(end - start)
    let count = json.unescape(start, end, into: room)
    arena.trim(room, to: count)
    return .text(UnsafeRawBufferPointer(rebasing: room[..<count]))
  }

  /// A wrong type, once the value has turned out to be valid JSON.
  private static func mismatch(_ json: JSONBytes, _ at: Int) throws(DecodeFailure) -> Never {
    _ = try json.skipValue(at)
    throw DecodeFailure(.wrongType, offset: at, found: try json.kind(at))
  }

  private static func string(
    _ json: JSONBytes, _ at: Int, _ scalar: inout Scalar, _ arena: TextArena
  ) throws(DecodeFailure) -> Int {
    guard json[at] == Byte.quote else { try mismatch(json, at) }
    let string = try json.string(at + 1)
    scalar =
      string.hasEscapes
      ? unescaped(json, at + 1, string.end, arena) : .text(json.slice(at + 1, string.end))
    return string.end + 1
  }

  private static func number(_ json: JSONBytes, _ at: Int) throws(DecodeFailure) -> JSONNumber {
    guard json[at] == Byte.minus || Byte.isDigit(json[at]) else { try mismatch(json, at) }
    return try json.number(at)
  }

  private static func integer(_ json: JSONBytes, _ at: Int) throws(DecodeFailure) -> JSONNumber {
    let number = try number(json, at)
    guard number.isInteger else { throw DecodeFailure(.wrongType, offset: at, found: .fraction) }
    return number
  }

  private static func int64(
    _ json: JSONBytes, _ at: Int, _ scalar: inout Scalar
  ) throws(DecodeFailure) -> Int {
    let number = try integer(json, at)
    guard let value = number.int64 else { throw DecodeFailure(.numberOutOfRange, offset: at) }
    scalar = .int64(value)
    return number.end
  }

  private static func double(
    _ json: JSONBytes, _ at: Int, _ scalar: inout Scalar
  ) throws(DecodeFailure) -> Int {
    let number = try number(json, at)
    let value = DecimalConversion.double(number, json.slice(at, number.end))
    guard value.isFinite else { throw DecodeFailure(.numberOutOfRange, offset: at) }
    scalar = .double(value)
    return number.end
  }

  private static func bool(
    _ json: JSONBytes, _ at: Int, _ scalar: inout Scalar
  ) throws(DecodeFailure) -> Int {
    guard let bool = json.bool(at) else { try mismatch(json, at) }
    scalar = .bool(bool.value)
    return bool.end
  }

  private static func time(
    _ json: JSONBytes, _ at: Int, _ unit: TimeUnit, _ scalar: inout Scalar
  ) throws(DecodeFailure) -> Int {
    let number = try integer(json, at)
    guard let value = number.int64, let time = EventTime(value, unit) else {
      throw DecodeFailure(.timeOutOfRange, offset: at)
    }
    scalar = .int64(time.microseconds)
    return number.end
  }

  private static func rfc3339(
    _ json: JSONBytes, _ at: Int, _ scalar: inout Scalar, _ arena: TextArena
  ) throws(DecodeFailure) -> Int {
    var text = Scalar.null
    let end = try string(json, at, &text, arena)
    guard let time = RFC3339.parse(text.text) else { throw DecodeFailure(.badTime, offset: at) }
    guard time.isInRange else { throw DecodeFailure(.timeOutOfRange, offset: at) }
    scalar = .int64(time.microseconds)
    return end
  }
}

extension EventTime {
  /// Whether the time is one that events may have.
  public var isInRange: Bool { microseconds >= Limits.eventTimeMin && microseconds <= Limits.eventTimeMax }

  /// The time that an integer in a unit means; nil outside the range of event times.
  @inline(__always)
  public init?(_ count: Int64, _ unit: TimeUnit) {
    let overflow: Bool
    switch unit {
    case .seconds: (microseconds, overflow) = count.multipliedReportingOverflow(by: 1_000_000)
    case .milliseconds: (microseconds, overflow) = count.multipliedReportingOverflow(by: 1_000)
    case .microseconds: (microseconds, overflow) = (count, false)
    case .nanoseconds: (microseconds, overflow) = (floorDivide(count, 1_000), false)
    case .rfc3339: preconditionFailure("Cannot read an RFC 3339 time from an integer")
    }
    guard !overflow, isInRange else { return nil }
  }
}
