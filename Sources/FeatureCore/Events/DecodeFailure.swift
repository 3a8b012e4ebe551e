/// Why a record can't be used: the reason, the field and the byte, all trivially copyable.
public struct DecodeFailure: Error, Hashable, Sendable {
  /// The reasons under which dead letters are counted.
  public enum Reason: String, Sendable, CaseIterable {
    /// Not a JSON object (RFC 8259) and nothing else.
    case malformedJSON = "malformed_json"
    /// A string that is not UTF-8.
    case invalidUTF8 = "invalid_utf8"
    /// A declared field holds a value of another type.
    case wrongType = "wrong_type"
    /// A number that the column's type can't hold.
    case numberOutOfRange = "number_out_of_range"
    /// A declared field stands twice.
    case duplicateField = "duplicate_field"
    /// The partition key is null or absent.
    case missingKey = "missing_key"
    /// The event time is null or absent.
    case missingTime = "missing_time"
    /// A text that is no time.
    case badTime = "bad_time"
    /// A text that is a local time, and no zone is declared.
    case missingZone = "missing_zone"
    /// A time outside the years 1 to 9999.
    case timeOutOfRange = "time_out_of_range"
    /// More than `Limits.recordBytesMax` bytes.
    case oversized
    /// More than `Limits.elementsMax` elements in the array of the source's `each`.
    case tooManyElements = "too_many_elements"
    /// A computed column has no result.
    case computationFailed = "expression_failed"
    /// The id of an event that has come before, with other values.
    case conflictingDuplicate = "conflicting_duplicate"
    /// No bytes at all.
    case empty
    /// Nested deeper than `Limits.jsonDepthMax`.
    case tooDeep = "too_deep"
    /// Not a change as Debezium writes it.
    case noChange = "no_change"
    /// A change of a kind that rows don't have.
    case unknownOperation = "unknown_operation"
    /// All rows of a table were deleted, and none is named.
    case truncation
  }

  /// What breaks JSON's grammar.
  public enum Problem: UInt8, Sendable, CaseIterable {
    /// Something else than `{` at the start.
    case expectedObject
    /// No string where a key must stand.
    case expectedKey
    /// No colon after a key.
    case expectedColon
    /// Neither `,` nor `}` after a member.
    case expectedCommaOrBrace
    /// Neither `,` nor `]` after an element.
    case expectedCommaOrBracket
    /// Nothing that starts a value.
    case expectedValue
    /// A raw control character inside a string.
    case controlCharacter
    /// A backslash that starts no escape.
    case badEscape
    /// One half of a surrogate pair.
    case loneSurrogate
    /// A leading zero, or no digit where one must stand.
    case badNumber
    /// More after the object.
    case trailingBytes
    /// The payload ends too early.
    case payloadEnds

    /// A few words for people.
    var explanation: String {
      switch self {
      case .expectedObject: "expected an object"
      case .expectedKey: "expected a string as key"
      case .expectedColon: "expected ':' after the key"
      case .expectedCommaOrBrace: "expected ',' or '}'"
      case .expectedCommaOrBracket: "expected ',' or ']'"
      case .expectedValue: "expected a value"
      case .controlCharacter: "a control character in a string must be escaped"
      case .badEscape: "no such escape"
      case .loneSurrogate: "half of a surrogate pair"
      case .badNumber: "not a JSON number"
      case .trailingBytes: "something follows the object"
      case .payloadEnds: "the payload ends too early"
      }
    }
  }

  /// What stands where another type was declared.
  public enum Found: UInt8, Sendable, CaseIterable {
    /// A string.
    case string
    /// A number without a fractional part.
    case integer
    /// Any other number.
    case fraction
    /// True or false.
    case bool
    /// An array.
    case array
    /// An object.
    case object
    /// `NaN`, which is no JSON.
    case notANumber
    /// `Infinity` or `-Infinity`, which are no JSON.
    case infinity
    /// A string where a value may be written as text, but it is none.
    case otherText

    /// A noun for people.
    var noun: String {
      switch self {
      case .string: "a string"
      case .integer: "an integer"
      case .fraction: "a number with a fraction"
      case .bool: "a bool"
      case .array: "an array"
      case .object: "an object"
      case .notANumber: "NaN (write null where there is no value)"
      case .infinity: "an infinity (write null where there is no value)"
      case .otherText: "a string that is none"
      }
    }
  }

  /// The reason.
  public var reason: Reason
  /// The declared column whose key or value failed; nil if none did.
  public var column: Int?
  /// Where it failed, in bytes from the payload's start.
  public var offset: Int
  /// For `malformedJSON`, what breaks the grammar.
  public var problem: Problem?
  /// For `wrongType`, what was found.
  public var found: Found?
  /// For `wrongType` on the way to a column, what had to be there: an array or an object.
  public var expected: Found?
  /// For `timeOutOfRange`, the unit in which it would be a time of this century.
  public var fittingUnit: TimeUnit?
  /// For `computationFailed`, why.
  public var failure: ScalarFailure?
  /// The element of the source's `each` that failed, from 0; nil: the whole record.
  public var element: Int?

  init(
    _ reason: Reason, column: Int? = nil, offset: Int, problem: Problem? = nil, found: Found? = nil,
    expected: Found? = nil
  ) {
    self.reason = reason
    self.column = column
    self.offset = offset
    self.problem = problem
    self.found = found
    self.expected = expected
  }

  /// Of a record that is longer than one may be.
  public static var oversized: DecodeFailure { DecodeFailure(.oversized, offset: Limits.recordBytesMax) }

  /// The same failure, of a column.
  func inColumn(_ column: Int) -> DecodeFailure {
    var failure = self
    failure.column = column
    return failure
  }

  /// The same failure, of a part that starts so many bytes into the payload.
  func moved(by bytes: Int) -> DecodeFailure {
    var failure = self
    failure.offset += bytes
    return failure
  }

  /// The same failure, of an element.
  func inElement(_ element: Int) -> DecodeFailure {
    var failure = self
    failure.element = element
    return failure
  }

  /// A sentence for people, such as "field 'price' at byte 57: expected double, found a string".
  public func message(_ schema: EventSchema) -> String {
    guard let element else { return ownMessage(schema) }
    return "element \(element) of '\(schema.each?.description ?? "")': \(ownMessage(schema))"
  }

  private func ownMessage(_ schema: EventSchema) -> String {
    let column = column.map { schema.columns[$0] }
    let field = column.map { "field '\($0.name)'\($0.placeText)" }
    let isOfRecord = reason == .missingKey || reason == .missingTime || reason == .conflictingDuplicate
    if let column, !column.isInPayload, !isOfRecord {
      return "\(field ?? ""): \(explanation(column))"
    }
    switch reason {
    case .conflictingDuplicate:
      return
        "\(field ?? "a field"): a record before had the same id and other values, so this one is not folded: give each event an "
        + "id of its own, or take out of the declared fields what differs when it is sent again"
    case .empty: return "the payload is empty"
    case .noChange:
      return
        "not a change of Debezium's: an envelope has 'op', and the row in 'after' (for rows without an envelope say "
        + "format: debezium_flattened)"
    case .unknownOperation: return "the change's 'op' is none of c, r, u, d and t"
    case .truncation:
      return "the table was truncated, which names no rows: delete the rows of its topic's keys by name"
    case .oversized: return "the payload is longer than \(Limits.recordBytesMax) bytes"
    case .missingKey, .missingTime:
      let role = reason == .missingKey ? "the partition key" : "the event time"
      return "\(field ?? "a field"): \(role) is null or absent"
    default:
      return (field.map { "\($0) at " } ?? "at ") + "byte \(offset): " + explanation(column)
    }
  }

  private func explanation(_ column: EventSchema.Column?) -> String {
    let type = column?.type.rawValue ?? "a value"
    switch reason {
    case .malformedJSON: return "malformed JSON: \(problem?.explanation ?? "not a JSON text")"
    case .invalidUTF8: return "invalid UTF-8"
    case .computationFailed: return failure?.explanation ?? "the computation failed"
    case .tooManyElements: return "the array has more than \(Limits.elementsMax) elements"
    case .wrongType where expected != nil:
      return "expected \(expected?.noun ?? "") on the way to it, found \(found?.noun ?? "something else")"
    case .wrongType:
      let remedy =
        found == .string && column?.mayBeQuoted == true ? " (if it comes in quotes, declare text: true)" : ""
      return "expected \(column?.expectation ?? type), found \(found?.noun ?? "another type")\(remedy)"
    case .numberOutOfRange: return "the number is out of the range of \(type)"
    case .duplicateField: return "the field stands twice"
    case .badTime where column?.unit == .rfc3339:
      return "not an RFC 3339 time with an offset (unit: text reads more spellings)"
    case .missingZone: return "a time without a zone (if its zone is known, declare it with time_zone:)"
    case .badTime: return "not a time such as 2026-01-31 12:00:00Z"
    case .timeOutOfRange where fittingUnit != nil:
      let units = "\(fittingUnit?.rawValue ?? "") instead of \(column?.unit?.rawValue ?? "another unit")"
      return "the time is not in the years 1 to 9999; read in \(units) it would be one of this century"
    case .timeOutOfRange: return "the time is not in the years 1 to 9999 (is the unit right?)"
    case .tooDeep: return "nested deeper than \(Limits.jsonDepthMax) levels"
    case .empty, .oversized, .missingKey, .missingTime, .noChange, .unknownOperation, .truncation,
      .conflictingDuplicate:
      return reason.rawValue
    }
  }
}

extension EventSchema.Column {
  /// Whether it is read from the JSON.
  fileprivate var isInPayload: Bool { if case .json = origin { true } else { false } }

  /// Where its values come from, if that is not the member of its name.
  fileprivate var placeText: String {
    switch origin {
    case .json(let path): path == FieldPath(member: name) ? "" : " (\(path))"
    case .recordTimestamp: " (the record's timestamp)"
    case .recordKey: " (the record's key)"
    case .header(let name): " (the record's header '\(Text(name).escaped)')"
    case .commit: " (in the change's source block)"
    case .computed: " (computed)"
    }
  }

  /// Whether its values could be declared to come as text too.
  fileprivate var mayBeQuoted: Bool { !isText && type != .string && unit != .rfc3339 && unit != .text }

  /// What must stand in the JSON.
  fileprivate var expectation: String {
    switch unit {
    case nil: type.rawValue + (isText ? " (also as a string)" : "")
    case .rfc3339: "timestamp (an RFC 3339 string)"
    case .text: "timestamp (a string)"
    case .some(let unit): "timestamp (a number in \(unit.rawValue)\(isText ? ", also as a string" : ""))"
    }
  }
}
