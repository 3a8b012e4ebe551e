import FeatureCore

/// The type of a spine's column in a typed table, as far as its values have shown it.
struct SpineColumnType {
  /// Declared, or that of a typed file.
  private let fixed: FeatureType?
  /// The narrowest type that holds what has been noted.
  private var seen: ValueType?

  init(_ fixed: FeatureType?) { self.fixed = fixed }

  var type: FeatureType { fixed ?? .scalar(seen ?? .string) }

  mutating func noteText() { seen = .string }

  mutating func note(literal: UnsafeRawBufferPointer) {
    guard fixed == nil, seen != .string else { return }
    let own: ValueType =
      literal.elementsEqual("true".utf8) || literal.elementsEqual("false".utf8)
      ? .bool
      : NumberText.int64(literal) != nil ? .int64 : NumberText.double(literal) != nil ? .double : .string
    switch (seen, own) {
    case (nil, _): seen = own
    case (.int64, .double), (.double, .int64): seen = .double
    case (let known, _): if known != own { seen = .string }
    }
  }

  /// A field as a value of the type; null if it is none.
  func value(_ field: SpineField) -> FeatureValue {
    let text: Text
    switch field {
    case .value(.string(let value)), .literal(let value): text = value
    case .value(let value): return value
    }
    return text.utf8.withUnsafeBytes { bytes in
      switch type {
      case .scalar(.bool): CSVText.bool(CSVText.trimmed(bytes)).map { .bool($0) } ?? .null
      case .scalar(.int64): NumberText.wholeNumber(CSVText.trimmed(bytes)).map { .int64($0) } ?? .null
      case .scalar(.double): NumberText.double(CSVText.trimmed(bytes)).map { .double($0) } ?? .null
      case .scalar(.string): .string(text)
      case .scalar(.timestamp), .list: .null
      }
    }
  }
}
