/// The type of a feature: a scalar, or a list of scalars without nulls.
public enum FeatureType: Hashable, Sendable, CustomStringConvertible {
  /// One value.
  case scalar(ValueType)
  /// A list of values, oldest, smallest or most frequent first, as the aggregate says.
  case list(ValueType)

  /// As written in tables: `int64`, `list<string>`.
  public var description: String {
    switch self {
    case .scalar(let type): type.rawValue
    case .list(let type): "list<\(type.rawValue)>"
    }
  }
}

/// A value of a feature or of an entity column.
public enum FeatureValue: Hashable, Sendable {
  /// No value.
  case null
  /// An int64.
  case int64(Int64)
  /// A finite double.
  case double(Double)
  /// A bool.
  case bool(Bool)
  /// Text.
  case string(Text)
  /// Microseconds since the epoch.
  case timestamp(EventTime)
  /// A list without nulls.
  case list([FeatureValue])

  /// Whether it is null; without the comparison of payloads that `==` has to be ready for.
  @inline(__always)
  var isNull: Bool {
    if case .null = self { true } else { false }
  }

  /// The same value, bit for bit: unlike `==` it tells -0.0 from 0.0.
  public func isIdentical(to other: FeatureValue) -> Bool {
    switch (self, other) {
    case (.double(let lhs), .double(let rhs)): lhs.bitPattern == rhs.bitPattern
    case (.list(let lhs), .list(let rhs)):
      lhs.count == rhs.count && zip(lhs, rhs).allSatisfy { $0.isIdentical(to: $1) }
    default: self == other
    }
  }

  /// The owned value of a borrowed scalar that has not failed.
  public init(_ scalar: Scalar, _ type: ValueType) {
    precondition(scalar.tag != .failed, "Cannot read the value of a failed computation")
    guard scalar.isValue else {
      self = .null
      return
    }
    switch type {
    case .int64: self = .int64(scalar.int64)
    case .double: self = .double(scalar.double)
    case .bool: self = .bool(scalar.bits == 1)
    case .timestamp: self = .timestamp(EventTime(microseconds: scalar.int64))
    case .string: self = .string(Text(scalar.text))
    }
  }
}

extension FeatureValue: CustomStringConvertible {
  /// The value as a person writes it: `null`, `7`, `0.5`, `true`, `a text`, `2026-01-01T00:00:00Z`, `[1, 2]`.
  public var description: String {
    switch self {
    case .null: "null"
    case .int64(let number): "\(number)"
    case .double(let number): "\(number)"
    case .bool(let truth): "\(truth)"
    case .string(let text): "\(text)"
    case .timestamp(let time): RFC3339.format(time)
    case .list(let values): "[\(values.map(\.description).joined(separator: ", "))]"
    }
  }
}
