import FeatureCore

/// How stored values become values of a column's type.
enum Conversion: Hashable {
  /// Text, bools, and 64 bits that are already what they mean.
  case none
  /// Bytes that need not be text: what has no logical type.
  case bytes
  case signed32, unsigned32, unsigned64, float, float16
  /// Sixteen bytes; text with hyphens, in lower case.
  case uuid
  /// An integer of the power of ten that is `scale` digits below one. It stays an integer if the scale is 0.
  case decimal(scale: Int)
  /// Days since the epoch; midnight in UTC.
  case date
  /// Ticks a second: 1,000, 1,000,000 or 1,000,000,000. Below a microsecond, times are rounded down.
  case timestamp(ticks: Int64)
  /// Nanoseconds of a day and its Julian number, as Spark and Hive write by default.
  case int96
}

/// A column of values in a file.
struct SchemaLeaf {
  /// The position among all leaves, which is that of the chunk in a row group.
  var index: Int
  /// The column that it is; or why it cannot be read.
  var column: Result<Readable, Unreadable>
  /// Of the top-level column.
  var name: String

  struct Readable {
    var column: ParquetColumn
    var physical: PhysicalType
    var conversion: Conversion
    var levels: Levels
    /// Of fixed-length bytes.
    var width = 0
    /// Whether the vectors have a value for every slot, null or not, and its levels.
    var keepsLevels = false
  }

  struct Unreadable: Error {
    var reason: String
  }
}

extension SchemaElement {
  /// Whether times are what a clock shows, and nobody says where: timestamps without a zone, and dates.
  var isLocal: Bool {
    if case .timestamp(_, isLocal: true)? = logical { return true }
    return logical == .date || logical == nil && converted == ConvertedType.date
  }
}

/// Finds the columns in the flattened schema.
struct SchemaWalk {
  private static let depthMax = 64
  private let elements: [SchemaElement]
  private var position = 1
  private var leaves: [SchemaLeaf] = []

  static func leaves(_ elements: [SchemaElement]) throws(FormatProblem) -> [SchemaLeaf] {
    guard let root = elements.first, root.children >= 0 else { throw FormatProblem("the schema has no root") }
    var walk = SchemaWalk(elements: elements)
    for _ in 0..<root.children { try walk.topLevel() }
    guard walk.position == elements.count else {
      throw FormatProblem("the schema has elements outside of its tree")
    }
    return walk.leaves
  }

  private init(elements: [SchemaElement]) { self.elements = elements }

  private mutating func topLevel() throws(FormatProblem) {
    let start = position
    let firstLeaf = leaves.count
    try walk(depth: 0)
    let name = elements[start].name
    let readable = scalar(start) ?? list(start, end: position)
    for index in firstLeaf..<leaves.count {
      leaves[index].name = name
      if let readable { leaves[index].column = readable }
    }
  }

  private mutating func walk(depth: Int) throws(FormatProblem) {
    guard position < elements.count else { throw FormatProblem("the schema ends early") }
    guard depth < Self.depthMax else { throw FormatProblem("the schema is nested too deeply") }
    let element = elements[position]
    position += 1
    if element.type != nil && element.children == 0 {
      let unreadable = SchemaLeaf.Unreadable(reason: "it is nested in another way than a list of values")
      leaves.append(SchemaLeaf(index: leaves.count, column: .failure(unreadable), name: element.name))
    }
    guard element.children >= 0 else { throw FormatProblem("the schema has a negative count of children") }
    for _ in 0..<element.children { try walk(depth: depth + 1) }
  }

  private func scalar(_ index: Int) -> Result<SchemaLeaf.Readable, SchemaLeaf.Unreadable>? {
    let element = elements[index]
    guard element.type != nil, element.children == 0, element.repetition != .repeated else { return nil }
    let isRequired = element.repetition == .required
    return Self.values(element).map { type, physical, conversion in
      SchemaLeaf.Readable(
        column: ParquetColumn(
          element.name, .scalar(type), isRequired: isRequired, isBinary: conversion == .bytes,
          isLocal: element.isLocal, isNothing: element.logical == .unknown),
        physical: physical, conversion: conversion,
        levels: Levels(definitionMax: isRequired ? 0 : 1, repetitionMax: 0, emptyList: 0),
        width: Int(element.width))
    }
  }

  /// The three levels of LogicalTypes.md, "Lists", whatever the inner names are.
  private func list(_ index: Int, end: Int) -> Result<SchemaLeaf.Readable, SchemaLeaf.Unreadable>? {
    guard end == index + 3 else { return nil }
    let (outer, middle, inner) = (elements[index], elements[index + 1], elements[index + 2])
    guard outer.logical == .list || outer.converted == ConvertedType.list, outer.repetition != .repeated,
      outer.children == 1, middle.repetition == .repeated, middle.children == 1, inner.type != nil,
      inner.repetition != .repeated
    else { return nil }
    let outerLevels: UInt8 = outer.repetition == .required ? 0 : 1
    let innerLevels: UInt8 = inner.repetition == .required ? 0 : 1
    return Self.values(inner).map { type, physical, conversion in
      SchemaLeaf.Readable(
        column: ParquetColumn(
          outer.name, .list(type), isRequired: outerLevels == 0, isBinary: conversion == .bytes),
        physical: physical, conversion: conversion,
        levels: Levels(
          definitionMax: outerLevels + 1 + innerLevels, repetitionMax: 1, emptyList: outerLevels),
        width: Int(inner.width))
    }
  }

  typealias Values = (type: ValueType, physical: PhysicalType, conversion: Conversion)

  static func values(_ element: SchemaElement) -> Result<Values, SchemaLeaf.Unreadable> {
    let unreadable = SchemaLeaf.Unreadable(reason: "its type \(describe(element)) is not supported")
    guard let physical = element.type.flatMap(PhysicalType.init) else { return .failure(unreadable) }
    let isPlain = element.logical == nil && element.converted == nil || element.logical == .unknown
    if let decimal = decimal(element) {
      // More digits than 128 bits hold are nobody's default.
      guard decimal.scale >= 0, decimal.scale <= 38, decimal.precision <= 38,
        [.int32, .int64, .byteArray, .fixedLengthByteArray].contains(physical),
        physical != .fixedLengthByteArray || (1...16).contains(element.width)
      else { return .failure(unreadable) }
      let isInteger = decimal.scale == 0 && decimal.precision <= 18
      return .success((isInteger ? .int64 : .double, physical, .decimal(scale: Int(decimal.scale))))
    }
    switch (physical, integer(element)) {
    case (.fixedLengthByteArray, _) where element.logical == .uuid && element.width == 16:
      return .success((.string, physical, .uuid))
    case (.fixedLengthByteArray, _) where element.logical == .float16 && element.width == 2:
      return .success((.double, physical, .float16))
    case (.fixedLengthByteArray, _) where isPlain && element.width > 0:
      return .success((.string, physical, .bytes))
    case (.boolean, _): return .success((.bool, physical, .none))
    case (.float, _) where isPlain: return .success((.double, physical, .float))
    case (.double, _) where isPlain: return .success((.double, physical, .none))
    case (.int96, _) where isPlain: return .success((.timestamp, physical, .int96))
    case (.byteArray, _) where isPlain: return .success((.string, physical, .bytes))
    case (.byteArray, _) where isText(element): return .success((.string, physical, .none))
    case (.int32, let isSigned?): return .success((.int64, physical, isSigned ? .signed32 : .unsigned32))
    case (.int64, let isSigned?): return .success((.int64, physical, isSigned ? .none : .unsigned64))
    case (.int32, nil) where element.logical == .date || element.converted == ConvertedType.date:
      return .success((.timestamp, physical, .date))
    case (.int64, nil):
      guard let ticks = ticks(element) else { return .failure(unreadable) }
      return .success((.timestamp, physical, .timestamp(ticks: ticks)))
    default: return .failure(unreadable)
    }
  }

  private static func decimal(_ element: SchemaElement) -> (scale: Int32, precision: Int32)? {
    switch (element.logical, element.converted) {
    case (.decimal(let scale, let precision)?, _): (scale, precision)
    case (nil, ConvertedType.decimal): (element.scale, element.precision)
    default: nil
    }
  }

  private static func isText(_ element: SchemaElement) -> Bool {
    let converted = [ConvertedType.utf8, ConvertedType.enumeration, ConvertedType.json]
    return element.logical == .string || element.logical == nil && converted.contains(element.converted ?? -1)
  }

  /// Whether an integer is signed; nil for other meanings of INT32 and INT64.
  private static func integer(_ element: SchemaElement) -> Bool? {
    switch (element.logical, element.converted) {
    case (.integer(_, let isSigned)?, _): isSigned
    case (.unknown?, _), (nil, nil): true
    case (nil, let converted?) where ConvertedType.signed.contains(converted): true
    case (nil, let converted?) where ConvertedType.unsigned.contains(converted): false
    default: nil
    }
  }

  private static func ticks(_ element: SchemaElement) -> Int64? {
    switch (element.logical, element.converted) {
    case (.timestamp(let ticks, _)?, _): ticks
    case (nil, ConvertedType.timestampMilliseconds): 1_000
    case (nil, ConvertedType.timestampMicroseconds): 1_000_000
    default: nil
    }
  }

  private static func describe(_ element: SchemaElement) -> String {
    let physical = element.type.flatMap(PhysicalType.init).map { "\($0)" } ?? "\(element.type ?? -1)"
    if case .other(let field)? = element.logical {
      return "\(physical) (\(LogicalTypeField.names[field] ?? "logical type \(field)"))"
    }
    if let logical = element.logical { return "\(physical) (\(logical))" }
    return element.converted.map { "\(physical) (converted type \($0))" } ?? physical
  }
}
