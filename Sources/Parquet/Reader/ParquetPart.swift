public import FeatureCore

/// A column of a file with what is inside of it, or a part of one: structures, lists and maps of each other.
public struct ParquetPart: Sendable {
  /// What a part is.
  public enum Kind: Sendable {
    /// Values: which of the file's leaves, and their type; nil if `problem` says why they cannot be read.
    case value(leaf: Int, type: ValueType?)
    /// Named parts.
    case structure
    /// One part: what an element is.
    case list
    /// Two parts: what a key is and what a value.
    case map
  }

  /// The name; of the parts of lists and maps, whatever the writer calls them.
  public let name: String
  /// What it is.
  public let kind: Kind
  /// What is inside.
  public private(set) var parts: [ParquetPart] = []
  /// The definition level from which on it is not null (parquet-format, README.md, "Nested Encoding").
  public let definition: UInt8
  /// Of lists and maps, the definition level from which on there is an element.
  public private(set) var elementDefinition: UInt8 = 0
  /// Of lists and maps, the repetition level of all elements but the first.
  public private(set) var elementRepetition: UInt8 = 0
  /// Why its values cannot be read.
  public private(set) var problem: String?
  /// Of values, whether times are what a clock shows, and nobody says where.
  public fileprivate(set) var isLocal = false
  /// Of values, whether there are none, so that the type says nothing.
  public fileprivate(set) var isNothing = false
  /// Whether doubles are integers that may need more than 64 bits. They can be read as integers, if they don't.
  public fileprivate(set) var holdsIntegers = false
}

/// Builds the parts of a schema whose tree `SchemaWalk` has found whole.
struct PartWalk {
  private let elements: [SchemaElement]
  private var position = 1
  private(set) var leaves: [Result<SchemaLeaf.Readable, SchemaLeaf.Unreadable>] = []

  /// The top-level columns, and how the values of each leaf are read: slot by slot, with their levels, inside of a column.
  static func parts(_ elements: [SchemaElement]) -> (
    parts: [ParquetPart], leaves: [Result<SchemaLeaf.Readable, SchemaLeaf.Unreadable>]
  ) {
    var walk = PartWalk(elements: elements)
    let parts = (0..<(elements.first?.children ?? 0)).map { _ in walk.part(Level()) }
    // Of a column that is a value itself a row is a slot, which is null or not.
    for part in parts {
      guard case .value(let leaf, .some) = part.kind else { continue }
      walk.leaves[leaf] = walk.leaves[leaf].map { readable in
        var readable = readable
        readable.keepsLevels = false
        return readable
      }
    }
    return (parts, walk.leaves)
  }

  private struct Level {
    var definition: UInt8 = 0
    var repetition: UInt8 = 0

    /// Inside of something repeated.
    var inner: Level { Level(definition: definition + 1, repetition: repetition + 1) }
  }

  private init(elements: [SchemaElement]) { self.elements = elements }

  /// The part that begins here.
  private mutating func part(_ level: Level) -> ParquetPart {
    let element = elements[position]
    if element.repetition == .repeated {
      // Without the levels that LogicalTypes.md asks for: a list that is never null.
      var list = ParquetPart(name: element.name, kind: .list, definition: level.definition)
      list.fill([content(level.inner)], level.inner.definition, level.inner.repetition)
      return list
    }
    return content(
      Level(
        definition: level.definition + (element.repetition == .required ? 0 : 1), repetition: level.repetition
      ))
  }

  /// The same, whether it may be absent or not.
  private mutating func content(_ level: Level) -> ParquetPart {
    let element = elements[position]
    if element.type != nil, element.children == 0 { return value(element, level) }
    if isMap(at: position) { return repeated(element, .map, level) }
    if isList(at: position) { return repeated(element, .list, level) }
    position += 1
    var structure = ParquetPart(name: element.name, kind: .structure, definition: level.definition)
    structure.fill((0..<element.children).map { _ in part(level) })
    return structure
  }

  /// A list or a map: its elements are inside of a repeated group, or are one.
  private mutating func repeated(_ element: SchemaElement, _ kind: ParquetPart.Kind, _ level: Level)
    -> ParquetPart
  {
    position += 1
    let inner = level.inner
    var made = ParquetPart(name: element.name, kind: kind, definition: level.definition)
    let middle = elements[position]
    if case .map = kind {
      position += 1
      made.fill([part(inner), part(inner)], inner.definition, inner.repetition)
    } else if isElement(middle, of: element) {
      made.fill([content(inner)], inner.definition, inner.repetition)
    } else {
      position += 1
      made.fill([part(inner)], inner.definition, inner.repetition)
    }
    return made
  }

  private func isList(at index: Int) -> Bool {
    let element = elements[index]
    return (element.logical == .list || element.converted == ConvertedType.list) && element.children == 1
      && elements[index + 1].repetition == .repeated
  }

  private func isMap(at index: Int) -> Bool {
    let element = elements[index]
    return
      (element.logical == .other(LogicalTypeField.map)
      || [ConvertedType.map, ConvertedType.mapKeyValue].contains(element.converted ?? -1))
      && element.children == 1 && elements[index + 1].repetition == .repeated
      && elements[index + 1].children == 2
  }

  /// The rules for old writers in LogicalTypes.md, "Lists": whether the repeated group is the element itself.
  private func isElement(_ middle: SchemaElement, of list: SchemaElement) -> Bool {
    middle.children != 1 || middle.name == "array" || middle.name == "\(list.name)_tuple"
  }

  private mutating func value(_ element: SchemaElement, _ level: Level) -> ParquetPart {
    let leaf = leaves.count
    position += 1
    let values = SchemaWalk.values(element)
    leaves.append(
      values.map { type, physical, conversion in
        SchemaLeaf.Readable(
          column: ParquetColumn(element.name, .scalar(type), isBinary: conversion == .bytes),
          physical: physical,
          conversion: conversion,
          levels: Levels(definitionMax: level.definition, repetitionMax: level.repetition, emptyList: 0),
          width: Int(element.width), keepsLevels: true)
      })
    switch values {
    case .success(let readable):
      var part = ParquetPart(
        name: element.name, kind: .value(leaf: leaf, type: readable.type), definition: level.definition)
      part.isLocal = element.isLocal
      part.isNothing = element.logical == .unknown
      part.holdsIntegers = readable.type == .double && readable.conversion == .decimal(scale: 0)
      return part
    case .failure(let why):
      var part = ParquetPart(
        name: element.name, kind: .value(leaf: leaf, type: nil), definition: level.definition)
      part.refuse(why.reason)
      return part
    }
  }
}

extension ParquetPart {
  fileprivate init(name: String, kind: Kind, definition: UInt8) {
    (self.name, self.kind, self.definition) = (name, kind, definition)
  }

  fileprivate mutating func fill(_ parts: [ParquetPart], _ definition: UInt8 = 0, _ repetition: UInt8 = 0) {
    (self.parts, elementDefinition, elementRepetition) = (parts, definition, repetition)
  }

  fileprivate mutating func refuse(_ problem: String) { self.problem = problem }
}
