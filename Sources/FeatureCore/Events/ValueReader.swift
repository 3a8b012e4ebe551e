/// How the value of a key is read.
struct ValueReader {
  enum Kind: UInt8 {
    case skip, string, int64, double, bool, seconds, milliseconds, microseconds, nanoseconds, rfc3339, text
  }

  static let skip = ValueReader(kind: .skip)

  let kind: Kind
  /// Whether the value may also stand in quotes.
  var isText = false
  /// The clock of texts without a zone, among those of the schema; -1: none.
  var clock: Int16 = -1

  private init(kind: Kind) { self.kind = kind }

  /// The reader of a column. `clock` is the place of its clock.
  init(_ column: EventSchema.Column, clock: Int16) {
    self.clock = clock
    isText = column.isText && column.type != .string
    switch column.type {
    case .string: kind = .string
    case .int64: kind = .int64
    case .double: kind = .double
    case .bool: kind = .bool
    case .timestamp:
      switch column.unit {
      case .seconds: kind = .seconds
      case .milliseconds: kind = .milliseconds
      case .microseconds: kind = .microseconds
      case .nanoseconds: kind = .nanoseconds
      case .rfc3339: kind = .rfc3339
      case .text: kind = .text
      case nil: preconditionFailure("Cannot read timestamps of '\(column.name)' without a unit")
      }
    }
  }

  /// Reads the value that starts here, by its type's full grammar, and returns the position after it. Null
  /// leaves the scalar as it is.
  @inline(never)
  func read(
    _ json: JSONBytes, _ at: Int, _ clocks: UnsafePointer<WallClock>, _ scalar: inout Scalar,
    _ arena: TextArena
  ) throws(DecodeFailure) -> Int {
    if json.isNull(at) { return at + 4 }
    if isText, json[at] == Byte.quote, kind != .rfc3339, kind != .text {
      return try quoted(json, at, &scalar, arena)
    }
    switch kind {
    case .skip: return try json.skipValue(at)
    case .string: return try Self.string(json, at, &scalar, arena)
    case .rfc3339, .text: return try time(json, at, clocks, &scalar, arena)
    case .int64, .double, .bool, .seconds, .milliseconds, .microseconds, .nanoseconds:
      return try literal(json, at, &scalar)
    }
  }

  /// A value that is no string.
  private func literal(_ json: JSONBytes, _ at: Int, _ scalar: inout Scalar) throws(DecodeFailure) -> Int {
    switch kind {
    case .int64: return try Self.int64(json, at, &scalar)
    case .double: return try Self.double(json, at, &scalar)
    case .bool: return try Self.bool(json, at, &scalar)
    case .seconds: return try Self.time(json, at, .seconds, &scalar)
    case .milliseconds: return try Self.time(json, at, .milliseconds, &scalar)
    case .microseconds: return try Self.time(json, at, .microseconds, &scalar)
    case .nanoseconds: return try Self.time(json, at, .nanoseconds, &scalar)
    case .skip, .string, .rfc3339, .text: preconditionFailure("Cannot read \(kind) as a literal")
    }
  }

  /// The same as a whole string.
  private func quoted(
    _ json: JSONBytes, _ at: Int, _ scalar: inout Scalar, _ arena: TextArena
  ) throws(DecodeFailure) -> Int {
    var text = Scalar.null
    let end = try Self.string(json, at, &text, arena)
    guard let inner = JSONBytes(text.text) else {
      throw DecodeFailure(.wrongType, offset: at, found: .otherText)
    }
    try literal(whole: inner, at, &scalar)
    return end
  }

  /// A text that stands at `at` and is nothing but a value that is no string.
  private func literal(
    whole text: JSONBytes, _ at: Int, _ scalar: inout Scalar
  ) throws(DecodeFailure) {
    let failure = DecodeFailure(.wrongType, offset: at, found: .otherText)
    do throws(DecodeFailure) {
      guard try literal(text, 0, &scalar) == text.count else { throw failure }
    } catch {
      let isRange = error.reason == .numberOutOfRange || error.reason == .timeOutOfRange
      throw isRange ? DecodeFailure(error.reason, offset: at) : failure
    }
  }

  /// Reads a text that is nothing but the value, and stays alive.
  func read(
    whole text: UnsafeRawBufferPointer, _ clocks: UnsafePointer<WallClock>, _ scalar: inout Scalar
  ) throws(DecodeFailure) {
    guard let inner = JSONBytes(text) else {
      guard kind == .string else { throw DecodeFailure(.wrongType, offset: 0, found: .otherText) }
      scalar = .text(text)
      return
    }
    switch kind {
    case .string:
      guard inner.isUTF8 else { throw DecodeFailure(.invalidUTF8, offset: 0) }
      scalar = .text(text)
    case .rfc3339, .text: try time(text, 0, clocks, &scalar)
    default: try literal(whole: inner, 0, &scalar)
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
    guard json[at] == Byte.minus || Byte.isDigit(json[at]), json.notFinite(at) == nil else {
      try mismatch(json, at)
    }
    return try json.number(at)
  }

  private static func int64(
    _ json: JSONBytes, _ at: Int, _ scalar: inout Scalar
  ) throws(DecodeFailure) -> Int {
    let number = try number(json, at)
    let scaled =
      number.isInteger
      ? number.int64.map { ($0, true) } : number.scaled(by: 0, json.slice(at, number.end))
    guard let (value, isExact) = scaled else { throw DecodeFailure(.numberOutOfRange, offset: at) }
    guard isExact else { throw DecodeFailure(.wrongType, offset: at, found: .fraction) }
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
    let number = try number(json, at)
    let text = json.slice(at, number.end)
    guard let time = EventTime(number, text, unit) else {
      var failure = DecodeFailure(.timeOutOfRange, offset: at)
      failure.fittingUnit = UnitGuess.finer(number, text, than: unit)
      throw failure
    }
    scalar = .int64(time.microseconds)
    return number.end
  }

  private func time(
    _ json: JSONBytes, _ at: Int, _ clocks: UnsafePointer<WallClock>, _ scalar: inout Scalar,
    _ arena: TextArena
  ) throws(DecodeFailure) -> Int {
    var text = Scalar.null
    let end = try Self.string(json, at, &text, arena)
    try time(text.text, at, clocks, &scalar)
    return end
  }

  /// A text that stands at `at` and is a time.
  private func time(
    _ text: UnsafeRawBufferPointer, _ at: Int, _ clocks: UnsafePointer<WallClock>, _ scalar: inout Scalar
  ) throws(DecodeFailure) {
    let reading =
      kind == .rfc3339
      ? RFC3339.parse(text).map(TimeText.Reading.time) ?? .invalid
      : TimeText.read(text, clock: clock < 0 ? nil : clocks[Int(clock)])
    switch reading {
    case .invalid: throw DecodeFailure(.badTime, offset: at)
    case .withoutZone: throw DecodeFailure(.missingZone, offset: at)
    case .time(let time):
      guard time.isInRange else { throw DecodeFailure(.timeOutOfRange, offset: at) }
      scalar = .int64(time.microseconds)
    }
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
    case .rfc3339, .text: preconditionFailure("Cannot read an integer as a time that is written as text")
    }
    guard !overflow, isInRange else { return nil }
  }

  /// The time that a number in a unit means, rounded down to a microsecond; nil outside the range of event times.
  init?(_ number: JSONNumber, _ text: UnsafeRawBufferPointer, _ unit: TimeUnit) {
    let time: EventTime?
    if number.isInteger {
      time = number.int64.flatMap { EventTime($0, unit) }
    } else {
      time = number.scaled(by: unit.powerOfTen, text).map { EventTime(microseconds: $0.value) }
    }
    guard let time, time.isInRange else { return nil }
    self = time
  }
}

extension TimeUnit {
  /// Powers of ten from the unit to a microsecond.
  fileprivate var powerOfTen: Int {
    switch self {
    case .seconds: 6
    case .milliseconds: 3
    case .microseconds: 0
    case .nanoseconds: -3
    case .rfc3339, .text: preconditionFailure("Cannot read a number as a time that is written as text")
    }
  }
}
