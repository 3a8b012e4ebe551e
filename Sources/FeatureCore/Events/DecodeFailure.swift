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
    /// A text that is no RFC 3339 time.
    case badTime = "bad_time"
    /// A time outside the years 1 to 9999.
    case timeOutOfRange = "time_out_of_range"
    /// More than `Limits.recordBytesMax` bytes.
    case oversized
    /// No bytes at all.
    case empty
    /// Nested deeper than `Limits.jsonDepthMax`.
    case tooDeep = "too_deep"
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
    /// A number without fraction and exponent.
    case integer
    /// A number with a fraction or an exponent.
    case fraction
    /// True or false.
    case bool
    /// An array.
    case array
    /// An object.
    case object

    /// A noun for people.
    var noun: String {
      switch self {
      case .string: "a string"
      case .integer: "an integer"
      case .fraction: "a number with a fraction or exponent"
      case .bool: "a bool"
      case .array: "an array"
      case .object: "an object"
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

  init(_ reason: Reason, column: Int? = nil, offset: Int, problem: Problem? = nil, found: Found? = nil) {
    self.reason = reason
    self.column = column
    self.offset = offset
    self.problem = problem
    self.found = found
  }

  /// The same failure, of a column.
  func inColumn(_ column: Int) -> DecodeFailure {
    var failure = self
    failure.column = column
    return failure
  }

  /// A sentence for people, such as "field 'price' at byte 57: expected double, found a string".
  public func message(_ schema: EventSchema) -> String {
    let column = column.map { schema.columns[$0] }
    let field = column.map { "field '\($0.name)'" }
    switch reason {
    case .empty: return "the payload is empty"
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
    case .wrongType: return "expected \(column?.expectation ?? type), found \(found?.noun ?? "another type")"
    case .numberOutOfRange: return "the number is out of the range of \(type)"
    case .duplicateField: return "the field stands twice"
    case .badTime: return "not an RFC 3339 time with an offset"
    case .timeOutOfRange: return "the time is not in the years 1 to 9999 (is the unit right?)"
    case .tooDeep: return "nested deeper than \(Limits.jsonDepthMax) levels"
    case .empty, .oversized, .missingKey, .missingTime: return reason.rawValue
    }
  }
}

extension EventSchema.Column {
  /// What must stand in the JSON.
  fileprivate var expectation: String {
    switch unit {
    case nil: type.rawValue
    case .rfc3339: "timestamp (an RFC 3339 string)"
    case .some(let unit): "timestamp (an integer in \(unit.rawValue))"
    }
  }
}
