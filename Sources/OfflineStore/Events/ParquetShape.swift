import EventFiles
import FeatureCore
import Parquet

/// What a source reads of a Parquet file: of the parts inside of a column those on the way to declared values.
struct ParquetShape {
  /// A part of the file that is read.
  indirect enum Part {
    /// The vector of its values, and how they are declared.
    case value(vector: Int, ValueForm)
    /// Its named parts, each with its name as JSON.
    case structure([(label: [UInt8], part: Part)], Levels)
    case list(Part, Levels)
    /// The vector of the keys; the values.
    case map(keys: Int, Part, Levels)
  }

  /// How values are declared.
  struct ValueForm {
    /// Of times.
    var unit: TimeUnit?
    /// Whose the times are, if the file doesn't say where its clock is.
    var clock: WallClock?
    /// Whether an integer is wanted.
    var isInteger: Bool

    /// A file's time as the declaration has it.
    func moment(_ time: EventTime) -> EventTime { clock.map { $0.moment(ofLocal: time) } ?? time }
  }

  /// The levels of a part that has others inside.
  struct Levels {
    /// From which it is not null.
    var definition: UInt8
    /// From which there is an element, of lists and maps.
    var elementDefinition: UInt8
    /// Of all elements but the first.
    var elementRepetition: UInt8
    /// The vectors of everything inside.
    var vectors: Range<Int>
  }

  /// A column of the file.
  struct Column {
    var name: String
    /// Its name as JSON.
    var label: [UInt8]
    var part: Part
  }

  /// The columns that are read.
  private(set) var columns: [Column] = []
  /// The leaves that are read, in the order of the vectors.
  private(set) var leaves: [Int] = []
  /// Those of them that are read as integers, where the file has doubles.
  private(set) var integers: Set<Int> = []
  /// Which of the schema's columns each of these is; nil if some have others inside, or none is read.
  private(set) var cells: [Int]?

  /// Matches what the source declares with what the file has; whatever no row could have is an error.
  init(_ file: [ParquetPart], _ schema: EventSchema, path: String) throws(TableError) {
    try TableColumns(schema).check(file.map(\.name), path: path)
    var wanted: [Wanted] = schema.columns.compactMap { column in
      guard case .json(let place) = column.origin else { return nil }
      return Wanted(column: column, path: place, steps: place.steps[...])
    }
    if let each = schema.each { wanted.append(Wanted(column: nil, path: each, steps: each.steps[...])) }
    for part in file {
      let own = wanted.filter { $0.steps.first == .member(part.name) }.map(\.inside)
      guard !own.isEmpty else { continue }
      guard file.count(where: { $0.name == part.name }) == 1 else {
        throw TableError(
          path: path, problem: "it has two columns '\(part.name)'", remedy: "write it with names that differ")
      }
      var match = Match(each: schema.each, path: path, leaves: leaves)
      columns.append(
        Column(
          name: part.name, label: LineBuffer.label(part.name),
          part: try match.part(part, own, named: part.name)))
      leaves = match.leaves
      integers.formUnion(match.integers)
    }
    guard schema.hasCells, !columns.isEmpty else { return }
    let names = columns.map(\.name)
    cells = names.compactMap { name in
      schema.columns.firstIndex { $0.origin == .json(FieldPath(member: name)) }
    }
    precondition(cells?.count == leaves.count, "Cannot read \(leaves.count) values as \(names)")
  }

  /// Something that is declared, and how it goes on from a part.
  fileprivate struct Wanted {
    /// nil: the array of `each`.
    var column: EventSchema.Column?
    var path: FieldPath
    var steps: ArraySlice<FieldPath.Step>
    /// Whether it is of an element of `each`.
    var isElement = false

    /// Whether it only tells how many elements there are.
    var isCount: Bool { column == nil && isElement }
    var inside: Wanted { Wanted(column: column, path: path, steps: steps.dropFirst(), isElement: isElement) }
    /// The steps that led here.
    var taken: ArraySlice<FieldPath.Step> { path.steps[..<steps.startIndex] }
  }
}

/// Finds the parts that are wanted.
private struct Match {
  let each: FieldPath?
  let path: String
  var leaves: [Int]
  var integers: Set<Int> = []

  mutating func part(
    _ part: ParquetPart, _ wanted: [ParquetShape.Wanted], named name: String
  ) throws(TableError) -> ParquetShape.Part {
    let start = leaves.count
    switch part.kind {
    case .value(let leaf, let type): return try value(part, leaf, type, wanted, named: name)
    case .structure:
      let members = try names(of: wanted, in: part, named: name, "a structure")
      var parts: [(label: [UInt8], part: ParquetShape.Part)] = []
      for member in members {
        let found = part.parts.filter { $0.name == member }
        guard let inner = found.first, found.count == 1 else {
          let have = part.parts.prefix(20).map(\.name).joined(separator: ", ")
          throw TableError(
            path: path,
            problem: found.isEmpty
              ? "column '\(name)' lacks '\(member)', which the source declares inside of it; it has \(have)"
              : "column '\(name)' has '\(member)' twice",
            remedy: "correct the path, or leave the field out")
        }
        let own = wanted.filter { $0.steps.first == .member(member) }.map(\.inside)
        parts.append((LineBuffer.label(member), try self.part(inner, own, named: "\(name).\(member)")))
      }
      return .structure(parts, levels(part, from: start))
    case .list:
      let own = try elements(of: wanted, in: part, named: name)
      let inner = try self.part(part.parts[0], own, named: "\(name)[]")
      return .list(inner, levels(part, from: start))
    case .map:
      _ = try names(of: wanted, in: part, named: name, "a map")
      guard case .value(let leaf, let type?) = part.parts[0].kind, [.string, .int64].contains(type) else {
        throw TableError(
          path: path, problem: "column '\(name)' is a map whose keys are no texts or integers",
          remedy: "write what the source declares of it as columns of their own")
      }
      leaves.append(leaf)
      let inner = try self.part(part.parts[1], wanted.map(\.inside), named: "\(name){}")
      return .map(keys: start, inner, levels(part, from: start))
    }
  }

  private func levels(_ part: ParquetPart, from start: Int) -> ParquetShape.Levels {
    ParquetShape.Levels(
      definition: part.definition, elementDefinition: part.elementDefinition,
      elementRepetition: part.elementRepetition, vectors: start..<leaves.count)
  }

  private mutating func value(
    _ part: ParquetPart, _ leaf: Int, _ type: ValueType?, _ wanted: [ParquetShape.Wanted], named name: String
  ) throws(TableError) -> ParquetShape.Part {
    guard let type else {
      throw TableError(
        path: path, problem: "column '\(name)' cannot be read: \(part.problem ?? "")",
        remedy: "cast it when the file is written, or write the file as NDJSON")
    }
    // What only counts elements is declared by nobody.
    let declared = wanted.compactMap(\.column)
    let column = declared.first ?? EventSchema.Column(name: name, type: type, unit: .milliseconds)
    for wanted in wanted where wanted.column != nil {
      guard wanted.steps.isEmpty else { throw mismatch(name, "\(type)", "values inside of it", wanted) }
    }
    for own in declared where !part.isNothing && !Self.fits(type, own) {
      throw TableError(
        path: path, problem: "column '\(name)' is \(type), and the definitions declare \(own.type.rawValue)",
        remedy: own.type == .timestamp
          ? "write timestamps, or \(own.unit?.textForms ?? "texts")"
          : "declare it as it is, or cast it when the file is written")
    }
    if part.holdsIntegers, column.type == .int64 { integers.insert(leaf) }
    let isOther = { (other: EventSchema.Column) in
      other.unit != column.unit || part.isLocal && other.clock != column.clock
    }
    if type == .timestamp, let other = declared.first(where: isOther) {
      throw TableError(
        path: path,
        problem:
          "column '\(name)' holds the times of '\(column.name)' and '\(other.name)', whose units differ",
        remedy: "declare one unit: a Parquet timestamp fits any")
    }
    leaves.append(leaf)
    let form = ParquetShape.ValueForm(
      unit: column.unit, clock: part.isLocal ? column.clock : nil,
      isInteger: declared.contains { $0.type == .int64 })
    return .value(vector: leaves.count - 1, form)
  }

  /// The names that are wanted inside of a structure or a map, in the order of declaration.
  private func names(
    of wanted: [ParquetShape.Wanted], in part: ParquetPart, named name: String, _ kind: String
  ) throws(TableError) -> [String] {
    var names: [String] = []
    for own in wanted {
      switch own.steps.first {
      case .member(let member): if !names.contains(member) { names.append(member) }
      case .element, nil: guard own.isCount else { throw mismatch(name, kind, nil, own) }
      }
    }
    if names.isEmpty, case .structure = part.kind {
      guard let countable = part.parts.first(where: Self.isCountable) else {
        throw TableError(
          path: path,
          problem: "the elements of 'each', column '\(name)', have no value that could be counted",
          remedy: "write them with one, or the file as NDJSON")
      }
      names.append(countable.name)
    }
    return names
  }

  private static func isCountable(_ part: ParquetPart) -> Bool {
    switch part.kind {
    case .value(_, let type): type != nil
    case .structure: part.parts.contains(where: isCountable)
    case .list, .map: false
    }
  }

  /// What is wanted of the elements of a list.
  private func elements(
    of wanted: [ParquetShape.Wanted], in part: ParquetPart, named name: String
  ) throws(TableError) -> [ParquetShape.Wanted] {
    var inner: [ParquetShape.Wanted] = []
    for own in wanted {
      if own.isCount {
        inner.append(own)
      } else if isEach(own), !own.isElement {
        var own = own
        own.isElement = true
        inner.append(own)
      } else if case .element? = own.steps.first {
        inner.append(own.inside)
      } else {
        throw mismatch(name, "a list", nil, own)
      }
    }
    return inner
  }

  /// Whether the elements here are those of `each`.
  private func isEach(_ wanted: ParquetShape.Wanted) -> Bool {
    each.map { $0.steps[...] == wanted.taken } ?? false
  }

  private func mismatch(
    _ name: String, _ found: String, _ expected: String?, _ wanted: ParquetShape.Wanted
  ) -> TableError {
    let declared = wanted.column.map { "'\($0.name)'" } ?? "'each'"
    return TableError(
      path: path,
      problem:
        "column '\(name)' is \(found), and \(declared) declares \(expected ?? "the path \(wanted.path)")",
      remedy: "correct the path: .name for a part of a structure or a map, [0] for an element of a list")
  }

  /// Whether a column's every value would not be refused.
  private static func fits(_ type: ValueType, _ wanted: EventSchema.Column) -> Bool {
    switch (type, wanted.type) {
    case (.int64, .double), (.double, .int64): true
    case (.int64, .timestamp), (.double, .timestamp): wanted.unit.map { !$0.isText } ?? false
    case (.string, .timestamp): wanted.unit?.isText == true || wanted.isText
    case (.string, _) where wanted.isText: true
    default: type == wanted.type
    }
  }
}

/// Puts the rows of a batch together again, part by part (Melnik et al., "Dremel", 2010).
struct RowAssembly {
  /// Of each vector, the next slot.
  private var next: [Int]
  private let vectors: [ParquetCells]

  /// The vectors of a batch.
  init(_ vectors: [ParquetCells]) {
    self.vectors = vectors
    next = Array(repeating: 0, count: vectors.count)
  }

  /// Whether all slots have been used.
  var isAtEnd: Bool { zip(next, vectors).allSatisfy { $0 == $1.count } }

  /// The definition level at the next slot; nil behind the last.
  private func definition(_ vector: Int) -> UInt8? {
    next[vector] < vectors[vector].definitions.count ? vectors[vector].definitions[next[vector]] : nil
  }

  /// The repetition level there; 0 behind the last, where a row would begin.
  private func repetition(_ vector: Int) -> UInt8 {
    next[vector] < vectors[vector].repetitions.count ? vectors[vector].repetitions[next[vector]] : 0
  }

  /// What of a part stands next.
  private enum Presence { case null, nothingInside, there }

  /// Leaves of one part must agree; nil if they don't. Null and empty parts use their slots.
  private mutating func presence(_ levels: ParquetShape.Levels, isRepeated: Bool) -> Presence? {
    var found: Presence?
    for vector in levels.vectors {
      guard let definition = definition(vector) else { return nil }
      let own: Presence =
        definition < levels.definition
        ? .null : isRepeated && definition < levels.elementDefinition ? .nothingInside : .there
      guard found == nil || found == own else { return nil }
      found = own
    }
    guard let found else { return .there }
    if found != .there { for vector in levels.vectors { next[vector] += 1 } }
    return found
  }

  /// Whether another element follows in all of them; nil if they don't agree.
  private func hasMore(_ levels: ParquetShape.Levels) -> Bool? {
    var found: Bool?
    for vector in levels.vectors {
      let own = repetition(vector) == levels.elementRepetition
      // A deeper list can't go on here.
      guard repetition(vector) <= levels.elementRepetition, found == nil || found == own else { return nil }
      found = own
    }
    return found ?? false
  }

  /// Appends the next value of a part as JSON; false if its leaves don't agree about where there is one.
  mutating func append(
    _ part: ParquetShape.Part, to buffer: inout LineBuffer,
    _ value: (ParquetCells, Int, ParquetShape.ValueForm, inout LineBuffer) -> Void
  ) -> Bool {
    switch part {
    case .value(let vector, let form):
      let slot = next[vector]
      guard slot < vectors[vector].count else { return false }
      next[vector] = slot + 1
      if vectors[vector].isNull(slot) {
        buffer.append(literal: "null")
      } else {
        value(vectors[vector], slot, form, &buffer)
      }
      return true
    case .structure(let parts, let levels):
      guard let presence = presence(levels, isRepeated: false) else { return false }
      if presence == .null {
        buffer.append(literal: "null")
        return true
      }
      if parts.isEmpty { buffer.append(literal: "{") }
      for (index, inner) in parts.enumerated() {
        buffer.appendName(inner.label, isFirst: index == 0)
        guard append(inner.part, to: &buffer, value) else { return false }
      }
      buffer.append(literal: "}")
      return true
    case .list(let inner, let levels):
      guard let presence = presence(levels, isRepeated: true) else { return false }
      if presence == .null {
        buffer.append(literal: "null")
        return true
      }
      buffer.append(literal: "[")
      var isFirst = true
      while presence == .there {
        if !isFirst { buffer.append(literal: ",") }
        isFirst = false
        guard append(inner, to: &buffer, value), let more = hasMore(levels) else { return false }
        if !more { break }
      }
      buffer.append(literal: "]")
      return true
    case .map(let keys, let inner, let levels):
      guard let presence = presence(levels, isRepeated: true) else { return false }
      if presence == .null {
        buffer.append(literal: "null")
        return true
      }
      var isFirst = true
      while presence == .there {
        buffer.append(literal: isFirst ? "{" : ",")
        isFirst = false
        guard appendKey(keys, to: &buffer), append(inner, to: &buffer, value), let more = hasMore(levels)
        else {
          return false
        }
        if !more { break }
      }
      buffer.append(literal: isFirst ? "{}" : "}")
      return true
    }
  }

  /// A map's key with its colon; false if it is null.
  private mutating func appendKey(_ keys: Int, to buffer: inout LineBuffer) -> Bool {
    guard definition(keys) != nil, !vectors[keys].isNull(next[keys]) else { return false }
    let slot = next[keys]
    next[keys] += 1
    if vectors[keys].type == .string {
      buffer.append(text: vectors[keys].bytes(slot))
    } else {
      buffer.append(literal: "\"")
      ValueText.appendInteger(Int64(bitPattern: vectors[keys].bits(slot)), to: &buffer.bytes)
      buffer.append(literal: "\"")
    }
    buffer.append(literal: ":")
    return true
  }
}
