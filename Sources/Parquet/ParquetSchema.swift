public import FeatureCore

/// A column of a table.
public struct ParquetColumn: Hashable, Sendable {
  /// Unique among the columns.
  public let name: String
  /// A scalar or a list of scalars. In files, elements of a list may be null.
  public let type: FeatureType
  /// Whether no row may be null (elements of a list still may).
  public let isRequired: Bool
  /// Whether the strings are bytes of any kind instead of UTF-8.
  public let isBinary: Bool
  /// Of a file that is read, whether the timestamps are what a clock shows, and nobody says where; they are as in UTC.
  public let isLocal: Bool
  /// Of a file that is read, whether no row can have a value, so that the type says nothing.
  public let isNothing: Bool

  /// A column from its parts; only strings can be binary.
  public init(_ name: String, _ type: FeatureType, isRequired: Bool = false, isBinary: Bool = false) {
    self.init(name, type, isRequired: isRequired, isBinary: isBinary, isLocal: false, isNothing: false)
  }

  init(
    _ name: String, _ type: FeatureType, isRequired: Bool = false, isBinary: Bool = false, isLocal: Bool,
    isNothing: Bool
  ) {
    self.name = name
    self.type = type
    self.isRequired = isRequired
    self.isBinary = isBinary
    self.isLocal = isLocal
    self.isNothing = isNothing
    precondition(!isBinary || valueType == .string, "Cannot take column \(name) of \(type) for bytes")
  }

  /// The type of a value: of the rows, or of the lists' elements.
  public var valueType: ValueType {
    switch type {
    case .scalar(let type), .list(let type): type
    }
  }

  /// Whether a row is a list.
  public var isList: Bool {
    if case .list = type { true } else { false }
  }
}

/// The levels of a column (parquet-format, README.md, "Nested Encoding").
struct Levels: Hashable {
  /// How many of row, list and element may be absent: 0 for a required scalar.
  var definitionMax: UInt8
  /// 1 for lists.
  var repetitionMax: UInt8
  /// The definition level of a list that is there and has no elements; 0 for scalars.
  var emptyList: UInt8

  /// The levels in files that we write: elements of lists are optional.
  init(_ column: ParquetColumn) {
    let present: UInt8 = column.isRequired ? 0 : 1
    definitionMax = column.isList ? present + 2 : present
    repetitionMax = column.isList ? 1 : 0
    emptyList = column.isList ? present : 0
  }

  init(definitionMax: UInt8, repetitionMax: UInt8, emptyList: UInt8) {
    self.definitionMax = definitionMax
    self.repetitionMax = repetitionMax
    self.emptyList = emptyList
  }
}
